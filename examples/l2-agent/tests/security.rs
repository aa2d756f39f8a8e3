//! Security groups on a real Open vSwitch with real connection tracking: frame by frame against
//! what `secgroup-rpc` says of a packet.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod packets;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use l2_agent::agent::Agent;
use l2_agent::desired::{Desired, MacText, Port, Security, UnknownPorts};
use l2_agent::ovs::OpenVSwitch;
use l2_agent::plan::Status;
use packets::{Ends, Mac, arp_request, neighbour_solicitation};
use private_ovs::{Datapath, PrivateOvs};
use secgroup_rpc::{
    AddressPair, Device, Direction, Family, Group, Info, IpSpec, MemberSet, Members, Packet, PortRange,
    Protocol, Remote, Rule, Uuid, Verdict,
};

const PATIENCE: Duration = Duration::from_secs(10);
const OUTSIDE: Mac = [2, 0, 0, 0, 0, 0xEE];
const NODE: &str = r#"
    bridge_mappings = "physnet1:br-ex"
    network = [
        { id = "flat", type = "flat", physical_network = "physnet1" },
        { id = "tagged", type = "vlan", physical_network = "physnet1", segmentation_id = 100 },
    ]
"#;

fn id(kind: u8, number: u8) -> Uuid {
    format!("{kind:08x}-0000-4000-8000-0000000000{number:02x}").parse().unwrap()
}

/// Guest `number`: its device is filtered unless it is the fifth, which nobody describes.
fn mac(number: u8) -> Mac {
    [0xFA, 0x16, 0x3E, 0, 0, number]
}

fn v4(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, number).into()
}

fn v6(number: u8) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, number.into()).into()
}

fn device(number: u8, groups: &[Uuid]) -> Device {
    Device {
        fixed_ips: [v4(number), v6(number)].into_iter().collect(),
        groups: groups.iter().copied().collect(),
        ..Device::new(id(1, number), mac(number).into())
    }
}

/// A node with guests 1 to 3 on the flat network, 4 on the tagged one, and 5, which is trusted, on
/// the flat one; all plugged, none wired yet.
struct Node {
    ovs: PrivateOvs,
    agent: Agent<OpenVSwitch>,
    desired: Desired,
}

const GUESTS: [(u8, &str); 5] = [(1, "flat"), (2, "flat"), (3, "flat"), (4, "tagged"), (5, "flat")];

impl Node {
    fn new(info: Info) -> Option<Self> {
        let mut ovs = PrivateOvs::start(Datapath::Dummy)?;
        ["br-int", "br-ex"].iter().for_each(|bridge| ovs.add_bridge(bridge, &["fail_mode=secure"]));
        ovs.add_port("br-ex", "nic", &[]);
        let mut desired: Desired = toml::from_str(NODE).unwrap();
        for (number, network) in GUESTS {
            let port = format!("vm{number}");
            ovs.add_port("br-int", &port, &["tag=4095", "vlan_mode=trunk", "trunks=4095"]);
            let text = macaddr::MacAddr6::from(mac(number)).to_string();
            let marks = [
                format!("external_ids:iface-id={}", id(1, number)),
                format!("external_ids:attached-mac=\"{text}\""),
            ];
            ovs.vsctl(&["set", "Interface", &port, &marks[0], &marks[1]]);
            desired.ports.push(Port {
                id: id(1, number).to_string(),
                mac: MacText(mac(number).into()),
                network: network.to_owned(),
                admin_state_up: true,
                filtered: None,
            });
        }
        let agent = Agent::new(OpenVSwitch::connect(&ovs.socket()).unwrap());
        let mut node = Self { ovs, agent, desired };
        node.set(info);
        Some(node)
    }

    /// Applies security groups and checks that the switch says back what it was told.
    fn set(&mut self, mut info: Info) {
        info.normalize();
        self.desired.security =
            Some(Security { file: "groups".into(), unknown_ports: UnknownPorts::Trusted, info });
        let outcome = self.agent.converge(&self.desired, PATIENCE).unwrap();
        assert!(outcome.failing.is_empty(), "{:#?}", outcome.failing);
        assert!(outcome.plan.status.values().all(|status| *status == Status::Up), "{:#?}", outcome.plan);
        let mut second = Agent::new(OpenVSwitch::connect(&self.ovs.socket()).unwrap());
        let outcome = second.converge(&self.desired, PATIENCE).unwrap();
        assert_eq!(outcome.applied, 0, "what the switch prints is not what was sent");
    }

    fn info(&self) -> &Info {
        &self.desired.security.as_ref().unwrap().info
    }

    /// The ports that a frame reaches.
    fn send(&mut self, port: &str, frame: &[u8]) -> BTreeSet<String> {
        self.ovs.exchange(port, frame).into_keys().collect()
    }
}

fn ports(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn rule(direction: Direction, protocol: Protocol, port: u16) -> Rule {
    Rule { protocol: Some(protocol), ports: PortRange::single(port), ..Rule::any(direction, Family::V4) }
}

/// Everything out; in: ssh from anywhere, http from the group itself.
fn web() -> Info {
    let group = id(2, 1);
    let http = Rule { remote: Some(Remote::Group(group)), ..rule(Direction::Ingress, Protocol::TCP, 80) };
    let rules = vec![
        Rule::any(Direction::Egress, Family::V4),
        Rule::any(Direction::Egress, Family::V6),
        rule(Direction::Ingress, Protocol::TCP, 22),
        http,
    ];
    let mut members = MemberSet::new(group);
    let addresses = (1..=4).map(|n| Ipv4Addr::new(10, 0, 0, n)).collect();
    members.v4 = Some(Members { addresses, others: Vec::new() });
    Info {
        devices: (1..=4).map(|number| device(number, &[group])).collect(),
        groups: vec![Group { id: group, rules }],
        members: vec![members],
        ..Info::default()
    }
}

fn ends(from: (Mac, IpAddr), to: (Mac, IpAddr)) -> Ends {
    Ends { source: from, destination: to }
}

fn outside(number: u8) -> (Mac, IpAddr) {
    (OUTSIDE, v4(number))
}

fn guest(number: u8) -> (Mac, IpAddr) {
    (mac(number), v4(number))
}

#[test]
fn only_what_a_rule_admits_enters_and_answers_to_it_leave() {
    let Some(mut node) = Node::new(web()) else { return };
    let inward = ends(outside(99), guest(1));
    assert_eq!(node.send("nic", &inward.tcp(1000, 22, "S")), ports(&["vm1"]));
    assert_eq!(node.send("vm1", &inward.back().tcp(22, 1000, "SA")), ports(&["nic"]));
    assert_eq!(node.send("nic", &inward.tcp(1000, 80, "S")), ports(&[]), "not a member");
    let from_member = ends(outside(4), guest(1));
    assert_eq!(node.send("nic", &from_member.tcp(1001, 80, "S")), ports(&["vm1"]), "a member");
}

#[test]
fn a_guests_own_connections_are_answered_and_nobody_elses() {
    let Some(mut node) = Node::new(web()) else { return };
    let out = ends(guest(1), outside(99));
    assert_eq!(node.send("nic", &out.back().udp(53, 4000)), ports(&[]));
    assert_eq!(node.send("vm1", &out.udp(4000, 53)), ports(&["nic"]));
    assert_eq!(node.send("nic", &out.back().udp(53, 4000)), ports(&["vm1"]));
    assert_eq!(node.send("nic", &out.back().udp(53, 4001)), ports(&[]));
}

#[test]
fn neighbours_on_the_node_meet_the_rules_of_both() {
    let Some(mut node) = Node::new(web()) else { return };
    let near = ends(guest(1), guest(2));
    assert_eq!(node.send("vm1", &near.tcp(1000, 80, "S")), ports(&["vm2"]));
    assert_eq!(node.send("vm2", &near.back().tcp(80, 1000, "SA")), ports(&["vm1"]));
    assert_eq!(node.send("vm1", &near.tcp(1000, 443, "S")), ports(&[]));
    // An answer to a connection that the neighbour refused opens nothing.
    assert_eq!(node.send("vm2", &near.back().tcp(443, 1000, "SA")), ports(&[]));
}

#[test]
fn a_guest_cannot_claim_to_be_somebody_else() {
    let Some(mut node) = Node::new(web()) else { return };
    let honest = ends(guest(1), outside(99));
    assert_eq!(node.send("vm1", &honest.udp(1, 53)), ports(&["nic"]));
    let other_address = ends((mac(1), v4(7)), outside(99));
    assert_eq!(node.send("vm1", &other_address.udp(1, 53)), ports(&[]));
    let other_mac = ends((mac(2), v4(1)), outside(99));
    assert_eq!(node.send("vm1", &other_mac.udp(1, 53)), ports(&[]));
    // In ARP and neighbour discovery neither.
    let everybody = ports(&["nic", "vm2", "vm3", "vm5"]);
    assert_eq!(node.send("vm1", &arp_request(mac(1), [10, 0, 0, 1], [10, 0, 0, 9])), everybody);
    assert_eq!(node.send("vm1", &arp_request(mac(1), [0; 4], [10, 0, 0, 1])), everybody, "a probe");
    assert_eq!(node.send("vm1", &arp_request(mac(1), [10, 0, 0, 7], [10, 0, 0, 9])), ports(&[]));
    let solicit = |source| neighbour_solicitation(mac(1), source, "2001:db8::9".parse().unwrap());
    assert_eq!(node.send("vm1", &solicit("2001:db8::1".parse().unwrap())), everybody);
    assert_eq!(node.send("vm1", &solicit(Ipv6Addr::UNSPECIFIED)), everybody, "address detection");
    assert_eq!(node.send("vm1", &solicit("2001:db8::7".parse().unwrap())), ports(&[]));
    // A VLAN tag is not a guest's to choose; a priority is.
    let tagged = |vid: u16| {
        [&honest.udp(2, 53)[..12], &[0x81, 0], &vid.to_be_bytes(), &honest.udp(2, 53)[12..]].concat()
    };
    assert_eq!(node.send("vm1", &tagged(1)), ports(&[]));
    assert_eq!(node.send("vm1", &tagged(100)), ports(&[]));
    assert_eq!(node.send("vm1", &tagged(0xA000)), ports(&["nic"]));
}

#[test]
fn a_guest_asks_for_a_lease_and_offers_none() {
    let Some(mut node) = Node::new(web()) else { return };
    let everybody: (Mac, IpAddr) = ([0xFF; 6], Ipv4Addr::BROADCAST.into());
    let discover = ends((mac(1), Ipv4Addr::UNSPECIFIED.into()), everybody);
    // The other guests' rules do not admit it; the trusted port may be the server.
    assert_eq!(node.send("vm1", &discover.udp(68, 67)), ports(&["nic", "vm5"]));
    let offer = ends(guest(1), everybody);
    assert_eq!(node.send("vm1", &offer.udp(67, 68)), ports(&[]));
    let offer = ends(guest(5), everybody);
    assert_eq!(node.send("vm5", &offer.udp(67, 68)), ports(&["nic", "vm1", "vm2", "vm3"]));
}

#[test]
fn group_addressed_frames_meet_the_rules_too() {
    let Some(mut node) = Node::new(web()) else { return };
    let group: (Mac, IpAddr) = ([1, 0, 0x5E, 0, 0, 5], Ipv4Addr::new(224, 0, 0, 5).into());
    assert_eq!(node.send("vm1", &ends(guest(1), group).udp(1, 5000)), ports(&["nic", "vm5"]));
    assert_eq!(node.send("nic", &ends(outside(9), group).udp(1, 5000)), ports(&["vm5"]));
    assert_eq!(
        node.send("nic", &ends(outside(9), group).tcp(1, 22, "S")),
        ports(&["vm1", "vm2", "vm3", "vm5"])
    );
}

#[test]
fn unknown_unicast_reaches_trusted_ports_from_the_wire_only() {
    let Some(mut node) = Node::new(web()) else { return };
    let unknown: (Mac, IpAddr) = ([2, 9, 9, 9, 9, 9], v4(77));
    assert_eq!(node.send("vm1", &ends(guest(1), unknown).tcp(1, 22, "S")), ports(&["nic"]));
    assert_eq!(node.send("nic", &ends(outside(9), unknown).tcp(1, 22, "S")), ports(&["vm5"]));
}

#[test]
fn a_station_behind_a_trusted_port_is_learned() {
    let Some(mut node) = Node::new(web()) else { return };
    let behind: (Mac, IpAddr) = ([2, 7, 7, 7, 7, 7], v4(77));
    assert_eq!(node.send("vm5", &ends(behind, outside(9)).tcp(1, 22, "S")), ports(&["nic"]));
    assert_eq!(node.send("vm1", &ends(guest(1), behind).tcp(1, 22, "S")), ports(&["vm5"]));
    assert_eq!(node.send("nic", &ends(outside(9), behind).tcp(1, 22, "S")), ports(&["vm5"]));
    // It cannot take a guest's address away.
    assert_eq!(node.send("vm5", &ends(guest(2), outside(9)).tcp(1, 22, "S")), ports(&["nic"]));
    assert_eq!(node.send("nic", &ends(outside(9), guest(2)).tcp(2, 22, "S")), ports(&["vm2"]));
}

#[test]
fn networks_stay_apart() {
    let Some(mut node) = Node::new(web()) else { return };
    let across = ends(guest(1), guest(4));
    // To the wire it goes: the neighbour's address is unknown in this network.
    assert_eq!(node.send("vm1", &across.tcp(1, 22, "S")), ports(&["nic"]));
    assert_eq!(node.send("nic", &ends(outside(9), guest(4)).tcp(1, 22, "S")), ports(&["vm5"]));
    let frame = ends(outside(9), guest(4)).tcp(1, 22, "S");
    let tagged = [&frame[..12], &[0x81, 0, 0, 100], &frame[12..]].concat();
    assert_eq!(node.send("nic", &tagged), ports(&["vm4"]));
}

#[test]
fn a_rule_that_goes_ends_its_connections() {
    let Some(mut node) = Node::new(web()) else { return };
    let inward = ends(outside(99), guest(1));
    node.send("nic", &inward.tcp(1000, 22, "S"));
    node.send("vm1", &inward.back().tcp(22, 1000, "SA"));
    assert_eq!(node.send("nic", &inward.tcp(1000, 22, "A")), ports(&["vm1"]));
    let mut without = node.info().clone();
    without.groups[0].rules.retain(|rule| rule.ports != PortRange::single(22));
    node.set(without);
    assert_eq!(node.send("nic", &inward.tcp(1000, 22, "A")), ports(&[]));
    assert_eq!(node.send("vm1", &inward.back().tcp(22, 1000, "A")), ports(&[]));
}

#[test]
fn a_stateless_group_admits_by_rules_alone() {
    let mut info = web();
    for rule in &mut info.groups[0].rules {
        rule.stateful = Some(false);
    }
    info.groups[0].rules.remove(0);
    info.groups[0].rules.push(Rule { stateful: Some(false), ..rule(Direction::Egress, Protocol::UDP, 53) });
    let Some(mut node) = Node::new(info) else { return };
    let out = ends(guest(1), outside(99));
    assert_eq!(node.send("vm1", &out.udp(4000, 53)), ports(&["nic"]));
    assert_eq!(node.send("nic", &out.back().udp(53, 4000)), ports(&[]), "no connection was made");
    // In the middle of a connection that nobody saw begin.
    assert_eq!(node.send("nic", &out.back().tcp(9, 22, "A")), ports(&["vm1"]));
}

#[test]
fn an_address_pair_is_the_guests_too() {
    let virtual_mac = [0, 0, 0x5E, 0, 1, 7];
    let mut info = web();
    for device in &mut info.devices[..2] {
        device.pairs.push(AddressPair { address: IpSpec::Host(v4(50)), mac: virtual_mac.into() });
    }
    let Some(mut node) = Node::new(info) else { return };
    let shared = (virtual_mac, v4(50));
    assert_eq!(node.send("vm1", &ends(shared, outside(9)).udp(1, 53)), ports(&["nic"]));
    assert_eq!(node.send("vm3", &ends(shared, outside(9)).udp(1, 53)), ports(&[]));
    assert_eq!(node.send("nic", &ends(outside(9), shared).tcp(1, 22, "S")), ports(&["vm1", "vm2"]));
}

#[test]
fn a_rule_without_words_admits_nothing_and_is_told() {
    let mut info = web();
    info.groups[0].rules.push(rule(Direction::Ingress, "udplite".parse().unwrap(), 9));
    let Some(mut node) = Node::new(info) else { return };
    let plan = node.agent.converge(&node.desired, PATIENCE).unwrap().plan;
    assert_eq!(plan.faults.len(), 4, "{:?}", plan.faults);
    assert!(plan.faults[0].contains("udplite is left out"), "{:?}", plan.faults);
}

#[test]
fn an_unknown_port_stays_dead_if_it_shall() {
    let Some(mut node) = Node::new(web()) else { return };
    node.desired.security.as_mut().unwrap().unknown_ports = UnknownPorts::Dead;
    let outcome = node.agent.converge(&node.desired, PATIENCE).unwrap();
    let status = &outcome.plan.status[&id(1, 5).to_string()];
    assert!(matches!(status, Status::Down(why) if why.contains("no security groups")), "{status:?}");
    assert_eq!(node.send("vm5", &ends(guest(5), outside(9)).udp(1, 53)), ports(&[]));
    let group: (Mac, IpAddr) = ([0xFF; 6], Ipv4Addr::BROADCAST.into());
    assert_eq!(node.send("nic", &ends(outside(9), group).udp(1, 5000)), ports(&[]));
}

/// Random groups and packets: the switch lets pass what the model says, in both directions.
#[test]
fn random_packets_pass_as_the_model_says() {
    let mut random = packets::Random(0x5EED);
    let mut node: Option<Node> = None;
    let mut passed = 0;
    let mut met = BTreeSet::new();
    for _ in 0..6 {
        let info = random_info(&mut random);
        match &mut node {
            Some(node) => node.set(info),
            None => match Node::new(info) {
                Some(started) => node = Some(started),
                None => return,
            },
        }
        let node = node.as_mut().unwrap();
        for _ in 0..150 {
            passed += u32::from(random_packet(node, &mut random, &mut met));
        }
    }
    assert!((200..700).contains(&passed), "{passed} of 900 packets passed: the test is one-sided");
}

fn random_info(random: &mut packets::Random) -> Info {
    let groups: Vec<_> = (1..=3).map(|number| id(2, number)).collect();
    let rules = |random: &mut packets::Random| {
        (0..2 + random.below(8)).map(|_| random_rule(random, &groups)).collect::<Vec<_>>()
    };
    let set = |random: &mut packets::Random, id| {
        let mut hosts: Vec<u8> = (0..random.below(20)).map(|_| random.below(40) as u8).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let mut set = MemberSet::new(id);
        let v4s = hosts.iter().map(|n| Ipv4Addr::new(10, 0, 0, *n)).collect();
        set.v4 = Some(Members { addresses: v4s, others: Vec::new() });
        let IpAddr::V6(base) = v6(0) else { unreachable!() };
        let v6s = hosts.iter().map(|n| Ipv6Addr::from(u128::from(base) | u128::from(*n))).collect();
        set.v6 = Some(Members { addresses: v6s, others: Vec::new() });
        set
    };
    let bound = |random: &mut packets::Random| {
        groups.iter().copied().filter(|_| random.below(2) == 0).collect::<Vec<_>>()
    };
    Info {
        devices: (1..=4).map(|number| device(number, &bound(random))).collect(),
        groups: groups.iter().map(|&id| Group { id, rules: rules(random) }).collect(),
        members: groups.iter().map(|&id| set(random, id)).collect(),
        ..Info::default()
    }
}

fn random_rule(random: &mut packets::Random, groups: &[Uuid]) -> Rule {
    let direction = if random.below(2) == 0 { Direction::Ingress } else { Direction::Egress };
    let family = if random.below(3) == 0 { Family::V6 } else { Family::V4 };
    let mut rule = Rule::any(direction, family);
    let protocols = [None, Some(Protocol::TCP), Some(Protocol::UDP), Some(Protocol::ICMP), "47".parse().ok()];
    rule.protocol = protocols[random.below(5) as usize];
    match rule.protocol {
        Some(Protocol::TCP | Protocol::UDP) if random.below(3) > 0 => {
            let first = random.below(40) as u16;
            rule.ports = PortRange { min: Some(first), max: Some(first + random.below(30) as u16) };
        }
        Some(Protocol::ICMP) if random.below(2) > 0 => {
            let echo = if family == Family::V4 { 8 } else { 128 };
            rule.ports.min = Some(if random.below(3) > 0 { echo } else { 3 });
        }
        _ => {}
    }
    match random.below(4) {
        0 => rule.remote = Some(Remote::Group(groups[random.below(3) as usize])),
        1 => {
            let length = 24 + random.below(9) as u8;
            let host = random.below(40) as u8;
            let text = match family {
                Family::V4 => format!("10.0.0.{host}/{length}"),
                Family::V6 => format!("2001:db8::{host:x}/{}", 96 + length),
            };
            rule = rule.with_remote_prefix(text.parse().unwrap());
        }
        _ => {}
    }
    rule
}

/// Sends one packet of a connection that nobody has seen; whether it passed.
fn random_packet(
    node: &mut Node,
    random: &mut packets::Random,
    met: &mut BTreeSet<(IpAddr, IpAddr)>,
) -> bool {
    let number = 1 + random.below(3) as u8;
    // A guest's own address as far end is nobody on a wire.
    let far = (0..40).map(|_| random.below(40) as u8).find(|far| *far != number).unwrap();
    let family = if random.below(3) == 0 { Family::V6 } else { Family::V4 };
    let address = |number| if family == Family::V4 { v4(number) } else { v6(number) };
    let inward = random.below(2) == 0;
    let (near, far) = ((mac(number), address(number)), (OUTSIDE, address(far)));
    let ends = if inward { ends(far, near) } else { ends(near, far) };
    let (client, server) = (10_000 + random.below(50_000) as u16, 1 + random.below(70) as u16);
    // Without ports a connection is its two ends, so each pair can be new once.
    let kinds = if met.insert((near.1, far.1)) { 4 } else { 3 };
    let (protocol, ports, frame) = match random.below(kinds) {
        0 => (6, Some((client, server)), ends.tcp(client, server, "S")),
        1 => (17, Some((client, server)), ends.udp(client, server)),
        2 => {
            let (protocol, kind) = if family == Family::V4 { (1, 8) } else { (58, 128) };
            (protocol, Some((kind, 0)), ends.echo_request(client))
        }
        _ => (47, None, ends.raw(47)),
    };
    let packet = Packet {
        direction: if inward { Direction::Ingress } else { Direction::Egress },
        source: ends.source.1,
        destination: ends.destination.1,
        protocol,
        ports,
    };
    let verdict = node.info().check(id(1, number), &packet);
    if verdict == Verdict::Discovery {
        // Neutron's iptables driver lets any ICMPv6 out; here an echo request needs a rule.
        return false;
    }
    let port = format!("vm{number}");
    let left = node.send(if inward { "nic" } else { &port }, &frame);
    let goal = if inward { port.as_str() } else { "nic" };
    assert_eq!(left.contains(goal), verdict.passes(), "{packet:?}: {verdict:?}, and it reached {left:?}");
    assert!(left.len() <= 1, "{packet:?} reached {left:?}");
    verdict.passes()
}
