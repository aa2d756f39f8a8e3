//! The 802.1Q bridge, a rule at a time, and against a naive bridge under random changes.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // helpers may panic like tests

use std::collections::BTreeMap;

use proptest::prelude::*;
use vlan_table::dot1q::{
    AcceptableFrames, Bridge, ConfigError, Flush, Membership, PortConfig, PortState, TagType, Vlan,
};
use vlan_table::openvswitch::{self, PriorityTags, VlanMode};
use vlan_table::{DropReason, EtherType, Fid, Header, Pcp, PortId, PortMask, Tag, TagAction, TagVid, VlanId};

fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

fn vlan(raw: u16) -> VlanId {
    VlanId::new(raw).unwrap()
}

fn ports(bits: u64) -> PortMask {
    PortMask::from_bits(bits)
}

/// A frame with these tags, each TPID and TCI in one number.
fn header(tags: &[u32]) -> Header {
    let mut frame = vec![0xFF; 12];
    frame.extend(tags.iter().flat_map(|tag| tag.to_be_bytes()));
    frame.extend([0x08, 0x00]);
    frame.resize(64, 0);
    Header::read(&frame).unwrap()
}

fn c(tci: u32) -> u32 {
    0x8100_0000 | tci
}

fn s(tci: u32) -> u32 {
    0x88A8_0000 | tci
}

/// Four ports; VLAN 10 has 0 (untagged) and 2, VLAN 20 has 1 (untagged) and 2; PVIDs accordingly.
fn bridge() -> Bridge<8> {
    let mut bridge = Bridge::new(PortMask::first(4));
    for (vid, access) in [(10, 0), (20, 1)] {
        bridge.join(vlan(vid), port(access), Membership::Untagged).unwrap();
        bridge.join(vlan(vid), port(2), Membership::Tagged).unwrap();
        set(&mut bridge, access, |config| config.pvid = Some(vlan(vid)));
    }
    bridge
}

fn set<const N: usize>(bridge: &mut Bridge<N>, number: u16, change: impl FnOnce(&mut PortConfig)) -> Flush {
    let mut config = *bridge.port(port(number)).unwrap();
    change(&mut config);
    bridge.set_port(port(number), config).unwrap()
}

/// VLAN and members, or why not.
fn verdict<const N: usize>(bridge: &Bridge<N>, from: u16, tags: &[u32]) -> Result<(u16, u64), DropReason> {
    let frame = bridge.classify(port(from), &header(tags))?;
    assert_eq!(frame.members, frame.reachable);
    Ok((frame.vid().raw(), frame.members.bits()))
}

#[test]
fn a_new_bridge_is_one_vlan_without_tags() {
    let bridge = Bridge::<1>::new(PortMask::first(4));
    assert_eq!(verdict(&bridge, 0, &[]), Ok((1, 0b1110)));
    assert_eq!(verdict(&bridge, 3, &[c(0xE000)]), Ok((1, 0b0111)));
    assert_eq!(verdict(&bridge, 0, &[c(1)]), Ok((1, 0b1110)));
    assert_eq!(verdict(&bridge, 0, &[c(2)]), Err(DropReason::UnknownVlan));
    assert_eq!(verdict(&bridge, 4, &[]), Err(DropReason::NoSuchPort));
    assert_eq!(verdict(&bridge, 64, &[]), Err(DropReason::NoSuchPort));
}

#[test]
fn every_vid_is_its_own_vlan_and_0_and_4095_are_none() {
    let mut bridge = Box::new(Bridge::<4094>::new(PortMask::first(2)));
    for vid in VlanId::all() {
        bridge.join(vid, port(0), Membership::Tagged).unwrap();
        bridge.join(vid, port(1), Membership::Tagged).unwrap();
    }
    for vid in VlanId::all() {
        let frame = bridge.classify(port(0), &header(&[c(vid.get().into())])).unwrap();
        assert_eq!((frame.vlan(), frame.fid), (Some(vid), Fid::from(vid)));
        assert_eq!(bridge.egress(&frame, port(1)), TagAction::Keep);
    }
    assert_eq!(verdict(&bridge, 0, &[c(0)]), Ok((1, 0b10)));
    assert_eq!(verdict(&bridge, 0, &[c(4095)]), Err(DropReason::ReservedVid));
    assert_eq!(bridge.room(), 0);
}

#[test]
fn acceptable_frame_types_count_priority_tagged_frames_as_untagged() {
    let mut bridge = bridge();
    set(&mut bridge, 2, |config| config.acceptable = AcceptableFrames::OnlyTagged);
    assert_eq!(verdict(&bridge, 2, &[]), Err(DropReason::Untagged));
    assert_eq!(verdict(&bridge, 2, &[c(0)]), Err(DropReason::PriorityTagged));
    assert_eq!(verdict(&bridge, 2, &[c(10)]), Ok((10, 0b0001)));
    set(&mut bridge, 0, |config| config.acceptable = AcceptableFrames::OnlyUntaggedAndPriority);
    assert_eq!(verdict(&bridge, 0, &[c(10)]), Err(DropReason::Tagged), "even of its own VLAN");
    assert_eq!(verdict(&bridge, 0, &[c(0)]), Ok((10, 0b0100)));
}

#[test]
fn a_port_without_pvid_drops_frames_without_vid() {
    let mut bridge = bridge();
    set(&mut bridge, 2, |config| config.pvid = None);
    assert_eq!(verdict(&bridge, 2, &[]), Err(DropReason::NoPvid));
    assert_eq!(verdict(&bridge, 2, &[c(0)]), Err(DropReason::NoPvid));
}

#[test]
fn without_ingress_filter_frames_of_foreign_vlans_are_relayed() {
    let mut bridge = bridge();
    assert_eq!(verdict(&bridge, 0, &[c(20)]), Ok((20, 0b0110)));
    set(&mut bridge, 0, |config| config.ingress_filter = true);
    assert_eq!(verdict(&bridge, 0, &[c(20)]), Err(DropReason::NotMember));
    assert_eq!(verdict(&bridge, 0, &[c(10)]), Ok((10, 0b0100)));
}

#[test]
fn a_vlan_without_members_is_unknown_whatever_the_filter() {
    let mut bridge = bridge();
    for number in [0, 2] {
        bridge.leave(vlan(10), port(number));
    }
    assert_eq!(verdict(&bridge, 3, &[c(10)]), Err(DropReason::UnknownVlan));
    assert_eq!(verdict(&bridge, 0, &[]), Err(DropReason::UnknownVlan));
}

#[test]
fn port_states_decide_about_learning_and_forwarding() {
    let mut bridge = bridge();
    let states = [
        (PortState::Disabled, None),
        (PortState::Blocking, None),
        (PortState::Listening, None),
        (PortState::Learning, Some(0)),
        (PortState::Forwarding, Some(0b0100)),
    ];
    for (state, members) in states {
        bridge.set_state(port(0), state).unwrap();
        let verdict = bridge.classify(port(0), &header(&[]));
        match members {
            None => assert_eq!(verdict, Err(DropReason::PortState)),
            Some(bits) => assert_eq!(verdict.map(|f| (f.members, f.learn)), Ok((ports(bits), true))),
        }
        let reached = bridge.classify(port(2), &header(&[c(10)])).unwrap().members.contains(port(0));
        assert_eq!(reached, state == PortState::Forwarding);
    }
    set(&mut bridge, 0, |config| config.learning = false);
    assert!(!bridge.classify(port(0), &header(&[])).unwrap().learn);
}

#[test]
fn isolated_ports_reach_all_but_each_other() {
    let mut bridge = Bridge::<1>::new(PortMask::first(4));
    set(&mut bridge, 0, |config| config.isolated = true);
    set(&mut bridge, 1, |config| config.isolated = true);
    assert_eq!(verdict(&bridge, 0, &[]), Ok((1, 0b1100)));
    assert_eq!(verdict(&bridge, 2, &[]), Ok((1, 0b1011)));
}

#[test]
fn vlans_share_a_forwarding_database_when_told_to() {
    let mut bridge = bridge();
    let fid = |bridge: &Bridge<8>, vid| bridge.classify(port(2), &header(&[c(vid)])).unwrap().fid.get();
    assert_eq!([10, 20].map(|vid| fid(&bridge, vid)), [10, 20]);
    assert_eq!(bridge.set_fid(vlan(20), Fid::from(vlan(10))), Ok(Flush::Fid(Fid::from(vlan(20)))));
    assert_eq!([10, 20].map(|vid| fid(&bridge, vid)), [10, 10]);
    assert_eq!(bridge.set_fid(vlan(20), Fid::from(vlan(10))), Ok(Flush::Nothing));
    assert_eq!(bridge.set_fid(vlan(30), Fid::SHARED), Err(ConfigError::NoSuchVlan { vid: vlan(30) }));
}

#[test]
fn egress_tagging_is_a_matter_of_vlan_and_port() {
    let mut bridge = bridge();
    bridge.join(vlan(20), port(0), Membership::Tagged).unwrap();
    let action = |bridge: &Bridge<8>, from, tags: &[u32], to| {
        bridge.egress(&bridge.classify(port(from), &header(tags)).unwrap(), port(to))
    };
    let tag = |word: u32| Tag::from_tci(EtherType::VLAN, word as u16);
    assert_eq!(action(&bridge, 0, &[], 2), TagAction::Push(tag(10)));
    assert_eq!(action(&bridge, 0, &[c(0xB000)], 2), TagAction::Rewrite(tag(0xB00A)), "priority and DEI stay");
    assert_eq!(action(&bridge, 2, &[c(0xB00A)], 0), TagAction::Pop);
    assert_eq!(action(&bridge, 0, &[c(20)], 2), TagAction::Keep);
    assert_eq!(action(&bridge, 2, &[c(20)], 0), TagAction::Keep, "tagged in one VLAN, untagged in another");
}

#[test]
fn priorities_are_regenerated_and_untagged_frames_get_the_default() {
    let mut bridge = bridge();
    set(&mut bridge, 2, |config| {
        config.priority_regeneration.reverse();
        config.default_priority = Pcp::new(3).unwrap();
        config.pvid = Some(vlan(20));
    });
    for pcp in 0..8 {
        let frame = bridge.classify(port(2), &header(&[c(u32::from(pcp) << 13 | 10)])).unwrap();
        assert_eq!(frame.priority().get(), 7 - pcp);
    }
    assert_eq!(bridge.classify(port(2), &header(&[])).unwrap().priority().get(), 3);
}

#[test]
fn a_tag_of_the_other_type_is_payload() {
    let mut bridge = bridge();
    let frame = bridge.classify(port(0), &header(&[s(20)])).unwrap();
    assert_eq!((frame.vlan(), frame.received()), (Some(vlan(10)), None));
    assert_eq!(bridge.egress(&frame, port(2)), TagAction::Push(Tag::customer(vlan(10))));
    // A provider bridge: port 0 is the customer's, port 2 the network's.
    for number in [0, 2] {
        set(&mut bridge, number, |config| config.tag_type = TagType::Service);
    }
    let outer = Tag::from_bytes(s(10).to_be_bytes());
    for tags in [&[][..], &[c(0)], &[c(20)], &[c(20), c(30)]] {
        let frame = bridge.classify(port(0), &header(tags)).unwrap();
        assert_eq!(bridge.egress(&frame, port(2)), TagAction::Push(outer));
    }
    let back = bridge.classify(port(2), &header(&[s(10), c(20)])).unwrap();
    assert_eq!(bridge.egress(&back, port(0)), TagAction::Pop);
    // Between the types the tag is translated.
    bridge.join(vlan(10), port(3), Membership::Tagged).unwrap();
    assert_eq!(bridge.egress(&back, port(3)), TagAction::Rewrite(Tag::customer(vlan(10))));
}

#[test]
fn a_second_tag_is_let_in_unless_the_port_discards_it() {
    let mut bridge = bridge();
    assert_eq!(verdict(&bridge, 2, &[c(10), c(20)]), Ok((10, 0b0001)));
    set(&mut bridge, 2, |config| config.discard_double_tagged = true);
    assert_eq!(verdict(&bridge, 2, &[c(10), c(20)]), Err(DropReason::DoubleTagged));
    assert_eq!(verdict(&bridge, 2, &[c(10)]), Ok((10, 0b0001)));
    assert_eq!(verdict(&bridge, 2, &[]), Ok((1, 0b1011)));
}

#[test]
fn priority_tags_leave_where_a_port_wants_them() {
    let mut bridge = bridge();
    let action = |bridge: &Bridge<8>, tci| {
        bridge.egress(&bridge.classify(port(2), &header(&[c(tci)])).unwrap(), port(0))
    };
    let priority = |pcp: u16| TagAction::Rewrite(Tag::from_tci(EtherType::VLAN, pcp << 13));
    for (priority_tags, with_zero, with_six) in [
        (PriorityTags::Never, TagAction::Pop, TagAction::Pop),
        (PriorityTags::IfNonzero, TagAction::Pop, priority(6)),
        (PriorityTags::Always, priority(0), priority(6)),
    ] {
        set(&mut bridge, 0, |config| config.priority_tags = priority_tags);
        assert_eq!(action(&bridge, 10), with_zero);
        assert_eq!(action(&bridge, 6 << 13 | 10), with_six);
    }
}

#[test]
fn changes_say_what_they_make_wrong_in_a_forwarding_database() {
    let mut bridge = bridge();
    assert_eq!(set(&mut bridge, 0, |config| config.isolated = true), Flush::Nothing);
    assert_eq!(set(&mut bridge, 0, |config| config.pvid = Some(vlan(20))), Flush::Port(port(0)));
    assert_eq!(bridge.set_state(port(0), PortState::Disabled), Ok(Flush::Port(port(0))));
    assert_eq!(bridge.set_state(port(0), PortState::Learning), Ok(Flush::Nothing));
    let ten = Fid::from(vlan(10));
    assert_eq!(bridge.leave(vlan(10), port(2)), Flush::PortAndFid(port(2), ten));
    assert_eq!(bridge.leave(vlan(10), port(2)), Flush::Nothing);
    assert_eq!(bridge.remove_vlan(vlan(10)), Ok(Flush::Fid(ten)));
    assert_eq!(bridge.remove_vlan(vlan(10)), Err(ConfigError::NoSuchVlan { vid: vlan(10) }));
}

#[test]
fn configuration_errors_name_port_vlan_and_number() {
    let mut bridge = Bridge::<2>::new(PortMask::first(4));
    let five = port(5);
    assert_eq!(bridge.join(vlan(2), five, Membership::Tagged), Err(ConfigError::NoSuchPort { port: five }));
    assert_eq!(bridge.set_state(five, PortState::Disabled), Err(ConfigError::NoSuchPort { port: five }));
    let members = ports(0b11);
    let twice = bridge.add_vlan(vlan(1), Vlan { members, ..Vlan::default() });
    assert_eq!(twice, Err(ConfigError::DuplicateVlan { vid: vlan(1) }));
    let stranger = bridge.add_vlan(vlan(2), Vlan { members, untagged: ports(0b100), fid: None });
    assert_eq!(stranger, Err(ConfigError::UntaggedNotMember { vid: vlan(2), port: port(2) }));
    bridge.join(vlan(2), port(0), Membership::Tagged).unwrap();
    let full = ConfigError::TableFull { vid: vlan(3), capacity: 2 };
    assert_eq!(bridge.join(vlan(3), port(0), Membership::Tagged), Err(full));
    assert_eq!(full.to_string(), "VLAN 3 would be one more than the 2 that the bridge can hold");
    set(&mut bridge, 1, |config| (config.pvid, config.ingress_filter) = (Some(vlan(2)), true));
    assert_eq!(bridge.check(), Err(ConfigError::PvidNotMember { port: port(1), vid: vlan(2) }));
    set(&mut bridge, 1, |config| config.acceptable = AcceptableFrames::OnlyTagged);
    assert_eq!(bridge.check(), Ok(()), "it takes no untagged frames to begin with");
}

#[test]
fn modes_stand_for_pvid_memberships_and_filters() {
    let mode = |vlan_mode, tag, trunks: &str| openvswitch::PortConfig {
        trunks: (!trunks.is_empty()).then(|| trunks.parse().unwrap()),
        ..openvswitch::PortConfig::new(vlan_mode, TagVid::from_raw(tag))
    };
    let mut bridge = Bridge::<8>::new(PortMask::first(5));
    let modes = [
        mode(VlanMode::Access, 10, ""),
        mode(VlanMode::Trunk, 0, "10,20"),
        mode(VlanMode::NativeTagged, 10, "20"),
        mode(VlanMode::NativeUntagged, 10, "20"),
        mode(VlanMode::Trunk, 0, ""),
    ];
    for (number, mode) in (0..).zip(&modes) {
        assert_eq!(bridge.set_mode(port(number), mode), Ok(Flush::Port(port(number))));
    }
    assert_eq!(bridge.check(), Ok(()));
    assert_eq!(verdict(&bridge, 0, &[]), Ok((10, 0b11110)));
    assert_eq!(verdict(&bridge, 0, &[c(10)]), Err(DropReason::Tagged));
    assert_eq!(verdict(&bridge, 1, &[]), Err(DropReason::Untagged));
    assert_eq!(verdict(&bridge, 1, &[c(30)]), Err(DropReason::NotMember));
    assert_eq!(verdict(&bridge, 1, &[c(20)]), Ok((20, 0b11100)));
    assert_eq!(verdict(&bridge, 2, &[]), Ok((10, 0b11011)));
    assert_eq!(verdict(&bridge, 4, &[c(20)]), Ok((20, 0b01110)));
    let frame = bridge.classify(port(4), &header(&[c(10)])).unwrap();
    let actions = [0, 1, 2, 3].map(|to| bridge.egress(&frame, port(to)));
    assert_eq!(actions, [TagAction::Pop, TagAction::Keep, TagAction::Keep, TagAction::Pop]);
    // A VLAN that nobody named passes between trunks of all.
    bridge.set_mode(port(0), &mode(VlanMode::Trunk, 0, "")).unwrap();
    assert_eq!(verdict(&bridge, 4, &[c(999)]), Ok((999, 0b00001)));
    assert_eq!(verdict(&bridge, 1, &[c(999)]), Err(DropReason::NotMember));
}

#[test]
fn a_mode_that_cannot_be_leaves_the_bridge_as_it_was() {
    let mut bridge = bridge();
    let before: Vec<_> = bridge.vlans().collect();
    let tunnel = |tag, cvlans| openvswitch::PortConfig {
        cvlans,
        ..openvswitch::PortConfig::new(VlanMode::Dot1qTunnel, TagVid::from_raw(tag))
    };
    let refused = [
        (tunnel(0, None), ConfigError::VidOutOfRange { port: port(0), vid: 0 }),
        (tunnel(4095, None), ConfigError::VidOutOfRange { port: port(0), vid: 4095 }),
        (tunnel(9, Some("5".parse().unwrap())), ConfigError::CustomerVlans { port: port(0) }),
        (
            openvswitch::PortConfig { trunks: Some("0,10".parse().unwrap()), ..Default::default() },
            ConfigError::VidOutOfRange { port: port(0), vid: 0 },
        ),
        (
            openvswitch::PortConfig { trunks: Some("100-200".parse().unwrap()), ..Default::default() },
            ConfigError::TableFull { vid: vlan(105), capacity: 8 },
        ),
    ];
    for (mode, error) in refused {
        assert_eq!(bridge.set_mode(port(0), &mode), Err(error));
        assert_eq!(bridge.vlans().collect::<Vec<_>>(), before);
    }
}

#[test]
fn a_tunnel_takes_all_that_its_customer_sends_into_one_vlan() {
    let mut bridge = bridge();
    let mode = openvswitch::PortConfig::new(VlanMode::Dot1qTunnel, TagVid::from_raw(20));
    bridge.set_mode(port(3), &mode).unwrap();
    for tags in [&[][..], &[c(0)], &[c(10)], &[c(4095)]] {
        assert_eq!(verdict(&bridge, 3, tags), Ok((20, 0b0110)));
    }
    assert_eq!(verdict(&bridge, 3, &[s(10)]), Err(DropReason::Tagged), "service tags are the provider's");
}

#[test]
fn a_chassis_with_a_thousand_ports_works_alike() {
    let mut bridge = Box::new(Bridge::<2, 16>::new(PortMask::first(1024)));
    let (first, last) = (port(0), port(1023));
    let frame = bridge.classify(last, &header(&[])).unwrap();
    assert_eq!(frame.members, PortMask::first(1023));
    for member in [first, last] {
        bridge.join(vlan(10), member, Membership::Tagged).unwrap();
    }
    let frame = bridge.classify(first, &header(&[c(10)])).unwrap();
    assert_eq!(frame.members, PortMask::EMPTY.with(last));
    assert_eq!(bridge.copies(&frame, frame.members).collect::<Vec<_>>(), [(TagAction::Keep, frame.members)]);
}

#[test]
fn a_bridge_takes_the_memory_that_its_documentation_says() {
    let fixed = size_of::<Bridge<0>>();
    assert!(fixed <= (16 + 3) << 10, "{fixed}");
    assert_eq!(size_of::<Bridge<100>>() - fixed, 100 * 32);
}

/// The rules of the standard over plain maps.
#[derive(Clone, Debug, Default)]
struct Naive {
    vlans: BTreeMap<u16, (BTreeMap<u16, Membership>, u16)>,
    ports: BTreeMap<u16, PortConfig>,
}

impl Naive {
    fn new(count: u16) -> Self {
        let members = (0..count).map(|port| (port, Membership::Untagged)).collect();
        Self {
            vlans: [(1, (members, 1))].into(),
            ports: (0..count).map(|port| (port, PortConfig::default())).collect(),
        }
    }

    /// VLAN, members, database.
    fn classify(&self, from: u16, tag: Option<(u16, u16)>) -> Result<(u16, PortMask, u16), DropReason> {
        let config = self.ports.get(&from).ok_or(DropReason::NoSuchPort)?;
        if config.state < PortState::Learning {
            return Err(DropReason::PortState);
        }
        let vid = tag.filter(|(tpid, _)| *tpid == config.tag_type.tpid().0).map(|(_, tci)| tci & 0xFFF);
        match (vid, config.acceptable) {
            (None, AcceptableFrames::OnlyTagged) => return Err(DropReason::Untagged),
            (Some(0), AcceptableFrames::OnlyTagged) => return Err(DropReason::PriorityTagged),
            (Some(1..), AcceptableFrames::OnlyUntaggedAndPriority) => return Err(DropReason::Tagged),
            _ => {}
        }
        let pvid = config.pvid.map(VlanId::get);
        let vid = vid.filter(|vid| *vid != 0).or(pvid).ok_or(DropReason::NoPvid)?;
        if vid == 4095 {
            return Err(DropReason::ReservedVid);
        }
        let (members, fid) =
            self.vlans.get(&vid).filter(|row| !row.0.is_empty()).ok_or(DropReason::UnknownVlan)?;
        if config.ingress_filter && !members.contains_key(&from) {
            return Err(DropReason::NotMember);
        }
        let leaves = |to: &u16| {
            let other = &self.ports[to];
            *to != from
                && config.state == PortState::Forwarding
                && other.state == PortState::Forwarding
                && !(config.isolated && other.isolated)
        };
        let out = members.keys().copied().filter(leaves).map(port).collect();
        Ok((vid, out, *fid))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Add(u16, u64, u64, Option<u16>),
    Remove(u16),
    Join(u16, u16, Membership),
    Leave(u16, u16),
    LeaveAll(u16),
    Fid(u16, u16),
    Port(u16, PortConfig),
}

fn op() -> impl Strategy<Value = Op> {
    let vid = || 1u16..7;
    let number = || 0u16..4;
    let how = prop::sample::select(vec![Membership::Tagged, Membership::Untagged]);
    prop_oneof![
        (vid(), 0u64..16, 0u64..16, prop::option::of(0u16..4096))
            .prop_map(|(v, m, u, f)| Op::Add(v, m, u, f)),
        vid().prop_map(Op::Remove),
        (vid(), number(), how).prop_map(|(v, p, how)| Op::Join(v, p, how)),
        (vid(), number()).prop_map(|(v, p)| Op::Leave(v, p)),
        number().prop_map(Op::LeaveAll),
        (vid(), 0u16..4096).prop_map(|(v, f)| Op::Fid(v, f)),
        (number(), port_config()).prop_map(|(p, config)| Op::Port(p, config)),
    ]
}

fn port_config() -> impl Strategy<Value = PortConfig> {
    let acceptable = prop::sample::select(vec![
        AcceptableFrames::All,
        AcceptableFrames::OnlyTagged,
        AcceptableFrames::OnlyUntaggedAndPriority,
    ]);
    let state = prop::sample::select(vec![
        PortState::Forwarding,
        PortState::Forwarding,
        PortState::Learning,
        PortState::Disabled,
    ]);
    let tag_type = prop::sample::select(vec![TagType::Customer, TagType::Service]);
    (0u16..7, acceptable, any::<(bool, bool)>(), state, tag_type).prop_map(
        |(pvid, acceptable, (ingress_filter, isolated), state, tag_type)| PortConfig {
            pvid: VlanId::new(pvid),
            acceptable,
            ingress_filter,
            isolated,
            state,
            tag_type,
            ..PortConfig::default()
        },
    )
}

/// Room for fewer VLANs than the operations use, so that the table is full at times.
const ROOM: usize = 5;

fn apply(bridge: &mut Bridge<ROOM>, naive: &mut Naive, op: &Op) {
    let room = |naive: &Naive, vid: &u16| naive.vlans.contains_key(vid) || naive.vlans.len() < ROOM;
    match *op {
        Op::Add(vid, members, untagged, fid) => {
            let (members, untagged) = (ports(members), ports(untagged & members));
            let config = Vlan { members, untagged, fid: fid.and_then(Fid::new) };
            let expected = !naive.vlans.contains_key(&vid) && room(naive, &vid);
            assert_eq!(bridge.add_vlan(vlan(vid), config).is_ok(), expected);
            if expected {
                let how = |port: PortId| match untagged.contains(port) {
                    true => Membership::Untagged,
                    false => Membership::Tagged,
                };
                let members = members.iter().map(|port| (port.get(), how(port))).collect();
                naive.vlans.insert(vid, (members, fid.unwrap_or(vid)));
            }
        }
        Op::Remove(vid) => {
            assert_eq!(bridge.remove_vlan(vlan(vid)).is_ok(), naive.vlans.remove(&vid).is_some());
        }
        Op::Join(vid, number, how) => {
            assert_eq!(bridge.join(vlan(vid), port(number), how).is_ok(), room(naive, &vid));
            if room(naive, &vid) {
                naive.vlans.entry(vid).or_insert((BTreeMap::new(), vid)).0.insert(number, how);
            }
        }
        Op::Leave(vid, number) => {
            let was = naive.vlans.get_mut(&vid).and_then(|row| row.0.remove(&number));
            assert_eq!(bridge.leave(vlan(vid), port(number)) != Flush::Nothing, was.is_some());
        }
        Op::LeaveAll(number) => {
            bridge.leave_all(port(number));
            naive.vlans.values_mut().for_each(|row| _ = row.0.remove(&number));
        }
        Op::Fid(vid, fid) => {
            let known = naive.vlans.get_mut(&vid).map(|row| row.1 = fid).is_some();
            assert_eq!(bridge.set_fid(vlan(vid), Fid::new(fid).unwrap()).is_ok(), known);
        }
        Op::Port(number, config) => {
            bridge.set_port(port(number), config).unwrap();
            naive.ports.insert(number, config);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_bridge_agrees_with_a_naive_one(ops in prop::collection::vec(op(), 0..40)) {
        let (mut bridge, mut naive) = (Bridge::<ROOM>::new(PortMask::first(4)), Naive::new(4));
        let vids = [0, 1, 2, 3, 4, 5, 6, 7, 4095];
        let tags = [0x8100, 0x88A8].into_iter().flat_map(|tpid| vids.map(|vid| Some((tpid, 0xA000 | vid))));
        let tags: Vec<_> = tags.chain([None]).collect();
        for op in &ops {
            apply(&mut bridge, &mut naive, op);
            for (from, tag) in (0..5).flat_map(|from| tags.iter().map(move |tag| (from, *tag))) {
                let word = tag.map(|(tpid, tci)| u32::from(tpid) << 16 | u32::from(tci));
                let verdict = bridge.classify(port(from), &header(word.as_slice()));
                let simple = verdict.map(|frame| (frame.vid().raw(), frame.members, frame.fid.get()));
                prop_assert_eq!(simple, naive.classify(from, tag), "{:?} from {}", tag, from);
                let Ok(frame) = verdict else { continue };
                let mut left = frame.members;
                for (action, group) in bridge.copies(&frame, frame.members) {
                    prop_assert!(group.iter().all(|to| bridge.egress(&frame, to) == action));
                    left = left.difference(group);
                }
                prop_assert!(left.is_empty());
                let members = &naive.vlans[&frame.vid().raw()].0;
                for to in frame.members {
                    let carries = !matches!(bridge.egress(&frame, to), TagAction::Pop)
                        && (frame.received().is_some() || matches!(bridge.egress(&frame, to), TagAction::Push(_)));
                    prop_assert_eq!(carries, members[&to.get()] == Membership::Tagged);
                }
            }
        }
        for (vid, vlan) in bridge.vlans() {
            let (members, fid) = &naive.vlans[&vid.get()];
            prop_assert_eq!(vlan.members, members.keys().copied().map(port).collect::<PortMask>());
            prop_assert_eq!(vlan.fid.map(Fid::get), Some(*fid));
        }
    }
}
