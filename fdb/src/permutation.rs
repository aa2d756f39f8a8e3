//! The seeded permutation of keys that takes the place of a hash.

use crate::Key;

/// A secret bijection of the 60-bit keys (which fill the upper 60 bits of a word).
///
/// Being a bijection it lets a table drop the bits that a bucket's number implies and still give the
/// key back. Two multiplications by secret odd numbers with a fold between them, and the seed is needed to name
/// keys that share a bucket.
#[derive(Clone, Copy)]
pub(crate) struct Permutation {
    first: u64,
    /// Eight times an odd number.
    second: u64,
    /// What undoes the multiplications.
    #[cfg(any(test, feature = "alloc"))]
    inverses: [u64; 2],
}

/// A permuted key: sixty bits above three zeros. The highest bit is no part of it.
#[derive(Clone, Copy)]
pub(crate) struct Permuted(pub(crate) u64);

/// Brings the upper half, in which all of the key counts, to the lower one.
const FOLD: u32 = 32;
const ZEROS: u32 = 3;

impl Permutation {
    pub(crate) const fn new(seed: [u64; 2]) -> Self {
        let [a, b] = seed;
        let first = mix(a.wrapping_add(0x9E37_79B9_7F4A_7C15)) | 1;
        let second = mix(b.wrapping_add(0xD1B5_4A32_D192_ED03) ^ first.rotate_left(32)) | 1;
        Self {
            first,
            second: second << ZEROS,
            #[cfg(any(test, feature = "alloc"))]
            inverses: [inverse(first), inverse(second)],
        }
    }

    #[inline(always)]
    pub(crate) const fn apply(&self, key: u64) -> Permuted {
        let x = key.wrapping_mul(self.first);
        Permuted(((x ^ x >> FOLD) >> Key::PADDING).wrapping_mul(self.second))
    }

    #[cfg(any(test, feature = "alloc"))]
    #[inline]
    pub(crate) const fn invert(&self, permuted: Permuted) -> u64 {
        let [first, second] = self.inverses;
        let x = (permuted.0 >> ZEROS).wrapping_mul(second) << Key::PADDING;
        let fold = x >> FOLD >> Key::PADDING << Key::PADDING;
        (x ^ fold).wrapping_mul(first)
    }
}

impl Permuted {
    /// Buckets are numbered by the bits from here on, mixed with those `MIXED` bits above: what is left of keys
    /// that differ in few bits are steps of one length, and these alone can miss most buckets.
    pub(crate) const BUCKET: u32 = 18;
    const MIXED: u32 = 22;

    /// A number below `buckets`, a power of two up to 2^22.
    #[inline(always)]
    pub(crate) const fn bucket(self, buckets: usize) -> usize {
        ((self.0 ^ self.0 >> Self::MIXED) >> Self::BUCKET) as usize & buckets.wrapping_sub(1)
    }

    /// Puts back the lowest eight of the bits that number buckets.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) const fn with_bucket(self, number: usize) -> Self {
        let low = (number as u64 ^ self.0 >> (Self::BUCKET + Self::MIXED)) & 0xFF;
        Self(self.0 & !(0xFF << Self::BUCKET) | low << Self::BUCKET)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014):
/// a poor seed such as `[0, 1]` still gives multipliers that look random.
const fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: each step doubles the right bits.
#[cfg(any(test, feature = "alloc"))]
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd; // right in the lowest 3 bits
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permuting_can_be_undone() {
        for seed in 0..50 {
            let permutation = Permutation::new([seed, seed.wrapping_mul(0x1234_5678_9ABC)]);
            for number in 0..2000u64 {
                let key = number.wrapping_mul(0x0101_0307_0F1F_3F7F) << Key::PADDING;
                let permuted = permutation.apply(key);
                assert_eq!(permuted.0 % (1 << ZEROS), 0);
                for top in [0, 1 << 63] {
                    assert_eq!(permutation.invert(Permuted(permuted.0 & !(1 << 63) | top)), key);
                }
            }
        }
    }

    /// One address in many VLANs, addresses in a row, every fourth, every 256th, makers in a row.
    #[test]
    fn regular_keys_spread_over_buckets_as_random_keys_would() {
        // 1024 keys in 256 buckets, of which random ones leave 1 in 20 over six per bucket
        for (shift, limit) in [
            (Key::PADDING, 0.10),
            (Key::MAC_SHIFT, 0.10),
            (Key::MAC_SHIFT + 2, 0.10),
            (Key::MAC_SHIFT + 8, 0.13),
            (Key::MAC_SHIFT + 24, 0.35),
        ] {
            for seed in 0..200 {
                let permutation = Permutation::new([seed, !seed]);
                let mut counts = [0u32; 256];
                for number in 0..1024u64 {
                    counts[permutation.apply(number << shift).bucket(256)] += 1;
                }
                let over: u32 = counts.iter().map(|count| count.saturating_sub(6)).sum();
                assert!(f64::from(over) < limit * 1024.0, "shift {shift}, seed {seed}: {over}");
            }
        }
    }
}
