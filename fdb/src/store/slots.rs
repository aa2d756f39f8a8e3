//! What the chip-sized stores have in common: slots that are free or hold a key and its record.

use super::{Place, Store};
use crate::Key;
use crate::entry::Record;

/// A place of a chip's table.
pub(super) type Slot = Option<(Key, Record)>;

/// A store made of slots.
pub(super) trait Slots: Store {
    fn slot(&self, place: Place) -> Option<&Slot>;
    fn slot_mut(&mut self, place: Place) -> Option<&mut Slot>;

    /// See [`Store::set`].
    fn replace(&mut self, place: Place, record: Record) {
        if let Some(Some((_, old))) = self.slot_mut(place) {
            *old = record;
        }
    }

    /// See [`Store::insert`]: into the first free slot where the key may be.
    fn fill(&mut self, key: Key, record: Record) -> Option<Place> {
        let mut number = 0;
        while let Some(place) = self.rival(key, number) {
            match self.slot_mut(place) {
                Some(free @ None) => {
                    *free = Some((key, record));
                    return Some(place);
                }
                _ => number += 1,
            }
        }
        None
    }

    /// See [`Store::remove`].
    fn free(&mut self, place: Place) {
        if let Some(slot) = self.slot_mut(place) {
            *slot = None;
        }
    }
}

/// See [`Store::sweep`].
pub(super) fn sweep<'a>(
    slots: impl Iterator<Item = &'a mut Slot>,
    mut quick: impl FnMut(Record) -> bool,
    mut judge: impl FnMut(Key, Record) -> Option<Record>,
) {
    for slot in slots {
        if let Some((key, record)) = *slot
            && !quick(record)
        {
            *slot = judge(key, record).map(|kept| (key, kept));
        }
    }
}
