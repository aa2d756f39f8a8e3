//! Where entries are kept: three stores behind one interface.
//!
//! A store keeps records under keys and knows nothing of time, kinds or policies; [`Fdb`](crate::Fdb)
//! does the rest, so all stores behave alike but for where a key may live.

mod cam;
#[cfg(feature = "alloc")]
mod hash;
mod sets;

pub use cam::DirectCam;
#[cfg(feature = "alloc")]
pub use hash::HashTable;
pub use sets::{ChipIndex, IndexFn, SeededIndex, SetAssoc};

use crate::Key;
use crate::entry::Record;
use crate::flush::FlushSlot;

/// A place in a store, below [`Store::places`].
pub type Place = u32;

/// A store of records, sealed: the stores of this crate implement it.
pub trait Store: sealed::Sealed {
    /// How many stations fit behind one index; eviction looks at this many places at a time.
    #[doc(hidden)]
    const WAYS: u32;
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

    /// The most entries that the store takes.
    fn capacity(&self) -> u32;
    /// How many places there are now; places are numbered from 0.
    #[doc(hidden)]
    fn places(&self) -> u32;
    /// The record under `key` and its place, [`Record::FREE`] if there is none.
    #[doc(hidden)]
    fn find(&self, key: Key) -> (Place, Record);
    /// What is in a place.
    #[doc(hidden)]
    fn at(&self, place: Place) -> Option<(Key, Record)>;
    /// Replaces the record in an occupied place.
    #[doc(hidden)]
    fn set(&mut self, place: Place, record: Record);
    /// Stores a key that is not there yet in a free place, moving others if that helps.
    #[doc(hidden)]
    fn insert(&mut self, key: Key, record: Record) -> bool;
    /// Frees a place.
    #[doc(hidden)]
    fn remove(&mut self, place: Place);
    /// The places where `key` may live; `None` ends them.
    #[doc(hidden)]
    fn rival(&self, key: Key, number: u32) -> Option<Place>;
    /// Goes over all records: those that `quick` accepts stay, `judge` returns what becomes of the
    /// others (`None`: removed).
    #[doc(hidden)]
    fn sweep(&mut self, quick: impl FnMut(Record) -> bool, judge: impl FnMut(Key, Record) -> Option<Record>);
    #[doc(hidden)]
    fn tally(&self) -> Self::Tally;
    #[doc(hidden)]
    fn flushes(&self) -> Self::Flushes;
}

/// Counts by index.
#[doc(hidden)]
pub trait Tally: Clone + core::fmt::Debug {
    fn get(&self, index: u16) -> u32;
    fn add(&mut self, index: u16, change: i32);
}

impl<const N: usize> Tally for [u32; N] {
    fn get(&self, index: u16) -> u32 {
        self.as_slice().get(usize::from(index)).copied().unwrap_or(0)
    }

    fn add(&mut self, index: u16, change: i32) {
        if let Some(count) = self.get_mut(usize::from(index)) {
            *count = count.wrapping_add_signed(change);
        }
    }
}

/// Grows to the highest index in use.
#[cfg(feature = "alloc")]
impl Tally for alloc::vec::Vec<u32> {
    #[inline]
    fn get(&self, index: u16) -> u32 {
        self.as_slice().get(usize::from(index)).copied().unwrap_or(0)
    }

    #[inline]
    fn add(&mut self, index: u16, change: i32) {
        let index = usize::from(index);
        if index >= self.len() {
            self.resize(index + 1, 0);
        }
        if let Some(count) = self.get_mut(index) {
            *count = count.wrapping_add_signed(change);
        }
    }
}

mod sealed {
    pub trait Sealed {}
}
