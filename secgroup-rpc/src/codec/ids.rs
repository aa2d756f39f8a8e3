//! A sorted set of UUIDs: 122 or 128 bits each, less what sorting saves.
//!
//! The bits above the lowest `122 - log2 n` are small steps from one id to the next and go in unary
//! (Elias-Fano); the fixed bits of random UUIDs are left out.

use super::{
    DecodeError,
    bits::{Reader, Writer, width},
};
use crate::Uuid;

/// The 122 random bits of a version-4 UUID; keeps the order.
pub(super) const fn pack_v4(id: Uuid) -> u128 {
    let bits = id.bits();
    bits >> 80 << 74 | (bits >> 64 & 0xFFF) << 62 | bits & ((1 << 62) - 1)
}

/// The UUID of [`pack_v4`].
pub(super) const fn unpack_v4(bits: u128) -> Uuid {
    let high = bits >> 74 << 80 | 4 << 76 | (bits >> 62 & 0xFFF) << 64;
    Uuid::from_bits(high | 2 << 62 | bits & ((1 << 62) - 1))
}

/// Writes `ids`, which ascend strictly.
pub(super) fn write(to: &mut Writer, ids: impl ExactSizeIterator<Item = Uuid> + Clone) {
    let count = ids.len();
    to.count(count);
    if count == 0 {
        return;
    }
    let v4 = ids.clone().all(Uuid::is_v4);
    to.bit(v4);
    let low = if v4 { 122 } else { 128 } - width(count);
    let mut last = 0;
    for id in ids {
        let bits = if v4 { pack_v4(id) } else { id.bits() };
        let high = bits.checked_shr(low).unwrap_or(0) as u64;
        to.unary(high - last);
        last = high;
        to.wide(bits & u128::MAX.checked_shr(128 - low).unwrap_or(0), low);
    }
}

/// Reads a set of ids; an iterator that ascends if the message is canonical.
#[derive(Clone, Debug)]
pub(super) struct Ids<'a> {
    left: usize,
    v4: bool,
    low: u32,
    high: u128,
    reader: Reader<'a>,
}

impl<'a> Ids<'a> {
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.count(64)?;
        let v4 = count > 0 && reader.bit();
        let low = if v4 { 122 } else { 128 } - width(count);
        Ok(Self { left: count, v4, low, high: 0, reader })
    }

    /// No ids, and nothing read.
    pub(super) const fn none(reader: Reader<'a>) -> Self {
        Self { left: 0, v4: false, low: 0, high: 0, reader }
    }

    /// The reader after the set; skips ids not yet given out.
    pub(super) fn end(mut self) -> Result<Reader<'a>, DecodeError> {
        self.by_ref().for_each(drop);
        self.reader.check()?;
        Ok(self.reader)
    }
}

impl Iterator for Ids<'_> {
    type Item = Uuid;

    fn next(&mut self) -> Option<Uuid> {
        self.left = self.left.checked_sub(1)?;
        self.high = self.high.wrapping_add(self.reader.unary().into());
        let bits = self.high.checked_shl(self.low).unwrap_or(0) | self.reader.wide(self.low);
        Some(if self.v4 { unpack_v4(bits & ((1 << 122) - 1)) } else { Uuid::from_bits(bits) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Ids<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::{collection::btree_set, prelude::*};

    proptest! {
        #[test]
        fn reads_back_what_was_written(bits in btree_set(any::<u128>(), 0..50), random in any::<bool>()) {
            let make = |bits| if random { unpack_v4(bits & ((1 << 122) - 1)) } else { Uuid::from_bits(bits) };
            let mut ids: Vec<_> = bits.into_iter().map(make).collect();
            ids.sort();
            let mut writer = Writer::default();
            write(&mut writer, ids.iter().copied());
            writer.bits(5, 3);
            let bytes = writer.finish();
            let read = Ids::read(Reader::new(&bytes, 0)).unwrap();
            prop_assert_eq!(read.clone().collect::<Vec<_>>(), ids);
            prop_assert_eq!(read.end().unwrap().bits(3), 5);
        }
    }

    #[test]
    fn a_thousand_random_ids_take_less_than_15_bytes_each() {
        let mut state = 1u128;
        let mut ids: Vec<_> = (0..1000)
            .map(|_| {
                state = state.wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645).wrapping_add(1);
                unpack_v4(state >> 6)
            })
            .collect();
        ids.sort();
        let mut writer = Writer::default();
        write(&mut writer, ids.iter().copied());
        // log2 of the number of such sets: 122 n - log2 n!
        assert!(writer.finish().len() <= 14_199 + 80);
    }
}
