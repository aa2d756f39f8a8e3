//! What concerns single ports: sets of them, link, rates, counters.

use core::fmt;

use crate::{PortId, PortMask};

/// The ports in register 0101, 32 bits: bit n is physical port n.
pub const fn loop_ports(bits: u32) -> PortMask {
    PortMask::from_bits(bits as u64)
}

/// A set of ports in two registers: ports 0..16, then the others.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PortHalves {
    /// The register at the address that is documented.
    pub low: u16,
    /// The register behind it.
    pub high: u16,
}

impl PortHalves {
    /// The ports.
    pub const fn ports(self) -> PortMask {
        PortMask::from_bits((self.high as u64) << 16 | self.low as u64)
    }

    /// The registers that hold `ports`; ports from 32 on have no place and are left out.
    pub const fn from_ports(ports: PortMask) -> Self {
        Self { low: ports.bits() as u16, high: (ports.bits() >> 16) as u16 }
    }
}

/// The value to write to registers 0700+n so that the counters count bytes.
pub const MIB_BYTES: u16 = 0;

/// One of registers 0619 to 0625: two ports, a byte each.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct LinkStates(pub u16);

impl LinkStates {
    /// The byte of `port`: the low one if its number is even.
    pub const fn of(self, port: PortId) -> LinkState {
        LinkState((self.0 >> byte_shift(port)) as u8)
    }

    /// The value with the byte of `port` replaced.
    #[must_use]
    pub const fn with(self, port: PortId, state: LinkState) -> Self {
        Self(self.0 & !(0xFF << byte_shift(port)) | (state.0 as u16) << byte_shift(port))
    }
}

/// The link of one port.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct LinkState(pub u8);

impl LinkState {
    /// No link.
    pub const DOWN: Self = Self(0);

    /// A link that was negotiated.
    pub const fn up(speed: Speed, full_duplex: bool) -> Self {
        Self(speed as u8 | (full_duplex as u8) << 2 | 1 << 4 | 1 << 7)
    }

    /// Speed, also of a link that is down; `None` for the fourth code.
    pub const fn speed(self) -> Option<Speed> {
        match self.0 & 0b11 {
            0 => Some(Speed::Mbps10),
            1 => Some(Speed::Mbps100),
            2 => Some(Speed::Mbps1000),
            _ => None,
        }
    }

    /// Sends and receives at the same time.
    pub const fn full_duplex(self) -> bool {
        self.0 & 1 << 2 != 0
    }

    /// The link is up.
    pub const fn is_up(self) -> bool {
        self.0 & 1 << 4 != 0
    }

    /// Flow control is in use.
    pub const fn flow_control(self) -> bool {
        self.0 & 1 << 5 != 0
    }

    /// Speed and duplex are negotiated, not forced.
    pub const fn autonegotiation(self) -> bool {
        self.0 & 1 << 7 != 0
    }
}

/// Speed of a link.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Speed {
    /// 10 Mbit/s.
    Mbps10 = 0,
    /// 100 Mbit/s.
    Mbps100 = 1,
    /// 1 Gbit/s.
    Mbps1000 = 2,
}

impl Speed {
    /// The speed as a number.
    pub const fn mbps(self) -> u16 {
        match self {
            Self::Mbps10 => 10,
            Self::Mbps100 => 100,
            Self::Mbps1000 => 1000,
        }
    }
}

/// One of registers 020A to 0216: two ports, and for each what it may receive and send.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct RateLimits(pub u16);

impl RateLimits {
    /// What `port` may receive.
    pub const fn receive(self, port: PortId) -> Rate {
        Rate::from_nibble(self.0 >> byte_shift(port))
    }

    /// What `port` may send.
    pub const fn send(self, port: PortId) -> Rate {
        Rate::from_nibble(self.0 >> (byte_shift(port) + 4))
    }

    /// The value with both rates of `port` replaced.
    #[must_use]
    pub const fn with(self, port: PortId, receive: Rate, send: Rate) -> Self {
        let both = receive.0 as u16 | (send.0 as u16) << 4;
        Self(self.0 & !(0xFF << byte_shift(port)) | both << byte_shift(port))
    }
}

/// A rate limit: none, or 128 kbit/s times a power of two up to 8192 kbit/s.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rate(u8);

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self(0);

    /// The limit in kbit/s; `None` if there is none.
    pub const fn kbps(self) -> Option<u32> {
        match self.0 {
            0 => None,
            k => Some(128 << (k - 1)),
        }
    }

    /// The widest limit that is not above `kbps`; `None` below 128.
    pub const fn at_most(kbps: u32) -> Option<Self> {
        match kbps / 128 {
            0 => None,
            times => {
                let k = times.ilog2() as u8 + 1;
                Some(Self(if k > 7 { 7 } else { k }))
            }
        }
    }

    /// The top bit has no documented meaning and is left out.
    const fn from_nibble(bits: u16) -> Self {
        Self(bits as u8 & 0b111)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kbps() {
            Some(kbps) => write!(f, "{kbps} kbit/s"),
            None => f.write_str("unlimited"),
        }
    }
}

/// Even ports stand in the low byte of a register, odd ones in the high byte.
const fn byte_shift(port: PortId) -> u32 {
    if port.get().is_multiple_of(2) { 0 } else { 8 }
}
