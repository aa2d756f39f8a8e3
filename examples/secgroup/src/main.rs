//! Encode, decode, expand, inspect, check, compare, render and measure Neutron security-group messages.
//!
//! ```text
//! $ secgroup encode blog-1000-host.compact.json.gz -o info.sg
//! $ secgroup decode info.sg -o info.json
//! $ secgroup expand info.sg -o rules.json
//! $ secgroup inspect info.sg
//! $ secgroup diff monday.sg tuesday.json
//! $ secgroup render nft info.sg | nft -f -
//! $ secgroup bench --plot growth.svg
//! ```
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc, reason = "a program lives in std")]

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use secgroup::{
    bench,
    check::{self, PacketText},
    commands::{self, Profile},
    diff, files, inspect, render,
};
use secgroup_rpc::macaddr::MacAddr6;

/// Encode, decode, expand, inspect, check, compare, render and measure Neutron security-group messages.
///
/// IN may be Neutron's JSON (also gzip) or the compact form; `-` is standard input or output.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  secgroup encode reply.json -o reply.sg
  secgroup encode reply.json.gz -o filter.sg --profile semantic
  secgroup decode reply.sg -o reply.json
  secgroup expand reply.sg -o rules.json
  secgroup check reply.sg tap3d6350f0-40 'ingress tcp 10.0.3.14:40000 10.0.1.145:22'
  secgroup diff monday.json tuesday.sg
  secgroup render nft reply.sg | nft -f -
  secgroup render ipset reply.sg | ipset restore -exist
  secgroup render iptables reply.sg | iptables-restore
  secgroup bench --request host --plot growth.svg
  curl -s http://controller/reply.json | secgroup inspect -

Exit code: 0 done, 1 a file could not be read or written, 2 bad input or usage,
3 check: the packet would not pass. As with diff(1), diff says 0 equal, 1 different, 2 trouble.";

#[derive(Subcommand)]
enum Command {
    /// Write a message in the compact form.
    Encode {
        /// Message to read.
        #[arg(value_name = "IN")]
        input: PathBuf,
        /// File to write.
        #[arg(short, long, value_name = "OUT")]
        output: PathBuf,
        /// What to carry: everything, or what a packet filter needs.
        #[arg(long, value_enum, default_value_t = Profile::Lossless)]
        profile: Profile,
    },
    /// Write a message as Neutron's JSON.
    Decode {
        /// Message to read.
        #[arg(value_name = "IN")]
        input: PathBuf,
        /// File to write.
        #[arg(short, long, value_name = "OUT.json")]
        output: PathBuf,
    },
    /// Write every device's rules with all groups replaced by their members.
    Expand {
        /// Message to read: a reply of either call, enveloped or not.
        #[arg(value_name = "IN")]
        input: PathBuf,
        /// File to write.
        #[arg(short, long, value_name = "OUT.json")]
        output: PathBuf,
    },
    /// Show groups, rules, members and sizes.
    Inspect {
        /// Message to read.
        #[arg(value_name = "IN")]
        input: PathBuf,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Say whether a packet would pass a device's filter, and by which rule.
    Check {
        /// Message to read: a reply of either call, enveloped or not.
        #[arg(value_name = "IN")]
        input: PathBuf,
        /// Id of the port, or the interface name that the agent asked by.
        #[arg(value_name = "DEVICE")]
        device: String,
        /// `ingress|egress PROTOCOL SOURCE DESTINATION`, with `:PORT` or a final ICMP `TYPE/CODE`.
        #[arg(value_name = "PACKET")]
        packet: PacketText,
        /// Source MAC of a packet that goes out; without it the port's own.
        #[arg(long, value_name = "MAC")]
        mac: Option<MacAddr6>,
    },
    /// Say what changed from one reply to another, and what telling an agent would cost.
    Diff(diff::Options),
    /// Write the filter as a rule set for nft, or for ipset, iptables and ip6tables.
    Render(render::Options),
    /// Measure both Neutron calls and the compact form over the number of ports.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Encode { input, output, profile } => commands::encode(&input, &output, profile),
        Command::Decode { input, output } => commands::decode(&input, &output),
        Command::Expand { input, output } => commands::expand(&input, &output),
        Command::Inspect { input, json } => inspect::inspect(&input, json),
        Command::Check { input, device, packet, mac } => {
            match check::check(&input, &device, mac, &packet.0) {
                Ok(false) => return ExitCode::from(3),
                checked => checked.map(drop),
            }
        }
        Command::Diff(options) => match diff::diff(&options) {
            Ok(true) => return ExitCode::from(1),
            Ok(false) => Ok(()),
            // 1 is taken: whatever goes wrong here is 2.
            Err(error) => {
                eprintln!("secgroup: {error:#}");
                return ExitCode::from(2);
            }
        },
        Command::Render(options) => render::render(&options),
        Command::Bench(options) => bench::bench(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("secgroup: {error:#}");
            let bad_input = error.chain().any(|cause| cause.is::<files::BadInput>());
            ExitCode::from(if bad_input { 2 } else { 1 })
        }
    }
}
