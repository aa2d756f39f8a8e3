//! The family's kinds, told apart by the first byte behind the EtherType.

use super::{CpuTag, Probe, Rep, Rrcp};
use crate::ParseError;

/// Payload of the shortest untagged frame.
pub(super) const MIN_PAYLOAD: usize = 46;
/// The longest fixed layout, that of [`Vector`](super::Vector).
pub(super) const HEAD_LEN: usize = 23;

/// The front of a payload, which is zero before a kind writes its fields.
pub(super) type Head = [u8; HEAD_LEN];

/// First bytes behind the EtherType.
pub(super) mod protocol {
    pub(in crate::wire) const RRCP: u8 = 0x01;
    pub(in crate::wire) const REP: u8 = 0x02;
    pub(in crate::wire) const CLASSIC_PROBE: u8 = 0x03;
    pub(in crate::wire) const CPU_TAG_8: u8 = 0x04;
    pub(in crate::wire) const RLDP: u8 = 0x23;
    pub(in crate::wire) const VECTOR: u8 = 0x25;
    /// High nibbles of the 4-byte CPU tags.
    pub(in crate::wire) const CPU_TAG_RTL8306: u8 = 0x9;
    pub(in crate::wire) const CPU_TAG_RTL8366: u8 = 0xA;
}

/// What a frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message<'a> {
    /// Realtek Remote Control Protocol: find switches, read and write registers.
    Rrcp(Rrcp),
    /// Realtek Echo Protocol.
    Rep(Rep),
    /// A loop probe of any form.
    Probe(Probe),
    /// A tag between a switch chip and its CPU that leaked onto the wire; never a probe.
    CpuTag(CpuTag<'a>),
    /// A protocol byte or an RRCP opcode that no document defines.
    Unknown(Unknown<'a>),
}

impl<'a> Message<'a> {
    /// Whether the bytes behind the EtherType, which start at offset `at` of their frame, are enough
    /// for what they begin with.
    #[inline]
    pub(super) fn check(payload: &'a [u8], at: usize) -> Result<(), ParseError> {
        // No kind needs more.
        if payload.len() >= HEAD_LEN {
            return Ok(());
        }
        Self::parse(Payload { bytes: payload, at }).map(drop)
    }

    /// Reads the bytes behind the EtherType, of which [`check`](Self::check) said that they are enough.
    #[inline]
    pub(super) fn parse_checked(payload: &'a [u8]) -> Self {
        match Rrcp::parse_access(payload) {
            Some(rrcp) => Self::Rrcp(rrcp),
            None => {
                Self::parse(Payload { bytes: payload, at: 0 }).unwrap_or(Self::Unknown(Unknown { payload }))
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn parse(payload: Payload<'a>) -> Result<Self, ParseError> {
        // The whole byte decides first, its high nibble only afterwards.
        Ok(match payload.protocol()? {
            protocol::RRCP => match Rrcp::parse(payload)? {
                Some(rrcp) => Self::Rrcp(rrcp),
                None => Self::Unknown(Unknown { payload: payload.bytes }),
            },
            protocol::REP => Self::Rep(Rep::parse(payload)),
            protocol::CLASSIC_PROBE => Self::Probe(Probe::parse_classic(payload)),
            protocol::RLDP => Self::Probe(Probe::parse_rldp(payload)?),
            protocol::VECTOR => Self::Probe(Probe::parse_vector(payload)?),
            other => match CpuTag::parse(other, payload)? {
                Some(tag) => Self::CpuTag(tag),
                None => Self::Unknown(Unknown { payload: payload.bytes }),
            },
        })
    }

    /// Bytes behind the EtherType when emitted, padding included.
    #[inline]
    pub(super) fn payload_len(&self) -> usize {
        match self {
            Self::Rrcp(_) | Self::Rep(_) | Self::Probe(_) => MIN_PAYLOAD,
            Self::CpuTag(tag) => tag.as_bytes().len().max(MIN_PAYLOAD),
            Self::Unknown(unknown) => unknown.payload.len().max(MIN_PAYLOAD),
        }
    }

    /// Writes all of `out`, which has [`payload_len`](Self::payload_len) bytes.
    #[inline]
    pub(super) fn emit(&self, out: &mut [u8]) {
        let kept = match self {
            Self::Rrcp(rrcp) => return write_fields(out, |head| rrcp.write(head)),
            Self::Rep(rep) => return write_fields(out, |head| rep.write(head)),
            Self::Probe(probe) => return write_fields(out, |head| probe.write(head)),
            Self::CpuTag(tag) => tag.as_bytes(),
            Self::Unknown(unknown) => unknown.payload,
        };
        for (to, from) in out.iter_mut().zip(kept.iter().copied().chain(core::iter::repeat(0))) {
            *to = from;
        }
    }
}

impl From<Rrcp> for Message<'_> {
    fn from(rrcp: Rrcp) -> Self {
        Self::Rrcp(rrcp)
    }
}

impl From<Rep> for Message<'_> {
    fn from(rep: Rep) -> Self {
        Self::Rep(rep)
    }
}

impl From<Probe> for Message<'_> {
    fn from(probe: Probe) -> Self {
        Self::Probe(probe)
    }
}

/// A payload whose meaning is not known; it is kept so that it can be shown and forwarded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unknown<'a> {
    /// From the protocol byte to the end of the frame; never empty.
    payload: &'a [u8],
}

impl<'a> Unknown<'a> {
    /// The byte behind the EtherType.
    pub fn protocol(&self) -> u8 {
        self.payload.first().copied().unwrap_or_default()
    }

    /// From the protocol byte to the end of the frame, padding included; never empty.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The bytes behind the EtherType and where they start in their frame.
#[derive(Clone, Copy)]
pub(super) struct Payload<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Payload<'a> {
    #[inline]
    fn protocol(self) -> Result<u8, ParseError> {
        self.bytes.first().copied().ok_or(self.truncated("protocol byte", 1))
    }

    /// The first `N` bytes, or the error that names `layer`.
    #[inline]
    pub(super) fn head<const N: usize>(self, layer: &'static str) -> Result<&'a [u8; N], ParseError> {
        self.bytes.first_chunk().ok_or(self.truncated(layer, N))
    }

    /// The byte at `offset`; zero, which is what padding would be, behind the end.
    #[inline]
    pub(super) fn byte_or_zero(self, offset: usize) -> u8 {
        self.bytes.get(offset).copied().unwrap_or_default()
    }

    fn truncated(self, layer: &'static str, needed: usize) -> ParseError {
        ParseError::Truncated { layer, needed: self.at + needed, have: self.at + self.bytes.len() }
    }
}

/// Zeroes a payload of the minimal length and lets `write` fill its front.
#[inline]
fn write_fields(out: &mut [u8], write: impl FnOnce(&mut Head)) {
    if let Some(payload) = out.first_chunk_mut::<MIN_PAYLOAD>() {
        *payload = [0; MIN_PAYLOAD];
    }
    if let Some(head) = out.first_chunk_mut() {
        write(head);
    }
}
