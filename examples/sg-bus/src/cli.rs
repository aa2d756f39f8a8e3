//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{ArgGroup, Args, Parser, Subcommand};
use sg_bus::cloud::Cloud;
use sg_bus::commands::AgentOptions;
use sg_bus::credentials::{Token, acceptor, connector};
use sg_bus::input::BadInput;
use sg_bus::transport::AgentName;
use sg_bus::transport::amqp::Amqp;
use sg_bus::transport::any::Any;
use sg_bus::transport::tcp::{Side, Tcp};

/// Security groups and the wiring of ports from servers to agents over a message bus.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sg-bus demo
  sg-bus demo --amqp private
  sg-bus cert server.example.org 192.0.2.1 -o credentials
  sg-bus server --state state.json --listen 0.0.0.0:7443 --credentials credentials
  sg-bus agent --devices devices.txt --connect server.example.org:7443 \\
      --ca ca.pem --token token --filter filter.json
  sg-bus server --state state.sg --ports ports.toml --amqp amqp://guest:guest@broker/%2f
  sg-bus agent --devices devices.txt --amqp amqp://guest:guest@broker/%2f --node bus.json --json
  sg-bus bridge --neutron amqp://openstack:secret@controller/%2f --amqp amqp://guest:guest@broker/%2f
  sg-bus agent --devices devices.txt --neutron amqp://openstack:secret@controller/%2f
  sg-bus bench --ports 1000 --agents 50 --amqp private --plot change.svg
  sg-bus bench --soak 10m --amqp private --seed 7

Exit code: 0 done, 1 something failed, 2 bad input or usage.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// One server and two agents: a snapshot, changes, and what they cost.
    Demo {
        /// Through this broker instead of within the process; `private` starts one.
        #[arg(long, value_name = "URI")]
        amqp: Option<String>,
    },
    /// Serve the state of a file to agents, and follow the file.
    Server {
        /// What a server knows: a reply of Neutron's compact call for all devices, as JSON or compact.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// How ports are wired: networks and ports as in l2-agent's desired state, TOML or .json.
        #[arg(long, value_name = "FILE")]
        ports: Option<PathBuf>,
        #[command(flatten)]
        place: ServePlace,
    },
    /// Follow a server for the devices of this host, and write their filter and wiring.
    Agent(AgentArgs),
    /// Follow Neutron and serve its state to agents as deltas.
    Bridge {
        /// Neutron's broker.
        #[arg(long, value_name = "URI")]
        neutron: String,
        #[command(flatten)]
        place: ServePlace,
        /// Seconds after which everything is asked again: some changes have no notice.
        #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
        resync: u64,
    },
    /// Measure what the bus carries, beside Neutron's ways.
    Bench(BenchArgs),
    /// Make an authority, a server's certificate and a token.
    Cert {
        /// Names and addresses by which agents reach the server.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Folder for ca.pem, server.pem, server.key and token.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
}

/// Where a server is found.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ServePlace {
    /// Listen for agents here, with TLS.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "credentials", conflicts_with = "amqp")]
    listen: Option<String>,
    /// Folder with server.pem, server.key and token, as `sg-bus cert` makes it.
    #[arg(long, value_name = "DIR")]
    credentials: Option<PathBuf>,
    /// Meet agents at this broker. Any number of servers may.
    #[arg(long, value_name = "URI")]
    amqp: Option<String>,
}

impl ServePlace {
    pub(crate) fn transport(&self) -> Result<Any> {
        if let Some(uri) = &self.amqp {
            return Ok(Any::Amqp(Amqp::new(uri)?));
        }
        let (Some(address), Some(folder)) = (&self.listen, &self.credentials) else {
            return Err(BadInput("say --listen with --credentials, or --amqp".into()).into());
        };
        let side =
            Side::Server(acceptor(&read(folder.join("server.pem"))?, &read(folder.join("server.key"))?)?);
        Ok(Any::Tcp(Tcp {
            addresses: vec![address.clone()],
            token: Token::read(&folder.join("token"))?,
            side,
        }))
    }
}

#[derive(Args)]
#[command(group(ArgGroup::new("way").required(true).args(["connect", "amqp", "neutron"])))]
pub(crate) struct AgentArgs {
    /// Ids of this host's ports: one on each line, or a JSON list. Followed.
    #[arg(long, value_name = "FILE")]
    devices: PathBuf,
    /// How the server shall call this agent; the host's name if not given.
    #[arg(long)]
    name: Option<AgentName>,
    /// Servers to try in turn.
    #[arg(long, value_name = "HOST:PORT", requires_all = ["ca", "token"], value_delimiter = ',')]
    connect: Vec<String>,
    /// Authorities that vouch for the server (PEM).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The token that the server wants to hear.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Name that the certificate must bear, if it is not the HOST.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Meet servers at this broker.
    #[arg(long, value_name = "URI")]
    amqp: Option<String>,
    /// Ask Neutron itself, through its broker.
    #[arg(long, value_name = "URI")]
    pub(crate) neutron: Option<String>,
    /// Where the applied filter is kept, across restarts too; JSON if it ends in .json.
    #[arg(long, value_name = "FILE")]
    filter: Option<PathBuf>,
    /// Where ports, their networks and their groups are kept for l2-agent's [bus], as JSON.
    #[arg(long, value_name = "FILE")]
    node: Option<PathBuf>,
    /// Where l2-agent says which ports are up (its --up): told to Neutron.
    #[arg(long, value_name = "FILE", requires = "node")]
    up: Option<PathBuf>,
    /// Seconds of silence after which the agent makes sure that it missed nothing.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    keepalive: u64,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
    /// Leave when in step.
    #[arg(long)]
    once: bool,
}

impl AgentArgs {
    pub(crate) fn transport(&self) -> Result<Any> {
        if let Some(uri) = &self.amqp {
            return Ok(Any::Amqp(Amqp::new(uri)?));
        }
        let (Some(ca), Some(token)) = (&self.ca, &self.token) else {
            return Err(BadInput("--connect needs --ca and --token".into()).into());
        };
        let side = Side::Agent(connector(&read(ca.clone())?)?, self.server_name.clone());
        Ok(Any::Tcp(Tcp { addresses: self.connect.clone(), token: Token::read(token)?, side }))
    }

    pub(crate) fn options(&self) -> Result<AgentOptions> {
        Ok(AgentOptions {
            name: self.name.clone().map_or_else(host_name, Ok)?,
            devices: self.devices.clone(),
            filter: self.filter.clone(),
            node: self.node.clone(),
            up: self.up.clone(),
            keepalive: Duration::from_secs(self.keepalive),
            json: self.json,
            once: self.once,
        })
    }
}

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Ports in all.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ports: u32,
    /// Agents, one on each host.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    agents: u32,
    /// Groups that share the ports, each admitting itself.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    groups: u32,
    /// Changes in a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// How long to change.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) time: Duration,
    /// Through this broker instead of within the process; `private` starts one.
    #[arg(long, value_name = "URI")]
    pub(crate) amqp: Option<String>,
    /// Over TLS on loopback.
    #[arg(long, conflicts_with = "amqp")]
    pub(crate) tls: bool,
    /// Instead of measuring: changes and faults for this long; every agent must end in step.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) soak: Option<Duration>,
    /// Of the soak's choices.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Draw what one change costs over the number of ports.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl BenchArgs {
    pub(crate) const fn cloud(&self) -> Cloud {
        Cloud { ports: self.ports, hosts: self.agents, groups: self.groups }
    }
}

/// `500ms`, `30s`, `10m` or `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = digits.parse().map_err(|_| "a number with ms, s, m or h, such as 10m")?;
    let unit = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        other => return Err(format!("`{other}` is no unit; ms, s, m and h are")),
    };
    Ok(Duration::from_millis(number.saturating_mul(unit)))
}

fn host_name() -> Result<AgentName> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("no host name; say --name")?;
    Ok(name.trim().parse()?)
}

fn read(path: PathBuf) -> Result<Vec<u8>> {
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}
