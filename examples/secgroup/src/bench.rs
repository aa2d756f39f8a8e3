//! Both Neutron calls against the compact form: bytes and time over the number of ports.
//!
//! The experiment: N ports of one IPv4 network in one group that admits itself, and an agent that asks
//! for all of them or for the 20 of its host. Every message goes from the model to bytes and back
//! to the model; a coding that does not give the model back is an error, not a row.

mod cloud;
mod picture;
mod plot;
mod report;
mod sweep;

use std::{io::Write, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

pub use cloud::{generated, recorded};
pub use picture::{Format, png};
pub use plot::draw;
pub use report::{csv, json, table};
pub use sweep::{Curve, Row, measure};

use crate::files::{self, BadInput};

/// What to measure, and where to put it.
#[derive(Args, Debug)]
pub struct Options {
    /// Draw size and time over the number of ports.
    #[arg(long, value_name = "FILE.svg|png")]
    pub plot: Option<PathBuf>,
    /// Recorded replies `blog-NNNN-all.compact.json[.gz]` instead of the generator.
    #[arg(long, value_name = "DIR")]
    pub fixtures: Option<PathBuf>,
    /// Which devices the agent asks for.
    #[arg(long, value_enum, default_value_t = Request::All)]
    pub request: Request,
    /// Sizes of the group.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..),
        default_values_t = [1, 10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000])]
    pub ports: Vec<u16>,
    /// Comma-separated values instead of a table.
    #[arg(long)]
    pub csv: bool,
    /// JSON instead of a table.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
}

/// Which devices the agent asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Request {
    /// Every port of the group.
    All,
    /// The 20 ports of one host, the step in which agents ask.
    Host,
}

impl Request {
    /// How many of `ports` ports it asks for.
    pub fn devices(self, ports: usize) -> usize {
        match self {
            Self::All => ports,
            Self::Host => ports.min(20),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Host => "host",
        }
    }
}

/// Measures, draws if asked to, and writes the figures to standard output.
pub fn bench(options: &Options) -> Result<()> {
    // A plot that cannot be drawn is refused before the minutes of measuring, not after.
    let plot =
        options.plot.as_deref().map(|path| Ok::<_, BadInput>((path, Format::of(path)?))).transpose()?;
    let rows = rows(options)?;
    if let Some((path, format)) = plot {
        let svg = draw(&rows, options.request)?;
        match format {
            Format::Svg => files::write(path, svg.as_bytes())?,
            Format::Png(fonts) => files::write(path, &png(&svg, fonts)?)?,
        }
    }
    let text = match (options.csv, options.json) {
        (true, _) => csv(&rows),
        (_, true) => json(&rows),
        _ => table(&rows),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write standard output")
}

fn rows(options: &Options) -> Result<Vec<Row>> {
    let mut ports: Vec<usize> = options.ports.iter().copied().map(usize::from).collect();
    ports.sort_unstable();
    ports.dedup();
    // Hidden unless standard error is a terminal.
    let bar = ProgressBar::new(ports.iter().map(|ports| *ports as u64).sum());
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg} {elapsed}") {
        bar.set_style(style);
    }
    let mut rows = Vec::new();
    for ports in ports {
        bar.set_message(format!("{ports} ports"));
        bar.tick();
        let info = match &options.fixtures {
            Some(folder) => recorded(folder, ports, options.request)?,
            None => Some(generated(ports, options.request.devices(ports))?),
        };
        if let Some(info) = info {
            rows.extend(measure(ports, &info)?);
        }
        bar.inc(ports as u64);
    }
    bar.finish_and_clear();
    if let (Some(folder), true) = (&options.fixtures, rows.is_empty()) {
        let name = format!("blog-NNNN-{}.compact.json", options.request.name());
        return Err(BadInput(format!(
            "no {name} of these sizes in {}: leave --fixtures out to generate messages",
            folder.display()
        ))
        .into());
    }
    Ok(rows)
}
