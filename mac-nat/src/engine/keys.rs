//! What the tables are searched by.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::Vlans;
use crate::frame::Mac;
use crate::table::{Key, mix};

const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

/// An address, or a block, in its VLANs. IPv4 stands as `::ffff:a.b.c.d`, which no frame carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AddrKey {
    addr: [u64; 2],
    /// The VLANs as a number, and the prefix length (96 more for IPv4) in the lowest byte: one word
    /// compares faster than five small fields.
    scope: u64,
}

impl AddrKey {
    const HOST: u8 = 128;
    const V4_PREFIX: u8 = 96;

    #[inline]
    pub(crate) fn v4(vlans: Vlans, addr: Ipv4Addr) -> Self {
        Self { addr: [0, 0xFFFF_0000_0000 | u64::from(addr.to_bits())], scope: scope(vlans, Self::HOST) }
    }

    #[inline]
    pub(crate) fn v6(vlans: Vlans, addr: Ipv6Addr) -> Self {
        let bits = addr.to_bits();
        Self { addr: [(bits >> 64) as u64, bits as u64], scope: scope(vlans, Self::HOST) }
    }

    pub(crate) fn new(vlans: Vlans, addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => Self::v4(vlans, addr),
            IpAddr::V6(addr) => Self::v6(vlans, addr),
        }
    }

    pub(crate) fn of_net(vlans: Vlans, net: IpNet) -> Self {
        let len = net.prefix_len() + if net.addr().is_ipv4() { Self::V4_PREFIX } else { 0 };
        Self::new(vlans, net.addr()).masked(len)
    }

    /// The block of this length that the address is in.
    pub(crate) fn masked(self, len: u8) -> Self {
        let keep = |len: u8| if len == 0 { 0 } else { u64::MAX << (64 - len.min(64)) };
        let [high, low] = self.addr;
        let addr = [high & keep(len), low & keep(len.saturating_sub(64))];
        Self { addr, scope: scope(self.vlans(), len) }
    }

    /// The prefix length, 96 more for IPv4; 128 is one address.
    pub(crate) const fn len(self) -> u8 {
        self.scope as u8
    }

    /// Whether this is one address, not a block.
    pub(crate) const fn is_host(self) -> bool {
        self.len() == Self::HOST
    }

    pub(crate) fn vlans(self) -> Vlans {
        Vlans::unpacked((self.scope >> 8) as u32)
    }

    pub(crate) fn addr(self) -> IpAddr {
        let [high, low] = self.addr;
        Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).to_canonical()
    }

    pub(crate) fn net(self) -> IpNet {
        match self.addr() {
            IpAddr::V4(addr) => {
                let len = self.len().saturating_sub(Self::V4_PREFIX);
                Ipv4Net::new(addr, len).map_or_else(|_| Ipv4Net::from(addr).into(), IpNet::V4)
            }
            IpAddr::V6(addr) => {
                Ipv6Net::new(addr, self.len()).map_or_else(|_| Ipv6Net::from(addr).into(), IpNet::V6)
            }
        }
    }
}

impl Key for AddrKey {
    #[inline]
    fn hash(&self, seed: u64) -> u64 {
        let [high, low] = self.addr;
        mix(low ^ seed, high ^ self.scope ^ seed.rotate_left(32) ^ ODD)
    }
}

#[inline]
fn scope(vlans: Vlans, len: u8) -> u64 {
    u64::from(vlans.packed()) << 8 | u64::from(len)
}

/// A MAC address as a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MacKey(u64);

impl MacKey {
    /// What no MAC address is.
    pub(crate) const NONE: Self = Self(u64::MAX);

    #[inline]
    pub(crate) const fn new([a, b, c, d, e, f]: Mac) -> Self {
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The address in the lowest 48 bits.
    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits & 0xFFFF_FFFF_FFFF)
    }

    pub(crate) const fn mac(self) -> Mac {
        let [_, _, mac @ ..] = self.0.to_be_bytes();
        mac
    }
}

impl Key for MacKey {
    #[inline]
    fn hash(&self, seed: u64) -> u64 {
        mix(self.0 ^ seed, ODD)
    }
}

/// A DHCP transaction as the server sees it: a transaction number alone is the client's choice,
/// and two clients may choose the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DhcpKey {
    pub(crate) xid: u32,
    pub(crate) wire: Mac,
    pub(crate) vlans: Vlans,
}

impl Key for DhcpKey {
    fn hash(&self, seed: u64) -> u64 {
        let MacKey(wire) = MacKey::new(self.wire);
        mix(mix(wire ^ seed, u64::from(self.xid) ^ ODD) ^ u64::from(self.vlans.packed()), ODD)
    }
}

/// The link-local address formed from a MAC (RFC 4291, appendix A).
pub(crate) const fn link_local([a, b, c, d, e, f]: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = [a as u16, b as u16, c as u16, d as u16, e as u16, f as u16];
    Ipv6Addr::new(0xFE80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xFF, 0xFE00 | d, e << 8 | f)
}

/// The MAC that a link-local address was formed from, if it was.
pub(crate) const fn mac_of_link_local(addr: Ipv6Addr) -> Option<Mac> {
    match addr.octets() {
        [0xFE, 0x80, 0, 0, 0, 0, 0, 0, a, b, c, 0xFF, 0xFE, d, e, f] => Some([a ^ 2, b, c, d, e, f]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_and_its_addresses_agree() {
        for (net, addr) in [
            ("203.0.113.0/24", "203.0.113.77"),
            ("0.0.0.0/0", "203.0.113.77"),
            ("2001:db8:1::/48", "2001:db8:1:ffff::9"),
            ("2001:db8::/64", "2001:db8::ffff:0:0:9"),
            ("2001:db8::8/125", "2001:db8::f"),
            ("::/0", "2001:db8::f"),
        ] {
            let (net, addr): (IpNet, IpAddr) = (net.parse().unwrap(), addr.parse().unwrap());
            let block = AddrKey::of_net(Vlans::UNTAGGED, net);
            assert_eq!(AddrKey::new(Vlans::UNTAGGED, addr).masked(block.len()), block);
            assert_eq!(block.net(), net);
            assert_eq!(AddrKey::new(Vlans::UNTAGGED, addr).net(), IpNet::from(addr));
        }
    }

    #[test]
    fn neighbouring_addresses_are_spread_whatever_the_seed() {
        for seed in [0, 1, 0x5EED, u64::MAX] {
            let addrs = (0..4096).map(|i| Ipv4Addr::from_bits(0xCB00_7100 + i));
            let mut table = crate::table::Table::new(4096, seed);
            for addr in addrs {
                table.insert(AddrKey::v4(Vlans::UNTAGGED, addr), ()).unwrap();
            }
            assert!(table.longest_probe() < 64, "seed {seed:#x}: {} slots", table.longest_probe());
        }
    }

    #[test]
    fn link_local_addresses_name_their_mac() {
        let mac = [0xFA, 0x16, 0x3E, 0, 0, 1];
        assert_eq!(link_local(mac), "fe80::f816:3eff:fe00:1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(mac_of_link_local(link_local(mac)), Some(mac));
        assert_eq!(mac_of_link_local("fe80::1".parse().unwrap()), None);
    }
}
