//! The side that wires its own ports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use secgroup_rpc::Uuid;

use super::message::{Id, ToAgent, ToServer, WiringError, write};
use super::{Port, Position};
use crate::transport::AgentName;

/// Times of an agent.
#[derive(Clone, Copy, Debug)]
pub struct AgentConfig {
    /// First pause before a question is repeated; doubled each time up to `keepalive`.
    pub retry: Duration,
    /// Silence after which the agent makes sure that it missed nothing.
    pub keepalive: Duration,
}

/// What became of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Handled {
    /// The state is another now; these ports changed, came or went. At an answer possibly none.
    Applied(Vec<Uuid>),
    /// The server confirms that nothing was missed.
    Settled,
    /// This server says nothing about wiring; what is known stays.
    Nothing,
    /// Applied before, of another stream, or an answer to a question that is no longer open.
    Ignored,
    /// Something is missing: a question is due.
    OutOfStep,
}

/// How the ports of one host are wired, kept in step with a [`Server`](super::Server). Sans-IO, and used
/// like the agent of groups: before the first answer keep the old wiring.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    host: AgentName,
    devices: BTreeSet<Uuid>,
    up: BTreeSet<Uuid>,
    ports: BTreeMap<Uuid, Port>,
    /// `None` before the first answer.
    at: Option<Position>,
    nonce: u32,
    asked: Asked,
    pause: Duration,
    deadline: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Due,
    Open,
    Nothing,
}

impl Agent {
    /// An agent of `host` that starts from what it knew before a restart.
    pub fn new(config: AgentConfig, host: AgentName, known: impl IntoIterator<Item = Port>) -> Self {
        Self {
            config,
            host,
            devices: BTreeSet::new(),
            up: BTreeSet::new(),
            ports: known.into_iter().map(|port| (port.id, port)).collect(),
            at: None,
            nonce: 0,
            asked: Asked::Due,
            pause: config.retry,
            deadline: Duration::ZERO,
        }
    }

    /// Replaces the devices; a question tells the server.
    pub fn set_devices(&mut self, devices: impl IntoIterator<Item = Uuid>) {
        self.devices = devices.into_iter().collect();
        self.asked = Asked::Due;
    }

    /// Tells which devices are up, if others are than before.
    pub fn set_up(&mut self, up: impl IntoIterator<Item = Uuid>) {
        let up = up.into_iter().collect();
        if self.up != up {
            self.up = up;
            self.asked = Asked::Due;
        }
    }

    /// Whether a server answered at least once.
    pub const fn is_synced(&self) -> bool {
        self.at.is_some()
    }

    /// What is known, in the order of the ids.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.values()
    }

    /// When to call [`poll_transmit`](Self::poll_transmit) again, if nothing else happens.
    pub fn poll_timeout(&self) -> Duration {
        if self.asked == Asked::Due { Duration::ZERO } else { self.deadline }
    }

    /// The next message to the server; `None` if nothing is due.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        if self.asked != Asked::Due && now < self.deadline {
            return None;
        }
        let repeats = self.asked == Asked::Open;
        self.pause = if repeats { (self.pause * 2).min(self.config.keepalive) } else { self.config.retry };
        self.asked = Asked::Open;
        self.deadline = now.saturating_add(self.pause);
        self.nonce = self.nonce.wrapping_add(1);
        let devices = self.devices.iter().copied().map(Id).collect();
        let up = self.up.intersection(&self.devices).copied().map(Id).collect();
        let (nonce, host, holds) = (self.nonce, self.host.to_string(), self.at);
        Some(write(&ToServer::Ask { nonce, host, devices, up, holds }))
    }

    /// Takes in what a server sent. It is applied as a whole or not at all.
    ///
    /// # Errors
    /// [`WiringError`] if it is no message. The state stays, and a question is due.
    pub fn handle(&mut self, now: Duration, bytes: &[u8]) -> Result<Handled, WiringError> {
        let message = serde_json::from_slice(bytes).inspect_err(|_| self.lose_step())?;
        Ok(match message {
            ToAgent::Whole { nonce, at, ports } if self.awaits(nonce) => {
                self.rest(now);
                self.at = Some(at);
                self.replace(ports)
            }
            ToAgent::Same { nonce } if self.awaits(nonce) => {
                self.rest(now);
                Handled::Settled
            }
            ToAgent::Nothing { nonce } if self.awaits(nonce) => {
                self.rest(now);
                Handled::Nothing
            }
            ToAgent::Whole { .. } | ToAgent::Same { .. } | ToAgent::Nothing { .. } => Handled::Ignored,
            ToAgent::Change { at, ports, removed } => self.change(now, at, ports, &removed),
        })
    }

    fn awaits(&self, nonce: u32) -> bool {
        self.asked == Asked::Open && self.nonce == nonce
    }

    /// The server was heard and nothing is open: be quiet for a while.
    fn rest(&mut self, now: Duration) {
        self.asked = Asked::Nothing;
        self.deadline = now.saturating_add(self.config.keepalive);
    }

    fn lose_step(&mut self) {
        // A question that is open is repeated in its own time.
        if self.asked == Asked::Nothing {
            self.asked = Asked::Due;
        }
    }

    fn replace(&mut self, ports: Vec<Port>) -> Handled {
        let ports = ports.into_iter().filter(|port| self.devices.contains(&port.id));
        let new: BTreeMap<_, _> = ports.map(|port| (port.id, port)).collect();
        let old = std::mem::replace(&mut self.ports, new);
        let ids: BTreeSet<_> = old.keys().chain(self.ports.keys()).copied().collect();
        let is_other = |id: &Uuid| old.get(id) != self.ports.get(id);
        Handled::Applied(ids.into_iter().filter(is_other).collect())
    }

    fn change(&mut self, now: Duration, at: Position, ports: Vec<Port>, removed: &[Id]) -> Handled {
        let Some(held) = self.at.filter(|held| held.stream == at.stream && held.number < at.number) else {
            return Handled::Ignored;
        };
        if at.number != held.number + 1 {
            // Whatever follows a gap changes nothing until the answer is there.
            let is_news = self.asked == Asked::Nothing;
            self.lose_step();
            return if is_news { Handled::OutOfStep } else { Handled::Ignored };
        }
        self.at = Some(at);
        if self.asked == Asked::Nothing {
            self.rest(now);
        }
        let mut changed: Vec<_> =
            removed.iter().map(|id| id.0).filter(|id| self.ports.remove(id).is_some()).collect();
        for port in ports.into_iter().filter(|port| self.devices.contains(&port.id)) {
            changed.push(port.id);
            self.ports.insert(port.id, port);
        }
        Handled::Applied(changed)
    }
}
