//! The addresses of a message, each once: members, groups and devices refer to them by position.
//!
//! Addresses share prefixes, so they go in blocks: for IPv4 by /16 or /24, whichever comes out
//! smaller; for IPv6 by /64, with addresses made from MACs (RFC 4291, appendix A) apart by vendor.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    DecodeError,
    bits::{Reader, Writer},
    layout::Tables,
    set::{self, Set},
};

/// Where an IPv6 address stands among others: prefix, then whether and of which vendor its suffix is
/// made from a MAC, then the rest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Key6 {
    prefix: u64,
    /// The first three bytes of the MAC that the suffix is made from.
    vendor: Option<u32>,
    /// The last three bytes of that MAC, or the whole suffix.
    rest: u64,
}

impl Key6 {
    pub(super) fn of(address: Ipv6Addr) -> Self {
        let bits = address.to_bits();
        let (prefix, suffix) = ((bits >> 64) as u64, bits as u64);
        if suffix >> 24 & 0xFFFF == 0xFFFE {
            let vendor = (suffix >> 40) as u32 ^ 0x02_0000;
            return Self { prefix, vendor: Some(vendor), rest: suffix & 0xFF_FFFF };
        }
        Self { prefix, vendor: None, rest: suffix }
    }

    /// How far behind `first` it is, if both are in one block.
    pub(super) fn distance(self, first: Self) -> Option<u64> {
        ((self.prefix, self.vendor) == (first.prefix, first.vendor)).then(|| self.rest - first.rest)
    }

    fn address(self) -> Ipv6Addr {
        let suffix = match self.vendor {
            Some(vendor) => u64::from(vendor ^ 0x02_0000) << 40 | 0xFFFE << 24 | self.rest,
            None => self.rest,
        };
        Ipv6Addr::from_bits(u128::from(self.prefix) << 64 | u128::from(suffix))
    }

    /// The MAC that the suffix is made from.
    pub(super) fn mac(self) -> Option<u64> {
        self.vendor.map(|vendor| u64::from(vendor) << 24 | self.rest)
    }
}

/// The vendor prefix that Neutron gives ports by default (`base_mac`).
pub(super) const BASE_VENDOR: u32 = 0xFA_163E;

/// Writes `addresses`, which ascend strictly.
pub(super) fn write_v4(to: &mut Writer, addresses: &[u32]) {
    let next = addresses.iter().skip(1);
    let gaps: Vec<u64> = addresses.iter().zip(next).map(|(a, b)| u64::from(b - a) - 1).collect();
    // Small blocks pay if they are well filled; where they are not, trying is a waste.
    let blocks24 = block_count(addresses, 8);
    let is_small = !addresses.is_empty()
        && blocks24 * 8 <= addresses.len()
        && blocks_v4_cost(addresses, &gaps, 8) < blocks_v4_cost(addresses, &gaps, 16);
    to.bit(is_small);
    let low = if is_small { 8 } else { 16 };
    to.count(block_count(addresses, low));
    let mut last = None;
    for block in blocks_v4(addresses, &gaps, low) {
        match last {
            None => to.bits(block.prefix.into(), 32 - low),
            Some(last) => to.number(u64::from(block.prefix - last) - 1),
        }
        last = Some(block.prefix);
        let (first, last) = (u64::from(block.first), u64::from(block.last));
        write_block(to, (first, last), block.inner, |to, value| to.bits(value, low));
    }
}

/// How many blocks of `1 << low` the addresses fall into.
fn block_count(addresses: &[u32], low: u32) -> usize {
    let borders =
        addresses.iter().zip(addresses.iter().skip(1)).map(|(a, b)| usize::from(a >> low != b >> low));
    borders.sum::<usize>() + usize::from(!addresses.is_empty())
}

/// A block of IPv4 addresses: its prefix, the first and the last one without it, and the gaps of those
/// in between, if there are two or more.
struct BlockV4<'a> {
    prefix: u32,
    first: u32,
    last: u32,
    inner: Option<&'a [u64]>,
}

/// The blocks of `1 << low` of the addresses, whose `gaps` are known.
fn blocks_v4<'a>(addresses: &'a [u32], gaps: &'a [u64], low: u32) -> impl Iterator<Item = BlockV4<'a>> {
    let mut start = 0;
    core::iter::from_fn(move || {
        let rest = addresses.get(start..)?;
        let prefix = rest.first()? >> low;
        let most = rest.get(..1 << low).unwrap_or(rest);
        let block = rest.get(..most.partition_point(|address| address >> low == prefix))?;
        let inner = gaps.get(start..).and_then(|gaps| gaps.get(..block.len().checked_sub(2)?));
        start += block.len();
        let mask = (1 << low) - 1;
        Some(BlockV4 { prefix, first: block.first()? & mask, last: block.last()? & mask, inner })
    })
}

/// The bits of the blocks.
fn blocks_v4_cost(addresses: &[u32], gaps: &[u64], low: u32) -> u64 {
    let mut cost = set::number_bits(block_count(addresses, low) as u64);
    let mut last = None;
    for block in blocks_v4(addresses, gaps, low) {
        cost += match last {
            None => u64::from(32 - low),
            Some(last) => set::number_bits(u64::from(block.prefix - last) - 1),
        };
        last = Some(block.prefix);
        cost += u64::from(low);
        if let Some(inner) = block.inner {
            let universe = u64::from(block.last - block.first) - 1;
            cost += set::number_bits(inner.len() as u64 + 1) + u64::from(low) + set::cost(inner, universe);
        } else {
            cost += set::number_bits(0);
        }
    }
    cost
}

/// Count, first, distance to the last, and the set of what lies between, by its gaps.
fn write_block(
    to: &mut Writer,
    (first, last): (u64, u64),
    inner: Option<&[u64]>,
    put: impl Fn(&mut Writer, u64),
) {
    to.number(inner.map_or(0, |inner| inner.len() as u64 + 1));
    put(to, first);
    if let Some(inner) = inner {
        put(to, last - first - 1);
        set::write_gaps(to, inner, last - first - 1);
    }
}

/// Writes `addresses`, whose keys ascend strictly.
pub(super) fn write_v6(to: &mut Writer, addresses: &[Key6]) {
    let blocks = || addresses.chunk_by(|a, b| (a.prefix, a.vendor) == (b.prefix, b.vendor));
    to.count(blocks().count());
    let mut last = None;
    for block in blocks() {
        let Some(first) = block.first() else { continue };
        if let Some(last) = last {
            to.bit(last == first.prefix);
        }
        if last != Some(first.prefix) {
            to.bits(first.prefix, 64);
        }
        last = Some(first.prefix);
        to.bit(first.vendor.is_some());
        if let Some(vendor) = first.vendor {
            to.bit(vendor == BASE_VENDOR);
            if vendor != BASE_VENDOR {
                to.bits(vendor.into(), 24);
            }
        }
        let ends = (first.rest, block.last().map_or(0, |last| last.rest));
        let next = block.iter().skip(1);
        let gaps: Vec<u64> = block.iter().zip(next).map(|(a, b)| b.rest - a.rest - 1).collect();
        let inner = gaps.split_last().map(|(_, inner)| inner);
        write_block(to, ends, inner, |to, value| match first.vendor {
            Some(_) => to.bits(value, 24),
            None => to.number(value),
        });
    }
}

/// One block being read: the first value, then what lies between, then the last.
#[derive(Clone, Debug)]
struct Block<'a> {
    first: Option<u64>,
    base: u64,
    inner: Set<'a>,
    last: Option<u64>,
}

impl<'a> Block<'a> {
    fn read(
        mut reader: Reader<'a>,
        limit: u64,
        take: impl Fn(&mut Reader<'a>) -> u64,
    ) -> Result<Self, DecodeError> {
        let count = reader.number().saturating_add(1);
        let first = take(&mut reader);
        if count == 1 {
            let inner = Set::read_counted(reader, 0, 0)?;
            return Ok(Self { first: Some(first), base: 0, inner, last: None });
        }
        let between = take(&mut reader);
        let last = first.checked_add(between).and_then(|last| last.checked_add(1));
        let last = last.filter(|last| *last <= limit);
        let last = last.ok_or_else(|| reader.invalid("an address beyond its block"))?;
        let inner = Set::read_counted(reader, count - 2, between)?;
        Ok(Self { first: Some(first), base: first + 1, inner, last: Some(last) })
    }

    /// How many values are still to come.
    fn len(&self) -> u64 {
        let ends = u64::from(self.first.is_some()) + u64::from(self.last.is_some());
        self.inner.len().saturating_add(ends)
    }

    /// Gives the remaining values to `put`, and returns the reader after the block.
    #[inline]
    fn drain(self, mut put: impl FnMut(u64)) -> Result<Reader<'a>, DecodeError> {
        self.first.into_iter().for_each(&mut put);
        let base = self.base;
        // The sum cannot overflow if the value lies in the block, and else nobody looks at it.
        let reader = self.inner.drain(|value| put(base.wrapping_add(value)))?;
        self.last.into_iter().for_each(put);
        Ok(reader)
    }

    fn next(&mut self) -> Option<u64> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match self.inner.next() {
            Some(value) => Some(self.base.saturating_add(value)),
            None => self.last.take(),
        }
    }
}

/// The IPv4 addresses of a message, in order of position.
#[derive(Clone, Debug)]
pub(super) struct Pool4<'a> {
    low: u32,
    blocks_left: usize,
    prefix: Option<u64>,
    block: Block<'a>,
}

impl<'a> Pool4<'a> {
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let low = if reader.bit() { 8 } else { 16 };
        let blocks_left = reader.count(8)?;
        let block = Block { first: None, base: 0, inner: Set::read_counted(reader, 0, 0)?, last: None };
        Ok(Self { low, blocks_left, prefix: None, block })
    }

    /// Goes on to the next block; false if there is none.
    fn advance(&mut self) -> Result<bool, DecodeError> {
        let reader = self.block.inner.clone().end()?;
        self.advance_from(reader)
    }

    /// [`Self::advance`] with the reader after the block.
    fn advance_from(&mut self, mut reader: Reader<'a>) -> Result<bool, DecodeError> {
        if self.blocks_left == 0 {
            return Ok(false);
        }
        self.blocks_left -= 1;
        let prefix = match self.prefix {
            None => reader.bits(32 - self.low),
            Some(last) => last.saturating_add(reader.number()).saturating_add(1),
        };
        if prefix >> (32 - self.low) != 0 {
            return Err(reader.invalid("an IPv4 block beyond 255.255.255.255"));
        }
        self.prefix = Some(prefix);
        let low = self.low;
        self.block = Block::read(reader, (1 << low) - 1, |reader| reader.bits(low))?;
        Ok(true)
    }

    /// Gives every remaining address to `tables`; returns how many these were, and the reader after
    /// the pool.
    pub(super) fn drain(mut self, tables: &mut impl Tables) -> Result<(usize, Reader<'a>), DecodeError> {
        let mut count = 0;
        loop {
            count += tables.expect_addresses(self.block.len())?;
            let base = (self.prefix.unwrap_or(0) << self.low) as u32;
            let put = |rest| tables.address4(Ipv4Addr::from_bits(base | rest as u32));
            let reader = self.block.clone().drain(put)?;
            if !self.advance_from(reader)? {
                return Ok((count, reader));
            }
        }
    }
}

/// The IPv6 addresses of a message, in order of position.
#[derive(Clone, Debug)]
pub(super) struct Pool6<'a> {
    blocks_left: usize,
    prefix: Option<u64>,
    vendor: Option<u32>,
    block: Block<'a>,
}

impl<'a> Pool6<'a> {
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let blocks_left = reader.count(8)?;
        let block = Block { first: None, base: 0, inner: Set::read_counted(reader, 0, 0)?, last: None };
        Ok(Self { blocks_left, prefix: None, vendor: None, block })
    }

    fn advance(&mut self) -> Result<bool, DecodeError> {
        let reader = self.block.inner.clone().end()?;
        self.advance_from(reader)
    }

    /// [`Self::advance`] with the reader after the block.
    fn advance_from(&mut self, mut reader: Reader<'a>) -> Result<bool, DecodeError> {
        if self.blocks_left == 0 {
            return Ok(false);
        }
        self.blocks_left -= 1;
        let same = self.prefix.is_some() && reader.bit();
        if !same {
            self.prefix = Some(reader.bits(64));
        }
        self.vendor = reader.bit().then(|| if reader.bit() { BASE_VENDOR } else { reader.bits(24) as u32 });
        self.block = match self.vendor {
            Some(_) => Block::read(reader, 0xFF_FFFF, |reader| reader.bits(24))?,
            None => Block::read(reader, u64::MAX, Reader::number)?,
        };
        Ok(true)
    }

    /// Gives every remaining address to `tables`; returns how many these were, and the reader after
    /// the pool.
    pub(super) fn drain(mut self, tables: &mut impl Tables) -> Result<(usize, Reader<'a>), DecodeError> {
        let mut count = 0;
        loop {
            count += tables.expect_addresses(self.block.len())?;
            let (prefix, vendor) = (self.prefix.unwrap_or(0), self.vendor);
            let put = |rest| tables.address6(Key6 { prefix, vendor, rest }.address());
            let reader = self.block.clone().drain(put)?;
            if !self.advance_from(reader)? {
                return Ok((count, reader));
            }
        }
    }
}

impl Iterator for Pool4<'_> {
    type Item = IpAddr;

    /// Ends early at an error, which [`Pool4::drain`] would report.
    fn next(&mut self) -> Option<IpAddr> {
        loop {
            let base = (self.prefix.unwrap_or(0) << self.low) as u32;
            if let Some(rest) = self.block.next() {
                return Some(Ipv4Addr::from_bits(base | rest as u32).into());
            }
            if !self.advance().ok()? {
                return None;
            }
        }
    }
}

impl Iterator for Pool6<'_> {
    type Item = IpAddr;

    /// Ends early at an error, which [`Pool6::drain`] would report.
    fn next(&mut self) -> Option<IpAddr> {
        loop {
            if let Some(rest) = self.block.next() {
                let (prefix, vendor) = (self.prefix.unwrap_or(0), self.vendor);
                return Some(Key6 { prefix, vendor, rest }.address().into());
            }
            if !self.advance().ok()? {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::btree_set, prelude::*};

    #[derive(Default)]
    struct List {
        v4: Vec<Ipv4Addr>,
        v6: Vec<Key6>,
    }

    impl Tables for List {
        fn address4(&mut self, address: Ipv4Addr) {
            self.v4.push(address);
        }

        fn address6(&mut self, address: Ipv6Addr) {
            self.v6.push(Key6::of(address));
        }
    }

    fn round_trip_v4(addresses: &[Ipv4Addr]) -> usize {
        let mut writer = Writer::default();
        write_v4(&mut writer, &addresses.iter().map(|address| address.to_bits()).collect::<Vec<_>>());
        let size = writer.position();
        writer.bits(5, 3);
        let bytes = writer.finish();
        let mut read = List::default();
        let (count, mut end) = Pool4::read(Reader::new(&bytes, 0)).unwrap().drain(&mut read).unwrap();
        assert_eq!((count, &*read.v4), (addresses.len(), addresses));
        assert_eq!(end.bits(3), 5);
        size
    }

    proptest! {
        #[test]
        fn ipv4_pools_survive(bits in btree_set(any::<u32>(), 0..50), near in btree_set(0u32..2000, 0..300)) {
            let all: alloc::collections::BTreeSet<_> =
                bits.into_iter().chain(near.into_iter().map(|low| 0x0A00_0000 + low)).collect();
            round_trip_v4(&all.into_iter().map(Ipv4Addr::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn ipv6_pools_survive(
            bits in btree_set(any::<u128>(), 0..20),
            low in btree_set(0u128..5000, 0..50),
            macs in btree_set(0u64..1 << 48, 0..50),
        ) {
            let prefix = 0x2001_0DB8_u128 << 96;
            let made = |mac: u64| {
                let suffix = (mac >> 24 ^ 0x02_0000) << 40 | 0xFFFE << 24 | (mac & 0xFF_FFFF);
                prefix | u128::from(suffix)
            };
            let all = bits.into_iter().chain(low.into_iter().map(|low| prefix | low));
            let all = all.chain(macs.into_iter().map(made)).map(Ipv6Addr::from_bits);
            let mut keys: Vec<_> = all.map(Key6::of).collect();
            keys.sort();
            keys.dedup();
            let mut writer = Writer::default();
            write_v6(&mut writer, &keys);
            writer.bits(5, 3);
            let bytes = writer.finish();
            let mut read = List::default();
            let (count, mut end) = Pool6::read(Reader::new(&bytes, 0)).unwrap().drain(&mut read).unwrap();
            prop_assert_eq!(count, keys.len());
            prop_assert_eq!(read.v6, keys);
            prop_assert_eq!(end.bits(3), 5);
        }
    }

    #[test]
    fn a_filled_subnet_is_a_few_bytes() {
        let subnet: Vec<_> = (1..=250).map(|host| Ipv4Addr::new(192, 0, 2, host)).collect();
        assert!(round_trip_v4(&subnet) <= 64);
    }
}
