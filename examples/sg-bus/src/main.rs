//! Security-group state over a message bus: `sg-bus demo`, `server`, `agent`, `cert`.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc, reason = "a program lives in std")]

mod cli;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use cli::{Cli, Command};
use sg_bus::credentials::Made;
use sg_bus::input::BadInput;
use sg_bus::rabbit::Rabbit;
use sg_bus::transport::{amqp::Amqp, mem::Mem};
use sg_bus::{commands, demo};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sg-bus: {error:#}");
            let bad_input = error.chain().any(|cause| cause.is::<BadInput>());
            ExitCode::from(if bad_input { 2 } else { 1 })
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo { amqp } => run_demo(amqp.as_deref()).await,
        Command::Server { state, place } => commands::serve(&place.transport()?, &state).await,
        Command::Agent(arguments) => commands::follow(&arguments.transport()?, &arguments.options()?).await,
        Command::Cert { names, output } => Made::new(&names)?.write(&output),
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
