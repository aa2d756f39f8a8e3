//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use l2_agent::desired::MacText;

/// Wires a node's ports to its networks and keeps them wired.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  l2-agent run --sim --desired node.toml
  l2-agent run --desired node.toml --ovs /run/openvswitch/db.sock
  l2-agent run --desired node.toml --ovs /run/openvswitch/db.sock --once --json
  l2-agent run --desired node.toml --up up.txt       # node.toml: bus = { file = \"bus.json\" }
  l2-agent show --desired node.toml --ovs /run/openvswitch/db.sock"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the node to its desired state and keep it there
    Run(RunArgs),
    /// Say what is wired, why a port is not, and what would be done; changes nothing
    Show(SwitchArgs),
    /// A port with a network namespace in place of a guest
    #[command(subcommand)]
    TestPort(TestPortCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TestPortCommand {
    /// Plug a port, move its device into a namespace, give it MAC and address
    Create {
        #[command(flatten)]
        place: Place,
        /// UUID of the desired port
        #[arg(long, value_name = "UUID")]
        port_id: String,
        /// MAC address of the desired port
        #[arg(long, value_parser = |text: &str| MacText::try_from(text.to_owned()))]
        mac: MacText,
        /// Its address with prefix length; without it, DHCP (once the port is bound)
        #[arg(long, value_name = "ADDRESS/LEN")]
        address: Option<IpNet>,
    },
    /// Send one echo request from the namespace
    Ping {
        #[command(flatten)]
        place: Place,
        /// Who shall answer
        target: String,
    },
    /// Remove port and namespace
    Delete {
        #[command(flatten)]
        place: Place,
    },
}

/// Where a test port is.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// Name of port and device
    pub(crate) name: String,
    /// The namespace; the port's name unless given
    #[arg(long)]
    pub(crate) netns: Option<String>,
    /// The integration bridge
    #[arg(long, default_value = "br-int")]
    pub(crate) bridge: String,
    /// Open vSwitch's database socket
    #[arg(long, value_name = "SOCKET", default_value = "/run/openvswitch/db.sock")]
    pub(crate) ovs: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) switch: SwitchArgs,
    /// Stop when the node is as it shall be, or cannot come nearer
    #[arg(long)]
    pub(crate) once: bool,
    /// Only say what would be done, like `show`
    #[arg(long, conflicts_with_all = ["once", "up"])]
    pub(crate) dry_run: bool,
    /// With --once, how long to wait for the switch, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
    /// Where to write which ports are up, one id on each line; `sg-bus agent --up` tells Neutron
    #[arg(long, value_name = "FILE", conflicts_with = "sim")]
    pub(crate) up: Option<PathBuf>,
    /// How often to look at file and switch although neither tells of a change, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500)]
    interval: u64,
}

impl RunArgs {
    pub(crate) const fn patience(&self) -> Duration {
        Duration::from_secs(self.wait)
    }

    pub(crate) const fn interval(&self) -> Duration {
        Duration::from_millis(self.interval)
    }
}

#[derive(Args, Debug)]
pub(crate) struct SwitchArgs {
    /// The desired state of this node: TOML, or JSON if the name ends in .json
    #[arg(long, value_name = "FILE")]
    pub(crate) desired: PathBuf,
    /// Open vSwitch's database socket; its OpenFlow sockets stand beside it
    #[arg(long, value_name = "SOCKET", default_value = "/run/openvswitch/db.sock")]
    pub(crate) ovs: PathBuf,
    /// A simulated node instead, with every desired port plugged; then tells who hears whom
    #[arg(long, conflicts_with_all = ["ovs", "datapath_type"])]
    pub(crate) sim: bool,
    /// Datapath of the bridges that the agent makes, such as netdev
    #[arg(long, value_name = "TYPE")]
    pub(crate) datapath_type: Option<String>,
    /// One JSON object per line instead of text
    #[arg(long)]
    pub(crate) json: bool,
}
