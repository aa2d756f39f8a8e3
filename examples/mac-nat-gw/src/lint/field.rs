//! Where in a frame the things are that rules look at and change.
//!
//! Data planes differ in what they see behind a VLAN tag, so the type field has two names here, and
//! readers of rules say which one they mean.

/// A part of a frame, or something known about it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Field {
    EthDst,
    EthSrc,
    /// The two bytes behind the addresses: with a tag, the tag's.
    OuterType,
    /// The type behind one tag at most.
    Type,
    /// As OpenFlow counts: 0 without a tag, else the tag's control field with bit 12 set.
    VlanTci,
    ArpOp,
    ArpSha,
    ArpSpa,
    ArpTha,
    ArpTpa,
    Ip4Src,
    Ip4Dst,
    Ip6Src,
    Ip6Dst,
    /// The protocol above IP, behind extension headers.
    Upper,
    /// 0 whole, 1 the first fragment, 3 a later one.
    Fragment,
    SrcPort,
    DstPort,
    UdpChecksum,
    IcmpType,
    IcmpCode,
    NdTarget,
    /// The address in the first option of type 1 (`nd_sll`) of a solicitation.
    NdSource,
    /// The address in the first option of type 2 (`nd_tll`) of an advertisement.
    NdTargetLink,
    /// Bits from where a layer begins.
    Raw(Layer, u32, u32),
    In,
    Out,
}

/// Where raw offsets count from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Layer {
    Link,
    Network,
    Transport,
}

/// How values of a field are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Notation {
    Mac,
    Ip4,
    Ip6,
    Number,
    Interface,
}

pub(crate) const ARP: u16 = 0x0806;
pub(crate) const RARP: u16 = 0x8035;
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86DD;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

impl Field {
    /// How its values are written.
    pub(crate) const fn notation(self) -> Notation {
        match self {
            Self::EthDst | Self::EthSrc | Self::ArpSha | Self::ArpTha => Notation::Mac,
            Self::NdSource | Self::NdTargetLink => Notation::Mac,
            Self::ArpSpa | Self::ArpTpa | Self::Ip4Src | Self::Ip4Dst => Notation::Ip4,
            Self::Ip6Src | Self::Ip6Dst | Self::NdTarget => Notation::Ip6,
            Self::In | Self::Out => Notation::Interface,
            _ => Notation::Number,
        }
    }

    /// Its value in a frame; `None` if the frame has none.
    pub(crate) fn read(self, frame: &[u8]) -> Option<u128> {
        let layers = Layers::of(frame)?;
        match self {
            Self::Type => Some(layers.kind.into()),
            Self::VlanTci => Some(layers.tci.into()),
            Self::Upper => Some(layers.upper?.into()),
            Self::Fragment => Some(layers.fragment.into()),
            Self::NdTarget | Self::NdSource | Self::NdTargetLink if !layers.has_sound_options(frame) => {
                Some(0)
            }
            _ => {
                let (at, bits) = self.place(frame, &layers)?;
                read_bits(frame, at, bits)
            }
        }
    }

    /// Changes it; `false` if the frame has none. Checksums stay as they are.
    pub(crate) fn write(self, frame: &mut [u8], value: u128) -> bool {
        let place = Layers::of(frame).and_then(|layers| self.place(frame, &layers));
        place.is_some_and(|(at, bits)| write_bits(frame, at, bits, value))
    }

    /// Whether the byte at this offset is a part of it.
    pub(crate) fn covers(self, frame: &[u8], at: usize) -> bool {
        let place = Layers::of(frame).and_then(|layers| self.place(frame, &layers));
        place.is_some_and(|(first, bits)| (first / 8..(first + bits).div_ceil(8)).contains(&at))
    }

    /// Where it stands: first bit and number of bits.
    fn place(self, frame: &[u8], layers: &Layers) -> Option<(usize, usize)> {
        let network = |kind: u16, at: usize, len: usize| {
            (layers.kind == kind).then_some(((layers.network + at) * 8, len * 8))
        };
        let arp = |at, len| network(ARP, at, len).or_else(|| network(RARP, at, len));
        let transport = |at: usize, len: usize| Some(((layers.transport? + at) * 8, len * 8));
        let icmp = |at, len| transport(at, len).filter(|_| matches!(layers.upper, Some(1 | ICMPV6)));
        let udp = |at, len| transport(at, len).filter(|_| matches!(layers.upper, Some(6 | UDP)));
        match self {
            Self::EthDst => Some((0, 48)),
            Self::EthSrc => Some((48, 48)),
            Self::OuterType => Some((96, 16)),
            Self::ArpOp => arp(6, 2),
            Self::ArpSha => arp(8, 6),
            Self::ArpSpa => arp(14, 4),
            Self::ArpTha => arp(18, 6),
            Self::ArpTpa => arp(24, 4),
            Self::Ip4Src => network(IPV4, 12, 4),
            Self::Ip4Dst => network(IPV4, 16, 4),
            Self::Ip6Src => network(IPV6, 8, 16),
            Self::Ip6Dst => network(IPV6, 24, 16),
            Self::SrcPort => udp(0, 2),
            Self::DstPort => udp(2, 2),
            Self::UdpChecksum => transport(6, 2).filter(|_| layers.upper == Some(UDP)),
            Self::IcmpType => icmp(0, 1),
            Self::IcmpCode => icmp(1, 1),
            Self::NdTarget => transport(8, 16).filter(|_| layers.is_icmp(frame, &[135, 136])),
            Self::NdSource => layers.option(frame, 135, 1),
            Self::NdTargetLink => layers.option(frame, 136, 2),
            Self::Raw(layer, bit, bits) => {
                let start = match layer {
                    Layer::Link => 0,
                    Layer::Network => layers.network,
                    Layer::Transport => layers.transport?,
                };
                Some((start * 8 + bit as usize, bits as usize))
            }
            Self::Type | Self::VlanTci | Self::Upper | Self::Fragment | Self::In | Self::Out => None,
        }
    }
}

/// Where the layers of a frame begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers {
    /// The type behind one tag at most.
    pub(crate) kind: u16,
    tci: u16,
    pub(crate) network: usize,
    pub(crate) upper: Option<u8>,
    fragment: u8,
    /// `None` in later fragments, which have no such header.
    pub(crate) transport: Option<usize>,
}

impl Layers {
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        let outer = word(frame, 12)?;
        let tagged = matches!(outer, 0x8100 | 0x88A8);
        let (kind, tci, network) = match tagged {
            true => (word(frame, 16)?, word(frame, 14)? | 0x1000, 18),
            false => (outer, 0, 14),
        };
        let mut layers = Self { kind, tci, network, upper: None, fragment: 0, transport: None };
        match kind {
            IPV4 => layers.ipv4(frame),
            IPV6 => layers.ipv6(frame),
            _ => Some(()),
        };
        Some(layers)
    }

    fn ipv4(&mut self, frame: &[u8]) -> Option<()> {
        let packet = frame.get(self.network..)?;
        self.upper = Some(*packet.get(9)?);
        self.note_fragment(word(packet, 6)? & 0x1FFF != 0, word(packet, 6)? & 0x2000 != 0);
        let header_len = usize::from(*packet.first()? & 15) * 4;
        self.transport = (self.fragment < 3).then_some(self.network + header_len);
        Some(())
    }

    fn ipv6(&mut self, frame: &[u8]) -> Option<()> {
        let (mut next, mut at) = (*frame.get(self.network + 6)?, self.network + 40);
        loop {
            self.upper = Some(next);
            let header = frame.get(at..at + 8)?;
            let len = match next {
                0 | 43 | 60 => usize::from(*header.get(1)?) * 8 + 8,
                44 => 8,
                _ => break,
            };
            if next == 44 {
                let word = word(header, 2)?;
                self.note_fragment(word & 0xFFF8 != 0, word & 1 != 0);
            }
            next = *header.first()?;
            at += len;
            if self.fragment == 3 {
                self.upper = Some(next);
                return Some(());
            }
        }
        self.transport = Some(at);
        Some(())
    }

    fn note_fragment(&mut self, later: bool, more: bool) {
        self.fragment = if later { 3 } else { u8::from(more) };
    }

    fn is_icmp(&self, frame: &[u8], kinds: &[u8]) -> bool {
        let kind = self.transport.and_then(|at| frame.get(at));
        self.upper == Some(ICMPV6) && kind.is_some_and(|kind| kinds.contains(kind))
    }

    /// Whether a link-layer address comes once at most: if not, Open vSwitch takes target and
    /// addresses for zero. It stops reading at a broken length.
    fn has_sound_options(&self, frame: &[u8]) -> bool {
        let end = self.network + 40 + usize::from(word(frame, self.network + 4).unwrap_or_default());
        let (mut at, mut seen) = (self.transport.unwrap_or(end) + 24, [false; 2]);
        while at + 8 <= end {
            let (Some(kind), Some(len)) = (frame.get(at), frame.get(at + 1)) else { break };
            if *len == 0 {
                break;
            }
            let known = seen.get_mut(usize::from(kind.wrapping_sub(1)));
            if known.is_some_and(|seen| core::mem::replace(seen, true)) {
                return false;
            }
            at += usize::from(*len) * 8;
        }
        true
    }

    /// The address in the first option of this type, as Open vSwitch finds it.
    fn option(&self, frame: &[u8], message: u8, kind: u8) -> Option<(usize, usize)> {
        if !self.is_icmp(frame, &[message]) {
            return None;
        }
        let mut at = self.transport? + 24;
        loop {
            let (found, len) = (*frame.get(at)?, usize::from(*frame.get(at + 1)?) * 8);
            if found == kind && len == 8 && at + 8 <= frame.len() {
                return Some(((at + 2) * 8, 48));
            }
            if len == 0 {
                return None;
            }
            at += len;
        }
    }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// An interface's name as a value, so that a wildcard is a range.
pub(crate) fn interface(name: &str) -> u128 {
    name.bytes().chain(core::iter::repeat(0)).take(16).fold(0, |value, byte| value << 8 | u128::from(byte))
}

fn read_bits(frame: &[u8], at: usize, bits: usize) -> Option<u128> {
    let bytes = frame.get(at / 8..(at + bits).div_ceil(8))?;
    if bits == 0 || bits > 128 || bytes.len() > 16 {
        return None;
    }
    let value = bytes.iter().fold(0, |value: u128, byte| value << 8 | u128::from(*byte));
    let unused = bytes.len() * 8 - (at % 8) - bits;
    Some(value >> unused & mask(bits))
}

fn write_bits(frame: &mut [u8], at: usize, bits: usize, value: u128) -> bool {
    let Some(bytes) = frame.get_mut(at / 8..(at + bits).div_ceil(8)) else { return false };
    if bits == 0 || bytes.len() > 16 {
        return false;
    }
    let unused = bytes.len() * 8 - (at % 8) - bits;
    let old = bytes.iter().fold(0, |value: u128, byte| value << 8 | u128::from(*byte));
    let kept = old & !(mask(bits) << unused);
    let new = kept | (value & mask(bits)) << unused;
    let len = bytes.len();
    bytes.copy_from_slice(new.to_be_bytes().get(16 - len..).unwrap_or_default());
    true
}

/// As many ones.
pub(crate) const fn mask(bits: usize) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}
