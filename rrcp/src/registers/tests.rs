//! Every value of every register, and the worked examples of the documents.

use std::collections::BTreeSet;

use super::*;
use crate::wire::RegisterAddress;
use crate::{MacAddr6, PortId, PortMask};

fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

#[test]
fn flags_stand_where_the_datasheets_put_them() {
    // 0200 = 4: RRCP and REP on, loop detection on
    let control = ProtocolControl(4);
    assert!(control.rrcp() && control.rep() && control.loop_detection());
    assert_eq!(control.with_rrcp(false).with_rep(false).with_loop_detection(false), ProtocolControl(0b011));
    assert!(Faults(0b100).loop_fault() && !Faults(0b100_0000).loop_fault(), "bit 6 is a trunk on 8316BP");
    assert!(FloodControl(0).storm_filter() && !FloodControl(1 << 4).storm_filter());
    assert!(BridgeControl(0).ageing() && !BridgeControl(1).ageing());
    assert!(VlanControl(0x11).vlans() && VlanControl(0x11).tag_aware());
    assert_eq!((Reset::Soft.to_bits(), Reset::Hard.to_bits()), (1, 2));
    assert_eq!(
        [0, 1, 2, 3].map(Reset::from_bits),
        [None, Some(Reset::Soft), Some(Reset::Hard), Some(Reset::Hard)]
    );
}

#[test]
fn setting_one_flag_keeps_every_other_bit() {
    for bits in 0..=u16::MAX {
        for on in [false, true] {
            let changed = ProtocolControl(bits).with_rep(on);
            assert_eq!(changed.rep(), on);
            assert_eq!(changed.0 & !0b10, bits & !0b10);
            let changed = VlanControl(bits).with_ingress_filter(on);
            assert_eq!(changed.ingress_filter(), on);
            assert_eq!(changed.0 & !0x40, bits & !0x40);
        }
    }
}

#[test]
fn loop_bits_are_physical_ports() {
    assert_eq!(loop_ports(9), [port(0), port(3)].into_iter().collect());
    let halves = PortHalves { low: 0x8000, high: 0x0201 };
    assert_eq!(halves.ports(), [port(15), port(16), port(25)].into_iter().collect());
    assert_eq!(PortHalves::from_ports(halves.ports()), halves);
}

#[test]
fn two_ports_share_a_register_and_do_not_touch_each_other() {
    let gigabit = LinkState::up(Speed::Mbps1000, true);
    assert_eq!(gigabit.0, 0b1001_0110);
    assert!(gigabit.is_up() && gigabit.full_duplex() && gigabit.autonegotiation() && !gigabit.flow_control());
    assert_eq!(gigabit.speed().map(Speed::mbps), Some(1000));
    for bits in 0..=u16::MAX {
        let states = LinkStates(bits);
        let swapped = LinkStates(0).with(port(4), states.of(port(5))).with(port(5), states.of(port(4)));
        assert_eq!(swapped.0, bits.swap_bytes());
        let indices = PvidIndices(bits).with(port(1), 31);
        assert_eq!((indices.of(port(0)), indices.of(port(1))), (bits as u8 & 0x1F, 31));
        let modes = EgressTagModes(bits);
        let same = (8..16).fold(EgressTagModes(0), |same, p| same.with(port(p), modes.of(port(p))));
        assert_eq!(same, modes);
    }
}

#[test]
fn rates_are_powers_of_two() {
    let rates =
        RateLimits::default().with(port(3), Rate::at_most(128).unwrap(), Rate::at_most(10_000).unwrap());
    assert_eq!(rates.0, 0x7100);
    assert_eq!((rates.receive(port(3)).kbps(), rates.send(port(3)).kbps()), (Some(128), Some(8192)));
    assert_eq!((rates.receive(port(2)), rates.send(port(2))), (Rate::UNLIMITED, Rate::UNLIMITED));
    assert_eq!(Rate::at_most(127), None);
    for kbps in 128..=20_000 {
        let rate = Rate::at_most(kbps).unwrap().kbps().unwrap();
        assert!(rate <= kbps && (rate * 2 > kbps || rate == 8192), "{kbps}: {rate}");
    }
}

#[test]
fn vlan_entries_keep_members_and_id() {
    let entry = VlanEntry { members: PortMask::first(26), vid_raw: 4094 };
    assert_eq!(entry.to_words(), [0xFFFF, 0x03FF, 4094]);
    assert_eq!(VlanEntry::from_words(entry.to_words()), entry);
    assert_eq!(entry.vid().map(u16::from), Some(4094));
    assert!(VlanEntry::default().is_unused() && VlanEntry::default().vid().is_none());
}

#[test]
fn the_address_stands_low_byte_first() {
    let mac = MacAddr6::new(0x52, 0x54, 0x4C, 0x01, 0x02, 0x03);
    assert_eq!(mac_to_words(mac), [0x5452, 0x014C, 0x0302]);
    assert_eq!(mac_from_words(mac_to_words(mac)), mac);
}

#[test]
fn windows_hold_address_and_command() {
    let read = EepromCommand::read(1, 0x12);
    assert_eq!((read.0, read.address(), read.chip(), read.is_read()), (0x0912, 0x12, 1, true));
    assert!(EepromCommand(1 << 12).busy() && EepromCommand(1 << 13).failed());
    assert_eq!((EepromData(0xAB12).to_write(), EepromData(0xAB12).read()), (0x12, 0xAB));
    let write = PhyCommand::write(7, 4);
    assert_eq!((write.0, write.phy(), write.register(), write.is_write()), (0x40E4, 7, 4, true));
    assert!(PhyCommand(1 << 15).busy());
}

/// The rows of counters as OpenRRCP reads them: 070D, 0727 and 0741, plus the port.
#[test]
fn registers_of_ports_do_not_overlap() {
    assert_eq!(RegisterAddress::counter(Counter::Received, port(0)), RegisterAddress(0x070D));
    assert_eq!(RegisterAddress::counter(Counter::Sent, port(0)), RegisterAddress(0x0727));
    assert_eq!(RegisterAddress::counter(Counter::Dropped, port(25)), RegisterAddress(0x075A));
    assert_eq!(RegisterAddress::LINK_STATES.of_port_pair(port(25)), RegisterAddress(0x0625));
    assert_eq!(RegisterAddress::vlan_entry(VLAN_ENTRIES - 1), RegisterAddress(0x037A));
    let counters = [Counter::Received, Counter::Sent, Counter::Dropped].into_iter();
    let addresses = counters.flat_map(|c| (0..MAX_PORTS).map(move |p| RegisterAddress::counter(c, port(p))));
    let distinct: BTreeSet<_> = addresses.clone().collect();
    assert_eq!(distinct.len(), addresses.clone().count());
    assert!(addresses.into_iter().all(RegisterAddress::is_wide));
}

#[test]
fn rows_of_registers_begin_and_end_with_their_name() {
    for (first, last, name) in [
        (0x0203, 0x0205, "MAC address"),
        (0x020A, 0x0216, "rate limits"),
        (0x030C, 0x0318, "PVID indices"),
        (0x0319, 0x031C, "egress tag modes"),
        (0x031D, 0x037C, "VLAN entry"),
        (0x0619, 0x0625, "link states"),
        (0x0700, 0x070C, "counter selection"),
        (0x070D, 0x0726, "received"),
        (0x0741, 0x075A, "dropped"),
    ] {
        assert!((first..=last).all(|raw| RegisterAddress(raw).name() == Some(name)), "{name}");
        assert!([first - 1, last + 1].iter().all(|&raw| RegisterAddress(raw).name() != Some(name)), "{name}");
    }
}
