//! Which MACs are inside, which are ours: the one table that both ends of every frame are looked
//! up in.

use vlan_table::PortId;

use super::claim::Claimant;
use super::keys::MacKey;
use super::{MacNat, nanos};
use crate::frame::Mac;
use crate::table::{Full, Id};
use crate::{Binding, DropReason, Event};

/// What a MAC is to us.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// The NIC's own.
    Host,
    /// One that the provider knows.
    Wire {
        /// Whose it is, if all static bindings with this wire MAC agree.
        owner: Option<Claimant>,
        shared: bool,
    },
    /// A machine inside.
    Station(Station),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Station {
    port: PortId,
    /// Bindings that name this MAC; while there are any, it is known.
    bindings: u32,
    /// Known until then without one.
    until: u64,
    /// The wire MAC of its first static binding.
    wire: Option<Mac>,
}

impl Station {
    const fn is_known(&self, now: u64) -> bool {
        self.bindings > 0 || now < self.until
    }
}

impl MacNat {
    #[inline]
    pub(super) fn role(&self, mac: Mac) -> Option<&Role> {
        self.macs.lookup(&MacKey::new(mac))
    }

    /// Whether frames may leave with this source.
    pub(super) fn is_wire(&self, mac: Mac) -> bool {
        matches!(self.role(mac), Some(Role::Host | Role::Wire { .. }))
    }

    /// The port of a machine inside.
    #[inline]
    pub(super) fn inside_station(&self, now: u64, mac: Mac) -> Option<PortId> {
        match self.role(mac)? {
            Role::Station(station) if station.is_known(now) => Some(station.port),
            // A machine that uses the provider's MAC itself needs no translation, and is inside.
            Role::Wire { owner: Some(owner), .. } if owner.mac == mac => Some(owner.port),
            _ => None,
        }
    }

    pub(super) fn wire_of_station(&self, port: PortId, mac: Mac) -> Option<Mac> {
        match self.role(mac)? {
            Role::Station(station) if station.port == port => station.wire,
            Role::Wire { owner: Some(owner), .. } if *owner == (Claimant { port, mac }) => Some(mac),
            _ => None,
        }
    }

    /// Whether this MAC may speak on this port.
    pub(super) fn admit_mac(&self, port: PortId, mac: Mac) -> Result<(), DropReason> {
        match self.role(mac) {
            Some(Role::Host) => return Err(DropReason::WireMacInside),
            Some(Role::Wire { owner, .. }) if *owner != Some(Claimant { port, mac }) => {
                return Err(DropReason::WireMacInside);
            }
            _ => {}
        }
        match self.ports.get(port) {
            Some(state) if state.config.admits_mac(mac.into()) => Ok(()),
            Some(_) => Err(DropReason::ForeignMac),
            None => Err(DropReason::UnknownPort),
        }
    }

    /// A machine spoke without an address: remembers its MAC for a while.
    pub(super) fn see(&mut self, now: u64, port: PortId, mac: Mac) {
        let until = now.saturating_add(self.lifetime);
        if self.note_station(now, Claimant { port, mac }, None, until)
            && let Some(id) = self.macs.find(&MacKey::new(mac))
            && let Some(Role::Station(Station { bindings: 0, .. })) = self.macs.get(id)
        {
            self.macs.set_deadline(id, until);
        }
    }

    /// A binding names the machine.
    pub(super) fn hold_station(&mut self, now: u64, who: Claimant, wire: Option<Mac>) {
        if self.note_station(now, who, wire, 0)
            && let Some(id) = self.macs.find(&MacKey::new(who.mac))
            && let Some(Role::Station(station)) = self.macs.get_mut(id)
        {
            station.bindings += 1;
            self.macs.clear_deadline(id);
        }
    }

    /// A binding that named the machine is gone.
    pub(super) fn release_station(&mut self, who: Claimant) {
        let until = self.now.saturating_add(nanos(self.config.timers.probe));
        let Some(id) = self.macs.find(&MacKey::new(who.mac)) else { return };
        if let Some(Role::Station(station)) = self.macs.get_mut(id) {
            station.bindings = station.bindings.saturating_sub(1);
            if station.bindings == 0 {
                station.until = station.until.max(until);
                let until = station.until;
                self.macs.set_deadline(id, until);
            }
        }
    }

    pub(super) fn age_stations(&mut self, now: u64) {
        while let Some((_, id, key)) = self.macs.next_deadline().filter(|(at, ..)| *at <= now) {
            match self.macs.get(id).copied() {
                Some(Role::Station(station)) if station.bindings > 0 => self.macs.clear_deadline(id),
                Some(Role::Station(station)) if now < station.until => {
                    self.macs.set_deadline(id, station.until);
                }
                _ => self.forget_station(key),
            }
        }
    }

    /// Forgets the machines of a port that no binding names.
    pub(super) fn flush_stations(&mut self, port: PortId) {
        let idle = |role: &Role| matches!(role, Role::Station(station) if station.port == port && station.bindings == 0);
        for key in self.macs.keys(idle) {
            self.forget_station(key);
        }
    }

    /// The MACs that may leave: of the host, the ports and the bindings.
    pub(super) fn learn_wires(&mut self, bindings: &[Binding]) {
        let _ = self.set_role(MacKey::new(self.host), Role::Host);
        let of_ports: alloc::vec::Vec<Mac> =
            self.ports.iter().filter_map(|port| port.config.wire).map(|mac| mac.into_array()).collect();
        for wire in of_ports {
            self.learn_wire(wire, None);
        }
        for binding in bindings {
            let owner = Claimant { port: binding.port, mac: binding.inside.into_array() };
            self.learn_wire(binding.wire.into_array(), Some(owner));
        }
    }

    pub(super) fn learn_wire(&mut self, wire: Mac, owner: Option<Claimant>) {
        let key = MacKey::new(wire);
        match self.macs.lookup_mut(&key) {
            Some(Role::Host) => {}
            Some(Role::Wire { owner: known, shared }) => {
                *shared |= known.is_some() && owner.is_some() && *known != owner;
                *known = if *shared { None } else { known.or(owner) };
            }
            _ => {
                self.forget_station(key);
                let _ = self.set_role(key, Role::Wire { owner, shared: false });
            }
        }
    }

    /// Keeps the station up to date; `false` if it is none, or there is no room for it.
    fn note_station(&mut self, now: u64, who: Claimant, wire: Option<Mac>, until: u64) -> bool {
        let key = MacKey::new(who.mac);
        match self.macs.lookup_mut(&key) {
            Some(Role::Station(station)) => {
                let known = station.port;
                let elsewhere = known != who.port && station.is_known(now);
                let duplicate = elsewhere && station.bindings > 0;
                station.port = who.port;
                station.until = station.until.max(until);
                station.wire = station.wire.or(wire);
                if known != who.port {
                    self.count_station(known, -1);
                    self.count_station(who.port, 1);
                }
                if duplicate {
                    self.event(Event::DuplicateMac { mac: who.mac.into(), known, also: who.port });
                }
                true
            }
            Some(_) => false,
            None => {
                let limit = self.config.limits.macs_per_port;
                let bound = until == 0;
                let room = self.ports.get(who.port).is_some_and(|port| bound || port.stations < limit);
                let station = Station { port: who.port, bindings: 0, until, wire };
                if room && self.set_role(key, Role::Station(station)).is_ok() {
                    self.count_station(who.port, 1);
                    return true;
                }
                false
            }
        }
    }

    /// Every new MAC comes in here: it may have been a stranger until now.
    fn set_role(&mut self, key: MacKey, role: Role) -> Result<Id, Full> {
        self.stranger = MacKey::NONE;
        self.macs.insert(key, role)
    }

    fn forget_station(&mut self, key: MacKey) {
        if let Some(Role::Station(station)) = self.macs.remove(&key) {
            self.count_station(station.port, -1);
        }
    }

    fn count_station(&mut self, port: PortId, change: isize) {
        if let Some(port) = self.ports.get_mut(port) {
            port.stations = port.stations.saturating_add_signed(change);
        }
    }
}
