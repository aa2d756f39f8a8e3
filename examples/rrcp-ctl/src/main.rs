//! Talk to RRCP switches: scan, read, set, watch for loops, decode captures.
//!
//! ```text
//! $ rrcp-ctl decode 'ffffffffffff 52544c010203 8100 000a 8899 03 00 0000'
//!      1  52:54:4c:01:02:03 > ff:ff:ff:ff:ff:ff, [0x8100 vid 10 pcp 0] loop probe, classic, ttl 0
//! ```

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use rrcp_ctl::decode;

/// Talk to RRCP switches: scan, read, set, watch for loops, decode captures.
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 no answer or refused, 2 bad input.")]
struct Args {
    /// Print one JSON object per line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the 0x8899 frames of a capture file, or of one frame in hexadecimal.
    #[command(after_help = "Examples:
  rrcp-ctl decode trace.pcapng
  rrcp-ctl --json decode 'ffffffffffff 52544c010203 8899 03 00'")]
    Decode {
        /// A pcap or pcapng file, or the frame's bytes as hexadecimal digits.
        #[arg(value_name = "FILE|HEX")]
        input: String,
    },
}

const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            // A closed pipe is how `| head` says enough.
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            {
                return ExitCode::SUCCESS;
            }
            eprintln!("rrcp-ctl: {error:#}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn run(args: &Args) -> Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    match &args.command {
        Command::Decode { input } => {
            let summary = decode::run(input, args.json, &mut out)?;
            out.flush()?;
            if summary.frames > 1 {
                eprintln!(
                    "{} of {} frames are 0x8899, {} of them malformed",
                    summary.ours, summary.frames, summary.malformed
                );
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
