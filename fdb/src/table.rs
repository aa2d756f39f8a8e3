//! The forwarding database itself: what is done per frame.

use core::time::Duration;

use vlan_table::{Fid, PortId};

use crate::clock::Clock;
use crate::config::Config;
use crate::counters::Counters;
use crate::entry::{Entry, Kind, Record, Row};
use crate::error::{AgeingTooLong, Refused};
use crate::events::{Event, EventQueue};
use crate::flush::FlushLog;
use crate::guard::Movers;
use crate::store::{BATCH, Refresh, Sight, Store, Tally};
use crate::{Ageing, Key};

/// A forwarding database: which station is behind which port (IEEE 802.1Q-2018, 8.8).
///
/// Per frame a bridge calls [`learn`](Self::learn) for the source and [`lookup`](Self::lookup) for the
/// destination. Both honour ageing and flushes by themselves; [`expire`](Self::expire) only gives memory
/// back, and says what aged.
///
/// Time is the caller's: `now` since an epoch of its choice. A `now` before an earlier one counts as
/// that earlier one.
///
/// ```
/// use core::time::Duration;
/// use fdb::{Config, DirectCam, Fdb, Fid, Learned, MacAddr6, PortId};
///
/// let mut fdb = Fdb::new(DirectCam::new(), Config::DEFAULT);
/// let (station, port) = ((Fid::SHARED, MacAddr6::new(2, 0, 0, 0, 0, 7)), PortId::new(3).unwrap());
/// let second = Duration::from_secs;
///
/// assert_eq!(fdb.learn(second(0), station, port), Ok(Learned::New));
/// assert_eq!(fdb.lookup(second(299), station).map(|entry| entry.port), Some(port));
/// assert_eq!(fdb.lookup(second(300), station), None);
/// ```
#[derive(Clone, Debug)]
pub struct Fdb<S: Store, const EVENTS: usize = 0> {
    pub(crate) store: S,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    pub(crate) flushes: FlushLog<S::Flushes>,
    /// Entries by port, and by FID; expired ones count until they are swept.
    pub(crate) by_port: S::Tally,
    pub(crate) by_fid: S::Tally,
    /// Ports that have entries.
    pub(crate) ports: u32,
    /// No stored entry has a stamp below this one.
    pub(crate) oldest: u16,
    /// Where the last new station of each port is, as far as known.
    pub(crate) latest: S::Tally,
    pub(crate) counters: Counters,
    pub(crate) events: EventQueue<EVENTS>,
    pub(crate) movers: Movers,
}

/// What a frame told the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Learned {
    /// The station is where it was.
    Refreshed,
    /// The station was not known.
    New,
    /// The station was not known; an entry of port `from` made room for it.
    Replaced {
        /// The port that lost an entry.
        from: PortId,
    },
    /// The station is behind the port now and was behind `from` before.
    Moved {
        /// The old port.
        from: PortId,
    },
    /// The station has an entry that frames do not change. Where this is not a [`Kind::Static`] or
    /// [`Kind::External`] entry of the same port, the bridge may want to drop the frame.
    Bound(Entry),
}

impl<S: Store> Fdb<S> {
    /// A database without entries and events.
    pub fn new(store: S, config: Config) -> Self {
        Self::with_events(store, config)
    }
}

impl<S: Store, const EVENTS: usize> Fdb<S, EVENTS> {
    /// A database without entries that keeps up to `EVENTS` changes for [`poll_event`](Self::poll_event).
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use fdb::{Config, DirectCam, Entry, Event, Fdb, Fid, Kind, MacAddr6, PortId};
    /// let mut fdb: Fdb<_, 16> = Fdb::with_events(DirectCam::new(), Config::DEFAULT);
    /// let (station, port) = ((Fid::SHARED, MacAddr6::new(2, 0, 0, 0, 0, 7)), PortId::new(3).unwrap());
    /// fdb.learn(Duration::ZERO, station, port).unwrap();
    /// let entry = Entry { port, kind: Kind::Dynamic };
    /// assert_eq!(fdb.poll_event(), Some(Event::Appeared { key: station.into(), entry }));
    /// ```
    pub fn with_events(store: S, config: Config) -> Self {
        Self {
            clock: Clock::new(config.ageing),
            flushes: FlushLog::new(store.flushes()),
            by_port: store.tally(),
            by_fid: store.tally(),
            ports: 0,
            oldest: crate::entry::LAST_STAMP,
            latest: store.tally(),
            counters: Counters::default(),
            events: EventQueue::new(),
            movers: Movers::new(),
            config,
            store,
        }
    }

    /// The next change; drain after every call that can change something. A database without room for
    /// events has none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.poll()
    }

    /// Where frames for `key` go; `None`: not known, or known no more at `now`.
    ///
    /// One cache line for a [`HashTable`](crate::HashTable). Does not refresh the entry: only a frame *from* a
    /// station does (IEEE 802.1Q-2018, 8.8.3).
    #[inline]
    pub fn lookup(&self, now: Duration, key: impl Into<Key>) -> Option<Entry> {
        let key = key.into();
        if self.clock.is_late(now) {
            return self.lookup_late(now, key);
        }
        let sight = self.store.glance(key, self.clock.alive());
        if sight.is_open() {
            return self.lookup_again(key);
        }
        sight.answer()
    }

    /// [`lookup`](Self::lookup) of many keys, into as many `answers`; the shorter of the two counts.
    ///
    /// The cache lines of 32 keys are asked for before the first is looked at, so that a table which does not
    /// fit into the caches answers at their throughput and not at their latency; and keys that need a
    /// second look wait until the others are done, so that nothing depends on a guess of the processor.
    pub fn lookup_batch(&self, now: Duration, keys: &[Key], answers: &mut [Option<Entry>]) {
        let is_late = self.clock.is_late(now);
        for (keys, answers) in keys.chunks(BATCH).zip(answers.chunks_mut(BATCH)) {
            if is_late {
                for (key, answer) in keys.iter().zip(answers) {
                    *answer = self.lookup_late(now, *key);
                }
            } else {
                self.lookup_chunk(keys, answers);
            }
        }
    }

    #[inline]
    fn lookup_chunk(&self, keys: &[Key], answers: &mut [Option<Entry>]) {
        let mut again = [0; BATCH];
        let mut waiting = 0;
        let keys = keys.get(..answers.len()).unwrap_or(keys);
        self.store.glance_batch(keys, self.clock.alive(), |number, sight| {
            if let Some(answer) = answers.get_mut(number) {
                *answer = sight.answer();
            }
            if let Some(again) = again.get_mut(waiting) {
                *again = number;
            }
            waiting += usize::from(sight.is_open());
        });
        for number in again.into_iter().take(waiting) {
            if let (Some(key), Some(answer)) = (keys.get(number), answers.get_mut(number)) {
                *answer = self.lookup_again(*key);
            }
        }
    }

    /// Records that a frame from `key` came in on `port`.
    ///
    /// # Errors
    /// [`Refused`] says why nothing was learned.
    #[inline]
    pub fn learn(&mut self, now: Duration, key: impl Into<Key>, port: PortId) -> Result<Learned, Refused> {
        self.learn_as(now, key, port, Kind::Dynamic)
    }

    /// Like [`learn`](Self::learn), for ports whose stations are to be [`Kind::Sticky`] or
    /// [`Kind::Locked`]. Kinds that do not age are taken as dynamic.
    ///
    /// # Errors
    /// [`Refused`] says why nothing was learned.
    #[inline]
    pub fn learn_as(
        &mut self,
        now: Duration,
        key: impl Into<Key>,
        port: PortId,
        kind: Kind,
    ) -> Result<Learned, Refused> {
        let key = key.into();
        self.advance(now);
        let Refresh { done, doubt } = self.store.refresh(key, port.get(), self.clock.alive());
        if done {
            return Ok(Learned::Refreshed);
        }
        let seen = Entry { port, kind: if kind.ages() { kind } else { Kind::Dynamic } };
        if doubt == 0 { self.learn_new(key, seen) } else { self.learn_again(now, key, seen) }
    }

    /// What most frames need, in one step: refreshes `source` on `port` and says where frames for
    /// `destination` go. `None`, with nothing done, unless both are known, dynamic and in their place;
    /// then [`learn`](Self::learn) and [`lookup`](Self::lookup) find out what there is to do.
    ///
    /// The two searches do not wait for each other.
    #[inline(always)]
    pub fn relay(
        &mut self,
        now: Duration,
        source: impl Into<Key>,
        port: PortId,
        destination: impl Into<Key>,
    ) -> Option<PortId> {
        if self.clock.is_late(now) {
            return None;
        }
        let (source, destination) = (source.into(), destination.into());
        let window = self.clock.alive();
        let to = self.store.glance(destination, window);
        if to.alive && self.store.refresh(source, port.get(), window).done {
            return Some(to.record.port());
        }
        self.relay_again(source, port, destination)
    }

    /// Asks memory for what [`relay`](Self::relay), [`learn`](Self::learn) and [`lookup`](Self::lookup)
    /// will read of these keys, so that a batch of frames waits once and not for every frame.
    #[inline]
    pub fn touch(&self, keys: &[Key]) {
        self.store.touch(keys);
    }

    /// Steps the clock. Called by everything that changes the database.
    #[inline]
    pub(crate) fn advance(&mut self, now: Duration) {
        if self.clock.is_late(now) {
            self.step(now);
        }
    }

    #[inline(always)]
    fn sight(&self, key: Key) -> Sight {
        self.store.sight(key, self.clock.alive())
    }

    /// After a glance that left a doubt.
    #[inline(never)]
    fn lookup_again(&self, key: Key) -> Option<Entry> {
        let sight = self.store.sight_elsewhere(key, self.clock.alive());
        if sight.alive {
            return Some(sight.dynamic());
        }
        if sight.doubt != 0 { self.lookup_thoroughly(key, self.clock.cutoff()) } else { None }
    }

    /// After a glance that found nothing to refresh.
    #[inline(never)]
    fn learn_again(&mut self, now: Duration, key: Key, seen: Entry) -> Result<Learned, Refused> {
        let Sight { alive, doubt, place, record } = self.sight(key);
        if alive & (record.port == seen.port.get()) {
            self.store.set(place, record.with_stamp(self.clock.stamp()));
            return Ok(Learned::Refreshed);
        }
        let found = if alive || doubt != 0 { self.store.find(key) } else { (0, Record::FREE) };
        self.learn_slowly(now, key, seen, found)
    }

    /// After glances that did not find both.
    #[inline(never)]
    fn relay_again(&mut self, source: Key, port: PortId, destination: Key) -> Option<PortId> {
        let (from, to) = (self.sight(source), self.sight(destination));
        if !(from.alive & to.alive & (from.record.port == port.get())) {
            return None;
        }
        self.store.set(from.place, from.record.with_stamp(self.clock.stamp()));
        Some(to.record.port())
    }

    #[cold]
    #[inline(never)]
    fn lookup_late(&self, now: Duration, key: Key) -> Option<Entry> {
        self.lookup_thoroughly(key, self.clock.cutoff_at(now))
    }

    #[cold]
    #[inline(never)]
    fn lookup_thoroughly(&self, key: Key, cutoff: u16) -> Option<Entry> {
        let (_, record) = self.store.find(key);
        self.is_alive(key, record, cutoff).then(|| record.entry())
    }

    /// Whether a record is in force, given the lowest stamp that has not expired.
    pub(crate) fn is_alive(&self, key: Key, record: Record, cutoff: u16) -> bool {
        match record.stamp() {
            _ if record.is_free() => false,
            Some(stamp) => stamp >= cutoff && !self.flushes.covers(record.port(), key.fid(), stamp),
            None => true,
        }
    }

    /// The ageing time in force.
    pub const fn ageing(&self) -> Ageing {
        self.clock.ageing()
    }

    /// Entries die after `time` of silence from `now` on; `None`: never. The resolution stays what
    /// it is. A bridge whose topology changes sets the forward delay for a while (IEEE 802.1D-2004, 17.11).
    ///
    /// # Errors
    /// [`AgeingTooLong`] if `time` is beyond 1024 ticks; nothing changes then.
    pub fn set_ageing(&mut self, now: Duration, time: Option<Duration>) -> Result<(), AgeingTooLong> {
        self.advance(now);
        let asked = time.unwrap_or_default();
        self.clock.set_ageing(time).map_err(|longest| AgeingTooLong { asked, longest })
    }

    /// Entries stored. Those that expired or were flushed since the last [`expire`](Self::expire) may
    /// still count.
    pub const fn len(&self) -> usize {
        self.counters.stored() as usize
    }

    /// Whether nothing is stored.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most entries that can be stored at once.
    pub fn capacity(&self) -> u32 {
        self.store.capacity().min(self.config.total.unwrap_or(u32::MAX))
    }

    /// Entries stored for a port, counted like [`len`](Self::len).
    pub fn len_of_port(&self, port: PortId) -> u32 {
        self.by_port.get(port.get())
    }

    /// Entries stored for a FID, counted like [`len`](Self::len).
    pub fn len_of_fid(&self, fid: Fid) -> u32 {
        self.by_fid.get(fid.get())
    }

    /// What happened so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The limits and policies given at the start.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The store within.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Every entry in force at `now`, in no particular order.
    pub fn iter(&self, now: Duration) -> impl Iterator<Item = Row> + '_ {
        let cutoff = self.clock.cutoff_at(now);
        (0..self.store.places())
            .filter_map(|place| self.store.at(place))
            .filter(move |(key, record)| self.is_alive(*key, *record, cutoff))
            .map(move |(key, record)| Row {
                key,
                entry: record.entry(),
                age: record.stamp().map(|stamp| self.clock.age_at(now, stamp)),
            })
    }
}
