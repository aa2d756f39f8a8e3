//! Between Neutron and agents: Neutron's notices and replies on one side, our deltas on the other.
//!
//! An agent's sync waits here until Neutron has answered about each of its devices: to an agent a
//! missing device would mean "not filtered".

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use secgroup_rpc::sync::{AgentId, Server, named_devices};
use secgroup_rpc::{Info, Uuid};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::backoff::Backoff;
use crate::ledger::Ledger;
use crate::neutron::{Event, Neutron};
use crate::server::{self, ServerHandle};
use crate::transport::{FromAgent, QUEUE, ServerEnd};

/// Starts a server for the agents at `end` that knows what Neutron says. Everything is asked again
/// every `resync`, since some changes have no notice (address pairs of remote ports, address groups).
pub fn start(neutron: Neutron, end: ServerEnd, resync: Duration) -> (ServerHandle, JoinHandle<()>) {
    let ServerEnd { inbox: from_agents, tasks } = end;
    let (to_server, inbox) = mpsc::channel(QUEUE);
    // A random epoch tells this server's streams from those of others and of its own past.
    let model = Server::new(fastrand::u32(..));
    let (handle, serving) = server::start(model, ServerEnd { inbox, tasks });
    let bridge = Bridge {
        ledger: Ledger::default(),
        held: BTreeMap::new(),
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

struct Bridge {
    ledger: Ledger,
    /// The last sync of each agent that waits for Neutron.
    held: BTreeMap<AgentId, FromAgent>,
    to_server: mpsc::Sender<FromAgent>,
    server: ServerHandle,
    neutron: Neutron,
    /// At most one question at a time: notices gather while it is open.
    asking: JoinSet<(Vec<Uuid>, Result<Info>)>,
    backoff: Backoff,
    /// Not before: pauses after failures.
    ask_at: Instant,
    connected: bool,
}

impl Bridge {
    /// Ends with an error if the server or the client of Neutron is gone, well if the transport is.
    async fn run(mut self, mut from_agents: mpsc::Receiver<FromAgent>, resync: Duration) -> Result<()> {
        let mut ticks = interval(resync);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                    if let Ok((devices, answer)) = asked {
                        self.answer(devices, answer).await?;
                    }
                }
                _ = ticks.tick() => self.ledger.resync(),
                () = sleep_until(self.ask_at), if is_pausing => {}
            }
        }
    }

    fn ask(&mut self) {
        if let Some(devices) = self.ledger.next_question() {
            let asker = self.neutron.asker();
            self.asking.spawn(async move {
                let answer = asker.info_for(devices.clone()).await;
                (devices, answer)
            });
        }
    }

    async fn take(&mut self, arrival: FromAgent) -> Result<()> {
        match &arrival {
            FromAgent::Left(agent) => {
                self.ledger.left(*agent);
                self.held.remove(agent);
            }
            FromAgent::Said { agent, bytes, .. } => {
                if let Ok(Some(devices)) = named_devices(bytes)
                    && !self.ledger.named(*agent, devices)
                {
                    self.held.insert(*agent, arrival);
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
                eprintln!("sg-bus bridge: Neutron's broker is there");
            }
            Event::Lost(why) => {
                self.connected = false;
                eprintln!("sg-bus bridge: {why}; what is known stays, trying again");
            }
            Event::Notice(notice) => self.ledger.notice(&notice),
        }
    }

    async fn answer(&mut self, asked: Vec<Uuid>, answer: Result<Info>) -> Result<()> {
        let info = match answer {
            Ok(info) => info,
            Err(error) => {
                eprintln!("sg-bus bridge: {error:#}; asking again");
                self.ledger.failed(asked);
                self.ask_at = Instant::now() + self.backoff.pause();
                return Ok(());
            }
        };
        self.backoff.succeeded();
        let updates = self.ledger.answered(&asked, info);
        // In one job, so that agents see an answer as one change.
        self.server.with(|server| updates.into_iter().for_each(|update| update.apply(server))).await?;
        let ready: Vec<_> = self.held.keys().copied().filter(|agent| self.ledger.is_known(*agent)).collect();
        for agent in ready {
            if let Some(arrival) = self.held.remove(&agent) {
                self.to_server.send(arrival).await?;
            }
        }
        Ok(())
    }
}
