//! A set of VID numbers.

use core::fmt;

use crate::{TagVid, VlanId};

/// A set of numbers `0..=4095`, as a trunk port lists them; 512 bytes, every operation O(1) but
/// iteration.
///
/// Numbers, not [`VlanId`]s: Open vSwitch carries VLANs 0 and 4095 like any other.
///
/// ```
/// use vlan_table::VidSet;
///
/// let trunks = VidSet::EMPTY.with(10).with(20);
/// assert!(trunks.contains(20) && !trunks.contains(30));
/// assert_eq!("10,20-22,4000".parse::<VidSet>()?.len(), 5);
/// # Ok::<(), vlan_table::ParseVidSetError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct VidSet([u64; 64]);

impl VidSet {
    /// No number.
    pub const EMPTY: Self = Self([0; 64]);
    /// All 4096 numbers.
    pub const ALL: Self = Self([u64::MAX; 64]);

    /// The set with `vid` added; unchanged above 4095.
    #[must_use]
    pub fn with(mut self, vid: u16) -> Self {
        if let Some(word) = self.0.get_mut(usize::from(vid / 64)) {
            *word |= 1 << (vid % 64);
        }
        self
    }

    /// The set with `vid` removed.
    #[must_use]
    pub fn without(mut self, vid: u16) -> Self {
        if let Some(word) = self.0.get_mut(usize::from(vid / 64)) {
            *word &= !(1 << (vid % 64));
        }
        self
    }

    /// Whether `vid` is in the set.
    pub fn contains(&self, vid: u16) -> bool {
        self.0.get(usize::from(vid / 64)).is_some_and(|word| word >> (vid % 64) & 1 == 1)
    }

    /// How many numbers are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..4096).filter(|vid| self.contains(*vid))
    }
}

impl FromIterator<u16> for VidSet {
    /// Numbers above 4095 are left out.
    fn from_iter<I: IntoIterator<Item = u16>>(vids: I) -> Self {
        vids.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl FromIterator<VlanId> for VidSet {
    fn from_iter<I: IntoIterator<Item = VlanId>>(vids: I) -> Self {
        vids.into_iter().map(VlanId::get).collect()
    }
}

impl FromIterator<TagVid> for VidSet {
    fn from_iter<I: IntoIterator<Item = TagVid>>(vids: I) -> Self {
        vids.into_iter().map(TagVid::raw).collect()
    }
}

/// Text that is no list of VIDs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseVidSetError {
    /// An item is neither a number `0..=4095` nor a range of two, lower first.
    #[error("item {item} of the list is no VID 0..=4095 and no range of two")]
    Item {
        /// Which one, counted from 1.
        item: usize,
    },
}

impl core::str::FromStr for VidSet {
    type Err = ParseVidSetError;

    /// Reads what [`Display`](fmt::Display) writes; spaces around items are allowed.
    fn from_str(list: &str) -> Result<Self, Self::Err> {
        if list.trim().is_empty() {
            return Ok(Self::EMPTY);
        }
        let mut set = Self::EMPTY;
        for (item, text) in (1..).zip(list.split(',')) {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
                (Ok(first), Ok(last)) if first <= last && last < 4096 => {
                    set = (first..=last).fold(set, Self::with);
                }
                _ => return Err(ParseVidSetError::Item { item }),
            }
        }
        Ok(set)
    }
}

impl fmt::Display for VidSet {
    /// Numbers and ranges, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let starts = |vid: u16| self.contains(vid) && (vid == 0 || !self.contains(vid - 1));
        let mut separator = "";
        for first in (0..4096).filter(|vid| starts(*vid)) {
            let last = (first..4096).take_while(|vid| self.contains(*vid)).last().unwrap_or(first);
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for VidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VidSet({self})")
    }
}
