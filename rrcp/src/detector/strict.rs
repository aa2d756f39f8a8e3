//! The strict detector: what goes in, what comes out. How evidence is weighed is in `evidence`.

use core::time::Duration;

use vlan_table::{PortId, PortOutOfRange, VlanId};

use super::config::{Config, PortConfig, Role, Timing};
use super::event::{Counters, Event, Hint, Neighbour, PortStatus};
use super::evidence::SLOTS_FOR_UPLINKS;
use super::neighbours::{Allowance, Neighbours};
use super::port::Port;
use super::probe::{PROBE_LEN, Stake, StrictProbe};
use super::queue::Events;
use super::schedule::{Pace, Schedule};
use super::{Transmit, VlanError};

/// Finds loops by probes that only their sender can take for its own, and blocks one port of each.
///
/// One round sends a probe out of every port and in every VLAN; a probe that comes back is a loop.
/// The [module docs](super) have the state machine and the rules.
///
/// # Driving it
/// - **In**: [`handle_frame`](Self::handle_frame) for every frame that a port receives,
///   [`handle_link`](Self::handle_link), [`handle_hint`](Self::handle_hint),
///   [`handle_stp`](Self::handle_stp), and [`handle_timeout`](Self::handle_timeout) when the time of
///   [`poll_timeout`](Self::poll_timeout) has come.
/// - **Out**, after every input, each until `None`: [`poll_transmit`](Self::poll_transmit),
///   [`poll_event`](Self::poll_event); then [`poll_timeout`](Self::poll_timeout).
///
/// `now` counts from any epoch; time that goes back stands still. `PORTS` ports from 0, at most 64
/// `VLANS`; memory is fixed (see the tests for the size) and every input costs O(`PORTS`) at most,
/// an ordinary frame a few comparisons.
#[derive(Clone, Debug)]
pub struct LoopDetector<const PORTS: usize, const VLANS: usize = 8> {
    pub(super) config: Config,
    pub(super) ports: [Port; PORTS],
    vlans: [Option<VlanId>; VLANS],
    pub(super) schedule: Schedule,
    pub(super) neighbours: Neighbours,
    events: Events,
    pub(super) counters: Counters,
    /// The latest time seen.
    pub(super) now: Duration,
    pub(super) started: Duration,
    /// When a block came into force last: what was under way then took the loop that is cut now.
    pub(super) blocked_at: Option<Duration>,
    /// Probes return, of loops that nobody has cut yet.
    pub(super) unrest: Option<Spell>,
    /// Some port sees a storm.
    storm: Option<Spell>,
    /// Own probes that returned in this second.
    pub(super) own_returns: Allowance,
    pub(super) fast_until: Duration,
    /// When a duplicate address may be told again.
    pub(super) quiet_about_duplicates_until: Duration,
    /// Start of the period in which silence is judged, and whether probes were sent in it.
    period_start: Duration,
    period_probed: bool,
    cursor: Cursor,
}

/// Slots after which a round is repeated while evidence waits to be confirmed.
const RETRY_SLOTS: u32 = 3;
/// Slots after which what was not seen again is over.
const SPELL_SLOTS: u32 = SLOTS_FOR_UPLINKS;

/// Something that goes on: since when, and when it was seen last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spell {
    pub(super) since: Duration,
    last: Duration,
}

/// What is left of a round: the next port and VLAN to send in.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    active: bool,
    port: usize,
    vlan: usize,
}

impl<const PORTS: usize, const VLANS: usize> LoopDetector<PORTS, VLANS> {
    /// All ports down, with default settings; probes name no VLAN until
    /// [`add_vlan`](Self::add_vlan).
    pub fn new(now: Duration, config: Config) -> Self {
        const { assert!(PORTS <= PortId::CAPACITY as usize && VLANS <= 64) };
        let mac = config.mac.into_array().into_iter().fold(0, |seed, byte| seed << 8 | u64::from(byte));
        let schedule = Schedule::new(config.timing, config.nonce ^ mac);
        Self {
            config,
            ports: core::array::from_fn(|_| Port::new()),
            vlans: [None; VLANS],
            blocked_at: None,
            unrest: None,
            storm: None,
            own_returns: Allowance::default(),
            schedule,
            neighbours: Neighbours::new(),
            events: Events::new(),
            counters: Counters::default(),
            now,
            started: now,
            fast_until: now,
            quiet_about_duplicates_until: now,
            period_start: now,
            period_probed: false,
            cursor: Cursor::default(),
        }
    }

    // ----- settings

    /// Changes the settings of a port. A port that may no longer be blocked is released.
    ///
    /// # Errors
    /// [`PortOutOfRange`] if `port` is not below `PORTS`.
    pub fn set_port(
        &mut self,
        now: Duration,
        port: PortId,
        config: PortConfig,
    ) -> Result<(), PortOutOfRange> {
        self.advance(now);
        let state = self.ports.get_mut(port.index()).ok_or(out_of_range::<PORTS>(port))?;
        let may_stay = config.block && config.role != Role::Monitor;
        state.config = config;
        if state.is_blocked() && !may_stay {
            self.release(now, port);
        }
        self.plan();
        Ok(())
    }

    /// Probes `vlan` on `port`, too. A port without VLANs sends probes that name none.
    ///
    /// # Errors
    /// [`VlanError`] if `VLANS` others are probed already; [`PortOutOfRange`] inside it if
    /// `port` is not below `PORTS`.
    pub fn add_vlan(&mut self, port: PortId, vlan: VlanId) -> Result<(), VlanError> {
        let slot = self.vlans.iter().position(|slot| *slot == Some(vlan));
        let slot = slot.or_else(|| self.vlans.iter().position(Option::is_none));
        let slot = slot.ok_or(VlanError::Vlans { vlan, capacity: VLANS })?;
        let state = self.ports.get_mut(port.index()).ok_or(out_of_range::<PORTS>(port))?;
        state.vlans |= 1 << slot;
        if let Some(entry) = self.vlans.get_mut(slot) {
            *entry = Some(vlan);
        }
        Ok(())
    }

    /// Probes `vlan` on `port` no longer; no effect if it was not probed there.
    pub fn remove_vlan(&mut self, port: PortId, vlan: VlanId) {
        let Some(slot) = self.vlans.iter().position(|slot| *slot == Some(vlan)) else { return };
        if let Some(state) = self.ports.get_mut(port.index()) {
            state.vlans &= !(1 << slot);
        }
        let used = self.ports.iter().any(|state| state.vlans >> slot & 1 == 1);
        if let Some(entry) = self.vlans.get_mut(slot).filter(|_| !used) {
            *entry = None;
        }
    }

    // ----- inputs

    /// The link of `port` came up or went down; all are down at first. A block outlasts it, its
    /// hold time stands still while the link is down, and probes in flight are void.
    pub fn handle_link(&mut self, now: Duration, port: PortId, up: bool) {
        self.advance(now);
        let next = self.schedule.next_sequence();
        match self.ports.get_mut(port.index()) {
            Some(state) if state.up != up => state.set_link(self.now, up, next),
            _ => return,
        }
        self.restart(up);
    }

    /// Spanning tree holds `port` in a state that does not forward, or no longer does. A held port
    /// sends no probes, and one that returns through it leads to nothing: the loop is cut already.
    pub fn handle_stp(&mut self, now: Duration, port: PortId, held: bool) {
        self.advance(now);
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        let freed = core::mem::replace(&mut state.held_by_stp, held) && !held;
        self.restart(freed);
    }

    /// Something else of the switch saw what a loop may cause; probing is fast for a while.
    pub fn handle_hint(&mut self, now: Duration, port: PortId, hint: Hint) {
        self.advance(now);
        self.suspect(port, hint);
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
        if self.schedule.next().is_some_and(|next| next <= self.now) {
            self.start_round();
        }
    }

    /// An operator releases a port that is blocked or latched, and its trips are forgotten. Returns
    /// whether there was something to release.
    pub fn release(&mut self, now: Duration, port: PortId) -> bool {
        self.advance(now);
        let Some(since) = self.ports.get_mut(port.index()).and_then(Port::release) else { return false };
        self.tell(Event::Cleared { port, after: self.now.saturating_sub(since) });
        self.go_fast();
        self.schedule.request(self.now, self.now);
        true
    }

    // ----- outputs

    /// The next probe to send, an untagged frame written to `frame`.
    ///
    /// Send it before queued frames (in a storm the queues are full), also out of a blocked port.
    pub fn poll_transmit(&mut self, frame: &mut [u8; PROBE_LEN]) -> Option<Transmit> {
        let (port, vlan) = self.next_in_round()?;
        let probe = StrictProbe {
            mac: self.config.mac,
            nonce: self.config.nonce,
            priority: self.config.priority,
            sequence: self.schedule.round().sequence,
            port,
            vlan,
            // What returns from a blocked port leads to no other block.
            stake: if self.is_blocked(port) { Stake::Listens } else { self.schedule.round().stake },
        };
        probe.emit(self.config.key, frame);
        if let Some(state) = self.ports.get_mut(port.index()) {
            state.note_sent();
        }
        self.period_probed = true;
        self.counters.sent += 1;
        Some(Transmit { port, vlan })
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` while no port can
    /// send.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.schedule.next()
    }

    // ----- state

    /// Whether `port` must not forward: neither what it receives nor towards it. Probes that
    /// [`poll_transmit`](Self::poll_transmit) names leave it all the same.
    #[inline]
    pub fn is_blocked(&self, port: PortId) -> bool {
        self.ports.get(port.index()).is_some_and(Port::is_blocked)
    }

    /// The ports that are blocked, ascending. O(`PORTS`).
    pub fn blocked_ports(&self) -> impl Iterator<Item = PortId> + '_ {
        let ports = (0..).map_while(PortId::new).zip(&self.ports);
        ports.filter(|(_, state)| state.is_blocked()).map(|(port, _)| port)
    }

    /// What is known of `port`; [`PortStatus::Down`] for one that the detector does not have.
    pub fn status(&self, port: PortId) -> PortStatus {
        self.ports.get(port.index()).map_or(PortStatus::Down, |state| state.status(self.now))
    }

    /// Other detectors heard so far, in no order; at most 32, those heard last.
    pub fn neighbours(&self) -> impl Iterator<Item = Neighbour> + '_ {
        self.neighbours.iter()
    }

    /// What happened so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings, timing as it is in force.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    // ----- helpers

    /// Time that goes back stands still.
    pub(super) fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// The spell of what is seen now: the one before, or a new one if that was long ago.
    pub(super) fn continued(&self, before: Option<Spell>) -> Spell {
        let before = before.filter(|spell| self.is_recent(spell.last));
        Spell { since: before.map_or(self.now, |spell| spell.since), last: self.now }
    }

    /// Whether something seen at `at` may be going on.
    pub(super) fn is_recent(&self, at: Duration) -> bool {
        self.now.saturating_sub(at) <= self.schedule.timing().slot * SPELL_SLOTS
    }

    /// Whether a storm rages, and has since `at`: it swallows most probes.
    pub(super) fn storms_since(&self, at: Duration) -> bool {
        self.storm.is_some_and(|storm| storm.since <= at && self.is_recent(storm.last))
    }

    /// When a round is repeated while evidence waits: as often as may be where most probes are lost.
    pub(super) fn retry_at(&self) -> Duration {
        let Timing { fast, slot, .. } = *self.schedule.timing();
        let pause = if self.storms_since(self.now) {
            fast / u32::from(Timing::ROUNDS_PER_PERIOD)
        } else {
            slot * RETRY_SLOTS
        };
        self.now.saturating_add(pause)
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.counters.events_lost += u64::from(!self.events.push(event));
    }

    pub(super) fn go_fast(&mut self) {
        let until = self.now.saturating_add(self.schedule.timing().fast_for);
        self.fast_until = self.fast_until.max(until);
    }

    /// Probing is fast for a while; a new suspicion is told and probed at once.
    pub(super) fn suspect(&mut self, port: PortId, hint: Hint) {
        let until = self.now.saturating_add(self.schedule.timing().fast_for);
        if hint == Hint::Storm && port.index() < PORTS {
            // At a blocked port, too: one probe a period that is lost would pass for silence.
            self.storm = Some(self.continued(self.storm));
        }
        let Some(state) = self.ports.get_mut(port.index()) else { return };
        if state.looped.is_some() {
            return; // that is known
        }
        let known = self.now < state.suspect_until;
        state.suspect(until);
        self.go_fast();
        if !known {
            self.tell(Event::Suspected { port, hint });
        }
        if !known || hint == Hint::DuplicateProbe {
            self.schedule.request_for_hint(self.now);
        }
    }

    /// A port changed; one that is `new` in the network is probed soon.
    fn restart(&mut self, new: bool) {
        if new {
            self.go_fast();
            self.schedule.request_after_link_up(self.now);
        }
        self.plan();
    }

    /// Rounds run while a port can send.
    fn plan(&mut self) {
        let running = self.ports.iter().any(Port::sends);
        self.schedule.set_running(self.now, running);
    }

    fn start_round(&mut self) {
        if self.now.saturating_sub(self.period_start) >= self.schedule.shortest_period() {
            self.end_period();
        }
        self.counters.rounds += 1;
        self.cursor = Cursor { active: true, ..Cursor::default() };
        self.schedule.start(self.now, self.pace(), self.stake());
        // A case does not wait for the next regular round: in a storm most probes are lost.
        let cases = self.ports.iter().filter_map(|state| state.case);
        let retry = self.retry_at();
        let again =
            cases.map(|case| if case.ripe_at > self.now { case.ripe_at.min(retry) } else { retry }).min();
        if let Some(again) = again {
            self.schedule.request(self.now, again);
        }
    }

    /// What a round that starts now stands for.
    fn stake(&self) -> Stake {
        let mut cases = self.ports.iter().filter_map(|state| state.case).peekable();
        // Whoever cut one loop just now is next to the others that it sees.
        let at_work = self.blocked_at.is_some_and(|at| self.is_recent(at));
        match () {
            () if !self.blocks() => Stake::Listens,
            () if cases.peek().is_none() => Stake::Claims,
            () if at_work || cases.any(|case| case.ripe_at <= self.now) => Stake::Presses,
            () => Stake::Waits,
        }
    }

    fn pace(&self) -> Pace {
        let storm_ends = self.storm.map(|storm| storm.last.saturating_add(self.schedule.timing().fast));
        if storm_ends.is_some_and(|end| self.now < end) {
            Pace::Storm
        } else if self.now < self.fast_until || self.ports.iter().any(|state| state.looped.is_some()) {
            Pace::Fast
        } else {
            Pace::Idle
        }
    }

    fn end_period(&mut self) {
        let probed = core::mem::replace(&mut self.period_probed, false);
        self.period_start = self.now;
        let (now, silent_periods) = (self.now, self.schedule.timing().silent_periods);
        for index in 0..PORTS {
            let ended =
                self.ports.get_mut(index).and_then(|state| state.end_period(now, probed, silent_periods));
            let Some((since, port)) = ended.zip(PortId::new(index as u16)) else { continue };
            self.tell(Event::Cleared { port, after: now.saturating_sub(since) });
            self.go_fast();
        }
    }

    /// Steps to the next port and VLAN of the round.
    fn next_in_round(&mut self) -> Option<(PortId, Option<VlanId>)> {
        while self.cursor.active {
            let Some(state) = self.ports.get(self.cursor.port) else {
                self.cursor.active = false;
                break;
            };
            let left = state.vlans.checked_shr(self.cursor.vlan as u32).unwrap_or(0);
            let port = PortId::new(self.cursor.port as u16).filter(|_| state.sends());
            if port.is_some() && left != 0 {
                let slot = self.cursor.vlan + left.trailing_zeros() as usize;
                self.cursor.vlan = slot + 1;
                return port.zip(self.vlans.get(slot).copied());
            }
            let unnamed = port.filter(|_| state.vlans == 0);
            self.cursor = Cursor { port: self.cursor.port + 1, vlan: 0, ..self.cursor };
            if let Some(port) = unnamed {
                return Some((port, None));
            }
        }
        None
    }
}

pub(super) fn out_of_range<const PORTS: usize>(port: PortId) -> PortOutOfRange {
    PortOutOfRange { port: port.get(), capacity: PORTS as u16 }
}
