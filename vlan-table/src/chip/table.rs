//! The compiled table: a frame is classified with three loads and one comparison.

use super::{Config, ConfigError, NonPvidScope, PortConfig, TagOp, UnawareTags, UnknownVid};
use crate::verdict::{Classified, DropReason, TagAction, Tags, tag};
use crate::{EtherType, Fid, Header, PortId, PortMask};

/// Slot of a VID that no entry has.
const MISS: u8 = 16;
/// Slot that lets nobody in.
const NOWHERE: u8 = 17;
/// Slot of everything while VLANs are disabled.
const FLAT: u8 = 18;
const SLOTS: usize = 32;

/// The VLAN table of a chip, ready to classify frames; 4.5 KiB without allocation.
///
/// See the [module documentation](super) for an example.
#[derive(Clone, Debug)]
pub struct Table {
    config: Config,
    /// VID to slot.
    slots: [u8; 4096],
    rows: [Row; SLOTS],
    ports: [Port; 16],
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
struct Row {
    vid: u16,
    /// Ports that frames of this VLAN may come in by.
    admit: u16,
    members: u16,
}

/// A port, as classification needs it.
#[derive(Clone, Copy, Debug, Default)]
struct Port {
    untagged_slot: u8,
    priority_slot: u8,
    /// Where a VID leads that no entry has.
    miss_slot: u8,
    learn: bool,
    pvid: u16,
    /// VID bits that must equal the PVID's.
    pvid_mask: u16,
    /// Ports that frames from here may leave by.
    reach: u16,
    /// The same for known unicast: `reach` if that leaks, else none in addition to the members.
    leak: u16,
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
            slots: [MISS; 4096],
            rows: [Row::default(); SLOTS],
            ports: [Port::default(); 16],
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
        for (slot, entry) in (0..self.config.model.entries).zip(self.config.entries).rev() {
            if let Some(to) = self.slots.get_mut(usize::from(entry.vid)) {
                *to = slot;
            }
            let members = entry.members.bits() as u16;
            let admit = if self.config.ingress_filter { members & rx } else { rx };
            self.set_row(slot, Row { vid: entry.vid, admit, members });
        }
        self.set_row(FLAT, Row { vid: 0, admit: rx, members: u16::MAX });
    }

    fn set_row(&mut self, slot: u8, row: Row) {
        if let Some(to) = self.rows.get_mut(usize::from(slot)) {
            *to = row;
        }
    }

    fn compile_ports(&mut self) {
        let config = self.config;
        let tx = self.ports_where(|port| port.tx_enabled);
        let scope = config.policies.non_pvid_scope;
        for ((number, from), to) in (0..config.model.ports).zip(config.ports).zip(&mut self.ports) {
            let own = if config.vlan_enabled { from.index } else { FLAT };
            let tagged_only = config.vlan_enabled && config.tagged_only;
            let closed = tagged_only || discards_untagged(&config, &from, scope);
            let closed_to_priority = discards_untagged(&config, &from, scope)
                || tagged_only && !config.policies.priority_tag_counts_as_tag;
            let reach = tx & !(1 << number);
            *to = Port {
                untagged_slot: if closed { NOWHERE } else { own },
                priority_slot: if closed_to_priority { NOWHERE } else { own },
                miss_slot: match config.policies.unknown_vid {
                    UnknownVid::PortBased => own,
                    UnknownVid::Drop => NOWHERE,
                },
                learn: from.learning,
                pvid: config.pvid(&from),
                pvid_mask: if config.vlan_enabled && from.discard_non_pvid { 0x0FFF } else { 0 },
                reach,
                leak: if config.vlan_enabled && config.unicast_leak { reach } else { 0 },
            };
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
        let vid = header.tci() & 0x0FFF;
        let tagged = u32::from(header.tpid().0) == self.tpid;
        let slot = self.slot(ingress, tagged, vid);
        let row = self.rows.get(usize::from(slot)).copied().unwrap_or_default();
        let foreign = tagged && vid != 0 && (vid ^ ingress.pvid) & ingress.pvid_mask != 0;
        if row.admit >> port.get() & 1 == 0 || foreign {
            return Err(self.refusal(port, tagged, vid));
        }
        let mut members = row.members & ingress.reach;
        if self.arp_leak && header.is_broadcast() && header.ether_type() == EtherType::ARP {
            members = ingress.reach;
        }
        let received = if u32::from(header.tpid().0) == self.tag_op_tpid { header.tag_word() } else { 0 };
        Ok(Classified {
            members: PortMask::from_bits(members.into()),
            reachable: PortMask::from_bits((members | ingress.leak).into()),
            fid: Fid::SHARED,
            learn: ingress.learn,
            tags: Tags {
                vid: row.vid,
                received,
                assigned: TPID << 16 | received & 0xF000 | u32::from(ingress.pvid),
            },
        })
    }

    #[inline]
    fn slot(&self, ingress: &Port, tagged: bool, vid: u16) -> u8 {
        let found = self.slots.get(usize::from(vid & 0x0FFF)).copied().unwrap_or(MISS);
        let by_vid = if found == MISS { ingress.miss_slot } else { found };
        let by_port = if tagged { ingress.priority_slot } else { ingress.untagged_slot };
        if tagged && vid != 0 { by_vid } else { by_port }
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
            (false, _) | (true, 0) if from.discard_non_pvid => DropReason::NotPvid,
            (true, vid) if from.discard_non_pvid && vid != self.config.pvid(from) => DropReason::NotPvid,
            (true, vid) if policies.unknown_vid == UnknownVid::Drop && !self.config.has_vid(vid) => {
                DropReason::UnknownVlan
            }
            _ => DropReason::NotMember,
        }
    }

    /// What `port` does to the tags of a frame that leaves by it. O(1).
    #[inline]
    pub fn egress(&self, frame: &Classified, port: PortId) -> TagAction {
        let has = |mask: u16| mask.checked_shr(port.get().into()).unwrap_or_default() & 1 == 1;
        let Tags { received, assigned, .. } = frame.tags;
        let replace_null = received & 0x0FFF == 0 && has(self.null_vid);
        match (received != 0, has(self.insert), has(self.remove)) {
            (true, _, _) if replace_null => TagAction::Rewrite(tag(assigned)),
            (true, true, true) => TagAction::Rewrite(tag(assigned)),
            (true, false, true) => TagAction::Pop,
            (false, true, _) => TagAction::Push(tag(assigned)),
            _ => TagAction::Keep,
        }
    }

    /// The copies of a frame that leaves by `ports`: ports with equal frames together. O(1).
    pub fn copies(&self, frame: &Classified, ports: PortMask) -> impl Iterator<Item = (TagAction, PortMask)> {
        let Tags { received, assigned, .. } = frame.tags;
        let [insert, remove, null_vid] =
            [self.insert, self.remove, self.null_vid].map(|mask| PortMask::from_bits(mask.into()));
        let (assign, pop) = if received == 0 {
            (insert, PortMask::EMPTY)
        } else {
            let replaced = if received & 0x0FFF == 0 { null_vid } else { PortMask::EMPTY };
            let rewrite = insert.intersection(remove).union(replaced);
            (rewrite, remove.difference(rewrite))
        };
        let tag = tag(assigned);
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

/// Whether "discard non-PVID" closes the port to frames without a VID.
fn discards_untagged(config: &Config, port: &PortConfig, scope: NonPvidScope) -> bool {
    config.vlan_enabled && port.discard_non_pvid && scope == NonPvidScope::TaggedAndUntagged
}

/// The only TPID that the chips know.
const TPID: u32 = EtherType::VLAN.0 as u32;
/// A TPID that no frame has.
const NEVER: u32 = u32::MAX;
