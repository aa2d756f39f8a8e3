//! The filtering identifier.

use core::fmt;

/// A filtering identifier, `0..=4095`: VLANs with the same number share one forwarding database
/// (IEEE 802.1Q-2018, 8.8.8).
///
/// The key of a forwarding database is the pair of this number and a MAC address. A bridge that
/// knows one database only, as Realtek's small chips do, puts everything under [`Fid::SHARED`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fid(u16);

impl Fid {
    /// The one database of a bridge without any other.
    pub const SHARED: Self = Self(0);
    /// How many identifiers there are.
    pub const COUNT: usize = 4096;

    /// Returns `None` unless `raw` is in `0..=4095`.
    pub const fn new(raw: u16) -> Option<Self> {
        if raw < 4096 { Some(Self(raw)) } else { None }
    }

    /// The low 12 bits of `raw`.
    pub(crate) const fn masked(raw: u16) -> Self {
        Self(raw & 0x0FFF)
    }

    /// The identifier as a number, `0..=4095`.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl From<Fid> for u16 {
    fn from(fid: Fid) -> Self {
        fid.get()
    }
}

impl From<crate::VlanId> for Fid {
    /// Independent learning: every VLAN has a database of its own.
    fn from(vid: crate::VlanId) -> Self {
        Self(vid.get())
    }
}

impl fmt::Display for Fid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
