//! Tags between a switch chip and its CPU. They use the same EtherType, and one wrong flag in a
//! driver floods them with their header still on.

use vlan_table::EtherType;

use super::message::{Payload, protocol};
use crate::ParseError;

/// A frame that still carries the tag meant for a CPU port. Not a message, never a probe.
///
/// The 8-byte tag of `rtl8_4t` stands at the end of a frame and shows no 0x8899 in front.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuTag<'a> {
    format: CpuTagFormat,
    /// From the protocol byte to the end; longer than `format.len()`.
    bytes: &'a [u8],
}

/// Which tag, and so how long it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CpuTagFormat {
    /// First byte 04: eight bytes, RTL8365MB and kin (Linux `net/dsa/tag_rtl8_4.c`).
    Rtl8365,
    /// High nibble 9: four bytes, RTL8306 (tcpdump; layout of the other bits not documented).
    Rtl8306,
    /// High nibble A: four bytes, RTL8366RB (Linux `net/dsa/tag_rtl4_a.c`).
    Rtl8366,
}

impl CpuTagFormat {
    /// Bytes between the EtherType 0x8899 and the frame's own EtherType.
    const fn len(self) -> usize {
        match self {
            Self::Rtl8365 => 6,
            Self::Rtl8306 | Self::Rtl8366 => 2,
        }
    }
}

mod field {
    pub(super) const REASON: usize = 1;
    pub(super) const CONTROL: usize = 3;
    pub(super) const PORTS_8: usize = 4;
    pub(super) const PORTS_4: usize = 0;

    pub(super) const LEARN_DISABLED: u8 = 1 << 5;
    pub(super) const ETHER_TYPE_LEN: usize = 2;
}

impl<'a> CpuTag<'a> {
    /// `None` if `first` is no CPU tag's.
    #[inline]
    pub(super) fn parse(first: u8, payload: Payload<'a>) -> Result<Option<Self>, ParseError> {
        let format = match (first, first >> 4) {
            (protocol::CPU_TAG_8, _) => CpuTagFormat::Rtl8365,
            (_, protocol::CPU_TAG_RTL8306) => CpuTagFormat::Rtl8306,
            (_, protocol::CPU_TAG_RTL8366) => CpuTagFormat::Rtl8366,
            _ => return Ok(None),
        };
        match format {
            CpuTagFormat::Rtl8365 => payload.head::<8>("8-byte CPU tag").map(drop)?,
            _ => payload.head::<4>("4-byte CPU tag").map(drop)?,
        }
        Ok(Some(Self { format, bytes: payload.bytes }))
    }

    /// Which tag it is.
    pub const fn format(&self) -> CpuTagFormat {
        self.format
    }

    /// From the first byte of the tag behind 0x8899 to the end of the frame.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The port field as it stands: towards the CPU a port number in the low bits, from the CPU
    /// a mask of ports. 15 bits in the 8-byte tag, the low byte (RTL8366) or the twelve
    /// undocumented bits (RTL8306) in the 4-byte tags.
    pub fn ports_raw(&self) -> u16 {
        match self.format {
            CpuTagFormat::Rtl8365 => self.word(field::PORTS_8) & 0x7FFF,
            CpuTagFormat::Rtl8306 => self.word(field::PORTS_4) & 0x0FFF,
            CpuTagFormat::Rtl8366 => self.word(field::PORTS_4) & 0x00FF,
        }
    }

    /// Why the chip sent the frame to its CPU: 0 forwarded, 80 trapped. 8-byte tag only.
    pub fn reason(&self) -> Option<u8> {
        (self.format == CpuTagFormat::Rtl8365).then(|| self.byte(field::REASON))
    }

    /// Whether the sender asked not to learn the source address. 8-byte tag only.
    pub fn learning_disabled(&self) -> Option<bool> {
        let control = || self.byte(field::CONTROL) & field::LEARN_DISABLED != 0;
        (self.format == CpuTagFormat::Rtl8365).then(control)
    }

    /// The frame's own EtherType, behind the tag.
    pub fn ether_type(&self) -> EtherType {
        EtherType(self.word(self.format.len()))
    }

    /// The frame's own payload.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.format.len() + field::ETHER_TYPE_LEN..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.byte(at), self.byte(at + 1)])
    }
}
