//! Where entries are kept: three stores behind one interface.
//!
//! A store keeps records under keys and knows nothing of time, kinds or policies; [`Fdb`](crate::Fdb)
//! does the rest, so all stores behave alike but for where a key may live.

mod cam;
#[cfg(feature = "alloc")]
mod hash;
mod sets;
mod slots;

pub use cam::DirectCam;
#[cfg(feature = "alloc")]
pub use hash::HashTable;
pub use sets::{ChipIndex, IndexFn, SeededIndex, SetAssoc};

use crate::Key;
use crate::entry::{Entry, Kind, LAST_STAMP, Record, Window};
use crate::flush::FlushSlot;

/// A place in a store, below [`Store::places`].
pub type Place = u32;

/// A store of records, sealed: the stores of this crate implement it.
pub trait Store: sealed::Sealed + Clone {
    /// One more than the highest port number that can be stored.
    const PORTS: u16;
    /// One more than the highest FID that can be stored.
    const FIDS: u16;

    /// Entries per port or per FID.
    #[doc(hidden)]
    type Tally: Tally;
    /// Room for pending flushes.
    #[doc(hidden)]
    type Flushes: AsRef<[FlushSlot]> + AsMut<[FlushSlot]> + Clone + core::fmt::Debug;

    /// Whether [`Store::supplant`] finds everybody that [`Store::oldest_rival`] finds.
    #[doc(hidden)]
    const SUPPLANTS: bool = false;

    /// The most entries that the store takes.
    fn capacity(&self) -> u32;
    /// How many places there are now; places are numbered from 0.
    #[doc(hidden)]
    fn places(&self) -> u32;
    /// Looks for `key` in a hurry; a record counts as alive if it is in the window.
    #[doc(hidden)]
    #[inline]
    fn sight(&self, key: Key, window: Window) -> Sight {
        let (place, record) = self.find(key);
        Sight { alive: window.has(record), doubt: u32::from(!record.is_free()), place, record }
    }
    /// [`Store::sight`] in still more of a hurry: where `key` most likely is. More may be in doubt.
    #[doc(hidden)]
    #[inline]
    fn glance(&self, key: Key, window: Window) -> Sight {
        self.sight(key, window)
    }
    /// What [`Store::sight`] does when a glance found nothing alive.
    #[doc(hidden)]
    #[inline]
    fn sight_elsewhere(&self, key: Key, window: Window) -> Sight {
        self.sight(key, window)
    }
    /// Gives a record under `key` the latest stamp of the window if a glance finds it there and on `port`.
    #[doc(hidden)]
    #[inline]
    fn refresh(&mut self, key: Key, port: u16, window: Window) -> Refresh {
        let Sight { alive, doubt, place, record } = self.glance(key, window);
        let done = alive & (record.port == port);
        if done {
            self.set(place, record.with_stamp((window.latest >> Record::PORT_BITS) as u16 & LAST_STAMP));
        }
        Refresh { done, doubt }
    }
    /// Brings what will be looked for into the caches.
    #[doc(hidden)]
    fn touch(&self, keys: &[Key]) {
        let _ = keys;
    }
    /// [`Store::glance`] for up to [`BATCH`] keys, all of which are asked for before the first is looked at;
    /// tells `each` number and sight.
    #[doc(hidden)]
    #[inline]
    fn glance_batch(&self, keys: &[Key], window: Window, mut each: impl FnMut(usize, Sight)) {
        for (number, key) in keys.iter().enumerate() {
            each(number, self.glance(*key, window));
        }
    }
    /// The record under `key` and its place, [`Record::FREE`] if there is none.
    #[doc(hidden)]
    fn find(&self, key: Key) -> (Place, Record);
    /// What is in a place.
    #[doc(hidden)]
    fn at(&self, place: Place) -> Option<(Key, Record)>;
    /// Replaces the record in an occupied place.
    #[doc(hidden)]
    fn set(&mut self, place: Place, record: Record);
    /// Stores a key that is not there yet in a free place, moving others if that helps; says where.
    #[doc(hidden)]
    fn insert(&mut self, key: Key, record: Record) -> Option<Place>;
    /// Frees a place.
    #[doc(hidden)]
    fn remove(&mut self, place: Place);
    /// The places where `key` may live; `None` ends them.
    #[doc(hidden)]
    fn rival(&self, key: Key, number: u32) -> Option<Place>;
    /// Whether a place where `key` may live is free.
    #[doc(hidden)]
    fn has_room(&self, key: Key) -> bool {
        (0..).map_while(|number| self.rival(key, number)).any(|place| self.at(place).is_none())
    }
    /// The longest silent evictable record that `may` go among the places where `key` may live, nearer
    /// places first.
    #[doc(hidden)]
    fn oldest_rival(&self, key: Key, may: impl Fn(Record) -> bool) -> Option<Place> {
        let places = (0..).map_while(|number| self.rival(key, number));
        places
            .filter_map(|place| Some((place, self.at(place)?.1)))
            .filter(|(_, record)| record.kind().evictable() && may(*record))
            .min_by_key(|(_, record)| record.stamp())
            .map(|(place, _)| place)
    }
    /// Puts a key that is not there yet in the place of the longest silent evictable record of those that `rank`
    /// lowest, near places first, none at all that rank [`NEVER`]; if a store can do this in one go. Says where
    /// and whom it replaced.
    #[doc(hidden)]
    fn supplant(
        &mut self,
        key: Key,
        record: Record,
        rank: impl Fn(Record) -> u32,
    ) -> Option<(Place, Key, Record)> {
        let _ = (key, record, rank);
        None
    }
    /// Goes over all records: those that `quick` accepts stay, `judge` returns what becomes of the
    /// others (`None`: removed).
    #[doc(hidden)]
    fn sweep(&mut self, quick: impl FnMut(Record) -> bool, judge: impl FnMut(Key, Record) -> Option<Record>);
    #[doc(hidden)]
    fn tally(&self) -> Self::Tally;
    #[doc(hidden)]
    fn flushes(&self) -> Self::Flushes;
}

/// The rank of who may not be supplanted; others are 0 and 1.
#[doc(hidden)]
pub const NEVER: u32 = 2;

/// How many keys are searched for at once.
#[doc(hidden)]
pub const BATCH: usize = 32;

/// What came of a [`Store::refresh`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Refresh {
    pub(crate) done: bool,
    /// As in [`Sight`].
    pub(crate) doubt: u32,
}

/// What a hurried look found.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// A dynamic record that certainly lives is under the key; only then are the fields below right.
    pub(crate) alive: bool,
    /// 0, or up to 63 if there may be a record; [`Store::find`] knows.
    pub(crate) doubt: u32,
    pub(crate) place: Place,
    pub(crate) record: Record,
}

impl Sight {
    #[cfg(feature = "alloc")]
    pub(crate) const ABSENT: Self = Self { alive: false, doubt: 0, place: 0, record: Record::FREE };

    /// Whether a longer look is needed. One comparison on purpose: with two, the processor would have to guess
    /// whether a station is known.
    #[inline(always)]
    pub(crate) fn is_open(self) -> bool {
        self.doubt > u32::from(self.alive) << 6
    }

    /// The entry if it is alive, without a guess either.
    #[inline(always)]
    pub(crate) fn answer(self) -> Option<Entry> {
        core::hint::select_unpredictable(self.alive, Some(self.dynamic()), None)
    }

    /// The entry, given that it is alive.
    #[inline(always)]
    pub(crate) fn dynamic(self) -> Entry {
        Entry { port: self.record.port(), kind: Kind::Dynamic }
    }
}

/// Numbers by index, 0 at first.
#[doc(hidden)]
pub trait Tally: Clone + core::fmt::Debug {
    fn get(&self, index: u16) -> u32;
    fn set(&mut self, index: u16, value: u32);
    #[inline(always)]
    fn add(&mut self, index: u16, change: i32) {
        self.set(index, self.get(index).wrapping_add_signed(change));
    }
}

impl<const N: usize> Tally for [u32; N] {
    fn get(&self, index: u16) -> u32 {
        self.as_slice().get(usize::from(index)).copied().unwrap_or(0)
    }

    fn set(&mut self, index: u16, value: u32) {
        if let Some(slot) = self.get_mut(usize::from(index)) {
            *slot = value;
        }
    }
}

/// Grows to the highest index in use.
#[cfg(feature = "alloc")]
impl Tally for alloc::vec::Vec<u32> {
    #[inline(always)]
    fn get(&self, index: u16) -> u32 {
        self.as_slice().get(usize::from(index)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn set(&mut self, index: u16, value: u32) {
        match self.get_mut(usize::from(index)) {
            Some(slot) => *slot = value,
            None => extend(self, index, value),
        }
    }
}

#[cfg(feature = "alloc")]
#[cold]
#[inline(never)]
fn extend(tally: &mut alloc::vec::Vec<u32>, index: u16, value: u32) {
    tally.resize(usize::from(index), 0);
    tally.push(value);
}

mod sealed {
    pub trait Sealed {}
}
