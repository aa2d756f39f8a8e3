//! Changes and faults from a seed, and agents that judge every state they are given.
//!
//! Servers are killed, agents restarted, the broker restarted, while members, rules, ports and their wiring
//! change. In every state that an agent applies, each of its ports must be filtered and wired, and a packet
//! that no rule ever admits must not pass; no state may be applied twice; and in the end every agent must
//! hold exactly what is true.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use secgroup_rpc::sync::{Agent, AgentConfig, Server};
use secgroup_rpc::{Direction, Family, Info, Packet, PortRange, Protocol, Rule, Uuid};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::agent::{self, Event, Held};
use crate::cloud::Cloud;
use crate::rabbit::Rabbit;
use crate::server::{self, ServerHandle};
use crate::transport::any::Any;
use crate::transport::{AgentName, Transport};
use crate::wiring;

/// How long agents may take to get into step at the end, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where all ports are at the start.
const FIRST_VLAN: u16 = 100;

/// What is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cloud; one agent for each host.
    pub cloud: Cloud,
    /// Servers at the same time; more than one needs a broker.
    pub servers: usize,
    /// Changes in a second.
    pub rate: u32,
    /// How long.
    pub length: Duration,
    /// What happens when.
    pub faults: Vec<(Duration, Fault)>,
    /// Of all choices.
    pub seed: u64,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A server ends without a word; another takes its place half a second later.
    KillServer(usize),
    /// An agent ends and starts again, with what it had applied or with nothing.
    RestartAgent(u32, Keeps),
    /// The broker ends without a word and starts again.
    RestartBroker,
}

/// What a restarted agent starts from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keeps {
    /// What it had applied.
    Filter,
    /// Nothing.
    Nothing,
}

impl Fault {
    /// Faults all `every`, as a seed chooses; brokers only where there is one.
    pub fn plan(options: &Options, every: Duration, with_broker: bool) -> Vec<(Duration, Self)> {
        let mut random = fastrand::Rng::with_seed(options.seed);
        let mut plan = Vec::new();
        let mut at = every;
        // The last seconds are quiet, so that restarted parts are there at the end.
        while at + every < options.length {
            plan.push((
                at,
                match random.u32(..10) {
                    0..4 => Self::KillServer(random.usize(..options.servers)),
                    9 if with_broker => Self::RestartBroker,
                    _ => {
                        let keeps = if random.bool() { Keeps::Filter } else { Keeps::Nothing };
                        Self::RestartAgent(random.u32(..options.cloud.hosts), keeps)
                    }
                },
            ));
            at += every;
        }
        plan
    }
}

/// What it came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Changes made.
    pub changes: u64,
    /// Servers killed.
    pub servers_killed: u64,
    /// Agents restarted.
    pub agents_restarted: u64,
    /// Times that the broker was restarted.
    pub broker_restarts: u64,
    /// States applied by all agents.
    pub applied: u64,
    /// Deltas among them.
    pub deltas: u64,
    /// Heals among them.
    pub heals: u64,
    /// Wirings applied by all agents.
    pub wired: u64,
    /// Messages that agents refused as a whole.
    pub refused: u64,
}

/// Runs it; `progress` hears what happened so far.
///
/// # Errors
/// If an agent applied what it must not, or is not in step in the end.
pub async fn run(
    transport: &Any,
    mut broker: Option<&mut Rabbit>,
    options: &Options,
    mut progress: impl FnMut(&Report),
) -> Result<Report> {
    let mut bench = Bench::start(transport, options).await?;
    let mut faults = options.faults.iter().peekable();
    let start = Instant::now();
    let pause = Duration::from_secs(1) / options.rate.max(1);
    while start.elapsed() < options.length || faults.peek().is_some() {
        bench.change().await;
        if let Some((_, fault)) = faults.next_if(|(at, _)| *at <= start.elapsed()) {
            bench.fail(*fault, broker.as_deref_mut()).await?;
        }
        bench.replace_servers().await?;
        progress(&bench.report());
        sleep(pause).await;
    }
    bench.all_in_step().await?;
    let report = bench.report();
    progress(&report);
    Ok(report)
}

struct Bench<'a> {
    transport: &'a Any,
    options: &'a Options,
    /// What is true; agents are compared with it.
    truth: Server,
    wires: wiring::Server,
    servers: Vec<RunningServer>,
    agents: BTreeMap<u32, RunningAgent>,
    random: fastrand::Rng,
    report: Report,
    judge: Arc<Mutex<Judge>>,
}

struct RunningServer {
    handle: ServerHandle,
    task: JoinHandle<()>,
    /// When a dead one is replaced.
    replace_at: Option<Instant>,
}

struct RunningAgent {
    state: watch::Receiver<Known>,
    task: JoinHandle<Result<()>>,
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What an agent has applied.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    groups: Info,
    ports: Vec<wiring::Port>,
}

/// What all agents together did.
#[derive(Debug, Default)]
struct Judge {
    wired: u64,
    applied: u64,
    deltas: u64,
    heals: u64,
    refused: u64,
    /// The first state that should not have been applied.
    verdict: Option<String>,
}

impl<'a> Bench<'a> {
    async fn start(transport: &'a Any, options: &'a Options) -> Result<Self> {
        let (mut truth, mut wires) = (Server::new(0), wiring::Server::new(0));
        options.cloud.fill(&mut truth);
        wires.replace((0..options.cloud.ports).map(|port| options.cloud.wired(port, FIRST_VLAN)).collect());
        let mut bench = Self {
            transport,
            options,
            truth,
            wires,
            servers: Vec::new(),
            agents: BTreeMap::new(),
            random: fastrand::Rng::with_seed(options.seed),
            report: Report::default(),
            judge: Arc::default(),
        };
        for _ in 0..options.servers {
            let server = bench.start_server().await?;
            bench.servers.push(server);
        }
        for host in 0..options.cloud.hosts {
            bench.start_agent(host, Known::default()).await?;
        }
        Ok(bench)
    }

    async fn start_server(&mut self) -> Result<RunningServer> {
        let mut model = Server::new(self.random.u32(..));
        model.replace(self.truth.info());
        let mut wiring = wiring::Server::new(self.random.u32(..));
        let cloud = self.options.cloud;
        wiring.replace(
            (0..cloud.ports).filter_map(|port| self.wires.port(cloud.port(port)).cloned()).collect(),
        );
        let end = self.transport.serve().await?;
        let (handle, task) = server::start_with_wiring(model, wiring, end);
        Ok(RunningServer { handle, task, replace_at: None })
    }

    async fn start_agent(&mut self, host: u32, known: Known) -> Result<()> {
        let name: AgentName = format!("host-{host}").parse()?;
        let end = self.transport.join(&name).await?;
        let devices = self.options.cloud.ports_of(host);
        let config = AgentConfig {
            retry: Duration::from_millis(200),
            keepalive: Duration::from_secs(1),
            ..AgentConfig::default()
        };
        let agent = Agent::restore(config, devices.iter().copied(), known.groups.clone());
        let times = wiring::AgentConfig { retry: config.retry, keepalive: config.keepalive };
        let wiring = Some(wiring::Agent::new(times, name, known.ports.clone()));
        let (tell, state) = watch::channel(known);
        let judge = Arc::clone(&self.judge);
        let theirs = devices.clone();
        let mut counted = agent.counters();
        let on_event = move |held: &Held, event: Event| {
            let mut judge = judge.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Event::Refused(_) => judge.refused += 1,
                Event::Applied(changed) => {
                    let (groups, counters) = (held.groups.info(), held.groups.counters());
                    judge.deltas += counters.deltas - counted.deltas;
                    judge.heals += counters.heals - counted.heals;
                    counted = counters;
                    judge.judge(&theirs, &tell.borrow().groups, &groups, !changed.is_empty());
                    tell.send_modify(|known| known.groups = groups);
                }
                Event::Wired(changed) => {
                    let ports: Vec<_> = held.wiring.iter().flat_map(wiring::Agent::ports).cloned().collect();
                    judge.judge_wiring(&theirs, &tell.borrow().ports, &ports, !changed.is_empty());
                    tell.send_modify(|known| known.ports = ports);
                }
                _ => {}
            }
            Ok(())
        };
        let held = Held { wiring, ..Held::of_groups(agent) };
        let task = tokio::spawn(agent::run_with_wiring(held, end, watch::channel(devices).1, on_event));
        self.agents.insert(host, RunningAgent { state, task });
        Ok(())
    }

    /// One change of what is true, told to every server that lives.
    async fn change(&mut self) {
        let change = Change::random(self.options.cloud, &mut self.random);
        change.apply(self.options.cloud, &mut self.truth, &mut self.wires);
        self.report.changes += 1;
        let cloud = self.options.cloud;
        for server in self.servers.iter().filter(|server| server.replace_at.is_none()) {
            // A server that was just killed is replaced by one that knows.
            _ = server.handle.with_both(move |server, wiring| change.apply(cloud, server, wiring)).await;
        }
    }

    async fn fail(&mut self, fault: Fault, broker: Option<&mut Rabbit>) -> Result<()> {
        match fault {
            Fault::KillServer(which) => {
                if let Some(server) = self.servers.get_mut(which) {
                    server.task.abort();
                    server.replace_at.get_or_insert(Instant::now() + Duration::from_millis(500));
                    self.report.servers_killed += 1;
                }
            }
            Fault::RestartAgent(host, keeps) => {
                let Some(old) = self.agents.remove(&host) else { return Ok(()) };
                let known = match keeps {
                    Keeps::Filter => old.state.borrow().clone(),
                    Keeps::Nothing => Known::default(),
                };
                drop(old);
                self.start_agent(host, known).await?;
                self.report.agents_restarted += 1;
            }
            Fault::RestartBroker => {
                let broker = broker.context("there is no broker to restart")?;
                broker.kill();
                // What changes while it is away must arrive, too.
                for _ in 0..20 {
                    self.change().await;
                }
                broker.start_broker().await?;
                self.report.broker_restarts += 1;
            }
        }
        Ok(())
    }

    async fn replace_servers(&mut self) -> Result<()> {
        for at in 0..self.servers.len() {
            let due = self.servers.get(at).and_then(|server| server.replace_at);
            if due.is_some_and(|due| due <= Instant::now()) {
                let next = self.start_server().await?;
                if let Some(server) = self.servers.get_mut(at) {
                    *server = next;
                }
            }
        }
        Ok(())
    }

    async fn all_in_step(&mut self) -> Result<()> {
        for server in &mut self.servers {
            if let Some(at) = server.replace_at {
                tokio::time::sleep_until(at).await;
            }
        }
        self.replace_servers().await?;
        for (host, agent) in &mut self.agents {
            let mut devices = self.options.cloud.ports_of(*host);
            devices.sort_unstable();
            let ports = devices.iter().filter_map(|id| self.wires.port(*id).cloned()).collect();
            let wanted = Known { groups: self.truth.info_for(devices), ports };
            let reached = timeout(PATIENCE, agent.state.wait_for(|state| *state == wanted)).await;
            reached.with_context(|| format!("host-{host} is not in step after {PATIENCE:?}"))??;
        }
        match lock(&self.judge).verdict.take() {
            Some(verdict) => bail!(verdict),
            None => Ok(()),
        }
    }

    fn report(&self) -> Report {
        let judge = lock(&self.judge);
        let Judge { applied, refused, wired, .. } = *judge;
        Report { applied, refused, wired, deltas: judge.deltas, heals: judge.heals, ..self.report }
    }
}

fn lock(judge: &Mutex<Judge>) -> MutexGuard<'_, Judge> {
    judge.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Judge {
    fn judge(&mut self, devices: &[Uuid], before: &Info, after: &Info, says_it_changed: bool) {
        self.applied += 1;
        if says_it_changed && before == after {
            self.verdict.get_or_insert_with(|| "a state was applied twice".into());
        }
        for device in devices {
            let Ok(found) = after.devices.binary_search_by_key(device, |device| device.id) else {
                self.verdict.get_or_insert_with(|| format!("{device} was not filtered for a while"));
                return;
            };
            let address = after.devices.get(found).and_then(|device| device.fixed_ips.iter().next());
            let Some(address) = address else { continue };
            if after.check(*device, &intruder(*address)).passes() {
                self.verdict.get_or_insert_with(|| format!("{device} was open for a while"));
            }
        }
    }

    /// No port is ever taken away here, so none may be missing.
    fn judge_wiring(
        &mut self,
        devices: &[Uuid],
        before: &[wiring::Port],
        after: &[wiring::Port],
        says_it_changed: bool,
    ) {
        self.wired += 1;
        if says_it_changed && before == after {
            self.verdict.get_or_insert_with(|| "a wiring was applied twice".into());
        }
        if after.len() != devices.len() {
            self.verdict.get_or_insert_with(|| "a port was not wired for a while".into());
        }
    }
}

/// Telnet from elsewhere: no rule of the cloud ever admits it.
fn intruder(to: std::net::IpAddr) -> Packet {
    Packet {
        direction: Direction::Ingress,
        source: std::net::Ipv4Addr::new(203, 0, 113, 9).into(),
        destination: to,
        protocol: 6,
        ports: Some((40_000, 23)),
    }
}

/// A change, small enough to be told to several servers.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add { group: u32, member: u32 },
    Remove { group: u32, member: u32 },
    Open { group: u32, port: u16 },
    Move { port: u32, group: u32 },
    Rewire { port: u32, vlan: u16 },
}

impl Change {
    fn random(cloud: Cloud, random: &mut fastrand::Rng) -> Self {
        let group = random.u32(..cloud.groups);
        match random.u32(..100) {
            0..5 => Self::Open { group, port: random.u16(1000..2000) },
            5..10 => Self::Move { port: random.u32(..cloud.ports), group },
            10..15 => Self::Rewire { port: random.u32(..cloud.ports), vlan: random.u16(FIRST_VLAN..4095) },
            15..55 => Self::Add { group, member: random.u32(..256) },
            _ => Self::Remove { group, member: random.u32(..256) },
        }
    }

    fn apply(self, cloud: Cloud, server: &mut Server, wiring: &mut wiring::Server) {
        match self {
            Self::Rewire { port, vlan } => wiring.set_port(cloud.wired(port, vlan)),
            Self::Add { group, member } => server.add_member(cloud.group(group), cloud.stranger(member)),
            Self::Remove { group, member } => {
                server.remove_member(cloud.group(group), cloud.stranger(member))
            }
            Self::Open { group, port } => {
                let mut rules = cloud.rules(group);
                rules.push(Rule {
                    protocol: Some(Protocol::TCP),
                    ports: PortRange::single(port),
                    ..Rule::any(Direction::Ingress, Family::V4)
                });
                server.set_rules(cloud.group(group), rules);
            }
            Self::Move { port, group } => server.set_device(cloud.device_in(port, group)),
        }
    }
}
