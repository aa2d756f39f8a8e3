//! A network with faults, in virtual time and from a seed: two servers, agents, and what happens
//! between them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use secgroup_rpc::sync::{Agent, AgentConfig, AgentId, Handled, Server};
use secgroup_rpc::{
    Device, Direction, Family, Info, IpSpec, List, Member, MemberSet, Members, PortRange, Remote, Rule, Uuid,
};

const AGENTS: u64 = 6;
const PORTS: u64 = 24;
const GROUPS: u64 = 8;
const TICK: Duration = Duration::from_millis(20);

/// How often, of 1000 messages, each thing happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    lost: u64,
    repeated: u64,
    delayed: u64,
    cut: u64,
    corrupted: u64,
    /// Of 100,000 changes.
    restarts: u64,
}

impl Faults {
    pub(crate) const NONE: Self =
        Self { lost: 0, repeated: 0, delayed: 0, cut: 0, corrupted: 0, restarts: 0 };
    pub(crate) const HEAVY: Self =
        Self { lost: 30, repeated: 30, delayed: 60, cut: 10, corrupted: 10, restarts: 20 };
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) agents: usize,
    pub(crate) changes: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) applied: u64,
    pub(crate) refused: u64,
    pub(crate) syncs: u64,
    pub(crate) restarts: u64,
}

impl Report {
    /// What a change cost on the network, all agents together.
    pub(crate) fn bytes_per_change(&self) -> f64 {
        self.bytes as f64 / self.changes as f64
    }
}

pub(crate) struct Network {
    random: u64,
    faults: Faults,
    now: Duration,
    server: Server,
    agents: BTreeMap<AgentId, Agent>,
    /// By time of arrival and number: from the server, to or from which agent, bytes.
    under_way: BTreeMap<(Duration, u64), (bool, AgentId, Vec<u8>)>,
    /// Of the last message, so that those that arrive together keep their order.
    number: u64,
    report: Report,
}

fn id(kind: u8, number: u64) -> Uuid {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Uuid(bytes)
}

fn ports_of(agent: u64) -> impl Iterator<Item = Uuid> {
    (0..PORTS).filter(move |port| port % AGENTS == agent).map(|port| id(1, port))
}

impl Network {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let mut network = Self {
            random: seed,
            faults,
            now: Duration::ZERO,
            server: Server::new(seed as u32),
            agents: BTreeMap::new(),
            under_way: BTreeMap::new(),
            number: 0,
            report: Report { agents: AGENTS as usize, ..Report::default() },
        };
        for group in 0..GROUPS {
            let v4 = Some(Members::default());
            network.server.set_members(MemberSet { v4, ..MemberSet::new(id(2, group)) });
            network.change_rules(group);
        }
        (0..PORTS).for_each(|port| network.change_port(port));
        for agent in 0..AGENTS {
            network.agents.insert(AgentId(agent), Agent::new(AgentConfig::default(), ports_of(agent)));
        }
        network
    }

    /// Makes changes while messages travel, then lets everything settle and compares.
    pub(crate) fn run(mut self, changes: u64) -> Report {
        for change in 0..changes {
            self.change();
            if self.dice(100_000) < self.faults.restarts {
                self.restart();
            }
            if change % 4 == 0 {
                self.step(true);
            }
        }
        // Ten minutes without changes and without faults: time enough for every timer.
        let end = self.now + Duration::from_secs(600);
        while self.now < end {
            self.step(false);
        }
        for (AgentId(number), agent) in &self.agents {
            assert!(agent.is_synced());
            assert_eq!(agent.info(), self.server.info_for(ports_of(*number)), "agent {number}");
            let counters = agent.counters();
            self.report.refused += counters.refused;
            self.report.syncs += counters.syncs;
        }
        self.report.changes = changes;
        self.report
    }

    fn change(&mut self) {
        match self.dice(1000) {
            0..10 => {
                let group = self.dice(GROUPS);
                self.change_rules(group);
            }
            10..30 => {
                let port = self.dice(PORTS);
                self.change_port(port);
            }
            30..35 => {
                let port = self.dice(PORTS);
                self.server.remove_device(id(1, port));
            }
            _ => {
                let (group, low) = (id(2, self.dice(GROUPS)), self.dice(512) as u32);
                let address = IpSpec::Host(Ipv4Addr::from(0x0A00_0000 | low).into());
                let member = Member { address, mac: None };
                if self.dice(2) == 0 {
                    self.server.add_member(group, member);
                } else {
                    self.server.remove_member(group, member);
                }
            }
        }
    }

    fn change_rules(&mut self, group: u64) {
        let rules = (0..1 + self.dice(4)).map(|number| Rule {
            ports: PortRange::single(self.dice(60_000) as u16 + 1),
            remote: (number % 2 == 0).then(|| Remote::Group(id(2, self.dice(GROUPS)))),
            ..Rule::any(Direction::Ingress, Family::V4)
        });
        let rules = rules.collect();
        self.server.set_rules(id(2, group), rules);
    }

    fn change_port(&mut self, port: u64) {
        let groups: List<_, 2> = [id(2, self.dice(GROUPS)), id(2, self.dice(GROUPS))].into_iter().collect();
        let mac = [2, 0, 0, 0, 0, port as u8];
        self.server.set_device(Device { groups, ..Device::new(id(1, port), mac.into()) });
    }

    /// The server comes back with another epoch and the same model, or an agent with what it knew, or
    /// with nothing.
    fn restart(&mut self) {
        self.report.restarts += 1;
        let agent = AgentId(self.dice(AGENTS));
        let known = match self.dice(3) {
            0 => {
                let mut next = Server::new(self.dice(1 << 32) as u32);
                next.replace(self.server.info());
                self.server = next;
                return;
            }
            1 => self.agents[&agent].info(),
            _ => Info::default(),
        };
        self.collect(agent);
        let restarted = Agent::restore(AgentConfig::default(), ports_of(agent.0), known);
        self.agents.insert(agent, restarted);
    }

    fn collect(&mut self, agent: AgentId) {
        let counters = self.agents[&agent].counters();
        self.report.refused += counters.refused;
        self.report.syncs += counters.syncs;
    }

    /// Sends what is due and delivers what arrives within a tick.
    fn step(&mut self, faulty: bool) {
        let mut sent = Vec::new();
        for (id, agent) in &mut self.agents {
            while let Some(bytes) = agent.poll_transmit(self.now) {
                sent.push((false, *id, bytes));
            }
        }
        while let Some((id, bytes)) = self.server.poll_transmit() {
            sent.push((true, id, bytes));
        }
        for (from_server, id, bytes) in sent {
            self.send(from_server, id, bytes, faulty);
        }
        self.now += TICK;
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (from_server, id, bytes) = entry.remove();
            if !from_server {
                _ = self.server.handle(id, &bytes);
            } else if let Some(Ok(Handled::Applied(_))) =
                self.agents.get_mut(&id).map(|agent| agent.handle(self.now, &bytes))
            {
                self.report.applied += 1;
            }
        }
    }

    fn send(&mut self, from_server: bool, id: AgentId, mut bytes: Vec<u8>, faulty: bool) {
        self.report.messages += 1;
        self.report.bytes += bytes.len() as u64;
        let Faults { lost, repeated, delayed, cut, corrupted, .. } = self.faults;
        if self.happens(lost, faulty) {
            return;
        }
        if self.happens(cut, faulty) {
            let len = self.dice(bytes.len() as u64) as usize;
            bytes.truncate(len);
        }
        if self.happens(corrupted, faulty) && !bytes.is_empty() {
            let at = self.dice(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << self.dice(8);
        }
        let copies = 1 + u64::from(self.happens(repeated, faulty));
        for _ in 0..copies {
            let delay = if self.happens(delayed, faulty) { self.dice(400) } else { 5 };
            self.number += 1;
            let arrival = (self.now + Duration::from_millis(delay), self.number);
            self.under_way.insert(arrival, (from_server, id, bytes.clone()));
        }
    }

    fn happens(&mut self, of_1000: u64, faulty: bool) -> bool {
        faulty && self.dice(1000) < of_1000
    }

    /// A number below `sides` (xorshift64*).
    fn dice(&mut self, sides: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % sides
    }
}
