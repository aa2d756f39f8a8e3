//! UUIDs as Neutron uses them: names of ports, groups, networks and projects.

use core::{fmt, str::FromStr};

/// A UUID (RFC 9562), in the byte order of its text.
///
/// ```
/// use secgroup_rpc::Uuid;
///
/// let id: Uuid = "4be03db0-dc25-44bd-b940-67edfe175330".parse().unwrap();
/// assert!(id.is_v4());
/// assert_eq!(id.to_string(), "4be03db0-dc25-44bd-b940-67edfe175330");
/// assert!("4be03db0".parse::<Uuid>().is_err());
/// ```
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uuid(pub [u8; 16]);

/// Text that is not a UUID of the form `8-4-4-4-12`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a UUID: wrong length or character at byte {at}")]
pub struct UuidError {
    /// Offset of the first byte that does not fit, or the length of the text if it is too short.
    pub at: usize,
}

impl Uuid {
    /// True if version and variant say "random" (RFC 9562, 5.4), as OpenStack's do.
    pub const fn is_v4(self) -> bool {
        let bits = self.bits();
        bits >> 76 & 0xF == 4 && bits >> 62 & 3 == 2
    }

    /// The 128 bits as a number, first byte highest.
    pub const fn bits(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The UUID with these 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits();
        let (a, b, c) = ((bits >> 96) as u32, (bits >> 80) as u16, (bits >> 64) as u16);
        write!(
            f,
            "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}",
            (bits >> 48) as u16,
            bits as u64 & 0xFFFF_FFFF_FFFF
        )
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let mut bits = 0u128;
        for (at, byte) in text.bytes().enumerate() {
            let digit = match (at, byte) {
                (36.., _) => return Err(UuidError { at }),
                (8 | 13 | 18 | 23, b'-') => continue,
                (8 | 13 | 18 | 23, _) => return Err(UuidError { at }),
                (_, b'0'..=b'9') => byte - b'0',
                (_, b'a'..=b'f') => byte - b'a' + 10,
                (_, b'A'..=b'F') => byte - b'A' + 10,
                _ => return Err(UuidError { at }),
            };
            bits = bits << 4 | u128::from(digit);
        }
        if text.len() == 36 { Ok(Self::from_bits(bits)) } else { Err(UuidError { at: text.len() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_and_bits_agree_both_ways() {
        let text = "01234567-89ab-4def-8123-456789abcdef";
        let id: Uuid = text.parse().unwrap();
        assert_eq!(id.bits(), 0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        assert_eq!(id.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn every_truncation_and_every_bad_byte_is_refused() {
        let text = "01234567-89ab-4def-8123-456789abcdef";
        for at in 0..text.len() {
            assert_eq!(text[..at].parse::<Uuid>(), Err(UuidError { at }));
            let mut bad = text.as_bytes().to_vec();
            bad[at] = b'x';
            assert_eq!(core::str::from_utf8(&bad).unwrap().parse::<Uuid>(), Err(UuidError { at }));
        }
        assert_eq!((text.to_string() + "0").parse::<Uuid>(), Err(UuidError { at: 36 }));
    }

    #[test]
    fn only_random_ids_are_v4() {
        let v4: Uuid = "01234567-89ab-4def-8123-456789abcdef".parse().unwrap();
        assert!(v4.is_v4());
        for flipped in [12 * 8 - 17, 63] {
            assert!(!Uuid::from_bits(v4.bits() ^ 1 << flipped).is_v4());
        }
    }
}
