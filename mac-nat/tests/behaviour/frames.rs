//! Frames by hand, and checksums computed the long way: nothing here shares code with the crate.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) type Mac = [u8; 6];

/// The NIC's own MAC.
pub(crate) const E: Mac = [0x52, 0x54, 0x00, 0xAA, 0x00, 0x01];
/// The machines' MACs.
pub(crate) const V1: Mac = [0xFA, 0x16, 0x3E, 0, 0, 1];
pub(crate) const V2: Mac = [0xFA, 0x16, 0x3E, 0, 0, 2];
pub(crate) const V3: Mac = [0xFA, 0x16, 0x3E, 0, 0, 3];
/// The provider's MACs for them.
pub(crate) const W1: Mac = [0x02, 0, 0, 0xC5, 0x7A, 0x11];
pub(crate) const W2: Mac = [0x02, 0, 0, 0xC5, 0x7A, 0x12];
pub(crate) const W3: Mac = [0x02, 0, 0, 0xC5, 0x7A, 0x13];
/// The provider's router, and a stranger outside.
pub(crate) const R: Mac = [0x00, 0x07, 0xB4, 0, 0, 2];
pub(crate) const X: Mac = [0x00, 0x07, 0xB4, 0, 0, 9];
pub(crate) const BROADCAST: Mac = [0xFF; 6];
pub(crate) const NIL: Mac = [0; 6];

pub(crate) const A: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
pub(crate) const B: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 12);
/// A second address of the first machine.
pub(crate) const C: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 13);
/// Nobody's, at first.
pub(crate) const FREE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);
pub(crate) const H: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
pub(crate) const G: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub(crate) const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

pub(crate) const ANY6: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 1, 0, 0, 0, 0, 0x11);
pub(crate) const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 1, 0, 0, 0, 0, 0x12);
pub(crate) const G6: Ipv6Addr = Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const R6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 1, 0, 0, 0, 0, 1);
pub(crate) const LL1: Ipv6Addr = Ipv6Addr::new(0xFE80, 0, 0, 0, 0xF816, 0x3EFF, 0xFE00, 1);
/// Formed from the NIC's MAC.
pub(crate) const LLE: Ipv6Addr = Ipv6Addr::new(0xFE80, 0, 0, 0, 0x5054, 0x00FF, 0xFEAA, 1);

pub(crate) const ARP: u16 = 0x0806;
pub(crate) const RARP: u16 = 0x8035;
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86DD;

/// A frame with these tags (TPID and TCI), padded to 60 bytes.
pub(crate) fn eth(dst: Mac, src: Mac, tags: &[(u16, u16)], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [dst, src].concat();
    for (tpid, tci) in tags {
        frame.extend(tpid.to_be_bytes());
        frame.extend(tci.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

pub(crate) fn arp(oper: u16, sha: Mac, spa: Ipv4Addr, tha: Mac, tpa: Ipv4Addr) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4][..], &oper.to_be_bytes(), &sha, &spa.octets(), &tha, &tpa.octets()].concat()
}

pub(crate) fn arp_frame(dst: Mac, oper: u16, sha: Mac, spa: Ipv4Addr, tha: Mac, tpa: Ipv4Addr) -> Vec<u8> {
    eth(dst, sha, &[], ARP, &arp(oper, sha, spa, tha, tpa))
}

pub(crate) fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_fragment(src, dst, protocol, payload, 0)
}

/// `fragment` is the word with flags and offset.
pub(crate) fn ipv4_fragment(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    payload: &[u8],
    fragment: u16,
) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + payload.len() as u16).to_be_bytes());
    header.extend([0, 7]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    header.extend(src.octets());
    header.extend(dst.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header, payload].concat()
}

pub(crate) fn udp4(src: Ipv4Addr, dst: Ipv4Addr, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let mut udp = [ports.0, ports.1, len, 0].map(u16::to_be_bytes).concat();
    udp.extend(payload);
    let pseudo = [&src.octets()[..], &dst.octets(), &[0, 17], &len.to_be_bytes(), &udp].concat();
    let sum = match checksum(&pseudo) {
        0 => 0xFFFF,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    ipv4(src, dst, 17, &udp)
}

/// A DHCP message without the IP and UDP headers.
#[derive(Clone)]
pub(crate) struct Dhcp {
    pub(crate) op: u8,
    pub(crate) xid: u32,
    pub(crate) flags: u16,
    pub(crate) ciaddr: Ipv4Addr,
    pub(crate) giaddr: Ipv4Addr,
    pub(crate) chaddr: Mac,
    pub(crate) options: Vec<u8>,
}

impl Dhcp {
    pub(crate) fn discover(chaddr: Mac, xid: u32) -> Self {
        let options = [&[53, 1, 1, 61, 7, 1][..], &chaddr, &[255]].concat();
        Self { op: 1, xid, flags: 0, ciaddr: ANY, giaddr: ANY, chaddr, options }
    }

    pub(crate) fn offer(chaddr: Mac, xid: u32) -> Self {
        Self { op: 2, options: vec![53, 1, 2, 255], ..Self::discover(chaddr, xid) }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.op, 1, 6, 0];
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(self.ciaddr.octets());
        bytes.extend([0; 8]);
        bytes.extend(self.giaddr.octets());
        bytes.extend(self.chaddr);
        bytes.resize(236, 0);
        bytes.extend([0x63, 0x82, 0x53, 0x63]);
        bytes.extend(&self.options);
        bytes
    }

    /// From a client to everybody.
    pub(crate) fn request_frame(&self, src: Mac) -> Vec<u8> {
        let dst = Ipv4Addr::BROADCAST;
        eth(BROADCAST, src, &[], IPV4, &udp4(self.ciaddr, dst, (68, 67), &self.bytes()))
    }

    /// From a server.
    pub(crate) fn reply_frame(&self, dst: Mac, ip_dst: Ipv4Addr) -> Vec<u8> {
        eth(dst, R, &[], IPV4, &udp4(G, ip_dst, (67, 68), &self.bytes()))
    }
}

/// Offsets in an untagged DHCP frame.
pub(crate) const UDP_SUM: usize = 14 + 20 + 6;
pub(crate) const BOOTP: usize = 14 + 20 + 8;
pub(crate) const CHADDR: usize = BOOTP + 28;

pub(crate) fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, next: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, hop_limit]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(payload);
    packet
}

/// An ICMPv6 message with its checksum; `body` is everything behind the checksum.
pub(crate) fn icmpv6(src: Ipv6Addr, dst: Ipv6Addr, icmp_type: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![icmp_type, code, 0, 0];
    message.extend(body);
    let sum = checksum(&pseudo6(src, dst, &message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

fn pseudo6(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let len = (message.len() as u32).to_be_bytes();
    [&src.octets()[..], &dst.octets(), &len, &[0, 0, 0, 58], message].concat()
}

/// Source link-layer address.
pub(crate) fn slla(mac: Mac) -> Vec<u8> {
    [&[1, 1][..], &mac].concat()
}

/// Target link-layer address.
pub(crate) fn tlla(mac: Mac) -> Vec<u8> {
    [&[2, 1][..], &mac].concat()
}

/// The body of a solicitation or advertisement: flags, target, options.
pub(crate) fn nd_body(flags: u8, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    [&[flags, 0, 0, 0][..], &target.octets(), options].concat()
}

pub(crate) fn ns(src: Mac, ip: Ipv6Addr, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    let group = solicited_node(target);
    nd_frame(group_mac(group), src, ip, group, 135, &nd_body(0, target, options))
}

pub(crate) fn na(
    dst: Mac,
    src: Mac,
    ip: Ipv6Addr,
    to: Ipv6Addr,
    target: Ipv6Addr,
    options: &[u8],
) -> Vec<u8> {
    nd_frame(dst, src, ip, to, 136, &nd_body(0x60, target, options))
}

pub(crate) fn nd_frame(
    dst: Mac,
    src: Mac,
    ip: Ipv6Addr,
    to: Ipv6Addr,
    icmp_type: u8,
    body: &[u8],
) -> Vec<u8> {
    eth(dst, src, &[], IPV6, &ipv6(ip, to, 58, 255, &icmpv6(ip, to, icmp_type, 0, body)))
}

/// Offset of the ICMPv6 header in an untagged frame without extension headers.
pub(crate) const ICMPV6: usize = 14 + 40;
/// Offset of the address in the first option of a solicitation or advertisement.
pub(crate) const ND_OPTION: usize = ICMPV6 + 24 + 2;

pub(crate) fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = addr.octets();
    Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 1, 0xFF00 | u16::from(a), u16::from_be_bytes([b, c]))
}

pub(crate) fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// The Internet checksum (RFC 1071).
pub(crate) fn checksum(data: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for word in data.chunks(2) {
        sum += u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low));
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether the UDP or ICMPv6 checksum of an unfragmented packet is right; `None` if there is none.
pub(crate) fn checksum_holds(frame: &[u8]) -> Option<bool> {
    let mut at = 12;
    while matches!(word(frame, at)?, 0x8100 | 0x88A8 | 0x9100) {
        at += 4;
    }
    let packet = frame.get(at + 2..)?;
    match word(frame, at)? {
        IPV4 if *packet.get(9)? == 17 && word(packet, 6)? & 0x3FFF == 0 => {
            let header_len = usize::from(packet[0] & 15) * 4;
            let udp = packet.get(header_len..usize::from(word(packet, 2)?))?;
            let udp = udp.get(..usize::from(word(udp, 4)?))?;
            if word(udp, 6)? == 0 {
                return None;
            }
            let len = (udp.len() as u16).to_be_bytes();
            Some(checksum(&[packet.get(12..20)?, &[0, 17], &len, udp].concat()) == 0)
        }
        IPV6 => {
            let end = 40 + usize::from(word(packet, 4)?);
            let (mut next, mut at) = (*packet.get(6)?, 40);
            while matches!(next, 0 | 43 | 60) {
                let header = packet.get(at..)?;
                (next, at) = (*header.first()?, at + 8 + 8 * usize::from(*header.get(1)?));
            }
            let message = packet.get(at..end).filter(|_| next == 58)?;
            let len = (message.len() as u32).to_be_bytes();
            Some(checksum(&[packet.get(8..40)?, &len, &[0, 0, 0, 58], message].concat()) == 0)
        }
        _ => None,
    }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|word| u16::from_be_bytes([word[0], word[1]]))
}

pub(crate) fn mac_at(frame: &[u8], at: usize) -> Mac {
    frame[at..at + 6].try_into().unwrap()
}

pub(crate) fn dst(frame: &[u8]) -> Mac {
    mac_at(frame, 0)
}

pub(crate) fn src(frame: &[u8]) -> Mac {
    mac_at(frame, 6)
}

/// ARP sender and target hardware addresses of an untagged frame.
pub(crate) fn arp_macs(frame: &[u8]) -> (Mac, Mac) {
    (mac_at(frame, 22), mac_at(frame, 32))
}

/// Whether the six bytes stand anywhere in the frame.
pub(crate) fn carries(frame: &[u8], mac: Mac) -> bool {
    frame.windows(6).any(|window| window == mac)
}
