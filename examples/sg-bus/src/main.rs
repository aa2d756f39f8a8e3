//! Security-group state over a message bus: `sg-bus demo`.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc, reason = "a program lives in std")]

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use sg_bus::input::BadInput;
use sg_bus::transport::{amqp::Amqp, mem::Mem};
use sg_bus::{demo, rabbit::Rabbit};

/// Security-group state from servers to agents over a message bus.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sg-bus demo
  sg-bus demo --amqp amqp://guest:guest@127.0.0.1/%2f

Exit code: 0 done, 1 something failed, 2 bad input or usage.";

#[derive(Subcommand)]
enum Command {
    /// One server and two agents: a snapshot, changes, and what they cost.
    Demo {
        /// Through this broker instead of within the process; `private` starts one.
        #[arg(long, value_name = "URI")]
        amqp: Option<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo { amqp } => run_demo(amqp.as_deref()).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sg-bus: {error:#}");
            let bad_input = error.chain().any(|cause| cause.is::<BadInput>());
            ExitCode::from(if bad_input { 2 } else { 1 })
        }
    }
}

async fn run_demo(amqp: Option<&str>) -> Result<()> {
    let said = match amqp {
        None => demo::run(&Mem::default()).await?,
        Some("private") => {
            let rabbit = Rabbit::start().await?.context("rabbitmq-server is not installed")?;
            demo::run(&Amqp::new(&rabbit.uri())?).await?
        }
        Some(uri) => demo::run(&Amqp::new(uri)?).await?,
    };
    print!("{said}");
    Ok(())
}
