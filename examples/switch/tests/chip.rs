//! A chip whose registers are written, and what leaves its ports then: bit by bit, as FreeBSD's
//! `rlswitch.c`, Realtek's `re830x.c` and the datasheets of the RTL8305SB and RTL8309SB tell.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use switch::vlan_table::chip::registers::Image;
use switch::vlan_table::chip::{Model, Table};
use switch::vlan_table::{DropReason, PortId};
use switch::{Dropped, Filtered, Outcome, Switch};

const ALL: [u8; 6] = [0xFF; 6];

/// Ports 0 and 1 in VLAN 10, ports 2 and 3 in VLAN 20, port 4 in both and in VLAN 30 with port 0, which
/// no index names.
const TWO_VLANS: &str = "
    0.16 = 0x0300               # tag aware
    0.18 = 0x5c04               # VLANs on, no leaks
    0.24 = 0x0e13
    1.24 = 0x0e1c
    2.24 = 0x1e11
    3.24 = 0x1e00
    4.24 = 0x0e00
    0.25 = 10
    1.25 = 20
    2.25 = 30
    3.25 = 0xfff
    4.25 = 0xffe";

struct Chip {
    switch: Switch,
    now: Duration,
}

impl Chip {
    /// A chip after reset, but for these registers.
    fn with(dump: &str) -> Self {
        let image = Image::parse(dump, Model::RTL8305SC).unwrap();
        let table = Table::new(image.to_config(Model::RTL8305SC).unwrap()).unwrap();
        Self { switch: Switch::chip(table), now: Duration::ZERO }
    }

    /// [`TWO_VLANS`] with other values in some registers.
    fn but(changes: &str) -> Self {
        let place = |line: &str| line.split('=').next().unwrap().trim().to_owned();
        let changed: Vec<_> = changes.lines().map(place).collect();
        let kept = TWO_VLANS.lines().filter(|line| !changed.contains(&place(line)));
        Self::with(&kept.chain(changes.lines()).collect::<Vec<_>>().join("\n"))
    }

    fn receive(&mut self, port: u16, frame: &[u8]) -> (Outcome, BTreeMap<u16, Vec<u8>>) {
        let decision = self.switch.receive(self.now, PortId::new(port).unwrap(), frame);
        let mut left = BTreeMap::new();
        for copy in self.switch.copies(&decision) {
            let mut buffer = vec![0; frame.len() + 64];
            let len = copy.write(frame, &mut buffer).unwrap();
            left.extend(copy.ports.iter().map(|port| (port.get(), buffer[..len].to_vec())));
        }
        (decision.outcome, left)
    }

    /// The ports that a frame leaves by.
    fn ports(&mut self, port: u16, frame: &[u8]) -> Vec<u16> {
        self.receive(port, frame).1.into_keys().collect()
    }

    fn drops(&mut self, port: u16, frame: &[u8], reason: DropReason) {
        assert_eq!(self.receive(port, frame).0, Outcome::Dropped(Dropped::Ingress(reason)));
    }
}

fn station(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, number]
}

fn frame(dst: [u8; 6], src: [u8; 6], tci: Option<u16>) -> Vec<u8> {
    let tag = tci.map_or(vec![], |tci| [0x8100u16.to_be_bytes(), tci.to_be_bytes()].concat());
    [&dst[..], &src, &tag, &[0x08, 0x00], &[0x55; 46]].concat()
}

fn broadcast(tci: Option<u16>) -> Vec<u8> {
    frame(ALL, station(1), tci)
}

/// What follows the addresses: a tag, or the EtherType.
fn tci(frame: &[u8]) -> Option<u16> {
    (frame[12..14] == [0x81, 0]).then(|| u16::from_be_bytes([frame[14], frame[15]]))
}

#[test]
fn register_0_18_bit_8_puts_the_default_table_in_force() {
    assert_eq!(Chip::with("").ports(0, &broadcast(None)), [1, 2, 3, 4]);
    let mut chip = Chip::with("0.18 = 0x5c04");
    assert_eq!(chip.ports(0, &broadcast(None)), [4]);
    assert_eq!(chip.ports(4, &broadcast(None)), [0, 1, 2, 3]);
}

#[test]
fn register_0_16_bit_10_clear_makes_tags_count() {
    assert_eq!(Chip::but("").ports(4, &broadcast(Some(20))), [2, 3]);
    assert_eq!(Chip::but("0.16 = 0x0700").ports(4, &broadcast(Some(20))), [0, 1]);
    assert_eq!(Chip::but("").ports(4, &broadcast(Some(0))), [0, 1], "VID 0 goes by the port");
    assert_eq!(Chip::but("").ports(4, &broadcast(Some(99))), [0, 1], "an unknown VID too");
}

#[test]
fn register_0_16_bit_9_clear_filters_foreign_vlans() {
    assert_eq!(Chip::but("").ports(0, &broadcast(Some(20))), [2, 3, 4]);
    Chip::but("0.16 = 0x0100").drops(0, &broadcast(Some(20)), DropReason::NotMember);
}

#[test]
fn register_0_16_bit_8_clear_admits_tagged_frames_only() {
    let mut chip = Chip::but("0.16 = 0x0200");
    chip.drops(0, &broadcast(None), DropReason::Untagged);
    chip.drops(0, &broadcast(Some(0)), DropReason::PriorityTagged);
    assert_eq!(chip.ports(0, &broadcast(Some(10))), [1, 4]);
}

#[test]
fn register_0_18_bit_12_forwards_reserved_addresses() {
    let relayed = |dump| {
        let mut chip = Chip::with(dump);
        let to = |low| frame([0x01, 0x80, 0xC2, 0, 0, low], station(1), None);
        (0..16).filter(|low| chip.receive(0, &to(*low)).0 == Outcome::Forwarded).collect::<Vec<_>>()
    };
    let all_but_pause_and_lacp: Vec<_> = [0].into_iter().chain(3..16).collect();
    assert_eq!(relayed("0.18 = 0x5d04"), all_but_pause_and_lacp);
    assert_eq!(relayed("0.18 = 0x4d04"), [0]);
}

#[test]
fn the_running_chip_takes_a_new_value_of_register_0_18_bit_12() {
    let mut chip = Chip::with("");
    let lldp = frame([0x01, 0x80, 0xC2, 0, 0, 0x0E], station(1), None);
    assert_eq!(chip.receive(0, &lldp).0, Outcome::Forwarded);
    let image = Image::parse("0.18 = 0x4d04", Model::RTL8305SC).unwrap();
    chip.switch.set_chip_config(image.to_config(Model::RTL8305SC).unwrap()).unwrap();
    assert_eq!(chip.receive(0, &lldp).0, Outcome::Filtered(Filtered::Reserved));
}

#[test]
fn register_0_18_bit_11_clear_lets_known_unicast_leave_its_vlan() {
    for (dump, to_known) in [("", vec![]), ("0.18 = 0x5404", vec![2])] {
        let mut chip = Chip::but(dump);
        chip.ports(2, &frame(ALL, station(2), None));
        assert_eq!(chip.ports(0, &frame(station(2), station(1), None)), to_known);
        assert_eq!(chip.ports(0, &frame(station(9), station(1), None)), [1, 4], "a miss floods inside");
    }
}

#[test]
fn register_0_18_bit_10_clear_lets_broadcast_arp_leave_its_vlan() {
    let mut arp = broadcast(None);
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    assert_eq!(Chip::but("").ports(0, &arp), [1, 4]);
    let mut leaky = Chip::but("0.18 = 0x5804");
    assert_eq!(leaky.ports(0, &arp), [1, 2, 3, 4]);
    assert_eq!(leaky.ports(0, &broadcast(None)), [1, 4]);
}

/// The four codes, each with what leaves for an untagged frame, one of VLAN 30 and one with VID 0, all
/// from port 0, whose PVID is 10.
#[test]
fn register_22_bits_1_and_0_of_the_egress_port_take_tags_or_insert_the_ingress_pvid() {
    let priority = 5 << 13;
    for (code, untagged, tagged, null) in [
        (0b11, None, Some(30), Some(priority)),
        (0b10, Some(10), Some(30), Some(priority)),
        (0b01, None, None, None),
        (0b00, Some(10), Some(10), Some(priority | 10)),
    ] {
        let mut chip = Chip::but(&format!("4.22 = {:#06x}", 0x0700 | code));
        for (received, expected) in [(None, untagged), (Some(30), tagged), (Some(priority), null)] {
            let (_, left) = chip.receive(0, &broadcast(received));
            assert_eq!(tci(&left[&4]), expected, "code {code:02b}, received {received:?}");
        }
    }
}

#[test]
fn register_22_bit_12_of_the_egress_port_replaces_vid_0() {
    let mut chip = Chip::but("4.22 = 0x1702");
    let (_, left) = chip.receive(0, &broadcast(Some(5 << 13)));
    assert_eq!(tci(&left[&4]), Some(5 << 13 | 10));
    let (_, left) = chip.receive(0, &broadcast(Some(30)));
    assert_eq!(tci(&left[&4]), Some(30));
}

#[test]
fn register_22_bit_11_of_the_ingress_port_discards_other_vids() {
    let mut chip = Chip::but("0.22 = 0x0f03");
    chip.drops(0, &broadcast(Some(30)), DropReason::NotPvid);
    assert_eq!(chip.ports(0, &broadcast(Some(10))), [1, 4]);
    assert_eq!(chip.ports(0, &broadcast(None)), [1, 4]);
}

#[test]
fn register_24_bits_15_to_12_name_the_entry_of_the_port() {
    assert_eq!(Chip::but("0.24 = 0x1e13").ports(0, &broadcast(None)), [2, 3, 4]);
    let deep = "0.24 = 0xfe13\npage 1\n0.30 = 0x0003\n0.31 = 99"; // entry P
    assert_eq!(Chip::but(deep).ports(0, &broadcast(None)), [1]);
}

#[test]
fn register_24_bits_11_to_9_enable_a_port_s_transmitter_receiver_and_learning() {
    let mut deaf_and_dumb = Chip::but("1.24 = 0x021c");
    assert_eq!(deaf_and_dumb.ports(0, &broadcast(None)), [4]);
    deaf_and_dumb.drops(1, &broadcast(None), DropReason::PortState);
    let mut forgetful = Chip::but("0.24 = 0x0c13");
    forgetful.ports(0, &broadcast(None));
    assert!(forgetful.switch.database().is_empty());
    forgetful.ports(4, &broadcast(None));
    assert_eq!(forgetful.switch.database().len(), 1);
}

#[test]
fn a_frame_that_gets_short_is_filled_up_with_spaces() {
    let mut chip = Chip::but("4.22 = 0x0701");
    let tagged = broadcast(Some(30));
    let (_, left) = chip.receive(0, &tagged[..60]);
    assert_eq!(left[&4].len(), 60);
    assert_eq!(left[&4][56..], [0x20; 4]);
}

#[test]
fn the_address_table_knows_no_vlans() {
    let mut chip = Chip::but("");
    chip.ports(0, &broadcast(None));
    chip.ports(2, &broadcast(None));
    assert_eq!(chip.switch.database().len(), 1, "the station has moved");
    assert_eq!(
        chip.receive(1, &frame(station(1), station(3), None)).0,
        Outcome::Filtered(Filtered::Unreachable)
    );
}

#[test]
fn of_addresses_with_equal_low_bits_seventeen_are_learned() {
    let mut chip = Chip::with("");
    let rival = |number| [2, 0, 0, number, 0x80, 0xAB]; // RTL8305SB datasheet, 7.1.6: bits 9 to 0
    for number in 0..20 {
        chip.ports(0, &frame(ALL, rival(number), None));
    }
    assert_eq!(chip.switch.database().len(), 1 + 16);
    assert_eq!(chip.ports(1, &frame(rival(16), station(1), None)), [0]);
    assert_eq!(chip.ports(1, &frame(rival(17), station(1), None)), [0, 2, 3, 4], "no room: flooded");
}

#[test]
fn a_silent_station_is_forgotten_after_200_to_300_seconds() {
    for heard in [0, 1, 50, 99] {
        let mut chip = Chip::with("");
        let mut known_at = |seconds| {
            chip.now = Duration::from_secs(seconds);
            if seconds == heard {
                chip.ports(0, &broadcast(None));
            }
            chip.ports(1, &frame(station(1), station(2), None)) == [0]
        };
        assert!(known_at(heard) && known_at(heard + 199));
        assert!(!known_at(heard + 301), "heard at {heard} s");
    }
}
