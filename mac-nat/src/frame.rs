//! Reads the fields that translation needs, once, and checks everything that it later relies on.
//!
//! All offsets are from the start of the frame. What this module does not understand is an error
//! with the reason: nothing is passed on because it could not be read.

use core::net::{Ipv4Addr, Ipv6Addr};

use vlan_table::{EtherType, FrameView, TagVid};

use crate::{DropReason, Vlans};

pub(crate) type Mac = [u8; 6];

/// The addresses of a frame, and where its protocol begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) dst: Mac,
    pub(crate) src: Mac,
    pub(crate) vlans: Vlans,
    ether_type: EtherType,
    at: usize,
}

impl Header {
    pub(crate) const DST: usize = 0;
    pub(crate) const SRC: usize = 6;

    #[inline]
    pub(crate) fn new(frame: &[u8]) -> Result<Self, DropReason> {
        let view = FrameView::new(frame, Vlans::MAX_TAGS).map_err(|_| DropReason::Truncated)?;
        let vlans = if view.tag_count() == 0 { Vlans::UNTAGGED } else { vlans(&view)? };
        let (ether_type, at) = (view.ether_type(), view.payload_offset());
        Ok(Self { dst: view.dst(), src: view.src(), vlans, ether_type, at })
    }

    /// The same from another source.
    pub(crate) const fn sent_by(mut self, src: Mac) -> Self {
        self.src = src;
        self
    }

    /// Whether the destination is one that bridges keep to themselves (IEEE 802.1Q-2018, table
    /// 8-1).
    pub(crate) const fn is_link_local(&self) -> bool {
        matches!(self.dst, [0x01, 0x80, 0xC2, 0, 0, 0..=0x0F])
    }

    /// Whether the destination is a group address.
    pub(crate) const fn is_group(&self) -> bool {
        vlan_table::frame::is_group(self.dst)
    }
}

/// What a frame carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    Arp(Arp),
    Rarp(Arp),
    Ipv4(Ipv4),
    Ipv6(Ipv6),
    WakeOnLan,
    Other,
}

impl Body {
    #[inline]
    pub(crate) fn new(frame: &[u8], header: &Header) -> Result<Self, DropReason> {
        let at = header.at;
        Ok(match header.ether_type {
            EtherType::IPV4 => Self::Ipv4(ipv4(frame, at).ok_or(DropReason::BadIpv4)??),
            EtherType::ARP => Self::Arp(arp(frame, at, 1..=2).ok_or(DropReason::BadArp)?),
            EtherType::IPV6 => Self::Ipv6(ipv6(frame, at).ok_or(DropReason::BadIpv6)??),
            EtherType::RARP => Self::Rarp(arp(frame, at, 3..=4).ok_or(DropReason::BadArp)?),
            EtherType::WAKE_ON_LAN => Self::WakeOnLan,
            other if other.is_tag() => return Err(DropReason::TooManyTags),
            _ => Self::Other,
        })
    }
}

/// ARP or RARP for Ethernet and IPv4 (RFC 826, RFC 903).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arp {
    /// Offset of the ARP header.
    pub(crate) at: usize,
    pub(crate) oper: u16,
    pub(crate) sha: Mac,
    pub(crate) spa: Ipv4Addr,
    pub(crate) tha: Mac,
    pub(crate) tpa: Ipv4Addr,
}

impl Arp {
    pub(crate) const REQUEST: u16 = 1;
    pub(crate) const REPLY: u16 = 2;
    pub(crate) const LEN: usize = 28;
    /// Sender hardware address, from [`Arp::at`].
    pub(crate) const SHA: usize = 8;
    /// Target hardware address, from [`Arp::at`].
    pub(crate) const THA: usize = 18;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ipv4 {
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
    pub(crate) upper: Upper4,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Upper4 {
    Dhcp(Dhcp),
    Igmp,
    Other,
}

/// A BOOTP message with the DHCP cookie (RFC 2131).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dhcp {
    /// Offset of the UDP header.
    pub(crate) udp: usize,
    /// Offset of the first byte behind the UDP datagram.
    pub(crate) end: usize,
    /// From a client: ports 68 to 67 and `op` 1. Otherwise from a server.
    pub(crate) request: bool,
    pub(crate) xid: u32,
    /// Whether the client can be reached at `ciaddr`: a renewal, a release or an inform.
    pub(crate) has_ciaddr: bool,
    /// Whether a relay speaks for the client.
    pub(crate) relayed: bool,
    pub(crate) chaddr: Mac,
    /// Whether `chaddr` is an Ethernet address.
    pub(crate) ethernet: bool,
}

impl Dhcp {
    const UDP_LEN: usize = 8;
    const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
    /// Length without options.
    const MIN_LEN: usize = 240;
    /// UDP checksum, from [`Dhcp::udp`].
    pub(crate) const CHECKSUM: usize = 6;
    /// `flags`, from [`Dhcp::udp`].
    pub(crate) const FLAGS: usize = Self::UDP_LEN + 10;
    /// `chaddr`, from [`Dhcp::udp`].
    pub(crate) const CHADDR: usize = Self::UDP_LEN + 28;
    /// Options, from [`Dhcp::udp`].
    pub(crate) const OPTIONS: usize = Self::UDP_LEN + Self::MIN_LEN;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ipv6 {
    pub(crate) src: Ipv6Addr,
    pub(crate) dst: Ipv6Addr,
    pub(crate) upper: Upper6,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Upper6 {
    Nd(Nd),
    /// Multicast listener discovery, versions 1 and 2.
    Mld,
    Other,
}

/// A neighbour discovery message (RFC 4861).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nd {
    /// Offset of the ICMPv6 header.
    pub(crate) at: usize,
    /// Offset of the first option.
    pub(crate) options: usize,
    /// Offset of the first byte behind the last option.
    pub(crate) end: usize,
    pub(crate) kind: NdKind,
    /// The target of a solicitation or advertisement.
    pub(crate) target: Option<Ipv6Addr>,
    /// Whether there is a link-layer address option.
    pub(crate) link_layer: bool,
    /// Whether the message is signed, so that no byte may change (RFC 3971).
    pub(crate) signed: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NdKind {
    RouterSolicitation,
    RouterAdvertisement,
    NeighbourSolicitation,
    NeighbourAdvertisement,
    Redirect,
}

impl NdKind {
    fn new(icmp_type: u8) -> Option<Self> {
        Some(match icmp_type {
            133 => Self::RouterSolicitation,
            134 => Self::RouterAdvertisement,
            135 => Self::NeighbourSolicitation,
            136 => Self::NeighbourAdvertisement,
            137 => Self::Redirect,
            _ => return None,
        })
    }

    /// Length before the options (RFC 4861, 4.1 to 4.5).
    const fn header_len(self) -> usize {
        match self {
            Self::RouterSolicitation => 8,
            Self::RouterAdvertisement => 16,
            Self::NeighbourSolicitation | Self::NeighbourAdvertisement => 24,
            Self::Redirect => 40,
        }
    }
}

impl Nd {
    pub(crate) const CHECKSUM: usize = 2;
    const SIGNATURE: u8 = 12;

    /// Offset of the address in the next link-layer address option; `at` is the option to start
    /// with, at first [`Nd::options`].
    pub(crate) fn next_address(&self, frame: &[u8], at: &mut usize) -> Option<usize> {
        while *at < self.end {
            let (option, [kind, len]) = (*at, array(frame, *at)?);
            *at += usize::from(len.max(1)) * 8;
            if matches!(kind, 1 | 2) {
                return Some(option + 2);
            }
        }
        None
    }
}

#[cold]
fn vlans(view: &FrameView<'_>) -> Result<Vlans, DropReason> {
    view.tags().try_fold(Vlans::UNTAGGED, |vlans, tag| match tag.vid {
        TagVid::Priority => Ok(vlans),
        TagVid::Vlan(vid) => vlans.inside(vid).ok_or(DropReason::TooManyTags),
        TagVid::Reserved => Err(DropReason::ReservedVlan),
    })
}

fn arp(frame: &[u8], at: usize, opers: core::ops::RangeInclusive<u16>) -> Option<Arp> {
    let arp: &[u8; Arp::LEN] = frame.get(at..)?.first_chunk()?;
    let [0, 1, 8, 0, 6, 4, o0, o1, rest @ ..] = arp else { return None };
    let oper = u16::from_be_bytes([*o0, *o1]);
    let ([sha, spa], [tha, tpa]) = ([0, 6], [10, 16]);
    opers.contains(&oper).then_some(Arp {
        at,
        oper,
        sha: array(rest, sha)?,
        spa: Ipv4Addr::from(array::<4>(rest, spa)?),
        tha: array(rest, tha)?,
        tpa: Ipv4Addr::from(array::<4>(rest, tpa)?),
    })
}

#[inline]
fn ipv4(frame: &[u8], at: usize) -> Option<Result<Ipv4, DropReason>> {
    const UDP: u8 = 17;
    const IGMP: u8 = 2;
    let header: &[u8; 20] = frame.get(at..)?.first_chunk()?;
    let [version_ihl, _, len0, len1, _, _, frag0, frag1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        *header;
    let header_len = usize::from(version_ihl & 0xF) * 4;
    let total_len = usize::from(u16::from_be_bytes([len0, len1]));
    if version_ihl >> 4 != 4 || header_len < 20 || total_len < header_len || frame.len() - at < total_len {
        return None;
    }
    let fragment = u16::from_be_bytes([frag0, frag1]) & 0x3FFF;
    let upper = match protocol {
        UDP if fragment & 0x1FFF == 0 => match dhcp(frame, at + header_len, at + total_len) {
            Ok(Upper4::Dhcp(_)) if fragment != 0 => return Some(Err(DropReason::FragmentedDhcp)),
            Ok(upper) => upper,
            Err(reason) => return Some(Err(reason)),
        },
        IGMP => Upper4::Igmp,
        _ => Upper4::Other,
    };
    Some(Ok(Ipv4 { src: Ipv4Addr::new(s0, s1, s2, s3), dst: Ipv4Addr::new(d0, d1, d2, d3), upper }))
}

#[inline]
fn dhcp(frame: &[u8], udp: usize, ip_end: usize) -> Result<Upper4, DropReason> {
    let Some([p0, p1, q0, q1]) = array::<4>(frame, udp) else { return Ok(Upper4::Other) };
    match (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([q0, q1])) {
        (68, 67) => bootp(frame, udp, ip_end, 1),
        // A relay speaks from 67 to 67 both ways; neither end of it is a client of ours.
        (67, 68) => bootp(frame, udp, ip_end, 2),
        _ => return Ok(Upper4::Other),
    }
    .map(Upper4::Dhcp)
    .ok_or(DropReason::BadDhcp)
}

#[cold]
fn bootp(frame: &[u8], udp: usize, ip_end: usize, expected_op: u8) -> Option<Dhcp> {
    let end = udp + usize::from(u16::from_be_bytes(array(frame, udp + 4)?));
    if end > ip_end || end < udp + Dhcp::OPTIONS {
        return None;
    }
    let at = udp + Dhcp::UDP_LEN;
    let [op, htype, hlen, _] = array(frame, at)?;
    if op != expected_op || array(frame, at + 236)? != Dhcp::COOKIE {
        return None;
    }
    Some(Dhcp {
        udp,
        end,
        request: op == 1,
        xid: u32::from_be_bytes(array(frame, at + 4)?),
        has_ciaddr: array(frame, at + 12)? != [0; 4],
        relayed: array(frame, at + 24)? != [0; 4],
        chaddr: array(frame, at + 28)?,
        ethernet: htype == 1 && hlen == 6,
    })
}

fn ipv6(frame: &[u8], at: usize) -> Option<Result<Ipv6, DropReason>> {
    const HEADER_LEN: usize = 40;
    const ICMPV6: u8 = 58;
    let [version, _, _, _, len0, len1, next, hop_limit] = array(frame, at)?;
    let end = at + HEADER_LEN + usize::from(u16::from_be_bytes([len0, len1]));
    if version >> 4 != 6 || end > frame.len() {
        return None;
    }
    let (src, dst) =
        (Ipv6Addr::from(array::<16>(frame, at + 8)?), Ipv6Addr::from(array::<16>(frame, at + 24)?));
    // Such addresses live inside hosts; in our keys they stand for IPv4.
    if src.to_ipv4_mapped().is_some() || dst.to_ipv4_mapped().is_some() {
        return Some(Err(DropReason::BadAddress));
    }
    let chain = Chain::walk(frame, next, at + HEADER_LEN, end)?;
    let upper = match chain.next {
        ICMPV6 if !chain.later_fragment => match icmpv6(frame, &chain, hop_limit, end) {
            Ok(upper) => upper,
            Err(reason) => return Some(Err(reason)),
        },
        _ => Upper6::Other,
    };
    Some(Ok(Ipv6 { src, dst, upper }))
}

/// What stands between the IPv6 header and the upper layer.
struct Chain {
    next: u8,
    at: usize,
    fragmented: bool,
    later_fragment: bool,
    authenticated: bool,
}

impl Chain {
    /// `None` if the chain does not end inside the packet (RFC 7112 wants it in the first
    /// fragment, so such a packet never arrives anywhere).
    fn walk(frame: &[u8], next: u8, at: usize, end: usize) -> Option<Self> {
        const HOP_BY_HOP: u8 = 0;
        const ROUTING: u8 = 43;
        const FRAGMENT: u8 = 44;
        const AUTHENTICATION: u8 = 51;
        const NO_NEXT: u8 = 59;
        const DESTINATION: u8 = 60;
        let mut chain = Self { next, at, fragmented: false, later_fragment: false, authenticated: false };
        while !chain.later_fragment {
            let len = match chain.next {
                HOP_BY_HOP | ROUTING | DESTINATION => usize::from(*frame.get(chain.at + 1)?) * 8 + 8,
                AUTHENTICATION => usize::from(*frame.get(chain.at + 1)?) * 4 + 8,
                FRAGMENT => 8,
                NO_NEXT => return Some(chain),
                _ => break,
            };
            if chain.at + len > end {
                return None;
            }
            match chain.next {
                FRAGMENT => {
                    chain.fragmented = true;
                    chain.later_fragment = u16::from_be_bytes(array(frame, chain.at + 2)?) & 0xFFF8 != 0;
                }
                AUTHENTICATION => chain.authenticated = true,
                _ => {}
            }
            chain.next = *frame.get(chain.at)?;
            chain.at += len;
        }
        (chain.at <= end).then_some(chain)
    }
}

fn icmpv6(frame: &[u8], chain: &Chain, hop_limit: u8, end: usize) -> Result<Upper6, DropReason> {
    let header = frame.get(chain.at..end).and_then(|upper| upper.first_chunk::<4>());
    let Some([icmp_type, code, _, _]) = header else { return Err(DropReason::BadIpv6) };
    match (NdKind::new(*icmp_type), icmp_type) {
        (Some(_), _) if chain.fragmented => Err(DropReason::FragmentedNd),
        (Some(_), _) if hop_limit != 255 || *code != 0 => Err(DropReason::BadNd),
        (Some(kind), _) => nd(frame, chain, kind, end).map(Upper6::Nd),
        (None, 130..=132 | 143) => Ok(Upper6::Mld),
        (None, _) => Ok(Upper6::Other),
    }
}

fn nd(frame: &[u8], chain: &Chain, kind: NdKind, end: usize) -> Result<Nd, DropReason> {
    let options_at = chain.at + kind.header_len();
    let has_target = matches!(kind, NdKind::NeighbourSolicitation | NdKind::NeighbourAdvertisement);
    let target = array::<16>(frame, chain.at + 8).filter(|_| has_target).map(Ipv6Addr::from);
    if options_at > end || target.is_some_and(|target| target.to_ipv4_mapped().is_some()) {
        return Err(DropReason::BadNd);
    }
    let mut nd = Nd {
        at: chain.at,
        options: options_at,
        end,
        kind,
        target,
        link_layer: false,
        signed: chain.authenticated,
    };
    for option in options(frame, options_at, end) {
        let (option, at) = option?;
        let eight_bytes = frame.get(at + 1) == Some(&1);
        match option {
            1 | 2 if !eight_bytes => return Err(DropReason::BadNd),
            1 | 2 => nd.link_layer = true,
            Nd::SIGNATURE => nd.signed = true,
            _ => {}
        }
    }
    Ok(nd)
}

/// Type and offset of every option; the last item is an error if a length is 0 or overruns.
fn options(frame: &[u8], at: usize, end: usize) -> impl Iterator<Item = Result<(u8, usize), DropReason>> {
    let mut at = at;
    core::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let option = match array::<2>(frame, at) {
            Some([kind, len]) if len > 0 && at + usize::from(len) * 8 <= end => {
                Ok((kind, at, usize::from(len) * 8))
            }
            _ => Err(DropReason::BadNd),
        };
        at = option.map_or(end, |(_, at, len)| at + len);
        Some(option.map(|(kind, at, _)| (kind, at)))
    })
}

#[inline]
fn array<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..)?.first_chunk().copied()
}
