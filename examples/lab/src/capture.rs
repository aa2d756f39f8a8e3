//! Captures: pcap and pcapng in, merged by time.
//!
//! [`Capture`] reads one file record by record, so that a long one costs no memory; [`Merge`] puts
//! several in the order of their time stamps. Anything that cannot be a complete Ethernet capture
//! is an error that names file, packet and byte offset.

use core::cmp::Reverse;
use core::fmt;
use core::time::Duration;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use pcap_file::pcap::PcapReader;
use pcap_file::{DataLink, PcapError, TsResolution};

use crate::error::BadInput;

mod pcapng;

/// One recorded frame.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// Position in its file, from 1, as Wireshark counts.
    pub number: u64,
    /// Time since the Unix epoch.
    pub time: Duration,
    /// The bytes that were recorded.
    pub data: Vec<u8>,
    /// Bytes at the end of the frame that the recorder left out ("snap length").
    pub cut: u32,
}

impl Record {
    fn set(&mut self, time: Duration, data: &[u8], wire_len: u32) {
        self.time = time;
        self.data.clear();
        self.data.extend_from_slice(data);
        self.cut = wire_len.saturating_sub(data.len() as u32);
    }
}

/// An open capture file.
pub struct Capture {
    path: PathBuf,
    format: Format,
    /// Bytes in the file.
    len: u64,
    /// Bytes read so far, up to the end of a packet.
    offset: u64,
    packets: u64,
}

enum Format {
    Pcap { reader: PcapReader<File>, unit: Duration },
    PcapNg(pcapng::Reader),
}

impl Capture {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`BadInput`] if the file is missing, is no capture, or is not of Ethernet frames.
    pub fn open(path: &Path) -> Result<Self, BadInput> {
        let failed = |e: io::Error| {
            BadInput::new(path.display(), format_args!("cannot read the capture: {e}"))
                .help("give the path of a pcap or pcapng file")
        };
        let mut file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let mut head = Vec::new();
        file.by_ref().take(12).read_to_end(&mut head).map_err(failed)?;
        file.rewind().map_err(failed)?;
        let in_header = |fault: Fault| fault.at(path, "file header");
        let (format, offset) = match head.as_slice() {
            [0xA1, 0xB2, 0xC3, 0xD4, ..]
            | [0xD4, 0xC3, 0xB2, 0xA1, ..]
            | [0xA1, 0xB2, 0x3C, 0x4D, ..]
            | [0x4D, 0x3C, 0xB2, 0xA1, ..] => {
                let reader = PcapReader::new(file).map_err(|e| in_header(e.into()))?;
                let unit = match reader.header().ts_resolution {
                    TsResolution::MicroSecond => Duration::from_micros(1),
                    TsResolution::NanoSecond => Duration::from_nanos(1),
                };
                ethernet(reader.header().datalink).map_err(in_header)?;
                (Format::Pcap { reader, unit }, 24)
            }
            [0x0A, 0x0D, 0x0D, 0x0A, ..] => {
                let (reader, section) = pcapng::Reader::new(file, &head).map_err(in_header)?;
                (Format::PcapNg(reader), section)
            }
            [0x1F, 0x8B, ..] => {
                return Err(BadInput::new(path.display(), "the capture is compressed with gzip")
                    .help(format_args!("unpack it first: gunzip --keep {}", path.display())));
            }
            _ => {
                return Err(BadInput::new(path.display(), "neither a pcap nor a pcapng file")
                    .help("record one with `tcpdump -w FILE` or `dumpcap -w FILE`"));
            }
        };
        Ok(Self { path: path.to_owned(), format, len, offset, packets: 0 })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub fn file_len(&self) -> u64 {
        self.len
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next frame into `record`; `false` at the end.
    ///
    /// # Errors
    /// [`BadInput`] if the file ends inside a packet or contradicts its format.
    pub fn read(&mut self, record: &mut Record) -> Result<bool, BadInput> {
        let read = match &mut self.format {
            Format::Pcap { reader, unit } => read_pcap(reader, *unit, &mut self.offset, record),
            Format::PcapNg(reader) => reader.read(&mut self.offset, record),
        };
        let found = read.map_err(|fault| {
            fault.at(&self.path, format_args!("packet {}, offset {}", self.packets + 1, self.offset))
        })?;
        self.packets += u64::from(found);
        record.number = self.packets;
        Ok(found)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("path", &self.path).field("offset", &self.offset).finish()
    }
}

/// Reads packets raw: the library's checked form refuses a frame that was cut by the snap length.
fn read_pcap(
    reader: &mut PcapReader<File>,
    unit: Duration,
    offset: &mut u64,
    record: &mut Record,
) -> Result<bool, Fault> {
    let Some(packet) = reader.next_raw_packet() else { return Ok(false) };
    let packet = packet?;
    let time = Duration::from_secs(packet.ts_sec.into()) + unit * packet.ts_frac;
    record.set(time, &packet.data, packet.orig_len);
    *offset += 16 + packet.data.len() as u64;
    Ok(true)
}

fn ethernet(link: DataLink) -> Result<(), Fault> {
    if link == DataLink::ETHERNET { Ok(()) } else { Err(Fault::LinkType(link.into())) }
}

/// Why a record could not be read, before the file is named.
enum Fault {
    /// The file ends too early.
    Truncated,
    Io(io::Error),
    /// A field contradicts the format.
    Format(String),
    LinkType(u32),
}

impl Fault {
    fn at(self, path: &Path, place: impl fmt::Display) -> BadInput {
        let place = format_args!("{}: {place}", path.display()).to_string();
        match self {
            Self::Truncated => BadInput::new(place, "the file ends too early: the capture is truncated")
                .help("record it again, or save its whole packets with `editcap IN OUT`"),
            Self::Io(e) => BadInput::new(place, format_args!("cannot read: {e}")),
            Self::Format(what) => BadInput::new(place, what).help("the file is damaged; record it again"),
            Self::LinkType(link) => {
                BadInput::new(place, format_args!("link type {link} is not Ethernet (1)"))
                    .help("record on an Ethernet interface, not on `any` or in monitor mode")
            }
        }
    }
}

impl From<PcapError> for Fault {
    fn from(error: PcapError) -> Self {
        match error {
            PcapError::IncompleteBuffer => Self::Truncated,
            PcapError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => Self::Truncated,
            PcapError::IoError(e) => Self::Io(e),
            other => Self::Format(other.to_string()),
        }
    }
}

/// Several captures, each into its own port, in the order of their time stamps.
///
/// Equal stamps go in the order of the captures; the order inside one file is never changed, even
/// where its clock went back.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<(Capture, Record)>,
    /// Time of the waiting record and its source; the smallest first.
    waiting: BinaryHeap<Reverse<(Duration, usize)>>,
    /// The source whose record was handed out last, to be read on.
    taken: Option<usize>,
}

impl Merge {
    /// Reads the first record of each.
    ///
    /// # Errors
    /// As [`Capture::read`].
    pub fn new(captures: impl IntoIterator<Item = Capture>) -> Result<Self, BadInput> {
        let mut merge = Self { sources: Vec::new(), waiting: BinaryHeap::new(), taken: None };
        for capture in captures {
            merge.sources.push((capture, Record::default()));
            merge.advance(merge.sources.len() - 1)?;
        }
        Ok(merge)
    }

    /// The earliest record that is left, and the position of its capture in [`new`](Self::new).
    ///
    /// # Errors
    /// As [`Capture::read`].
    pub fn read(&mut self) -> Result<Option<(usize, &Record)>, BadInput> {
        if let Some(source) = self.taken.take() {
            self.advance(source)?;
        }
        let Some(Reverse((_, source))) = self.waiting.pop() else { return Ok(None) };
        self.taken = Some(source);
        Ok(self.sources.get(source).map(|(_, record)| (source, record)))
    }

    /// Bytes read so far in all files, for a progress bar.
    pub fn offset(&self) -> u64 {
        self.sources.iter().map(|(capture, _)| capture.offset()).sum()
    }

    fn advance(&mut self, source: usize) -> Result<(), BadInput> {
        if let Some((capture, record)) = self.sources.get_mut(source)
            && capture.read(record)?
        {
            self.waiting.push(Reverse((record.time, source)));
        }
        Ok(())
    }
}
