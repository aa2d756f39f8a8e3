//! The compiled table: a frame is classified with three loads and one comparison.

use super::{Config, ConfigError, PortConfig, TagOp, UnawareTags, UnknownVid};
use crate::verdict::{Classified, DropReason, Ingress, TagAction, Tags, tag};
use crate::{EtherType, Fid, Header, PortId, PortMask, TagEdit};

/// Slots from 0 are the entries of the table.
mod slot {
    /// A VID that no entry has: what that means depends on the port, see [`UNKNOWN`].
    pub(super) const MISS: u8 = 0xFF;
    /// Lets nobody in.
    pub(super) const NOWHERE: u8 = 16;
    /// Everything while VLANs are disabled.
    pub(super) const FLAT: u8 = 17;
    /// From here on, by port: frames whose VID no entry has.
    pub(super) const UNKNOWN: u8 = 18;
    /// How many there are, rounded up.
    pub(super) const COUNT: usize = 32;
}

/// The VLAN table of a chip, ready to classify frames; 4.9 KiB without allocation.
///
/// See the [module documentation](super) for an example.
#[derive(Clone, Debug)]
pub struct Table {
    config: Config,
    /// Slots by VID, then two for each port: of untagged and of priority-tagged frames. One table, so
    /// that nothing but an index is chosen.
    slots: [u8; 4096 + 2 * Config::MAX_PORTS],
    rows: [Row; slot::COUNT],
    ports: [Port; Config::MAX_PORTS],
    /// The TPID that is recognised; above 16 bits, so never met, if none is.
    tpid: u32,
    /// The same for tag operations.
    tag_op_tpid: u32,
    /// Broadcast ARP goes everywhere.
    arp_leak: bool,
    /// Ports by tag operation.
    insert: u16,
    remove: u16,
    null_vid: u16,
}

/// A VLAN, as classification needs it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(8))]
struct Row {
    /// Ports that frames of this VLAN may come in by.
    admit: u16,
    members: u16,
    vid: u16,
}

/// A port, as classification needs it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(8))]
struct Port {
    /// Ports that frames from here may leave by.
    reach: u16,
    /// The same for known unicast: `reach` if that leaks, else none in addition to the members.
    leak: u16,
    pvid: u16,
    learn: bool,
}

impl Table {
    /// Checks `config` and compiles it. O(4096).
    ///
    /// Of entries with equal VIDs the lowest counts: the chip searches in parallel, and what it does
    /// then is not documented.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting that the model cannot hold.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let mut table = Self {
            config,
            slots: [slot::MISS; 4096 + 2 * Config::MAX_PORTS],
            rows: [Row::default(); slot::COUNT],
            ports: [Port::default(); Config::MAX_PORTS],
            tpid: if config.vlan_enabled && config.tag_aware { TPID } else { NEVER },
            tag_op_tpid: NEVER,
            arp_leak: config.vlan_enabled && config.arp_leak,
            insert: 0,
            remove: 0,
            null_vid: 0,
        };
        table.compile_entries();
        table.compile_ports();
        table.compile_tag_ops();
        Ok(table)
    }

    fn compile_entries(&mut self) {
        let rx = self.ports_where(|port| port.rx_enabled);
        let particular = self.ports_where(|port| port.discard_non_pvid);
        for (slot, entry) in (0..self.config.model.entries).zip(self.config.entries).rev() {
            if let Some(to) = self.slots.get_mut(usize::from(entry.vid)) {
                *to = slot;
            }
            let members = entry.members.bits() as u16;
            let filtered = if self.config.ingress_filter { members & rx } else { rx };
            // Ports that discard other VIDs than their own take their own.
            let own = self.ports_where(|port| self.config.pvid(port) == entry.vid);
            self.set_row(slot, Row { admit: filtered & (own | !particular), members, vid: entry.vid });
        }
        self.set_row(slot::FLAT, Row { admit: rx, members: u16::MAX, vid: 0 });
    }

    fn set_row(&mut self, slot: u8, row: Row) {
        if let Some(to) = self.rows.get_mut(usize::from(slot)) {
            *to = row;
        }
    }

    fn compile_ports(&mut self) {
        let config = self.config;
        let tx = self.ports_where(|port| port.tx_enabled);
        for (number, from) in (0..config.model.ports).zip(config.ports) {
            let own = if config.vlan_enabled { from.index } else { slot::FLAT };
            for (tagged, offset) in [(false, 0), (true, 1)] {
                let place = own_place(number.into()) + offset;
                if let Some(to) = self.slots.get_mut(place) {
                    *to = if config.admits_without_vid(&from, tagged) { own } else { slot::NOWHERE };
                }
            }
            let unknown = match config.policies.unknown_vid {
                UnknownVid::PortBased if !from.discard_non_pvid => self.row(own),
                UnknownVid::PortBased | UnknownVid::Drop => Row::default(),
            };
            self.set_row(slot::UNKNOWN + number, unknown);
            let reach = tx & !(1 << number);
            if let Some(to) = self.ports.get_mut(usize::from(number)) {
                *to = Port {
                    reach,
                    leak: if config.vlan_enabled && config.unicast_leak { reach } else { 0 },
                    pvid: config.pvid(&from),
                    learn: from.learning,
                };
            }
        }
    }

    fn compile_tag_ops(&mut self) {
        let policies = self.config.policies;
        if !self.config.vlan_enabled && !policies.tag_ops_without_vlan {
            return;
        }
        if self.config.tag_aware || policies.unaware_tags == UnawareTags::Seen {
            self.tag_op_tpid = TPID;
        }
        self.insert = self.ports_where(|port| matches!(port.tag_op, TagOp::Insert | TagOp::Replace));
        self.remove = self.ports_where(|port| matches!(port.tag_op, TagOp::Remove | TagOp::Replace));
        self.null_vid = self.ports_where(|port| {
            port.null_vid_replacement
                && (port.tag_op == TagOp::Insert
                    || port.tag_op == TagOp::Remove && policies.null_vid_before_remove)
        });
    }

    fn ports_where(&self, predicate: impl Fn(&PortConfig) -> bool) -> u16 {
        let ports = (0..self.config.model.ports).zip(&self.config.ports);
        ports.filter(|(_, port)| predicate(port)).fold(0, |mask, (number, _)| mask | 1 << number)
    }

    /// The settings that the table was made of.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Which VLAN a frame that arrives on `port` belongs to, and where it may go. O(1).
    ///
    /// # Errors
    /// [`DropReason`] if an ingress rule discards the frame.
    #[inline]
    pub fn classify(&self, port: PortId, header: &Header) -> Result<Classified, DropReason> {
        let Some(ingress) = self.ports.get(port.index()) else { return Err(DropReason::NoSuchPort) };
        let word = header.tag_word();
        let tagged = word >> 16 == self.tpid;
        let vid = word as u16 & 0x0FFF;
        let by_vid = tagged & (vid != 0);
        let own_place = own_place(port.index()) | usize::from(tagged);
        let place = if by_vid { usize::from(vid) } else { own_place };
        let found = self.slots.get(place).copied().unwrap_or(slot::MISS);
        // The highest slots are those of unknown VIDs, so that a miss is the larger number.
        let row = self.row(found.min(slot::UNKNOWN + port.get() as u8));
        if row.admit >> port.get() & 1 == 0 {
            return Err(self.refusal(port, tagged, vid));
        }
        let mut members = row.members & ingress.reach;
        if self.arp_leak && header.is_broadcast() && header.ether_type() == EtherType::ARP {
            members = ingress.reach;
        }
        let seen = u32::from(mask(word >> 16 == self.tag_op_tpid));
        let received = word & (seen << 16 | seen);
        Ok(Classified {
            members: PortMask::from_bits(members.into()),
            reachable: PortMask::from_bits((members | ingress.leak).into()),
            fid: Fid::SHARED,
            learn: ingress.learn,
            tags: Tags { received, vid: row.vid, assigned_vid: ingress.pvid, ingress: INGRESS },
        })
    }

    #[inline]
    fn row(&self, slot: u8) -> Row {
        self.rows.get(usize::from(slot) % slot::COUNT).copied().unwrap_or_default()
    }

    /// Why the frame was discarded: the rules again, one by one.
    #[cold]
    fn refusal(&self, port: PortId, tagged: bool, vid: u16) -> DropReason {
        let Some(from) = self.config.port(port) else { return DropReason::NoSuchPort };
        let policies = self.config.policies;
        if !from.rx_enabled {
            return DropReason::PortState;
        }
        match (tagged, vid) {
            (false, _) if self.config.tagged_only => DropReason::Untagged,
            (true, 0) if self.config.tagged_only && !policies.priority_tag_counts_as_tag => {
                DropReason::PriorityTagged
            }
            (false, _) | (true, 0) if !self.config.admits_without_vid(from, tagged) => DropReason::NotPvid,
            (true, 1..) if from.discard_non_pvid && vid != self.config.pvid(from) => DropReason::NotPvid,
            (true, 1..) if policies.unknown_vid == UnknownVid::Drop && !self.config.has_vid(vid) => {
                DropReason::UnknownVlan
            }
            _ => DropReason::NotMember,
        }
    }

    /// What `port` does to the tags of a frame that leaves by it. O(1).
    #[inline]
    pub fn egress(&self, frame: &Classified, port: PortId) -> TagAction {
        self.edit(frame, port).action()
    }

    /// [`egress`](Self::egress) for a data path.
    #[inline]
    pub fn edit(&self, frame: &Classified, port: PortId) -> TagEdit {
        let has = |mask: u16| mask.checked_shr(port.get().into()).unwrap_or_default() & 1 == 1;
        let received = frame.tags.received;
        let rewritten = has(self.insert) & has(self.remove) || received & 0x0FFF == 0 && has(self.null_vid);
        match received != 0 {
            true if rewritten => TagEdit::new(1, [frame.tags.assigned(), 0]),
            true if has(self.remove) => TagEdit::new(1, [0; 2]),
            false if has(self.insert) => TagEdit::new(0, [frame.tags.assigned(), 0]),
            _ => TagEdit::KEEP,
        }
    }

    /// The copies of a frame that leaves by `ports`: ports with equal frames together. O(1).
    pub fn copies(&self, frame: &Classified, ports: PortMask) -> impl Iterator<Item = (TagAction, PortMask)> {
        let received = frame.tags.received;
        let [insert, remove, null_vid] =
            [self.insert, self.remove, self.null_vid].map(|mask| PortMask::from_bits(mask.into()));
        let (assign, pop) = if received == 0 {
            (insert, PortMask::EMPTY)
        } else {
            let replaced = if received & 0x0FFF == 0 { null_vid } else { PortMask::EMPTY };
            let rewrite = insert.intersection(remove).union(replaced);
            (rewrite, remove.difference(rewrite))
        };
        let tag = tag(frame.tags.assigned());
        let tagged = if received == 0 { TagAction::Push(tag) } else { TagAction::Rewrite(tag) };
        let keep = ports.difference(assign).difference(pop);
        [
            (TagAction::Keep, keep),
            (TagAction::Pop, pop.intersection(ports)),
            (tagged, assign.intersection(ports)),
        ]
        .into_iter()
        .filter(|(_, ports)| !ports.is_empty())
    }
}

/// Where the slot of a port's untagged frames stands; that of priority-tagged ones is the next.
#[inline]
const fn own_place(port: usize) -> usize {
    4096 + 2 * port
}

/// All ones if `condition` holds.
#[inline]
const fn mask(condition: bool) -> u16 {
    (condition as u16).wrapping_neg()
}

/// The only TPID that the chips know.
const TPID: u32 = EtherType::VLAN.0 as u32;
/// Priorities stay what they are; untagged frames have none.
const INGRESS: Ingress = Ingress { priorities: 0o0_7654_3210, tpid: EtherType::VLAN.0 };
/// A TPID that no frame has.
const NEVER: u32 = u32::MAX;
