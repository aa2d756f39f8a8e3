//! `decode`: the frames of the family in a capture file, or one frame given as hexadecimal digits.

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};
use rrcp::{FrameView, ParseError};

use crate::record::{Body, Record};

/// Tags that are looked behind: as deep as QinQ equipment of the field stacks them, and one more.
const MAX_TAGS: usize = 4;

/// Magic number of pcapng, the type of its first block.
const PCAPNG: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];

/// What was found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Frames in the input.
    pub frames: u64,
    /// Frames with EtherType 0x8899.
    pub ours: u64,
    /// Of these, frames that end too early; each was printed with its error.
    pub malformed: u64,
}

/// Decodes `input` (a capture file, or hexadecimal digits) to `out`: one line for each frame of the
/// family, a JSON object if `json`.
///
/// # Errors
/// If `input` is neither, or the file is damaged: the message names the frame where it ends.
pub fn run(input: &str, json: bool, out: &mut impl Write) -> Result<Summary> {
    let mut printer = Printer { out, json, first: None, summary: Summary::default() };
    if Path::new(input).is_file() {
        let file = File::open(input).with_context(|| format!("{input}: cannot be read"))?;
        read_capture(BufReader::new(file), &mut printer).with_context(|| input.to_owned())?;
    } else {
        let bytes = from_hex(input)
            .with_context(|| format!("`{input}` is neither a file nor a frame as hexadecimal digits"))?;
        // One frame that is not ours is an answer in a capture, and a mistake on a command line.
        FrameView::new(&bytes, MAX_TAGS).context("the frame on the command line")?;
        printer.frame(None, &bytes)?;
    }
    Ok(printer.summary)
}

fn read_capture<W: Write>(mut file: impl Read + Seek, printer: &mut Printer<'_, W>) -> Result<()> {
    let mut magic = [0; 4];
    file.read_exact(&mut magic).context("too short for a capture file")?;
    file.rewind()?;
    if magic == PCAPNG { read_pcapng(file, printer) } else { read_pcap(file, printer) }
}

fn read_pcap<W: Write>(file: impl Read, printer: &mut Printer<'_, W>) -> Result<()> {
    let mut reader = PcapReader::new(file).context("not a pcap or pcapng file")?;
    ethernet(reader.header().datalink)?;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| damaged(&error, printer.summary.frames))?;
        printer.frame(Some(packet.timestamp), &packet.data)?;
    }
    Ok(())
}

fn read_pcapng<W: Write>(file: impl Read, printer: &mut Printer<'_, W>) -> Result<()> {
    let mut reader = PcapNgReader::new(file).context("not a pcapng file")?;
    while let Some(block) = reader.next_block() {
        match block.map_err(|error| damaged(&error, printer.summary.frames))? {
            Block::InterfaceDescription(interface) => ethernet(interface.linktype)?,
            Block::EnhancedPacket(packet) => printer.frame(Some(packet.timestamp), &packet.data)?,
            Block::SimplePacket(packet) => printer.frame(None, &packet.data)?,
            _ => {}
        }
    }
    Ok(())
}

fn ethernet(link: DataLink) -> Result<()> {
    ensure!(link == DataLink::ETHERNET, "link type {link:?} is not Ethernet");
    Ok(())
}

fn damaged(error: &PcapError, frames: u64) -> anyhow::Error {
    anyhow::anyhow!("damaged behind frame {frames}: {error}")
}

struct Printer<'a, W> {
    out: &'a mut W,
    json: bool,
    /// When the first frame was captured.
    first: Option<Duration>,
    summary: Summary,
}

impl<W: Write> Printer<'_, W> {
    fn frame(&mut self, captured: Option<Duration>, bytes: &[u8]) -> Result<()> {
        self.summary.frames += 1;
        let frame = self.summary.frames;
        let time = captured.map(|at| seconds_between(*self.first.get_or_insert(at), at));
        let parsed = FrameView::new(bytes, MAX_TAGS);
        let (Ok(_) | Err(ParseError::Truncated { .. })) = parsed else {
            return Ok(()); // another protocol, or no Ethernet frame at all
        };
        self.summary.ours += 1;
        self.summary.malformed += u64::from(parsed.is_err());
        if self.json {
            let body = parsed.map_or_else(Body::from, |view| view.message().into());
            let ethernet = vlan_table::FrameView::new(bytes, MAX_TAGS)?;
            return self.json_line(&Record::new(frame, time, &ethernet, body));
        }
        match parsed {
            Ok(view) => self.text_line(frame, time, &view),
            Err(error) => self.text_line(frame, time, &format_args!("malformed: {error}")),
        }
    }

    fn text_line(&mut self, frame: u64, time: Option<f64>, what: &impl std::fmt::Display) -> Result<()> {
        match time {
            Some(time) => writeln!(self.out, "{frame:>6} {time:>12.6}  {what}")?,
            None => writeln!(self.out, "{frame:>6}  {what}")?,
        }
        Ok(())
    }

    fn json_line(&mut self, record: &Record) -> Result<()> {
        serde_json::to_writer(&mut *self.out, record)?;
        writeln!(self.out)?;
        Ok(())
    }
}

/// Rounded to microseconds; negative if the capture was put together from older ones.
fn seconds_between(first: Duration, at: Duration) -> f64 {
    ((at.as_secs_f64() - first.as_secs_f64()) * 1e6).round() / 1e6
}

/// Digits in pairs; spaces, colons, dashes and a `0x` in front are taken as decoration.
fn from_hex(text: &str) -> Result<Vec<u8>> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, ':' | '-'))
        .map(|c| c.to_digit(16).with_context(|| format!("`{c}` is no hexadecimal digit")))
        .collect::<Result<Vec<_>>>()?;
    if digits.is_empty() || digits.len() % 2 == 1 {
        bail!("{} digits are no whole number of bytes", digits.len());
    }
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8))
        .collect())
}
