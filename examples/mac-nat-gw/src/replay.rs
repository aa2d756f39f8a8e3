//! Captures through the gateway in the captures' own time, and what left each side into files.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use lab::capture::{Capture, Merge};
use lab::error::BadInput;
use lab::output::{PcapFile, Staging};
use mac_nat::Side;
use serde::Serialize;

use crate::config::Settings;
use crate::gateway::Gateway;
use crate::status::Status;

/// How a replay went; also `summary.json`.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The captures, in the order given.
    pub inputs: Vec<Input>,
    /// Frames that left, by side.
    pub sent: BTreeMap<String, u64>,
    /// What happened, in the order of time.
    pub events: Vec<String>,
    /// Verdicts, drops by reason, and the bindings at the end.
    #[serde(flatten)]
    pub status: Status,
}

/// A capture that was replayed.
#[derive(Debug, Serialize)]
pub struct Input {
    /// Where its frames went in.
    pub side: String,
    /// The file.
    pub capture: PathBuf,
    /// Frames in it.
    pub frames: u64,
    /// Frames of which the recorder left out the end.
    pub cut: u64,
}

/// Captures that are worth a progress bar, in bytes.
const LONG: u64 = 32 << 20;
/// Events that a summary keeps; the counters have the rest.
const EVENTS: usize = 1000;

/// Replays `inputs` (side and capture) in the order of their time stamps. With `out`, writes
/// `SIDE.pcap` for every side and `summary.json` there, all of them or none.
///
/// # Errors
/// [`BadInput`] for a side or capture that is none; else what the file system says.
pub fn replay(settings: &Settings, inputs: &[(String, PathBuf)], out: Option<&Path>) -> Result<Summary> {
    let mut gateway = Gateway::new(settings.engine.clone())?;
    let (sides, captures) = open(settings, inputs)?;
    let mut output = Output::new(settings, inputs, out)?;
    let mut report: Vec<Input> = inputs
        .iter()
        .map(|(side, capture)| Input { side: side.clone(), capture: capture.clone(), frames: 0, cut: 0 })
        .collect();
    let progress = progress(captures.iter().map(Capture::file_len).sum());
    let mut merge = Merge::new(captures)?;
    let (mut epoch, mut now, mut events) = (None, Duration::ZERO, Vec::new());
    let mut frame = Vec::new();
    let mut count = 0_u64;
    while let Some((source, record)) = merge.read()? {
        let (Some(side), Some(input)) = (sides.get(source), report.get_mut(source)) else { continue };
        input.frames += 1;
        input.cut += u64::from(record.cut > 0);
        let epoch = *epoch.get_or_insert(record.time);
        now = now.max(record.time.saturating_sub(epoch));
        while let Some(due) = gateway.next_timeout().filter(|due| *due <= now) {
            gateway.timeout(due, &mut |side, frame| output.write(side, epoch + due, frame, 0));
        }
        frame.clone_from(&record.data);
        let (time, cut) = (record.time, record.cut);
        gateway.frame(now, *side, &mut frame, &mut |side, frame| output.write(side, time, frame, cut));
        while let Some(event) = gateway.event() {
            if events.len() < EVENTS {
                events.push(format!("{:.6} {event}", now.as_secs_f64()));
            }
        }
        count += 1;
        if count & 0xFFF == 0 {
            progress.set_position(merge.offset());
        }
    }
    progress.finish_and_clear();
    let summary = Summary { inputs: report, sent: output.sent(), events, status: Status::of(&gateway, now) };
    output.commit(&summary)?;
    Ok(summary)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Input { side, capture, frames, cut } in &self.inputs {
            write!(f, "{} -> {side}: {frames} frames", capture.display())?;
            if *cut > 0 {
                write!(f, ", {cut} of them cut by the recorder")?;
            }
            writeln!(f)?;
        }
        for (side, sent) in &self.sent {
            writeln!(f, "{side} -> {sent} frames")?;
        }
        write!(f, "{}", self.status)
    }
}

fn open(settings: &Settings, inputs: &[(String, PathBuf)]) -> Result<(Vec<Side>, Vec<Capture>)> {
    if inputs.is_empty() {
        return Err(BadInput::new("replay", "there is nothing to replay")
            .help("name a side and the capture that arrives there: --in uplink=trace.pcap")
            .into());
    }
    let (mut sides, mut captures) = (Vec::new(), Vec::new());
    for (name, path) in inputs {
        let place = format!("--in {name}={}", path.display());
        let Some(side) = side(settings, name) else {
            let ports: Vec<&str> = settings.ports.iter().map(|port| port.name.as_str()).collect();
            return Err(BadInput::new(place, format_args!("there is no side `{name}`"))
                .help(format_args!("the sides are: uplink, host, {}", ports.join(", ")))
                .into());
        };
        if sides.contains(&side) {
            return Err(BadInput::new(place, format_args!("`{name}` is named twice"))
                .help("merge two captures with `mergecap -w OUT A B`")
                .into());
        }
        sides.push(side);
        captures.push(Capture::open(path)?);
    }
    Ok((sides, captures))
}

fn side(settings: &Settings, name: &str) -> Option<Side> {
    match name {
        "uplink" => Some(Side::Uplink),
        "host" => Some(Side::Host),
        port => settings.port(port).map(|port| Side::Inside(port.id)),
    }
}

/// One file per side, if files are wanted, and the counts in any case.
struct Output {
    staging: Option<Staging>,
    sides: Vec<(Side, String, u64, Option<PcapFile>)>,
    error: Option<anyhow::Error>,
}

impl Output {
    fn new(settings: &Settings, inputs: &[(String, PathBuf)], out: Option<&Path>) -> Result<Self> {
        let mut sides = vec![(Side::Uplink, "uplink".to_owned()), (Side::Host, "host".to_owned())];
        sides.extend(settings.ports.iter().map(|port| (Side::Inside(port.id), port.name.clone())));
        if let Some(out) = out {
            refuse_overwriting(out, &sides, inputs)?;
        }
        let staging = out.map(Staging::new).transpose()?;
        let file =
            |name: &str| staging.as_ref().map(|staging| PcapFile::new(staging.create(&file_name(name))?));
        let sides = sides
            .into_iter()
            .map(|(side, name)| file(&name).transpose().map(|file| (side, name, 0, file)))
            .collect::<Result<_>>()?;
        Ok(Self { staging, sides, error: None })
    }

    fn write(&mut self, side: Side, time: Duration, frame: &[u8], cut: u32) {
        if let Some((_, _, count, file)) = self.sides.iter_mut().find(|(known, ..)| *known == side) {
            *count += 1;
            if let Some(Err(error)) = file.as_mut().map(|file| file.write(time, frame, cut)) {
                self.error.get_or_insert(error);
            }
        }
    }

    fn sent(&self) -> BTreeMap<String, u64> {
        self.sides.iter().map(|(_, name, count, _)| (name.clone(), *count)).collect()
    }

    fn commit(self, summary: &Summary) -> Result<()> {
        self.error.map_or(Ok(()), Err)?;
        let Some(staging) = self.staging else { return Ok(()) };
        for (.., file) in self.sides {
            file.map_or(Ok(()), PcapFile::finish)?;
        }
        let mut file = staging.create(SUMMARY)?;
        serde_json::to_writer_pretty(&mut file, summary)?;
        file.write_all(b"\n")?;
        file.into_inner().context("cannot write the summary")?;
        staging.commit()
    }
}

const SUMMARY: &str = "summary.json";

fn file_name(side: &str) -> String {
    format!("{side}.pcap")
}

fn refuse_overwriting(out: &Path, sides: &[(Side, String)], inputs: &[(String, PathBuf)]) -> Result<()> {
    let outputs: Vec<PathBuf> =
        sides.iter().filter_map(|(_, name)| out.join(file_name(name)).canonicalize().ok()).collect();
    for (name, path) in inputs {
        if path.canonicalize().is_ok_and(|input| outputs.contains(&input)) {
            let place = format!("--in {name}={}", path.display());
            return Err(BadInput::new(place, "the replay would write over this capture")
                .help("name another directory with --out")
                .into());
        }
    }
    Ok(())
}

/// A bar on standard error, if that is a terminal and the work is long.
fn progress(bytes: u64) -> ProgressBar {
    if bytes < LONG {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
