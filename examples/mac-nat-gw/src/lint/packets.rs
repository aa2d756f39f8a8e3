//! The frames of the probes, byte by byte, with right checksums.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::field::{ARP, ICMPV6, IPV4, IPV6, RARP, UDP};

pub(crate) type Mac = [u8; 6];

/// A router of the provider (a MAC of VRRP's kind; nobody inside has it).
pub(crate) const ROUTER: Mac = [0x00, 0x00, 0x5E, 0x00, 0x01, 0x01];
pub(crate) const BROADCAST: Mac = [0xFF; 6];
pub(crate) const NOBODY: Mac = [0; 6];
const SHORTEST: usize = 60;

pub(crate) fn ethernet(dst: Mac, src: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&dst[..], &src, &kind.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(SHORTEST), 0);
    frame
}

/// The same frame with a tag.
pub(crate) fn tagged(frame: &[u8], vid: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(frame.len().min(12));
    [addresses, &[0x81, 0x00], &vid.to_be_bytes(), rest].concat()
}

/// An ARP message of this operation.
pub(crate) fn arp(dst: Mac, oper: u16, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    address_resolution(ARP, dst, oper, sender, target)
}

/// What a hypervisor sends after a migration.
pub(crate) fn rarp(src: Mac) -> Vec<u8> {
    let nobody = Ipv4Addr::UNSPECIFIED;
    address_resolution(RARP, BROADCAST, 3, (src, nobody), (src, nobody))
}

fn address_resolution(
    kind: u16,
    dst: Mac,
    oper: u16,
    sender: (Mac, Ipv4Addr),
    target: (Mac, Ipv4Addr),
) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4];
    let message =
        [&head[..], &oper.to_be_bytes(), &sender.0, &sender.1.octets(), &target.0, &target.1.octets()]
            .concat();
    ethernet(dst, sender.0, kind, &message)
}

pub(crate) fn udp4(
    dst: Mac,
    src: Mac,
    addrs: (Ipv4Addr, Ipv4Addr),
    ports: (u16, u16),
    data: &[u8],
) -> Vec<u8> {
    let len = (8 + data.len()) as u16;
    let mut udp = [ports.0, ports.1, len, 0].map(u16::to_be_bytes).concat();
    udp.extend(data);
    let pseudo = [&addrs.0.octets()[..], &addrs.1.octets(), &[0, UDP], &len.to_be_bytes(), &udp].concat();
    let sum = match checksum(&pseudo) {
        0 => 0xFFFF,
        sum => sum,
    };
    write(&mut udp, 6, sum);
    ethernet(dst, src, IPV4, &ipv4(addrs, UDP, 0, &udp))
}

/// A later fragment, which has no ports.
pub(crate) fn later_fragment4(dst: Mac, src: Mac, addrs: (Ipv4Addr, Ipv4Addr)) -> Vec<u8> {
    ethernet(dst, src, IPV4, &ipv4(addrs, UDP, 0x2010, &[0xAB; 64]))
}

fn ipv4((src, dst): (Ipv4Addr, Ipv4Addr), protocol: u8, fragment: u16, data: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + data.len() as u16).to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    let sum = checksum(&packet);
    write(&mut packet, 10, sum);
    packet.extend(data);
    packet
}

/// A message of DHCP: `op` 1 from a client, 2 from a server (RFC 2131, section 2).
pub(crate) fn dhcp(dst: Mac, src: Mac, op: u8, client: Mac, server: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![op, 1, 6, 0, 0x4C, 0x69, 0x6E, 0x74];
    message.resize(28, 0);
    message.extend(client);
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, op, 255]);
    let (any, all) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    match op {
        1 => udp4(dst, src, (any, all), (68, 67), &message),
        _ => udp4(dst, src, (server, all), (67, 68), &message),
    }
}

pub(crate) fn udp6(dst: Mac, src: Mac, addrs: (Ipv6Addr, Ipv6Addr), data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len()) as u16;
    let mut udp = [4000, 4001, len, 0].map(u16::to_be_bytes).concat();
    udp.extend(data);
    let sum = checksum6(addrs, UDP, &udp);
    write(&mut udp, 6, sum);
    ethernet(dst, src, IPV6, &ipv6(addrs, UDP, 64, &udp))
}

/// A neighbour discovery message; `body` is what stands behind the checksum.
pub(crate) fn discovery(dst: Mac, src: Mac, addrs: (Ipv6Addr, Ipv6Addr), kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, 0, 0, 0], body].concat();
    let sum = checksum6(addrs, ICMPV6, &message);
    write(&mut message, 2, sum);
    ethernet(dst, src, IPV6, &ipv6(addrs, ICMPV6, 255, &message))
}

/// Flags, target and options of a solicitation or advertisement.
pub(crate) fn neighbour(flags: u8, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    [&[flags, 0, 0, 0][..], &target.octets(), options].concat()
}

/// A link-layer address option: type 1 of the source, 2 of the target.
pub(crate) fn option(kind: u8, mac: Mac) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}

/// Who is asked for this address, and at which MAC (RFC 4291, section 2.7.1; RFC 2464, section 7).
pub(crate) fn solicited(addr: Ipv6Addr) -> (Mac, Ipv6Addr) {
    let [.., a, b, c] = addr.octets();
    let group = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 1, 0xFF00 | u16::from(a), u16::from_be_bytes([b, c]));
    ([0x33, 0x33, 0xFF, a, b, c], group)
}

fn ipv6((src, dst): (Ipv6Addr, Ipv6Addr), next: u8, hop_limit: u8, data: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((data.len() as u16).to_be_bytes());
    packet.extend([next, hop_limit]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(data);
    packet
}

fn checksum6((src, dst): (Ipv6Addr, Ipv6Addr), next: u8, data: &[u8]) -> u16 {
    let len = (data.len() as u32).to_be_bytes();
    checksum(&[&src.octets()[..], &dst.octets(), &len, &[0, 0, 0, next], data].concat())
}

/// The Internet checksum (RFC 1071).
pub(crate) fn checksum(data: &[u8]) -> u16 {
    let mut sum = 0_u64;
    for word in data.chunks(2) {
        let [high, low] = [word.first(), word.get(1)].map(|byte| u64::from(byte.copied().unwrap_or(0)));
        sum += high << 8 | low;
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

fn write(bytes: &mut [u8], at: usize, word: u16) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&word.to_be_bytes());
    }
}
