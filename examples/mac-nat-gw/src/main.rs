//! MAC translation for floating IPs: data path, rule export and linter.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use mac_nat_gw::status::Status;
use mac_nat_gw::{Settings, SettingsError, run};

/// Puts machines with MACs of their own behind the MACs that a hoster accepts.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 failed, 2 bad input.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Translate between an uplink and inside interfaces until stopped
    #[command(after_help = "Needs CAP_NET_RAW. SIGUSR1 prints counters, SIGTERM stops.\n\n\
        Example:\n  mac-nat-gw run --config gw.toml")]
    Run {
        /// What to translate
        #[arg(long)]
        config: PathBuf,
        /// Print no events
        #[arg(long)]
        quiet: bool,
    },
    /// Ask a running gateway for its counters and bindings
    #[command(after_help = "Example:\n  mac-nat-gw status --socket /run/mac-nat-gw.sock --json")]
    Status {
        /// The socket of its configuration
        #[arg(long, default_value = "/run/mac-nat-gw.sock")]
        socket: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.downcast_ref::<SettingsError>().is_some() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::Run { config, quiet } => {
            let settings = Settings::read(&config, own_mac)?;
            let status = run::run(&settings, quiet)?;
            eprint!("{status}");
        }
        Command::Status { socket, json } => {
            let at = || format!("{}: is `mac-nat-gw run` up, with this `[status] socket`?", socket.display());
            let mut stream = UnixStream::connect(&socket).with_context(at)?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            if json {
                println!("{text}");
            } else {
                print!("{}", serde_json::from_str::<Status>(&text)?);
            }
        }
    }
    Ok(())
}

/// The MAC of an interface of this machine.
fn own_mac(interface: &str) -> Option<mac_nat::MacAddr6> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/address")).ok()?;
    text.trim().parse().ok()
}
