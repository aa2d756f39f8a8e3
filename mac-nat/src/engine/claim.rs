//! Who owns an address: learning, refreshing, conflicts and spoofing.

use vlan_table::PortId;

use super::ask::Job;
use super::keys::{AddrKey, mac_of_link_local};
use super::{MacNat, is_static, nanos};
use crate::frame::Mac;
use crate::table::Id;
use crate::{Binding, DropReason, Event, Origin, Owner, Takeover};

/// What the table knows about an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) expires: u64,
    pub(super) inside: Mac,
    pub(super) wire: Mac,
    /// `None` for the host.
    pub(super) port: Option<PortId>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Host,
    Static,
    Learned,
}

/// How a binding was fought for lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contest {
    /// When the moves began that are counted, and who had the address then.
    window: u64,
    first: Option<Claimant>,
    moves: u8,
    hold_until: u64,
    /// Since when the old owner is asked, and on whose behalf.
    verifying: Option<(u64, Claimant)>,
}

/// A machine inside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Claimant {
    pub(super) port: PortId,
    pub(super) mac: Mac,
}

impl From<Claimant> for Owner {
    fn from(claimant: Claimant) -> Self {
        Self { port: claimant.port, mac: claimant.mac.into() }
    }
}

impl Source {
    /// The owner, if it is inside.
    pub(super) fn claimant(&self) -> Option<Claimant> {
        self.port.map(|port| Claimant { port, mac: self.inside })
    }

    pub(super) fn to_binding(self, now: u64, key: AddrKey) -> Option<Binding> {
        let learned = self.kind == Kind::Learned;
        Some(Binding {
            net: key.net(),
            vlans: key.vlans(),
            port: self.port?,
            inside: self.inside.into(),
            wire: self.wire.into(),
            origin: if learned { Origin::Learned } else { Origin::Static },
            expires_in: learned.then(|| core::time::Duration::from_nanos(self.expires.saturating_sub(now))),
        })
    }
}

impl MacNat {
    /// A machine speaks as `key`: gives the MAC that the provider shall see, and learns or
    /// refreshes the binding.
    #[inline]
    pub(super) fn claim(
        &mut self,
        now: u64,
        port: PortId,
        mac: Mac,
        key: AddrKey,
    ) -> Result<Mac, DropReason> {
        if let Some(source) = self.bindings.lookup_mut(&key)
            && source.port == Some(port)
            && source.inside == mac
            && now < source.expires
        {
            if source.kind == Kind::Learned {
                source.expires = now.saturating_add(self.lifetime);
            }
            return Ok(source.wire);
        }
        self.claim_slowly(now, Claimant { port, mac }, key)
    }

    #[cold]
    fn claim_slowly(&mut self, now: u64, who: Claimant, key: AddrKey) -> Result<Mac, DropReason> {
        if let Some(id) = self.bindings.find(&key)
            && let Some(source) = self.bindings.get(id).copied()
        {
            if now < source.expires {
                return self.contest(now, id, source, who, key);
            }
            self.expire_binding(key);
        }
        if self.is_protected(key) {
            return Err(self.spoof(who, key));
        }
        if let Some(block) = self.block(key) {
            let owner = block.claimant() == Some(who);
            return if owner { Ok(block.wire) } else { Err(self.spoof(who, key)) };
        }
        self.admit(who, key)?;
        let wire = self.default_wire(who.port, who.mac)?;
        if self.config.policy.takeover == Takeover::StaticOnly {
            return Err(DropReason::Unbound);
        }
        if let Err(quota) = self.reserve(now, who.port) {
            self.refuse(who, key, quota);
            return Ok(wire);
        }
        self.learn(now, who, key, wire);
        Ok(wire)
    }

    /// Gateways, and the link-local addresses of the wire MACs: a provider that routes a block to
    /// such an address wants the host to answer.
    fn is_protected(&self, key: AddrKey) -> bool {
        self.config.gateways.contains(&key.addr()) || self.is_wire_link_local(key)
    }

    pub(super) fn is_wire_link_local(&self, key: AddrKey) -> bool {
        match key.addr() {
            core::net::IpAddr::V6(addr) => mac_of_link_local(addr).is_some_and(|mac| self.is_wire(mac)),
            core::net::IpAddr::V4(_) => false,
        }
    }

    /// Whether the port's lists and the set of wire MACs let this machine use this address.
    pub(super) fn admit(&mut self, who: Claimant, key: AddrKey) -> Result<(), DropReason> {
        self.admit_mac(who.port, who.mac)?;
        match self.ports.get(who.port) {
            Some(port) if port.config.admits_ip(key.addr()) => Ok(()),
            _ => Err(DropReason::ForeignIp),
        }
    }

    /// Room for one more learned binding on this port; `Err` says whether its quota is the reason.
    pub(super) fn reserve(&mut self, now: u64, port: PortId) -> Result<(), bool> {
        if self.has_room(port).is_err() {
            self.age_bindings(now);
        }
        self.has_room(port)
    }

    fn has_room(&self, port: PortId) -> Result<(), bool> {
        let limits = &self.config.limits;
        let full = self.bindings.len() >= limits.bindings + self.config.host.addresses.len();
        match self.ports.get(port) {
            Some(state) if state.bindings < state.config.quota.unwrap_or(limits.bindings_per_port) => {
                if full { Err(false) } else { Ok(()) }
            }
            _ => Err(true),
        }
    }

    fn refuse(&mut self, who: Claimant, key: AddrKey, quota: bool) {
        let counters = &mut self.counters;
        let counter = if quota { &mut counters.refused_by_port } else { &mut counters.refused_by_table };
        *counter += 1;
        self.event(Event::Refused { addr: key.addr(), vlans: key.vlans(), owner: who.into(), quota });
    }

    pub(super) fn learn(&mut self, now: u64, who: Claimant, key: AddrKey, wire: Mac) {
        let expires = now.saturating_add(self.lifetime);
        self.learn_until(now, who, key, wire, expires);
        self.counters.learned += 1;
        if let Some(binding) = self.bindings.lookup(&key).and_then(|source| source.to_binding(now, key)) {
            self.event(Event::Learned(binding));
        }
        self.answered(key);
    }

    pub(super) fn learn_until(&mut self, now: u64, who: Claimant, key: AddrKey, wire: Mac, expires: u64) {
        let source = Source { expires, inside: who.mac, wire, port: Some(who.port), kind: Kind::Learned };
        let Ok(id) = self.bindings.insert(key, source) else { return };
        if let Some(contest) = self.contests.get_mut(id.index()) {
            *contest = Contest::default();
        }
        let wake = expires.saturating_sub(nanos(self.config.timers.refresh_before)).max(now);
        self.bindings.set_deadline(id, wake);
        self.add_binding(now, who, None);
    }

    /// Counts a binding for its owner's port and station.
    pub(super) fn add_binding(&mut self, now: u64, who: Claimant, fixed_wire: Option<Mac>) {
        if fixed_wire.is_none()
            && let Some(port) = self.ports.get_mut(who.port)
        {
            port.bindings += 1;
        }
        self.hold_station(now, who, fixed_wire);
    }

    fn drop_binding(&mut self, who: Claimant, learned: bool) {
        if learned && let Some(port) = self.ports.get_mut(who.port) {
            port.bindings = port.bindings.saturating_sub(1);
        }
        self.release_station(who);
    }

    /// Removes a binding; gives what it was.
    pub(super) fn forget(&mut self, key: AddrKey) -> Option<Source> {
        let source = self.bindings.remove(&key)?;
        if let Some(who) = source.claimant() {
            self.drop_binding(who, !is_static(source.kind));
        }
        Some(source)
    }

    pub(super) fn expire_binding(&mut self, key: AddrKey) {
        let Some(who) = self.forget(key).and_then(|source| source.claimant()) else { return };
        self.counters.expired += 1;
        self.event(Event::Expired { addr: key.addr(), vlans: key.vlans(), owner: who.into() });
    }

    /// An address with a living owner is claimed by somebody else.
    fn contest(
        &mut self,
        now: u64,
        id: Id,
        source: Source,
        who: Claimant,
        key: AddrKey,
    ) -> Result<Mac, DropReason> {
        let Some(owner) = source.claimant().filter(|_| source.kind == Kind::Learned) else {
            return Err(self.spoof(who, key));
        };
        self.admit(who, key)?;
        let contest = self.contests.get(id.index()).copied().unwrap_or_default();
        if now < contest.hold_until {
            return Err(self.conflict(owner, who, key));
        }
        if owner.port != who.port {
            match self.config.policy.takeover {
                Takeover::Accept => {}
                Takeover::FirstWins | Takeover::StaticOnly => return Err(self.conflict(owner, who, key)),
                Takeover::Verify => self.verify(now, id, &source, who, key)?,
            }
            if let Err(quota) = self.reserve(now, who.port)
                && quota
            {
                self.refuse(who, key, quota);
                return Err(DropReason::Conflict);
            }
        }
        match self.settle_flapping(now, id, owner) {
            None => self.hand_over(now, id, source, who, key),
            Some(first) if first == who => self.hand_over(now, id, source, who, key),
            Some(first) => {
                if first != owner {
                    self.hand_over(now, id, source, first, key)?;
                }
                Err(self.conflict(first, who, key))
            }
        }
    }

    /// Counts a move. Too many in too short a time, and the first owner of that time keeps the
    /// address for a while.
    fn settle_flapping(&mut self, now: u64, id: Id, owner: Claimant) -> Option<Claimant> {
        let timers = &self.config.timers;
        let contest = self.contests.get_mut(id.index())?;
        if contest.moves == 0 || now.saturating_sub(contest.window) > nanos(timers.flap_window) {
            *contest = Contest { window: now, first: Some(owner), ..Contest::default() };
        }
        contest.moves = contest.moves.saturating_add(1);
        if contest.moves <= timers.flap_moves {
            return None;
        }
        contest.moves = 0;
        contest.hold_until = now.saturating_add(nanos(timers.flap_hold));
        contest.first
    }

    fn hand_over(
        &mut self,
        now: u64,
        id: Id,
        source: Source,
        to: Claimant,
        key: AddrKey,
    ) -> Result<Mac, DropReason> {
        let wire = self.default_wire(to.port, to.mac)?;
        if let Some(from) = source.claimant() {
            self.drop_binding(from, true);
            self.add_binding(now, to, None);
            let expires = now.saturating_add(self.lifetime);
            let new = Source { expires, inside: to.mac, wire, port: Some(to.port), ..source };
            if let Some(source) = self.bindings.get_mut(id) {
                *source = new;
            }
            self.counters.moved += 1;
            if let Some(binding) = new.to_binding(now, key) {
                self.event(Event::Moved { binding, from: from.into() });
            }
            if wire != source.wire {
                self.job(Job::Announce(key));
            }
        }
        Ok(wire)
    }

    /// Asks the old owner; lets the new one in when it has not answered in time.
    fn verify(
        &mut self,
        now: u64,
        id: Id,
        source: &Source,
        who: Claimant,
        key: AddrKey,
    ) -> Result<(), DropReason> {
        let patience = nanos(self.config.timers.verify);
        let Some(contest) = self.contests.get_mut(id.index()) else { return Ok(()) };
        let seen = source.expires.saturating_sub(self.lifetime);
        match contest.verifying {
            Some((since, _)) if now < since.saturating_add(patience) => Err(DropReason::Verifying),
            Some((since, by)) if by == who && now < since.saturating_add(patience.saturating_mul(8)) => {
                contest.verifying = None;
                match (seen > since, source.claimant()) {
                    (true, Some(owner)) => Err(self.conflict(owner, who, key)),
                    _ => Ok(()),
                }
            }
            _ => {
                contest.verifying = Some((now, who));
                self.job(Job::Refresh(key));
                Err(DropReason::Verifying)
            }
        }
    }

    fn spoof(&mut self, by: Claimant, key: AddrKey) -> DropReason {
        self.event(Event::Spoof { addr: key.addr(), vlans: key.vlans(), by: by.into() });
        DropReason::Spoof
    }

    fn conflict(&mut self, kept: Claimant, refused: Claimant, key: AddrKey) -> DropReason {
        let (addr, vlans) = (key.addr(), key.vlans());
        self.event(Event::Conflict { addr, vlans, kept: kept.into(), refused: refused.into() });
        DropReason::Conflict
    }
}
