//! SipHash-2-4: the short-input keyed hash behind a probe's tag.
//!
//! Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). Written out because the one in
//! `core` is deprecated and not promised to stay SipHash; fifty lines spare a dependency.

/// The 64-bit tag of `bytes` under `key`.
pub(super) fn siphash24(key: [u8; 16], bytes: &[u8]) -> u64 {
    let [k0, k1] = [word(key.iter()), word(key.iter().skip(8))];
    let mut state = State {
        v0: k0 ^ 0x736F_6D65_7073_6575,
        v1: k1 ^ 0x646F_7261_6E64_6F6D,
        v2: k0 ^ 0x6C79_6765_6E65_7261,
        v3: k1 ^ 0x7465_6462_7974_6573,
    };
    let words = bytes.chunks_exact(8);
    let rest = word(words.remainder().iter()) | (bytes.len() as u64) << 56;
    for eight in words {
        state.absorb(word(eight.iter()));
    }
    state.absorb(rest);
    state.finish()
}

/// Up to eight bytes as a little-endian number.
fn word<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    bytes.take(8).zip(0..).fold(0, |word, (byte, at)| word | u64::from(*byte) << (8 * at))
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.rounds(2);
        self.v0 ^= word;
    }

    fn finish(mut self) -> u64 {
        self.v2 ^= 0xFF;
        self.rounds(4);
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    fn rounds(&mut self, count: usize) {
        let Self { v0, v1, v2, v3 } = self;
        for _ in 0..count {
            *v0 = v0.wrapping_add(*v1);
            *v2 = v2.wrapping_add(*v3);
            *v1 = v1.rotate_left(13) ^ *v0;
            *v3 = v3.rotate_left(16) ^ *v2;
            *v0 = v0.rotate_left(32);
            *v2 = v2.wrapping_add(*v1);
            *v0 = v0.wrapping_add(*v3);
            *v1 = v1.rotate_left(17) ^ *v2;
            *v3 = v3.rotate_left(21) ^ *v0;
            *v2 = v2.rotate_left(32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the authors' `vectors.h`: key 00..0F, input 00, 01, ... of 0, 7, 8 and 15 bytes.
    #[test]
    fn the_authors_vectors_hold() {
        let key = core::array::from_fn(|at| at as u8);
        let input: [u8; 15] = core::array::from_fn(|at| at as u8);
        for (len, tag) in [
            (0, 0x726F_DB47_DD0E_0E31),
            (7, 0xAB02_00F5_8B01_D137),
            (8, 0x93F5_F579_9A93_2462),
            (15, 0xA129_CA61_49BE_45E5),
        ] {
            assert_eq!(siphash24(key, &input[..len]), tag, "{len} bytes");
        }
    }
}
