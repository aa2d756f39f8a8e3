//! A server's models and the ways to its agents, without I/O.

use std::collections::BTreeMap;

use secgroup_rpc::sync::{AgentId, Server, SyncError};
use tokio::sync::mpsc::error::TrySendError;

use crate::transport::{FromAgent, Outbox};
use crate::wiring::{self, WiringError, is_wiring};

/// What happened at a server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HubCounters {
    /// Messages taken from agents.
    pub requests: u64,
    /// Messages from agents that were none.
    pub refused: u64,
    /// Agents that were given up: gone, or too slow.
    pub given_up: u64,
    /// Messages handed to the transport.
    pub sent: u64,
    /// Bytes of these.
    pub sent_bytes: u64,
}

/// What an agent sent is no message.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// About groups.
    #[error(transparent)]
    Groups(#[from] SyncError),
    /// About wiring.
    #[error(transparent)]
    Wiring(#[from] WiringError),
}

/// A [`Server`] of groups and one of wiring that know how to reach their agents.
#[derive(Debug)]
pub struct Hub {
    server: Server,
    wiring: wiring::Server,
    outboxes: BTreeMap<AgentId, Outbox>,
    counters: HubCounters,
}

/// A message that waits for room.
#[derive(Debug)]
pub struct Waiting {
    /// To whom.
    pub agent: AgentId,
    /// What.
    pub bytes: Vec<u8>,
    /// Which way.
    pub outbox: tokio::sync::mpsc::Sender<(AgentId, Vec<u8>)>,
}

impl Hub {
    /// A hub around two models.
    pub fn new(server: Server, wiring: wiring::Server) -> Self {
        Self { server, wiring, outboxes: BTreeMap::new(), counters: HubCounters::default() }
    }

    /// The models of groups and of wiring, to be asked or changed.
    pub const fn models(&mut self) -> (&mut Server, &mut wiring::Server) {
        (&mut self.server, &mut self.wiring)
    }

    /// What happened so far.
    pub const fn counters(&self) -> HubCounters {
        self.counters
    }

    /// How many agents can be reached.
    pub fn agents(&self) -> usize {
        self.outboxes.len()
    }

    /// Takes in what the transport delivered.
    ///
    /// # Errors
    /// [`Refused`] if an agent sent what is no message; nothing happens then.
    pub fn take(&mut self, arrival: FromAgent) -> Result<(), Refused> {
        match arrival {
            FromAgent::Said { agent, bytes, outbox } => {
                self.counters.requests += 1;
                self.read(agent, &bytes).inspect_err(|_| self.counters.refused += 1)?;
                self.outboxes.insert(agent, outbox);
            }
            FromAgent::Left(agent) => self.give_up(agent),
        }
        Ok(())
    }

    fn read(&mut self, agent: AgentId, bytes: &[u8]) -> Result<(), Refused> {
        if is_wiring(bytes) {
            self.wiring.handle(agent, bytes)?;
        } else {
            self.server.handle(agent, bytes)?;
        }
        Ok(())
    }

    /// Groups first: a port that is wired for them waits for them.
    fn next_message(&mut self) -> Option<(AgentId, Vec<u8>)> {
        self.server.poll_transmit().or_else(|| self.wiring.poll_transmit())
    }

    /// Sends what is due. Stops at a message for a queue of all agents that has no room now: wait for
    /// it, since more would only pile up here.
    pub fn flush(&mut self) -> Option<Waiting> {
        while let Some((agent, bytes)) = self.next_message() {
            let size = bytes.len() as u64;
            match self.outboxes.get(&agent) {
                Some(Outbox::Own(outbox)) => {
                    // Too slow or gone: it will ask again, and get what is true then.
                    if outbox.try_send((agent, bytes)).is_err() {
                        self.give_up(agent);
                        continue;
                    }
                }
                Some(Outbox::Shared(outbox)) => {
                    if let Err(TrySendError::Full((agent, bytes)) | TrySendError::Closed((agent, bytes))) =
                        outbox.try_send((agent, bytes))
                    {
                        let outbox = outbox.clone();
                        self.count(size);
                        return Some(Waiting { agent, bytes, outbox });
                    }
                }
                None => {
                    self.forget(agent);
                    continue;
                }
            }
            self.count(size);
        }
        None
    }

    /// Forgets an agent; it may come back with a sync.
    pub fn give_up(&mut self, agent: AgentId) {
        self.forget(agent);
        self.counters.given_up += u64::from(self.outboxes.remove(&agent).is_some());
    }

    fn forget(&mut self, agent: AgentId) {
        self.server.forget(agent);
        self.wiring.forget(agent);
    }

    const fn count(&mut self, bytes: u64) {
        self.counters.sent += 1;
        self.counters.sent_bytes += bytes;
    }
}
