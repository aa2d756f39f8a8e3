//! What goes over the whole database: ageing, flushing, renumbering of stamps.

use core::cell::Cell;
use core::time::Duration;

use crate::entry::LAST_STAMP;
use crate::flush::FlushScope;
use crate::store::{Store, Tally};
use crate::table::Fdb;

impl<S: Store, const EVENTS: usize> Fdb<S, EVENTS> {
    /// Gives back the memory of what expired or was flushed; returns how many entries that were.
    ///
    /// Without a call to this nothing wrong is ever returned, but [`len`](Self::len) and the memory
    /// in use stay high. One pass over the store, and only if there can be something to do.
    pub fn expire(&mut self, now: Duration) -> usize {
        self.advance(now);
        let before = self.len();
        self.sweep_if_due();
        before - self.len()
    }

    /// When [`expire`](Self::expire) may next find an entry that aged; it finds none earlier, and always asks for
    /// a later time afterwards. `None`: not until something else happens.
    pub fn next_expiry(&self) -> Option<Duration> {
        if self.oldest == LAST_STAMP { None } else { self.clock.dies_at(self.oldest) }
    }

    /// Removes the ageing entries in `scope` at once. Constant time: their places are reclaimed later.
    ///
    /// A bridge flushes a port when its link goes down, its VLAN settings change or the spanning tree says so,
    /// a FID when its last VLAN goes, and a port in a FID when the port leaves the VLAN.
    pub fn flush(&mut self, now: Duration, scope: FlushScope) {
        self.advance(now);
        if self.clock.is_exhausted() {
            self.renumber();
        }
        let before = self.clock.flush();
        if !self.flushes.note(scope, before) {
            self.sweep();
            let before = self.clock.flush();
            self.flushes.note(scope, before);
        }
        self.events.flush(scope);
    }

    /// Gives every tick of the past a stamp of its own, so that entries with an age can be entered.
    #[cfg(all(feature = "alloc", feature = "serde"))]
    pub(crate) fn renumber_at(&mut self, now: Duration) {
        self.advance(now);
        self.renumber();
    }

    #[cold]
    pub(crate) fn step(&mut self, now: Duration) {
        if self.clock.is_exhausted() {
            self.renumber();
        }
        self.clock.advance(now);
    }

    /// Sweeps if that can free anything; says whether it did.
    pub(crate) fn sweep_if_due(&mut self) -> bool {
        let due = self.oldest < self.clock.cutoff() || !self.flushes.is_empty();
        if due {
            self.sweep();
        }
        due
    }

    /// Removes everything dead. Afterwards no flush is pending.
    fn sweep(&mut self) {
        let (from, to) = (self.clock.alive_from(), self.clock.stamp());
        let cutoff = self.clock.cutoff();
        let Self { store, flushes, by_port, by_fid, ports, counters, events, .. } = self;
        let oldest = Cell::new(LAST_STAMP); // two closures look at it
        store.sweep(
            |record| {
                let alive = (from..=to).contains(&record.meta);
                if alive {
                    oldest.set(oldest.get().min(record.meta));
                }
                alive
            },
            |key, record| {
                let Some(stamp) = record.stamp() else { return Some(record) };
                let flushed = flushes.covers(record.port(), key.fid(), stamp);
                if stamp >= cutoff && !flushed {
                    oldest.set(oldest.get().min(stamp));
                    return Some(record);
                }
                by_port.add(record.port, -1);
                *ports -= u32::from(by_port.get(record.port) == 0);
                by_fid.add(key.fid().get(), -1);
                if flushed {
                    counters.flushed += 1;
                } else {
                    counters.aged += 1;
                    events.station(key, Some(record.entry()), None);
                }
                None
            },
        );
        self.oldest = oldest.get();
        self.flushes.clear();
        self.clock.forget_flushes();
    }

    /// Starts stamps again at 1, for all that lives.
    #[cold]
    fn renumber(&mut self) {
        self.sweep();
        let renumbered = self.clock.renumber();
        let mut oldest = LAST_STAMP;
        self.store.sweep(
            |_| false,
            |_, record| {
                let Some(stamp) = record.stamp() else { return Some(record) };
                let stamp = renumbered.translate(stamp);
                oldest = oldest.min(stamp);
                Some(record.with_stamp(stamp))
            },
        );
        self.oldest = oldest;
    }
}
