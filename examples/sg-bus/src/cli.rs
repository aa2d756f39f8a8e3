//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use sg_bus::commands::AgentOptions;
use sg_bus::credentials::{Token, acceptor, connector};
use sg_bus::input::BadInput;
use sg_bus::transport::AgentName;
use sg_bus::transport::amqp::Amqp;
use sg_bus::transport::any::Any;
use sg_bus::transport::tcp::{Side, Tcp};

/// Security-group state from servers to agents over a message bus.
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
  sg-bus server --state state.sg --amqp amqp://guest:guest@broker/%2f
  sg-bus agent --devices devices.txt --amqp amqp://guest:guest@broker/%2f --json

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
        #[command(flatten)]
        place: ServePlace,
    },
    /// Follow a server for the devices of this host, and write their filter.
    Agent(AgentArgs),
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
    #[arg(long, value_name = "URI", conflicts_with = "connect", required_unless_present = "connect")]
    amqp: Option<String>,
    /// Where the applied filter is kept, across restarts too; JSON if it ends in .json.
    #[arg(long, value_name = "FILE")]
    filter: Option<PathBuf>,
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
            keepalive: Duration::from_secs(self.keepalive),
            json: self.json,
            once: self.once,
        })
    }
}

fn host_name() -> Result<AgentName> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("no host name; say --name")?;
    Ok(name.trim().parse()?)
}

fn read(path: PathBuf) -> Result<Vec<u8>> {
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}
