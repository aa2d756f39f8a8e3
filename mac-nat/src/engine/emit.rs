//! The few frames that the engine sends by itself: questions to the inside, announcements to the
//! uplink.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vlan_table::frame::MIN_LEN;
use vlan_table::{EtherType, Tag};

use super::keys::{AddrKey, link_local};
use crate::checksum;
use crate::frame::{Arp, Mac};

const BROADCAST: Mac = [0xFF; 6];
const ND_HOP_LIMIT: u8 = 255;
const ICMPV6: u8 = 58;
/// Source or target link-layer address, of 8 bytes.
const SOURCE_OPTION: [u8; 2] = [1, 1];
const TARGET_OPTION: [u8; 2] = [2, 1];

/// Asks who has the address, in `host`'s name: everybody, or only the owner that we know.
///
/// ARP asks as a probe, with no sender address: it is answered, and nobody's cache learns
/// anything from it (RFC 5227, 2.1.1).
pub(crate) fn question(out: &mut [u8], key: AddrKey, host: Mac, owner: Option<Mac>) -> Option<usize> {
    match key.addr() {
        IpAddr::V4(addr) => {
            let dst = owner.unwrap_or(BROADCAST);
            arp(out, key, dst, (host, Ipv4Addr::UNSPECIFIED), ([0; 6], addr))
        }
        IpAddr::V6(addr) => {
            let group = solicited_node(addr);
            let (dst, ip) = owner.map_or((group_mac(group), group), |owner| (owner, addr));
            nd(out, key, (dst, host), (link_local(host), ip), (135, 0), addr, SOURCE_OPTION, host)
        }
    }
}

/// Says that the address is at `wire`: an ARP announcement (RFC 5227, 3) or an unsolicited
/// neighbour advertisement (RFC 4861, 7.2.6).
pub(crate) fn announcement(out: &mut [u8], key: AddrKey, wire: Mac) -> Option<usize> {
    const OVERRIDE: u8 = 0x20;
    match key.addr() {
        IpAddr::V4(addr) => arp(out, key, BROADCAST, (wire, addr), ([0; 6], addr)),
        IpAddr::V6(addr) => {
            let all_nodes = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);
            let macs = (group_mac(all_nodes), wire);
            nd(out, key, macs, (addr, all_nodes), (136, OVERRIDE), addr, TARGET_OPTION, wire)
        }
    }
}

fn arp(
    out: &mut [u8],
    key: AddrKey,
    dst: Mac,
    sender: (Mac, Ipv4Addr),
    target: (Mac, Ipv4Addr),
) -> Option<usize> {
    let mut frame = Writer::new(out, key, dst, sender.0, EtherType::ARP)?;
    frame.put(&[0, 1, 8, 0, 6, 4])?;
    frame.put(&Arp::REQUEST.to_be_bytes())?;
    for (mac, addr) in [sender, target] {
        frame.put(&mac)?;
        frame.put(&addr.octets())?;
    }
    frame.padded()
}

#[expect(clippy::too_many_arguments, reason = "one per field of the message")]
fn nd(
    out: &mut [u8],
    key: AddrKey,
    (dst, src): (Mac, Mac),
    (ip_src, ip_dst): (Ipv6Addr, Ipv6Addr),
    (icmp_type, flags): (u8, u8),
    target: Ipv6Addr,
    option: [u8; 2],
    mac: Mac,
) -> Option<usize> {
    const LEN: u8 = 32;
    let (ip_src, ip_dst, target) = (ip_src.octets(), ip_dst.octets(), target.octets());
    let sum = checksum::compute(&[
        &ip_src,
        &ip_dst,
        &[0, 0, 0, LEN, 0, 0, 0, ICMPV6],
        &[icmp_type, 0, 0, 0, flags, 0, 0, 0],
        &target,
        &option,
        &mac,
    ]);
    let [sum_high, sum_low] = sum.to_be_bytes();
    let mut frame = Writer::new(out, key, dst, src, EtherType::IPV6)?;
    frame.put(&[0x60, 0, 0, 0, 0, LEN, ICMPV6, ND_HOP_LIMIT])?;
    frame.put(&ip_src)?;
    frame.put(&ip_dst)?;
    frame.put(&[icmp_type, 0, sum_high, sum_low, flags, 0, 0, 0])?;
    frame.put(&target)?;
    frame.put(&option)?;
    frame.put(&mac)?;
    frame.padded()
}

fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = addr.octets();
    Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 1, 0xFF00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// RFC 2464, 7.
fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Addresses, tags and EtherType.
    fn new(out: &'a mut [u8], key: AddrKey, dst: Mac, src: Mac, ether_type: EtherType) -> Option<Self> {
        let mut frame = Self { out, len: 0 };
        frame.put(&dst)?;
        frame.put(&src)?;
        let tags = key.vlans().iter().count();
        for (i, vid) in key.vlans().iter().enumerate() {
            let tag = Tag::customer(vid);
            let outer_of_two = i + 1 < tags;
            let tpid = if outer_of_two { EtherType::SERVICE_VLAN } else { EtherType::VLAN };
            frame.put(&Tag { tpid, ..tag }.to_bytes())?;
        }
        frame.put(&ether_type.0.to_be_bytes())?;
        Some(frame)
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.out.get_mut(self.len..self.len + bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    fn padded(self) -> Option<usize> {
        let len = self.len.max(MIN_LEN);
        self.out.get_mut(self.len..len)?.fill(0);
        Some(len)
    }
}
