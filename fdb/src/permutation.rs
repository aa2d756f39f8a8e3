//! The seeded permutation of keys that takes the place of a hash.

/// A secret bijection of the 60-bit keys (which fill the upper 60 bits of a word).
///
/// Being a bijection it lets a table drop the bits that a bucket's number implies and still give the
/// key back. Two multiplications by secret odd numbers with a fold between them: in the upper bits, which
/// choose the bucket, every bit of the key counts, and without the seed nobody can name keys that
/// share a bucket.
#[derive(Clone, Copy)]
pub(crate) struct Permutation {
    mask: u64,
    first: u64,
    second: u64,
    /// What undoes the multiplications.
    #[cfg(any(test, feature = "alloc"))]
    inverses: [u64; 2],
}

/// A permuted key; the low four bits are zero.
#[derive(Clone, Copy)]
pub(crate) struct Permuted(pub(crate) u64);

const LOW: u64 = 0xF;

impl Permutation {
    pub(crate) const fn new(seed: [u64; 2]) -> Self {
        let [a, b] = seed;
        let first = mix(a.wrapping_add(0x9E37_79B9_7F4A_7C15)) | 1;
        let second = mix(b.wrapping_add(0xD1B5_4A32_D192_ED03)) | 1;
        Self {
            mask: mix(a ^ b.rotate_left(32)) & !LOW,
            first,
            second,
            #[cfg(any(test, feature = "alloc"))]
            inverses: [inverse(first), inverse(second)],
        }
    }

    #[inline]
    pub(crate) const fn apply(&self, key: u64) -> Permuted {
        let x = (key ^ self.mask).wrapping_mul(self.first);
        Permuted((x ^ (x >> 32 & !LOW)).wrapping_mul(self.second))
    }

    #[cfg(any(test, feature = "alloc"))]
    pub(crate) const fn invert(&self, permuted: Permuted) -> u64 {
        let [first, second] = self.inverses;
        let x = permuted.0.wrapping_mul(second);
        (x ^ (x >> 32 & !LOW)).wrapping_mul(first) ^ self.mask
    }
}

impl Permuted {
    /// The upper `bits` bits, `1..=60`.
    #[inline]
    pub(crate) const fn top(self, bits: u32) -> u64 {
        self.0 >> (64 - bits)
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
                let key = number.wrapping_mul(0x0101_0307_0F1F_3F7F) & !LOW;
                let permuted = permutation.apply(key);
                assert_eq!(permuted.0 & LOW, 0);
                assert_eq!(permutation.invert(permuted), key);
            }
        }
    }

    #[test]
    fn neighbours_spread_over_buckets_as_random_keys_would() {
        // chi-squared of 4096 sequential addresses in 256 buckets; 255 expected, deviation 23
        for seed in 0..200 {
            let permutation = Permutation::new([seed, !seed]);
            let mut counts = [0u32; 256];
            for number in 0..4096u64 {
                counts[permutation.apply(number << 4).top(8) as usize] += 1;
            }
            let chi: f64 = counts.iter().map(|count| (f64::from(*count) - 16.0).powi(2) / 16.0).sum();
            assert!(chi < 255.0 + 8.0 * 23.0, "seed {seed}: {chi}");
        }
    }
}
