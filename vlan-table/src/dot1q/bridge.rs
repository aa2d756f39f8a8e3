//! The compiled bridge: per port a row of a few bytes, per VLAN two port sets.

use super::{AcceptableFrames, ConfigError, Membership, PortConfig, PortState, TagType};
use crate::verdict::{Classified, DropReason, TagAction, Tags, tag};
use crate::{Fid, Header, PortId, PortMask, VlanId};

/// Row number of a VID that has no row.
const NO_ROW: u16 = u16::MAX;

/// A VLAN bridge with room for `VLANS` VLANs and `64 * WORDS` ports, without allocation.
///
/// It takes 16 KiB and `16 * WORDS` bytes per VLAN, so a bridge for all 4094 VLANs wants a `Box`.
/// See the [module documentation](super) for an example.
#[derive(Clone, Debug)]
pub struct Bridge<const VLANS: usize = 4094, const WORDS: usize = 1> {
    ports: PortMask<WORDS>,
    /// Ports without ingress filter.
    unfiltered: PortMask<WORDS>,
    forwarding: PortMask<WORDS>,
    isolated: PortMask<WORDS>,
    /// Ports that send service tags.
    service: PortMask<WORDS>,
    /// By VID.
    vids: [Vid; 4096],
    rows: [Row<WORDS>; VLANS],
    used: usize,
    port_rows: [[Port; 64]; WORDS],
}

#[derive(Clone, Copy, Debug)]
struct Vid {
    row: u16,
    fid: u16,
}

/// A VLAN.
#[derive(Clone, Copy, Debug)]
struct Row<const WORDS: usize> {
    members: PortMask<WORDS>,
    untagged: PortMask<WORDS>,
}

/// A port, as classification needs it.
#[derive(Clone, Copy, Debug)]
struct Port {
    tpid: u16,
    /// 0 if there is none.
    pvid: u16,
    /// Priority of untagged frames, where a tag has it.
    default_tci: u16,
    /// Bit 0: untagged frames are let in, bit 1: priority-tagged, bit 2: VLAN-tagged.
    accept: u8,
    forwards: bool,
    learns: bool,
    config: PortConfig,
}

const UNTAGGED: u8 = 0b001;
const PRIORITY: u8 = 0b010;
const TAGGED: u8 = 0b100;

impl Port {
    fn new(config: PortConfig) -> Self {
        let accept = match config.acceptable {
            AcceptableFrames::All => UNTAGGED | PRIORITY | TAGGED,
            AcceptableFrames::OnlyTagged => TAGGED,
            AcceptableFrames::OnlyUntaggedAndPriority => UNTAGGED | PRIORITY,
        };
        Self {
            tpid: config.tag_type.tpid().0,
            pvid: config.pvid.map_or(0, VlanId::get),
            default_tci: u16::from(config.default_priority.get()) << 13,
            accept: if config.state >= PortState::Learning { accept } else { 0 },
            forwards: config.state == PortState::Forwarding,
            learns: config.learning && config.state >= PortState::Learning,
            config,
        }
    }
}

impl<const VLANS: usize, const WORDS: usize> Bridge<VLANS, WORDS> {
    /// A bridge with these ports, each with the [default](PortConfig::default) settings and an untagged
    /// member of VLAN 1 (if there is room for a VLAN), as the standard has it.
    pub fn new(ports: PortMask<WORDS>) -> Self {
        let empty = Row { members: PortMask::EMPTY, untagged: PortMask::EMPTY };
        let mut bridge = Self {
            ports,
            unfiltered: PortMask::EMPTY,
            forwarding: PortMask::EMPTY,
            isolated: PortMask::EMPTY,
            service: PortMask::EMPTY,
            vids: core::array::from_fn(|vid| Vid { row: NO_ROW, fid: vid as u16 }),
            rows: [empty; VLANS],
            used: 0,
            port_rows: [[Port::new(PortConfig::default()); 64]; WORDS],
        };
        for port in ports {
            _ = bridge.set_port(port, PortConfig::default());
            _ = bridge.join(VlanId::DEFAULT, port, Membership::Untagged);
        }
        bridge
    }

    /// Replaces the settings of a port. O(1).
    ///
    /// Dynamic entries of the forwarding database that were learned on the port may be wrong now:
    /// flush them.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchPort`].
    pub fn set_port(&mut self, port: PortId, config: PortConfig) -> Result<(), ConfigError> {
        self.known(port)?;
        let put = |set: PortMask<WORDS>, is_in| if is_in { set.with(port) } else { set.without(port) };
        self.unfiltered = put(self.unfiltered, !config.ingress_filter);
        self.forwarding = put(self.forwarding, config.state == PortState::Forwarding);
        self.isolated = put(self.isolated, config.isolated);
        self.service = put(self.service, config.tag_type == TagType::Service);
        let words = self.port_rows.get_mut(port.index() / 64);
        if let Some(row) = words.and_then(|word| word.get_mut(port.index() % 64)) {
            *row = Port::new(config);
        }
        Ok(())
    }

    /// The settings of a port; `None` if the bridge does not have it.
    pub fn port(&self, port: PortId) -> Option<&PortConfig> {
        self.port_row(port).filter(|_| self.ports.contains(port)).map(|row| &row.config)
    }

    /// The ports of the bridge.
    pub const fn ports(&self) -> PortMask<WORDS> {
        self.ports
    }

    /// Makes `port` a member of a VLAN, which is created if there is none; the VLAN gets a forwarding
    /// database of its own unless [`set_fid`](Self::set_fid) says otherwise. O(1).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchPort`], [`ConfigError::TableFull`].
    pub fn join(&mut self, vid: VlanId, port: PortId, how: Membership) -> Result<(), ConfigError> {
        self.known(port)?;
        let row = self.row_or_new(vid)?;
        row.members = row.members.with(port);
        row.untagged = match how {
            Membership::Untagged => row.untagged.with(port),
            Membership::Tagged => row.untagged.without(port),
        };
        Ok(())
    }

    /// Ends the membership of `port` in a VLAN; nothing happens if it is no member. O(1).
    pub fn leave(&mut self, vid: VlanId, port: PortId) {
        if let Some(row) = self.row_mut(vid) {
            row.members = row.members.without(port);
            row.untagged = row.untagged.without(port);
        }
    }

    /// Puts a VLAN into a forwarding database, shared with all VLANs that have the same identifier.
    ///
    /// Entries that were learned for the VLAN so far are in the wrong database: flush the old one.
    pub fn set_fid(&mut self, vid: VlanId, fid: Fid) {
        if let Some(entry) = self.vids.get_mut(usize::from(vid.get())) {
            entry.fid = fid.get();
        }
    }

    /// The members of a VLAN; none if it is not configured.
    pub fn members(&self, vid: VlanId) -> PortMask<WORDS> {
        self.row(vid.get()).map_or(PortMask::EMPTY, |row| row.members)
    }

    /// The members of a VLAN that its frames leave by untagged.
    pub fn untagged(&self, vid: VlanId) -> PortMask<WORDS> {
        self.row(vid.get()).map_or(PortMask::EMPTY, |row| row.untagged)
    }

    /// Looks for settings that cannot have been meant. O(ports).
    ///
    /// # Errors
    /// [`ConfigError::PvidNotMember`] for the lowest port that would discard all untagged frames.
    pub fn check(&self) -> Result<(), ConfigError> {
        for port in self.ports {
            let Some(row) = self.port_row(port).filter(|row| row.accept & UNTAGGED != 0) else { continue };
            if let Some(vid) = row.config.pvid.filter(|vid| !self.members(*vid).contains(port)) {
                if row.config.ingress_filter {
                    return Err(ConfigError::PvidNotMember { port, vid });
                }
            }
        }
        Ok(())
    }

    /// Which VLAN a frame that arrives on `port` belongs to, and where it may go (6.9, 8.6.1, 8.6.2,
    /// 8.6.4). O(1).
    ///
    /// # Errors
    /// [`DropReason`] if an ingress rule discards the frame, which must not be learned then.
    #[inline]
    pub fn classify(&self, port: PortId, header: &Header) -> Result<Classified<WORDS>, DropReason> {
        let Some(ingress) = self.port_row(port) else { return Err(DropReason::NoSuchPort) };
        let tagged = header.tpid().0 == ingress.tpid;
        let vid = if tagged { header.tci() & 0x0FFF } else { 0 };
        let kind = match (tagged, vid) {
            (false, _) => UNTAGGED,
            (true, 0) => PRIORITY,
            (true, _) => TAGGED,
        };
        let vid = if vid == 0 { ingress.pvid } else { vid };
        let Some(entry) = self.vids.get(usize::from(vid & 0x0FFF)) else {
            return Err(DropReason::UnknownVlan);
        };
        let row = self.rows.get(usize::from(entry.row));
        let Some(row) = row.filter(|row| {
            ingress.accept & kind != 0
                && !row.members.is_empty()
                && row.members.union(self.unfiltered).contains(port)
        }) else {
            return Err(self.refusal(port, kind, vid));
        };
        let mut members = row.members.intersection(self.forwarding).without(port);
        if ingress.config.isolated {
            members = members.difference(self.isolated);
        }
        if !ingress.forwards {
            members = PortMask::EMPTY;
        }
        let tci = if tagged { header.tci() & 0xF000 } else { ingress.default_tci } | vid;
        Ok(Classified {
            members,
            reachable: members,
            fid: Fid::masked(entry.fid),
            learn: ingress.learns,
            tags: Tags {
                vid,
                received: if tagged { header.tag_word() } else { 0 },
                assigned: u32::from(ingress.tpid) << 16 | u32::from(tci),
            },
        })
    }

    /// Why the frame was discarded: the rules again, one by one.
    #[cold]
    fn refusal(&self, port: PortId, kind: u8, vid: u16) -> DropReason {
        let Some(config) = self.port(port) else { return DropReason::NoSuchPort };
        if config.state < PortState::Learning {
            return DropReason::PortState;
        }
        match (config.acceptable, kind) {
            (AcceptableFrames::OnlyTagged, UNTAGGED) => return DropReason::Untagged,
            (AcceptableFrames::OnlyTagged, PRIORITY) => return DropReason::PriorityTagged,
            (AcceptableFrames::OnlyUntaggedAndPriority, TAGGED) => return DropReason::Tagged,
            _ => {}
        }
        match vid {
            0 => DropReason::NoPvid,
            4095 => DropReason::ReservedVid,
            vid if self.row(vid).is_none_or(|row| row.members.is_empty()) => DropReason::UnknownVlan,
            _ => DropReason::NotMember,
        }
    }

    /// What `port` does to the tags of a frame that leaves by it (8.8.10, 6.9). O(1).
    #[inline]
    pub fn egress(&self, frame: &Classified<WORDS>, port: PortId) -> TagAction {
        let Tags { vid, received, assigned } = frame.tags;
        if self.row(vid).is_some_and(|row| row.untagged.contains(port)) {
            return if received == 0 { TagAction::Keep } else { TagAction::Pop };
        }
        let service = self.service.contains(port);
        let tpid = if service { TagType::Service } else { TagType::Customer }.tpid();
        let wanted = u32::from(tpid.0) << 16 | assigned & 0xFFFF;
        match received {
            0 => TagAction::Push(tag(wanted)),
            _ if received == wanted => TagAction::Keep,
            _ => TagAction::Rewrite(tag(wanted)),
        }
    }

    fn known(&self, port: PortId) -> Result<(), ConfigError> {
        if self.ports.contains(port) { Ok(()) } else { Err(ConfigError::NoSuchPort { port }) }
    }

    #[inline]
    fn port_row(&self, port: PortId) -> Option<&Port> {
        self.port_rows.get(port.index() / 64)?.get(port.index() % 64)
    }

    #[inline]
    fn row(&self, vid: u16) -> Option<&Row<WORDS>> {
        self.rows.get(usize::from(self.vids.get(usize::from(vid))?.row))
    }

    fn row_mut(&mut self, vid: VlanId) -> Option<&mut Row<WORDS>> {
        self.rows.get_mut(usize::from(self.vids.get(usize::from(vid.get()))?.row))
    }

    fn row_or_new(&mut self, vid: VlanId) -> Result<&mut Row<WORDS>, ConfigError> {
        let full = ConfigError::TableFull { vid, capacity: VLANS };
        let entry = self.vids.get_mut(usize::from(vid.get())).ok_or(full)?;
        if entry.row == NO_ROW && self.used < VLANS {
            entry.row = self.used as u16;
            self.used += 1;
        }
        self.rows.get_mut(usize::from(entry.row)).ok_or(full)
    }
}
