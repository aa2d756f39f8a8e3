//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::detector::Mode;

/// Simulator for Ethernet switches: scenarios in virtual time, replay of captures, live.
///
/// Without a command, a bundled scenario runs: three RTL8305SC, two VLANs, hosts that talk, a
/// station that moves, a loop that is found and blocked, and ageing.
#[derive(Debug, Parser)]
#[command(name = "lab", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; the bundled scenario if left out
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What the run prints
    #[command(flatten)]
    pub run: RunOptions,
}

/// What `lab` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scenario in virtual time and print its timeline
    Run {
        /// Scenario file (TOML), or the name of a bundled one; the first of `lab list` if left out
        #[arg(value_name = "FILE|NAME")]
        file: Option<PathBuf>,
        /// What the run prints
        #[command(flatten)]
        options: RunOptions,
    },
    /// List the bundled scenarios
    List,
    /// Push captures through a switch and write what leaves each port
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayOptions),
    /// Switch between real network interfaces
    #[command(after_help = LIVE_EXAMPLES)]
    Live(LiveOptions),
    /// Try loop detectors in random networks, and judge them against the wiring
    #[command(after_help = LOOPS_EXAMPLES)]
    Loops(LoopsOptions),
}

/// How a scenario runs and prints.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct RunOptions {
    /// Print JSON instead of the timeline and tables
    #[arg(long)]
    pub json: bool,
    /// Seed of everything random, instead of the scenario's own
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Run once, with these loop detectors where the scenario has some, instead of comparing all kinds
    #[arg(long, value_name = "KIND")]
    pub detectors: Option<Mode>,
}

/// Which captures go where.
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// Switch to replay into (TOML); an RTL8305SC as it comes out of reset if left out
    #[arg(long, value_name = "FILE")]
    pub switch: Option<PathBuf>,
    /// A capture (pcap or pcapng) and the port whose cable it was recorded on; repeat for more ports
    #[arg(long = "in", value_name = "PORT=CAPTURE", value_parser = assignment)]
    pub inputs: Vec<(String, String)>,
    /// Directory for PORT.pcap of every port and summary.json; without it, only the summary is printed
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the summary as JSON instead of tables
    #[arg(long)]
    pub json: bool,
}

/// Which networks are tried.
#[derive(Clone, Copy, Debug, Args)]
pub struct LoopsOptions {
    /// How many networks to draw
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub topologies: usize,
    /// Seed that they are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Have a station storm at full rate while loops close
    #[arg(long)]
    pub storm: bool,
    /// Run only the network of this seed, and print all about it
    #[arg(long, value_name = "SEED", conflicts_with_all = ["topologies", "seed"])]
    pub only: Option<u64>,
    /// Print JSON instead of the summary
    #[arg(long)]
    pub json: bool,
}

/// Which interfaces are ports.
#[derive(Debug, Args)]
pub struct LiveOptions {
    /// Switch to run (TOML); an RTL8305SC as it comes out of reset if left out
    #[arg(long, value_name = "FILE")]
    pub switch: Option<PathBuf>,
    /// A port and the network interface that is its jack; repeat for more ports
    #[arg(long = "port", value_name = "PORT=IFACE", required = true, value_parser = assignment)]
    pub ports: Vec<(String, String)>,
    /// Stop after this time, such as 10s or 5m; else on Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<core::time::Duration>,
    /// Print the final counters as JSON
    #[arg(long)]
    pub json: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((port, value)) if !port.is_empty() && !value.is_empty() => Ok((port.into(), value.into())),
        _ => Err("write the port, an equals sign, and what belongs to it, such as `p0=trace.pcap`".into()),
    }
}

const EXAMPLES: &str = "\
Examples:
  lab                                    the bundled scenario
  lab --json | jq .switches              the same for a program
  lab run my.toml --seed 7               a scenario of your own
  lab list                               those that are bundled
  lab run storm                          one of them: a loop that closes in a storm
  lab run storm --detectors classic      the same with what the chip has
  lab replay --in 0=trace.pcap --out out
  lab live --port 0=veth0 --port 1=veth1
  lab loops --topologies 100 --storm

Exit codes: 0 done, 1 the system refused something, 2 bad input.";

const LOOPS_EXAMPLES: &str = "\
Examples:
  lab loops                              a thousand networks
  lab loops --topologies 100 --storm     a hundred, each with a station that storms
  lab loops --only 7 --json              one network, with every loop and block

A network passes if every loop was broken within a probe period, no uplink was cut where an access
port could have been, nothing was blocked without a loop, and one port per cycle is blocked at the end.

Exit codes: 0 all passed, 1 some did not, 2 bad input.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  lab replay --in 0=trace.pcap --out out
  lab replay --switch sw.toml --in p0=a.pcapng --in p1=b.pcap --out out

A switch file for IEEE 802.1Q names ports as Open vSwitch does:
  [switch]
  model = \"dot1q\"          # rules = \"openvswitch\" for Open vSwitch's side of every difference
  [[port]]
  name = \"p0\"
  tag = 10                 # an access port of VLAN 10
  [[port]]
  name = \"up\"
  vlan_mode = \"trunk\"
  trunks = [10, 20]

and for a chip by number, as its registers do:
  [switch]
  model = \"rtl8305sc\"
  [[vlan]]
  vid = 10
  members = [0, 1, 4]

Nothing is written unless every capture was read to its end.";

const LIVE_EXAMPLES: &str = "\
Examples:
  lab live --port 0=veth0 --port 1=veth1
  lab live --switch sw.toml --port p0=eth1 --port p1=eth2 --duration 1m --json

Needs CAP_NET_RAW. Virtual interfaces leave checksums to \"hardware\": switch that off at their
far ends first, `ethtool -K IFACE tx off`.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_assignment_has_two_sides() {
        assert_eq!(assignment("p0=a=b.pcap"), Ok(("p0".into(), "a=b.pcap".into())));
        for text in ["", "p0", "=x", "p0="] {
            assert!(assignment(text).is_err(), "{text}");
        }
    }
}
