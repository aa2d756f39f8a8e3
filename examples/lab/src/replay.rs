//! Captures through a switch, and what left each port into files.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use vlan_table::PortId;

use crate::capture::{Capture, Merge};
use crate::config::SwitchFile;
use crate::device::Device;
use crate::error::BadInput;
use crate::output::{PcapFile, Staging};
use crate::report::{Report, grouped};

/// What goes in, and where it comes out.
#[derive(Debug)]
pub struct Replay<'a> {
    /// The switch.
    pub switch: &'a SwitchFile,
    /// Port names and the captures that arrive there.
    pub inputs: &'a [(String, String)],
    /// The directory for `PORT.pcap` and `summary.json`; `None` writes nothing.
    pub out: Option<&'a Path>,
    /// Ends it when set, as if nothing had been done.
    pub stop: &'a AtomicBool,
}

/// How a replay went.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The captures, in the order given.
    pub inputs: Vec<Input>,
    /// Time of the first frame, in seconds since 1970, as text because numbers of JSON readers
    /// cannot hold it exactly.
    pub first: Option<String>,
    /// Time of the last frame.
    pub last: Option<String>,
    /// What the switch counted and knows.
    #[serde(flatten)]
    pub switch: Report,
}

/// A capture that was replayed.
#[derive(Debug, Serialize)]
pub struct Input {
    /// Where its frames went in.
    pub port: String,
    /// The file.
    pub capture: PathBuf,
    /// Frames in it.
    pub frames: u64,
    /// Frames of which the recorder left out the end; the switch saw what was there.
    pub cut: u64,
}

/// Captures that are worth a progress bar, in bytes.
const LONG: u64 = 32 << 20;

impl Replay<'_> {
    /// Replays everything; the files appear when all is done, or not at all.
    ///
    /// # Errors
    /// [`BadInput`] for a port or capture that is none; else what the file system says.
    pub fn run(&self) -> anyhow::Result<Summary> {
        let mut device = self.switch.build();
        let Opened { ports, captures, mut inputs } = self.open(&device)?;
        let staging = self.out.map(|out| self.stage(out, &device)).transpose()?;
        let mut files = self.port_files(staging.as_ref(), &device)?;

        let progress = progress(captures.iter().map(Capture::file_len).sum());
        let mut merge = Merge::new(captures)?;
        let (mut first, mut last) = (None, None);
        while let Some((source, record)) = merge.read()? {
            let (Some(port), Some(input)) = (ports.get(source), inputs.get_mut(source)) else { continue };
            if self.stop.load(Ordering::Relaxed) {
                bail!("interrupted; nothing was written");
            }
            input.frames += 1;
            input.cut += u64::from(record.cut > 0);
            let epoch = first.get_or_insert(record.time);
            last = last.max(Some(record.time));
            let mut written = Ok(());
            let now = record.time.saturating_sub(*epoch);
            _ = device.receive(now, *port, &record.data, |port, frame| {
                if let (Ok(()), Some(file)) = (&written, files.get_mut(port.index())) {
                    written = file.write(record.time, frame, record.cut);
                }
            });
            written.with_context(|| format!("{}: packet {}", input.capture.display(), record.number))?;
            if input.frames % 4096 == 0 {
                progress.set_position(merge.offset());
            }
        }
        progress.finish_and_clear();

        let summary = Summary {
            inputs,
            first: first.map(stamp),
            last: last.map(stamp),
            switch: device.report(last.unwrap_or_default().saturating_sub(first.unwrap_or_default())),
        };
        for file in files {
            file.finish()?;
        }
        if let Some(staging) = staging {
            let mut file = staging.create(SUMMARY)?;
            serde_json::to_writer_pretty(&mut file, &summary)?;
            std::io::Write::write_all(&mut file, b"\n")?;
            file.into_inner().context("cannot write the summary")?;
            staging.commit()?;
        }
        Ok(summary)
    }

    /// Opens every capture before anything is written.
    fn open(&self, device: &Device) -> Result<Opened, BadInput> {
        if self.inputs.is_empty() {
            return Err(BadInput::new("replay", "there is nothing to replay").help(
                "name a port and the capture that arrives there: lab replay --in 0=trace.pcap --out out",
            ));
        }
        let mut opened = Opened::default();
        for (name, path) in self.inputs {
            let port = device.port(name).ok_or_else(|| unknown_port("--in", name, path, device))?;
            if opened.ports.contains(&port) {
                return Err(BadInput::new(
                    format_args!("--in {name}={path}"),
                    format_args!("port {name} is named twice"),
                )
                .help("a cable carries one capture; merge two with `mergecap -w OUT A B`"));
            }
            opened.ports.push(port);
            opened.captures.push(Capture::open(Path::new(path))?);
            opened.inputs.push(Input { port: name.clone(), capture: path.into(), frames: 0, cut: 0 });
        }
        Ok(opened)
    }

    /// Refuses to write over what is read.
    fn stage(&self, out: &Path, device: &Device) -> Result<Staging, BadInput> {
        let outputs: Vec<_> =
            device.names().filter_map(|name| out.join(file_name(name)).canonicalize().ok()).collect();
        for (name, path) in self.inputs {
            if Path::new(path).canonicalize().is_ok_and(|input| outputs.contains(&input)) {
                let place = format!("--in {name}={path}");
                return Err(BadInput::new(place, "the replay would write over this capture")
                    .help("name another directory with --out"));
            }
        }
        Staging::new(out)
    }

    fn port_files(&self, staging: Option<&Staging>, device: &Device) -> anyhow::Result<Vec<PcapFile>> {
        let Some(staging) = staging else { return Ok(Vec::new()) };
        device.names().map(|name| PcapFile::new(staging.create(&file_name(name))?)).collect()
    }
}

/// The captures, each with its port; three lists of equal length.
#[derive(Default)]
struct Opened {
    ports: Vec<PortId>,
    captures: Vec<Capture>,
    inputs: Vec<Input>,
}

/// The file of counters beside the captures.
const SUMMARY: &str = "summary.json";

/// The capture of what left a port.
fn file_name(port: &str) -> String {
    format!("{port}.pcap")
}

/// What to say of `option name=value` when the switch has no port `name`.
pub(crate) fn unknown_port(option: &str, name: &str, value: &str, device: &Device) -> BadInput {
    let known: Vec<_> = device.names().collect();
    BadInput::new(format_args!("{option} {name}={value}"), format_args!("the switch has no port {name}"))
        .help(format_args!("its ports are: {}", known.join(", ")))
}

fn stamp(time: Duration) -> String {
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}

impl Summary {
    /// The summary for people.
    pub fn text(&self, out: Option<&Path>) -> String {
        let mut text = String::new();
        for Input { port, capture, frames, cut } in &self.inputs {
            text.push_str(&format!("{} → port {port}: {} frames", capture.display(), grouped(*frames)));
            if *cut > 0 {
                text.push_str(&format!(", {} of them cut by the recorder", grouped(*cut)));
            }
            text.push('\n');
        }
        text.push_str(&format!("{}: {}", self.switch.model, self.switch.text()));
        if let Some(out) = out {
            text.push_str(&format!("\nwritten: {}/PORT.pcap and {SUMMARY}\n", out.display()));
        }
        text
    }
}

/// A bar on standard error, if that is a terminal and the work is long.
fn progress(bytes: u64) -> ProgressBar {
    if bytes < LONG {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
