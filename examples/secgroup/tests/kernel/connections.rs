//! What only shows in more than one packet: replies, stateless groups, two ports of one host.

use std::net::IpAddr;

use secgroup::render::{Link, Style};
use secgroup_rpc::{Direction, Info, Limits, Message, Packet, macaddr::MacAddr6, read_json};

use crate::{
    Filter,
    probes::{Place, Probe},
    world::{FAR_MAC, World, filter_is_loadable, has_commands},
};

const FAR: &str = "192.0.2.9";
const OWN: [&str; 3] = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];
const MACS: [MacAddr6; 3] =
    [MacAddr6::new(2, 0, 0, 0, 0, 1), MacAddr6::new(2, 0, 0, 0, 0, 2), MacAddr6::new(2, 0, 0, 0, 0, 3)];

/// Three ports: the first admits DNS from anywhere and asks nobody, the second does so statelessly,
/// the third talks to members of its group alone, which the first is.
fn info() -> Info {
    let device = |at: usize, group: &str| {
        format!(
            r#""{at}0000000-0000-4000-8000-000000000000": {{
                "mac_address": "{}", "fixed_ips": ["{}"], "security_groups": ["{group}"],
                "network_id": "eeeeeeee-0000-4000-8000-000000000000", "security_group_rules": []}}"#,
            MACS[at].to_string().to_lowercase(),
            OWN[at]
        )
    };
    let rule = |stateful: bool, more: &str| {
        format!(
            r#"[{{"direction": "ingress", "ethertype": "IPv4", "protocol": "udp", "port_range_min": 53,
                "port_range_max": 53, "stateful": {stateful}}}{more}]"#
        )
    };
    let (tracked, untracked, members) = (
        "aaaaaaaa-0000-4000-8000-000000000000",
        "bbbbbbbb-0000-4000-8000-000000000000",
        "cccccccc-0000-4000-8000-000000000000",
    );
    let to_members = format!(
        r#", {{"direction": "egress", "ethertype": "IPv4", "protocol": "udp", "remote_group_id": "{members}", "stateful": true}}"#
    );
    let text = format!(
        r#"{{"devices": {{{}, {}, {}}},
            "security_groups": {{"{tracked}": {}, "{untracked}": {}, "{members}": {}}},
            "sg_member_ips": {{"{members}": {{"IPv4": [["{}", null]]}}}}}}"#,
        device(0, tracked),
        device(1, untracked),
        device(2, members),
        rule(true, ""),
        rule(false, ""),
        rule(true, &to_members),
        OWN[0],
    );
    let Message::Info(info) = read_json(text.as_bytes(), &Limits::default()).unwrap() else {
        panic!("the message is no compact reply")
    };
    info
}

/// A UDP packet from one end to another.
fn udp(from: Place, to: Place, ports: (u16, u16), expected: bool) -> Probe {
    let end = |place| match place {
        Place::Far => (FAR_MAC, FAR),
        Place::Port(at) => (MACS[at], OWN[at]),
    };
    let ((source_mac, source), (destination_mac, destination)) = (end(from), end(to));
    let direction = if from == Place::Far { Direction::Ingress } else { Direction::Egress };
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let packet = Packet {
        direction,
        source: address(source),
        destination: address(destination),
        protocol: 17,
        ports: Some(ports),
    };
    Probe { from, to, source_mac, destination_mac, packet, expected }
}

fn follow(link: Link, filter: Filter) {
    if !has_commands(filter.commands()) {
        return;
    }
    let (info, style) = (info(), Style { link, ..Style::default() });
    let Some(mut world) = World::new(&info, &style) else { return };
    filter.load(&world, &info, &style);
    // What is loaded again is there once.
    filter.load(&world, &info, &style);
    let [tracked, untracked, third] = [0, 1, 2].map(Place::Port);
    let story = [
        ("a question that no rule lets out", udp(tracked, Place::Far, (53, 4001), false)),
        ("a question that a rule lets in", udp(Place::Far, tracked, (4002, 53), true)),
        ("its answer", udp(tracked, Place::Far, (53, 4002), true)),
        ("an answer to another port", udp(tracked, Place::Far, (53, 4003), false)),
        ("a question to the stateless port", udp(Place::Far, untracked, (4004, 53), true)),
        ("its answer, which needs a rule of its own", udp(untracked, Place::Far, (53, 4004), false)),
        ("a question from a port to a member", udp(third, tracked, (4005, 53), true)),
        ("its answer", udp(tracked, third, (53, 4005), true)),
        ("a question that only the sender may send", udp(third, tracked, (4006, 54), false)),
        ("a question that only the receiver would take", udp(third, untracked, (4007, 53), false)),
    ];
    let probes = story.each_ref().map(|(_, probe)| probe.clone());
    let passed = world.pass(&probes);
    for ((what, probe), passed) in story.iter().zip(passed) {
        assert_eq!(passed, probe.expected, "{filter:?}, {link:?}: {what}");
    }
}

#[test]
fn answers_come_back_through_nftables_and_stateless_ones_need_a_rule() {
    follow(Link::Routed, Filter::Nft);
    if filter_is_loadable("bridge", "ct state established accept") {
        follow(Link::Bridged, Filter::Nft);
    } else {
        println!("skipped: this kernel has no nf_conntrack_bridge");
    }
}

#[test]
fn answers_come_back_through_iptables_and_stateless_ones_need_a_rule() {
    follow(Link::Bridged, Filter::Iptables);
    follow(Link::Bridged, Filter::IptablesWithoutSets);
    follow(Link::Routed, Filter::Iptables);
}
