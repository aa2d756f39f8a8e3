//! A small cloud, agents that are watched, and peers that may be missing.
#![allow(dead_code, reason = "each test uses its part")]

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secgroup_rpc::sync::{Agent, AgentConfig, Server};
use secgroup_rpc::{
    Device, Direction, Family, Info, IpSpec, List, Member, MemberSet, Members, PortRange, Protocol, Remote,
    Rule, Uuid,
};
use sg_bus::agent::{self, Event};
use sg_bus::rabbit::Rabbit;
use sg_bus::transport::Transport;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Long enough for a busy machine; what is awaited comes much sooner.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn id(kind: u8, number: u64) -> Uuid {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Uuid(bytes)
}

pub(crate) fn port(number: u64) -> Uuid {
    id(1, number)
}

pub(crate) fn group(number: u64) -> Uuid {
    id(2, number)
}

pub(crate) fn member(low: u32) -> Member {
    Member { address: IpSpec::Host(Ipv4Addr::from(0x0A00_0000 | low).into()), mac: None }
}

/// Admits TCP to `port` from the members of `group`.
pub(crate) fn admit(group: Uuid, port: u16) -> Rule {
    Rule {
        protocol: Some(Protocol::TCP),
        ports: PortRange::single(port),
        remote: Some(Remote::Group(group)),
        ..Rule::any(Direction::Ingress, Family::V4)
    }
}

pub(crate) fn device(number: u64, groups: &[Uuid]) -> Device {
    Device {
        fixed_ips: [Ipv4Addr::from(0x0A00_0000 | (number as u32 + 1)).into()].into_iter().collect(),
        groups: groups.iter().copied().collect::<List<_, 2>>(),
        ..Device::new(port(number), [2, 0, 0, 0, (number >> 8) as u8, number as u8].into())
    }
}

/// `ports` ports spread over `groups` groups that admit themselves on port 22.
pub(crate) fn cloud(epoch: u32, ports: u64, groups: u64) -> Server {
    let mut server = Server::new(epoch);
    for number in 0..groups {
        let own = (0..ports).filter(|port| port % groups == number);
        let addresses = own.map(|port| Ipv4Addr::from(0x0A00_0000 | (port as u32 + 1))).collect();
        let v4 = Some(Members { addresses, ..Members::default() });
        server.set_members(MemberSet { v4, ..MemberSet::new(group(number)) });
        server.set_rules(group(number), vec![admit(group(number), 22)]);
    }
    (0..ports).for_each(|number| server.set_device(device(number, &[group(number % groups)])));
    server
}

/// An agent that notes every state it applied.
pub(crate) struct Watched {
    pub(crate) state: watch::Receiver<Info>,
    pub(crate) devices: watch::Sender<Vec<Uuid>>,
    pub(crate) log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) applied: Vec<Info>,
    pub(crate) refused: usize,
    pub(crate) connected: usize,
    pub(crate) lost: Vec<String>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Checks often, so that faults are found within a second.
pub(crate) fn config() -> AgentConfig {
    AgentConfig {
        retry: Duration::from_millis(200),
        keepalive: Duration::from_millis(1000),
        ..AgentConfig::default()
    }
}

pub(crate) async fn watched(transport: &impl Transport, name: &str, devices: Vec<Uuid>) -> Watched {
    let end = transport.join(&name.parse().unwrap()).await.unwrap();
    let (devices, their_devices) = watch::channel(devices);
    let (state, seen) = watch::channel(Info::default());
    let log = Arc::new(Mutex::new(Log::default()));
    let agent = Agent::new(config(), devices.borrow().iter().copied());
    let their_log = Arc::clone(&log);
    let task = tokio::spawn(async move {
        let note = |agent: &Agent, event: Event| {
            let mut log = their_log.lock().unwrap();
            match event {
                Event::Applied(_) => {
                    log.applied.push(agent.info());
                    state.send_replace(agent.info());
                }
                Event::Refused(_) => log.refused += 1,
                Event::Connected => log.connected += 1,
                Event::Lost(why) => log.lost.push(why),
                Event::Wired(_) | Event::NoWiring => {}
            }
            Ok(())
        };
        agent::run(agent, end, their_devices, note).await.unwrap();
    });
    Watched { state: seen, devices, log, task }
}

impl Watched {
    /// Waits until the agent holds exactly this.
    pub(crate) async fn reaches(&mut self, expected: &Info) {
        let reached = self.state.wait_for(|state| state == expected);
        let reached = tokio::time::timeout(PATIENCE, reached).await.map(|state| state.map(drop));
        if reached.is_err() {
            let log = self.log.lock().unwrap();
            panic!(
                "the agent has another state after {PATIENCE:?}: {} applied, {} refused, lost {:?}\n{:#?}\ninstead of\n{expected:#?}",
                log.applied.len(),
                log.refused,
                log.lost,
                *self.state.borrow()
            );
        }
        reached.unwrap().unwrap();
    }

    /// No two states in a row are equal: nothing was applied twice.
    pub(crate) fn applied_nothing_twice(&self) {
        let log = self.log.lock().unwrap();
        for pair in log.applied.windows(2) {
            assert_ne!(pair[0], pair[1], "applied twice");
        }
    }
}

/// A broker, or `None` with a message if there is none on this machine.
pub(crate) async fn rabbit() -> Option<Rabbit> {
    let rabbit = Rabbit::start().await.unwrap();
    if rabbit.is_none() {
        missing("rabbitmq-server");
    }
    rabbit
}

pub(crate) fn missing(peer: &str) {
    eprintln!("skipped: {peer} not found");
    assert!(std::env::var_os("REQUIRE_PEERS").is_none_or(|value| value != "1"), "{peer} is required");
}
