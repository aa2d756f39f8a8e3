//! Changing a bridge: ports, VLANs, memberships, forwarding databases.

use super::bridge::{NO_ROW, OWN, PortRow, Row, of_row, own_place};
use super::{AcceptableFrames, Bridge, ConfigError, Flush, Membership, PortConfig, PortState, TagType, Vlan};
use crate::{Fid, PortId, PortMask, VlanId};

impl<const VLANS: usize, const WORDS: usize> Bridge<VLANS, WORDS> {
    /// A bridge with these ports, each with the [default](PortConfig::default) settings and an untagged
    /// member of VLAN 1 (if there is room for a VLAN), as the standard has it.
    pub fn new(ports: PortMask<WORDS>) -> Self {
        let mut bridge = Self {
            ports,
            take_tagged: PortMask::EMPTY,
            take_untagged: PortMask::EMPTY,
            unfiltered: PortMask::EMPTY,
            forwarding: PortMask::EMPTY,
            isolated: PortMask::EMPTY,
            learning: PortMask::EMPTY,
            single_tag: PortMask::EMPTY,
            service: PortMask::EMPTY,
            priority_tags: PortMask::EMPTY,
            always_priority_tags: PortMask::EMPTY,
            port_rows: [[PortRow::new(&PortConfig::default(), PortMask::EMPTY); 64]; WORDS],
            configs: [[PortConfig::default(); 64]; WORDS],
            places: [NO_ROW; 8192],
            rows: [Row::EMPTY; VLANS],
            used: 0,
            everywhere: PortMask::EMPTY,
        };
        for port in ports {
            bridge.sort_in(port, &PortConfig::default());
        }
        bridge.compile();
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

    /// Replaces the settings of a port. O(ports + VLANs).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchPort`].
    pub fn set_port(&mut self, port: PortId, config: PortConfig) -> Result<Flush, ConfigError> {
        let old = *self.port(port).ok_or(ConfigError::NoSuchPort { port })?;
        if let Some(to) =
            self.configs.get_mut(port.index() / 64).and_then(|word| word.get_mut(port.index() % 64))
        {
            *to = config;
        }
        self.sort_in(port, &config);
        self.compile();
        let went_down = old.state >= PortState::Learning && config.state < PortState::Learning;
        let other_vlans = old.pvid != config.pvid || old.tag_type != config.tag_type;
        Ok(if went_down || other_vlans { Flush::Port(port) } else { Flush::Nothing })
    }

    /// Changes what the spanning tree, or the link, allows a port. O(ports + VLANs).
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
        let row = self.row_or_new(vid)?;
        (row.home.members, row.untagged) = (vlan.members, vlan.untagged);
        row.home.fid = vlan.fid.unwrap_or(vid.into());
        self.compile_vlan(vid);
        Ok(())
    }

    /// Ends a VLAN; frames that carry its VID are of an unknown VLAN from now on. O(ports + VLANs).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchVlan`].
    pub fn remove_vlan(&mut self, vid: VlanId) -> Result<Flush, ConfigError> {
        let gone = *self.row(vid.get()).ok_or(ConfigError::NoSuchVlan { vid })?;
        let last = self.used.saturating_sub(1);
        let moved = self.rows.get(last).copied().unwrap_or(Row::EMPTY);
        let Some(entry) = self.places.get_mut(usize::from(vid.get())) else { return Ok(Flush::Nothing) };
        let freed = core::mem::replace(entry, NO_ROW);
        if freed != of_row(last) {
            // The last row moves into the gap.
            if let (Some(row), Some(number)) =
                (self.rows.get_mut(usize::from(freed >> 1)), self.places.get_mut(usize::from(moved.home.vid)))
            {
                (*row, *number) = (moved, freed);
            }
        }
        self.used = last;
        self.compile();
        Ok(Flush::Fid(gone.home.fid))
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
        self.compile_vlan(vid);
        Ok(())
    }

    /// Ends the membership of `port` in a VLAN; nothing happens if it is no member. O(1).
    pub fn leave(&mut self, vid: VlanId, port: PortId) -> Flush {
        match self.row_mut(vid) {
            Some(row) if row.home.members.contains(port) => {
                row.leave(port);
                let fid = row.home.fid;
                self.compile_vlan(vid);
                Flush::PortAndFid(port, fid)
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
        self.everywhere = self.everywhere.with(port);
        for row in self.rows.iter_mut().take(self.used) {
            row.join(port, Membership::Tagged);
        }
        self.compile();
        Ok(())
    }

    /// Ends all memberships of `port`. O(VLANs).
    pub fn leave_all(&mut self, port: PortId) -> Flush {
        self.everywhere = self.everywhere.without(port);
        for row in self.rows.iter_mut().take(self.used) {
            row.leave(port);
        }
        self.compile();
        Flush::Port(port)
    }

    /// Puts a VLAN into a forwarding database, shared with all VLANs that have the same identifier. At
    /// first every VLAN has the identifier that equals its VID. O(ports).
    ///
    /// # Errors
    /// [`ConfigError::NoSuchVlan`].
    pub fn set_fid(&mut self, vid: VlanId, fid: Fid) -> Result<Flush, ConfigError> {
        let row = self.row_mut(vid).ok_or(ConfigError::NoSuchVlan { vid })?;
        let old = core::mem::replace(&mut row.home.fid, fid);
        self.compile_vlan(vid);
        Ok(if old == fid { Flush::Nothing } else { Flush::Fid(old) })
    }

    /// Whether a VLAN has been configured, by [`add_vlan`](Self::add_vlan) or [`join`](Self::join).
    pub fn is_configured(&self, vid: VlanId) -> bool {
        self.row(vid.get()).is_some()
    }

    /// What is configured of a VLAN; for one that is not, the ports that are members of all.
    pub fn vlan(&self, vid: VlanId) -> Vlan<WORDS> {
        let row = self.row_of(vid);
        Vlan { members: row.home.members, untagged: row.untagged, fid: Some(row.home.fid) }
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
            let Some(config) = self.port(port) else { continue };
            let foreign = config.pvid.filter(|vid| !self.vlan(*vid).members.contains(port));
            if let Some(vid) = foreign.filter(|_| config.ingress_filter && self.take_untagged.contains(port))
            {
                return Err(ConfigError::PvidNotMember { port, vid });
            }
        }
        Ok(())
    }

    /// How many more VLANs can be configured.
    pub const fn room(&self) -> usize {
        VLANS - self.used
    }

    /// Puts a port into the sets that its settings say.
    fn sort_in(&mut self, port: PortId, config: &PortConfig) {
        let put =
            |set: &mut PortMask<WORDS>, is_in| *set = if is_in { set.with(port) } else { set.without(port) };
        let receives = config.state >= PortState::Learning;
        let (priority_tags, always) = config.priority_tags.sets();
        put(
            &mut self.take_tagged,
            receives && config.acceptable != AcceptableFrames::OnlyUntaggedAndPriority,
        );
        put(&mut self.take_untagged, receives && config.acceptable != AcceptableFrames::OnlyTagged);
        put(&mut self.unfiltered, !config.ingress_filter);
        put(&mut self.forwarding, config.state == PortState::Forwarding);
        put(&mut self.isolated, config.isolated);
        put(&mut self.learning, receives && config.learning);
        put(&mut self.single_tag, config.discard_double_tagged);
        put(&mut self.service, config.tag_type == TagType::Service);
        put(&mut self.priority_tags, priority_tags);
        put(&mut self.always_priority_tags, always);
    }

    /// Makes the rows of all VLANs and ports follow the settings.
    fn compile(&mut self) {
        let (ports, unfiltered) = (self.at_once(self.take_tagged), self.unfiltered);
        for row in self.rows.iter_mut().take(self.used) {
            row.admit = row.welcome(unfiltered).intersection(ports);
        }
        for port in self.ports {
            self.compile_port(port);
        }
    }

    /// Makes the row of a VLAN, and the rows of ports that have it as PVID, follow the settings.
    fn compile_vlan(&mut self, vid: VlanId) {
        let (ports, unfiltered) = (self.at_once(self.take_tagged), self.unfiltered);
        if let Some(row) = self.row_mut(vid) {
            row.admit = row.welcome(unfiltered).intersection(ports);
        }
        for port in self.ports {
            if self.port(port).is_some_and(|config| config.pvid == Some(vid)) {
                self.compile_port(port);
            }
        }
    }

    /// Those of `ports` whose frames go the short way if they are let in.
    fn at_once(&self, ports: PortMask<WORDS>) -> PortMask<WORDS> {
        ports.intersection(self.learning).difference(self.single_tag)
    }

    fn compile_port(&mut self, port: PortId) {
        let Some(config) = self.port(port) else { return };
        let ports = self.at_once(self.take_untagged);
        let own = config
            .pvid
            .and_then(|vid| Some((self.row(vid.get())?, *self.places.get(usize::from(vid.get()))?)));
        let own = own.filter(|(row, _)| row.welcome(self.unfiltered).intersection(ports).contains(port));
        let hidden = if config.isolated { self.isolated } else { PortMask::EMPTY };
        let reach = match config.state {
            PortState::Forwarding => self.forwarding.without(port).difference(hidden),
            _ => PortMask::EMPTY,
        };
        let (compiled, own) = (PortRow::new(config, reach), own.map_or(NO_ROW, |(_, number)| number | OWN));
        if let Some(number) = self.places.get_mut(own_place(port)) {
            *number = own;
        }
        let word = self.port_rows.get_mut(port.index() / 64);
        if let Some(row) = word.and_then(|word| word.get_mut(port.index() % 64)) {
            *row = compiled;
        }
    }

    fn row_mut(&mut self, vid: VlanId) -> Option<&mut Row<WORDS>> {
        self.rows.get_mut(usize::from(*self.places.get(usize::from(vid.get()))? >> 1))
    }

    fn row_or_new(&mut self, vid: VlanId) -> Result<&mut Row<WORDS>, ConfigError> {
        let full = ConfigError::TableFull { vid, capacity: VLANS };
        let (fresh, number) = (self.row_of(vid), self.places.get_mut(usize::from(vid.get())).ok_or(full)?);
        if *number == NO_ROW {
            *self.rows.get_mut(self.used).ok_or(full)? = fresh;
            *number = of_row(self.used);
            self.used += 1;
        }
        self.rows.get_mut(usize::from(*number >> 1)).ok_or(full)
    }
}

impl<const WORDS: usize> Row<WORDS> {
    /// Ports whose frames the VLAN takes; a VLAN without members takes none (8.7.1).
    fn welcome(&self, unfiltered: PortMask<WORDS>) -> PortMask<WORDS> {
        if self.home.members.is_empty() { self.home.members } else { self.home.members.union(unfiltered) }
    }

    fn join(&mut self, port: PortId, how: Membership) {
        self.home.members = self.home.members.with(port);
        self.untagged = match how {
            Membership::Untagged => self.untagged.with(port),
            Membership::Tagged => self.untagged.without(port),
        };
    }

    fn leave(&mut self, port: PortId) {
        self.home.members = self.home.members.without(port);
        self.untagged = self.untagged.without(port);
    }
}
