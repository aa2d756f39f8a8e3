//! Changing a bridge: ports, VLANs, memberships, forwarding databases.

use super::bridge::{PortRow, Row, Vid};
use super::{Bridge, ConfigError, Flush, Membership, PortConfig, PortState, TagType, Vlan};
use crate::{Fid, PortId, PortMask, VlanId};

impl<const VLANS: usize, const WORDS: usize> Bridge<VLANS, WORDS> {
    /// A bridge with these ports, each with the [default](PortConfig::default) settings and an untagged
    /// member of VLAN 1 (if there is room for a VLAN), as the standard has it.
    pub fn new(ports: PortMask<WORDS>) -> Self {
        let mut bridge = Self {
            ports,
            unfiltered: ports,
            forwarding: ports,
            isolated: PortMask::EMPTY,
            service: PortMask::EMPTY,
            priority_tags: PortMask::EMPTY,
            always_priority_tags: PortMask::EMPTY,
            port_rows: [[PortRow::new(&PortConfig::default()); 64]; WORDS],
            configs: [[PortConfig::default(); 64]; WORDS],
            vids: core::array::from_fn(|vid| Vid { row: Vid::REST, fid: vid as u16 }),
            rows: [Row::EMPTY; VLANS],
            used: 0,
            rest: Row::EMPTY,
            nowhere: Row::EMPTY,
        };
        for vid in [0, 4095] {
            if let Some(entry) = bridge.vids.get_mut(vid) {
                entry.row = Vid::NOWHERE;
            }
        }
        _ = bridge.add_vlan(VlanId::DEFAULT, Vlan { members: ports, untagged: ports, fid: None });
        bridge
    }

    /// The ports of the bridge.
    pub const fn ports(&self) -> PortMask<WORDS> {
        self.ports
    }

    /// The settings of a port; `None` if the bridge does not have it.
    pub fn port(&self, port: PortId) -> Option<&PortConfig> {
        let configs = self.configs.get(port.index() / 64)?;
        configs.get(port.index() % 64).filter(|_| self.ports.contains(port))
    }

    /// Replaces the settings of a port. O(1).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchPort`].
    pub fn set_port(&mut self, port: PortId, config: PortConfig) -> Result<Flush, ConfigError> {
        let old = *self.port(port).ok_or(ConfigError::NoSuchPort { port })?;
        let put = |set: PortMask<WORDS>, is_in| if is_in { set.with(port) } else { set.without(port) };
        let (priority_tags, always) = config.priority_tags.sets();
        self.unfiltered = put(self.unfiltered, !config.ingress_filter);
        self.forwarding = put(self.forwarding, config.state == PortState::Forwarding);
        self.isolated = put(self.isolated, config.isolated);
        self.service = put(self.service, config.tag_type == TagType::Service);
        self.priority_tags = put(self.priority_tags, priority_tags);
        self.always_priority_tags = put(self.always_priority_tags, always);
        let (word, bit) = (port.index() / 64, port.index() % 64);
        if let Some(row) = self.port_rows.get_mut(word).and_then(|rows| rows.get_mut(bit)) {
            *row = PortRow::new(&config);
        }
        if let Some(to) = self.configs.get_mut(word).and_then(|configs| configs.get_mut(bit)) {
            *to = config;
        }
        let went_down = old.state >= PortState::Learning && config.state < PortState::Learning;
        let other_vlans = old.pvid != config.pvid || old.tag_type != config.tag_type;
        Ok(if went_down || other_vlans { Flush::Port(port) } else { Flush::Nothing })
    }

    /// Changes what the spanning tree, or the link, allows a port. O(1).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchPort`].
    pub fn set_state(&mut self, port: PortId, state: PortState) -> Result<Flush, ConfigError> {
        let config = *self.port(port).ok_or(ConfigError::NoSuchPort { port })?;
        self.set_port(port, PortConfig { state, ..config })
    }

    /// Configures a VLAN that is not there yet. O(1).
    ///
    /// # Errors
    /// [`ConfigError::DuplicateVlan`], [`ConfigError::TableFull`], [`ConfigError::NoSuchPort`] for a
    /// member, [`ConfigError::UntaggedNotMember`].
    pub fn add_vlan(&mut self, vid: VlanId, vlan: Vlan<WORDS>) -> Result<(), ConfigError> {
        if self.is_configured(vid) {
            return Err(ConfigError::DuplicateVlan { vid });
        }
        if let Some(port) = vlan.members.difference(self.ports).iter().next() {
            return Err(ConfigError::NoSuchPort { port });
        }
        if let Some(port) = vlan.untagged.difference(vlan.members).iter().next() {
            return Err(ConfigError::UntaggedNotMember { vid, port });
        }
        *self.row_or_new(vid)? = Row { members: vlan.members, untagged: vlan.untagged };
        if let Some(fid) = vlan.fid {
            _ = self.set_fid(vid, fid);
        }
        Ok(())
    }

    /// Ends a VLAN; frames that carry its VID are of an unknown VLAN from now on. O(4096).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchVlan`].
    pub fn remove_vlan(&mut self, vid: VlanId) -> Result<Flush, ConfigError> {
        if !self.is_configured(vid) {
            return Err(ConfigError::NoSuchVlan { vid });
        }
        let last = self.used.saturating_sub(1);
        let moved = self.rows.get(last).copied().unwrap_or(Row::EMPTY);
        let Some(entry) = self.vids.get_mut(usize::from(vid.get())) else { return Ok(Flush::Nothing) };
        let (freed, fid) = (entry.row, entry.fid);
        *entry = Vid { row: Vid::REST, fid: vid.get() };
        // The last row moves into the gap.
        if let Some(entry) = self.vids.iter_mut().find(|entry| usize::from(entry.row) == last) {
            entry.row = freed;
        }
        if let Some(row) = self.rows.get_mut(usize::from(freed)) {
            *row = moved;
        }
        self.used = last;
        Ok(Flush::Fid(Fid::masked(fid)))
    }

    /// Makes `port` a member of a VLAN, which is configured if it was not; the VLAN gets a forwarding
    /// database of its own unless [`set_fid`](Self::set_fid) says otherwise. O(1).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchPort`], [`ConfigError::TableFull`].
    pub fn join(&mut self, vid: VlanId, port: PortId, how: Membership) -> Result<(), ConfigError> {
        if !self.ports.contains(port) {
            return Err(ConfigError::NoSuchPort { port });
        }
        self.row_or_new(vid)?.join(port, how);
        Ok(())
    }

    /// Ends the membership of `port` in a VLAN; nothing happens if it is no member. O(1).
    pub fn leave(&mut self, vid: VlanId, port: PortId) -> Flush {
        let Some(entry) = self.vids.get(usize::from(vid.get())).copied() else { return Flush::Nothing };
        match self.rows.get_mut(usize::from(entry.row)) {
            Some(row) if row.members.contains(port) => {
                row.leave(port);
                Flush::PortAndFid(port, Fid::masked(entry.fid))
            }
            _ => Flush::Nothing,
        }
    }

    /// Makes `port` a tagged member of all 4094 VLANs, those included that nobody configured. O(VLANs).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchPort`].
    pub fn join_all(&mut self, port: PortId) -> Result<(), ConfigError> {
        if !self.ports.contains(port) {
            return Err(ConfigError::NoSuchPort { port });
        }
        self.rest.join(port, Membership::Tagged);
        for row in self.rows.iter_mut().take(self.used) {
            row.join(port, Membership::Tagged);
        }
        Ok(())
    }

    /// Ends all memberships of `port`. O(VLANs).
    pub fn leave_all(&mut self, port: PortId) -> Flush {
        self.rest.leave(port);
        for row in self.rows.iter_mut().take(self.used) {
            row.leave(port);
        }
        Flush::Port(port)
    }

    /// Puts a VLAN into a forwarding database, shared with all VLANs that have the same identifier. At
    /// first every VLAN has the identifier that equals its VID. O(1).
    pub fn set_fid(&mut self, vid: VlanId, fid: Fid) -> Flush {
        match self.vids.get_mut(usize::from(vid.get())) {
            Some(entry) if entry.fid != fid.get() => {
                Flush::Fid(Fid::masked(core::mem::replace(&mut entry.fid, fid.get())))
            }
            _ => Flush::Nothing,
        }
    }

    /// Whether a VLAN has been configured, by [`add_vlan`](Self::add_vlan) or [`join`](Self::join).
    pub fn is_configured(&self, vid: VlanId) -> bool {
        self.vids.get(usize::from(vid.get())).is_some_and(|entry| entry.row != Vid::REST)
    }

    /// What is configured of a VLAN; for one that is not, the ports that are members of all.
    pub fn vlan(&self, vid: VlanId) -> Vlan<WORDS> {
        let (row, fid) = self.row(vid.get());
        Vlan { members: row.members, untagged: row.untagged, fid: Some(Fid::masked(fid)) }
    }

    /// The configured VLANs, by ascending VID. O(4094).
    pub fn vlans(&self) -> impl Iterator<Item = (VlanId, Vlan<WORDS>)> + '_ {
        VlanId::all().filter(|vid| self.is_configured(*vid)).map(|vid| (vid, self.vlan(vid)))
    }

    /// Looks for settings that cannot have been meant. O(ports).
    ///
    /// # Errors
    /// [`ConfigError::PvidNotMember`] for the lowest port that would discard all untagged frames.
    pub fn check(&self) -> Result<(), ConfigError> {
        for port in self.ports {
            let (Some(row), Some(config)) = (self.port_row(port), self.port(port)) else { continue };
            let foreign = config.pvid.filter(|vid| !self.vlan(*vid).members.contains(port));
            if let Some(vid) = foreign.filter(|_| config.ingress_filter && row.takes_untagged()) {
                return Err(ConfigError::PvidNotMember { port, vid });
            }
        }
        Ok(())
    }

    /// How many more VLANs can be configured.
    pub const fn room(&self) -> usize {
        VLANS - self.used
    }

    fn row_or_new(&mut self, vid: VlanId) -> Result<&mut Row<WORDS>, ConfigError> {
        let full = ConfigError::TableFull { vid, capacity: VLANS };
        let entry = self.vids.get_mut(usize::from(vid.get())).ok_or(full)?;
        if entry.row == Vid::REST {
            *self.rows.get_mut(self.used).ok_or(full)? = self.rest;
            entry.row = self.used as u16;
            self.used += 1;
        }
        self.rows.get_mut(usize::from(entry.row)).ok_or(full)
    }
}

impl<const WORDS: usize> Row<WORDS> {
    fn join(&mut self, port: PortId, how: Membership) {
        self.members = self.members.with(port);
        self.untagged = match how {
            Membership::Untagged => self.untagged.with(port),
            Membership::Tagged => self.untagged.without(port),
        };
    }

    fn leave(&mut self, port: PortId) {
        self.members = self.members.without(port);
        self.untagged = self.untagged.without(port);
    }
}
