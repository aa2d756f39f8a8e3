//! Frames for tests, with right checksums: connection tracking looks at them.
#![allow(dead_code, reason = "each test uses a part")]

use std::net::{IpAddr, Ipv6Addr};

use etherparse::{IpNumber, PacketBuilder, PacketBuilderStep};

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

/// Who sends to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// Addresses of the sender.
    pub(crate) source: (Mac, IpAddr),
    /// Addresses of the receiver, of the same family.
    pub(crate) destination: (Mac, IpAddr),
}

impl Ends {
    /// The way back.
    pub(crate) fn back(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }

    /// A TCP segment; `flags` are letters of `S`, `A`.
    pub(crate) fn tcp(self, source: u16, destination: u16, flags: &str) -> Vec<u8> {
        let mut step = self.ip().tcp(source, destination, 1, 1000);
        if flags.contains('S') {
            step = step.syn();
        }
        if flags.contains('A') {
            step = step.ack(2);
        }
        let mut frame = Vec::new();
        step.write(&mut frame, &[]).unwrap();
        frame
    }

    /// A UDP datagram.
    pub(crate) fn udp(self, source: u16, destination: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        self.ip().udp(source, destination).write(&mut frame, &[0; 20]).unwrap();
        frame
    }

    /// An echo request of the addresses' family.
    pub(crate) fn echo_request(self, id: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        match self.source.1 {
            IpAddr::V4(_) => self.ip().icmpv4_echo_request(id, 1).write(&mut frame, &[0; 20]),
            IpAddr::V6(_) => self.ip().icmpv6_echo_request(id, 1).write(&mut frame, &[0; 20]),
        }
        .unwrap();
        frame
    }

    /// Some bytes of another protocol.
    pub(crate) fn raw(self, protocol: u8) -> Vec<u8> {
        let mut frame = Vec::new();
        self.ip().write(&mut frame, IpNumber(protocol), &[0; 20]).unwrap();
        frame
    }

    fn ip(self) -> PacketBuilderStep<etherparse::IpHeaders> {
        let ethernet = PacketBuilder::ethernet2(self.source.0, self.destination.0);
        match (self.source.1, self.destination.1) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ethernet.ipv4(source.octets(), destination.octets(), 64)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                ethernet.ipv6(source.octets(), destination.octets(), 64)
            }
            _ => panic!("two families"),
        }
    }
}

/// Who has `target`?
pub(crate) fn arp_request(mac: Mac, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let head = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1];
    let mut frame = [&[0xFF; 6][..], &mac, &head, &mac, &sender, &[0; 6], &target].concat();
    frame.resize(60, 0);
    frame
}

/// The same for IPv6; from `::` it detects duplicates, and then names no link-layer address
/// (RFC 4861, 4.3).
pub(crate) fn neighbour_solicitation(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let tail = &target.octets()[13..];
    let group = Ipv6Addr::new(
        0xFF02,
        0,
        0,
        0,
        0,
        1,
        0xFF00 | u16::from(tail[0]),
        u16::from(tail[1]) << 8 | u16::from(tail[2]),
    );
    let option = if source.is_unspecified() { Vec::new() } else { [&[1, 1][..], &mac].concat() };
    let body = [&target.octets()[..], &option].concat();
    let to = [0x33, 0x33, 0xFF, tail[0], tail[1], tail[2]];
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(mac, to)
        .ipv6(source.octets(), group.octets(), 255)
        .icmpv6_raw(135, 0, [0; 4])
        .write(&mut frame, &body)
        .unwrap();
    frame
}

/// A small generator: xorshift64* (Vigna 2016).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % bound
    }
}
