//! The same frames through the same node, simulated and real: what leaves which port, with which
//! tags.
//!
//! Two physical networks on one node: `nic1` and `nic1b` on the first, `nic2` on the second.
//! Guests: `vm1` and `vm4` on a flat network, `vm2` on VLAN 100 of the first and `vm3` on VLAN 100
//! of the second physical network, `dead` on none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod node;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use l2_agent::agent::Agent;
use l2_agent::backend::Backend;
use l2_agent::desired::Desired;
use l2_agent::ovs::OpenVSwitch;
use l2_agent::plan::Status;
use l2_agent::sim::SimSwitch;
use node::Node;
use private_ovs::{Datapath, PrivateOvs};
use vlan_table::FrameView;

const NODE: &str = r#"
    bridge_mappings = "physnet1:br-ex,physnet2:br-eth1"
    network = [
        { id = "flat", type = "flat", physical_network = "physnet1" },
        { id = "tagged1", type = "vlan", physical_network = "physnet1", segmentation_id = 100 },
        { id = "tagged2", type = "vlan", physical_network = "physnet2", segmentation_id = 100 },
    ]
    port = [
        { id = "p1", mac = "fa:16:3e:00:00:01", network = "flat" },
        { id = "p2", mac = "fa:16:3e:00:00:02", network = "tagged1" },
        { id = "p3", mac = "fa:16:3e:00:00:03", network = "tagged2" },
        { id = "p4", mac = "fa:16:3e:00:00:04", network = "flat" },
    ]
"#;

/// The guests' ports, and the desired port of each.
const GUESTS: [(&str, &str); 5] =
    [("vm1", "p1"), ("vm2", "p2"), ("vm3", "p3"), ("vm4", "p4"), ("dead", "p5")];
const NICS: [(&str, &str); 3] = [("br-ex", "nic1"), ("br-ex", "nic1b"), ("br-eth1", "nic2")];

const VM1: &str = "fa163e000001";
const VM2: &str = "fa163e000002";
const VM3: &str = "fa163e000003";
const VM4: &str = "fa163e000004";
const DEAD: &str = "fa163e000005";
const OUTSIDE: &str = "0200000000ee";
const ALL: &str = "ffffffffffff";

/// In which port, from whom, to whom, behind which tags; then who gets it, with which tags.
struct Case(&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Tags are written as in a frame: TPID, PCP and VID in hex.
const CASES: &[Case] = &[
    // Inbound.
    Case("nic1", OUTSIDE, ALL, "", &[("vm1", ""), ("vm4", ""), ("nic1b", "")]),
    Case("nic1", OUTSIDE, ALL, "8100a000", &[("nic1b", "8100a000")]),
    Case("nic1", OUTSIDE, ALL, "81006064", &[("vm2", ""), ("nic1b", "81006064")]),
    Case("nic1", OUTSIDE, ALL, "81000065", &[("nic1b", "81000065")]),
    Case("nic2", OUTSIDE, ALL, "81000064", &[("vm3", "")]),
    Case("nic2", OUTSIDE, ALL, "", &[]),
    Case("nic1", OUTSIDE, ALL, "81000064810000c8", &[("vm2", "810000c8"), ("nic1b", "81000064810000c8")]),
    Case("nic1", OUTSIDE, ALL, "88a80064", &[("vm2", ""), ("nic1b", "88a80064")]),
    // Outbound.
    Case("vm2", VM2, ALL, "", &[("nic1", "81000064"), ("nic1b", "81000064")]),
    Case("vm2", VM2, ALL, "8100a000", &[("nic1", "8100a064"), ("nic1b", "8100a064")]),
    Case("vm2", VM2, ALL, "81000064", &[]),
    Case("vm1", VM1, ALL, "", &[("vm4", ""), ("nic1", ""), ("nic1b", "")]),
    Case("vm1", VM1, ALL, "8100a000", &[("vm4", ""), ("nic1", ""), ("nic1b", "")]),
    // Learned stations.
    Case("vm4", VM4, VM1, "", &[("vm1", "")]),
    Case("nic1", OUTSIDE, VM1, "", &[("vm1", "")]),
    Case("vm1", VM1, OUTSIDE, "", &[("nic1", "")]),
    Case("vm3", VM3, VM2, "", &[("nic2", "81000064")]),
    // The dead port, with and without the dead VLAN's tag, and who cannot reach it.
    Case("dead", DEAD, ALL, "", &[]),
    Case("dead", DEAD, ALL, "81000fff", &[]),
    Case("nic1", OUTSIDE, "0180c200000e", "", &[]),
];

#[test]
fn the_simulated_node_forwards_as_it_shall() {
    let (mut agent, _) = simulated();
    check(CASES.iter().map(row), agent.backend());
}

#[test]
fn the_real_node_forwards_as_it_shall() {
    let Some((mut ovs, _agent)) = real() else { return };
    check(CASES.iter().map(row), &mut ovs);
}

#[test]
fn a_changed_segment_moves_the_network_and_no_other() {
    let (mut agent, mut desired) = simulated();
    changed_segment(&mut agent, &mut desired);
    check(AFTER_CHANGE.iter().map(row), agent.backend());

    let Some((mut ovs, mut agent)) = real() else { return };
    changed_segment(&mut agent, &mut desired);
    check(AFTER_CHANGE.iter().map(row), &mut ovs);
}

const AFTER_CHANGE: &[Case] = &[
    Case("nic1", OUTSIDE, ALL, "81000064", &[("nic1b", "81000064")]),
    Case("nic1", OUTSIDE, ALL, "81000066", &[("vm2", ""), ("nic1b", "81000066")]),
    Case("nic2", OUTSIDE, ALL, "81000064", &[("vm3", "")]),
];

/// Vectors that were recorded from an Open vSwitch wired by hand with neutron-openvswitch-agent's
/// flows, where the checkout has them.
#[test]
fn recorded_vectors_hold_on_both() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peers/ovs/bridge_mapping_vectors.json");
    let Ok(text) = std::fs::read_to_string(file) else { return };
    let vectors: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    // The last three follow a change of the node: `changed_segment`.
    let (before, after): (Vec<_>, Vec<_>) = vectors.iter().partition(|vector| !changes(vector));
    let (mut agent, mut desired) = simulated();
    check(before.iter().copied().map(recorded), agent.backend());
    changed_segment(&mut agent, &mut desired);
    check(after.iter().copied().map(recorded), agent.backend());

    let Some((mut ovs, mut agent)) = real() else { return };
    check(before.iter().copied().map(recorded), &mut ovs);
    changed_segment(&mut agent, &mut desired);
    check(after.iter().copied().map(recorded), &mut ovs);
}

fn changes(vector: &serde_json::Value) -> bool {
    vector["desc"].as_str().unwrap().starts_with("after segmentation id change")
}

/// Name, port, frame, and the tags that every receiver gets.
type Row = (String, String, Vec<u8>, BTreeMap<String, String>);

fn row(Case(port, src, dst, tags, out): &Case) -> Row {
    let frame = hex(&format!("{dst}{src}{tags}88b5{}", "00".repeat(46)));
    let out = out.iter().map(|(port, tags)| ((*port).to_owned(), (*tags).to_owned())).collect();
    (format!("{src} to {dst}, tags '{tags}', in {port}"), (*port).to_owned(), frame, out)
}

/// Tags are written `[8100:vid=100,pcp=3]` there.
fn recorded(vector: &serde_json::Value) -> Row {
    let text = |key: &str| vector[key].as_str().unwrap().to_owned();
    let tags = |list: &str| -> String {
        let list = list.trim_matches(['[', ']']).split(' ').filter(|tag| *tag != "untagged");
        let tag = |tag: &str| {
            let (tpid, rest) = tag.split_once(":vid=").unwrap();
            let (vid, pcp) = rest.split_once(",pcp=").unwrap();
            format!("{tpid}{:04x}", pcp.parse::<u16>().unwrap() << 13 | vid.parse::<u16>().unwrap())
        };
        list.map(tag).collect()
    };
    let out = vector["out"].as_object().unwrap().iter();
    let out = out.map(|(port, list)| (port.clone(), tags(list.as_str().unwrap()))).collect();
    (text("id") + " " + &text("desc"), text("in_port"), hex(&text("frame")), out)
}

fn check(rows: impl Iterator<Item = Row>, node: &mut impl Node) {
    for (name, port, frame, expected) in rows {
        let left = node.send(&port, &frame);
        let tags = |frame: &Vec<u8>| -> String {
            let view = FrameView::new(frame, 3).unwrap();
            view.tags().flat_map(|tag| tag.to_bytes()).map(|byte| format!("{byte:02x}")).collect()
        };
        let left: BTreeMap<_, _> =
            left.iter().map(|(port, frames)| (port.clone(), tags(&frames[0]))).collect();
        assert_eq!(left, expected, "{name}");
    }
}

fn simulated() -> (Agent<SimSwitch>, Desired) {
    let mut switch = SimSwitch::new();
    ["br-int", "br-ex", "br-eth1"].iter().for_each(|bridge| switch.add_bridge(bridge));
    for (bridge, nic) in NICS {
        switch.plug(bridge, nic, &[]).unwrap();
    }
    for (port, id) in GUESTS {
        let mac = format!("fa:16:3e:00:00:0{}", &id[1..]);
        switch.plug("br-int", port, &[("iface-id", id), ("attached-mac", &mac)]).unwrap();
    }
    let mut agent = Agent::new(switch);
    let desired = converge(&mut agent);
    (agent, desired)
}

fn real() -> Option<(PrivateOvs, Agent<OpenVSwitch>)> {
    let mut ovs = PrivateOvs::start(Datapath::Dummy)?;
    ["br-int", "br-ex", "br-eth1"].iter().for_each(|bridge| ovs.add_bridge(bridge, &["fail_mode=secure"]));
    for (bridge, nic) in NICS {
        ovs.add_port(bridge, nic, &[]);
    }
    for (port, id) in GUESTS {
        ovs.add_port("br-int", port, &["tag=4095", "vlan_mode=trunk", "trunks=4095"]);
        let id = format!("external_ids:iface-id={id}");
        let mac = format!("external_ids:attached-mac=\"fa:16:3e:00:00:0{}\"", &id[id.len() - 1..]);
        ovs.vsctl(&["set", "Interface", port, &id, &mac]);
    }
    let mut agent = Agent::new(OpenVSwitch::connect(&ovs.socket()).unwrap());
    converge(&mut agent);
    Some((ovs, agent))
}

fn converge<B: Backend>(agent: &mut Agent<B>) -> Desired {
    let desired: Desired = toml::from_str(NODE).unwrap();
    let outcome = agent.converge(&desired, Duration::from_secs(10)).unwrap();
    assert!(outcome.plan.is_done() && outcome.failing.is_empty(), "{outcome:#?}");
    assert!(outcome.plan.status.values().all(|status| *status == Status::Up), "{outcome:#?}");
    desired
}

fn changed_segment<B: Backend>(agent: &mut Agent<B>, desired: &mut Desired) {
    desired.networks[1].segmentation_id = Some(102);
    let outcome = agent.converge(desired, Duration::from_secs(10)).unwrap();
    assert!(outcome.plan.is_done(), "{outcome:#?}");
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
