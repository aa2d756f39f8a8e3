//! When rounds of probes start, and which were sent when.

use core::time::Duration;

use super::config::Timing;
use super::probe::Stake;

/// How fast rounds follow each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pace {
    /// Nothing is wrong.
    Idle,
    /// A link came up, something is suspected, or a port is blocked.
    Fast,
    /// A storm rages: most probes will be lost, so more are sent.
    Storm,
}

/// Most rounds of a fast period that hints may bring forward.
const HINTED_ROUNDS_PER_PERIOD: u8 = 4;
/// Rounds of a fast period under [`Pace::Storm`].
const STORM_ROUNDS_PER_PERIOD: u32 = 40;

/// The clock of rounds: a bound on their number, jitter, and the acceptance window.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    timing: Timing,
    jitter: Jitter,
    /// Whether a port can send.
    running: bool,
    /// Start of the next round; some while running.
    next: Option<Duration>,
    /// Start of the last round.
    last: Option<Duration>,
    /// The last round.
    round: Round,
    /// Since when every round claims.
    claiming_since: Option<Duration>,
    /// The last rounds, each at its sequence modulo the length.
    recent: [Option<Round>; 64],
    /// The current fast period, in which rounds are counted.
    period: Period,
}

/// A round that was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) sequence: u32,
    pub(super) at: Duration,
    pub(super) stake: Stake,
}

#[derive(Clone, Copy, Debug, Default)]
struct Period {
    start: Duration,
    rounds: u8,
    hinted: u8,
}

impl Schedule {
    pub(super) fn new(timing: Timing, seed: u64) -> Self {
        Self {
            timing: timing.sane(),
            jitter: Jitter(seed),
            running: false,
            next: None,
            last: None,
            // Anywhere, so that the wrap is met in practice and not after years.
            round: Round { sequence: seed as u32, at: Duration::ZERO, stake: Stake::Listens },
            claiming_since: None,
            recent: [None; 64],
            period: Period::default(),
        }
    }

    pub(super) const fn timing(&self) -> &Timing {
        &self.timing
    }

    pub(super) const fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Sequence that the next round will have.
    pub(super) const fn next_sequence(&self) -> u32 {
        self.round.sequence.wrapping_add(1)
    }

    /// The last round.
    pub(super) const fn round(&self) -> &Round {
        &self.round
    }

    /// Whether every round from one at `at` or before it on claims.
    pub(super) fn has_claimed_since(&self, at: Duration) -> bool {
        self.claiming_since.is_some_and(|since| since <= at)
    }

    /// The round `sequence`, if it is one of the last.
    pub(super) fn find(&self, sequence: u32) -> Option<Round> {
        let slot = self.recent.get(sequence as usize % self.recent.len())?;
        slot.filter(|round| round.sequence == sequence)
    }

    /// Brings the next round forward to `at`, as far as the bounds allow; no effect while no port
    /// can send.
    pub(super) fn request(&mut self, now: Duration, at: Duration) {
        if !self.running {
            return;
        }
        let mut at = at.max(now);
        if let Some(last) = self.last {
            at = at.max(last.saturating_add(self.timing.slot));
        }
        let end = self.period.start.saturating_add(self.timing.fast);
        if self.period.rounds >= Timing::ROUNDS_PER_PERIOD {
            at = at.max(end);
        }
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Like [`request`](Self::request) for now, a few times per period: hints come as often as
    /// others like.
    pub(super) fn request_for_hint(&mut self, now: Duration) {
        self.renew_period(now);
        if self.period.hinted < HINTED_ROUNDS_PER_PERIOD {
            self.period.hinted += 1;
            self.request(now, now);
        }
    }

    /// A round soon, at a moment that switches which saw the same link come up do not share.
    pub(super) fn request_after_link_up(&mut self, now: Duration) {
        let jitter = self.jitter.below(self.timing.slot);
        self.request(now, now.saturating_add(jitter));
    }

    /// Rounds run while a port can send.
    pub(super) fn set_running(&mut self, now: Duration, running: bool) {
        self.running = running;
        self.next = self.next.filter(|_| running);
        if self.next.is_none() {
            self.request(now, now);
        }
    }

    /// Starts a round and plans the next.
    pub(super) fn start(&mut self, now: Duration, pace: Pace, stake: Stake) {
        self.renew_period(now);
        self.period.rounds = self.period.rounds.saturating_add(1);
        self.round = Round { sequence: self.next_sequence(), at: now, stake };
        let slot = self.round.sequence as usize % self.recent.len();
        if let Some(kept) = self.recent.get_mut(slot) {
            *kept = Some(self.round);
        }
        self.claiming_since = self.claiming_since.or(Some(now)).filter(|_| stake >= Stake::Claims);
        self.last = Some(now);
        let interval = self.interval(pace);
        let jitter = self.jitter.below(interval / 10);
        self.next = None;
        // One catch-up step: the next round counts from now, however late this one was.
        self.request(now, now.saturating_add(interval - jitter));
    }

    /// The longest time between two rounds.
    fn interval(&self, pace: Pace) -> Duration {
        let Timing { idle, fast, slot, .. } = self.timing;
        match pace {
            Pace::Idle => idle - slot * Timing::RESERVE_SLOTS,
            Pace::Fast => fast - slot * Timing::RESERVE_SLOTS,
            Pace::Storm => fast / STORM_ROUNDS_PER_PERIOD,
        }
    }

    /// The shortest time in which a period of the fast pace counts as passed.
    pub(super) fn shortest_period(&self) -> Duration {
        self.interval(Pace::Fast) * 9 / 10
    }

    fn renew_period(&mut self, now: Duration) {
        if now.saturating_sub(self.period.start) >= self.timing.fast {
            self.period = Period { start: now, ..Period::default() };
        }
    }
}

/// Sequence `a` is `b` or came after it; right while they are less than 2^31 rounds apart.
pub(super) const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) < 1 << 31
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough to keep switches out of step.
#[derive(Clone, Debug)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    /// Uniform in `0..bound`, a nanosecond fine.
    pub(super) fn below(&mut self, bound: Duration) -> Duration {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(((u128::from(self.next()) * u128::from(nanos)) >> 64) as u64)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn running(seed: u64) -> Schedule {
        let mut schedule = Schedule::new(Timing::DEFAULT, seed);
        schedule.set_running(Duration::ZERO, true);
        schedule
    }

    #[test]
    fn rounds_of_a_period_are_bounded_whatever_is_requested() {
        let mut schedule = running(1);
        let (mut rounds, mut now) = (0, Duration::ZERO);
        while now < 10 * Timing::DEFAULT.fast {
            schedule.request(now, now);
            if schedule.next().is_some_and(|next| next <= now) {
                schedule.start(now, Pace::Storm, Stake::Claims);
                rounds += 1;
            }
            now += MS;
        }
        assert!(rounds <= 10 * u32::from(Timing::ROUNDS_PER_PERIOD), "{rounds} rounds in ten periods");
    }

    #[test]
    fn intervals_leave_the_reserve_and_differ() {
        let mut schedule = running(2);
        let (mut now, mut seen) = (Duration::ZERO, [Duration::ZERO; 20]);
        for interval in &mut seen {
            schedule.start(now, Pace::Idle, Stake::Claims);
            let next = schedule.next().unwrap();
            *interval = next - now;
            assert!((4_212 * MS..=4_680 * MS).contains(interval), "{interval:?}");
            now = next;
        }
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn sequences_compare_across_the_wrap() {
        assert!(at_or_after(3, u32::MAX));
        assert!(!at_or_after(u32::MAX, 3));
        assert!(at_or_after(7, 7));
    }

    #[test]
    fn only_the_last_rounds_are_remembered() {
        let mut schedule = running(u64::from(u32::MAX) - 10);
        let first = schedule.next_sequence();
        for step in 0..64 {
            schedule.start(step * MS, Pace::Idle, Stake::Claims);
        }
        assert_eq!(schedule.find(first).map(|round| round.at), Some(Duration::ZERO));
        schedule.start(64 * MS, Pace::Idle, Stake::Claims);
        assert!(schedule.find(first).is_none());
        assert!(schedule.find(schedule.next_sequence()).is_none(), "not sent yet");
    }
}
