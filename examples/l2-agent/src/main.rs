//! A level-triggered layer-2 agent: `l2-agent run --desired node.toml --ovs /run/openvswitch/db.sock`.
//!
//! Input errors end with code 2; `run --once` and `show` end with 1 if a desired port is not up.

mod cli;
mod demo;
mod output;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use macaddr::MacAddr6;

use cli::{Cli, Command, Place, RunArgs, SwitchArgs, TestPortCommand};
use l2_agent::agent::{Agent, Outcome};
use l2_agent::backend::Backend;
use l2_agent::bus::NotYet;
use l2_agent::desired::{Desired, MacText};
use l2_agent::ovs::OpenVSwitch;
use l2_agent::plan::{Status, plan};
use l2_agent::test_port::{Address, TestPort};
use l2_agent::watch::Watched;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => run(&arguments),
        Command::Show(arguments) => show(&arguments),
        Command::TestPort(command) => test_port(command),
    };
    result.unwrap_or_else(|error| {
        eprintln!("l2-agent: {error:#}");
        ExitCode::from(2)
    })
}

fn run(arguments: &RunArgs) -> anyhow::Result<ExitCode> {
    if arguments.dry_run {
        return show(&arguments.switch);
    }
    if arguments.switch.sim {
        return simulate(&arguments.switch);
    }
    let mut desired = first_state(arguments)?;
    let mut agent = Agent::new(connect(&arguments.switch)?);
    let patience = if arguments.once { arguments.patience() } else { Duration::ZERO };
    loop {
        let outcome = match agent.converge(desired.state(), patience) {
            Ok(outcome) => outcome,
            Err(error) if arguments.once => return Err(error),
            Err(error) => {
                // The switch is away: what it has stays, and so does what we know.
                eprintln!("l2-agent: {error:#}; trying again in 1 s");
                std::thread::sleep(Duration::from_secs(1));
                if let Ok(backend) = connect(&arguments.switch) {
                    *agent.backend() = backend;
                }
                continue;
            }
        };
        output::reports(&outcome, arguments.switch.json)?;
        if let Some(file) = &arguments.up {
            output::up(&outcome.plan, file)?;
        }
        if arguments.once {
            return Ok(verdict(&outcome));
        }
        if let Err(error) = agent.backend().wait(arguments.interval(), desired.changes()) {
            eprintln!("l2-agent: {error:#}");
        }
        if let Err(error) = desired.refresh() {
            eprintln!("l2-agent: {error:#}; the last good state stays");
        }
    }
}

/// Waits for a bus that has not answered yet: what is wired stays as it is meanwhile.
fn first_state(arguments: &RunArgs) -> anyhow::Result<Watched> {
    let mut is_told = false;
    loop {
        match Watched::read(&arguments.switch.desired) {
            Err(error) if error.is::<NotYet>() && !arguments.once => {
                if !std::mem::replace(&mut is_told, true) {
                    eprintln!("l2-agent: {error:#}; waiting");
                }
                std::thread::sleep(arguments.interval());
            }
            read => return read,
        }
    }
}

/// Wires a simulated node and sends a broadcast from every port.
fn simulate(arguments: &SwitchArgs) -> anyhow::Result<ExitCode> {
    let desired = Desired::read(&arguments.desired)?;
    let mut agent = Agent::new(demo::node(&desired)?);
    let outcome = agent.converge(&desired, Duration::ZERO)?;
    output::reports(&outcome, arguments.json)?;
    output::reach(&demo::reach(agent.backend()), arguments.json)?;
    Ok(verdict(&outcome))
}

fn show(arguments: &SwitchArgs) -> anyhow::Result<ExitCode> {
    let desired = Desired::read(&arguments.desired)?;
    let mut switch: Box<dyn Backend> =
        if arguments.sim { Box::new(demo::node(&desired)?) } else { Box::new(connect(arguments)?) };
    let observed = switch.observe()?;
    let plan = plan(&desired, observed);
    output::show(&desired, observed, &plan, arguments.json)?;
    Ok(if plan.status.values().all(|status| *status == Status::Up) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn test_port(command: TestPortCommand) -> anyhow::Result<ExitCode> {
    let port = |place: &Place, port_id, mac, address| TestPort {
        name: place.name.clone(),
        namespace: place.netns.clone().unwrap_or_else(|| place.name.clone()),
        port_id,
        mac,
        address,
    };
    let known = |place: &Place| port(place, String::new(), MacText(MacAddr6::nil()), Address::Dhcp);
    match command {
        TestPortCommand::Create { place, port_id, mac, address } => {
            let port = port(&place, port_id, mac, address.map_or(Address::Dhcp, Address::Static));
            port.create(&mut OpenVSwitch::connect(&place.ovs)?, &place.bridge)?;
            port.configure()?;
        }
        TestPortCommand::Ping { place, target } => match known(&place).ping(&target) {
            Ok(()) => println!("{target} answers {}", place.name),
            Err(error) => {
                eprintln!("l2-agent: {error:#}");
                return Ok(ExitCode::FAILURE);
            }
        },
        TestPortCommand::Delete { place } => {
            known(&place).delete(&mut OpenVSwitch::connect(&place.ovs)?, &place.bridge)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn connect(arguments: &SwitchArgs) -> anyhow::Result<OpenVSwitch> {
    let switch = OpenVSwitch::connect(&arguments.ovs)?;
    Ok(match &arguments.datapath_type {
        Some(kind) => switch.with_bridge_option("datapath_type", kind),
        None => switch,
    })
}

fn verdict(outcome: &Outcome) -> ExitCode {
    let up = outcome.plan.status.values().all(|status| *status == Status::Up);
    if up && outcome.plan.is_done() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
