//! The side that knows how all ports are wired.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secgroup_rpc::Uuid;
use secgroup_rpc::sync::AgentId;

use super::message::{Id, ToAgent, ToServer, WiringError, write};
use super::{Port, Position};

/// All ports, and what each agent was told. Sans-IO, like the server of groups.
#[derive(Debug)]
pub struct Server {
    /// `None` if this server says nothing about wiring.
    ports: Option<BTreeMap<Uuid, Arc<Port>>>,
    agents: BTreeMap<AgentId, Told>,
    concerned: BTreeMap<Uuid, BTreeSet<AgentId>>,
    /// Who may have to be told something.
    due: BTreeSet<AgentId>,
    next_stream: u64,
}

/// What an agent was told.
#[derive(Debug)]
struct Told {
    devices: BTreeSet<Uuid>,
    ports: BTreeMap<Uuid, Arc<Port>>,
    at: Position,
    /// Devices that may be other than they were told.
    changed: BTreeSet<Uuid>,
    answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Whole(u32),
    Same(u32),
    Nothing(u32),
}

impl Server {
    /// A server that answers that it does not know.
    pub const fn silent() -> Self {
        Self {
            ports: None,
            agents: BTreeMap::new(),
            concerned: BTreeMap::new(),
            due: BTreeSet::new(),
            next_stream: 0,
        }
    }

    /// A server without ports. A random epoch tells its streams from those of others and of its own past.
    pub fn new(epoch: u32) -> Self {
        Self { ports: Some(BTreeMap::new()), next_stream: u64::from(epoch) << 32, ..Self::silent() }
    }

    /// A port.
    pub fn port(&self, id: Uuid) -> Option<&Port> {
        Some(self.ports.as_ref()?.get(&id)?)
    }

    /// Adds or replaces a port; one that is equal already costs nothing.
    pub fn set_port(&mut self, port: Port) {
        let (id, Some(ports)) = (port.id, &mut self.ports) else { return };
        if ports.get(&id).is_none_or(|old| **old != port) {
            ports.insert(id, Arc::new(port));
            self.changed(id);
        }
    }

    /// Removes a port.
    pub fn remove_port(&mut self, id: Uuid) {
        if self.ports.as_mut().is_some_and(|ports| ports.remove(&id).is_some()) {
            self.changed(id);
        }
    }

    /// Makes these all ports there are.
    pub fn replace(&mut self, ports: Vec<Port>) {
        let wanted: BTreeSet<_> = ports.iter().map(|port| port.id).collect();
        let gone: Vec<_> =
            self.ports.iter().flatten().map(|(id, _)| *id).filter(|id| !wanted.contains(id)).collect();
        gone.into_iter().for_each(|id| self.remove_port(id));
        ports.into_iter().for_each(|port| self.set_port(port));
    }

    /// Takes in what an agent says.
    ///
    /// # Errors
    /// [`WiringError`] if it is no message; nothing happens then.
    pub fn handle(&mut self, agent: AgentId, bytes: &[u8]) -> Result<(), WiringError> {
        let ToServer::Ask { nonce, devices, holds, .. } = ToServer::read(bytes)?;
        let devices: BTreeSet<_> = devices.into_iter().map(|id| id.0).collect();
        if self.ports.is_none() {
            self.begin(agent, BTreeSet::new(), Answer::Nothing(nonce));
            return Ok(());
        }
        match self.agents.get_mut(&agent) {
            Some(told) if told.devices == devices && Some(told.at) == holds => {
                told.answer = Some(Answer::Same(nonce));
            }
            _ => self.begin(agent, devices, Answer::Whole(nonce)),
        }
        self.due.insert(agent);
        Ok(())
    }

    fn begin(&mut self, agent: AgentId, devices: BTreeSet<Uuid>, answer: Answer) {
        self.forget(agent);
        for id in &devices {
            self.concerned.entry(*id).or_default().insert(agent);
        }
        let at = Position { stream: self.next_stream, number: 0 };
        self.next_stream = self.next_stream.wrapping_add(1);
        let (ports, changed) = (BTreeMap::new(), BTreeSet::new());
        self.agents.insert(agent, Told { devices, ports, at, changed, answer: Some(answer) });
        self.due.insert(agent);
    }

    /// An agent is gone.
    pub fn forget(&mut self, agent: AgentId) {
        let Some(told) = self.agents.remove(&agent) else { return };
        for id in told.devices {
            if let Some(agents) = self.concerned.get_mut(&id) {
                agents.remove(&agent);
                if agents.is_empty() {
                    self.concerned.remove(&id);
                }
            }
        }
        self.due.remove(&agent);
    }

    /// The next message that is due.
    pub fn poll_transmit(&mut self) -> Option<(AgentId, Vec<u8>)> {
        while let Some(agent) = self.due.pop_first() {
            let (Some(told), ports) = (self.agents.get_mut(&agent), self.ports.as_ref()) else { continue };
            let message = told.next(ports);
            if !told.changed.is_empty() {
                self.due.insert(agent);
            }
            if let Some(message) = message {
                return Some((agent, write(&message)));
            }
        }
        None
    }

    fn changed(&mut self, id: Uuid) {
        for agent in self.concerned.get(&id).into_iter().flatten() {
            if let Some(told) = self.agents.get_mut(agent) {
                told.changed.insert(id);
                self.due.insert(*agent);
            }
        }
    }
}

impl Told {
    fn next(&mut self, ports: Option<&BTreeMap<Uuid, Arc<Port>>>) -> Option<ToAgent> {
        let known = |id: &Uuid| Some((*id, Arc::clone(ports?.get(id)?)));
        match self.answer.take() {
            Some(Answer::Nothing(nonce)) => Some(ToAgent::Nothing { nonce }),
            Some(Answer::Same(nonce)) => Some(ToAgent::Same { nonce }),
            Some(Answer::Whole(nonce)) => {
                self.changed.clear();
                self.ports = self.devices.iter().filter_map(known).collect();
                let ports = self.ports.values().map(|port| (**port).clone()).collect();
                Some(ToAgent::Whole { nonce, at: self.at, ports })
            }
            None => self.change(known),
        }
    }

    /// What is other than it was told; opposite changes cancel.
    fn change(&mut self, known: impl Fn(&Uuid) -> Option<(Uuid, Arc<Port>)>) -> Option<ToAgent> {
        let (mut ports, mut removed) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.changed) {
            match known(&id) {
                Some((_, port)) if self.ports.get(&id) == Some(&port) => {}
                Some((_, port)) => {
                    ports.push((*port).clone());
                    self.ports.insert(id, port);
                }
                None => removed.extend(self.ports.remove(&id).map(|_| Id(id))),
            }
        }
        if ports.is_empty() && removed.is_empty() {
            return None;
        }
        self.at.number += 1;
        Some(ToAgent::Change { at: self.at, ports, removed })
    }
}
