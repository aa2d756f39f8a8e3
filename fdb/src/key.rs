//! What the database is searched by.

use core::cmp::Ordering;
use core::fmt;

use macaddr::MacAddr6;
use vlan_table::Fid;

/// The key of an entry, (FID, MAC address), packed into one word (IEEE 802.1Q-2018, 8.8.3).
///
/// Every method that wants a key also takes the pair `(Fid, MacAddr6)`. A data path that uses one key
/// twice saves the packing by making it once.
///
/// ```
/// use fdb::{Fid, Key, MacAddr6};
///
/// let mac = MacAddr6::new(0x52, 0x54, 0x4c, 0x83, 0x05, 0xb0);
/// let key = Key::new(Fid::SHARED, mac);
/// assert_eq!((key.fid(), key.mac()), (Fid::SHARED, mac));
/// assert_eq!(size_of_val(&key), 8);
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Key(u64);

/// The key fills the upper 60 bits of its word: MAC (48), then FID (12), then four zeros.
/// Multiplication modulo 2^64 keeps the zeros, so that a permutation of keys needs no masking; and what
/// is lowest spreads furthest in it, so that one address in many FIDs is a key like any other.
impl Key {
    pub(crate) const PADDING: u32 = 4;
    pub(crate) const MAC_SHIFT: u32 = 16;
    const GROUP: u64 = 1 << (40 + Self::MAC_SHIFT);

    /// Packs the two parts.
    pub const fn new(fid: Fid, mac: MacAddr6) -> Self {
        Self::from_octets(fid, mac.into_array())
    }

    /// Like [`Key::new`], from the six octets as they stand in a frame.
    pub const fn from_octets(fid: Fid, mac: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = mac;
        Self::from_bits48(fid, u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// Like [`Key::new`], from the address as a number with its first octet highest; bits above the
    /// 48th are not looked at.
    #[inline]
    pub const fn from_bits48(fid: Fid, mac: u64) -> Self {
        Self(mac << Self::MAC_SHIFT | (fid.get() as u64) << Self::PADDING)
    }

    /// The filtering identifier.
    pub const fn fid(self) -> Fid {
        match Fid::new(self.0 as u16 >> Self::PADDING) {
            Some(fid) => fid,
            None => Fid::SHARED, // twelve bits always fit
        }
    }

    /// The MAC address.
    pub const fn mac(self) -> MacAddr6 {
        let [_, _, a, b, c, d, e, f] = self.bits48().to_be_bytes();
        MacAddr6::new(a, b, c, d, e, f)
    }

    /// Whether the address names one station: the I/G bit is clear and not all of it is zero.
    ///
    /// Only such an address can be a source (IEEE 802.1Q-2018, 8.7).
    pub const fn is_station(self) -> bool {
        self.0 & Self::GROUP == 0 && !self.is_zero()
    }

    /// Whether the address is all zeros.
    pub(crate) const fn is_zero(self) -> bool {
        self.bits48() == 0
    }

    /// The address as a number with its first octet highest.
    pub(crate) const fn bits48(self) -> u64 {
        self.0 >> Self::MAC_SHIFT
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[cfg(feature = "alloc")]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// By FID, then address.
impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.rotate_right(Self::MAC_SHIFT).cmp(&other.0.rotate_right(Self::MAC_SHIFT))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<(Fid, MacAddr6)> for Key {
    fn from((fid, mac): (Fid, MacAddr6)) -> Self {
        Self::new(fid, mac)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.mac().into_array();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x} in FID {}", self.fid())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fid_and_octet_comes_back() {
        for raw in 0..4096 {
            let (fid, low) = (Fid::new(raw).unwrap(), raw.to_be_bytes());
            let mac = MacAddr6::new(low[1], 0x80, 0xFF, low[0], 0x01, low[1]);
            let key = Key::new(fid, mac);
            assert_eq!((key.fid(), key.mac()), (fid, mac));
        }
    }

    #[test]
    fn keys_are_ordered_by_fid_then_address() {
        let key = |fid, mac| Key::from_bits48(Fid::new(fid).unwrap(), mac);
        let ordered = [key(0, 0), key(0, 1), key(0, 1 << 47), key(1, 0), key(256, 7), key(4095, 1)];
        assert!(ordered.is_sorted());
    }

    #[test]
    fn group_addresses_and_zero_are_no_stations() {
        let station = |mac: [u8; 6]| Key::from_octets(Fid::new(4095).unwrap(), mac).is_station();
        assert!(station([2, 0, 0, 0, 0, 0]) && station([0, 0, 0, 0, 0, 1]));
        assert!(!station([0; 6]) && !station([0xFF; 6]) && !station([1, 0, 0x5E, 0, 0, 1]));
    }
}
