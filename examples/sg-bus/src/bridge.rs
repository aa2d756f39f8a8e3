//! Between Neutron and agents: Neutron's notices and replies on one side, our deltas on the other.
//!
//! An agent's sync waits here until Neutron has answered about each of its devices: to an agent a
//! missing device would mean "not filtered", and one without wiring "dead".

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, anyhow};
use secgroup_rpc::Uuid;
use secgroup_rpc::sync::{AgentId, Server, named_devices};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::backoff::Backoff;
use crate::details::Detail;
use crate::ledger::Ledger;
use crate::neutron::{Event, Neutron};
use crate::oslo::{Answer, Question};
use crate::server::{self, ServerHandle};
use crate::transport::{AgentName, FromAgent, QUEUE, ServerEnd};
use crate::wire_ledger::{Errand, WireLedger, WireUpdate};
use crate::wiring::{self, is_wiring};

/// Resyncs between two of the wiring, each of which takes a port through BUILD for a moment.
const WIRING_RESYNCS: u32 = 12;

/// Starts a server for the agents at `end` that knows what Neutron says. Everything is asked again
/// every `resync`, the wiring less often, since some changes have no notice (address pairs of remote ports,
/// address groups, the VLAN of a network).
pub fn start(neutron: Neutron, end: ServerEnd, resync: Duration) -> (ServerHandle, JoinHandle<()>) {
    let ServerEnd { inbox: from_agents, tasks } = end;
    let (to_server, inbox) = mpsc::channel(QUEUE);
    // A random epoch tells this server's streams from those of others and of its own past.
    let (groups, wiring) = (Server::new(fastrand::u32(..)), wiring::Server::new(fastrand::u32(..)));
    let (handle, serving) = server::start_with_wiring(groups, wiring, ServerEnd { inbox, tasks });
    let bridge = Bridge {
        ledger: Ledger::default(),
        wires: WireLedger::default(),
        held: Held::default(),
        to_server,
        server: handle.clone(),
        neutron,
        asking: JoinSet::new(),
        backoff: Backoff::for_connections(),
        ask_at: Instant::now(),
        connected: false,
    };
    let task = tokio::spawn(async move {
        tokio::select! {
            _ = bridge.run(from_agents, resync) => {}
            _ = serving => {}
        }
    });
    (handle, task)
}

/// A host whose agent has another name than Neutron knows it by would wait for ever without a word.
fn tell_unbound(host: &AgentName, details: &[Detail]) {
    for detail in details {
        match detail {
            Detail::Elsewhere(id) => {
                eprintln!("sg-bus bridge: port {id} is bound to another host than {host}")
            }
            Detail::Unknown(id) => eprintln!("sg-bus bridge: Neutron has no port {id} that is bound"),
            Detail::Port(_) => {}
        }
    }
}

struct Bridge {
    ledger: Ledger,
    wires: WireLedger,
    held: Held,
    to_server: mpsc::Sender<FromAgent>,
    server: ServerHandle,
    neutron: Neutron,
    /// At most one question at a time: notices gather while it is open.
    asking: JoinSet<(Asked, Result<Answer>)>,
    backoff: Backoff,
    /// Not before: pauses after failures.
    ask_at: Instant,
    connected: bool,
}

/// The last question of each agent that waits for Neutron.
#[derive(Default)]
struct Held {
    groups: BTreeMap<AgentId, FromAgent>,
    wiring: BTreeMap<AgentId, FromAgent>,
}

/// What Neutron is asked just now.
enum Asked {
    Groups(Vec<Uuid>),
    Wiring(Errand),
    Report(Errand),
}

impl Bridge {
    /// Ends with an error if the server or the client of Neutron is gone, well if the transport is.
    async fn run(mut self, mut from_agents: mpsc::Receiver<FromAgent>, resync: Duration) -> Result<()> {
        let mut ticks = interval(resync);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wiring_ticks = interval(resync.saturating_mul(WIRING_RESYNCS));
        wiring_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.connected && self.asking.is_empty() && Instant::now() >= self.ask_at {
                self.ask();
            }
            let is_pausing = self.connected && self.asking.is_empty() && Instant::now() < self.ask_at;
            tokio::select! {
                arrival = from_agents.recv() => {
                    let Some(arrival) = arrival else { return Ok(()) };
                    self.take(arrival).await?;
                }
                event = self.neutron.events.recv() => {
                    let Some(event) = event else { return Ok(()) };
                    self.hear(event);
                }
                Some(asked) = self.asking.join_next() => {
                    if let Ok((asked, answer)) = asked {
                        self.answer(asked, answer).await?;
                    }
                }
                _ = ticks.tick() => self.ledger.resync(),
                _ = wiring_ticks.tick() => self.wires.resync(),
                () = sleep_until(self.ask_at), if is_pausing => {}
            }
        }
    }

    fn ask(&mut self) {
        let Some((asked, question)) = self.next_question() else { return };
        let asker = self.neutron.asker();
        self.asking.spawn(async move { (asked, asker.ask(question).await) });
    }

    /// Groups first: a port that is wired waits for them.
    fn next_question(&mut self) -> Option<(Asked, Question)> {
        if let Some(devices) = self.ledger.next_question() {
            return Some((Asked::Groups(devices.clone()), Question::Groups(devices)));
        }
        if let Some(errand) = self.wires.next_question() {
            let (host, devices) = (errand.host.clone(), errand.devices.clone());
            return Some((Asked::Wiring(errand), Question::Wiring { host, devices }));
        }
        let errand = self.wires.next_report()?;
        let (host, up, down) = (errand.host.clone(), errand.devices.clone(), errand.down.clone());
        Some((Asked::Report(errand), Question::Report { host, up, down }))
    }

    async fn take(&mut self, arrival: FromAgent) -> Result<()> {
        match &arrival {
            FromAgent::Left(agent) => {
                self.ledger.left(*agent);
                self.held.groups.remove(agent);
                self.held.wiring.remove(agent);
                let gone = self.wires.left(*agent);
                self.update_wiring(gone).await?;
            }
            FromAgent::Said { agent, bytes, .. } if is_wiring(bytes) => {
                if let Ok(question) = wiring::Question::read(bytes)
                    && !self.wires.named(*agent, question)
                {
                    self.held.wiring.insert(*agent, arrival);
                    return Ok(());
                }
            }
            FromAgent::Said { agent, bytes, .. } => {
                if let Ok(Some(devices)) = named_devices(bytes)
                    && !self.ledger.named(*agent, devices)
                {
                    self.held.groups.insert(*agent, arrival);
                    return Ok(());
                }
            }
        }
        Ok(self.to_server.send(arrival).await?)
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.ledger.resync();
                self.wires.resync();
                eprintln!("sg-bus bridge: Neutron's broker is there");
            }
            Event::Lost(why) => {
                self.connected = false;
                eprintln!("sg-bus bridge: {why}; what is known stays, trying again");
            }
            Event::Notice(notice) => {
                self.ledger.notice(&notice);
                self.wires.notice(&notice);
            }
        }
    }

    async fn answer(&mut self, asked: Asked, answer: Result<Answer>) -> Result<()> {
        match (asked, answer) {
            (Asked::Groups(devices), Ok(Answer::Groups(info))) => {
                let updates = self.ledger.answered(&devices, info);
                // In one job, so that agents see an answer as one change.
                let job = |server: &mut Server| updates.into_iter().for_each(|update| update.apply(server));
                self.server.with(job).await?;
            }
            (Asked::Wiring(errand), Ok(Answer::Wiring(details))) => {
                let is_partial = details.len() < errand.devices.len();
                tell_unbound(&errand.host, &details);
                let updates = self.wires.answered(&errand, details);
                self.update_wiring(updates).await?;
                if is_partial {
                    self.pause("Neutron failed at some devices");
                    return self.release().await;
                }
            }
            (Asked::Report(errand), Ok(Answer::Reported)) => self.wires.reported(&errand),
            (asked, answer) => {
                let error = answer.map_or_else(|error| error, |_| anyhow!("an answer to something else"));
                match asked {
                    Asked::Groups(devices) => self.ledger.failed(devices),
                    Asked::Wiring(errand) => self.wires.failed(&errand),
                    Asked::Report(_) => {}
                }
                self.pause(&format!("{error:#}"));
                return Ok(());
            }
        }
        self.backoff.succeeded();
        self.release().await
    }

    fn pause(&mut self, why: &str) {
        eprintln!("sg-bus bridge: {why}; asking again");
        self.ask_at = Instant::now() + self.backoff.pause();
    }

    async fn update_wiring(&self, updates: Vec<WireUpdate>) -> Result<()> {
        let job = |_: &mut Server, server: &mut wiring::Server| {
            updates.into_iter().for_each(|update| update.apply(server));
        };
        Ok(self.server.with_both(job).await?)
    }

    /// Passes on what waited for what is known now.
    async fn release(&mut self) -> Result<()> {
        let groups = self.held.groups.keys().filter(|agent| self.ledger.is_known(**agent));
        let wiring = self.held.wiring.keys().filter(|agent| self.wires.is_known(**agent));
        let (groups, wiring): (Vec<_>, Vec<_>) = (groups.copied().collect(), wiring.copied().collect());
        let ready = groups.iter().filter_map(|agent| self.held.groups.remove(agent));
        let ready: Vec<_> =
            ready.chain(wiring.iter().filter_map(|agent| self.held.wiring.remove(agent))).collect();
        for arrival in ready {
            self.to_server.send(arrival).await?;
        }
        Ok(())
    }
}
