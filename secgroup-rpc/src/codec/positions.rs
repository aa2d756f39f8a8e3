//! Addresses and ids as positions in a sorted table, for the writer.

use alloc::{vec, vec::Vec};

use super::{bits::width, pool::Key6};

/// What can be told apart roughly by a small number.
pub(super) trait Key: Copy + Ord {
    /// Does not fall with the distance from `first`, which is not above.
    fn offset(self, first: Self) -> u32;
}

impl Key for u32 {
    fn offset(self, first: Self) -> u32 {
        self - first
    }
}

/// Ids as numbers.
impl Key for u128 {
    fn offset(self, first: Self) -> u32 {
        ((self - first) >> 96) as u32
    }
}

impl Key for Key6 {
    fn offset(self, first: Self) -> u32 {
        self.distance(first).and_then(|distance| distance.try_into().ok()).unwrap_or(u32::MAX)
    }
}

/// A sorted table whose positions are found by a few steps from where the high bits point.
#[derive(Debug)]
pub(super) struct Table<K> {
    pub(super) keys: Vec<K>,
    shift: u32,
    /// Where the keys of each bucket start; the last one ends the table.
    starts: Vec<u32>,
}

impl<K: Key> Table<K> {
    /// The table of `keys`, which ascend strictly, for about so many questions. O(n), or O(1) for few.
    pub(super) fn of(keys: Vec<K>, questions: usize) -> Self {
        let (Some(&first), Some(&last)) = (keys.first(), keys.last()) else {
            return Self { keys, shift: 0, starts: Vec::new() };
        };
        if questions < keys.len() / 16 {
            // One bucket.
            let starts = vec![0, keys.len() as u32];
            return Self { keys, shift: 32, starts };
        }
        let span = last.offset(first);
        let shift = (32 - span.leading_zeros()).saturating_sub(width(keys.len()));
        let mut starts = vec![0; (span >> shift) as usize + 2];
        // Counts, then sums of the counts before.
        for key in &keys {
            starts
                .iter_mut()
                .skip((key.offset(first) >> shift) as usize + 1)
                .take(1)
                .for_each(|count| *count += 1);
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { keys, shift, starts }
    }

    /// The position of `key`, if the table has it.
    #[inline]
    pub(super) fn find(&self, key: K) -> Option<u64> {
        let first = *self.keys.first()?;
        if key < first {
            return None;
        }
        let bucket = key.offset(first).checked_shr(self.shift).unwrap_or(0) as usize;
        let (start, end) = (*self.starts.get(bucket)? as usize, *self.starts.get(bucket + 1)? as usize);
        let found = self.keys.get(start..end)?.binary_search(&key).ok()?;
        Some((start + found) as u64)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// Sorts positions below `table` and drops repeated ones.
pub(super) fn sort(positions: &mut Vec<u64>, table: usize) {
    if positions.is_sorted_by(|a, b| a < b) {
        return;
    }
    if positions.len() < 32 || positions.len() < table / 64 {
        positions.sort_unstable();
        return positions.dedup();
    }
    let mut words = vec![0u64; table.div_ceil(64)];
    for &at in &*positions {
        words.iter_mut().skip(at as usize / 64).take(1).for_each(|word| *word |= 1 << (at % 64));
    }
    positions.clear();
    for (base, mut word) in (0..).step_by(64).zip(words) {
        while word != 0 {
            positions.push(base + u64::from(word.trailing_zeros()));
            word &= word - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{
        collection::{btree_set, vec},
        prelude::*,
    };

    proptest! {
        #[test]
        fn finds_what_is_there_and_nothing_else(
            near in btree_set(0u32..3000, 0..200),
            far in btree_set(any::<u32>(), 0..5),
        ) {
            let keys: alloc::collections::BTreeSet<_> = near.iter().chain(&far).copied().collect();
            for questions in [1, 1000] {
                let table = Table::of(keys.iter().copied().collect(), questions);
                for key in (0..3000).chain(far.iter().copied()).chain([u32::MAX]) {
                    let wanted = keys.contains(&key).then(|| keys.range(..key).count() as u64);
                    prop_assert_eq!(table.find(key), wanted);
                }
            }
        }

        #[test]
        fn positions_come_out_as_a_sorted_set(positions in vec(0..500u64, 0..300)) {
            let wanted: alloc::collections::BTreeSet<_> = positions.iter().copied().collect();
            let mut sorted = positions;
            sort(&mut sorted, 500);
            prop_assert_eq!(sorted, wanted.into_iter().collect::<Vec<_>>());
        }
    }
}
