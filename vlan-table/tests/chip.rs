//! The chip's table against its documents, a rule at a time, and against a model that reads like them.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // helpers may panic like tests

use vlan_table::chip::{
    Config, ConfigError, Entry, Model, NonPvidScope, Table, TagOp, UnawareTags, UnknownVid,
};
use vlan_table::{Classified, DropReason, EtherType, Fid, Header, PortId, PortMask, Tag, TagAction, TagVid};

fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

fn ports(bits: u64) -> PortMask {
    PortMask::from_bits(bits)
}

/// A frame to one station; `tci` is its tag, if it has one.
fn header(tci: Option<u16>) -> Header {
    addressed([2, 0, 0, 0, 0, 9], tci, EtherType::IPV4)
}

fn addressed(dst: [u8; 6], tci: Option<u16>, ether_type: EtherType) -> Header {
    let mut frame = [dst, [2, 0, 0, 0, 0, 1]].concat();
    frame.extend(tci.map(|tci| Tag::from_tci(EtherType::VLAN, tci).to_bytes()).iter().flatten());
    frame.extend(ether_type.0.to_be_bytes());
    frame.resize(60, 0);
    Header::read(&frame).unwrap()
}

fn arp(tci: Option<u16>) -> Header {
    addressed([0xFF; 6], tci, EtherType::ARP)
}

/// VLANs in force: 10 has the ports 0, 1, 4, VLAN 20 has 2, 3, 4; ports 0 and 1 index 10, the others 20.
fn two_vlans() -> Config {
    let mut config = Config::new(Model::RTL8305SC);
    (config.vlan_enabled, config.tag_aware) = (true, true);
    config.entries = [Entry::default(); 16];
    config.entries[0] = Entry { vid: 10, members: ports(0b10011) };
    config.entries[1] = Entry { vid: 20, members: ports(0b11100) };
    for (index, port) in [0, 0, 1, 1, 1].into_iter().zip(&mut config.ports) {
        port.index = index;
    }
    config
}

fn table(change: impl FnOnce(&mut Config)) -> Table {
    let mut config = two_vlans();
    change(&mut config);
    Table::new(config).unwrap()
}

fn members(table: &Table, from: u16, header: &Header) -> Result<PortMask, DropReason> {
    table.classify(port(from), header).map(|frame| frame.members)
}

// Mapping of frames to entries.

#[test]
fn an_untagged_frame_belongs_to_the_entry_of_its_port() {
    let table = table(|_| {});
    assert_eq!(members(&table, 0, &header(None)), Ok(ports(0b10010)));
    assert_eq!(members(&table, 4, &header(None)), Ok(ports(0b01100)));
}

#[test]
fn a_priority_tagged_frame_belongs_to_the_entry_of_its_port() {
    assert_eq!(members(&table(|_| {}), 0, &header(Some(0xE000))), Ok(ports(0b10010)));
}

#[test]
fn a_tagged_frame_belongs_to_the_entry_with_its_vid() {
    let table = table(|_| {});
    let frame = table.classify(port(4), &header(Some(10))).unwrap();
    assert_eq!((frame.members, frame.vid().raw()), (ports(0b00011), 10));
}

#[test]
fn a_chip_that_is_not_tag_aware_asks_the_port_only() {
    let table = table(|config| config.tag_aware = false);
    assert_eq!(members(&table, 0, &header(Some(20))), Ok(ports(0b10010)));
    assert_eq!(table.classify(port(0), &header(Some(20))).unwrap().received(), None, "the tag is payload");
}

#[test]
fn without_vlans_every_port_reaches_every_other() {
    let table = table(|config| config.vlan_enabled = false);
    for from in 0..5 {
        assert_eq!(members(&table, from, &header(Some(10))), Ok(ports(0b11111).without(port(from))));
    }
}

#[test]
fn vid_0_in_an_entry_is_an_entry_like_any_other() {
    let table = table(|config| config.entries[0].vid = 0);
    assert_eq!(members(&table, 0, &header(None)), Ok(ports(0b10010)));
}

#[test]
fn of_equal_vids_the_lowest_entry_counts() {
    let table = table(|config| config.entries[7] = Entry { vid: 10, members: ports(0b11111) });
    assert_eq!(members(&table, 4, &header(Some(10))), Ok(ports(0b00011)));
}

#[test]
fn an_unknown_vid_belongs_to_the_port_or_is_dropped() {
    let by_port = table(|_| {});
    assert_eq!(members(&by_port, 0, &header(Some(30))), Ok(ports(0b10010)));
    let drop = table(|config| config.policies.unknown_vid = UnknownVid::Drop);
    assert_eq!(members(&drop, 0, &header(Some(30))), Err(DropReason::UnknownVlan));
    assert_eq!(members(&drop, 0, &header(Some(10))), Ok(ports(0b10010)));
}

#[test]
fn all_vlans_share_one_forwarding_database() {
    let table = table(|_| {});
    for tci in [None, Some(10), Some(20)] {
        assert_eq!(table.classify(port(4), &header(tci)).unwrap().fid, Fid::SHARED);
    }
}

// Ingress switches.

#[test]
fn the_ingress_filter_drops_frames_of_vlans_that_the_port_is_not_in() {
    let open = table(|_| {});
    assert_eq!(members(&open, 0, &header(Some(20))), Ok(ports(0b11100)), "only the output is limited");
    let filtering = table(|config| config.ingress_filter = true);
    assert_eq!(members(&filtering, 0, &header(Some(20))), Err(DropReason::NotMember));
    assert_eq!(members(&filtering, 4, &header(Some(10))), Ok(ports(0b00011)));
}

#[test]
fn tagged_only_drops_untagged_frames_and_by_policy_priority_tagged_ones() {
    let strict = table(|config| config.tagged_only = true);
    assert_eq!(members(&strict, 0, &header(None)), Err(DropReason::Untagged));
    assert_eq!(members(&strict, 0, &header(Some(0))), Err(DropReason::PriorityTagged));
    assert!(members(&strict, 0, &header(Some(10))).is_ok());
    let lax = table(|config| {
        (config.tagged_only, config.policies.priority_tag_counts_as_tag) = (true, true);
    });
    assert_eq!(members(&lax, 0, &header(None)), Err(DropReason::Untagged));
    assert!(members(&lax, 0, &header(Some(0))).is_ok());
}

#[test]
fn discard_non_pvid_drops_other_vids_and_by_policy_frames_without() {
    let tagged = table(|config| config.ports[0].discard_non_pvid = true);
    assert_eq!(members(&tagged, 0, &header(Some(20))), Err(DropReason::NotPvid));
    assert_eq!(members(&tagged, 0, &header(Some(30))), Err(DropReason::NotPvid), "unknown VIDs too");
    assert!(members(&tagged, 0, &header(Some(10))).is_ok());
    assert!(members(&tagged, 0, &header(None)).is_ok());
    assert!(members(&tagged, 1, &header(Some(20))).is_ok(), "it is a switch of the port");
    let untagged_too = table(|config| {
        config.ports[0].discard_non_pvid = true;
        config.policies.non_pvid_scope = NonPvidScope::TaggedAndUntagged;
    });
    assert_eq!(members(&untagged_too, 0, &header(None)), Err(DropReason::NotPvid));
    assert!(members(&untagged_too, 0, &header(Some(10))).is_ok());
}

#[test]
fn disabled_directions_and_learning_are_switches_of_the_port() {
    let table = table(|config| {
        config.ports[0].rx_enabled = false;
        config.ports[1].tx_enabled = false;
        config.ports[4].learning = false;
    });
    assert_eq!(members(&table, 0, &header(None)), Err(DropReason::PortState));
    assert_eq!(members(&table, 4, &header(Some(10))), Ok(ports(0b00001)));
    assert!(!table.classify(port(4), &header(None)).unwrap().learn);
    assert!(table.classify(port(1), &header(None)).unwrap().learn);
    assert_eq!(members(&table, 5, &header(None)), Err(DropReason::NoSuchPort));
}

// Leaks.

#[test]
fn unicast_leaks_to_known_stations_only() {
    let table = table(|config| config.unicast_leak = true);
    let frame = table.classify(port(0), &header(None)).unwrap();
    assert_eq!(frame.members, ports(0b10010), "a miss floods inside the VLAN");
    assert_eq!(frame.reachable, ports(0b11110), "a hit goes anywhere");
}

#[test]
fn broadcast_arp_leaks_to_all_ports() {
    let table = table(|config| config.arp_leak = true);
    assert_eq!(members(&table, 0, &arp(None)), Ok(ports(0b11110)));
    assert_eq!(members(&table, 0, &arp(Some(10))), Ok(ports(0b11110)), "behind a tag as well");
    let unicast = addressed([2, 0, 0, 0, 0, 9], None, EtherType::ARP);
    assert_eq!(members(&table, 0, &unicast), Ok(ports(0b10010)));
    let other = addressed([0xFF; 6], None, EtherType::IPV4);
    assert_eq!(members(&table, 0, &other), Ok(ports(0b10010)));
}

// Reset state.

#[test]
fn the_default_table_isolates_all_ports_but_the_last() {
    let mut config = Config::new(Model::RTL8305SC);
    // RTL8305SB datasheet, page 45: entries A to E.
    let documented = [0b10001, 0b10010, 0b10100, 0b11000, 0b11111];
    assert_eq!(config.entries.map(|entry| entry.members.bits())[..5], documented);
    for (number, entry) in (0..).zip(config.entries) {
        assert_eq!((entry.vid, entry.members.bits()), (number, documented[usize::from(number) % 5]));
    }
    config.vlan_enabled = true;
    let table = Table::new(config).unwrap();
    for from in 0..4 {
        assert_eq!(members(&table, from, &header(None)), Ok(ports(0b10000)));
    }
    assert_eq!(members(&table, 4, &header(None)), Ok(ports(0b01111)));
}

#[test]
fn every_model_starts_with_vlans_off_and_a_valid_configuration() {
    for model in Model::ALL {
        let table = Table::new(Config::new(model)).unwrap();
        let everyone = model.port_mask();
        for from in everyone {
            assert_eq!(members(&table, from.get(), &header(Some(9))), Ok(everyone.without(from)));
        }
        assert_eq!(members(&table, everyone.len() as u16, &header(None)), Err(DropReason::NoSuchPort));
    }
}

#[test]
fn settings_that_the_chip_cannot_hold_are_refused_by_name() {
    let refused = |change: fn(&mut Config)| {
        let mut config = Config::new(Model::RTL8305SB);
        change(&mut config);
        Table::new(config).err()
    };
    let index = ConfigError::IndexOutOfRange { port: 3, index: 5, entries: 5 };
    assert_eq!(refused(|config| config.ports[3].index = 5), Some(index));
    let vid = ConfigError::VidOutOfRange { entry: 2, vid: 4096 };
    assert_eq!(refused(|config| config.entries[2].vid = 4096), Some(vid));
    let member = ConfigError::MemberOutOfRange { entry: 1, port: 5, ports: 5 };
    assert_eq!(refused(|config| config.entries[1].members = ports(0b110_0001)), Some(member));
    assert_eq!(refused(|config| config.entries[9].vid = 4096), None, "the model has no such entry");
    assert_eq!(index.to_string(), "port 3 names VLAN entry 5 of 5");
}

// Tag operations: at the egress port, with the ingress port's PVID.

/// What the documents say an egress port does to a frame; `pvid` is the ingress port's.
fn documented_action(
    op: TagOp,
    null_vid: bool,
    also_removing: bool,
    tci: Option<u16>,
    pvid: u16,
) -> TagAction {
    let own = |tci: u16| Tag::from_tci(EtherType::VLAN, tci & 0xF000 | pvid);
    match (op, tci) {
        (TagOp::None, _) => TagAction::Keep,
        (TagOp::Insert | TagOp::Replace, None) => TagAction::Push(own(0)),
        (TagOp::Remove, None) => TagAction::Keep,
        (TagOp::Insert, Some(tci)) if tci & 0xFFF == 0 && null_vid => TagAction::Rewrite(own(tci)),
        (TagOp::Insert, Some(_)) => TagAction::Keep,
        (TagOp::Remove, Some(tci)) if tci & 0xFFF == 0 && null_vid && also_removing => {
            TagAction::Rewrite(own(tci))
        }
        (TagOp::Remove, Some(_)) => TagAction::Pop,
        (TagOp::Replace, Some(tci)) => TagAction::Rewrite(own(tci)),
    }
}

#[test]
fn every_tag_operation_does_to_every_frame_what_the_documents_say() {
    let kinds = || (0..=u16::MAX).step_by(0x1000).flat_map(|pcp| (0..4096).map(move |vid| pcp | vid));
    for (null_vid, also_removing) in [(false, false), (true, false), (true, true)] {
        for op in [TagOp::Replace, TagOp::Remove, TagOp::Insert, TagOp::None] {
            let table = table(|config| {
                config.policies.null_vid_before_remove = also_removing;
                (config.ports[4].tag_op, config.ports[4].null_vid_replacement) = (op, null_vid);
            });
            for tci in kinds().map(Some).chain([None]) {
                let frame = table.classify(port(0), &header(tci)).unwrap();
                let expected = documented_action(op, null_vid, also_removing, tci, 10);
                assert_eq!(table.egress(&frame, port(4)), expected, "{op:?} {null_vid} {tci:x?}");
            }
        }
    }
}

#[test]
fn a_tag_operation_is_the_same_in_every_vlan() {
    let table = table(|config| config.ports[4].tag_op = TagOp::Remove);
    for vid in [10, 20] {
        let frame = table.classify(port(2), &header(Some(vid))).unwrap();
        assert_eq!(table.egress(&frame, port(4)), TagAction::Pop);
    }
}

#[test]
fn an_unaware_chip_tags_around_a_tag_unless_told_to_see_it() {
    let action = |unaware_tags, tag_op| {
        let table = table(|config| {
            (config.tag_aware, config.policies.unaware_tags) = (false, unaware_tags);
            config.ports[4].tag_op = tag_op;
        });
        let frame = table.classify(port(0), &header(Some(99))).unwrap();
        table.egress(&frame, port(4))
    };
    assert!(matches!(action(UnawareTags::Payload, TagOp::Insert), TagAction::Push(_)));
    assert_eq!(action(UnawareTags::Payload, TagOp::Remove), TagAction::Keep);
    assert_eq!(action(UnawareTags::Seen, TagOp::Insert), TagAction::Keep);
    assert_eq!(action(UnawareTags::Seen, TagOp::Remove), TagAction::Pop);
}

#[test]
fn without_vlans_tag_operations_rest_unless_told_otherwise() {
    for (also_then, expected) in [(false, TagAction::Keep), (true, TagAction::Pop)] {
        let table = table(|config| {
            (config.vlan_enabled, config.policies.tag_ops_without_vlan) = (false, also_then);
            config.ports[4].tag_op = TagOp::Remove;
        });
        let frame = table.classify(port(0), &header(Some(10))).unwrap();
        assert_eq!(table.egress(&frame, port(4)), expected);
    }
}

#[test]
fn copies_are_the_ports_grouped_by_what_happens_to_their_tags() {
    let ops = [TagOp::Replace, TagOp::Remove, TagOp::Insert, TagOp::None, TagOp::Insert];
    for (null_vid, tci) in
        [false, true].into_iter().flat_map(|on| [None, Some(0), Some(20)].map(|tci| (on, tci)))
    {
        let table = table(|config| {
            for (port, op) in config.ports.iter_mut().zip(ops) {
                (port.tag_op, port.null_vid_replacement) = (op, null_vid);
            }
        });
        let frame = table.classify(port(0), &header(tci)).unwrap();
        let mut left = ports(0b11111);
        for (action, group) in table.copies(&frame, left) {
            assert!(!group.is_empty() && group.is_subset(&left));
            assert!(group.iter().all(|port| table.egress(&frame, port) == action), "{action:?}");
            left = left.difference(group);
        }
        assert!(left.is_empty());
    }
}

// Everything at once, against rules written down one after the other.

fn model(config: &Config, from: u16, tci: Option<u16>) -> Result<(PortMask, PortMask, u16), DropReason> {
    let everyone = config.model.port_mask();
    let ingress = &config.ports[usize::from(from)];
    let others = everyone.without(port(from));
    if !config.vlan_enabled {
        return Ok((others, others, 0));
    }
    let own = config.entries[usize::from(ingress.index)];
    let vid = tci.filter(|_| config.tag_aware).map(|tci| tci & 0xFFF);
    if config.tagged_only {
        match vid {
            None => return Err(DropReason::Untagged),
            Some(0) if !config.policies.priority_tag_counts_as_tag => return Err(DropReason::PriorityTagged),
            _ => {}
        }
    }
    let named = vid.filter(|vid| *vid != 0);
    let scope = config.policies.non_pvid_scope;
    if ingress.discard_non_pvid
        && named.map_or(scope == NonPvidScope::TaggedAndUntagged, |vid| vid != own.vid)
    {
        return Err(DropReason::NotPvid);
    }
    let entry = match named {
        None => own,
        Some(vid) => match config.entries.iter().find(|entry| entry.vid == vid) {
            Some(entry) => *entry,
            None if config.policies.unknown_vid == UnknownVid::Drop => return Err(DropReason::UnknownVlan),
            None => own,
        },
    };
    if config.ingress_filter && !entry.members.contains(port(from)) {
        return Err(DropReason::NotMember);
    }
    let members = entry.members.without(port(from));
    Ok((members, if config.unicast_leak { others } else { members }, entry.vid))
}

#[test]
fn all_switches_together_do_what_the_rules_say_for_every_vid() {
    for bits in 0..1u32 << 9 {
        let on = |bit: u32| bits >> bit & 1 == 1;
        let mut config = two_vlans();
        config.vlan_enabled = on(0) || on(1);
        config.tag_aware = on(1);
        (config.ingress_filter, config.tagged_only, config.unicast_leak) = (on(2), on(3), on(4));
        config.policies.priority_tag_counts_as_tag = on(5);
        config.policies.unknown_vid = if on(6) { UnknownVid::Drop } else { UnknownVid::PortBased };
        config.ports[0].discard_non_pvid = on(7);
        config.policies.non_pvid_scope =
            if on(8) { NonPvidScope::TaggedAndUntagged } else { NonPvidScope::Tagged };
        // A port whose own VLAN it is no member of.
        config.ports[1].index = 1;
        let table = Table::new(config).unwrap();
        // Every VID under every combination would be four million: each combination gets its own share.
        let share = (0..4096).filter(|vid| vid % 64 == bits as u16 % 64 || [0, 10, 20, 4095].contains(vid));
        for tci in share.map(Some).chain([None]) {
            for from in 0..5 {
                let verdict = table.classify(port(from), &header(tci));
                let simple = |frame: Classified| (frame.members, frame.reachable, frame.vid().raw());
                assert_eq!(verdict.map(simple), model(&config, from, tci), "{bits:#b} {from} {tci:?}");
            }
        }
    }
}

#[test]
fn priority_comes_from_the_tag() {
    let frame = table(|_| {}).classify(port(4), &header(Some(0xB00A))).unwrap();
    assert_eq!((frame.priority().get(), frame.vid()), (5, TagVid::from_raw(10)));
    assert_eq!(frame.received(), Some(Tag::from_tci(EtherType::VLAN, 0xB00A)));
}

#[test]
fn a_table_takes_less_than_five_kibibytes() {
    println!("{} bytes", size_of::<Table>());
    assert!(size_of::<Table>() < 5 * 1024);
}
