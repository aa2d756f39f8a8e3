//! The wiring of ports beside the groups, over every transport, and what a slow agent costs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{PATIENCE, cloud, config, group, id, member, port, rabbit};
use secgroup_rpc::sync::{Agent, AgentConfig};
use secgroup_rpc::{Info, Uuid};
use sg_bus::agent::{self, Event, Held};
use sg_bus::credentials::{Made, Token, acceptor, connector};
use sg_bus::server::{self, ServerHandle};
use sg_bus::transport::tcp::{Side, Tcp};
use sg_bus::transport::{AgentEnd, FromServer, Transport, amqp::Amqp, mem::Mem};
use sg_bus::wiring::{self, Handled, Network, NetworkKind, is_wiring};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Checks often, so that faults are found within a second.
const CONFIG: wiring::AgentConfig =
    wiring::AgentConfig { retry: Duration::from_millis(200), keepalive: Duration::from_secs(1) };

fn wired(number: u64, vlan: u32) -> wiring::Port {
    wiring::Port {
        id: port(number),
        mac: [2, 0, 0, 0, 0, number as u8].into(),
        network: Network {
            id: id(3, u64::from(vlan)),
            kind: NetworkKind::Vlan,
            physical_network: Some("physnet1".into()),
            segmentation_id: Some(vlan),
        },
        addresses: vec![std::net::Ipv4Addr::from(0x0A00_0001 + number as u32).into()],
        admin_state_up: true,
        filtered: true,
    }
}

/// Ports 0 to 7, all in VLAN 100.
fn wiring_of_eight(epoch: u32) -> wiring::Server {
    let mut wiring = wiring::Server::new(epoch);
    wiring.replace((0..8).map(|number| wired(number, 100)).collect());
    wiring
}

/// An agent that notes every wiring that it applied.
struct Wired {
    state: watch::Receiver<(Vec<wiring::Port>, Info)>,
    devices: watch::Sender<Vec<Uuid>>,
    log: Arc<Mutex<Vec<Vec<wiring::Port>>>>,
    task: JoinHandle<()>,
}

impl Drop for Wired {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(transport: &impl Transport, name: &str, devices: &[Uuid]) -> Wired {
    let end = transport.join(&name.parse().unwrap()).await.unwrap();
    let (devices, theirs) = watch::channel(devices.to_vec());
    let (tell, state) = watch::channel(Default::default());
    let log = Arc::new(Mutex::new(Vec::new()));
    let wiring = wiring::Agent::new(CONFIG, name.parse().unwrap(), []);
    let held = Held { wiring: Some(wiring), ..Held::of_groups(Agent::new(config(), [])) };
    let their_log = Arc::clone(&log);
    let task = tokio::spawn(async move {
        let note = |held: &Held, event: Event| {
            let ports: Vec<_> = held.wiring.iter().flat_map(wiring::Agent::ports).cloned().collect();
            if let Event::Wired(_) = event {
                their_log.lock().unwrap().push(ports.clone());
            }
            tell.send_replace((ports, held.groups.info()));
            Ok(())
        };
        agent::run_with_wiring(held, end, theirs, note).await.unwrap();
    });
    Wired { state, devices, log, task }
}

impl Wired {
    /// Waits until the agent holds exactly these ports, and their groups.
    async fn reaches(&mut self, server: &ServerHandle, expected: &[wiring::Port]) {
        let devices = self.devices.borrow().clone();
        let groups = server.with(|server| server.info_for(devices)).await.unwrap();
        let reached = self.state.wait_for(|state| state.0 == expected && state.1 == groups);
        let reached = timeout(PATIENCE, reached).await.map(|state| state.map(drop));
        assert!(reached.is_ok(), "{:#?}\ninstead of\n{expected:#?}", *self.state.borrow());
    }

    fn applied_nothing_twice(&self) {
        for pair in self.log.lock().unwrap().windows(2) {
            assert_ne!(pair[0], pair[1], "applied twice");
        }
    }
}

/// What shall hold whatever the transport is.
async fn ports_follow(here: &impl Transport, there: &impl Transport) {
    let end = here.serve().await.unwrap();
    let (server, _task) = server::start_with_wiring(cloud(1, 8, 2), wiring_of_eight(1), end);
    let mut one = follow(there, "one", &[port(1), port(5)]).await;
    let mut two = follow(there, "two", &[port(2), port(9)]).await;
    one.reaches(&server, &[wired(1, 100), wired(5, 100)]).await;
    two.reaches(&server, &[wired(2, 100)]).await;

    // One moves, together with its groups.
    let change = server.with_both(|groups, wiring| {
        groups.add_member(group(1), member(99));
        wiring.set_port(wired(5, 200));
    });
    change.await.unwrap();
    one.reaches(&server, &[wired(1, 100), wired(5, 200)]).await;
    // What concerns nobody is told to nobody.
    let sent = server.counters().await.unwrap().0;
    server.with_both(|_, wiring| wiring.set_port(wired(7, 200))).await.unwrap();
    // One goes, one that was awaited comes; and the devices change.
    let change = server.with_both(|_, wiring| {
        wiring.remove_port(port(1));
        wiring.set_port(wired(9, 300));
    });
    change.await.unwrap();
    one.reaches(&server, &[wired(5, 200)]).await;
    two.reaches(&server, &[wired(2, 100), wired(9, 300)]).await;
    let now = server.counters().await.unwrap().0;
    assert!(now.sent - sent.sent <= 2 + (now.requests - sent.requests), "{sent:?} {now:?}");
    one.devices.send_replace(vec![port(5), port(7)]);
    one.reaches(&server, &[wired(5, 200), wired(7, 200)]).await;
    for agent in [one, two] {
        agent.applied_nothing_twice();
    }
}

#[tokio::test]
async fn ports_follow_within_a_process() {
    let mem = Mem::default();
    ports_follow(&mem, &mem).await;
}

#[tokio::test]
async fn ports_follow_over_tls() {
    let made = Made::new(&["localhost".into()]).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let way = |side| Tcp {
        addresses: vec![format!("localhost:{}", free.port())],
        token: Token::new(&made.token).unwrap(),
        side,
    };
    let acceptor = acceptor(made.certificate.as_bytes(), made.key.as_bytes()).unwrap();
    let connector = connector(made.authority.as_bytes()).unwrap();
    ports_follow(&way(Side::Server(acceptor)), &way(Side::Agent(connector, None))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_follow_through_rabbitmq() {
    let Some(rabbit) = rabbit().await else { return };
    let amqp = Amqp::new(&rabbit.uri()).unwrap();
    ports_follow(&amqp, &amqp).await;
}

#[tokio::test]
async fn the_wiring_stays_while_servers_change_and_where_none_knows_it() {
    let mem = Mem::default();
    let place = &mem;
    let start = |epoch, wiring| async move {
        server::start_with_wiring(cloud(epoch, 8, 2), wiring, place.serve().await.unwrap())
    };
    let (first, task) = start(1, wiring_of_eight(1)).await;
    let mut agent = follow(&mem, "one", &[port(1), port(5)]).await;
    let both = [wired(1, 100), wired(5, 100)];
    agent.reaches(&first, &both).await;
    task.abort();
    _ = task.await;
    // One that says nothing about wiring takes nothing away.
    let (silent, task) = start(2, wiring::Server::silent()).await;
    silent.with(|server| server.add_member(group(1), member(77))).await.unwrap();
    agent.reaches(&silent, &both).await;
    task.abort();
    _ = task.await;
    let mut wiring = wiring_of_eight(3);
    wiring.set_port(wired(5, 200));
    let (last, _task) = start(3, wiring).await;
    agent.reaches(&last, &[wired(1, 100), wired(5, 200)]).await;
    agent.applied_nothing_twice();
    assert_eq!(agent.log.lock().unwrap().len(), 2, "each wiring was applied once");
}

/// An agent in the test's hands, which reads when the test says so.
struct Slow {
    end: AgentEnd,
    groups: Agent,
    wiring: wiring::Agent,
    start: Instant,
    /// Wiring answers and changes applied, and gaps noticed.
    applied: usize,
    gaps: usize,
}

impl Slow {
    async fn new(transport: &impl Transport, keepalive: Duration) -> Self {
        let mut end = transport.join(&"slow".parse().unwrap()).await.unwrap();
        let config_of_wiring = wiring::AgentConfig { keepalive, ..CONFIG };
        let mut wiring = wiring::Agent::new(config_of_wiring, "slow".parse().unwrap(), []);
        wiring.set_devices([port(0)]);
        let connected = timeout(PATIENCE, end.inbox.recv()).await.unwrap().unwrap();
        assert!(matches!(connected, FromServer::Connected), "{connected:?}");
        let groups = Agent::new(AgentConfig { keepalive, ..config() }, [port(0)]);
        Self { end, groups, wiring, start: Instant::now(), applied: 0, gaps: 0 }
    }

    /// Reads and asks until it holds this.
    async fn reads_until(&mut self, groups: &Info, wiring: &wiring::Port) {
        let reading = async {
            while self.groups.info() != *groups || !self.wiring.ports().eq([wiring]) {
                self.ask().await;
                let due = self.start + self.groups.poll_timeout().min(self.wiring.poll_timeout());
                tokio::select! {
                    said = self.end.inbox.recv() => if let FromServer::Said(bytes) = said.unwrap() {
                        self.take(&bytes);
                    },
                    () = tokio::time::sleep_until(due) => {}
                }
            }
        };
        timeout(PATIENCE, reading).await.unwrap();
    }

    async fn ask(&mut self) {
        let now = self.start.elapsed();
        for bytes in [self.groups.poll_transmit(now), self.wiring.poll_transmit(now)].into_iter().flatten() {
            self.end.outbox.send(bytes).await.unwrap();
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let now = self.start.elapsed();
        if is_wiring(bytes) {
            match self.wiring.handle(now, bytes).unwrap() {
                Handled::Applied(changed) => self.applied += usize::from(!changed.is_empty()),
                Handled::OutOfStep => self.gaps += 1,
                _ => {}
            }
        } else {
            _ = self.groups.handle(now, bytes).unwrap();
        }
    }
}

/// Changes port 0 and a member of its group `times` times, each told for itself.
async fn changes(server: &ServerHandle, times: u32) -> (Info, wiring::Port) {
    for number in 1..=times {
        let change = server.with_both(move |groups, wiring| {
            groups.add_member(group(0), member(1000 + number));
            wiring.set_port(wired(0, 100 + number));
        });
        change.await.unwrap();
        tokio::time::sleep(server::LINGER * 2).await;
    }
    (server.with(|server| server.info_for([port(0)])).await.unwrap(), wired(0, 100 + times))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_agent_behind_a_broker_loses_the_oldest_notices_and_gets_the_whole() {
    let Some(rabbit) = rabbit().await else { return };
    let broker = Amqp::new(&rabbit.uri()).unwrap().with_backlog(16);
    let end = broker.serve().await.unwrap();
    let (server, _task) = server::start_with_wiring(cloud(1, 4, 2), wiring_of_eight(1), end);
    // It never asks out of boredom: the gap must show by itself.
    let mut slow = Slow::new(&broker, Duration::from_secs(3600)).await;
    let (groups, wiring) = changes(&server, 0).await;
    slow.reads_until(&groups, &wiring).await;
    let before = slow.groups.counters();

    // It reads nothing: its own queue and the prefetch take some hundreds, the broker keeps 16.
    let told = 2 * sg_bus::transport::QUEUE as u32;
    let (groups, wiring) = changes(&server, told).await;
    assert_eq!(server.counters().await.unwrap().0.given_up, 0, "the broker takes the load, not the server");
    slow.reads_until(&groups, &wiring).await;
    let after = slow.groups.counters();
    let deltas = (after.deltas - before.deltas) as u32;
    assert!(deltas < told, "{deltas} of {told} deltas came: none was dropped");
    assert!(slow.applied < told as usize, "{} of {told} changes came: none was dropped", slow.applied);
    assert_eq!((after.heals - before.heals, slow.gaps), (1, 1), "one gap of each, mended by one answer");
    assert_eq!(after.refused, 0);
}

#[tokio::test]
async fn a_slow_agent_costs_a_server_a_bounded_queue_and_then_the_whole() {
    let mem = Mem::default();
    let end = mem.serve().await.unwrap();
    let (server, _task) = server::start_with_wiring(cloud(1, 4, 2), wiring_of_eight(1), end);
    // What is missing is the newest: only a question finds out.
    let mut slow = Slow::new(&mem, CONFIG.keepalive).await;
    let (groups, wiring) = changes(&server, 0).await;
    slow.reads_until(&groups, &wiring).await;
    let (groups, wiring) = changes(&server, 2 * sg_bus::transport::QUEUE as u32).await;
    assert_eq!(server.counters().await.unwrap().1, 0, "it is given up until it asks again");
    slow.reads_until(&groups, &wiring).await;
    assert!(slow.applied < 2 * sg_bus::transport::QUEUE, "{}", slow.applied);
}
