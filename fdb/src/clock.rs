//! Time as entries see it: ticks, stamps, and the two bounds that tell the living from the dead.
//!
//! An entry cannot afford a `Duration`. It keeps a 12-bit *stamp*, a number that grows when a new
//! *tick* (a fixed step of time) begins and when something is flushed. So one number orders
//! sightings against both: whoever was seen before the oldest tick that counts has expired, and only
//! who was seen before the latest flush can have been flushed. For every tick of the past ageing
//! time the clock remembers the first stamp, hence stamps never wrap: when they run out,
//! [`Clock::renumber`] starts again at 1 and says how to translate the stored ones.

use core::time::Duration;

use crate::entry::{LAST_STAMP, Stamp, Window};

/// How many ticks the clock can look back.
pub(crate) const TICKS: u16 = 1024;

/// How long an entry outlives the last frame of its station, and to what resolution.
///
/// Sightings are rounded down to whole ticks, so an entry is never used longer than the ageing time
/// and dies less than one tick early. Unless said otherwise a tick is 1/1024 of the ageing time: 0.29 s
/// of the usual 300 s (IEEE 802.1Q-2018, table 8-6), a third of what other switches resolve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ageing {
    /// Length of a tick, in nanoseconds; never 0.
    tick: u64,
    /// Lifetime in ticks, `1..=TICKS`; `None`: entries live until they are flushed or replaced.
    ticks: Option<u16>,
}

impl Ageing {
    /// Entries never age. (In other systems an ageing time of 0 means this, or that nothing is learned.)
    pub const NEVER: Self = Self { tick: u64::MAX, ticks: None };
    /// 300 s, the recommended value (IEEE 802.1Q-2018, table 8-6).
    pub const DEFAULT: Self = Self::after(Duration::from_secs(300));
    /// A 2-bit counter that a 100 s tick counts down: an entry lives for 200 to 300 s (RTL8306 SDK,
    /// age codes; RTL8305SB datasheet, 7.1.6).
    pub const REALTEK: Self = Self::coarse(Duration::from_secs(100), 3);

    /// Entries die after `time` of silence. Less than 1 ns counts as 1 ns.
    pub const fn after(time: Duration) -> Self {
        let tick = nanos(time).div_ceil(TICKS as u64);
        Self::new(time, if tick == 0 { 1 } else { tick })
    }

    /// Entries die at the `ticks`-th tick after the one in which their station was last seen, hence
    /// after more than `ticks - 1` and at most `ticks` times `tick`. `ticks` is taken as one of
    /// `1..=1024`.
    pub const fn coarse(tick: Duration, ticks: u16) -> Self {
        let tick = if nanos(tick) == 0 { 1 } else { nanos(tick) };
        let ticks = if ticks == 0 {
            1
        } else if ticks > TICKS {
            TICKS
        } else {
            ticks
        };
        Self { tick, ticks: Some(ticks) }
    }

    const fn new(time: Duration, tick: u64) -> Self {
        let ticks = nanos(time) / tick;
        let ticks = if ticks == 0 { 1 } else { ticks }; // at most TICKS by the choice of `tick`
        Self { tick, ticks: Some(ticks as u16) }
    }

    /// The longest that an entry outlives its station's last frame; `None` if entries never age.
    pub const fn time(self) -> Option<Duration> {
        match self.ticks {
            Some(ticks) => Some(Duration::from_nanos(self.tick.saturating_mul(ticks as u64))),
            None => None,
        }
    }

    /// The step in which age is counted: an entry may die this much earlier than [`Ageing::time`].
    pub const fn resolution(self) -> Duration {
        Duration::from_nanos(self.tick)
    }
}

impl Default for Ageing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    ageing: Ageing,
    /// The current tick, counted from the epoch.
    tick: u64,
    /// When the current tick ends.
    tick_ends: Duration,
    /// The first stamp of each of the last `TICKS` ticks, tick `t` at `t % TICKS`. A tick that passed
    /// without any call has the first stamp of its successor.
    first: [Stamp; TICKS as usize],
    /// The stamp of what is seen now.
    stamp: Stamp,
    /// Stamps below belong to entries that have expired.
    cutoff: Stamp,
    /// Stamps below may belong to entries that were flushed.
    flushed: Stamp,
    /// What certainly lives: follows from the others.
    alive: Window,
}

impl Clock {
    pub(crate) fn new(ageing: Ageing) -> Self {
        Self {
            ageing,
            tick: 0,
            tick_ends: Duration::from_nanos(ageing.tick),
            first: [1; TICKS as usize],
            stamp: 1,
            cutoff: 1,
            flushed: 1,
            alive: Window::new(1, 1),
        }
    }

    pub(crate) const fn ageing(&self) -> Ageing {
        self.ageing
    }

    /// The stamp of what is seen now.
    pub(crate) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Whether the current tick is over at `now`: then [`Clock::advance`] is due.
    #[inline(always)]
    pub(crate) const fn is_late(&self, now: Duration) -> bool {
        order(now) >= order(self.tick_ends)
    }

    /// The records that certainly live.
    #[inline(always)]
    pub(crate) const fn alive(&self) -> Window {
        self.alive
    }

    /// To be called when `stamp`, `cutoff` or `flushed` changed.
    fn settle(&mut self) {
        self.alive = Window::new(self.alive_from(), self.stamp);
    }

    /// Stamps from here up to [`Clock::stamp`] belong to entries that certainly live.
    pub(crate) const fn alive_from(&self) -> Stamp {
        if self.cutoff > self.flushed { self.cutoff } else { self.flushed }
    }

    /// The lowest stamp that has not expired.
    pub(crate) const fn cutoff(&self) -> Stamp {
        self.cutoff
    }

    /// The cut-off as it will be at `now`, for look-ups that may not change the clock.
    pub(crate) fn cutoff_at(&self, now: Duration) -> Stamp {
        let Some(ticks) = self.ageing.ticks else { return self.cutoff };
        let tick = nanos(now) / self.ageing.tick;
        match tick.saturating_add(1).saturating_sub(u64::from(ticks)) {
            0 => 1,
            oldest if oldest > self.tick => self.stamp + 1,
            oldest => self.first_of(oldest),
        }
        .max(self.cutoff)
    }

    /// Whether stamps ran out: then [`Clock::renumber`] is due before the next step.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.stamp >= LAST_STAMP - 1
    }

    /// Steps to `now`. A time in the past changes nothing.
    pub(crate) fn advance(&mut self, now: Duration) {
        let tick = nanos(now) / self.ageing.tick;
        if tick <= self.tick {
            return;
        }
        self.stamp += 1; // below LAST_STAMP, since the caller renumbers
        let skipped = (tick - self.tick).min(u64::from(TICKS));
        for passed in 0..skipped {
            self.set_first(tick - passed, self.stamp);
        }
        self.tick = tick;
        self.tick_ends = Duration::from_nanos(tick.saturating_add(1).saturating_mul(self.ageing.tick));
        self.cut();
    }

    /// Begins a new stamp, so that everything seen up to now can be told from what comes; returns the
    /// lowest stamp of the new time.
    pub(crate) fn flush(&mut self) -> Stamp {
        self.stamp += 1;
        self.flushed = self.stamp;
        self.settle();
        self.stamp
    }

    /// Says that nothing that was flushed is stored any more.
    pub(crate) fn forget_flushes(&mut self) {
        self.flushed = 1;
        self.settle();
    }

    /// Entries die after `time` of silence from now on; the length of a tick stays.
    ///
    /// `Err` has the longest time that can be counted.
    pub(crate) fn set_ageing(&mut self, time: Option<Duration>) -> Result<(), Duration> {
        let longest = Duration::from_nanos(self.ageing.tick.saturating_mul(u64::from(TICKS)));
        self.ageing.ticks = match time {
            None => None,
            Some(time) if time > longest => return Err(longest),
            Some(time) => Some((nanos(time) / self.ageing.tick).clamp(1, u64::from(TICKS)) as u16),
        };
        self.cut();
        Ok(())
    }

    /// When an entry with this stamp dies.
    pub(crate) fn dies_at(&self, stamp: Stamp) -> Option<Duration> {
        let tick = self.tick_of(stamp) + u64::from(self.ageing.ticks?);
        Some(Duration::from_nanos(tick.saturating_mul(self.ageing.tick)))
    }

    /// Time between the tick of this stamp and that of `now`.
    pub(crate) fn age_at(&self, now: Duration, stamp: Stamp) -> Duration {
        let tick = self.tick.max(nanos(now) / self.ageing.tick);
        Duration::from_nanos((tick - self.tick_of(stamp)).saturating_mul(self.ageing.tick))
    }

    /// The stamp of a sighting `age` ago, right after [`Clock::renumber`].
    #[cfg(all(feature = "alloc", feature = "serde"))]
    pub(crate) fn stamp_before(&self, age: Duration) -> Stamp {
        let tick = self.tick.saturating_sub(nanos(age).div_ceil(self.ageing.tick));
        self.first_of(tick.max(self.oldest_tick()))
    }

    /// Starts counting at 1 again. Every stored stamp must be at least the cut-off; `translate` gives
    /// its successor. Flushes must have been forgotten.
    pub(crate) fn renumber(&mut self) -> Renumbered {
        let oldest = self.oldest_tick();
        let old = self.first;
        for (number, tick) in (oldest..=self.tick).enumerate() {
            self.set_first(tick, number as Stamp + 1);
        }
        let renumbered = Renumbered { old, oldest, newest: self.tick };
        self.stamp = (self.tick - oldest) as Stamp + 1;
        self.flushed = 1;
        self.cutoff = 1;
        self.cut();
        renumbered
    }

    fn cut(&mut self) {
        if let Some(ticks) = self.ageing.ticks {
            let oldest = self.tick.saturating_add(1).saturating_sub(u64::from(ticks));
            if oldest > 0 {
                self.cutoff = self.cutoff.max(self.first_of(oldest));
            }
        }
        self.settle();
    }

    fn oldest_tick(&self) -> u64 {
        self.tick.saturating_add(1).saturating_sub(u64::from(TICKS))
    }

    fn tick_of(&self, stamp: Stamp) -> u64 {
        tick_of(&self.first, self.oldest_tick(), self.tick, stamp)
    }

    fn first_of(&self, tick: u64) -> Stamp {
        first_of(&self.first, tick)
    }

    fn set_first(&mut self, tick: u64, stamp: Stamp) {
        if let Some(first) = self.first.get_mut((tick % u64::from(TICKS)) as usize) {
            *first = stamp;
        }
    }
}

/// How stamps from before a renumbering read after it.
pub(crate) struct Renumbered {
    old: [Stamp; TICKS as usize],
    oldest: u64,
    newest: u64,
}

impl Renumbered {
    pub(crate) fn translate(&self, stamp: Stamp) -> Stamp {
        (tick_of(&self.old, self.oldest, self.newest, stamp) - self.oldest) as Stamp + 1
    }
}

/// The last tick whose first stamp is not above `stamp`, at least `oldest`.
fn tick_of(first: &[Stamp; TICKS as usize], oldest: u64, newest: u64, stamp: Stamp) -> u64 {
    let (mut low, mut high) = (oldest, newest);
    while low < high {
        let middle = high - (high - low) / 2;
        if first_of(first, middle) <= stamp { low = middle } else { high = middle - 1 }
    }
    low
}

fn first_of(first: &[Stamp; TICKS as usize], tick: u64) -> Stamp {
    first.get((tick % u64::from(TICKS)) as usize).copied().unwrap_or(1)
}

/// Time as one number, which only is good for comparing: two instructions.
#[inline(always)]
const fn order(time: Duration) -> u128 {
    (time.as_secs() as u128) << 64 | time.subsec_nanos() as u128
}

const fn nanos(time: Duration) -> u64 {
    let nanos = time.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}
