//! One server and two agents in one process: a snapshot, changes, and what they cost.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use secgroup_rpc::Info;
use secgroup_rpc::sync::{Agent, AgentConfig, Server};
use tokio::sync::watch;

use crate::agent::{self, Event};
use crate::cloud::Cloud;
use crate::server::{self, ServerHandle};
use crate::transport::Transport;

const CLOUD: Cloud = Cloud { ports: 200, hosts: 10, groups: 2 };

/// Runs it over `transport`; what it says line by line.
///
/// # Errors
/// If the transport fails, or an agent does not get into step within a minute.
pub async fn run(transport: &impl Transport) -> Result<String> {
    let mut model = Server::new(fastrand::u32(..));
    CLOUD.fill(&mut model);
    let (server, _task) = server::start(model, transport.serve().await?);
    let mut agents = Vec::new();
    for host in 0..2 {
        agents.push(join(transport, host).await?);
    }
    let mut out = String::new();
    let mut seen = 0;
    for (what, change) in steps() {
        server.with(change).await?;
        for (host, state) in (0..).zip(&mut agents) {
            in_step(&server, host, state).await?;
        }
        let bytes = server.counters().await?.0.sent_bytes;
        writeln!(out, "{what}: {} bytes to two agents, both in step", bytes - seen)?;
        seen = bytes;
    }
    Ok(out)
}

type Change = fn(&mut Server);

fn steps() -> [(&'static str, Change); 4] {
    [
        ("20 ports each, 2 groups of 100 members: the first snapshot", |_| {}),
        ("one member more", |server| server.add_member(CLOUD.group(0), CLOUD.stranger(1))),
        ("that member gone", |server| server.remove_member(CLOUD.group(0), CLOUD.stranger(1))),
        ("new rules for one group", |server| server.set_rules(CLOUD.group(1), Vec::new())),
    ]
}

async fn join(transport: &impl Transport, host: u32) -> Result<watch::Receiver<Info>> {
    let end = transport.join(&format!("host-{host}").parse()?).await?;
    let devices = CLOUD.ports_of(host);
    let agent = Agent::new(AgentConfig::default(), devices.iter().copied());
    let (state, seen) = watch::channel(Info::default());
    tokio::spawn(async move {
        let note = |agent: &Agent, event: Event| {
            if let Event::Applied(_) = event {
                state.send_replace(agent.info());
            }
            Ok(())
        };
        // Devices stay as they are: the other half of the channel is not needed.
        agent::run(agent, end, watch::channel(devices).1, note).await
    });
    Ok(seen)
}

async fn in_step(server: &ServerHandle, host: u32, state: &mut watch::Receiver<Info>) -> Result<()> {
    let wanted = server.with(move |server| server.info_for(CLOUD.ports_of(host))).await?;
    let reached = state.wait_for(|state| *state == wanted);
    tokio::time::timeout(Duration::from_secs(60), reached).await.context("an agent is not in step")??;
    Ok(())
}
