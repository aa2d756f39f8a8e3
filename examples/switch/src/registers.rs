//! The switch as an RRCP station sees it: registers over VLAN rules, ports, loops and counters.
//!
//! [`Registers`] is the memory, a [`Window`] lays it over a [`Switch`] for one frame:
//! [`rrcp::device::Device`] reads and writes through it.
//!
//! | registers | what they do here |
//! |---|---|
//! | 0101, 0102 | loops that the [`Guard`] knows |
//! | 030B, 030C+n, 0319+n, 031D+3m | the VLAN table, as rules of [`vlan_table::dot1q`] |
//! | 0608-9 | ports off: their links are down for the switch |
//! | 0619+n | links, all at 100 Mbit/s full duplex |
//! | 070D+ | counters: bytes received, bytes sent; frames dropped for any reason, the storm filter's too |
//! | 0607 | the storm filter, on unless its bit is set |
//! | rates, mirrors, ageing, trunks, learning, leaks, EEPROM, PHYs | kept and read back, without effect |

use core::time::Duration;
use std::collections::BTreeMap;

use fdb::FlushScope;
use fdb::storm::ConsecutiveSettings;
use rrcp::device::RegisterSpace;
use rrcp::registers::{
    EgressTagMode, EgressTagModes, Faults, FloodControl, LinkState, LinkStates, MAX_PORTS, PortHalves,
    PvidIndices, Speed, VLAN_ENTRIES, VlanControl, VlanEntry,
};
use rrcp::wire::RegisterAddress;
use rrcp::{ClassicDetector, LoopDetector};
use vlan_table::dot1q::{AcceptableFrames, Bridge, PortConfig, TagType, Vlan};
use vlan_table::{PortId, PortMask, VlanId};

use crate::{Guard, NoGuard, Storm, Switch};

/// The registers that hold what was written to them, and the cables, which no register holds.
#[derive(Clone, Debug)]
pub struct Registers {
    stored: BTreeMap<u16, u16>,
    ports: PortMask,
    plugged: PortMask,
}

impl Registers {
    /// Registers after power-on for a switch of these ports (26 at most), all plugged in: VLANs off,
    /// all ports on.
    pub fn new(ports: PortMask) -> Self {
        let ports = ports.intersection(PortMask::first(MAX_PORTS));
        let rows = [
            0x020A..=0x021E, // rates, EEPROM, mirrors
            0x0300..=0x0302,
            0x0307..=0x0307,
            0x030B..=0x037E, // VLANs
            0x0500..=0x0502,
            0x0607..=0x0609,
            0x0700..=0x070C,
        ];
        let stored = rows.into_iter().flatten().map(|register| (register, 0)).collect();
        let mut registers = Self { stored, ports, plugged: ports };
        let all = VlanEntry { members: ports, vid_raw: VlanId::DEFAULT.get() };
        for (register, word) in (RegisterAddress::vlan_entry(0).0..).zip(all.to_words()) {
            registers.stored.insert(register, word);
        }
        registers
    }

    /// The registers over `switch`, to be read and written at `now`.
    pub const fn over<'a, G>(&'a mut self, now: Duration, switch: &'a mut Switch<G>) -> Window<'a, G> {
        Window { now, switch, registers: self }
    }

    /// Storm control of a switch with these registers, for [`Switch::set_storm`]: the chips' filter, or
    /// none.
    pub fn storm(&self) -> Storm {
        match self.storm_filter() {
            true => Storm::consecutive(ConsecutiveSettings::RTL8305),
            false => Storm::Off,
        }
    }

    fn storm_filter(&self) -> bool {
        FloodControl(self.word(RegisterAddress::FLOOD_CONTROL)).storm_filter()
    }

    fn word(&self, register: RegisterAddress) -> u16 {
        self.stored.get(&register.0).copied().unwrap_or_default()
    }

    fn halves(&self, low: RegisterAddress) -> PortMask {
        PortHalves { low: self.word(low), high: self.word(low.offset(1)) }.ports()
    }

    fn vlan_entry(&self, index: u8) -> VlanEntry {
        let first = RegisterAddress::vlan_entry(index);
        let entry = VlanEntry::from_words([0, 1, 2].map(|offset| self.word(first.offset(offset))));
        VlanEntry { members: entry.members.intersection(self.ports), ..entry }
    }

    /// The VLAN table as rules: what [`Switch::dot1q`] wants for a switch with these registers.
    ///
    /// Where tags do not count, they are payload: ports then look for service tags, which nobody
    /// sends to these switches, and each entry is a VLAN of its own that is named by its index.
    /// Where they count, a tag mode that is not "strip" leaves the tag on.
    pub fn rules(&self) -> Bridge {
        let control = VlanControl(self.word(RegisterAddress::VLAN_CONTROL));
        let mut bridge = Bridge::new(self.ports);
        if !control.vlans() {
            self.ports.iter().for_each(|port| set_port(&mut bridge, port, unaware(Some(VlanId::DEFAULT))));
            return bridge;
        }
        _ = bridge.remove_vlan(VlanId::DEFAULT);
        let vid_of = |index: u8| match control.tag_aware() {
            true => self.vlan_entry(index).vid(),
            false => VlanId::new(u16::from(index) + 1),
        };
        for index in 0..VLAN_ENTRIES {
            let members = self.vlan_entry(index).members;
            let strips = |port: &PortId| !control.tag_aware() || self.tag_mode(*port) == EgressTagMode::Strip;
            let untagged = members.iter().filter(strips).collect();
            if let Some(vid) = vid_of(index).filter(|_| !members.is_empty()) {
                // Of two entries for one VLAN the first counts.
                _ = bridge.add_vlan(vid, Vlan { members, untagged, fid: None });
            }
        }
        for port in self.ports {
            let indices = PvidIndices(self.word(RegisterAddress::PVID_INDICES.of_port_pair(port)));
            let pvid = vid_of(indices.of(port));
            let acceptable = match control.tagged_only() {
                true => AcceptableFrames::OnlyTagged,
                false => AcceptableFrames::All,
            };
            let config = match control.tag_aware() {
                false => unaware(pvid),
                true => PortConfig {
                    pvid,
                    acceptable,
                    ingress_filter: control.ingress_filter(),
                    ..PortConfig::default()
                },
            };
            set_port(&mut bridge, port, config);
        }
        bridge
    }

    fn tag_mode(&self, port: PortId) -> EgressTagMode {
        let register = RegisterAddress::EGRESS_TAG_MODES.offset(port.get() / EgressTagModes::PORTS);
        EgressTagModes(self.word(register)).of(port)
    }
}

/// Registers over a switch, for as long as it takes to handle a frame.
#[derive(Debug)]
pub struct Window<'a, G = NoGuard> {
    now: Duration,
    switch: &'a mut Switch<G>,
    registers: &'a mut Registers,
}

impl<G: Loops> Window<'_, G> {
    /// Says that the cable of `port` was plugged in or pulled out.
    pub fn set_cable(&mut self, port: PortId, plugged: bool) {
        let cables = self.registers.plugged;
        self.registers.plugged = if plugged { cables.with(port) } else { cables.without(port) };
        self.follow_links();
    }

    /// A link is up if there is a cable and the port is on.
    fn follow_links(&mut self) {
        let off = self.registers.halves(RegisterAddress::PORTS_OFF);
        let up = self.registers.plugged.difference(off);
        for port in self.registers.ports {
            if self.switch.links_up().contains(port) != up.contains(port) {
                _ = self.switch.set_link(self.now, port, up.contains(port));
            }
        }
    }

    fn counter(&self, offset: u16) -> u32 {
        let Some(port) = PortId::new(offset % MAX_PORTS) else { return 0 };
        let counters = self.switch.counters().port(port);
        let count = match offset / MAX_PORTS {
            0 => counters.received_bytes,
            1 => counters.sent_bytes,
            _ => counters.dropped,
        };
        // Counters of 32 bits wrap around.
        count as u32
    }

    fn links(&self, register: RegisterAddress) -> LinkStates {
        let first = (register.0 - RegisterAddress::LINK_STATES.0) * 2;
        let ports = [first, first + 1].into_iter().filter_map(PortId::new);
        ports
            .filter(|port| self.switch.links_up().contains(*port))
            .fold(LinkStates(0), |states, port| states.with(port, LinkState::up(Speed::Mbps100, true)))
    }
}

impl<G: Loops> RegisterSpace for Window<'_, G> {
    fn read(&mut self, register: RegisterAddress) -> Option<u32> {
        let looped = self.switch.guard().looped();
        Some(match register.0 {
            0x0101 => looped.bits() as u32,
            0x0102 => Faults(0).with_loop_fault(!looped.is_empty()).0.into(),
            0x0619..=0x0625 => self.links(register).0.into(),
            counter @ 0x070D..=0x075A => self.counter(counter - RegisterAddress::MIB_COUNTERS.0),
            other => u32::from(*self.registers.stored.get(&other)?),
        })
    }

    fn write(&mut self, register: RegisterAddress, data: u32) {
        let filtered = self.registers.storm_filter();
        if register == RegisterAddress::RESET {
            *self.registers =
                Registers { plugged: self.registers.plugged, ..Registers::new(self.registers.ports) };
        } else if let Some(word) = self.registers.stored.get_mut(&register.0) {
            *word = data as u16;
        }
        if self.registers.storm_filter() != filtered {
            self.switch.set_storm(self.registers.storm());
        }
        if matches!(register.0, 0x0000 | 0x030B..=0x037E) {
            // A switch that works by other rules keeps them.
            if let Some(bridge) = self.switch.dot1q_mut() {
                *bridge = self.registers.rules();
            }
            self.switch.database_mut().flush(self.now, FlushScope::ALL);
        }
        if matches!(register.0, 0x0000 | 0x0608..=0x0609) {
            self.follow_links();
        }
    }
}

/// A guard that can say which ports are in a loop, for register 0101.
pub trait Loops: Guard {
    /// Ports in a loop.
    fn looped(&self) -> PortMask;
}

impl Loops for NoGuard {
    fn looped(&self) -> PortMask {
        PortMask::EMPTY
    }
}

impl<const PORTS: usize> Loops for ClassicDetector<PORTS> {
    fn looped(&self) -> PortMask {
        PortMask::<1>::first(MAX_PORTS).iter().filter(|port| self.is_looped(*port)).collect()
    }
}

impl<const PORTS: usize, const VLANS: usize> Loops for LoopDetector<PORTS, VLANS> {
    fn looped(&self) -> PortMask {
        self.blocked_ports().collect()
    }
}

impl<G: Loops> Loops for Option<G> {
    fn looped(&self) -> PortMask {
        self.as_ref().map_or(PortMask::EMPTY, Loops::looped)
    }
}

/// A port that takes customer tags for payload.
fn unaware(pvid: Option<VlanId>) -> PortConfig {
    PortConfig { pvid, tag_type: TagType::Service, ..PortConfig::default() }
}

fn set_port(bridge: &mut Bridge, port: PortId, config: PortConfig) {
    // The bridge was made of these ports.
    _ = bridge.set_port(port, config);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Database, Outcome};

    const NOW: Duration = Duration::from_secs(1);

    struct Bench {
        switch: Switch,
        registers: Registers,
    }

    impl Bench {
        fn new() -> Self {
            let ports = PortMask::first(8);
            let registers = Registers::new(ports);
            let database = Database::hashed(64, [1, 2], fdb::Config::REALTEK);
            let mut switch = Switch::dot1q(registers.rules(), database);
            switch.set_storm(registers.storm());
            Self { switch, registers }
        }

        fn set(&mut self, register: RegisterAddress, data: u16) {
            self.registers.over(NOW, &mut self.switch).write(register, data.into());
        }

        fn get(&mut self, register: u16) -> Option<u32> {
            self.registers.over(NOW, &mut self.switch).read(RegisterAddress(register))
        }

        fn set_entry(&mut self, index: u8, members: &[u16], vid: u16) {
            let members = members.iter().map(|raw| port(*raw)).collect();
            let words = VlanEntry { members, vid_raw: vid }.to_words();
            for (offset, word) in (0..).zip(words) {
                self.set(RegisterAddress::vlan_entry(index).offset(offset), word);
            }
        }

        /// Where a broadcast from `from` goes.
        fn flooded(&mut self, from: u16, tag: &[u8]) -> Vec<u16> {
            let mut frame = vec![0xFF; 6];
            frame.extend([2, 0, 0, 0, 0, from as u8]);
            frame.extend(tag);
            frame.resize(60, 0);
            self.switch.receive(NOW, port(from), &frame).ports.iter().map(PortId::get).collect()
        }
    }

    fn port(raw: u16) -> PortId {
        PortId::new(raw).unwrap()
    }

    const IPV4: [u8; 2] = [0x08, 0x00];
    const VLAN_10: [u8; 6] = [0x81, 0x00, 0x00, 0x0A, 0x08, 0x00];

    #[test]
    fn with_vlans_off_every_port_reaches_every_port_tags_or_not() {
        let mut bench = Bench::new();
        for tag in [&IPV4[..], &VLAN_10] {
            assert_eq!(bench.flooded(3, tag), [0, 1, 2, 4, 5, 6, 7]);
        }
    }

    #[test]
    fn port_based_vlans_follow_the_entry_of_the_ingress_port() {
        let mut bench = Bench::new();
        bench.set_entry(1, &[0, 1, 2], 0);
        bench.set_entry(2, &[2, 3], 0);
        // Ports 0 and 1 in entry 1, ports 2 and 3 in entry 2
        bench.set(RegisterAddress::PVID_INDICES, 0x0101);
        bench.set(RegisterAddress::PVID_INDICES.offset(1), 0x0202);
        bench.set(RegisterAddress::VLAN_CONTROL, 0x01);
        for tag in [&IPV4[..], &VLAN_10] {
            assert_eq!(bench.flooded(0, tag), [1, 2]);
            assert_eq!(bench.flooded(3, tag), [2]);
        }
    }

    #[test]
    fn tagged_vlans_follow_the_tag_and_strip_where_told() {
        let mut bench = Bench::new();
        bench.set_entry(1, &[0, 1, 7], 10);
        bench.set(RegisterAddress::PVID_INDICES, 0x0101);
        bench.set(RegisterAddress::EGRESS_TAG_MODES, 0xC000); // port 7 leaves tags on
        bench.set(RegisterAddress::VLAN_CONTROL, 0x11);
        assert_eq!(bench.flooded(0, &IPV4), [1, 7]);
        assert_eq!(bench.flooded(7, &VLAN_10), [0, 1]);
        assert_eq!(bench.flooded(7, &IPV4), [0, 1, 2, 3, 4, 5, 6], "its PVID is still entry 0");
        let mut frame = vec![0xFF; 60];
        frame[6] = 2;
        let decision = bench.switch.receive(NOW, port(0), &frame);
        let lengths: Vec<_> = bench
            .switch
            .copies(&decision)
            .map(|copy| {
                let mut out = [0; 80];
                (
                    copy.ports.iter().map(PortId::get).collect::<Vec<_>>(),
                    copy.write(&frame, &mut out).unwrap(),
                )
            })
            .collect();
        assert!(lengths.contains(&(vec![1], 60)) && lengths.contains(&(vec![7], 64)), "{lengths:?}");
    }

    #[test]
    fn a_port_that_is_off_has_no_link_until_it_is_on_and_plugged() {
        let mut bench = Bench::new();
        assert_eq!(bench.get(0x061A), Some(0x9595), "ports 2 and 3: 100 Mbit/s, full duplex, up");
        bench.set(RegisterAddress::PORTS_OFF, 0b1000);
        assert_eq!(bench.get(0x061A), Some(0x0095));
        assert!(bench.flooded(3, &IPV4).is_empty());
        bench.registers.over(NOW, &mut bench.switch).set_cable(port(3), false);
        bench.set(RegisterAddress::PORTS_OFF, 0);
        assert_eq!(bench.get(0x061A), Some(0x0095));
        bench.registers.over(NOW, &mut bench.switch).set_cable(port(3), true);
        assert_eq!(bench.get(0x061A), Some(0x9595));
    }

    #[test]
    fn counters_count_bytes_and_drops() {
        let mut bench = Bench::new();
        bench.flooded(2, &IPV4);
        assert_eq!(bench.get(0x070D + 2), Some(60));
        assert_eq!(bench.get(0x0727 + 5), Some(60));
        let outcome = bench.switch.receive(NOW, port(2), &[0; 5]).outcome;
        assert!(matches!(outcome, Outcome::Dropped(_)));
        assert_eq!(bench.get(0x0741 + 2), Some(1));
    }

    #[test]
    fn what_the_storm_filter_drops_is_in_the_drop_counter_of_its_port() {
        let mut bench = Bench::new();
        for _ in 0..100 {
            bench.flooded(2, &IPV4);
        }
        assert_eq!(bench.get(0x0741 + 2), Some(36), "64 in a row pass");
        assert_eq!(bench.get(0x070D + 2), Some(6000), "all were received");
        assert_eq!(bench.get(0x0727 + 5), Some(64 * 60));
        bench.set(RegisterAddress::FLOOD_CONTROL, 0x10);
        for _ in 0..100 {
            bench.flooded(2, &IPV4);
        }
        assert_eq!(bench.get(0x0741 + 2), Some(36), "the filter is off");
    }

    #[test]
    fn a_reset_forgets_what_was_written_but_not_the_cables() {
        let mut bench = Bench::new();
        bench.registers.over(NOW, &mut bench.switch).set_cable(port(0), false);
        bench.set(RegisterAddress::VLAN_CONTROL, 0x11);
        bench.set(RegisterAddress::FLOOD_CONTROL, 0x10);
        assert!(!bench.registers.storm_filter());
        bench.set(RegisterAddress::RESET, 1);
        assert!(bench.registers.storm_filter());
        assert_eq!((bench.get(0x030B), bench.get(0x0619)), (Some(0), Some(0x9500)));
        assert_eq!(bench.flooded(3, &IPV4), [1, 2, 4, 5, 6, 7]);
        assert_eq!((bench.get(0x0BAD), bench.get(0x0101), bench.get(0x0102)), (None, Some(0), Some(0)));
    }
}
