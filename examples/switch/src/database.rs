//! The forwarding database of a switch: one of three stores, behind one face.

use core::time::Duration;

use fdb::{
    Ageing, AgeingTooLong, Config, Counters, DirectCam, Entry, Fdb, FlushScope, HashTable, Key, Learned,
    PortId, Refused, Row, SetAssoc,
};

/// A forwarding database with the store that the switch has.
#[derive(Clone, Debug)]
pub enum Database {
    /// Direct map and CAM: RTL8305SB, RTL8305SC.
    DirectCam(Box<Fdb<DirectCam>>),
    /// 512 sets of four: RTL8306 family.
    SetAssoc(Box<Fdb<SetAssoc>>),
    /// A table that grows to its bound.
    HashTable(Box<Fdb<HashTable>>),
}

/// Goes on with the store that the database has.
macro_rules! each_store {
    ($database:expr, $fdb:ident => $body:expr) => {
        match $database {
            $crate::Database::DirectCam($fdb) => $body,
            $crate::Database::SetAssoc($fdb) => $body,
            $crate::Database::HashTable($fdb) => $body,
        }
    };
}

pub(crate) use each_store;

impl Database {
    /// For at most `capacity` stations. Take `seed` from a random source if stations may be hostile.
    pub fn hashed(capacity: u32, seed: [u64; 2], config: Config) -> Self {
        Self::HashTable(Box::new(Fdb::new(HashTable::new(capacity, seed), config)))
    }

    /// The table of the RTL8305SC.
    pub fn direct_cam(config: Config) -> Self {
        Self::DirectCam(Box::new(Fdb::new(DirectCam::new(), config)))
    }

    /// The table of the RTL8306.
    pub fn set_assoc(config: Config) -> Self {
        Self::SetAssoc(Box::new(Fdb::new(SetAssoc::new(), config)))
    }

    /// See [`Fdb::lookup`].
    #[inline]
    pub fn lookup(&self, now: Duration, key: Key) -> Option<Entry> {
        each_store!(self, fdb => fdb.lookup(now, key))
    }

    /// See [`Fdb::learn`].
    ///
    /// # Errors
    /// [`Refused`] says why nothing was learned.
    #[inline]
    pub fn learn(&mut self, now: Duration, key: Key, port: PortId) -> Result<Learned, Refused> {
        each_store!(self, fdb => fdb.learn(now, key, port))
    }

    /// See [`Fdb::insert`].
    ///
    /// # Errors
    /// [`Refused`] says why nothing changed.
    pub fn insert(&mut self, now: Duration, key: Key, entry: Entry) -> Result<Option<Entry>, Refused> {
        each_store!(self, fdb => fdb.insert(now, key, entry))
    }

    /// See [`Fdb::remove`].
    pub fn remove(&mut self, now: Duration, key: Key) -> Option<Entry> {
        each_store!(self, fdb => fdb.remove(now, key))
    }

    /// See [`Fdb::flush`].
    pub fn flush(&mut self, now: Duration, scope: FlushScope) {
        each_store!(self, fdb => fdb.flush(now, scope));
    }

    /// See [`Fdb::expire`].
    pub fn expire(&mut self, now: Duration) -> usize {
        each_store!(self, fdb => fdb.expire(now))
    }

    /// See [`Fdb::next_expiry`].
    pub fn next_expiry(&self) -> Option<Duration> {
        each_store!(self, fdb => fdb.next_expiry())
    }

    /// See [`Fdb::ageing`].
    pub fn ageing(&self) -> Ageing {
        each_store!(self, fdb => fdb.ageing())
    }

    /// See [`Fdb::set_ageing`].
    ///
    /// # Errors
    /// [`AgeingTooLong`] if `time` is beyond 1024 ticks; nothing changes then.
    pub fn set_ageing(&mut self, now: Duration, time: Option<Duration>) -> Result<(), AgeingTooLong> {
        each_store!(self, fdb => fdb.set_ageing(now, time))
    }

    /// See [`Fdb::len`].
    pub fn len(&self) -> usize {
        each_store!(self, fdb => fdb.len())
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// See [`Fdb::capacity`].
    pub fn capacity(&self) -> u32 {
        each_store!(self, fdb => fdb.capacity())
    }

    /// See [`Fdb::counters`].
    pub fn counters(&self) -> &Counters {
        each_store!(self, fdb => fdb.counters())
    }

    /// Every entry in force at `now`, ordered by key.
    pub fn rows(&self, now: Duration) -> Vec<Row> {
        let mut rows: Vec<Row> = each_store!(self, fdb => fdb.iter(now).collect());
        rows.sort_by_key(|row| row.key);
        rows
    }
}
