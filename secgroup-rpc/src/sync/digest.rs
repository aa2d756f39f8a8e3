//! Digests: 64 bits that tell whether two sides hold the same.
//!
//! They find accidents, not attackers: whoever can forge messages needs no collision. The hash is
//! FNV-1a (64 bits) followed by the finaliser of MurmurHash3, so that sums of hashes mix well.
//!
//! - An element of a member set: the family (4 or 6), the address, and for more than a bare
//!   address its prefix length (255 if it was written without one) and its MAC, if it has one.
//! - A member set: the sum of its elements, plus the hash of `[4]` or `[6]` for each family that
//!   is present.
//! - A device or a group: the hash of the compact form of an `Info` with only this item.
//! - The state: for each item, the hash of kind, id and the item's digest; their sum.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::Wrapping;

use crate::{IpSpec, Member, MemberSet};

/// The hash of the parts put together.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().copied().flatten();
    let fnv = bytes.fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    finish(fnv)
}

const fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ hash >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ hash >> 33
}

/// The digest of a whole set. O(n).
pub(super) fn member_set(set: &MemberSet) -> u64 {
    let v4 = set.v4.as_ref().map(|members| {
        let bare = members.addresses.iter().map(|address| address.digest());
        sum(bare) + sum(members.others.iter().map(other)) + Wrapping(hash(&[&[4]]))
    });
    let v6 = set.v6.as_ref().map(|members| {
        let bare = members.addresses.iter().map(|address| address.digest());
        sum(bare) + sum(members.others.iter().map(other)) + Wrapping(hash(&[&[6]]))
    });
    (v4.unwrap_or_default() + v6.unwrap_or_default()).0
}

/// A bare address as an element of a set, and as a number for the distances in edits.
pub(super) trait Address: Copy + Ord {
    /// Bit 1 of an edit's first number.
    const FAMILY: u64;

    fn digest(self) -> u64;
    fn to_bits(self) -> u128;
    /// `None` beyond the last address.
    fn from_bits(bits: u128) -> Option<Self>;
}

impl Address for Ipv4Addr {
    const FAMILY: u64 = 0;

    fn digest(self) -> u64 {
        hash(&[&[4], &self.octets()])
    }

    fn to_bits(self) -> u128 {
        u32::from(self).into()
    }

    fn from_bits(bits: u128) -> Option<Self> {
        u32::try_from(bits).ok().map(Self::from)
    }
}

impl Address for Ipv6Addr {
    const FAMILY: u64 = 1;

    fn digest(self) -> u64 {
        hash(&[&[6], &self.octets()])
    }

    fn to_bits(self) -> u128 {
        self.into()
    }

    fn from_bits(bits: u128) -> Option<Self> {
        Some(bits.into())
    }
}

fn other(member: &Member) -> u64 {
    let (address, len) = match member.address {
        IpSpec::Host(address) => (address, 255),
        IpSpec::Net(net) => (net.addr(), net.prefix_len()),
    };
    let mac = member.mac.map(macaddr::MacAddr6::into_array);
    let mac = mac.as_ref().map_or(&[][..], |mac| &mac[..]);
    match address {
        IpAddr::V4(address) => hash(&[&[4], &address.octets(), &[len], mac]),
        IpAddr::V6(address) => hash(&[&[6], &address.octets(), &[len], mac]),
    }
}

fn sum(hashes: impl Iterator<Item = u64>) -> Wrapping<u64> {
    hashes.map(Wrapping).sum()
}
