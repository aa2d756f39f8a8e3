//! Which VLANs a frame is in: part of every key, since an address means something per VLAN only.

use core::fmt;
use core::str::FromStr;

use vlan_table::VlanId;

/// The VLANs that the tags of a frame name, outermost first: none, one, or two (IEEE 802.1ad).
///
/// Priority tags (VID 0) name none. The written form is `untagged`, `10` or `13.10`.
///
/// ```
/// use mac_nat::Vlans;
///
/// let q_in_q: Vlans = "13.10".parse()?;
/// assert_eq!(q_in_q.iter().map(|vid| vid.get()).collect::<Vec<_>>(), [13, 10]);
/// assert_eq!(Vlans::UNTAGGED.to_string(), "untagged");
/// # Ok::<(), mac_nat::VlansError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "alloc::string::String", try_from = "alloc::string::String"))]
pub struct Vlans {
    outer: Option<VlanId>,
    inner: Option<VlanId>,
}

impl Vlans {
    /// No VLAN: no tag, or priority tags only.
    pub const UNTAGGED: Self = Self { outer: None, inner: None };
    /// How many tags a frame may have; more are not understood.
    pub const MAX_TAGS: usize = 2;

    /// One VLAN.
    pub const fn one(vid: VlanId) -> Self {
        Self { outer: Some(vid), inner: None }
    }

    /// A customer's VLAN inside a provider's.
    pub const fn two(outer: VlanId, inner: VlanId) -> Self {
        Self { outer: Some(outer), inner: Some(inner) }
    }

    /// The VLANs, outermost first.
    pub fn iter(self) -> impl Iterator<Item = VlanId> {
        self.outer.into_iter().chain(self.inner)
    }

    /// The same with `vid` as innermost; `None` if there are two already.
    pub(crate) fn inside(self, vid: VlanId) -> Option<Self> {
        match (self.outer, self.inner) {
            (None, _) => Some(Self::one(vid)),
            (Some(outer), None) => Some(Self::two(outer, vid)),
            (Some(_), Some(_)) => None,
        }
    }

    /// One number per value, 0 for none.
    #[inline]
    pub(crate) fn packed(self) -> u32 {
        let raw = |vid: Option<VlanId>| u32::from(vid.map_or(0, VlanId::get));
        raw(self.outer) << 16 | raw(self.inner)
    }

    /// What [`packed`](Self::packed) gave.
    pub(crate) fn unpacked(packed: u32) -> Self {
        Self { outer: VlanId::new((packed >> 16) as u16), inner: VlanId::new(packed as u16) }
    }
}

/// Text that names no VLANs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("VLANs are written `untagged`, `10` or `13.10`, each number in 1..=4094")]
pub struct VlansError;

impl FromStr for Vlans {
    type Err = VlansError;

    fn from_str(text: &str) -> Result<Self, VlansError> {
        if text == "untagged" {
            return Ok(Self::UNTAGGED);
        }
        text.split('.').try_fold(Self::UNTAGGED, |vlans, vid| {
            vid.parse().ok().and_then(VlanId::new).and_then(|vid| vlans.inside(vid)).ok_or(VlansError)
        })
    }
}

impl fmt::Display for Vlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.outer, self.inner) {
            (None, _) => f.write_str("untagged"),
            (Some(vid), None) => vid.fmt(f),
            (Some(outer), Some(inner)) => write!(f, "{outer}.{inner}"),
        }
    }
}

#[cfg(feature = "serde")]
impl From<Vlans> for alloc::string::String {
    fn from(vlans: Vlans) -> Self {
        alloc::string::ToString::to_string(&vlans)
    }
}

#[cfg(feature = "serde")]
impl TryFrom<alloc::string::String> for Vlans {
    type Error = VlansError;

    fn try_from(text: alloc::string::String) -> Result<Self, VlansError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn the_written_form_reads_back() {
        let vid = |raw| VlanId::new(raw).unwrap();
        for vlans in
            [Vlans::UNTAGGED, Vlans::one(vid(1)), Vlans::one(vid(4094)), Vlans::two(vid(13), vid(10))]
        {
            assert_eq!(vlans.to_string().parse(), Ok(vlans));
            assert_eq!(Vlans::unpacked(vlans.packed()), vlans);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "0", "4095", "1.2.3", "10.", "a", "10.4095", "-1"] {
            assert_eq!(text.parse::<Vlans>(), Err(VlansError), "{text:?}");
        }
    }
}
