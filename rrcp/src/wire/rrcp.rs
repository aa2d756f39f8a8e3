//! Realtek Remote Control Protocol: hello, get, set and the replies.

use core::fmt;

use macaddr::MacAddr6;

use super::message::{Head, Payload, protocol};
use crate::ParseError;

/// An RRCP message.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rrcp {
    /// Sixteen bits, in clear text: it keeps accidents out, not people.
    pub key: AuthKey,
    /// What is asked or answered.
    pub op: Op,
}

/// What an RRCP message asks or answers. There is no reply to a set: read the register back.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Op {
    /// Who is there? Broadcast, or unicast to one switch.
    Hello,
    /// A switch answers a hello.
    HelloReply(HelloReply),
    /// Read a register; the data is zero.
    Get(Access),
    /// A switch answers a get.
    GetReply(Access),
    /// Write a register.
    Set(Access),
}

/// A register, its value, and the cookie that tells whose exchange it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Access {
    /// Which register.
    pub register: RegisterAddress,
    /// Its value. Most registers have 16 bits; 0x0101, 0x0309 and the MIB counters have 32.
    pub data: u32,
    /// Free for the requester, returned by the switch; zero if the frame ends before it.
    pub cookie: Cookie,
}

/// What a switch says about itself and the cable above it: one edge of the tree of switches.
///
/// All of it is the network's word: use no field as an index unchecked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct HelloReply {
    /// Physical port, from 0, of the replying switch that faces the asking station.
    pub downlink_port: u8,
    /// Port of the next switch towards the station that the reply came in on; written in transit.
    pub uplink_port: u8,
    /// Address of that switch; zero as long as no RRCP switch forwarded the reply.
    pub uplink_mac: MacAddr6,
    /// From the EEPROM, so it does not prove the chip.
    pub chip: ChipId,
    /// From the EEPROM as well.
    pub vendor: VendorId,
}

mod field {
    pub(super) const OPCODE: usize = 1;
    pub(super) const REPLY: u8 = 0x80;

    pub(super) const HELLO: u8 = 0x00;
    pub(super) const GET: u8 = 0x01;
    pub(super) const SET: u8 = 0x02;
    pub(super) const HELLO_REPLY: u8 = HELLO | REPLY;
    pub(super) const GET_REPLY: u8 = GET | REPLY;

    pub(super) const HEADER_LEN: usize = 4;
    pub(super) const ACCESS_LEN: usize = 10;
    pub(super) const COOKIE: usize = 10;
    /// The uplink's address follows.
    pub(super) const UPLINK_PORT: usize = 5;
    pub(super) const HELLO_REPLY_LEN: usize = 18;
}

impl Rrcp {
    /// Gets, their replies and sets with room for a cookie: nearly all of the traffic, in one look.
    #[inline]
    pub(super) fn parse_access(payload: &[u8]) -> Option<Self> {
        let &[protocol::RRCP, opcode, k0, k1, r0, r1, d0, d1, d2, d3, ref cookie @ ..] =
            payload.first_chunk::<{ field::COOKIE + 8 }>()?
        else {
            return None;
        };
        let access = Access {
            register: RegisterAddress(u16::from_le_bytes([r0, r1])),
            data: u32::from_le_bytes([d0, d1, d2, d3]),
            cookie: Cookie(*cookie),
        };
        let op = match opcode {
            field::GET => Op::Get(access),
            field::GET_REPLY => Op::GetReply(access),
            field::SET => Op::Set(access),
            _ => return None,
        };
        Some(Self { key: AuthKey(u16::from_be_bytes([k0, k1])), op })
    }

    /// `None` for an opcode that no document defines, such as 82.
    #[inline]
    pub(super) fn parse(payload: Payload<'_>) -> Result<Option<Self>, ParseError> {
        let &[_, opcode, key_hi, key_lo] = payload.head::<{ field::HEADER_LEN }>("RRCP header")?;
        let op = match opcode {
            field::HELLO => Op::Hello,
            field::HELLO_REPLY => Op::HelloReply(HelloReply::parse(payload)?),
            field::GET => Op::Get(Access::parse(payload, "get")?),
            field::GET_REPLY => Op::GetReply(Access::parse(payload, "get reply")?),
            field::SET => Op::Set(Access::parse(payload, "set")?),
            _ => return Ok(None),
        };
        Ok(Some(Self { key: AuthKey(u16::from_be_bytes([key_hi, key_lo])), op }))
    }

    #[inline]
    pub(super) fn write(&self, head: &mut Head) {
        head[field::OPCODE] = match &self.op {
            Op::Hello => field::HELLO,
            Op::HelloReply(reply) => {
                reply.write(head);
                field::HELLO_REPLY
            }
            Op::Get(access) => access.write(head, field::GET),
            Op::GetReply(access) => access.write(head, field::GET_REPLY),
            Op::Set(access) => access.write(head, field::SET),
        };
        head[0] = protocol::RRCP;
        [head[2], head[3]] = self.key.0.to_be_bytes();
    }
}

impl Access {
    #[inline]
    fn parse(payload: Payload<'_>, layer: &'static str) -> Result<Self, ParseError> {
        let &[_, _, _, _, r0, r1, d0, d1, d2, d3] = payload.head::<{ field::ACCESS_LEN }>(layer)?;
        Ok(Self {
            register: RegisterAddress(u16::from_le_bytes([r0, r1])),
            data: u32::from_le_bytes([d0, d1, d2, d3]),
            cookie: Cookie::parse(payload),
        })
    }

    #[inline]
    fn write(&self, head: &mut Head, opcode: u8) -> u8 {
        [head[4], head[5]] = self.register.0.to_le_bytes();
        [head[6], head[7], head[8], head[9]] = self.data.to_le_bytes();
        let [c0, c1, c2, c3, c4, c5, c6, c7] = self.cookie.0;
        [head[10], head[11], head[12], head[13]] = [c0, c1, c2, c3];
        [head[14], head[15], head[16], head[17]] = [c4, c5, c6, c7];
        opcode
    }
}

impl HelloReply {
    /// The switch above, if an RRCP switch forwarded the reply: its address and port.
    pub fn uplink(&self) -> Option<(MacAddr6, u8)> {
        (!self.uplink_mac.is_nil()).then_some((self.uplink_mac, self.uplink_port))
    }

    /// Writes the uplink into the hello reply whose payload starts at `at` of `frame`.
    pub(crate) fn write_uplink(frame: &mut [u8], at: usize, mac: MacAddr6, port: u8) -> bool {
        let bytes = frame.get_mut(at + field::UPLINK_PORT..).and_then(|rest| rest.first_chunk_mut());
        let [m0, m1, m2, m3, m4, m5] = mac.into_array();
        bytes.map(|bytes| *bytes = [port, m0, m1, m2, m3, m4, m5]).is_some()
    }

    #[inline]
    fn parse(payload: Payload<'_>) -> Result<Self, ParseError> {
        let &[_, _, _, _, downlink_port, uplink_port, m0, m1, m2, m3, m4, m5, c0, c1, v0, v1, v2, v3] =
            payload.head::<{ field::HELLO_REPLY_LEN }>("hello reply")?;
        Ok(Self {
            downlink_port,
            uplink_port,
            uplink_mac: MacAddr6::new(m0, m1, m2, m3, m4, m5),
            chip: ChipId(u16::from_le_bytes([c0, c1])),
            vendor: VendorId(u32::from_le_bytes([v0, v1, v2, v3])),
        })
    }

    #[inline]
    fn write(&self, head: &mut Head) {
        [head[4], head[5]] = [self.downlink_port, self.uplink_port];
        [head[6], head[7], head[8], head[9], head[10], head[11]] = self.uplink_mac.into_array();
        [head[12], head[13]] = self.chip.0.to_le_bytes();
        [head[14], head[15], head[16], head[17]] = self.vendor.0.to_le_bytes();
    }
}

/// The authentication key, as register 0x0209 holds it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AuthKey(pub u16);

impl AuthKey {
    /// What every chip starts with: bytes `23 79` on the wire.
    pub const DEFAULT: Self = Self(0x2379);
}

impl Default for AuthKey {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// A register of a switch chip; see [`registers`](crate::registers) for what is known.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RegisterAddress(pub u16);

impl fmt::Display for RegisterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// Eight bytes that a switch returns as they came, in frame order.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Cookie(pub [u8; 8]);

impl Cookie {
    /// No cookie: what padding looks like.
    pub const NONE: Self = Self([0; 8]);

    /// All eight bytes, or none.
    #[inline]
    pub(super) fn parse(payload: Payload<'_>) -> Self {
        let cookie = payload.bytes.get(field::COOKIE..).and_then(<[u8]>::first_chunk);
        Self(cookie.copied().unwrap_or_default())
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The chip's number in its EEPROM (register 0x0206, low 8 bits in use).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ChipId(pub u16);

impl fmt::Display for ChipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// The vendor's number in the EEPROM: register 0x0207 is the low half, 0x0208 the high half.
///
/// That it is one little-endian number is inferred from the order of the EEPROM bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VendorId(pub u32);

impl fmt::Display for VendorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}
