//! Bits in a row: the lowest bit of the first byte comes first.

use alloc::vec::Vec;

use super::DecodeError;

/// Appends bits.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: Vec<u8>,
    pending: u64,
    /// Bits in `pending`, below 64.
    fill: u32,
}

impl Writer {
    /// Goes on after whole bytes.
    pub(super) const fn after(out: Vec<u8>) -> Self {
        Self { out, pending: 0, fill: 0 }
    }

    /// The low `count` bits of `value`, up to 64; higher bits must be zero.
    #[inline]
    pub(super) fn bits(&mut self, value: u64, count: u32) {
        debug_assert!(count == 64 || value >> count == 0, "{value} has more than {count} bits");
        self.pending |= value << self.fill;
        let total = self.fill + count;
        if total < 64 {
            self.fill = total;
            return;
        }
        self.out.extend_from_slice(&self.pending.to_le_bytes());
        // All of `value` is out if it ended on the border.
        self.pending = value.checked_shr(64 - self.fill).unwrap_or(0);
        self.fill = total - 64;
    }

    #[inline]
    pub(super) fn bit(&mut self, bit: bool) {
        self.bits(bit.into(), 1);
    }

    /// A row of fields of `width` bits, up to 63.
    #[inline]
    pub(super) fn fields(&mut self, values: impl Iterator<Item = u64>, width: u32) {
        if width == 0 {
            return;
        }
        // Kept in registers over the loop, which is most of what encoding takes.
        let (mut pending, mut fill) = (self.pending, self.fill);
        for value in values {
            pending |= value << fill;
            fill += width;
            if fill >= 64 {
                self.out.extend_from_slice(&pending.to_le_bytes());
                fill -= 64;
                // All of `value` is out if it ended on the border.
                pending = value.checked_shr(width - fill).unwrap_or(0);
            }
        }
        (self.pending, self.fill) = (pending, fill);
    }

    /// A row of numbers in unary.
    #[inline]
    pub(super) fn unaries(&mut self, values: impl Iterator<Item = u64>) {
        let (mut pending, mut fill) = (self.pending, u64::from(self.fill));
        for zeros in values {
            fill += zeros;
            while fill >= 64 {
                self.out.extend_from_slice(&pending.to_le_bytes());
                (pending, fill) = (0, fill - 64);
            }
            pending |= 1 << fill;
            fill += 1;
        }
        if fill == 64 {
            self.out.extend_from_slice(&pending.to_le_bytes());
            (pending, fill) = (0, 0);
        }
        (self.pending, self.fill) = (pending, fill as u32);
    }

    /// The low `count` bits of `value`, up to 128.
    #[inline]
    pub(super) fn wide(&mut self, value: u128, count: u32) {
        if count > 64 {
            self.bits(value as u64, 64);
            self.bits((value >> 64) as u64, count - 64);
        } else {
            self.bits(value as u64, count);
        }
    }

    /// A number that is small as a rule: groups of three bits, low group first, each with a bit that
    /// says whether another one follows.
    pub(super) fn number(&mut self, mut value: u64) {
        while value > 7 {
            self.bits(value & 7 | 8, 4);
            value >>= 3;
        }
        self.bits(value, 4);
    }

    pub(super) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    /// `zeros` zero bits and a one.
    #[inline]
    pub(super) fn unary(&mut self, mut zeros: u64) {
        while zeros >= 63 {
            self.bits(0, 63);
            zeros -= 63;
        }
        self.bits(1 << zeros, zeros as u32 + 1);
    }

    /// The bits of `other`, which started empty.
    pub(super) fn append(&mut self, other: &Self) {
        let words = other.out.chunks_exact(8).filter_map(|chunk| chunk.first_chunk());
        words.for_each(|word| self.bits(u64::from_le_bytes(*word), 64));
        self.bits(other.pending, other.fill);
    }

    /// Bits written since the start, whole bytes before it included.
    pub(super) fn position(&self) -> usize {
        self.out.len() * 8 + self.fill as usize
    }

    /// Fills the last byte with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let bytes = self.pending.to_le_bytes();
        self.out.extend(bytes.iter().take(self.fill.div_ceil(8) as usize));
        self.out
    }
}

/// Reads bits; past the end it reads zeros, and [`Reader::check`] tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The same bits from another position, for fields of known width.
    pub(super) const fn moved(self, at: usize) -> Self {
        Self { bytes: self.bytes, at }
    }

    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// At least 56 bits from bit `at` on, in the low bits.
    #[inline]
    pub(super) fn peek_at(&self, at: usize) -> u64 {
        let byte = at >> 3;
        let word = match self.bytes.get(byte..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => u64::from_le_bytes(self.tail(byte)),
        };
        word >> (at & 7)
    }

    /// What is left from `byte` on, filled up with zeros.
    #[cold]
    fn tail<const N: usize>(&self, byte: usize) -> [u8; N] {
        let mut chunk = [0; N];
        chunk.iter_mut().zip(self.bytes.iter().skip(byte)).for_each(|(to, from)| *to = *from);
        chunk
    }

    /// The eight bytes from the one that holds bit `at` on; zeros past the end.
    #[inline]
    pub(super) fn word_at(&self, at: usize) -> u64 {
        self.peek_at(at & !7)
    }

    /// The next `count` bits, up to 64.
    #[inline]
    pub(super) fn bits(&mut self, count: u32) -> u64 {
        if count > 56 {
            return self.wide(count) as u64;
        }
        let value = self.peek_at(self.at) & ((1 << count) - 1);
        self.at = self.at.saturating_add(count as usize);
        value
    }

    #[inline]
    pub(super) fn bit(&mut self) -> bool {
        self.bits(1) == 1
    }

    /// The next `count` bits, up to 128.
    #[inline]
    pub(super) fn wide(&mut self, count: u32) -> u128 {
        let (byte, shift) = (self.at >> 3, (self.at & 7) as u32);
        let value = match self.bytes.get(byte..).and_then(|rest| rest.first_chunk::<17>()) {
            Some(chunk) => wide_at(chunk, shift),
            None => wide_at(&self.tail(byte), shift),
        };
        self.at = self.at.saturating_add(count as usize);
        value & u128::MAX.checked_shr(128 - count).unwrap_or(0)
    }

    /// What [`Writer::number`] wrote; bits beyond 64 are dropped.
    #[inline]
    pub(super) fn number(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..66).step_by(3) {
            let group = self.bits(4);
            value |= (group & 7) << shift;
            if group & 8 == 0 {
                break;
            }
        }
        value
    }

    /// Zero bits before the next one; stops at the end.
    #[inline]
    pub(super) fn unary(&mut self) -> u64 {
        let mut zeros = 0;
        while self.at < self.end() {
            let word = self.peek_at(self.at) & ((1 << 56) - 1);
            if word != 0 {
                self.at += word.trailing_zeros() as usize + 1;
                return zeros + u64::from(word.trailing_zeros());
            }
            self.at += 56;
            zeros += 56;
        }
        self.at += 1;
        zeros
    }

    /// A count of things that take at least `bits` bits each: no more than there can be.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if the message is too short for so many.
    pub(super) fn count(&mut self, bits: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.number()).unwrap_or(usize::MAX);
        self.expect(count.saturating_mul(bits) as u64)?;
        Ok(count)
    }

    /// Moves over `count` fields of `width` bits.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there are fewer.
    pub(super) fn skip(&mut self, count: usize, width: u32) -> Result<(), DecodeError> {
        let bits = count.saturating_mul(width as usize);
        self.expect(bits as u64)?;
        self.at += bits;
        Ok(())
    }

    /// # Errors
    /// [`DecodeError::Truncated`] if fewer than `bits` bits are left.
    pub(super) fn expect(&self, bits: u64) -> Result<(), DecodeError> {
        if bits > self.end().saturating_sub(self.at) as u64 {
            return Err(DecodeError::Truncated { at: self.bytes.len() });
        }
        Ok(())
    }

    pub(super) const fn end(&self) -> usize {
        self.bytes.len() * 8
    }

    /// # Errors
    /// [`DecodeError::Truncated`] if bits past the end were read.
    pub(super) const fn check(&self) -> Result<(), DecodeError> {
        if self.at > self.end() {
            return Err(DecodeError::Truncated { at: self.bytes.len() });
        }
        Ok(())
    }

    pub(super) const fn invalid(&self, what: &'static str) -> DecodeError {
        DecodeError::Invalid { what, at: self.at / 8 }
    }

    /// The whole bytes that follow; the bits up to there must be zero.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], or [`DecodeError::Invalid`] if there are set bits in between.
    pub(super) fn rest(mut self) -> Result<&'a [u8], DecodeError> {
        self.check()?;
        let padding = self.at.wrapping_neg() % 8;
        if self.bits(padding as u32) != 0 {
            return Err(self.invalid("padding that is not zero"));
        }
        Ok(self.bytes.get(self.at / 8..).unwrap_or_default())
    }
}

/// The 128 bits from bit `shift` of `chunk` on.
#[inline]
fn wide_at(chunk: &[u8; 17], shift: u32) -> u128 {
    let [low @ .., high] = *chunk;
    u128::from_le_bytes(low) >> shift | (u128::from(high) << 1) << (127 - shift)
}

/// Bits needed for numbers below `count`.
pub(super) const fn width(count: usize) -> u32 {
    match count {
        0 | 1 => 0,
        _ => usize::BITS - (count - 1).leading_zeros(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[derive(Clone, Debug)]
    enum Field {
        Wide(u128, u32),
        Number(u64),
        Unary(u64),
    }

    fn field() -> impl Strategy<Value = Field> {
        prop_oneof![
            (any::<u128>(), 0..=128u32)
                .prop_map(|(v, n)| Field::Wide(v & u128::MAX.checked_shr(128 - n).unwrap_or(0), n)),
            (any::<u64>(), 0..64u32).prop_map(|(v, n)| Field::Number(v >> n)),
            (0..300u64).prop_map(Field::Unary),
        ]
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(fields in vec(field(), 0..40)) {
            let mut writer = Writer::after([0xAA].into());
            for field in &fields {
                match *field {
                    Field::Wide(value, count) => writer.wide(value, count),
                    Field::Number(value) => writer.number(value),
                    Field::Unary(zeros) => writer.unary(zeros),
                }
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes, 8);
            for field in &fields {
                match *field {
                    Field::Wide(value, count) => prop_assert_eq!(reader.wide(count), value),
                    Field::Number(value) => prop_assert_eq!(reader.number(), value),
                    Field::Unary(zeros) => prop_assert_eq!(reader.unary(), zeros),
                }
            }
            prop_assert_eq!(reader.rest(), Ok(&[][..]));
        }
    }

    #[test]
    fn reading_past_the_end_is_zeros_and_an_error() {
        let mut reader = Reader::new(&[0xFF], 0);
        assert_eq!(reader.bits(12), 0xFF);
        assert!(reader.check().is_err());
        assert!(Reader::new(&[0x87], 0).count(1).is_err());
    }
}
