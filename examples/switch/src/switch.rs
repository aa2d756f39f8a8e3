//! The switch itself: stages in the order of IEEE 802.1Q-2018, 8.6, around one database.

use core::time::Duration;

use fdb::{FlushScope, Key, Kind, Learned};
use rrcp::{Disposition, Hint};
use vlan_table::{EtherType, Header, PortId, PortMask, PortOutOfRange, ReservedAddresses};

use crate::{
    Classified, Copies, Counters, Database, Decision, Dropped, Filtered, Guard, NoGuard, Outcome, Rules,
};

/// A switch of up to 64 ports, without I/O and without a clock.
///
/// - [`receive`](Self::receive) every frame, then send what [`copies`](Self::copies) says.
/// - After every `receive`, and when [`poll_timeout`](Self::poll_timeout) is reached, call
///   [`handle_timeout`](Self::handle_timeout) if it is due and send what
///   [`poll_transmit`](Self::poll_transmit) writes until it returns `None`.
/// - `now` is the time since an epoch of the caller's choice, the same for all calls. Time that goes
///   back counts as standing still.
///
/// `receive` allocates nothing, but when the database grows, and takes the same few steps for any
/// number of ports, stations and VLANs.
#[derive(Clone, Debug)]
pub struct Switch<G = NoGuard> {
    pub(crate) rules: Rules,
    pub(crate) database: Database,
    reserved: ReservedAddresses,
    guard: G,
    /// Ports whose link is up.
    up: PortMask,
    /// Ports that the guard keeps closed.
    blocked: PortMask,
    /// Ports that carry frames: up and not blocked.
    open: PortMask,
    counters: Counters,
}

impl Switch {
    /// A switch of these parts, all links up; see the presets for the usual ones.
    pub fn new(rules: Rules, database: Database, reserved: ReservedAddresses) -> Self {
        let ports = rules.ports();
        Self {
            rules,
            database,
            reserved,
            guard: NoGuard,
            up: ports,
            blocked: PortMask::EMPTY,
            open: ports,
            counters: Counters::new(ports),
        }
    }

    /// The same switch with a loop detector.
    pub fn with_guard<G: Guard>(self, guard: G) -> Switch<G> {
        let Self { rules, database, reserved, guard: NoGuard, up, blocked, open, counters } = self;
        Switch { rules, database, reserved, guard, up, blocked, open, counters }
    }
}

/// Frames.
impl<G: Guard> Switch<G> {
    /// Decides about a frame that arrived on `port`, and learns from it. Frames start at the
    /// destination address and end before the FCS.
    ///
    /// O(1), and for a flooded frame a counter for each port that it leaves by.
    #[inline]
    pub fn receive(&mut self, now: Duration, port: PortId, frame: &[u8]) -> Decision {
        let decision = self.decide(now, port, frame);
        self.counters.count(port, frame.len(), decision.outcome);
        for port in decision.ports {
            self.counters.count_sent(port, frame.len());
        }
        decision
    }

    /// The distinct copies of a frame about which [`receive`](Self::receive) decided: one buffer for
    /// each, whatever the number of ports.
    ///
    /// The decision stands for the configuration that it was made under.
    #[inline]
    pub fn copies<'a>(&'a self, decision: &'a Decision) -> Copies<'a> {
        Copies::new(&self.rules, decision)
    }

    #[inline]
    fn decide(&mut self, now: Duration, port: PortId, frame: &[u8]) -> Decision {
        let Ok(header) = Header::read(frame) else {
            return dropped(Dropped::Ingress(vlan_table::DropReason::Truncated));
        };
        let classified = self.rules.classify(port, &header, frame);
        if header.ether_type() == EtherType::REALTEK
            && let Some(decision) = self.ask_guard(now, port, frame, &classified)
        {
            return decision;
        }
        let classified = match classified {
            Ok(classified) => classified,
            Err(reason) => return dropped(Dropped::Ingress(reason)),
        };
        if !self.open.contains(port) {
            return self.refuse_closed(port, classified);
        }
        let mut decision = Decision {
            outcome: Outcome::Forwarded,
            ports: PortMask::EMPTY,
            learned: None,
            classified: Some(classified),
        };
        let reserved = !self.reserved.relays(header.dst_bits());
        if classified.learn() && !header.is_src_group() && (!reserved || self.rules.learns_from_reserved()) {
            let key = Key::from_octets(classified.fid(), header.src());
            if let Ok(learned) = self.database.learn(now, key, port) {
                decision.learned = Some(learned);
                if learned != Learned::Refreshed
                    && let Some(reason) = self.judge_source(now, port, learned)
                {
                    decision.outcome = Outcome::Dropped(reason);
                    return decision;
                }
            }
        }
        if reserved {
            decision.outcome = Outcome::Filtered(Filtered::Reserved);
            return decision;
        }
        self.relay(now, port, &header, &classified, &mut decision);
        decision
    }

    /// Where the frame goes.
    #[inline]
    fn relay(
        &self,
        now: Duration,
        port: PortId,
        header: &Header,
        classified: &Classified,
        decision: &mut Decision,
    ) {
        let known = match header.is_group() {
            true => None,
            false => self.database.lookup(now, Key::from_octets(classified.fid(), header.dst())),
        };
        let Some(entry) = known else {
            decision.ports = classified.members().intersection(self.open);
            if decision.ports.is_empty() {
                decision.outcome = Outcome::Filtered(Filtered::Alone);
            }
            return;
        };
        let there =
            PortMask::EMPTY.with(entry.port).intersection(classified.reachable()).intersection(self.open);
        decision.outcome = match entry.kind {
            Kind::Drop => Outcome::Dropped(Dropped::Destination),
            Kind::Local => Outcome::Filtered(Filtered::Local),
            _ if entry.port == port => Outcome::Filtered(Filtered::SamePort),
            _ if there.is_empty() => Outcome::Filtered(Filtered::Unreachable),
            _ => {
                decision.ports = there;
                return;
            }
        };
    }

    /// A source that was new, moved or may not be here.
    #[inline(never)]
    fn judge_source(&mut self, now: Duration, port: PortId, learned: Learned) -> Option<Dropped> {
        match learned {
            Learned::Moved { .. } => self.guard.handle_hint(now, port, Hint::StationMove),
            Learned::Bound(entry) if entry.kind == Kind::Local => {
                self.guard.handle_hint(now, port, Hint::OwnSource);
            }
            Learned::Bound(entry) if entry.kind == Kind::Drop => return Some(Dropped::Source),
            _ => {}
        }
        self.follow_guard(now);
        None
    }

    /// What the loop detector says about a frame; `None`: the switch decides.
    #[cold]
    #[inline(never)]
    fn ask_guard(
        &mut self,
        now: Duration,
        port: PortId,
        frame: &[u8],
        classified: &Result<Classified, vlan_table::DropReason>,
    ) -> Option<Decision> {
        let vlan = classified.ok().and_then(|classified| classified.vlan());
        let disposition = self.guard.handle_frame(now, port, vlan, frame);
        self.follow_guard(now);
        match (disposition, classified) {
            (Disposition::OwnProbe, _) => Some(Decision {
                outcome: Outcome::Filtered(Filtered::Probe),
                classified: classified.ok(),
                ..dropped(Dropped::Blocked)
            }),
            // It is flooded, whatever storm rages, and its source learned nowhere: that address is
            // behind many ports while there is a loop.
            (Disposition::ForeignProbe, Ok(classified)) if self.open.contains(port) => {
                let ports = classified.members().intersection(self.open);
                let outcome = match ports.is_empty() {
                    true => Outcome::Filtered(Filtered::Alone),
                    false => Outcome::Forwarded,
                };
                Some(Decision { outcome, ports, learned: None, classified: Some(*classified) })
            }
            (Disposition::Blocked, _) => Some(dropped(Dropped::Blocked)),
            _ => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse_closed(&self, port: PortId, classified: Classified) -> Decision {
        let reason = match self.blocked.contains(port) {
            true => Dropped::Blocked,
            false => Dropped::Ingress(vlan_table::DropReason::PortState),
        };
        Decision { classified: Some(classified), ..dropped(reason) }
    }
}

/// Time, links and the loop detector.
impl<G: Guard> Switch<G> {
    /// Says that the link of `port` came up or went down. A port that goes down forgets its
    /// stations.
    ///
    /// # Errors
    /// [`PortOutOfRange`] if there is no such port.
    pub fn set_link(&mut self, now: Duration, port: PortId, up: bool) -> Result<(), PortOutOfRange> {
        let ports = self.rules.ports();
        if !ports.contains(port) {
            return Err(PortOutOfRange { port: port.get(), capacity: ports.len() as u16 });
        }
        self.up = if up { self.up.with(port) } else { self.up.without(port) };
        self.guard.handle_link(now, port, up);
        if !up {
            self.database.flush(now, FlushScope::port(port));
        }
        self.follow_guard(now);
        Ok(())
    }

    /// Ports whose link is up.
    pub const fn links_up(&self) -> PortMask {
        self.up
    }

    /// Ports that the loop detector keeps closed.
    pub const fn blocked(&self) -> PortMask {
        self.blocked
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let expiry = self.database.next_expiry();
        [expiry, self.guard.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets time pass: stations that were silent for too long are forgotten, the loop detector works.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.database.next_expiry().is_some_and(|due| due <= now) {
            self.database.expire(now);
        }
        self.guard.handle_timeout(now);
        self.follow_guard(now);
    }

    /// The loop detector.
    pub const fn guard(&self) -> &G {
        &self.guard
    }

    /// The loop detector, to be configured or read. Call [`handle_timeout`](Self::handle_timeout)
    /// afterwards.
    pub const fn guard_mut(&mut self) -> &mut G {
        &mut self.guard
    }

    /// Closes and opens ports as the loop detector wants it.
    fn follow_guard(&mut self, now: Duration) {
        let blocked = self.guard.blocked();
        for port in blocked.difference(self.blocked) {
            self.database.flush(now, FlushScope::port(port));
        }
        self.blocked = blocked;
        self.open = self.up.difference(blocked);
    }
}

/// Configuration and state.
impl<G> Switch<G> {
    /// The VLAN rules.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The VLAN rules, to be changed. Ports neither come nor go; what was learned through rules that
    /// no longer hold wants to be flushed.
    pub const fn rules_mut(&mut self) -> &mut Rules {
        &mut self.rules
    }

    /// The forwarding database.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The forwarding database, to enter or remove stations.
    pub const fn database_mut(&mut self) -> &mut Database {
        &mut self.database
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The counters, to be cleared.
    pub const fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Which group addresses end here.
    pub const fn set_reserved(&mut self, reserved: ReservedAddresses) {
        self.reserved = reserved;
    }
}

const fn dropped(reason: Dropped) -> Decision {
    Decision { outcome: Outcome::Dropped(reason), ports: PortMask::EMPTY, learned: None, classified: None }
}
