//! One server and many agents over a transport, with changes at a steady rate.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use secgroup_rpc::sync::{Agent, AgentConfig, AgentId, Server};
use secgroup_rpc::{IpSpec, Member, Uuid};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::agent::{self, Event};
use crate::bench::neutron_cost::Cost;
use crate::cloud::Cloud;
use crate::server::{self, ServerHandle};
use crate::transport::Transport;

/// Longest wait for agents.
const PATIENCE: Duration = Duration::from_secs(120);
/// Changes that are timed one by one.
const PROBES: u32 = 20;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The cloud; one agent for each host.
    pub cloud: Cloud,
    /// Changes in a second.
    pub rate: u32,
    /// How long.
    pub length: Duration,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All agents from nothing: until the last is in step.
    pub cold: Duration,
    /// And what the server sent for it.
    pub cold_cost: Cost,
    /// One change alone, told to all whom it concerns; mean of some.
    pub change_cost: Cost,
    /// From one change alone until the last agent has it, sorted.
    pub lags: Vec<Duration>,
    /// Changes made at the steady rate.
    pub changes: u64,
    /// In this time.
    pub elapsed: Duration,
    /// What the server sent meanwhile.
    pub churn_cost: Cost,
}

/// Runs it; `progress` hears the part that is done, 0 to 1.
///
/// # Errors
/// If the transport fails or an agent does not get into step.
pub async fn run(
    transport: &impl Transport,
    options: Options,
    mut progress: impl FnMut(f64),
) -> Result<Outcome> {
    let cloud = options.cloud;
    let mut model = Server::new(fastrand::u32(..));
    cloud.fill(&mut model);
    let (server, _task) = server::start(model, transport.serve().await?);
    let probe = Arc::new(Probe::default());
    let mut agents = JoinSet::new();
    let start = Instant::now();
    probe.left.store(cloud.hosts as usize, Ordering::SeqCst);
    for host in 0..cloud.hosts {
        let end = transport.join(&format!("host-{host}").parse()?).await?;
        let devices = cloud.ports_of(host);
        let agent = Agent::new(AgentConfig::default(), devices.iter().copied());
        let probe = Arc::clone(&probe);
        let mut arrived = Uuid::default();
        let on_event = move |agent: &Agent, event: Event| {
            if let Event::Applied(_) = event {
                probe.look(agent, &mut arrived);
            }
            Ok(())
        };
        agents.spawn(agent::run(agent, end, watch::channel(devices).1, on_event));
    }
    probe.all().await.context("agents are not in step")?;
    let cold = start.elapsed();
    let cold_cost = cost(&server).await?;
    let (lags, change_cost) = probes(&server, cloud, &probe, &mut progress).await?;
    let before = cost(&server).await?;
    let start = Instant::now();
    let changes = churn(&server, options, &mut progress).await?;
    let elapsed = start.elapsed();
    let churn_cost = less(cost(&server).await?, before);
    progress(1.0);
    Ok(Outcome { cold, cold_cost, change_cost, lags, changes, elapsed, churn_cost })
}

/// A change that agents look out for.
#[derive(Debug, Default)]
struct Probe {
    /// Group, address, and an id that tells this probe from others; none while they start.
    wanted: Mutex<Option<(Uuid, Ipv4Addr, Uuid)>>,
    left: AtomicUsize,
    done: Notify,
}

impl Probe {
    /// Whether the agent has what is wanted, for the first time. `arrived` is what it had last.
    fn look(&self, agent: &Agent, arrived: &mut Uuid) {
        let wanted = *self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let (has, probe) = match wanted {
            None => (true, Uuid([0xFF; 16])),
            Some((group, address, probe)) => {
                let members = agent.member_set(group).and_then(|set| set.v4.as_ref());
                (members.is_some_and(|members| members.addresses.binary_search(&address).is_ok()), probe)
            }
        };
        if has && *arrived != probe {
            *arrived = probe;
            if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.done.notify_one();
            }
        }
    }

    async fn all(&self) -> Result<()> {
        Ok(timeout(PATIENCE, self.done.notified()).await?)
    }
}

async fn probes(
    server: &ServerHandle,
    cloud: Cloud,
    probe: &Probe,
    progress: &mut impl FnMut(f64),
) -> Result<(Vec<Duration>, Cost)> {
    let before = cost(server).await?;
    let mut lags = Vec::new();
    for number in 0..PROBES {
        let group = number % cloud.groups;
        let member = cloud.stranger(1000 + number);
        let concerned = (0..cloud.hosts).filter(|host| cloud.has_port_in(*host, group)).count();
        if concerned == 0 {
            continue;
        }
        let IpSpec::Host(std::net::IpAddr::V4(address)) = member.address else { continue };
        probe.left.store(concerned, Ordering::SeqCst);
        *probe.wanted.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((cloud.group(group), address, Uuid::from_bits(number.into())));
        let start = Instant::now();
        server.with(move |server| server.add_member(cloud.group(group), member)).await?;
        probe.all().await.context("an agent did not get a change")?;
        lags.push(start.elapsed());
        progress(f64::from(number + 1) / f64::from(PROBES) * 0.2);
    }
    let spent = less(cost(server).await?, before);
    let count = lags.len().max(1) as f64;
    lags.sort_unstable();
    Ok((lags, Cost { messages: spent.messages / count, bytes: spent.bytes / count }))
}

async fn churn(server: &ServerHandle, options: Options, progress: &mut impl FnMut(f64)) -> Result<u64> {
    let cloud = options.cloud;
    let mut ticks = interval(Duration::from_secs(1) / options.rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let start = Instant::now();
    let mut changes = 0;
    let mut present = BTreeSet::new();
    while start.elapsed() < options.length {
        ticks.tick().await;
        // Each change changes something: who is there goes, who is not comes.
        let (group, number) = (fastrand::u32(..cloud.groups), fastrand::u32(..256));
        let add = present.insert((group, number)) || !present.remove(&(group, number));
        let member = cloud.stranger(number);
        server.with(move |server| toggle(server, cloud.group(group), member, add)).await?;
        changes += 1;
        progress(0.2 + 0.8 * start.elapsed().as_secs_f64() / options.length.as_secs_f64());
    }
    Ok(changes)
}

fn toggle(server: &mut Server, group: Uuid, member: Member, add: bool) {
    if add { server.add_member(group, member) } else { server.remove_member(group, member) }
}

async fn cost(server: &ServerHandle) -> Result<Cost> {
    let (counters, _) = server.counters().await?;
    Ok(Cost { messages: counters.sent as f64, bytes: counters.sent_bytes as f64 })
}

fn less(after: Cost, before: Cost) -> Cost {
    Cost { messages: after.messages - before.messages, bytes: after.bytes - before.bytes }
}

/// One member more, without a transport: what the server writes to all agents together.
pub fn one_change(cloud: Cloud) -> Cost {
    let mut server = Server::new(1);
    cloud.fill(&mut server);
    for host in 0..cloud.hosts {
        let mut agent = Agent::new(AgentConfig::default(), cloud.ports_of(host));
        if let Some(sync) = agent.poll_transmit(Duration::ZERO) {
            // Our own agent's words are understood.
            let _ = server.handle(AgentId(host.into()), &sync);
        }
    }
    while server.poll_transmit().is_some() {}
    server.add_member(cloud.group(0), cloud.stranger(1));
    let mut cost = Cost::default();
    while let Some((_, bytes)) = server.poll_transmit() {
        cost.messages += 1.0;
        cost.bytes += bytes.len() as f64;
    }
    cost
}
