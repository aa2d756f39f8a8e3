//! The table of the RTL8306 family: sets of four.

use core::fmt;

use super::slots::{Slot, Slots, sweep};
use super::{Place, Store, sealed};
use crate::Key;
use crate::entry::Record;
use crate::flush::FlushSlot;

/// 512 sets of 4 places (RTL8306 SDK, `Rtl8306_AsicDrv.c`), 2048 entries, about 32 KiB.
///
/// The set is chosen by the chip's index or by a seeded hash; places in a set are tried from 3 down
/// to 0 as the SDK does.
///
/// ```
/// use fdb::{Config, Fdb, SetAssoc, WhenFull};
///
/// let chip = Fdb::new(SetAssoc::new(), Config { when_full: WhenFull::OldestInSet, ..Config::REALTEK });
/// let hardened = Fdb::new(SetAssoc::seeded([7, 9]), Config::DEFAULT);
/// assert_eq!((chip.capacity(), hardened.capacity()), (2048, 2048));
/// ```
#[derive(Clone, Debug)]
pub struct SetAssoc<I = ChipIndex> {
    sets: [[Slot; WAYS]; SETS],
    index: I,
}

const SETS: usize = 512;
const WAYS: usize = 4;

/// How a set is chosen.
pub trait IndexFn: sealed::Sealed + Clone + fmt::Debug {
    /// The set of a key, below 512.
    #[doc(hidden)]
    fn set_of(&self, key: Key) -> u32;
}

/// The chip's own choice: MAC octet 4 bits 2..0, octet 5 bits 7..2 (RTL8306 SDK). The lowest two bits
/// are left out, so four addresses in a row fill one set exactly.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChipIndex;

/// A choice that nobody can guess who does not know the seed.
#[derive(Clone, Copy)]
pub struct SeededIndex([u64; 2]);

impl SetAssoc<ChipIndex> {
    /// An empty table that is indexed as the chip does.
    pub const fn new() -> Self {
        Self { sets: [[None; WAYS]; SETS], index: ChipIndex }
    }
}

impl SetAssoc<SeededIndex> {
    /// An empty table that is indexed by a hash; take `seed` from a random source.
    pub const fn seeded(seed: [u64; 2]) -> Self {
        Self { sets: [[None; WAYS]; SETS], index: SeededIndex(seed) }
    }
}

impl Default for SetAssoc<ChipIndex> {
    fn default() -> Self {
        Self::new()
    }
}

impl sealed::Sealed for ChipIndex {}

impl IndexFn for ChipIndex {
    fn set_of(&self, key: Key) -> u32 {
        (key.bits48() >> 2) as u32 % SETS as u32
    }
}

impl sealed::Sealed for SeededIndex {}

impl IndexFn for SeededIndex {
    fn set_of(&self, key: Key) -> u32 {
        crate::permutation::Permutation::new(self.0).apply(key.bits()).bucket(SETS) as u32
    }
}

impl fmt::Debug for SeededIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededIndex(secret)")
    }
}

impl<I: IndexFn> Slots for SetAssoc<I> {
    fn slot(&self, place: Place) -> Option<&Slot> {
        self.sets.as_flattened().get(place as usize)
    }

    fn slot_mut(&mut self, place: Place) -> Option<&mut Slot> {
        self.sets.as_flattened_mut().get_mut(place as usize)
    }
}

impl<I: IndexFn> sealed::Sealed for SetAssoc<I> {}

impl<I: IndexFn> Store for SetAssoc<I> {
    const PORTS: u16 = 64;
    const FIDS: u16 = 64;
    type Tally = [u32; 64];
    type Flushes = [FlushSlot; 32];

    fn capacity(&self) -> u32 {
        self.places()
    }

    fn places(&self) -> u32 {
        (SETS * WAYS) as u32
    }

    fn find(&self, key: Key) -> (Place, Record) {
        let first = self.index.set_of(key) * (WAYS as u32);
        for place in first..first + (WAYS as u32) {
            if let Some(Some((found, record))) = self.slot(place)
                && *found == key
            {
                return (place, *record);
            }
        }
        (0, Record::FREE)
    }

    fn at(&self, place: Place) -> Option<(Key, Record)> {
        self.slot(place).copied().flatten()
    }

    fn set(&mut self, place: Place, record: Record) {
        self.replace(place, record);
    }

    fn insert(&mut self, key: Key, record: Record) -> Option<Place> {
        self.fill(key, record)
    }

    fn remove(&mut self, place: Place) {
        self.free(place);
    }

    fn rival(&self, key: Key, number: u32) -> Option<Place> {
        let way = ((WAYS as u32) - 1).checked_sub(number)?;
        Some(self.index.set_of(key) * (WAYS as u32) + way)
    }

    fn sweep(&mut self, quick: impl FnMut(Record) -> bool, judge: impl FnMut(Key, Record) -> Option<Record>) {
        sweep(self.sets.as_flattened_mut().iter_mut(), quick, judge);
    }

    fn tally(&self) -> Self::Tally {
        [0; 64]
    }

    fn flushes(&self) -> Self::Flushes {
        [FlushSlot::EMPTY; 32]
    }
}
