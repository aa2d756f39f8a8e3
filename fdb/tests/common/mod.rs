//! What several tests need.
#![allow(dead_code, clippy::unwrap_used)]

use core::time::Duration;

use fdb::{Fid, Key, MacAddr6, PortId};

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

/// Host `number` of the shared database, 02:00 and four octets.
pub(crate) fn host(number: u32) -> Key {
    let [a, b, c, d] = number.to_be_bytes();
    Key::new(Fid::SHARED, MacAddr6::new(2, 0, a, b, c, d))
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ x >> 31
    }

    /// A random individual address.
    pub(crate) fn station(&mut self) -> Key {
        let [_, _, a, b, c, d, e, f] = self.next().to_be_bytes();
        Key::new(Fid::SHARED, MacAddr6::new(a & 0xFE | 2, b, c, d, e, f))
    }
}
