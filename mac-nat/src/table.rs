//! A hash table with deadlines whose memory is all allocated when it is made.
//!
//! Addresses, pending probes, transactions and stations are four small problems of one kind: find
//! by key, forget at a time, never grow. Slots carry part of the hash, so a look-up that misses
//! touches one cache line and a hit two.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// A key that can be hashed with a seed.
pub(crate) trait Key: Copy + Eq {
    /// Mixes the whole key; both halves of the result are used.
    fn hash(&self, seed: u64) -> u64;
}

/// Seeds multiply, and what is multiplied by 0 is lost: the obvious seed must not be 0 inside.
const NOTHING_UP_MY_SLEEVE: u64 = 0x243F_6A88_85A3_08D3;

/// Multiplies to 128 bits and folds: two inputs to well-mixed 64 bits in one instruction or two.
pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product >> 64) as u64 ^ product as u64
}

/// Names an entry until it is removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Id(u32);

impl Id {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The table has no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Full;

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    id: u32,
}

const NONE: u32 = u32::MAX;
const EMPTY: Slot = Slot { hash: 0, id: NONE };

#[derive(Debug)]
pub(crate) struct Table<K, V> {
    seed: u64,
    capacity: usize,
    /// A power of two, at least twice the capacity: probe sequences stay short.
    slots: Box<[Slot]>,
    entries: Vec<(K, V)>,
    /// Entries that may be used again.
    free: Vec<u32>,
    deadlines: Deadlines,
}

impl<K: Key, V: Copy> Table<K, V> {
    /// Room for `capacity` entries and no more.
    pub(crate) fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.clamp(1, NONE as usize / 4);
        Self {
            seed: seed ^ NOTHING_UP_MY_SLEEVE,
            capacity,
            slots: vec![EMPTY; (capacity * 2).next_power_of_two()].into_boxed_slice(),
            entries: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
            deadlines: Deadlines::new(capacity),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    #[inline]
    pub(crate) fn find(&self, key: &K) -> Option<Id> {
        let hash = key.hash(self.seed) as u32;
        let mut at = self.home(hash);
        loop {
            let slot = self.slot(at);
            if slot.id == NONE {
                return None;
            }
            if slot.hash == hash && self.entries.get(slot.id as usize).is_some_and(|(k, _)| k == key) {
                return Some(Id(slot.id));
            }
            at = self.after(at);
        }
    }

    #[inline]
    pub(crate) fn get(&self, id: Id) -> Option<&V> {
        self.entries.get(id.index()).map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut V> {
        self.entries.get_mut(id.index()).map(|(_, value)| value)
    }

    pub(crate) fn lookup(&self, key: &K) -> Option<&V> {
        self.find(key).and_then(|id| self.get(id))
    }

    pub(crate) fn lookup_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).and_then(|id| self.get_mut(id))
    }

    /// Adds an entry, or replaces the value of the one with this key.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Result<Id, Full> {
        if let Some(id) = self.find(&key) {
            if let Some(old) = self.get_mut(id) {
                *old = value;
            }
            return Ok(id);
        }
        if self.len() == self.capacity {
            return Err(Full);
        }
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(entry) = self.entries.get_mut(id as usize) {
                    *entry = (key, value);
                }
                id
            }
            None => {
                self.entries.push((key, value));
                (self.entries.len() - 1) as u32
            }
        };
        let hash = key.hash(self.seed) as u32;
        let mut at = self.home(hash);
        while self.slot(at).id != NONE {
            at = self.after(at);
        }
        self.set_slot(at, Slot { hash, id });
        Ok(Id(id))
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let id = self.find(key)?;
        let mut hole = self.home(key.hash(self.seed) as u32);
        while self.slot(hole).id != id.0 {
            hole = self.after(hole);
        }
        // Entries behind the hole move up unless that would put them before their home.
        let mut at = self.after(hole);
        while self.slot(at).id != NONE {
            let distance = |from: usize| at.wrapping_sub(from) & (self.slots.len() - 1);
            if distance(self.home(self.slot(at).hash)) >= distance(hole) {
                self.set_slot(hole, self.slot(at));
                hole = at;
            }
            at = self.after(at);
        }
        self.set_slot(hole, EMPTY);
        self.deadlines.remove(id.0);
        self.free.push(id.0);
        self.get(id).copied()
    }

    /// The entry shall come up in [`next_deadline`](Self::next_deadline) at `at`.
    pub(crate) fn set_deadline(&mut self, id: Id, at: u64) {
        self.deadlines.set(id.0, at);
    }

    pub(crate) fn clear_deadline(&mut self, id: Id) {
        self.deadlines.remove(id.0);
    }

    /// The earliest deadline and its entry.
    pub(crate) fn next_deadline(&self) -> Option<(u64, Id, K)> {
        let (at, id) = self.deadlines.first()?;
        self.entries.get(id as usize).map(|(key, _)| (at, Id(id), *key))
    }

    /// All entries, in no order. O(slots).
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &K, &V)> {
        let ids = self.slots.iter().map(|slot| slot.id).filter(|id| *id != NONE);
        ids.filter_map(|id| self.entries.get(id as usize).map(|(key, value)| (Id(id), key, value)))
    }

    /// The keys of the values that are wanted. Allocates: for commands, not for frames.
    pub(crate) fn keys(&self, wanted: impl Fn(&V) -> bool) -> Vec<K> {
        self.iter().filter(|(_, _, value)| wanted(value)).map(|(_, key, _)| *key).collect()
    }

    /// How many indices [`by_index`](Self::by_index) can be asked for.
    pub(crate) fn indices(&self) -> usize {
        self.entries.len()
    }

    /// The entry with this index, if it is in use.
    pub(crate) fn by_index(&self, index: usize) -> Option<(K, V)> {
        let (key, value) = *self.entries.get(index)?;
        self.find(&key).filter(|id| id.index() == index).map(|_| (key, value))
    }

    /// How many slots the unluckiest key is from its home.
    #[cfg(test)]
    pub(crate) fn longest_probe(&self) -> usize {
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.id != NONE);
        let mask = self.slots.len() - 1;
        slots.map(|(at, slot)| at.wrapping_sub(self.home(slot.hash)) & mask).max().unwrap_or_default()
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    #[inline]
    fn slot(&self, at: usize) -> Slot {
        self.slots.get(at).copied().unwrap_or(EMPTY)
    }

    fn set_slot(&mut self, at: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
    }
}

/// Binary min-heap of (time, entry) that knows where each entry stands.
#[derive(Debug)]
struct Deadlines {
    heap: Vec<(u64, u32)>,
    /// Position in the heap by entry; `NONE` if it has no deadline.
    place: Vec<u32>,
}

impl Deadlines {
    fn new(capacity: usize) -> Self {
        Self { heap: Vec::with_capacity(capacity), place: vec![NONE; capacity] }
    }

    fn first(&self) -> Option<(u64, u32)> {
        self.heap.first().copied()
    }

    fn set(&mut self, id: u32, at: u64) {
        let place = match self.place(id) {
            Some(place) => place,
            None => {
                self.heap.push((at, id));
                self.heap.len() - 1
            }
        };
        self.put(place, (at, id));
        self.settle(place);
    }

    fn remove(&mut self, id: u32) {
        let Some(place) = self.place(id) else { return };
        if let Some(slot) = self.place.get_mut(id as usize) {
            *slot = NONE;
        }
        if let Some(last) = self.heap.pop()
            && place < self.heap.len()
        {
            self.put(place, last);
            self.settle(place);
        }
    }

    fn settle(&mut self, mut place: usize) {
        while place > 0 && self.at(place) < self.at((place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let child = if self.at(right) < self.at(left) { right } else { left };
            if self.at(child) >= self.at(place) {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    /// The time at a place; beyond the end, one that never comes.
    fn at(&self, place: usize) -> u64 {
        self.heap.get(place).map_or(u64::MAX, |(at, _)| *at)
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.place.get(id as usize).filter(|place| **place != NONE).map(|place| *place as usize)
    }

    fn put(&mut self, place: usize, item: (u64, u32)) {
        if let (Some(slot), Some(back)) = (self.heap.get_mut(place), self.place.get_mut(item.1 as usize)) {
            *slot = item;
            *back = place as u32;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        if let (Some(first), Some(second)) = (self.heap.get(a).copied(), self.heap.get(b).copied()) {
            self.put(a, second);
            self.put(b, first);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Key for u8 {
        /// Few homes, so that most entries collide.
        fn hash(&self, seed: u64) -> u64 {
            u64::from(*self % 5) ^ seed
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn agrees_with_a_plain_map(ops in prop::collection::vec((0..5_u8, 0..24_u8, 0..50_u64), 0..200)) {
            const CAPACITY: usize = 12;
            let mut table = Table::new(CAPACITY, 3);
            let mut model = BTreeMap::<u8, (u64, Option<u64>)>::new();
            for (op, key, number) in ops {
                match op {
                    0 | 1 => {
                        let fits = model.contains_key(&key) || model.len() < CAPACITY;
                        prop_assert_eq!(table.insert(key, number).is_ok(), fits);
                        if fits {
                            model.entry(key).or_default().0 = number;
                        }
                    }
                    2 => {
                        let removed = table.remove(&key);
                        prop_assert_eq!(removed, model.remove(&key).map(|(value, _)| value));
                    }
                    3 => if let Some(id) = table.find(&key) {
                        table.set_deadline(id, number);
                        model.get_mut(&key).unwrap().1 = Some(number);
                    }
                    _ => {
                        while let Some((_, _, key)) = table.next_deadline().filter(|(at, ..)| *at <= number) {
                            table.remove(&key);
                        }
                        model.retain(|_, (_, at)| at.is_none_or(|at| at > number));
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                for key in 0..24 {
                    prop_assert_eq!(table.lookup(&key), model.get(&key).map(|(value, _)| value));
                }
                prop_assert_eq!(table.next_deadline().map(|(at, ..)| at), model.values().filter_map(|m| m.1).min());
                prop_assert_eq!(table.iter().count(), model.len());
            }
        }
    }
}
