//! Storm control: what keeps floods of broadcast, multicast and unknown unicast within bounds.
//!
//! Two kinds, independent of the forwarding database: [`ConsecutiveFilter`], which does what Realtek's chips
//! do, and [`StormControl`], token buckets by port and class. Broadcast can be judged before the
//! look-up, the other classes only with its result.

use core::time::Duration;

use vlan_table::PortId;

/// What a frame is to storm control; frames to known unicast addresses have no class.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    /// To ff:ff:ff:ff:ff:ff.
    Broadcast,
    /// To a group address without an entry.
    Multicast,
    /// To a station that is not known.
    UnknownUnicast,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Broadcast, Self::Multicast, Self::UnknownUnicast];
}

/// How often and when frames of a port and class passed or were dropped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StormCounters {
    /// Frames that passed.
    pub passed: u64,
    /// Frames that were dropped.
    pub dropped: u64,
    /// How often dropping began.
    pub triggered: u64,
    /// When it began last, on the caller's time line.
    pub last_triggered: Option<Duration>,
}

impl StormCounters {
    fn count(&mut self, now: Duration, passes: bool, begins: bool) -> bool {
        if passes {
            self.passed += 1;
        } else {
            self.dropped += 1;
        }
        if begins {
            self.triggered += 1;
            self.last_triggered = Some(now);
        }
        passes
    }
}

/// The filter of Realtek's chips: after so many storm frames in a row, drop them for a while.
///
/// `trigger` consecutive frames of the filtered classes pass, the following are dropped until `window`
/// after the last that passed, or until another frame comes if `clear_on_other`. "Consecutive" knows no time:
/// frames an hour apart add up, and one foreign frame in time defeats the filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConsecutiveSettings {
    /// Frames that pass in a row.
    pub trigger: u16,
    /// How long dropping lasts.
    pub window: Duration,
    /// Whether frames of other classes end both the row and the window.
    pub clear_on_other: bool,
    /// Whether broadcast, multicast and unknown unicast are filtered, in the order of [`Class::ALL`].
    pub classes: [bool; 3],
}

impl ConsecutiveSettings {
    /// RTL8305SB datasheet, 7.3.11: 64 broadcasts, 800 ms, any other frame clears. (That the RTL8305SC does the
    /// same is inferred.)
    pub const RTL8305: Self = Self {
        trigger: 64,
        window: Duration::from_millis(800),
        clear_on_other: true,
        classes: [true, false, false],
    };
}

/// [`ConsecutiveSettings`] at work on `PORTS` ports.
///
/// ```
/// use core::time::Duration;
/// use fdb::PortId;
/// use fdb::storm::{Class, ConsecutiveFilter, ConsecutiveSettings};
///
/// let mut filter = ConsecutiveFilter::<5>::new(ConsecutiveSettings::RTL8305);
/// let port = PortId::new(0).unwrap();
/// let passed = (0..100).filter(|_| filter.passes(Duration::ZERO, port, Some(Class::Broadcast))).count();
/// assert_eq!(passed, 64);
/// assert!(filter.passes(Duration::from_millis(800), port, Some(Class::Broadcast)));
/// ```
#[derive(Clone, Debug)]
pub struct ConsecutiveFilter<const PORTS: usize> {
    settings: ConsecutiveSettings,
    ports: [Row; PORTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    count: u16,
    /// Dropping began then.
    since: Option<Duration>,
    counters: StormCounters,
}

impl<const PORTS: usize> ConsecutiveFilter<PORTS> {
    /// A filter that has seen nothing.
    pub const fn new(settings: ConsecutiveSettings) -> Self {
        let row = Row {
            count: 0,
            since: None,
            counters: StormCounters { passed: 0, dropped: 0, triggered: 0, last_triggered: None },
        };
        Self { settings, ports: [row; PORTS] }
    }

    /// Whether a frame of this class (`None`: known unicast) that came in on `port` may go on. To be
    /// called for every frame, since others count too. Ports beyond `PORTS` are not filtered.
    pub fn passes(&mut self, now: Duration, port: PortId, class: Option<Class>) -> bool {
        let Self { settings, ports } = self;
        let Some(row) = ports.get_mut(port.index()) else { return true };
        if row.since.is_some_and(|since| now.saturating_sub(since) >= settings.window) {
            (row.count, row.since) = (0, None);
        }
        let [broadcast, multicast, unknown] = settings.classes;
        let filtered = match class {
            Some(Class::Broadcast) => broadcast,
            Some(Class::Multicast) => multicast,
            Some(Class::UnknownUnicast) => unknown,
            None => false,
        };
        if !filtered {
            if settings.clear_on_other {
                (row.count, row.since) = (0, None);
            }
            return true;
        }
        let passes = row.since.is_none();
        let mut begins = false;
        if passes {
            row.count += 1;
            begins = row.count >= settings.trigger;
            if begins {
                row.since = Some(now);
            }
        }
        row.counters.count(now, passes, begins)
    }

    /// When the window of `port` ends, if its filter drops at present.
    pub fn drops_until(&self, port: PortId) -> Option<Duration> {
        self.ports.get(port.index())?.since?.checked_add(self.settings.window)
    }

    /// The counters of filtered frames of a port.
    pub fn counters(&self, port: PortId) -> StormCounters {
        self.ports.get(port.index()).map_or_else(StormCounters::default, |row| row.counters)
    }
}

/// What a [`Rate`] counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Frames per second.
    Frames,
    /// Bits per second, of the frame as the caller measures it: say whether you count FCS, preamble and gap.
    Bits,
}

/// A limit: so much per second, and so much at once.
///
/// The burst is explicit because a default hides what it lets through: 8192 frames pass a fresh bucket of 8192
/// before the first is dropped, whatever the rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Frames or bits.
    pub unit: Unit,
    /// Units per second; 0 lets only the first burst through.
    pub per_second: u64,
    /// Most units at once; 0 lets nothing through.
    pub burst: u64,
}

impl Rate {
    /// So many frames per second, a tenth of that (at least one) at once.
    pub const fn frames(per_second: u64) -> Self {
        Self { unit: Unit::Frames, per_second, burst: per_second.div_ceil(10) }
    }

    /// So many bits per second, a tenth of that (at least one frame of 1522 octets) at once.
    pub const fn bits(per_second: u64) -> Self {
        let tenth = per_second.div_ceil(10);
        Self { unit: Unit::Bits, per_second, burst: if tenth < 1522 * 8 { 1522 * 8 } else { tenth } }
    }
}

/// A token bucket in integers: over any time it lets through at most `burst + rate * time`, and all of
/// that to whoever asks before it runs over. Time that goes back fills nothing.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate: Rate,
    /// Billionths of a unit, so that a nanosecond fills a whole number.
    credit: u128,
    filled: Duration,
    dropping: bool,
    counters: StormCounters,
}

const NANO: u128 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket.
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            credit: rate.burst as u128 * NANO,
            filled: Duration::ZERO,
            dropping: false,
            counters: StormCounters { passed: 0, dropped: 0, triggered: 0, last_triggered: None },
        }
    }

    /// Whether a frame of `octets` may pass; if so it is paid for.
    pub fn passes(&mut self, now: Duration, octets: usize) -> bool {
        let full = u128::from(self.rate.burst) * NANO;
        let elapsed = now.saturating_sub(self.filled).as_nanos();
        let refill = elapsed.saturating_mul(u128::from(self.rate.per_second));
        self.credit = self.credit.saturating_add(refill).min(full);
        self.filled = self.filled.max(now);
        let price = match self.rate.unit {
            Unit::Frames => NANO,
            Unit::Bits => octets as u128 * 8 * NANO,
        };
        let passes = self.credit >= price;
        if passes {
            self.credit -= price;
        }
        let begins = !passes && !self.dropping;
        self.dropping = !passes;
        self.counters.count(now, passes, begins)
    }

    /// Counters of the frames that were judged.
    pub const fn counters(&self) -> StormCounters {
        self.counters
    }

    /// The limit.
    pub const fn rate(&self) -> Rate {
        self.rate
    }
}

/// Token buckets by ingress port and class, on `PORTS` ports. What has no limit passes.
///
/// A frame over the limit is to be dropped: in some interfaces (SAI) a policer without an explicit action lets
/// everything go on.
///
/// ```
/// use core::time::Duration;
/// use fdb::PortId;
/// use fdb::storm::{Class, Rate, StormControl, Unit};
///
/// let mut storm = StormControl::<24>::new();
/// let port = PortId::new(7).unwrap();
/// storm.limit(port, Class::Broadcast, Some(Rate { unit: Unit::Frames, per_second: 100, burst: 10 }));
/// let mut passed = |at| (0..50).filter(|_| storm.passes(at, port, Class::Broadcast, 64)).count();
/// assert_eq!(passed(Duration::ZERO), 10);
/// assert_eq!(passed(Duration::from_millis(50)), 5);
/// assert_eq!(storm.counters(port, Class::Broadcast).dropped, 40 + 45);
/// ```
#[derive(Clone, Debug)]
pub struct StormControl<const PORTS: usize> {
    buckets: [[Option<TokenBucket>; 3]; PORTS],
}

impl<const PORTS: usize> StormControl<PORTS> {
    /// No limits.
    pub const fn new() -> Self {
        Self { buckets: [[None; 3]; PORTS] }
    }

    /// Sets or lifts the limit of a class on a port, with a full bucket and counters at 0. Returns whether
    /// there is such a port.
    pub fn limit(&mut self, port: PortId, class: Class, rate: Option<Rate>) -> bool {
        self.bucket_mut(port, class).map(|bucket| *bucket = rate.map(TokenBucket::new)).is_some()
    }

    /// Whether a frame of `octets` that came in on `port` may go on.
    pub fn passes(&mut self, now: Duration, port: PortId, class: Class, octets: usize) -> bool {
        match self.bucket_mut(port, class) {
            Some(Some(bucket)) => bucket.passes(now, octets),
            _ => true,
        }
    }

    /// The counters of a class on a port; all 0 without a limit.
    pub fn counters(&self, port: PortId, class: Class) -> StormCounters {
        let buckets = self.buckets.get(port.index());
        let bucket = buckets.and_then(|classes| classes.get(class as usize)).copied().flatten();
        bucket.map_or_else(StormCounters::default, |bucket| bucket.counters)
    }

    fn bucket_mut(&mut self, port: PortId, class: Class) -> Option<&mut Option<TokenBucket>> {
        self.buckets.get_mut(port.index())?.get_mut(class as usize)
    }
}

impl<const PORTS: usize> Default for StormControl<PORTS> {
    fn default() -> Self {
        Self::new()
    }
}
