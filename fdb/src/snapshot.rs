//! The content of a database as data, for a file or another machine.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use macaddr::MacAddr6;
use serde::{Deserialize, Serialize};
use vlan_table::{Fid, PortId};

use crate::Key;
use crate::entry::{Entry, Kind};
use crate::error::Refused;
use crate::store::Store;
use crate::table::Fdb;

/// What a database knew at a moment; see [`Fdb::snapshot`].
///
/// ```
/// # use core::time::Duration;
/// # use fdb::{Config, DirectCam, Fdb, Fid, MacAddr6, PortId};
/// let mut fdb = Fdb::new(DirectCam::new(), Config::DEFAULT);
/// let station = (Fid::SHARED, MacAddr6::new(2, 0, 0, 0, 0, 7));
/// fdb.learn(Duration::ZERO, station, PortId::new(3).unwrap()).unwrap();
///
/// let snapshot = fdb.snapshot(Duration::from_secs(100));
/// let mut other = Fdb::new(DirectCam::new(), Config::DEFAULT);
/// assert_eq!(other.restore(Duration::from_secs(5000), &snapshot), Ok(1));
/// assert!(other.lookup(Duration::from_secs(5199), station).is_some());
/// assert!(other.lookup(Duration::from_secs(5200), station).is_none());
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Snapshot {
    /// Every entry in force, by FID, then address.
    pub entries: Vec<SavedEntry>,
}

/// An entry in a [`Snapshot`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SavedEntry {
    /// The filtering identifier.
    pub fid: u16,
    /// The MAC address, as `52:54:00:12:34:56`.
    pub mac: String,
    /// The port.
    pub port: u16,
    /// The kind.
    pub kind: Kind,
    /// Time since the station was last seen, in milliseconds; nothing for kinds that do not age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

/// Why a snapshot was not restored to its end.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// An entry does not make sense.
    #[error("entry {number}: {what} {value:?} is out of range")]
    Invalid {
        /// Its number in the snapshot, from 0.
        number: usize,
        /// The field.
        what: &'static str,
        /// The value as given.
        value: String,
    },
    /// The database would not take an entry.
    #[error("entry {number}: {why}")]
    Refused {
        /// Its number in the snapshot, from 0.
        number: usize,
        /// The database's reason.
        why: Refused,
    },
}

impl<S: Store, const EVENTS: usize> Fdb<S, EVENTS> {
    /// Everything in force at `now`.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let mut rows: Vec<_> = self.iter(now).collect();
        rows.sort_by_key(|row| row.key);
        let entries = rows.into_iter().map(|row| SavedEntry {
            fid: row.key.fid().get(),
            mac: written(row.key.mac()),
            port: row.entry.port.get(),
            kind: row.entry.kind,
            age_ms: row.age.map(|age| age.as_millis() as u64),
        });
        Snapshot { entries: entries.collect() }
    }

    /// Enters all of a snapshot that was taken at what is `now` here, ages included; returns how many
    /// entries are in force by that. Entries that are there stay unless the snapshot says otherwise.
    ///
    /// # Errors
    /// [`RestoreError`] names the first entry that could not be made; those before it are.
    pub fn restore(&mut self, now: Duration, snapshot: &Snapshot) -> Result<usize, RestoreError> {
        self.renumber_at(now);
        let mut restored = 0;
        for (number, saved) in snapshot.entries.iter().enumerate() {
            let (key, entry) = saved.read(number)?;
            let age = Duration::from_millis(saved.age_ms.unwrap_or(0));
            if entry.kind.ages() && self.ageing().time().is_some_and(|time| age >= time) {
                continue;
            }
            self.insert_aged(now, key, entry, age).map_err(|why| RestoreError::Refused { number, why })?;
            restored += 1;
        }
        Ok(restored)
    }
}

impl SavedEntry {
    fn read(&self, number: usize) -> Result<(Key, Entry), RestoreError> {
        let invalid = |what, value| RestoreError::Invalid { number, what, value };
        let fid = Fid::new(self.fid).ok_or_else(|| invalid("fid", format!("{}", self.fid)))?;
        let port = PortId::new(self.port).ok_or_else(|| invalid("port", format!("{}", self.port)))?;
        let mac: MacAddr6 = self.mac.parse().map_err(|_| invalid("mac", self.mac.clone()))?;
        Ok((Key::new(fid, mac), Entry { port, kind: self.kind }))
    }
}

fn written(mac: MacAddr6) -> String {
    let [a, b, c, d, e, f] = mac.into_array();
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
