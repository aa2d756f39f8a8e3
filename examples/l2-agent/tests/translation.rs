//! A guest behind a hoster's MAC: wired by the agent, translated by a bridge of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod packets;

use std::net::IpAddr;
use std::time::Duration;

use l2_agent::agent::Agent;
use l2_agent::desired::Desired;
use l2_agent::ovs::OpenVSwitch;
use l2_agent::plan::Status;
use packets::{Ends, Mac, arp_request, neighbour_solicitation};
use private_ovs::{Datapath, Frames, PrivateOvs};

const PATIENCE: Duration = Duration::from_secs(10);
const GUEST: Mac = [0xFA, 0x16, 0x3E, 0, 0, 1];
const WIRE: Mac = [0x52, 0x54, 0, 0xAA, 0, 1];
const GATEWAY: Mac = [2, 0, 0, 0, 0, 0xEE];
const NODE: &str = r#"
    bridge_mappings = "physnet1:br-ex"
    network = [{ id = "A", type = "flat", physical_network = "physnet1" }]
    port = [{ id = "p1", mac = "fa:16:3e:00:00:01", network = "A" }]

    [translation]
    bridge = "br-ovh"
    uplink = "nic"
    external = "br-ex"
    mode = "single"
    mac = "52:54:00:aa:00:01"
    binding = [
        { address = "203.0.113.11", inside = "fa:16:3e:00:00:01" },
        { address = "2001:db8::1", inside = "fa:16:3e:00:00:01" },
        { address = "198.51.100.0/28", inside = "fa:16:3e:00:00:01" },
    ]
"#;

fn node() -> Option<PrivateOvs> {
    let mut ovs = PrivateOvs::start(Datapath::Dummy)?;
    ["br-int", "br-ex", "br-ovh"].iter().for_each(|bridge| ovs.add_bridge(bridge, &["fail_mode=secure"]));
    ovs.add_port("br-ovh", "nic", &[]);
    ovs.add_port("br-int", "vm", &["tag=4095", "vlan_mode=trunk", "trunks=4095"]);
    let mac = "external_ids:attached-mac=\"fa:16:3e:00:00:01\"";
    ovs.vsctl(&["set", "Interface", "vm", "external_ids:iface-id=p1", mac]);
    let desired: Desired = toml::from_str(NODE).unwrap();
    for again in [false, true] {
        let mut agent = Agent::new(OpenVSwitch::connect(&ovs.socket()).unwrap());
        let outcome = agent.converge(&desired, PATIENCE).unwrap();
        assert_eq!(outcome.plan.status["p1"], Status::Up, "{outcome:#?}");
        assert_eq!(outcome.plan.faults, [""; 0]);
        assert!(!again || outcome.applied == 0, "what the switch prints is not what was sent: {outcome:#?}");
    }
    Some(ovs)
}

/// The one frame that left, and where.
fn only(left: Frames) -> (String, Vec<u8>) {
    let mut left = left.into_iter();
    let (port, frames) = left.next().expect("the frame is lost");
    assert!(left.next().is_none() && frames.len() == 1, "more than one copy left");
    (port, frames[0].clone())
}

fn contains(frame: &[u8], mac: Mac) -> bool {
    frame.windows(6).any(|window| window == mac)
}

#[test]
fn no_inside_address_leaves_and_answers_come_back() {
    let Some(mut ovs) = node() else { return };
    let guest: (Mac, IpAddr) = (GUEST, "203.0.113.11".parse().unwrap());
    let gateway: (Mac, IpAddr) = (GATEWAY, "203.0.113.1".parse().unwrap());
    let out = Ends { source: guest, destination: gateway };

    let (port, frame) = only(ovs.exchange("vm", &out.tcp(1000, 80, "S")));
    assert_eq!((port.as_str(), &frame[6..12]), ("nic", &WIRE[..]));
    let answer = Ends { source: gateway, destination: (WIRE, guest.1) };
    let (port, frame) = only(ovs.exchange("nic", &answer.tcp(80, 1000, "SA")));
    assert_eq!((port.as_str(), &frame[..6]), ("vm", &GUEST[..]));

    let (port, frame) = only(ovs.exchange("vm", &arp_request(GUEST, [203, 0, 113, 11], [203, 0, 113, 1])));
    assert!(port == "nic" && !contains(&frame, GUEST), "{port} {frame:02x?}");
    let solicitation =
        neighbour_solicitation(GUEST, "2001:db8::1".parse().unwrap(), "2001:db8::9".parse().unwrap());
    let (port, frame) = only(ovs.exchange("vm", &solicitation));
    assert!(port == "nic" && !contains(&frame, GUEST), "{port} {frame:02x?}");
}

#[test]
fn an_address_without_a_binding_stays_inside() {
    let Some(mut ovs) = node() else { return };
    let guest: (Mac, IpAddr) = (GUEST, "203.0.113.12".parse().unwrap());
    let out = Ends { source: guest, destination: (GATEWAY, "203.0.113.1".parse().unwrap()) };
    assert!(ovs.exchange("vm", &out.tcp(1000, 80, "S")).is_empty());
}
