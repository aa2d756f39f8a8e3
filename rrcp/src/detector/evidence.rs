//! How the strict detector weighs what it hears.
//!
//! From strong to weak: an own probe of a current round; an own probe that is late; our address in
//! a probe of another form; our address in any frame; a station that moves; a storm. The first
//! alone leads to a block.

use core::cmp::Reverse;
use core::time::Duration;

use vlan_table::{EtherType, PortId, VlanId};

use super::Disposition;
use super::config::{Action, Role, Timing};
use super::event::{Event, Hint, Loop, LoopKind};
use super::neighbours::Heard;
use super::port::{Case, Port};
use super::probe::{Rank, Stake, StrictProbe};
use super::schedule::Round;
use super::strict::LoopDetector;
use crate::{FrameView, Message};

/// VLAN tags that a probe may stand behind.
const MAX_TAGS: usize = 4;
/// Slots that a self-loop waits if another detector is behind the port: a loop there is its own to
/// cut, and our port would cut it off.
const SLOTS_FOR_NEIGHBOURS: u32 = 6;
/// Slots that an uplink waits, in which any other detector on the loop finds a better cut.
pub(super) const SLOTS_FOR_UPLINKS: u32 = 24;
/// Slots that an uplink waits longer for each detector in the loop's direction: whoever is nearer to
/// the loop has fewer of them, and goes first.
const SLOTS_FOR_EACH_BEHIND: u32 = 6;
/// Detectors that are waited for so.
const MOST_BEHIND: u32 = 5;
/// Slots, from the first return on, for which patience is extended while others press: what a fast
/// period leaves.
const MAX_PATIENCE: u32 = 76;
/// A case yields to others so often, then it acts.
const MAX_YIELDS: u8 = 4;
/// Others that are waited for at most, one slot each.
const MAX_AHEAD: u32 = 4;
/// Own probes that return within a second and are no storm of them.
const STORM_OF_OWN: u16 = 64;
/// Our address under another nonce is from before our boot for so long.
const OLD_BOOT: Duration = Duration::from_secs(3);
/// A duplicate address is told so often.
const DUPLICATES_EVERY: Duration = Duration::from_secs(60);

impl<const PORTS: usize, const VLANS: usize> LoopDetector<PORTS, VLANS> {
    /// A frame came in at `port`, and the switch puts it in `vlan` (`None` if it knows no VLANs).
    ///
    /// Ask before the frame is policed and before its source is learned. An own probe may block a
    /// port within this call.
    pub fn handle_frame(
        &mut self,
        now: Duration,
        port: PortId,
        vlan: Option<VlanId>,
        frame: &[u8],
    ) -> Disposition {
        self.advance(now);
        let Some(state) = self.ports.get(port.index()) else {
            self.counters.unknown_port += 1;
            return Disposition::Forward;
        };
        let disposition = match state.is_blocked() {
            false => self.classify(port, vlan, frame),
            true => match self.classify(port, vlan, frame) {
                Disposition::OwnProbe => Disposition::OwnProbe,
                _ => Disposition::Blocked,
            },
        };
        self.counters.blocked += u64::from(disposition == Disposition::Blocked);
        disposition
    }

    fn classify(&mut self, port: PortId, vlan: Option<VlanId>, frame: &[u8]) -> Disposition {
        let Ok(ethernet) = vlan_table::FrameView::new(frame, MAX_TAGS) else { return Disposition::Forward };
        if ethernet.ether_type() != EtherType::REALTEK {
            if ethernet.src() == self.config.mac.into_array() {
                self.suspect(port, Hint::OwnSource);
            }
            return Disposition::Forward;
        }
        match FrameView::new(frame, MAX_TAGS) {
            Ok(view) if matches!(view.message(), Message::Probe(_)) => self.probe(port, vlan, &view),
            _ => Disposition::Forward,
        }
    }

    fn probe(&mut self, port: PortId, vlan: Option<VlanId>, view: &FrameView<'_>) -> Disposition {
        let src = view.src();
        if src.is_nil() || src.is_multicast() {
            self.counters.malformed += 1;
            return Disposition::Forward;
        }
        let strict = StrictProbe::parse(view);
        let authentic = self.config.key.is_none_or(|key| StrictProbe::is_authentic(view, key));
        match strict {
            Some(probe) if probe.mac == self.config.mac && probe.nonce == self.config.nonce => {
                if authentic {
                    self.own_probe(port, vlan, &probe);
                    return Disposition::OwnProbe;
                }
                self.counters.forged += 1;
            }
            _ if src == self.config.mac => self.our_address(port, vlan, strict.is_some()),
            _ => {}
        }
        self.counters.foreign += 1;
        match strict.filter(|_| authentic) {
            Some(probe) => self.hear(port, vlan, &probe),
            None => self.neighbours.hear_plain(self.now, src, port),
        }
        if self.neighbours.may_flood(self.now, src) {
            return Disposition::ForeignProbe;
        }
        self.suspect(port, Hint::Storm);
        Disposition::Forward
    }

    /// Our address in a probe that is not ours: our own from before the boot, or a duplicate.
    fn our_address(&mut self, port: PortId, vlan: Option<VlanId>, strict: bool) {
        if strict && self.now.saturating_sub(self.started) < OLD_BOOT {
            self.counters.old_boot += 1;
            return;
        }
        self.counters.duplicate_mac += 1;
        if self.quiet_about_duplicates_until <= self.now {
            self.quiet_about_duplicates_until = self.now.saturating_add(DUPLICATES_EVERY);
            self.tell(Event::DuplicateMac { port, vlan });
        }
    }

    fn hear(&mut self, port: PortId, vlan: Option<VlanId>, probe: &StrictProbe) {
        let forwards =
            self.ports.get(port.index()).is_some_and(|state| !state.is_blocked() && !state.held_by_stp);
        // What leaves a blocked port listens only, and shows no way that others' frames could go.
        let open = forwards && probe.stake > Stake::Listens;
        match self.neighbours.hear(self.now, probe, port, vlan, open) {
            Heard::New if probe.stake == Stake::Presses => self.give_time(port),
            Heard::Twice => self.suspect(port, Hint::DuplicateProbe),
            Heard::New | Heard::Again => {}
        }
    }

    /// Another detector behind `port` is about to block: cases of loops through that port, which it
    /// should rather cut, wait on.
    fn give_time(&mut self, port: PortId) {
        let longest = self.longest_wait();
        for (index, state) in self.ports.iter_mut().enumerate() {
            let case = state.case.as_mut().filter(|case| index == port.index() || case.other == port);
            let Some(case) = case else { continue };
            case.ripe_at = case.ripe_at.max(longest.min(self.now.saturating_add(case.patience)));
        }
    }

    /// An own probe came back: is it evidence, and of what?
    fn own_probe(&mut self, rx: PortId, rx_vlan: Option<VlanId>, probe: &StrictProbe) {
        self.counters.own += 1;
        if !self.own_returns.take(self.now, STORM_OF_OWN) {
            self.suspect(rx, Hint::Storm);
        }
        let found = Loop { tx: probe.port, rx, tx_vlan: probe.vlan, rx_vlan };
        let (Some(from), Some(to)) = (self.ports.get(found.tx.index()), self.ports.get(found.rx.index()))
        else {
            self.counters.void += 1;
            return;
        };
        let too_late = |round: &Round| self.now.saturating_sub(round.at) > self.schedule.timing().accept;
        let counter = match self.schedule.find(probe.sequence) {
            None => &mut self.counters.late,
            Some(round) if too_late(&round) => &mut self.counters.late,
            _ if !from.accepts(probe.sequence) || !to.accepts(probe.sequence) => &mut self.counters.void,
            _ if from.config.role == Role::Monitor || to.config.role == Role::Monitor => {
                &mut self.counters.mirrored
            }
            _ if from.held_by_stp || to.held_by_stp => &mut self.counters.held_by_stp,
            Some(round) => return self.evidence(found, round),
        };
        *counter += 1;
    }

    /// A current own probe: a known loop, or a new one.
    fn evidence(&mut self, found: Loop, round: Round) {
        let candidate = self.candidate(found);
        if let Some(holder) = self.holder(found, candidate) {
            let Some(state) = self.ports.get_mut(holder.index()) else { return };
            let known = state.looped.is_some_and(|looped| looped.sequence == round.sequence);
            state.rearm(self.now, round.sequence);
            let counter = if known { &mut self.counters.repeated } else { &mut self.counters.rearmed };
            *counter += 1;
        } else if self.blocked_at.is_some_and(|at| self.shown_at(&found, candidate, &round) <= at) {
            self.counters.in_flight += 1;
        } else {
            self.judge(found, candidate, round);
        }
    }

    /// The time for which a probe of `round` that comes in now shows a loop. No way round takes a
    /// slot: what was sent earlier has gone round and round, and did so a slot ago. On its way from
    /// one port to another it may have done so in a third place, and its first step be cut since: not
    /// good enough for the block of an uplink.
    fn shown_at(&self, found: &Loop, candidate: PortId, round: &Round) -> Duration {
        let role = self.ports.get(candidate.index()).map(|state| state.config.role);
        match found.tx == found.rx || role == Some(Role::Access) {
            true => round.at.max(self.now.saturating_sub(self.schedule.timing().slot)),
            false => round.at,
        }
    }

    /// Whether others were told by `shown_at` that we would act.
    fn claimed(&self, round: &Round, shown_at: Duration) -> bool {
        !self.blocks() || round.stake >= Stake::Claims || self.schedule.has_claimed_since(shown_at)
    }

    /// Decides about a new loop: act, wait for a turn, or wait for a confirmation.
    fn judge(&mut self, found: Loop, candidate: PortId, round: Round) {
        let (now, timing) = (self.now, *self.schedule.timing());
        let shown_at = self.shown_at(&found, candidate, &round);
        // Whoever has a claim on the wire at the same time and ranks before us goes first. One of
        // any two hears the other's, since a loop carries both.
        let ahead = self.neighbours.ahead_of(self.rank(), shown_at.saturating_sub(timing.slot));
        let claimed = self.claimed(&round, shown_at);
        let retry = self.retry_at();
        self.unrest = Some(self.continued(self.unrest));
        let case = self.lasting_case(candidate).unwrap_or_else(|| self.new_case(found, candidate, shown_at));
        let Some(state) = self.ports.get_mut(candidate.index()) else { return };
        let spare = state.config.role != Role::Access;
        state.note_return();
        let case = state.case.insert(case);
        if !case.takes(now, round.sequence, timing.slot) {
            self.counters.repeated += 1;
            return;
        }
        let enough = case.returns >= timing.confirmations.saturating_add(u8::from(spare));
        let ripe = shown_at >= case.ripe_at && claimed;
        if enough && ripe && (ahead == 0 || case.yielded >= MAX_YIELDS) {
            self.act(found, candidate, round.sequence);
            return;
        }
        if ripe && ahead > 0 {
            case.yielded += 1;
            case.ripe_at = now.saturating_add(timing.slot * (1 + ahead.min(MAX_AHEAD)));
        }
        self.counters.deferred += 1;
        // Others shall hear early that somebody waits for them.
        let turn = case.ripe_at.min(retry);
        self.schedule.request(now, turn);
        self.go_fast();
    }

    /// The case of a port, unless its loop is gone: one that others have cut meanwhile is none that
    /// this one waited for.
    fn lasting_case(&self, candidate: PortId) -> Option<Case> {
        let case = self.ports.get(candidate.index())?.case?;
        (self.is_recent(case.seen_at) || self.storms_since(case.seen_at)).then_some(case)
    }

    fn new_case(&self, found: Loop, candidate: PortId, shown_at: Duration) -> Case {
        let patience = self.schedule.timing().slot * self.patience(found, candidate);
        let ripe_at = match patience.is_zero() {
            true => shown_at,
            // Whoever cuts several ports shall be done within the period.
            false => self.now.saturating_add(patience).min(self.longest_wait()).max(self.now),
        };
        let other = if candidate == found.tx { found.rx } else { found.tx };
        Case::new(self.now, other, patience, ripe_at)
    }

    fn act(&mut self, found: Loop, candidate: PortId, sequence: u32) {
        let (now, timing) = (self.now, *self.schedule.timing());
        let allowed = match found.kind() {
            LoopKind::InterVlan => self.config.inter_vlan,
            LoopKind::SelfLoop | LoopKind::Pair => Action::Block,
        };
        let blocks = self.config.action == Action::Block && allowed == Action::Block;
        let Some(state) = self.ports.get_mut(candidate.index()) else { return };
        let blocked = blocks && state.config.block;
        let trips = state.trip(now, sequence, blocked, &timing);
        let latched = state.looped.is_some_and(|looped| looped.latched);
        self.counters.acted += 1;
        self.tell(Event::Looped { found, blocked: blocked.then_some(candidate) });
        if latched {
            self.tell(Event::Latched { port: candidate, trips });
        }
        if blocked {
            // Whatever is still under way took the loop that is cut now: test again before the next.
            self.blocked_at = Some(now);
            self.ports.iter_mut().for_each(|state| state.case = None);
        }
        self.go_fast();
        self.schedule.request(now, now.saturating_add(timing.slot));
    }

    /// Until when cases may wait for others.
    fn longest_wait(&self) -> Duration {
        let since = self.unrest.map_or(self.now, |unrest| unrest.since);
        since.saturating_add(self.schedule.timing().slot * MAX_PATIENCE)
    }

    /// Slots that a new case waits before it may act.
    fn patience(&self, found: Loop, candidate: PortId) -> u32 {
        let heard_since = self.now.saturating_sub(3 * self.schedule.timing().idle);
        // A pair is a loop that we are on. Behind one port of ours it may be on others.
        let theirs = match found.tx == found.rx {
            true => self.neighbours.blockers_behind(candidate, heard_since),
            false => 0,
        };
        match self.ports.get(candidate.index()).map(|state| state.config.role) {
            Some(Role::Access) if theirs == 0 => 0,
            Some(Role::Access) => SLOTS_FOR_NEIGHBOURS,
            _ => SLOTS_FOR_UPLINKS + SLOTS_FOR_EACH_BEHIND * theirs.min(MOST_BEHIND),
        }
    }

    /// The port that the loop is, or would be, blocked at.
    fn candidate(&self, found: Loop) -> PortId {
        let preference = |port: PortId| {
            let config = self.ports.get(port.index()).map(|state| state.config);
            config.map(|config| (config.block, Reverse(config.role), config.priority, port))
        };
        if preference(found.tx) > preference(found.rx) { found.tx } else { found.rx }
    }

    /// The port whose block, or report, already accounts for the loop.
    fn holder(&self, found: Loop, candidate: PortId) -> Option<PortId> {
        let other = if candidate == found.tx { found.rx } else { found.tx };
        let state = |port: PortId| self.ports.get(port.index());
        let blocked = [candidate, other].into_iter().find(|port| state(*port).is_some_and(Port::is_blocked));
        blocked.or_else(|| state(candidate)?.looped.map(|_| candidate))
    }

    /// Whether this detector may ever block a port.
    pub(super) fn blocks(&self) -> bool {
        self.config.action == Action::Block && self.ports.iter().any(|state| state.up && state.config.block)
    }

    fn rank(&self) -> Rank {
        Rank { priority: self.config.priority, mac: self.config.mac, nonce: self.config.nonce }
    }
}

// An uplink's wait, and a turn, fit into what a period keeps for them; the longest wait and all turns
// into a fast period of a hundred slots.
const _: () = assert!(SLOTS_FOR_UPLINKS + 1 + MAX_AHEAD < Timing::RESERVE_SLOTS);
const _: () = assert!(MAX_PATIENCE + MAX_YIELDS as u32 * (1 + MAX_AHEAD) < 100);
