//! What is done for stations that are new, that moved, or that management enters.

use core::time::Duration;

use vlan_table::PortId;

use crate::Key;
use crate::config::WhenFull;
use crate::entry::{Entry, Kind, Record};
use crate::error::Refused;
use crate::store::{NEVER, Place, Store, Tally};
use crate::table::{Fdb, Learned};

impl<S: Store, const EVENTS: usize> Fdb<S, EVENTS> {
    /// Enters `entry` under `key`, in the place of what is there. No quota applies; an entry that does
    /// not age evicts a dynamic one if it finds no free place, whatever the policy (as the RTL8306 SDK
    /// does for entries from the CPU).
    ///
    /// Returns the entry that was in force before.
    ///
    /// # Errors
    /// [`Refused`] says why nothing changed.
    pub fn insert(
        &mut self,
        now: Duration,
        key: impl Into<Key>,
        entry: Entry,
    ) -> Result<Option<Entry>, Refused> {
        let key = key.into();
        self.advance(now);
        self.check(key, entry.port)?;
        let (place, record) = self.store.find(key);
        if self.is_alive(key, record, self.clock.cutoff()) {
            self.replace(place, key, record, self.record(entry));
            return Ok(Some(record.entry()));
        }
        if !record.is_free() {
            self.reclaim(place, key, record);
        }
        let rule = if entry.kind.ages() { self.config.when_full } else { WhenFull::OldestInSet };
        self.admit(key, entry, rule)?;
        self.counters.inserted += 1;
        Ok(None)
    }

    /// [`insert`](Self::insert), as if the station had been seen `age` ago.
    #[cfg(all(feature = "alloc", feature = "serde"))]
    pub(crate) fn insert_aged(
        &mut self,
        now: Duration,
        key: Key,
        entry: Entry,
        age: Duration,
    ) -> Result<(), Refused> {
        self.insert(now, key, entry)?;
        let (place, record) = self.store.find(key);
        if record.stamp().is_some() {
            let record = record.with_stamp(self.clock.stamp_before(age));
            self.note_stamp(record);
            self.store.set(place, record);
        }
        Ok(())
    }

    /// Takes away what is stored under `key`, of whatever kind; returns what was in force.
    pub fn remove(&mut self, now: Duration, key: impl Into<Key>) -> Option<Entry> {
        let key = key.into();
        self.advance(now);
        let (place, record) = self.store.find(key);
        if record.is_free() {
            return None;
        }
        if !self.is_alive(key, record, self.clock.cutoff()) {
            self.reclaim(place, key, record);
            return None;
        }
        self.drop_place(place, key, record);
        self.events.station(key, Some(record.entry()), None);
        self.movers.forget(key);
        self.counters.removed += 1;
        Some(record.entry())
    }

    /// Learning beyond the plain refresh; `found` is what the store has under `key`.
    #[inline(never)]
    pub(crate) fn learn_slowly(
        &mut self,
        now: Duration,
        key: Key,
        seen: Entry,
        (place, record): (Place, Record),
    ) -> Result<Learned, Refused> {
        if record.is_free() {
            return self.learn_new(key, seen);
        }
        if !self.is_alive(key, record, self.clock.cutoff()) {
            self.reclaim(place, key, record);
            return self.learn_new(key, seen);
        }
        let known = record.entry();
        if known.port == seen.port && known.kind.ages() {
            self.replace(place, key, record, record.with_stamp(self.clock.stamp()));
            return Ok(Learned::Refreshed);
        }
        let takes_over = known.kind.moves() && (seen.kind != Kind::Locked || known.kind == Kind::Locked);
        if known.port == seen.port || !takes_over {
            self.counters.roamed += u64::from(known.port != seen.port);
            return Ok(Learned::Bound(known));
        }
        self.move_station(now, key, seen, (place, record))
    }

    fn move_station(
        &mut self,
        now: Duration,
        key: Key,
        seen: Entry,
        (place, record): (Place, Record),
    ) -> Result<Learned, Refused> {
        self.check(key, seen.port)?;
        self.check_port_quota(seen.port)?;
        if let Some(guard) = self.config.move_guard
            && let Err(until) = self.movers.moves(guard, now, key)
        {
            self.counters.held += 1;
            return Err(Refused::Held { until });
        }
        // the check of the quota may have swept, which moves nothing: `place` is still right
        let from = record.port();
        self.replace(place, key, record, self.record(seen));
        self.counters.moved += 1;
        Ok(Learned::Moved { from })
    }

    #[inline(never)]
    pub(crate) fn learn_new(&mut self, key: Key, seen: Entry) -> Result<Learned, Refused> {
        self.check(key, seen.port)?;
        self.check_port_quota(seen.port)?;
        self.check_fid_quota(key)?;
        let replaced = self.admit(key, seen, self.config.when_full)?;
        self.counters.learned += 1;
        Ok(replaced.map_or(Learned::New, |from| Learned::Replaced { from }))
    }

    fn check(&mut self, key: Key, port: PortId) -> Result<(), Refused> {
        let wrong = if !(key.is_station() || self.config.zero_is_station && key.is_zero()) {
            Refused::NotAStation { key }
        } else if port.get() >= S::PORTS {
            Refused::PortOutOfRange { port, ports: S::PORTS }
        } else if key.fid().get() >= S::FIDS {
            Refused::FidOutOfRange { fid: key.fid(), fids: S::FIDS }
        } else {
            return Ok(());
        };
        self.counters.invalid += 1;
        Err(wrong)
    }

    fn check_port_quota(&mut self, port: PortId) -> Result<(), Refused> {
        let Some(limit) = self.config.port_quota else { return Ok(()) };
        if self.by_port.get(port.get()) >= limit
            && !(self.sweep_if_due() && self.by_port.get(port.get()) < limit)
        {
            self.counters.over_port_quota += 1;
            return Err(Refused::PortQuota { port, limit });
        }
        Ok(())
    }

    fn check_fid_quota(&mut self, key: Key) -> Result<(), Refused> {
        let Some(limit) = self.config.fid_quota else { return Ok(()) };
        let fid = key.fid();
        if self.by_fid.get(fid.get()) >= limit && !(self.sweep_if_due() && self.by_fid.get(fid.get()) < limit)
        {
            self.counters.over_fid_quota += 1;
            return Err(Refused::FidQuota { fid, limit });
        }
        Ok(())
    }

    /// Stores a key that is not there, evicting by `rule` if need be; returns the port that lost an entry.
    fn admit(&mut self, key: Key, entry: Entry, rule: WhenFull) -> Result<Option<PortId>, Refused> {
        let limit = self.capacity();
        let record = self.record(entry);
        if self.len() < limit as usize || self.sweep_if_due() && self.len() < limit as usize {
            return self.place(key, record, rule);
        }
        let supplanted = match rule {
            WhenFull::Refuse => None,
            WhenFull::OldestInSet => self.store.supplant(key, record, |_| 0),
            WhenFull::Fair => {
                let fairness = self.fairness(entry.port);
                self.store.supplant(key, record, |rival| fairness.rank(&self.by_port, rival))
            }
        };
        if let Some((place, victim, old)) = supplanted {
            self.count_evicted(victim, old);
            self.count_exchange((victim, old), (key, record));
            self.note_new(place, key, record);
            return Ok(Some(old.port()));
        }
        let Some(loser) = self.evict(key, entry.port, rule, true) else {
            return Err(self.count_full(Refused::Full { limit }));
        };
        self.place(key, record, rule).map(|_| Some(loser))
    }

    /// Stores a key below the limit; returns the port that lost an entry because the set was full.
    fn place(&mut self, key: Key, record: Record, rule: WhenFull) -> Result<Option<PortId>, Refused> {
        let mut loser = None;
        let place = match self.store.insert(key, record) {
            Some(place) => place,
            None => {
                let full = Refused::SetFull { key, places: self.rivals(key) };
                if !self.reclaim_rival(key) {
                    let evicted = self.evict(key, record.port(), rule, false);
                    loser = Some(evicted.ok_or_else(|| self.count_full(full))?);
                }
                self.store.insert(key, record).ok_or_else(|| self.count_full(full))?
            }
        };
        self.count_in(place, key, record);
        Ok(loser)
    }

    fn count_in(&mut self, place: Place, key: Key, record: Record) {
        self.count_port(record.port, 1);
        self.by_fid.add(key.fid().get(), 1);
        self.note_new(place, key, record);
    }

    /// One entry out and another in.
    #[inline]
    fn count_exchange(&mut self, (victim, old): (Key, Record), (key, new): (Key, Record)) {
        if old.port != new.port {
            self.count_port(old.port, -1);
            self.count_port(new.port, 1);
        }
        if victim.fid() != key.fid() {
            self.by_fid.add(victim.fid().get(), -1);
            self.by_fid.add(key.fid().get(), 1);
        }
    }

    #[inline]
    fn note_new(&mut self, place: Place, key: Key, record: Record) {
        self.latest.set(record.port, place);
        self.note_stamp(record);
        self.events.station(key, None, Some(record.entry()));
    }

    fn count_evicted(&mut self, key: Key, record: Record) {
        self.counters.evicted += 1;
        self.events.station(key, Some(record.entry()), None);
    }

    fn count_out(&mut self, key: Key, record: Record) {
        self.count_port(record.port, -1);
        self.by_fid.add(key.fid().get(), -1);
    }

    fn count_port(&mut self, port: u16, change: i32) {
        let before = self.by_port.get(port);
        self.by_port.set(port, before.wrapping_add_signed(change));
        self.ports = match (before, change) {
            (0, 1) => self.ports + 1,
            (1, -1) => self.ports - 1,
            _ => self.ports,
        };
    }

    fn count_full(&mut self, why: Refused) -> Refused {
        self.counters.full += 1;
        why
    }

    fn rivals(&self, key: Key) -> u32 {
        (0..).take_while(|number| self.store.rival(key, *number).is_some()).count() as u32
    }

    /// Frees the place of a dead entry where `key` may live.
    fn reclaim_rival(&mut self, key: Key) -> bool {
        let mut number = 0;
        while let Some(place) = self.store.rival(key, number) {
            if let Some((rival, record)) = self.store.at(place)
                && !self.is_alive(rival, record, self.clock.cutoff())
            {
                self.reclaim(place, rival, record);
                return true;
            }
            number += 1;
        }
        false
    }

    /// Frees the place of somebody who may be evicted for a station on `port`; returns the port that lost.
    fn evict(&mut self, key: Key, port: PortId, rule: WhenFull, anywhere: bool) -> Option<PortId> {
        let place =
            match rule {
                WhenFull::Refuse => None,
                WhenFull::OldestInSet => self.store.oldest_rival(key, |_| true),
                WhenFull::Fair => {
                    self.sweep_if_due(); // the dead do not count in a share
                    let fairness = self.fairness(port);
                    let rival = |may: &dyn Fn(Record) -> bool| self.store.oldest_rival(key, may);
                    let near = if S::SUPPLANTS && anywhere {
                        None // it has been tried
                    } else {
                        rival(&|record| fairness.allows(&self.by_port, record))
                            .or_else(|| rival(&|record| record.port == port.get()))
                    };
                    near.or_else(|| {
                        if anywhere && self.store.has_room(key) { self.latest_of(port) } else { None }
                    })
                }
            }?;
        let (victim, record) = self.store.at(place)?;
        self.drop_place(place, victim, record);
        self.count_evicted(victim, record);
        Some(record.port())
    }

    fn fairness(&self, port: PortId) -> Fairness {
        let own = self.by_port.get(port.get());
        let ports = self.ports + u32::from(own == 0);
        Fairness { port: port.get(), own, share: self.capacity() / ports.max(1) }
    }

    /// The place of the last station that was learned on `port`, if it is still there and may go.
    fn latest_of(&self, port: PortId) -> Option<Place> {
        let place = self.latest.get(port.get());
        let (_, record) = self.store.at(place)?;
        (record.port() == port && record.kind().evictable()).then_some(place)
    }

    /// A record of what is seen now.
    fn record(&self, entry: Entry) -> Record {
        Record::new(entry, self.clock.stamp())
    }

    /// Changes what is in a place, the key staying the same.
    fn replace(&mut self, place: Place, key: Key, old: Record, new: Record) {
        if old.port != new.port {
            self.count_port(old.port, -1);
            self.count_port(new.port, 1);
        }
        if old.entry() != new.entry() {
            self.events.station(key, Some(old.entry()), Some(new.entry()));
        }
        self.note_stamp(new);
        self.store.set(place, new);
    }

    fn note_stamp(&mut self, record: Record) {
        if let Some(stamp) = record.stamp() {
            self.oldest = self.oldest.min(stamp);
        }
    }

    /// Takes a dead entry away.
    pub(crate) fn reclaim(&mut self, place: Place, key: Key, record: Record) {
        self.drop_place(place, key, record);
        self.count_dead(key, record);
    }

    /// Frees a place and keeps the tallies; the caller counts why.
    fn drop_place(&mut self, place: Place, key: Key, record: Record) {
        self.store.remove(place);
        self.count_out(key, record);
    }

    fn count_dead(&mut self, key: Key, record: Record) {
        let flushed =
            record.stamp().is_some_and(|stamp| self.flushes.covers(record.port(), key.fid(), stamp));
        if flushed {
            self.counters.flushed += 1;
        } else {
            self.counters.aged += 1;
            self.events.station(key, Some(record.entry()), None);
        }
    }
}

/// Who may be evicted for a station on a port that wants one more place.
struct Fairness {
    port: u16,
    /// Entries that the port has.
    own: u32,
    /// Entries that every port may have without losing one.
    share: u32,
}

impl Fairness {
    /// Ports beyond their share that have more than this one; this one itself beyond its share.
    #[inline(always)]
    fn allows(&self, by_port: &impl Tally, record: Record) -> bool {
        let entries = by_port.get(record.port);
        (entries > self.share) & ((entries > self.own) | (record.port == self.port))
    }

    /// Those first, then the others of this port.
    #[inline(always)]
    fn rank(&self, by_port: &impl Tally, record: Record) -> u32 {
        let own = record.port == self.port;
        u32::from(!self.allows(by_port, record)) * (NEVER - u32::from(own)) // no branch: nobody knows the ports
    }
}
