//! Ports and sets of ports.

use core::fmt;

use crate::error::PortOutOfRange;

/// A port of a bridge, counted from 0, below [`PortId::CAPACITY`].
///
/// The number is a physical port as registers and frames count it; what a front panel calls it is
/// the caller's table.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PortId(u16);

impl PortId {
    /// One more than the highest port number.
    pub const CAPACITY: u16 = 4096;

    /// Returns `None` unless `raw` is below [`PortId::CAPACITY`].
    pub const fn new(raw: u16) -> Option<Self> {
        if raw < Self::CAPACITY { Some(Self(raw)) } else { None }
    }

    /// The port as a number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The port as an index into a table of ports.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u16> for PortId {
    type Error = PortOutOfRange;

    fn try_from(raw: u16) -> Result<Self, Self::Error> {
        Self::new(raw).ok_or(PortOutOfRange { port: raw, capacity: Self::CAPACITY })
    }
}

impl From<PortId> for u16 {
    fn from(port: PortId) -> Self {
        port.get()
    }
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of ports, a bit each: `64 * WORDS` ports, 64 unless `WORDS` says otherwise.
///
/// Every operation is a handful of word operations and `const` where Rust allows it. A port at or
/// beyond [`PortMask::CAPACITY`] is never in the set: [`with`](Self::with) leaves such a port
/// out, [`insert`](Self::insert) says so.
///
/// ```
/// use vlan_table::{PortId, PortMask};
///
/// let port = |raw| PortId::new(raw).unwrap();
/// let members: PortMask = [port(0), port(4)].into_iter().collect();
/// assert!(members.contains(port(4)));
/// assert_eq!(members.without(port(0)).iter().collect::<Vec<_>>(), [port(4)]);
///
/// let chassis = PortMask::<16>::EMPTY.with(port(1023));
/// assert_eq!(chassis.len(), 1);
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct PortMask<const WORDS: usize = 1>([u64; WORDS]);

impl<const WORDS: usize> PortMask<WORDS> {
    /// How many ports the set can hold; the highest is one less.
    pub const CAPACITY: u16 = (WORDS * 64) as u16;
    /// The set without ports.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// The ports `0..count`, at most [`PortMask::CAPACITY`] of them.
    pub const fn first(count: u16) -> Self {
        let mut words = [0; WORDS];
        let mut left = if count < Self::CAPACITY { count } else { Self::CAPACITY } as usize;
        let mut words_left: &mut [u64] = &mut words;
        while let Some((word, rest)) = words_left.split_first_mut() {
            *word = if left >= 64 { u64::MAX } else { (1 << left) - 1 };
            left = left.saturating_sub(64);
            words_left = rest;
        }
        Self(words)
    }

    /// The set with `port` added; unchanged if `port` is at or beyond [`PortMask::CAPACITY`].
    #[must_use]
    pub fn with(mut self, port: PortId) -> Self {
        if let Some(word) = self.0.get_mut(port.index() / 64) {
            *word |= 1 << (port.index() % 64);
        }
        self
    }

    /// The set with `port` removed.
    #[must_use]
    pub fn without(mut self, port: PortId) -> Self {
        if let Some(word) = self.0.get_mut(port.index() / 64) {
            *word &= !(1 << (port.index() % 64));
        }
        self
    }

    /// Adds `port`; `Ok(true)` if it is new.
    ///
    /// # Errors
    /// [`PortOutOfRange`] if `port` is at or beyond [`PortMask::CAPACITY`].
    pub fn insert(&mut self, port: PortId) -> Result<bool, PortOutOfRange> {
        if port.get() >= Self::CAPACITY {
            return Err(PortOutOfRange { port: port.get(), capacity: Self::CAPACITY });
        }
        let new = !self.contains(port);
        *self = self.with(port);
        Ok(new)
    }

    /// Whether `port` is in the set.
    pub fn contains(&self, port: PortId) -> bool {
        self.0.get(port.index() / 64).is_some_and(|word| word >> (port.index() % 64) & 1 == 1)
    }

    /// 1 if `port` is in the set, else 0: for choosing by arithmetic where a branch would be mispredicted.
    #[inline]
    pub(crate) fn bit(&self, port: PortId) -> u32 {
        self.0.get(port.index() / 64).map_or(0, |word| (word >> (port.index() % 64)) as u32 & 1)
    }

    /// The number of ports in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no port is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The ports in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// The ports in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// The ports of this set that are not in `other`.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// Whether every port of this set is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(*other).is_empty()
    }

    /// The ports in ascending order.
    pub fn iter(&self) -> Ports<WORDS> {
        Ports { left: self.0, word: 0 }
    }

    /// Bit `p % 64` of word `p / 64` stands for port `p`.
    pub const fn words(&self) -> &[u64; WORDS] {
        &self.0
    }

    /// The set of these words; see [`words`](Self::words).
    pub const fn from_words(words: [u64; WORDS]) -> Self {
        Self(words)
    }

    fn zip(mut self, other: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a = op(*a, b);
        }
        self
    }
}

impl PortMask<1> {
    /// The set whose bit `p` stands for port `p`.
    pub const fn from_bits(bits: u64) -> Self {
        Self([bits])
    }

    /// Bit `p` stands for port `p`.
    pub const fn bits(self) -> u64 {
        let [bits] = self.0;
        bits
    }
}

impl<const WORDS: usize> Default for PortMask<WORDS> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const WORDS: usize> fmt::Debug for PortMask<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(PortId::get)).finish()
    }
}

impl<const WORDS: usize> FromIterator<PortId> for PortMask<WORDS> {
    fn from_iter<I: IntoIterator<Item = PortId>>(ports: I) -> Self {
        ports.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl<const WORDS: usize> IntoIterator for PortMask<WORDS> {
    type Item = PortId;
    type IntoIter = Ports<WORDS>;

    fn into_iter(self) -> Ports<WORDS> {
        self.iter()
    }
}

/// The ports of a [`PortMask`], ascending.
#[derive(Clone, Debug)]
pub struct Ports<const WORDS: usize = 1> {
    left: [u64; WORDS],
    word: usize,
}

impl<const WORDS: usize> Iterator for Ports<WORDS> {
    type Item = PortId;

    fn next(&mut self) -> Option<PortId> {
        loop {
            let bits = self.left.get_mut(self.word)?;
            if *bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                return PortId::new((self.word * 64 + bit) as u16);
            }
            self.word += 1;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = PortMask(self.left).len();
        (left, Some(left))
    }
}

impl<const WORDS: usize> ExactSizeIterator for Ports<WORDS> {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn port(raw: u16) -> PortId {
        PortId::new(raw).unwrap()
    }

    #[test]
    fn each_port_is_its_own_member() {
        for raw in 0..PortMask::<16>::CAPACITY {
            let one = PortMask::<16>::EMPTY.with(port(raw));
            assert_eq!(one.iter().collect::<Vec<_>>(), [port(raw)]);
            assert!(one.without(port(raw)).is_empty());
        }
    }

    #[test]
    fn first_is_the_ports_below_a_count() {
        for count in 0..=200 {
            let expected: Vec<_> = (0..count.min(128)).map(port).collect();
            assert_eq!(PortMask::<2>::first(count).iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_port_beyond_the_capacity_is_refused_by_insert_and_left_out_by_with() {
        let mut mask = PortMask::<1>::EMPTY;
        assert_eq!(mask.insert(port(64)), Err(PortOutOfRange { port: 64, capacity: 64 }));
        assert_eq!(mask.with(port(64)), PortMask::EMPTY);
        assert!(!PortMask::<1>::first(64).contains(port(64)));
    }

    #[test]
    fn set_operations_agree_with_membership() {
        let (a, b) = (PortMask::<2>::first(70), PortMask::<2>::first(128).difference(PortMask::first(60)));
        for raw in 0..128 {
            let (in_a, in_b) = (a.contains(port(raw)), b.contains(port(raw)));
            assert_eq!(a.union(b).contains(port(raw)), in_a | in_b);
            assert_eq!(a.intersection(b).contains(port(raw)), in_a & in_b);
            assert_eq!(a.difference(b).contains(port(raw)), in_a & !in_b);
        }
        assert!(a.intersection(b).is_subset(&a));
        assert!(!a.is_subset(&b));
    }
}
