//! The VLAN identifier.

use core::fmt;
use core::num::NonZeroU16;

use crate::error::VlanIdOutOfRange;

/// A usable VLAN identifier, `1..=4094` (IEEE 802.1Q-2018, table 9-2: 0 means "no VLAN", 4095 is
/// reserved).
///
/// "Untagged" is `Option::<VlanId>::None`, never 0; the option takes no extra room.
///
/// ```
/// use vlan_table::VlanId;
///
/// const MGMT: VlanId = VlanId::new(10).unwrap();
/// assert_eq!(MGMT.get(), 10);
/// assert!(VlanId::new(0).is_none() && VlanId::new(4095).is_none());
/// assert_eq!(size_of::<Option<VlanId>>(), 2);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VlanId(NonZeroU16);

impl VlanId {
    /// The lowest identifier, and the PVID of a port that nobody configured (802.1Q, table 9-2).
    pub const DEFAULT: Self = Self(NonZeroU16::MIN);
    /// The lowest usable identifier, 1.
    pub const MIN: Self = Self::DEFAULT;
    /// The highest usable identifier, 4094.
    pub const MAX: Self = Self::new(4094).unwrap(); // a wrong number would not build
    /// How many identifiers are usable.
    pub const COUNT: usize = 4094;

    /// Returns `None` unless `raw` is in `1..=4094`; `TryFrom` gives an error naming `raw`.
    pub const fn new(raw: u16) -> Option<Self> {
        match NonZeroU16::new(raw) {
            Some(vid) if raw <= 4094 => Some(Self(vid)),
            _ => None,
        }
    }

    /// The identifier as a number, `1..=4094`.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// All 4094 identifiers, ascending.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + Clone {
        (Self::MIN.get()..=Self::MAX.get()).filter_map(Self::new)
    }
}

impl TryFrom<u16> for VlanId {
    type Error = VlanIdOutOfRange;

    fn try_from(raw: u16) -> Result<Self, Self::Error> {
        Self::new(raw).ok_or(VlanIdOutOfRange { raw })
    }
}

impl From<VlanId> for u16 {
    fn from(vid: VlanId) -> Self {
        vid.get()
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_either_usable_or_an_error_that_names_it() {
        for raw in 0..=u16::MAX {
            let usable = (1..=4094).contains(&raw);
            assert_eq!(VlanId::new(raw).map(VlanId::get), usable.then_some(raw));
            assert_eq!(
                VlanId::try_from(raw).map(u16::from),
                usable.then_some(raw).ok_or(VlanIdOutOfRange { raw })
            );
        }
    }

    #[test]
    fn all_yields_each_identifier_once_in_order() {
        assert!(VlanId::all().map(VlanId::get).eq(1..=4094));
        assert_eq!(VlanId::all().count(), VlanId::COUNT);
    }
}
