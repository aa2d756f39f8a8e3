//! The short way, which nearly every frame takes: TCP, UDP and the like, untagged, between a machine
//! with a binding and somebody outside.
//!
//! Only the Ethernet header changes there, so it is enough to read the first 54 bytes, to find one
//! binding and to write six bytes. Whatever is not plainly of this kind goes the long way, which
//! knows all the rules; nothing has changed then. A test sends everything both ways and compares.

use vlan_table::PortId;

use super::claim::Kind;
use super::keys::{AddrKey, MacKey};
use super::{MacNat, put};
use crate::frame::Header;
use crate::{Side, Verdict, Vlans};

impl MacNat {
    /// The verdict, if the frame can go the short way.
    #[inline]
    pub(super) fn shortcut(&mut self, now: u64, from: Side, frame: &mut [u8]) -> Option<Verdict> {
        match from {
            Side::Inside(port) => self.short_egress(now, port, frame),
            Side::Uplink => self.short_ingress(now, frame),
            Side::Host => None,
        }
    }

    #[inline]
    fn short_egress(&mut self, now: u64, port: PortId, frame: &mut [u8]) -> Option<Verdict> {
        let plain = Plain::new(frame)?;
        if !self.is_stranger(plain.dst()?) {
            return None;
        }
        let lifetime = self.lifetime;
        let source = self.bindings.lookup_mut(&plain.source()?)?;
        let owner = source.port == Some(port) && MacKey::new(source.inside) == plain.src()?;
        if !owner || now >= source.expires {
            return None;
        }
        if source.kind == Kind::Learned {
            source.expires = now.saturating_add(lifetime);
        }
        put(frame, Header::SRC, &source.wire);
        self.counters.frames += 1;
        self.counters.to_uplink += 1;
        Some(Verdict::Forward(Side::Uplink))
    }

    #[inline]
    fn short_ingress(&mut self, now: u64, frame: &mut [u8]) -> Option<Verdict> {
        let plain = Plain::new(frame)?;
        let (dst, src) = (plain.dst()?, plain.src()?);
        let ours = dst == MacKey::new(self.host) || self.is_wire(dst.mac());
        if !ours || !self.is_stranger(src) || !self.config.broadcasts.is_empty() {
            return None;
        }
        let owner = self.bindings.lookup(&plain.destination()?).filter(|owner| now < owner.expires)?;
        let port = owner.port?;
        put(frame, Header::DST, &owner.inside);
        self.counters.frames += 1;
        self.counters.to_inside += 1;
        Some(Verdict::Forward(Side::Inside(port)))
    }

    /// Whether a MAC is neither ours nor a machine's. Nearly always it is the router's again.
    #[inline]
    fn is_stranger(&mut self, mac: MacKey) -> bool {
        mac == self.stranger || self.looks_strange(mac)
    }

    #[cold]
    fn looks_strange(&mut self, mac: MacKey) -> bool {
        let stranger = self.macs.find(&mac).is_none();
        if stranger {
            self.stranger = mac;
        }
        stranger
    }
}

/// The head of a frame that is plainly one to translate: no tag, options or fragment, and no protocol
/// that names MACs. Read in whole words, since there is not time for bytes.
#[derive(Clone, Copy)]
enum Plain<'a> {
    V4(&'a [u8; 38]),
    V6(&'a [u8; 54]),
}

impl<'a> Plain<'a> {
    #[inline]
    fn new(frame: &'a [u8]) -> Option<Self> {
        const GROUP: u64 = 1 << 40;
        let head: &[u8; 38] = frame.first_chunk()?;
        if (word(head, 0)? >> 16 | word(head, 4)?) & GROUP != 0 {
            return None;
        }
        match word(head, 12)? >> 40 {
            0x08_0045 => plain_v4(frame.len(), head)?.then_some(Self::V4(head)),
            0x86_DD60..=0x86_DD6F => {
                let head = frame.first_chunk()?;
                plain_v6(frame.len(), head)?.then_some(Self::V6(head))
            }
            _ => None,
        }
    }

    #[inline]
    fn dst(self) -> Option<MacKey> {
        self.word(0).map(|word| MacKey::from_bits(word >> 16))
    }

    #[inline]
    fn src(self) -> Option<MacKey> {
        self.word(4).map(MacKey::from_bits)
    }

    /// `None` if it is not a host's address.
    #[inline]
    fn source(self) -> Option<AddrKey> {
        match self {
            Self::V4(head) => host_v4(head.get(26..)?.first_chunk()?),
            Self::V6(head) => host_v6([word(head, 22)?, word(head, 30)?]),
        }
    }

    /// `None` if it is not a host's address.
    #[inline]
    fn destination(self) -> Option<AddrKey> {
        match self {
            Self::V4(head) => host_v4(head.get(30..)?.first_chunk()?),
            Self::V6(head) => host_v6([word(head, 38)?, word(head, 46)?]),
        }
    }

    #[inline]
    fn word(self, at: usize) -> Option<u64> {
        match self {
            Self::V4(head) => word(head, at),
            Self::V6(head) => word(head, at),
        }
    }
}

/// A whole packet without options, and not DHCP.
#[inline]
fn plain_v4(frame_len: usize, head: &[u8; 38]) -> Option<bool> {
    const UDP: u64 = 17;
    let total_len = (word(head, 12)? >> 16 & 0xFFFF) as usize;
    let (fragment, protocol) = (word(head, 20)? >> 48 & 0x3FFF, word(head, 20)? >> 32 & 0xFF);
    let source_port = word(head, 30)? >> 16 & 0xFFFF;
    let dhcp = protocol == UDP && matches!(source_port, 67 | 68);
    Some(total_len >= 20 && total_len + 14 <= frame_len && fragment == 0 && !dhcp)
}

/// TCP or UDP without extension headers, and no address that begins with zeros: unspecified, loopback
/// or IPv4 in disguise.
#[inline]
fn plain_v6(frame_len: usize, head: &[u8; 54]) -> Option<bool> {
    let lengths = word(head, 14)?;
    let end = 54 + (lengths >> 16 & 0xFFFF) as usize;
    let zeros = word(head, 22)? == 0 || word(head, 38)? == 0;
    Some(end <= frame_len && matches!(lengths >> 8 & 0xFF, 6 | 17) && !zeros)
}

/// Neither "this network" nor loopback nor a group.
#[inline]
fn host_v4(addr: &[u8; 4]) -> Option<AddrKey> {
    let addr = u32::from_be_bytes(*addr);
    let first = addr >> 24;
    let host = first != 0 && first != 127 && first < 224;
    host.then(|| AddrKey::v4(Vlans::UNTAGGED, addr.into()))
}

/// No group.
#[inline]
fn host_v6([high, low]: [u64; 2]) -> Option<AddrKey> {
    let addr = u128::from(high) << 64 | u128::from(low);
    (high >> 56 != 0xFF).then(|| AddrKey::v6(Vlans::UNTAGGED, addr.into()))
}

#[inline]
fn word(head: &[u8], at: usize) -> Option<u64> {
    head.get(at..)?.first_chunk().map(|word| u64::from_be_bytes(*word))
}
