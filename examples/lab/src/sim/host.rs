//! Hosts: enough of ARP and ICMP to hold a conversation through the switches.
//!
//! Frames are real, so that what a run records can be read with any other tool. A host never
//! forgets an address it has resolved: what a scenario watches forget is the switches.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Icmpv4Type, NetSlice, PacketBuilder, SlicedPacket, TransportSlice,
};
use vlan_table::{EtherType, FrameMut, Tag, VlanId};

use super::frames::{self, BROADCAST};
use crate::mac::Mac;

/// A station at the end of a cable.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) mac: Mac,
    pub(crate) ip: Ipv4Addr,
    /// The VLAN whose tag its frames carry; `None` for a host that knows no tags.
    pub(crate) vlan: Option<VlanId>,
    neighbours: BTreeMap<Ipv4Addr, Mac>,
    /// Pings that wait for an address, in order.
    unresolved: Vec<(Ipv4Addr, u16)>,
    pub(crate) pings: Pings,
}

/// How a host's pings went.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Pings {
    /// Echo requests asked for by the scenario.
    pub sent: u64,
    /// Echo replies that came back.
    pub answered: u64,
}

/// What a frame does to a host.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Whether it is for this host; the network card discards the rest.
    pub(crate) accepted: bool,
    /// What the host sends in return.
    pub(crate) replies: Vec<Vec<u8>>,
}

impl Host {
    pub(crate) fn new(name: &str, mac: Mac, ip: Ipv4Addr, vlan: Option<VlanId>) -> Self {
        Self {
            name: name.to_owned(),
            mac,
            ip,
            vlan,
            neighbours: BTreeMap::new(),
            unresolved: Vec::new(),
            pings: Pings::default(),
        }
    }

    /// The first frame of a ping: an echo request, or the ARP request that must come before it.
    pub(crate) fn ping(&mut self, to: Ipv4Addr) -> Vec<u8> {
        self.pings.sent += 1;
        let sequence = self.pings.sent as u16;
        if let Some(mac) = self.neighbours.get(&to) {
            return self.echo_request(*mac, to, sequence);
        }
        self.unresolved.push((to, sequence));
        self.arp(ArpOperation::REQUEST, BROADCAST, [0; 6], to)
    }

    /// An unasked ARP request for the own address, as hosts send when their link comes up
    /// (RFC 5227, section 3).
    pub(crate) fn announce(&self) -> Vec<u8> {
        self.arp(ArpOperation::REQUEST, BROADCAST, [0; 6], self.ip)
    }

    /// A frame of `len` bytes that nobody answers.
    pub(crate) fn raw(&self, to: Mac, len: usize) -> Vec<u8> {
        let mut frame = [to.as_slice(), &self.mac, &EXPERIMENTAL.0.to_be_bytes()].concat();
        frame.resize(len.max(frames::MIN_LEN), 0);
        self.tagged(frame)
    }

    pub(crate) fn hear(&mut self, frame: &[u8]) -> Heard {
        let mut heard = Heard::default();
        let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return heard };
        let to = frames::destination(frame);
        if self.vlan != packet.vlan_ids().first().and_then(|vid| VlanId::new(vid.value())) {
            return heard;
        }
        heard.accepted = to == self.mac || to.first().is_some_and(|first| first & 1 == 1);
        if !heard.accepted || frames::source(frame) == self.mac {
            return heard; // for others, or its own, come back
        }
        match (&packet.net, &packet.transport) {
            (Some(NetSlice::Arp(arp)), _) => {
                if let Ok(arp) = arp.to_packet().try_eth_ipv4() {
                    heard.replies = self.hear_arp(&arp);
                }
            }
            (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp)))
                if ip.header().destination_addr() == self.ip =>
            {
                match icmp.icmp_type() {
                    Icmpv4Type::EchoRequest(echo) => {
                        let reply = PacketBuilder::ethernet2(self.mac, frames::source(frame))
                            .ipv4(self.ip.octets(), ip.header().source(), TTL)
                            .icmpv4_echo_reply(echo.id, echo.seq);
                        heard.replies.push(self.tagged(built(reply, icmp.payload())));
                    }
                    Icmpv4Type::EchoReply(_) => self.pings.answered += 1,
                    _ => {}
                }
            }
            _ => {}
        }
        heard
    }

    fn hear_arp(&mut self, arp: &ArpEthIpv4Packet) -> Vec<Vec<u8>> {
        let sender = arp.sender_ipv4_addr();
        let for_us = arp.target_ipv4_addr() == self.ip;
        if for_us || self.neighbours.contains_key(&sender) {
            self.neighbours.insert(sender, arp.sender_mac);
        }
        if for_us && arp.operation == ArpOperation::REQUEST {
            return vec![self.arp(ArpOperation::REPLY, arp.sender_mac, arp.sender_mac, sender)];
        }
        let (now_known, unresolved) = self.unresolved.drain(..).partition(|(ip, _)| *ip == sender);
        self.unresolved = unresolved;
        let now_known: Vec<_> = now_known;
        now_known.iter().map(|(ip, sequence)| self.echo_request(arp.sender_mac, *ip, *sequence)).collect()
    }

    fn arp(&self, operation: ArpOperation, to: Mac, target_mac: Mac, target: Ipv4Addr) -> Vec<u8> {
        let arp = ArpEthIpv4Packet {
            operation,
            sender_mac: self.mac,
            sender_ipv4: self.ip.octets(),
            target_mac,
            target_ipv4: target.octets(),
        };
        let mut frame = [to.as_slice(), &self.mac, &EtherType::ARP.0.to_be_bytes(), &arp.to_bytes()].concat();
        frame.resize(frames::MIN_LEN, 0);
        self.tagged(frame)
    }

    fn echo_request(&self, mac: Mac, to: Ipv4Addr, sequence: u16) -> Vec<u8> {
        let request = PacketBuilder::ethernet2(self.mac, mac)
            .ipv4(self.ip.octets(), to.octets(), TTL)
            .icmpv4_echo_request(1, sequence);
        self.tagged(built(request, PAYLOAD))
    }

    fn tagged(&self, frame: Vec<u8>) -> Vec<u8> {
        let Some(vid) = self.vlan else { return frame };
        let mut buffer = vec![0; Tag::LEN];
        buffer.extend(frame);
        if let Ok(mut tagged) = FrameMut::new(&mut buffer, Tag::LEN) {
            _ = tagged.push_tag(Tag::customer(vid)); // the room in front was just made
        }
        buffer
    }
}

/// "Local experimental EtherType 1" (IEEE 802, 9.2.3).
const EXPERIMENTAL: EtherType = EtherType(0x88B5);
const TTL: u8 = 64;
const PAYLOAD: &[u8] = b"is anybody there?";

fn built(packet: etherparse::PacketBuilderStep<etherparse::Icmpv4Header>, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(packet.size(payload.len()));
    // Writing to a vector fails only where a length does not fit into 16 bits.
    _ = packet.write(&mut frame, payload);
    frame.resize(frame.len().max(frames::MIN_LEN), 0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u8, vlan: Option<u16>) -> Host {
        let vlan = vlan.and_then(VlanId::new);
        Host::new("h", [2, 0, 0, 0, 0, n], Ipv4Addr::new(10, 0, 0, n), vlan)
    }

    #[test]
    fn a_ping_resolves_the_address_first_and_is_answered() {
        for vlan in [None, Some(10)] {
            let (mut a, mut b) = (host(1, vlan), host(2, vlan));
            let mut towards_b = vec![a.ping(b.ip)];
            let mut exchanged = 0;
            while let Some(frame) = towards_b.pop() {
                for answer in b.hear(&frame).replies {
                    towards_b.extend(a.hear(&answer).replies);
                    exchanged += 2;
                }
            }
            assert_eq!((exchanged, a.pings), (4, Pings { sent: 1, answered: 1 }));
        }
    }

    #[test]
    fn a_host_hears_its_own_vlan_and_its_own_address_only() {
        let (mut a, mut b, mut c) = (host(1, Some(10)), host(2, Some(20)), host(3, Some(10)));
        let to_b = a.ping(b.ip);
        assert!(!b.hear(&to_b).accepted, "another VLAN");
        assert!(c.hear(&to_b).accepted && c.hear(&to_b).replies.is_empty(), "not asked");
        assert!(!c.hear(&a.raw(b.mac, 64)).accepted, "another address");
    }
}
