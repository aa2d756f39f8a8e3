//! The packets of a pcapng file (draft-ietf-opsawg-pcapng).
//!
//! The library finds the blocks, sections and interfaces. The few fields of a packet are read here:
//! its own view takes every time stamp for nanoseconds, whatever `if_tsresol` says, and refuses the
//! file for one malformed comment.

use core::time::Duration;
use std::fs::File;

use pcap_file::Endianness;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
    SIMPLE_PACKET_BLOCK,
};

use super::{Fault, Record, ethernet};

pub(super) struct Reader {
    blocks: PcapNgReader<File>,
    /// Of the current section.
    interfaces: Vec<Interface>,
}

/// What an interface description says about the packets that name it.
struct Interface {
    clock: Clock,
    /// Longest recorded packet; 0 means no limit.
    snap_len: u32,
}

/// How to read a time stamp.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Clock {
    /// `if_tsresol`; a million unless the interface says otherwise.
    ticks_per_second: u64,
    /// `if_tsoffset`: seconds to add.
    offset: u64,
}

impl Reader {
    /// Reads the first section header, and returns its length too; `head` is the start of the file.
    pub(super) fn new(file: File, head: &[u8]) -> Result<(Self, u64), Fault> {
        let blocks = PcapNgReader::new(file)?;
        let [_, _, _, _, length @ .., _, _, _, _] = head else { return Err(Fault::Truncated) };
        let length = Fields { rest: length, endianness: blocks.section().endianness }.u32()?;
        Ok((Self { blocks, interfaces: Vec::new() }, length.into()))
    }

    /// Reads blocks until one of them is a packet; `false` at the end.
    pub(super) fn read(&mut self, offset: &mut u64, record: &mut Record) -> Result<bool, Fault> {
        loop {
            let endianness = self.blocks.section().endianness;
            let Some(block) = self.blocks.next_raw_block() else { return Ok(false) };
            let block = block?;
            let length = u64::from(block.initial_len);
            let fields = Fields { rest: &block.body, endianness };
            let found = match block.type_ {
                ENHANCED_PACKET_BLOCK => fields.enhanced_packet(&self.interfaces, record).map(|()| true)?,
                PACKET_BLOCK => fields.obsolete_packet(&self.interfaces, record).map(|()| true)?,
                SIMPLE_PACKET_BLOCK => fields.simple_packet(&self.interfaces, record).map(|()| true)?,
                SECTION_HEADER_BLOCK => {
                    self.interfaces.clear();
                    false
                }
                INTERFACE_DESCRIPTION_BLOCK => {
                    if let Some(described) = self.blocks.interfaces().last() {
                        ethernet(described.linktype)?;
                        self.interfaces.push(Interface::of(described)?);
                    }
                    false
                }
                _ => false,
            };
            *offset += length;
            if found {
                return Ok(true);
            }
        }
    }
}

impl Interface {
    fn of(described: &InterfaceDescriptionBlock<'_>) -> Result<Self, Fault> {
        let mut clock = Clock { ticks_per_second: 1_000_000, offset: 0 };
        for option in &described.options {
            match option {
                InterfaceDescriptionOption::IfTsResol(raw) => clock.ticks_per_second = ticks(*raw)?,
                InterfaceDescriptionOption::IfTsOffset(seconds) => clock.offset = *seconds,
                _ => {}
            }
        }
        Ok(Self { clock, snap_len: described.snaplen })
    }
}

/// Ticks in a second: a negative power of ten, or of two if the top bit is set.
fn ticks(resolution: u8) -> Result<u64, Fault> {
    let (base, exponent) = if resolution & 0x80 == 0 { (10u64, resolution) } else { (2, resolution & 0x7F) };
    base.checked_pow(exponent.into())
        .ok_or_else(|| Fault::Format(format!("if_tsresol {resolution:#04x} is finer than 64 bits can count")))
}

impl Clock {
    fn time(self, stamp: u64) -> Duration {
        let seconds = (stamp / self.ticks_per_second).saturating_add(self.offset);
        let part = u128::from(stamp % self.ticks_per_second) * 1_000_000_000;
        Duration::new(seconds, (part / u128::from(self.ticks_per_second)) as u32)
    }
}

/// Reads numbers in the byte order of the section.
struct Fields<'a> {
    rest: &'a [u8],
    endianness: Endianness,
}

impl<'a> Fields<'a> {
    fn enhanced_packet(mut self, interfaces: &[Interface], record: &mut Record) -> Result<(), Fault> {
        let interface = self.u32()?;
        self.packet(interface, interfaces, record)
    }

    /// The form of 2004; still written by old tools.
    fn obsolete_packet(mut self, interfaces: &[Interface], record: &mut Record) -> Result<(), Fault> {
        let interface = match (self.u32()?, self.endianness) {
            (both, Endianness::Big) => both >> 16,
            (both, Endianness::Little) => both & 0xFFFF,
        };
        self.packet(interface, interfaces, record)
    }

    fn packet(mut self, id: u32, interfaces: &[Interface], record: &mut Record) -> Result<(), Fault> {
        let interface = interfaces.get(id as usize).ok_or_else(|| {
            Fault::Format(format!("the packet names interface {id}, {} are described", interfaces.len()))
        })?;
        let stamp = u64::from(self.u32()?) << 32 | u64::from(self.u32()?);
        let (len, wire_len) = (self.u32()?, self.u32()?);
        record.set(interface.clock.time(stamp), self.bytes(len)?, wire_len);
        Ok(())
    }

    /// A packet without a time: it is taken to follow at once on the one before.
    fn simple_packet(mut self, interfaces: &[Interface], record: &mut Record) -> Result<(), Fault> {
        let snap_len = interfaces.first().map_or(0, |interface| interface.snap_len);
        let wire_len = self.u32()?;
        let len = if snap_len == 0 { wire_len } else { wire_len.min(snap_len) };
        record.set(record.time, self.bytes(len)?, wire_len);
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        let (raw, rest) = self.rest.split_first_chunk().ok_or_else(too_short)?;
        self.rest = rest;
        Ok(match self.endianness {
            Endianness::Big => u32::from_be_bytes(*raw),
            Endianness::Little => u32::from_le_bytes(*raw),
        })
    }

    fn bytes(&self, len: u32) -> Result<&'a [u8], Fault> {
        self.rest.get(..len as usize).ok_or_else(too_short)
    }
}

fn too_short() -> Fault {
    Fault::Format("the block is shorter than its fields say".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_in_the_unit_of_its_interface() {
        let stamp = |resolution, ticks_in| {
            let Ok(ticks_per_second) = ticks(resolution) else { panic!("{resolution}") };
            Clock { ticks_per_second, offset: 100 }.time(ticks_in)
        };
        assert_eq!(stamp(6, 1_500_000), Duration::new(101, 500_000_000));
        assert_eq!(stamp(9, 1_500_000), Duration::new(100, 1_500_000));
        assert_eq!(stamp(0, 7), Duration::new(107, 0));
        assert_eq!(stamp(0x80 | 10, 1536), Duration::new(101, 500_000_000));
        assert!(ticks(20).is_err() && ticks(0xFF).is_err());
    }
}
