//! An adaptive binary range coder: each yes-or-no question has its own running probability, and an
//! answer that was expected costs next to nothing. It carries what has no fixed layout: unknown keys.
//!
//! The arithmetic is that of LZMA (Igor Pavlov, "LZMA specification"), with probabilities that
//! adapt fast at first.

use alloc::vec::Vec;

/// Bits of a probability.
const PRECISION: u32 = 14;
/// The range is refilled below this.
const TOP: u32 = 1 << 24;

/// How likely the answer `false` is, learnt from the answers so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odds {
    zero: u16,
    seen: u8,
}

impl Odds {
    /// Nothing known.
    pub(super) const EVEN: Self = Self { zero: 1 << (PRECISION - 1), seen: 0 };

    fn learn(&mut self, bit: bool) {
        // The first answers weigh 1/2, 1/3, ...; later ones settle at 1/32.
        let rate = match self.seen {
            0 => 1,
            1..=2 => 2,
            3..=6 => 3,
            7..=14 => 4,
            _ => 5,
        };
        self.seen = (self.seen + 1).min(15);
        if bit {
            self.zero -= (self.zero - 16) >> rate;
        } else {
            self.zero += ((1 << PRECISION) - 16 - self.zero) >> rate;
        }
    }
}

/// Writes answers.
#[derive(Debug)]
pub(super) struct Encoder {
    out: Vec<u8>,
    low: u64,
    range: u32,
    /// The last byte, which a carry may still change, and the 0xFF bytes after it.
    held: Option<u8>,
    run: usize,
}

impl Encoder {
    pub(super) const fn new() -> Self {
        Self { out: Vec::new(), low: 0, range: u32::MAX, held: None, run: 0 }
    }

    /// Writes an answer to a question with these odds.
    pub(super) fn bit(&mut self, odds: &mut Odds, bit: bool) {
        let bound = (self.range >> PRECISION) * u32::from(odds.zero);
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        odds.learn(bit);
        self.refill();
    }

    /// Writes the low `count` bits of `value`, high bit first, as evenly likely.
    pub(super) fn raw(&mut self, value: u128, count: u32) {
        let mut left = count;
        while left > 0 {
            let step = left.min(8);
            left -= step;
            self.range >>= step;
            let digit = (value >> left) as u32 & ((1 << step) - 1);
            self.low += u64::from(digit) * u64::from(self.range);
            self.refill();
        }
    }

    fn refill(&mut self) {
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
    }

    /// Moves the top byte of `low` out; a carry ripples into the bytes held back.
    fn shift(&mut self) {
        let carry = (self.low >> 32) as u8;
        let top = (self.low >> 24) as u8;
        if carry != 0 || top != 0xFF {
            if let Some(held) = self.held {
                self.out.push(held.wrapping_add(carry));
            }
            self.out.extend(core::iter::repeat_n(0xFF_u8.wrapping_add(carry), self.run));
            self.run = 0;
            self.held = Some(top);
        } else {
            self.run += 1;
        }
        self.low = (self.low & 0x00FF_FFFF) << 8;
    }

    /// Ends the stream: the reader needs every byte of it and no more.
    pub(super) fn finish(mut self) -> Vec<u8> {
        for _ in 0..5 {
            self.shift();
        }
        self.out
    }
}

/// Reads answers; past the end it reads zeros and says so.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    range: u32,
    code: u32,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { bytes, at: 0, range: u32::MAX, code: 0 };
        for _ in 0..4 {
            decoder.code = decoder.code << 8 | decoder.next();
        }
        decoder
    }

    fn next(&mut self) -> u32 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte.into()
    }

    /// Bytes used so far; beyond the input's length after the end.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// True if more was read than there is.
    pub(super) const fn overran(&self) -> bool {
        self.at > self.bytes.len()
    }

    /// True if exactly all bytes were read, as after the last answer.
    pub(super) const fn is_finished(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn bit(&mut self, odds: &mut Odds) -> bool {
        let bound = (self.range >> PRECISION) * u32::from(odds.zero);
        let bit = self.code >= bound;
        if bit {
            self.code -= bound;
            self.range -= bound;
        } else {
            self.range = bound;
        }
        odds.learn(bit);
        self.refill();
        bit
    }

    pub(super) fn raw(&mut self, count: u32) -> u128 {
        let (mut value, mut left) = (0, count);
        while left > 0 {
            let step = left.min(8);
            left -= step;
            self.range >>= step;
            let digit = (self.code / self.range).min((1 << step) - 1);
            self.code = self.code.wrapping_sub(digit * self.range);
            value = value << step | u128::from(digit);
            self.refill();
        }
        value
    }

    fn refill(&mut self) {
        while self.range < TOP {
            self.range <<= 8;
            self.code = self.code << 8 | self.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn round_trip(bits: &[(usize, bool)], raws: &[(u128, u32)]) -> usize {
        let mut odds = [Odds::EVEN; 4];
        let mut encoder = Encoder::new();
        bits.iter().for_each(|&(q, bit)| encoder.bit(&mut odds[q], bit));
        raws.iter().for_each(|&(value, count)| encoder.raw(value, count));
        let bytes = encoder.finish();
        let mut odds = [Odds::EVEN; 4];
        let mut decoder = Decoder::new(&bytes);
        bits.iter().for_each(|&(q, bit)| assert_eq!(decoder.bit(&mut odds[q]), bit));
        for &(value, count) in raws {
            assert_eq!(decoder.raw(count), value & (u128::MAX >> (128 - count)));
        }
        assert!(decoder.is_finished());
        bytes.len()
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(
            bits in vec((0..4usize, any::<bool>()), 0..300),
            raws in vec((any::<u128>(), 1..=128u32), 0..20),
        ) {
            round_trip(&bits, &raws);
        }
    }

    #[test]
    fn expected_answers_are_nearly_free() {
        assert!(round_trip(&[(0, true); 2000], &[]) < 12);
        assert!(round_trip(&[(0, false); 2000], &[]) < 12);
    }

    #[test]
    fn a_carry_through_many_full_bytes_is_kept() {
        let ones = [(u128::MAX, 128); 8];
        round_trip(&[(0, true); 40], &ones);
        assert!(round_trip(&[], &ones) <= 8 * 16 + 4);
    }
}
