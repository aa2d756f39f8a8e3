//! Security groups and wiring over a message bus: servers, agents, a bridge from Neutron, measurements.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc, reason = "a program lives in std")]

mod cli;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use cli::{AgentArgs, BenchArgs, Cli, Command};
use indicatif::{ProgressBar, ProgressStyle};
use sg_bus::bench::{measure, plot, report};
use sg_bus::credentials::{Made, Token, acceptor, connector};
use sg_bus::input::BadInput;
use sg_bus::neutron::Neutron;
use sg_bus::rabbit::Rabbit;
use sg_bus::soak::{self, Fault};
use sg_bus::transport::tcp::{Side, Tcp, serve_on};
use sg_bus::transport::{AgentEnd, AgentName, ServerEnd, Transport, amqp::Amqp, any::Any, mem::Mem};
use sg_bus::{bridge, commands, demo, state};

/// Faults in a soak come this often.
const FAULT_EVERY: Duration = Duration::from_secs(5);

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
        Command::Demo { amqp } => {
            let (transport, _broker) = place(amqp.as_deref()).await?;
            print!("{}", demo::run(&transport).await?);
            Ok(())
        }
        Command::Server { state, ports, place } => {
            commands::serve(&place.transport()?, &state, ports.as_deref()).await
        }
        Command::Agent(arguments) => follow(&arguments).await,
        Command::Bridge { neutron, place, resync } => {
            let end = place.transport()?.serve().await?;
            let (_handle, task) = bridge::start(Neutron::new(&neutron)?, end, Duration::from_secs(resync));
            Ok(task.await?)
        }
        Command::Bench(arguments) => match arguments.soak {
            Some(length) => run_soak(&arguments, length).await,
            None => run_bench(&arguments).await,
        },
        Command::Cert { names, output } => Made::new(&names)?.write(&output),
    }
}

async fn follow(arguments: &AgentArgs) -> Result<()> {
    let options = arguments.options()?;
    let Some(uri) = &arguments.neutron else {
        return commands::follow(&arguments.transport()?, &options).await;
    };
    // A bridge of its own, within the process.
    let mem = Mem::default();
    let (_handle, _task) = bridge::start(Neutron::new(uri)?, mem.serve().await?, Duration::from_secs(300));
    commands::follow(&mem, &options).await
}

/// The transport for a demonstration or a measurement, and the broker that was started for it.
async fn place(amqp: Option<&str>) -> Result<(Any, Option<Rabbit>)> {
    Ok(match amqp {
        None => (Any::Mem(Mem::default()), None),
        Some("private") => {
            let rabbit = Rabbit::start().await?.context("rabbitmq-server is not installed")?;
            (Any::Amqp(Amqp::new(&rabbit.uri())?), Some(rabbit))
        }
        Some(uri) => (Any::Amqp(Amqp::new(uri)?), None),
    })
}

async fn run_bench(arguments: &BenchArgs) -> Result<()> {
    let options = measure::Options { cloud: arguments.cloud(), rate: arguments.rate, length: arguments.time };
    let bar = progress_bar("{bar:40} {percent} %");
    bar.set_length(1000);
    let progress = |part: f64| bar.set_position((part * 1000.0) as u64);
    let (outcome, way) = if arguments.tls {
        (measure::run(&Loopback::new().await?, options, progress).await?, "TLS on loopback")
    } else {
        let (transport, _broker) = place(arguments.amqp.as_deref()).await?;
        let way = if arguments.amqp.is_some() { "RabbitMQ" } else { "within a process" };
        (measure::run(&transport, options, progress).await?, way)
    };
    bar.finish_and_clear();
    if let Some(path) = &arguments.plot {
        state::replace(path, plot::draw(options.cloud)?.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.json {
        println!("{}", report::json(&options, &outcome, way));
    } else {
        print!("{}", report::table(&options, &outcome, way));
    }
    Ok(())
}

async fn run_soak(arguments: &BenchArgs, length: Duration) -> Result<()> {
    let (transport, mut broker) = place(arguments.amqp.as_deref()).await?;
    let mut options = soak::Options {
        cloud: arguments.cloud(),
        // Servers meet at a broker only.
        servers: if arguments.amqp.is_some() { 2 } else { 1 },
        rate: arguments.rate,
        length,
        faults: Vec::new(),
        seed: arguments.seed,
    };
    options.faults = Fault::plan(&options, FAULT_EVERY, broker.is_some());
    let bar = progress_bar("{elapsed_precise} {msg}");
    let progress = |report: &soak::Report| bar.set_message(format!("{report:?}"));
    let report = soak::run(&transport, broker.as_mut(), &options, progress).await;
    bar.finish_and_clear();
    println!("in step after {length:?} with seed {}: {:?}", arguments.seed, report?);
    Ok(())
}

/// On standard error, and only if that is a terminal.
fn progress_bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// TLS between this process and itself, on a port that is free.
struct Loopback {
    socket: std::net::TcpListener,
    made: Made,
    address: String,
}

impl Loopback {
    async fn new() -> Result<Self> {
        let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let address = format!("localhost:{}", socket.local_addr()?.port());
        Ok(Self { socket, made: Made::new(&["localhost".into()])?, address })
    }
}

impl Transport for Loopback {
    async fn serve(&self) -> Result<ServerEnd> {
        let socket = tokio::net::TcpListener::from_std(self.socket.try_clone()?)?;
        let tls = acceptor(self.made.certificate.as_bytes(), self.made.key.as_bytes())?;
        Ok(serve_on(socket, tls, Token::new(&self.made.token)?))
    }

    async fn join(&self, name: &AgentName) -> Result<AgentEnd> {
        let side = Side::Agent(connector(self.made.authority.as_bytes())?, None);
        let addresses = vec![self.address.clone()];
        Tcp { addresses, token: Token::new(&self.made.token)?, side }.join(name).await
    }
}
