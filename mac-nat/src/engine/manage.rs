//! Commands: bindings come and go, ports go down, a new machine takes over.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use vlan_table::PortId;

use super::ask::Job;
use super::claim::{Claimant, Kind, Source};
use super::keys::{AddrKey, MacKey};
use super::stations::Role;
use super::{MacNat, is_static, nanos};
use crate::{Binding, Config, ConfigError, Event, Origin};

/// What became of the bindings given to [`MacNat::restore`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Restored {
    /// In the table now.
    pub accepted: usize,
    /// Left out: no room, no such port, not admitted there, or known better already.
    pub refused: usize,
}

impl MacNat {
    /// The configuration without its bindings: those are [`bindings`](Self::bindings).
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The bindings that hold at `now`, static ones and learned ones, in no order. O(table size).
    ///
    /// This is also the snapshot for [`restore`](Self::restore): a learned binding says how much
    /// longer it lives, not until when, so a snapshot means the same after a restart.
    pub fn bindings(&self, now: Duration) -> impl Iterator<Item = Binding> + '_ {
        let now = self.now.max(nanos(now));
        let live = self.bindings.iter().filter(move |(_, _, source)| now < source.expires);
        live.filter_map(move |(_, key, source)| source.to_binding(now, *key))
    }

    /// How many bindings there are, expired ones that nobody has looked at included.
    pub fn len(&self) -> usize {
        self.bindings.len() - self.config.host.addresses.len()
    }

    /// Whether there are no bindings.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a static binding, or changes the one with the same key; a learned one gives way. The
    /// provider is told of a wire MAC that is new for the address.
    ///
    /// # Errors
    /// [`ConfigError`] if the binding contradicts the configuration or there is no room.
    pub fn bind(&mut self, now: Duration, binding: Binding) -> Result<(), ConfigError> {
        let now = self.at(now);
        self.config.check_binding(&binding)?;
        let key = AddrKey::of_net(binding.vlans, binding.net);
        let old = self.remove_binding(key);
        if old.is_some_and(|old| is_static(old.kind)) {
            self.relearn_wires();
        }
        self.learn_wire(binding.wire.into_array(), Some(owner_of(&binding)));
        if !self.fix(now, &binding) {
            let (given, limit) = (self.len() + 1, self.config.limits.bindings);
            return Err(ConfigError::TooManyBindings { given, limit });
        }
        if key.is_host() && old.is_some_and(|old| old.wire != binding.wire.into_array()) {
            self.job(Job::Announce(key));
        }
        self.answered(key);
        Ok(())
    }

    /// Removes the static binding with the key of `binding`; `true` if there was one.
    ///
    /// O(table size): the set of wire MACs is made anew.
    pub fn unbind(&mut self, now: Duration, binding: &Binding) -> bool {
        self.at(now);
        let key = AddrKey::of_net(binding.vlans, binding.net);
        if !self.bindings.lookup(&key).is_some_and(|source| is_static(source.kind)) {
            return false;
        }
        self.remove_binding(key);
        self.relearn_wires();
        true
    }

    /// Makes these the static bindings, touching only what differs; learned bindings stay.
    ///
    /// # Errors
    /// [`ConfigError`] of the first binding that contradicts the configuration; then nothing has
    /// changed.
    pub fn set_bindings(&mut self, now: Duration, bindings: &[Binding]) -> Result<(), ConfigError> {
        self.at(now);
        let config = Config { bindings: bindings.to_vec(), ..self.config.clone() };
        config.check()?;
        let key = |binding: &Binding| (binding.vlans, binding.net.trunc());
        let wanted: BTreeMap<_, _> = bindings.iter().map(|binding| (key(binding), binding)).collect();
        let old: Vec<Binding> =
            self.bindings(now).filter(|binding| binding.origin == Origin::Static).collect();
        for binding in &old {
            if !wanted.contains_key(&key(binding)) {
                self.remove_binding(AddrKey::of_net(binding.vlans, binding.net));
            }
        }
        for binding in bindings {
            if !old.iter().any(|old| key(old) == key(binding) && same_owner(old, binding)) {
                self.bind(now, *binding)?;
            }
        }
        self.relearn_wires();
        Ok(())
    }

    /// Forgets what was learned on a port that went down or lost its machine.
    ///
    /// O(table size).
    pub fn flush_port(&mut self, now: Duration, port: PortId) {
        self.at(now);
        let of_port = |source: &Source| source.kind == Kind::Learned && source.port == Some(port);
        for key in self.bindings.keys(of_port) {
            self.expire_binding(key);
        }
        self.probes.flush(port);
        self.leases.flush(port);
        self.flush_stations(port);
    }

    /// Tells the provider where every address is: after a failover, or when the uplink came back.
    /// The frames come out of [`poll_transmit`](Self::poll_transmit), one per address.
    pub fn reannounce(&mut self) {
        self.announcing = Some(0);
    }

    /// Takes over the bindings of another instance, or of an earlier life: learned ones with the
    /// rest of their time, static ones as [`bind`](Self::bind) does.
    ///
    /// What this engine has learned itself is newer and stays.
    pub fn restore(&mut self, now: Duration, bindings: impl IntoIterator<Item = Binding>) -> Restored {
        let time = self.at(now);
        let mut restored = Restored::default();
        for binding in bindings {
            let accepted = match binding.origin {
                Origin::Static => self.bind(now, binding).is_ok(),
                Origin::Learned => self.restore_learned(time, &binding),
            };
            *(if accepted { &mut restored.accepted } else { &mut restored.refused }) += 1;
        }
        restored
    }

    fn restore_learned(&mut self, now: u64, binding: &Binding) -> bool {
        let key = AddrKey::of_net(binding.vlans, binding.net);
        let who = owner_of(binding);
        let lifetime = binding.expires_in.map_or(0, nanos).min(self.lifetime);
        let known = self.resolve(now, key).is_some() || self.config.gateways.contains(&key.addr());
        if known || !key.is_host() || lifetime == 0 || self.admit(who, key).is_err() {
            return false;
        }
        let Ok(wire) = self.default_wire(who.port, who.mac) else { return false };
        if self.reserve(now, who.port).is_err() {
            return false;
        }
        self.forget(key);
        self.learn_until(now, who, key, wire, now.saturating_add(lifetime));
        true
    }

    /// Host addresses and the bindings of the configuration.
    pub(super) fn install(&mut self, bindings: &[Binding]) {
        for own in self.config.host.addresses.clone() {
            let (inside, wire) = (self.host, self.host);
            let source = Source { expires: u64::MAX, inside, wire, port: None, kind: Kind::Host };
            let _ = self.bindings.insert(AddrKey::new(own.vlans, own.addr), source);
        }
        for binding in bindings {
            self.fix(0, binding);
        }
    }

    fn fix(&mut self, now: u64, binding: &Binding) -> bool {
        let key = AddrKey::of_net(binding.vlans, binding.net);
        let (who, wire) = (owner_of(binding), binding.wire.into_array());
        let source =
            Source { expires: u64::MAX, inside: who.mac, wire, port: Some(who.port), kind: Kind::Static };
        if self.bindings.insert(key, source).is_err() {
            return false;
        }
        if !key.is_host() {
            self.count_block(key.len(), 1);
        }
        self.add_binding(now, who, Some(wire));
        true
    }

    fn remove_binding(&mut self, key: AddrKey) -> Option<Source> {
        let old = self.forget(key)?;
        if !key.is_host() {
            self.count_block(key.len(), -1);
        }
        if let (Kind::Learned, Some(who)) = (old.kind, old.claimant()) {
            self.event(Event::Expired { addr: key.addr(), vlans: key.vlans(), owner: who.into() });
        }
        Some(old)
    }

    fn count_block(&mut self, len: u8, change: i32) {
        match self.blocks.iter_mut().find(|(known, _)| *known == len) {
            Some((_, count)) => *count = count.saturating_add_signed(change),
            None => self.blocks.push((len, 1)),
        }
        self.blocks.retain(|(_, count)| *count > 0);
        self.blocks.sort_unstable_by_key(|(len, _)| core::cmp::Reverse(*len));
    }

    /// Makes the set of wire MACs anew from the bindings that are left.
    fn relearn_wires(&mut self) {
        let is_wire = |role: &Role| matches!(role, Role::Wire { .. });
        for key in self.macs.keys(is_wire) {
            self.macs.remove(&key);
        }
        let now = self.now;
        let left = self.bindings.iter().filter_map(|(_, key, source)| source.to_binding(now, *key));
        let left: Vec<Binding> = left.filter(|binding| binding.origin == Origin::Static).collect();
        self.learn_wires(&left);
    }

    /// The MACs that may leave through the uplink now.
    pub fn wire_macs(&self) -> impl Iterator<Item = crate::MacAddr6> + '_ {
        let wires = self.macs.iter().filter(|(_, _, role)| matches!(role, Role::Host | Role::Wire { .. }));
        wires.map(|(_, key, _): (_, &MacKey, _)| key.mac().into())
    }
}

fn owner_of(binding: &Binding) -> Claimant {
    Claimant { port: binding.port, mac: binding.inside.into_array() }
}

fn same_owner(a: &Binding, b: &Binding) -> bool {
    (a.port, a.inside, a.wire) == (b.port, b.inside, b.wire)
}
