//! `lab`: a simulator for Ethernet switches. See `lab --help`, or the README beside this package.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use lab::cli::{Cli, Command, LiveOptions, LoopsOptions, ReplayOptions, RunOptions};
use lab::config::SwitchFile;
use lab::error::{BadInput, EXIT_BAD_INPUT};
use lab::live::Live;
use lab::loops;
use lab::replay::Replay;
use lab::scenario::{self, Comparison, Scenario};
use lab::signals::stop_flag;
use lab::sim::Outcome;
use lab::timeline;
use serde::Serialize;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => run(None, cli.run),
        Some(Command::Run { file, options }) => run(file.as_deref(), options),
        Some(Command::List) => list(),
        Some(Command::Replay(options)) => replay(&options),
        Some(Command::Live(options)) => live(&options),
        Some(Command::Loops(options)) => try_loops(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(anstream::stderr(), "{ERROR}error{ERROR:#}: {error:#}");
            ExitCode::from(if error.is::<BadInput>() { EXIT_BAD_INPUT } else { 1 })
        }
    }
}

fn run(file: Option<&Path>, options: RunOptions) -> anyhow::Result<()> {
    let scenario = file.map_or_else(Scenario::bundled, Scenario::find)?;
    let seed = options.seed.unwrap_or(scenario.seed());
    let outcome = scenario.run_with(options.detectors, seed)?;
    let comparison = match options.detectors {
        None if scenario.has_detectors() => scenario::compare(&scenario, seed)?,
        _ => Vec::new(),
    };
    if options.json {
        return print_json(&Compared { outcome, comparison });
    }
    let mut text = String::new();
    timeline::print(&mut text, &scenario, seed, &outcome, &comparison)?;
    Ok(write!(anstream::stdout(), "{text}")?)
}

/// A run, and the same with other loop detectors.
#[derive(Serialize)]
struct Compared {
    #[serde(flatten)]
    outcome: Outcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comparison: Vec<Comparison>,
}

fn list() -> anyhow::Result<()> {
    for name in scenario::NAMES {
        writeln!(anstream::stdout(), "{name:<16} {}", Scenario::find(Path::new(name))?.title())?;
    }
    Ok(())
}

fn replay(options: &ReplayOptions) -> anyhow::Result<()> {
    let switch = switch(options.switch.as_deref())?;
    let (out, stop) = (options.out.as_deref(), stop_flag()?);
    let summary = Replay { switch: &switch, inputs: &options.inputs, out, stop: &stop }.run()?;
    if options.json {
        return print_json(&summary);
    }
    Ok(write!(anstream::stdout(), "{}", summary.text(out))?)
}

fn live(options: &LiveOptions) -> anyhow::Result<()> {
    let stop = stop_flag()?;
    let switch = switch(options.switch.as_deref())?;
    let summary =
        Live { switch: &switch, ports: &options.ports, duration: options.duration, stop: &stop }.run()?;
    if options.json {
        return print_json(&summary);
    }
    Ok(write!(anstream::stdout(), "{}", summary.text())?)
}

fn try_loops(options: LoopsOptions) -> anyhow::Result<()> {
    if let Some(seed) = options.only {
        let trial = loops::run_one(seed, options.storm);
        print_json(&trial)?;
        anyhow::ensure!(trial.faults.is_empty(), "the network of seed {seed} broke a rule");
        return Ok(());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} networks, {eta} left")?;
    let bar = ProgressBar::new(options.topologies as u64).with_style(style);
    let summary = loops::run(options.topologies, options.seed, options.storm, || bar.inc(1));
    bar.finish_and_clear();
    if options.json {
        print_json(&summary)?;
    } else {
        writeln!(anstream::stdout(), "{summary}")?;
    }
    let failed = summary.failed.len();
    anyhow::ensure!(failed == 0, "{failed} networks broke a rule; see one with --only SEED");
    Ok(())
}

fn switch(file: Option<&Path>) -> Result<SwitchFile, BadInput> {
    file.map_or_else(|| Ok(SwitchFile::default()), SwitchFile::read)
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    Ok(writeln!(out)?)
}

/// Whether the reader of our output has seen enough, as `head` has.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}

const ERROR: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
