//! What is known of one port: its link, its evidence, its block.

use core::time::Duration;

use vlan_table::PortId;

use super::config::{PortConfig, Role, Timing};
use super::event::PortStatus;
use super::schedule::at_or_after;

/// Trips further apart than this do not add up.
const TRIP_WINDOW: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) config: PortConfig,
    pub(super) up: bool,
    /// Spanning tree holds the port: it neither sends probes nor lends itself as evidence.
    pub(super) held_by_stp: bool,
    /// VLANs to probe in, as indices of the detector's table.
    pub(super) vlans: u64,
    /// Probes from before this round are void here: the link changed.
    pub(super) valid_from: u32,
    pub(super) case: Option<Case>,
    pub(super) looped: Option<Looped>,
    pub(super) suspect_until: Duration,
    /// A period passed with probes sent and none returned.
    quiet: bool,
    /// A probe was sent in this period.
    probed: bool,
    /// A probe returned in this period.
    returned: bool,
    trips: u8,
    last_trip: Duration,
}

/// Evidence on the port that would be blocked, before it suffices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// When a probe returned last.
    pub(super) seen_at: Duration,
    /// The other port of the loop, or the same.
    pub(super) other: PortId,
    /// For how long nobody else may press for a block before it is ripe.
    pub(super) patience: Duration,
    /// Rounds sent before this are not acted upon: others go first.
    pub(super) ripe_at: Duration,
    /// Rounds of which a probe returned.
    pub(super) returns: u8,
    /// The last of them.
    sequence: Option<u32>,
    /// Copies that come in before this tell nothing new.
    judge_at: Duration,
    /// How often others went first.
    pub(super) yielded: u8,
}

impl Case {
    /// A case of which nothing was counted yet.
    pub(super) const fn new(now: Duration, other: PortId, patience: Duration, ripe_at: Duration) -> Self {
        Self { seen_at: now, other, patience, ripe_at, returns: 0, sequence: None, judge_at: now, yielded: 0 }
    }

    /// Counts a return; `false` for a copy that comes within `slot` of the one before.
    pub(super) fn takes(&mut self, now: Duration, sequence: u32, slot: Duration) -> bool {
        self.seen_at = now;
        if now < self.judge_at {
            return false;
        }
        self.judge_at = now.saturating_add(slot);
        if self.sequence.replace(sequence) != Some(sequence) {
            self.returns = self.returns.saturating_add(1);
        }
        true
    }
}

/// A loop that was acted upon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looped {
    pub(super) blocked: bool,
    /// Only an operator ends it.
    pub(super) latched: bool,
    since: Duration,
    /// The last round of which a probe returned.
    pub(super) sequence: u32,
    silent_periods: u8,
    hold: Duration,
    release: Release,
}

/// When the hold time is over.
#[derive(Clone, Copy, Debug)]
enum Release {
    At(Duration),
    /// The link is down and the clock with it; so much is left.
    Paused(Duration),
}

impl Port {
    pub(super) fn new() -> Self {
        Self {
            config: PortConfig::DEFAULT,
            up: false,
            held_by_stp: false,
            vlans: 0,
            valid_from: 0,
            case: None,
            looped: None,
            suspect_until: Duration::ZERO,
            quiet: false,
            probed: false,
            returned: false,
            trips: 0,
            last_trip: Duration::ZERO,
        }
    }

    pub(super) fn sends(&self) -> bool {
        self.up && self.config.transmit && !self.held_by_stp && self.config.role != Role::Monitor
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.looped.is_some_and(|looped| looped.blocked)
    }

    pub(super) fn status(&self, now: Duration) -> PortStatus {
        match self.looped {
            Some(Looped { latched: true, .. }) => PortStatus::Latched,
            Some(Looped { blocked: true, .. }) => PortStatus::Blocked,
            Some(_) => PortStatus::Looped,
            None if !self.up => PortStatus::Down,
            None if now < self.suspect_until || self.case.is_some() => PortStatus::Suspect,
            None if self.quiet => PortStatus::Clear,
            None => PortStatus::Unknown,
        }
    }

    /// The link went up or down; probes before round `next` are void.
    pub(super) fn set_link(&mut self, now: Duration, up: bool, next: u32) {
        self.up = up;
        self.valid_from = next;
        self.case = None;
        (self.quiet, self.probed, self.returned) = (false, false, false);
        if let Some(looped) = &mut self.looped {
            looped.silent_periods = 0;
            looped.release = match (looped.release, up) {
                (Release::At(at), false) => Release::Paused(at.saturating_sub(now)),
                (Release::Paused(left), true) => Release::At(now.saturating_add(left)),
                (unchanged, _) => unchanged,
            };
        }
    }

    /// Whether probes of round `sequence` still mean something here.
    pub(super) fn accepts(&self, sequence: u32) -> bool {
        self.up && at_or_after(sequence, self.valid_from)
    }

    pub(super) fn suspect(&mut self, until: Duration) {
        self.suspect_until = until;
        self.quiet = false;
    }

    pub(super) fn note_sent(&mut self) {
        self.probed = true;
    }

    pub(super) fn note_return(&mut self) {
        self.returned = true;
        self.quiet = false;
    }

    /// A loop through this port is acted upon; returns how often that happened within the hour.
    pub(super) fn trip(&mut self, now: Duration, sequence: u32, blocked: bool, timing: &Timing) -> u8 {
        if blocked {
            if now.saturating_sub(self.last_trip) >= TRIP_WINDOW {
                self.trips = 0;
            }
            self.trips = self.trips.saturating_add(1);
            self.last_trip = now;
        }
        let doublings = u32::from(self.trips.saturating_sub(1)).min(16);
        let first = timing.fast * u32::from(timing.silent_periods);
        let hold = first.saturating_mul(1 << doublings).min(timing.hold_max.max(first));
        self.case = None;
        self.looped = Some(Looped {
            blocked,
            latched: blocked && self.trips > timing.trips_per_hour,
            since: now,
            sequence,
            silent_periods: 0,
            hold,
            release: Release::At(now.saturating_add(hold)),
        });
        self.trips
    }

    /// A probe of round `sequence` showed that the loop is still there.
    pub(super) fn rearm(&mut self, now: Duration, sequence: u32) {
        self.note_return();
        if let Some(looped) = &mut self.looped {
            looped.sequence = sequence;
            looped.silent_periods = 0;
            if let Release::At(at) = &mut looped.release {
                *at = now.saturating_add(looped.hold);
            }
        }
    }

    /// A period is over, in which this or another port sent probes if `probed`. Returns when the
    /// loop was found if the port is clear of it now.
    pub(super) fn end_period(&mut self, now: Duration, probed: bool, silent_periods: u8) -> Option<Duration> {
        // A port that sends must have sent itself; one that only listens relies on the others.
        let silent = self.up && !self.returned && if self.sends() { self.probed } else { probed };
        if !self.returned {
            self.case = None;
        }
        self.quiet |= silent;
        (self.probed, self.returned) = (false, false);
        let looped = self.looped.as_mut()?;
        if silent {
            looped.silent_periods = looped.silent_periods.saturating_add(1);
        }
        let over = matches!(looped.release, Release::At(at) if now >= at);
        if looped.latched || !over || looped.silent_periods < silent_periods {
            return None;
        }
        let since = looped.since;
        self.looped = None;
        Some(since)
    }

    /// An operator ends the block. Returns when the loop was found.
    pub(super) fn release(&mut self) -> Option<Duration> {
        self.trips = 0;
        self.looped.take().map(|looped| looped.since)
    }
}
