//! The short way, which nearly every frame takes: TCP, UDP and the like, untagged, between a machine
//! with a binding and somebody outside; and neighbour discovery in the form that every kernel sends.
//!
//! Only the Ethernet header changes there (and one option), so it is enough to read the first bytes,
//! to find one binding and to write six bytes. Whatever is not plainly of this kind goes the long way,
//! which knows all the rules; nothing has changed then. A test sends frames both ways and compares.

use vlan_table::PortId;

use super::claim::Kind;
use super::keys::{AddrKey, MacKey};
use super::{MacNat, put};
use crate::checksum::adjust;
use crate::frame::{Header, Mac};
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
        let Some(plain) = Plain::new(frame) else { return self.short_discovery(now, port, frame) };
        if !self.is_stranger(plain.dst()?) {
            return None;
        }
        let wire = self.wire_of_owner(now, port, plain.src()?, plain.source()?)?;
        put(frame, Header::SRC, &wire);
        self.counters.frames += 1;
        self.counters.to_uplink += 1;
        Some(Verdict::Forward(Side::Uplink))
    }

    #[inline]
    fn short_discovery(&mut self, now: u64, port: PortId, frame: &mut [u8]) -> Option<Verdict> {
        let message = Discovery::new(frame)?;
        if !message.to_group && !self.is_stranger(message.dst) {
            return None;
        }
        let wire = self.wire_of_owner(now, port, message.src, message.source)?;
        let checksum = adjust(message.checksum, 0, &message.mac, &wire);
        put(frame, Header::SRC, &wire);
        put(frame, Discovery::MAC, &wire);
        put(frame, Discovery::CHECKSUM, &checksum.to_be_bytes());
        let verdict = if message.to_group { Verdict::Flood } else { Verdict::Forward(Side::Uplink) };
        self.counters.count(verdict);
        Some(verdict)
    }

    /// The wire MAC of a machine that speaks as an address of its own, which keeps the binding.
    #[inline]
    fn wire_of_owner(&mut self, now: u64, port: PortId, mac: MacKey, key: AddrKey) -> Option<Mac> {
        let source = self.bindings.lookup_mut(&key)?;
        if source.port != Some(port) || MacKey::new(source.inside) != mac || now >= source.expires {
            return None;
        }
        if source.kind == Kind::Learned {
            source.expires = now.saturating_add(self.lifetime);
        }
        Some(source.wire)
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

/// A solicitation, or an advertisement of the sender's own address, whose only option holds a MAC.
struct Discovery {
    dst: MacKey,
    src: MacKey,
    /// To an IPv6 group, as most solicitations are.
    to_group: bool,
    source: AddrKey,
    checksum: u16,
    mac: Mac,
}

impl Discovery {
    const CHECKSUM: usize = 56;
    const MAC: usize = 80;

    #[inline]
    fn new(frame: &[u8]) -> Option<Self> {
        const TARGET: usize = 62;
        let head: &[u8; 86] = frame.first_chunk()?;
        let (dst, src) = (word(head, 0)? >> 16, word(head, 4)? & 0xFFFF_FFFF_FFFF);
        let to_group = dst >> 32 == 0x3333;
        let unicast = (dst | src) >> 40 & 1 == 0 || to_group && src >> 40 & 1 == 0;
        // Payload of 32 bytes, ICMPv6, hop limit 255.
        let fixed = word(head, 12)? >> 44 == 0x8_6DD6 && word(head, 14)? & 0xFFFF_FFFF == 0x20_3AFF;
        let (high, low) = (word(head, 22)?, word(head, 30)?);
        let (target_high, target_low) = (word(head, TARGET)?, word(head, TARGET + 8)?);
        let own = (target_high, target_low) == (high, low);
        let kind = match word(head, 54)? >> 48 {
            0x8700 => true,
            0x8800 => own,
            _ => false,
        };
        let option = matches!(word(head, 78)? >> 48, 0x0101 | 0x0201);
        // What begins with zeros is unspecified, loopback or IPv4 in disguise.
        let zeros = high == 0 || target_high == 0 || word(head, 38)? == 0;
        if !unicast || !fixed || !kind || !option || zeros {
            return None;
        }
        let checksum = u16::from_be_bytes(*head.get(Self::CHECKSUM..)?.first_chunk()?);
        let mac = *head.get(Self::MAC..)?.first_chunk()?;
        let (dst, src) = (MacKey::from_bits(dst), MacKey::from_bits(src));
        Some(Self { dst, src, to_group, source: host_v6([high, low])?, checksum, mac })
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

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::net::IpAddr;

    use super::*;
    use crate::{Binding, Config, Mode, Port};

    const V: [u8; 6] = [0xFA, 0x16, 0x3E, 0, 0, 1];
    const E: [u8; 6] = [0x52, 0x54, 0, 0xAA, 0, 1];
    const ROUTER: [u8; 6] = [0, 7, 0xB4, 0, 0, 2];
    const IP4: [u8; 4] = [203, 0, 113, 11];
    const IP6: [u8; 16] = [0x20, 1, 0xD, 0xB8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
    const OTHER6: [u8; 16] = [0x20, 1, 0xD, 0xB8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

    fn frame(dst: [u8; 6], src: [u8; 6], parts: &[&[u8]]) -> Vec<u8> {
        let mut frame = [&dst[..], &src, &parts.concat()].concat();
        frame.resize(frame.len().max(60), 0);
        frame
    }

    /// What the comparison with the long way cannot show: that the short way is taken.
    #[test]
    fn what_the_short_way_is_for_takes_it() {
        let port = PortId::new(1).unwrap();
        let mut config = Config::new(Mode::Single, E.into());
        config.ports.push(Port::new(port));
        for addr in [IpAddr::from(IP4), IP6.into()] {
            config.bindings.push(Binding::fixed(addr, port, V.into(), E.into()));
        }
        let mut nat = MacNat::new(config).unwrap();
        let v4: [&[u8]; 2] = [&[8, 0, 0x45, 0, 0, 20, 0, 0, 0x40, 0, 64, 6, 0, 0], &[198, 51, 100, 1]];
        let v6 = [0x86, 0xDD, 0x60, 0, 0, 0, 0, 8, 17, 64];
        let nd = [0x86, 0xDD, 0x60, 0, 0, 0, 0, 32, 58, 255];
        let advertisement = [&[136, 0, 1, 2, 0, 0, 0, 0][..], &IP6, &[2, 1], &V].concat();
        let solicitation = [&[135, 0, 1, 2, 0, 0, 0, 0][..], &OTHER6, &[1, 1], &V].concat();
        let [inside, to_inside] = [Side::Inside(port), Side::Uplink];
        for (from, mut frame) in [
            (inside, frame(ROUTER, V, &[v4[0], &IP4, v4[1]])),
            (to_inside, frame(E, ROUTER, &[v4[0], v4[1], &IP4])),
            (inside, frame(ROUTER, V, &[&v6, &IP6, &OTHER6, &[0; 8]])),
            (to_inside, frame(E, ROUTER, &[&v6, &OTHER6, &IP6, &[0; 8]])),
            (inside, frame(ROUTER, V, &[&nd, &IP6, &OTHER6, &advertisement])),
            (inside, frame([0x33, 0x33, 0xFF, 0, 0, 1], V, &[&nd, &IP6, &OTHER6, &solicitation])),
        ] {
            assert!(nat.shortcut(0, from, &mut frame).is_some(), "{frame:02x?}");
        }
    }
}
