//! A VLAN tag as a value: tag protocol identifier and tag control information.

use core::fmt;

use crate::{EtherType, VlanId};

/// A VLAN tag: four bytes between the source address and the EtherType (IEEE 802.1Q-2018, 9.6).
///
/// Every four bytes that start with a tag protocol identifier are a tag, and every tag writes
/// back the same four bytes.
///
/// ```
/// use vlan_table::{EtherType, Pcp, Tag, TagVid, VlanId};
///
/// let tag = Tag::from_tci(EtherType::VLAN, 0xB00A);
/// assert_eq!(tag.pcp, Pcp::new(5).unwrap());
/// assert!(tag.dei);
/// assert_eq!(tag.vid, TagVid::Vlan(VlanId::new(10).unwrap()));
/// assert_eq!(tag.to_bytes(), [0x81, 0x00, 0xB0, 0x0A]);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tag {
    /// Tag protocol identifier: [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`] in standards.
    pub tpid: EtherType,
    /// Priority code point.
    pub pcp: Pcp,
    /// Drop eligible indicator; "CFI" before 2011.
    pub dei: bool,
    /// The VLAN, if the tag names one.
    pub vid: TagVid,
}

impl Tag {
    /// Length in a frame, in bytes.
    pub const LEN: usize = 4;

    /// A customer tag for `vid` with priority 0.
    pub const fn customer(vid: VlanId) -> Self {
        Self { tpid: EtherType::VLAN, pcp: Pcp::BEST_EFFORT, dei: false, vid: TagVid::Vlan(vid) }
    }

    /// The tag whose control information is `tci`, in host order.
    pub const fn from_tci(tpid: EtherType, tci: u16) -> Self {
        Self { tpid, pcp: Pcp((tci >> 13) as u8), dei: tci & 0x1000 != 0, vid: TagVid::from_raw(tci) }
    }

    /// Tag control information in host order: PCP in the top three bits, DEI, then the VID.
    pub const fn tci(self) -> u16 {
        (self.pcp.0 as u16) << 13 | (self.dei as u16) << 12 | self.vid.raw()
    }

    /// The VLAN that the tag names; `None` for a priority tag and the reserved VID.
    pub const fn vlan(self) -> Option<VlanId> {
        match self.vid {
            TagVid::Vlan(vid) => Some(vid),
            TagVid::Priority | TagVid::Reserved => None,
        }
    }

    /// The four bytes in frame order.
    pub const fn to_bytes(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.tpid.0.to_be_bytes(), self.tci().to_be_bytes());
        [a, b, c, d]
    }

    /// The tag in these four bytes, whatever its TPID.
    pub const fn from_bytes([a, b, c, d]: [u8; 4]) -> Self {
        Self::from_tci(EtherType(u16::from_be_bytes([a, b])), u16::from_be_bytes([c, d]))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vid {} pcp {}", self.tpid, self.vid.raw(), self.pcp.get())?;
        if self.dei { f.write_str(" dei") } else { Ok(()) }
    }
}

/// The VID field of a tag: all 4096 values, by meaning (IEEE 802.1Q-2018, table 9-2).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TagVid {
    /// VID 0: the tag carries a priority only; the VLAN is the ingress port's.
    Priority,
    /// VID 1..=4094.
    Vlan(VlanId),
    /// VID 4095: reserved, never transmitted.
    Reserved,
}

impl TagVid {
    /// The meaning of the low 12 bits of `raw`.
    pub const fn from_raw(raw: u16) -> Self {
        match VlanId::new(raw & 0x0FFF) {
            Some(vid) => Self::Vlan(vid),
            None if raw & 0x0FFF == 0 => Self::Priority,
            None => Self::Reserved,
        }
    }

    /// The field as a number, `0..=4095`.
    pub const fn raw(self) -> u16 {
        match self {
            Self::Priority => 0,
            Self::Vlan(vid) => vid.get(),
            Self::Reserved => 4095,
        }
    }
}

/// A priority code point, `0..=7` (IEEE 802.1Q-2018, 6.9.3).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pcp(u8);

impl Pcp {
    /// Priority 0, what an untagged frame gets unless the port says otherwise.
    pub const BEST_EFFORT: Self = Self(0);
    /// All eight, ascending.
    pub const ALL: [Self; 8] = [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7)];

    /// Returns `None` unless `raw` is in `0..=7`.
    pub const fn new(raw: u8) -> Option<Self> {
        if raw <= 7 { Some(Self(raw)) } else { None }
    }

    /// The priority as a number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tci_survives_the_round_trip() {
        for tci in 0..=u16::MAX {
            let tag = Tag::from_tci(EtherType::SERVICE_VLAN, tci);
            assert_eq!(tag.tci(), tci);
            assert_eq!(Tag::from_bytes(tag.to_bytes()), tag);
            assert_eq!(tag.vlan().map(VlanId::get), VlanId::new(tci & 0xFFF).map(VlanId::get));
        }
    }

    #[test]
    fn fields_stand_where_the_standard_puts_them() {
        let tag = Tag::from_bytes([0x81, 0x00, 0xF0, 0x01]);
        assert_eq!((tag.pcp.get(), tag.dei, tag.vid.raw()), (7, true, 1));
    }
}
