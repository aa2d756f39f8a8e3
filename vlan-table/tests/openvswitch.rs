//! Frames whose fate in a real Open vSwitch 3.1.0 (dummy datapath) is known: ports, tags and copies as
//! `ovs-vswitchd` made them. The scheme of the frames and port names is that of the recording.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // helpers may panic like tests

use std::collections::BTreeMap;

use vlan_table::openvswitch::{Bridge, PortConfig, PriorityTags, VlanMode};
use vlan_table::{FrameMut, FrameView, Header, PortId, ReservedAddresses, TagVid};

const PORTS: [&str; 10] =
    ["trunk", "acc10", "acc10b", "acc20", "tr1020", "nt10", "nu10", "pr10", "qt30", "tr0"];

fn port(name: &str) -> PortId {
    let number = PORTS.iter().position(|port| *port == name).unwrap();
    PortId::new(number as u16).unwrap()
}

fn native(vlan_mode: VlanMode) -> PortConfig {
    PortConfig { vlan_mode, tag: TagVid::from_raw(10), ..trunk("10,20") }
}

fn trunk(trunks: &str) -> PortConfig {
    PortConfig { trunks: Some(trunks.parse().unwrap()), ..PortConfig::default() }
}

fn access(tag: u16) -> PortConfig {
    PortConfig::new(VlanMode::Access, TagVid::from_raw(tag))
}

fn bridge() -> Bridge {
    limited(1)
}

fn limited(vlan_limit: usize) -> Bridge {
    let mut bridge = Bridge::new(10, vlan_limit);
    let modes = [
        PortConfig::default(),
        access(10),
        access(10),
        access(20),
        trunk("10,20"),
        native(VlanMode::NativeTagged),
        native(VlanMode::NativeUntagged),
        PortConfig { priority_tags: PriorityTags::IfNonzero, ..access(10) },
        PortConfig::new(VlanMode::Dot1qTunnel, TagVid::from_raw(30)),
        trunk("0,40"),
    ];
    for (name, mode) in PORTS.iter().zip(modes) {
        bridge.set_port(port(name), mode).unwrap();
    }
    bridge
}

/// A frame to all with these tags, each TPID and TCI in one number.
fn frame(tags: &[u32]) -> Vec<u8> {
    let mut frame = [[0xFF; 6], [2, 0, 0, 0, 0, 0x0A]].concat();
    frame.extend(tags.iter().flat_map(|tag| tag.to_be_bytes()));
    frame.extend([0xAB, 0xCD]);
    frame.extend(0..46);
    frame
}

/// The tags of a frame, as the recording writes them.
fn show(frame: &[u8]) -> String {
    let tags: Vec<_> = FrameView::new(frame, 4).unwrap().tags().collect();
    let show = |tag: &vlan_table::Tag| {
        let dei = if tag.dei { ",dei" } else { "" };
        format!("{:04x}:vid={},pcp={}{dei}", tag.tpid.0, tag.vid.raw(), tag.pcp.get())
    };
    match tags.as_slice() {
        [] => "untagged".into(),
        tags => format!("[{}]", tags.iter().map(show).collect::<Vec<_>>().join(" ")),
    }
}

/// What leaves each port when `frame` is flooded.
fn flood(bridge: &Bridge, ingress: &str, frame: &[u8]) -> BTreeMap<String, String> {
    let Ok(header) = Header::read(frame) else { return BTreeMap::new() };
    let Ok(classified) = bridge.classify(port(ingress), frame) else { return BTreeMap::new() };
    if !ReservedAddresses::OpenVSwitch.relays(header.dst_bits()) {
        return BTreeMap::new();
    }
    let mut out = BTreeMap::new();
    for (ports, edit) in bridge.copies(&classified, classified.members) {
        let mut buffer = [&[0; 8], frame].concat();
        let mut copy = FrameMut::new(&mut buffer, 8).unwrap();
        edit.apply(&mut copy).unwrap();
        out.extend(
            ports.iter().map(|port| (PORTS.get(port.index()).unwrap().to_string(), show(copy.as_bytes()))),
        );
    }
    out
}

#[track_caller]
fn check(bridge: &Bridge, ingress: &str, tags: &[u32], expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(p, f)| ((*p).into(), (*f).into())).collect();
    assert_eq!(flood(bridge, ingress, &frame(tags)), expected);
}

const U: &str = "untagged";
const T10: &str = "[8100:vid=10,pcp=0]";
const T20: &str = "[8100:vid=20,pcp=0]";

fn c(vid: u32) -> u32 {
    0x8100_0000 | vid
}

fn pcp(pcp: u32) -> u32 {
    pcp << 13
}

#[test]
fn an_access_port_takes_untagged_and_priority_tagged_frames_only() {
    let b = bridge();
    let all = [("trunk", T10), ("acc10b", U), ("tr1020", T10), ("nt10", T10), ("nu10", U), ("pr10", U)];
    check(&b, "acc10", &[], &all);
    check(&b, "acc10", &[c(10)], &[]);
    let t = "[8100:vid=10,pcp=5]";
    let p5 = [
        ("trunk", t),
        ("acc10b", U),
        ("tr1020", t),
        ("nt10", t),
        ("nu10", U),
        ("pr10", "[8100:vid=0,pcp=5]"),
    ];
    check(&b, "acc10", &[c(0) | pcp(5)], &p5);
}

#[test]
fn a_trunk_takes_the_vlans_in_its_list() {
    let b = bridge();
    let t = "[8100:vid=10,pcp=3]";
    let out = [
        ("acc10", U),
        ("acc10b", U),
        ("tr1020", t),
        ("nt10", t),
        ("nu10", U),
        ("pr10", "[8100:vid=0,pcp=3]"),
    ];
    check(&b, "trunk", &[c(10) | pcp(3)], &out);
    check(&b, "tr1020", &[c(20)], &[("trunk", T20), ("acc20", U), ("nt10", T20), ("nu10", T20)]);
    check(&b, "tr1020", &[c(30)], &[]);
}

#[test]
fn untagged_frames_on_a_trunk_are_in_vlan_0() {
    let b = bridge();
    check(&b, "tr1020", &[], &[]);
    check(&b, "trunk", &[], &[("tr0", U)]);
    check(&b, "trunk", &[c(0) | pcp(5)], &[("tr0", "[8100:vid=0,pcp=5]")]);
    check(&b, "trunk", &[c(0)], &[("tr0", U)]);
}

#[test]
fn a_native_port_takes_its_vlan_tagged_and_untagged() {
    let b = bridge();
    let out = [("trunk", T10), ("acc10", U), ("acc10b", U), ("tr1020", T10)];
    check(&b, "nt10", &[], &[&out[..], &[("nu10", U), ("pr10", U)]].concat());
    check(&b, "nu10", &[c(10)], &[&out[..], &[("nt10", T10), ("pr10", U)]].concat());
    check(&b, "trunk", &[c(20)], &[("acc20", U), ("tr1020", T20), ("nt10", T20), ("nu10", T20)]);
}

#[test]
fn a_tunnel_wraps_whatever_its_customer_sends() {
    let b = bridge();
    check(&b, "qt30", &[], &[("trunk", "[88a8:vid=30,pcp=0]")]);
    check(&b, "qt30", &[c(99) | pcp(6)], &[("trunk", "[88a8:vid=30,pcp=0 8100:vid=99,pcp=6]")]);
    check(&b, "trunk", &[0x88A8_001E, c(99)], &[("qt30", "[8100:vid=99,pcp=0]")]);
}

#[test]
fn a_service_tag_counts_like_a_customer_tag_and_keeps_its_type() {
    let s10 = "[88a8:vid=10,pcp=0]";
    let out = [("acc10", U), ("acc10b", U), ("tr1020", s10), ("nt10", s10), ("nu10", U), ("pr10", U)];
    check(&bridge(), "trunk", &[0x88A8_000A], &out);
}

#[test]
fn the_vlan_limit_decides_whether_access_ports_get_double_tagged_frames() {
    let b = bridge();
    let (both, inner) = ("[8100:vid=10,pcp=0 8100:vid=99,pcp=0]", "[8100:vid=99,pcp=0]");
    let trunks = [("tr1020", both), ("nt10", both), ("nu10", inner)];
    let access = [("acc10", inner), ("acc10b", inner), ("pr10", inner)];
    check(&b, "trunk", &[c(10), c(99)], &[&trunks[..], &access[..]].concat());
    check(&limited(2), "trunk", &[c(10), c(99)], &trunks);
}

#[test]
fn under_a_limit_of_two_a_tunnel_loses_the_third_tag() {
    check(&limited(2), "qt30", &[c(11), c(22)], &[("trunk", "[88a8:vid=30,pcp=0 8100:vid=11,pcp=0]")]);
}

#[test]
fn dei_is_lost_in_the_copies_after_an_untagged_one() {
    let dei = 0x1000;
    let b = bridge();
    check(&b, "trunk", &[c(20) | dei], &[("acc20", U), ("tr1020", T20), ("nt10", T20), ("nu10", T20)]);
    check(&b, "trunk", &[c(40) | dei], &[("tr0", "[8100:vid=40,pcp=0,dei]")]);
}

#[test]
fn protected_ports_do_not_reach_each_other() {
    let mut b = bridge();
    for name in ["acc10", "acc10b"] {
        b.set_port(port(name), PortConfig { protected: true, ..access(10) }).unwrap();
    }
    let out = [("trunk", T10), ("tr1020", T10), ("nt10", T10), ("nu10", U), ("pr10", U)];
    check(&b, "acc10", &[], &out);
    let reachable = b.classify(port("acc10"), &frame(&[])).unwrap().reachable;
    assert!(!reachable.contains(port("acc10b")) && reachable.contains(port("acc20")), "known unicast leaks");
}

#[test]
fn vlan_4095_is_a_vlan() {
    let mut b = bridge();
    check(&b, "tr0", &[c(4095)], &[]);
    check(&b, "trunk", &[c(4095)], &[]);
    b.set_port(port("acc10b"), PortConfig { tag: TagVid::Reserved, ..trunk("4095") }).unwrap();
    check(&b, "acc10b", &[], &[]);
    b.set_port(port("acc10b"), access(4095)).unwrap();
    check(&b, "acc10b", &[], &[("trunk", "[8100:vid=4095,pcp=0]")]);
}

#[test]
fn a_truncated_tag_is_dropped_and_a_frame_without_payload_is_not() {
    let b = bridge();
    let whole = frame(&[]);
    assert_eq!(flood(&b, "acc20", &whole[..14]), flood(&b, "acc20", &whole));
    assert!(flood(&b, "trunk", &frame(&[c(10)])[..15]).is_empty());
}

/// Open vSwitch 3.1.0 looks into SNAP for the type, finds a tag announced where none can be, and drops.
#[test]
fn an_llc_frame_that_announces_a_tag_is_dropped() {
    let b = bridge();
    let llc = |snap: &[u8]| [&frame(&[])[..12], &[0x00, 0x2E], snap, &[0; 38]].concat();
    assert!(flood(&b, "acc20", &llc(&[0xAA, 0xAA, 3, 0, 0, 0, 0x81, 0x00])).is_empty());
    assert!(flood(&b, "acc20", &llc(&[0xAA, 0xAA, 3, 0, 0, 0, 0x88, 0xA8])).is_empty());
    for other in [
        [0xAA, 0xAA, 3, 0, 0, 0, 0x08, 0x00],
        [0xAA, 0xAA, 3, 0, 0, 1, 0x81, 0x00],
        [0x42, 0x42, 3, 0, 0, 0, 0x81, 0x00],
    ] {
        assert_eq!(flood(&b, "acc20", &llc(&other)).len(), 4, "{other:02x?}");
    }
}

#[test]
fn a_port_without_floods_is_reached_by_known_stations_only() {
    let mut b = bridge();
    b.set_no_flood(port("acc20"), true).unwrap();
    check(
        &b,
        "tr1020",
        &[c(20)],
        &[("trunk", "[8100:vid=20,pcp=0]"), ("nt10", "[8100:vid=20,pcp=0]"), ("nu10", "[8100:vid=20,pcp=0]")],
    );
    let frame = b.classify(port("tr1020"), &frame(&[c(20)])).unwrap();
    assert!(frame.reachable.contains(port("acc20")));
    assert_eq!(b.set_no_flood(PortId::new(10).unwrap(), true).unwrap_err().capacity, 10);
}

#[test]
fn only_vlans_that_are_flooded_learn_nothing() {
    let mut b = bridge();
    b.set_flood_vlans("20".parse().unwrap());
    let learns = |vid| {
        let untagged = frame(&[]);
        let access = if vid == 20 { "acc20" } else { "acc10" };
        b.classify(port(access), &untagged).unwrap().learn
    };
    assert!(learns(10) && !learns(20));
}

#[test]
fn reserved_destinations_are_dropped() {
    let b = bridge();
    let mut reserved = frame(&[]);
    reserved[..6].copy_from_slice(&[0x01, 0x80, 0xC2, 0, 0, 0x0E]);
    assert!(flood(&b, "acc20", &reserved).is_empty());
    reserved[5] = 0x10;
    assert_eq!(flood(&b, "acc20", &reserved).len(), 4);
}

/// The recording itself, where it lies next to the repository: every flooded check, in order.
#[test]
fn recorded_vectors_are_reproduced() {
    let Ok(text) = std::fs::read_to_string("../../shared/peers/ovs/vectors.json") else {
        println!("skipped: recorded vectors not found");
        return;
    };
    let vectors: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut compared = 0;
    // Known unicast, protected and reconfigured ports are checked above and with the real peer.
    let stateful =
        |id: &str| ["V12", "V14", "V15", "V30", "V31", "V33", "V35", "V37", "V38", "V39"].contains(&id);
    for vector in vectors.iter().filter(|vector| vector.get("frame").is_some()) {
        let id = vector["id"].as_str().unwrap();
        if stateful(id) || ("V39".."V44").contains(&id) || id == "V35b" {
            continue;
        }
        let bridge = limited(if ["V24", "V25"].contains(&id) { 2 } else { 1 });
        let hex = vector["frame"].as_str().unwrap();
        let frame: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        let expected: BTreeMap<String, String> = serde_json::from_value(vector["out"].clone()).unwrap();
        assert_eq!(flood(&bridge, vector["in_port"].as_str().unwrap(), &frame), expected, "{id}");
        compared += 1;
    }
    assert!(compared >= 30, "{compared}");
}
