//! Static filtering entries: what management says, port by port, about an individual or group address.

use vlan_table::PortMask;

use crate::Key;

/// For each outbound port whether frames to an address are forwarded, filtered, or treated as what was
/// learned says (IEEE 802.1Q-2018, 8.8.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PortMap<const WORDS: usize = 1> {
    /// Ports to forward to in any case.
    pub forward: PortMask<WORDS>,
    /// Ports to filter in any case; this wins.
    pub filter: PortMask<WORDS>,
}

impl<const WORDS: usize> PortMap<WORDS> {
    /// The ports to send to, given those that learning or flooding would choose.
    #[must_use]
    pub fn apply(&self, learned: PortMask<WORDS>) -> PortMask<WORDS> {
        learned.union(self.forward).difference(self.filter)
    }
}

/// Up to `N` static filtering entries, sorted; a look-up is a binary search. They never age, and
/// learning never changes them.
///
/// ```
/// use fdb::{FilteringTable, Fid, Key, MacAddr6, PortId, PortMap, PortMask};
///
/// let group = Key::new(Fid::SHARED, MacAddr6::new(0x01, 0x00, 0x5e, 0, 0, 0x05));
/// let ports = |raw: &[u16]| raw.iter().map(|raw| PortId::new(*raw).unwrap()).collect::<PortMask>();
/// let mut table = FilteringTable::<16>::new();
/// table.insert(group, PortMap { forward: ports(&[1]), filter: ports(&[3]) }).unwrap();
/// assert_eq!(table.apply(group, ports(&[2, 3])), ports(&[1, 2]));
/// ```
#[derive(Clone, Debug)]
pub struct FilteringTable<const N: usize, const WORDS: usize = 1> {
    entries: [Option<(Key, PortMap<WORDS>)>; N],
    len: usize,
}

/// Why a static filtering entry was not made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FilteringError {
    /// Bridges never relay 01-80-C2-00-00-00 to -0F, whatever an entry says (IEEE 802.1Q-2018, 8.6.3).
    #[error("{key} is reserved and never relayed")]
    Reserved {
        /// The key as given.
        key: Key,
    },
    /// There is no place left.
    #[error("all {capacity} static filtering entries are in use")]
    Full {
        /// How many there are.
        capacity: usize,
    },
}

impl<const N: usize, const WORDS: usize> FilteringTable<N, WORDS> {
    /// An empty table.
    pub const fn new() -> Self {
        Self { entries: [None; N], len: 0 }
    }

    /// Makes or changes an entry; returns what was there.
    ///
    /// # Errors
    /// [`FilteringError`] for a reserved address, or without a place.
    pub fn insert(
        &mut self,
        key: Key,
        map: PortMap<WORDS>,
    ) -> Result<Option<PortMap<WORDS>>, FilteringError> {
        if let [0x01, 0x80, 0xC2, 0, 0, 0..=0x0F] = key.mac().into_array() {
            return Err(FilteringError::Reserved { key });
        }
        let position = match self.position(key) {
            Ok(found) => {
                return Ok(self
                    .entries
                    .get_mut(found)
                    .and_then(|entry| entry.replace((key, map)))
                    .map(|old| old.1));
            }
            Err(position) => position,
        };
        if self.len == N {
            return Err(FilteringError::Full { capacity: N });
        }
        if let Some(tail) = self.entries.get_mut(position..=self.len) {
            tail.rotate_right(1);
            if let Some(entry) = tail.first_mut() {
                *entry = Some((key, map));
            }
        }
        self.len += 1;
        Ok(None)
    }

    /// Takes an entry away; returns it.
    pub fn remove(&mut self, key: Key) -> Option<PortMap<WORDS>> {
        let position = self.position(key).ok()?;
        let tail = self.entries.get_mut(position..self.len)?;
        let removed = tail.first_mut()?.take();
        tail.rotate_left(1);
        self.len -= 1;
        removed.map(|(_, map)| map)
    }

    /// The entry of an address.
    pub fn get(&self, key: Key) -> Option<&PortMap<WORDS>> {
        let entry = self.entries.get(self.position(key).ok()?)?;
        entry.as_ref().map(|(_, map)| map)
    }

    /// The ports to send to, given those that learning or flooding would choose.
    pub fn apply(&self, key: Key, learned: PortMask<WORDS>) -> PortMask<WORDS> {
        self.get(key).map_or(learned, |map| map.apply(learned))
    }

    /// All entries, by FID, then address.
    pub fn iter(&self) -> impl Iterator<Item = (Key, PortMap<WORDS>)> + '_ {
        self.entries.iter().flatten().copied()
    }

    fn position(&self, key: Key) -> Result<usize, usize> {
        let used = self.entries.get(..self.len).unwrap_or_default();
        used.binary_search_by(|entry| entry.map(|(known, _)| known).cmp(&Some(key)))
    }
}

impl<const N: usize, const WORDS: usize> Default for FilteringTable<N, WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fid, MacAddr6};

    #[test]
    fn entries_stay_sorted_and_can_be_changed_and_removed() {
        let mut table = FilteringTable::<8>::new();
        let key = |host| Key::new(Fid::SHARED, MacAddr6::new(1, 0, 0x5E, 0, 0, host));
        let map = |bits| PortMap { forward: PortMask::from_bits(bits), filter: PortMask::EMPTY };
        for host in [5, 1, 7, 3, 2, 6, 8, 4] {
            assert_eq!(table.insert(key(host), map(u64::from(host))), Ok(None));
        }
        assert_eq!(table.insert(key(9), map(9)), Err(FilteringError::Full { capacity: 8 }));
        assert_eq!(table.insert(key(7), map(77)), Ok(Some(map(7))));
        assert_eq!(table.remove(key(3)), Some(map(3)));
        assert_eq!(table.remove(key(3)), None);
        let rest: alloc::vec::Vec<_> =
            table.iter().map(|(key, map)| (key.mac().into_array()[5], map.forward.bits())).collect();
        assert_eq!(rest, [(1, 1), (2, 2), (4, 4), (5, 5), (6, 6), (7, 77), (8, 8)]);
    }

    #[test]
    fn reserved_addresses_are_refused_and_their_neighbours_are_not() {
        for last in 0..=0xFF {
            let key = Key::new(Fid::SHARED, MacAddr6::new(0x01, 0x80, 0xC2, 0, 0, last));
            let outcome = FilteringTable::<1>::new().insert(key, PortMap::default());
            assert_eq!(outcome.is_err(), last <= 0x0F);
        }
    }
}
