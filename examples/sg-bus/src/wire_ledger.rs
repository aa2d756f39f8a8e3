//! What a bridge knows of the wiring, whom it concerns, and what must be asked and reported. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use secgroup_rpc::Uuid;
use secgroup_rpc::sync::AgentId;

use crate::details::Detail;
use crate::ledger::STEP;
use crate::oslo::Notice;
use crate::transport::AgentName;
use crate::wiring;

/// Devices of agents, what Neutron said about their wiring, and what it was told of their state.
#[derive(Debug, Default)]
pub struct WireLedger {
    agents: BTreeMap<AgentId, Host>,
    /// Devices that Neutron answered about, with their network.
    answered: BTreeMap<Uuid, Option<Uuid>>,
    due: BTreeSet<(AgentId, Uuid)>,
}

#[derive(Debug)]
struct Host {
    name: AgentName,
    devices: BTreeSet<Uuid>,
    /// Devices that the agent says are up, and those that Neutron was told are.
    up: BTreeSet<Uuid>,
    reported: BTreeSet<Uuid>,
}

/// Devices of one host to ask about or to report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Errand {
    /// Whose they are.
    pub agent: AgentId,
    /// How Neutron knows the host.
    pub host: AgentName,
    /// The devices; in a report those that are up.
    pub devices: Vec<Uuid>,
    /// In a report those that are not up any more.
    pub down: Vec<Uuid>,
}

/// A change of a server's model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WireUpdate {
    /// It is wired so.
    Port(Box<wiring::Port>),
    /// It is not wired.
    NoPort(Uuid),
}

impl WireUpdate {
    /// Brings it into the model; what is equal already costs nothing.
    pub fn apply(self, server: &mut wiring::Server) {
        match self {
            Self::Port(port) => server.set_port(*port),
            Self::NoPort(id) => server.remove_port(id),
        }
    }
}

impl WireLedger {
    /// An agent has these devices, of which some are up; whether all of them were answered about.
    pub fn named(&mut self, agent: AgentId, question: wiring::Question) -> bool {
        let wiring::Question { host: name, devices, up } = question;
        let devices: BTreeSet<_> = devices.into_iter().collect();
        let unknown: Vec<_> =
            devices.iter().filter(|id| !self.answered.contains_key(id)).map(|id| (agent, *id)).collect();
        let all_known = unknown.is_empty();
        self.due.extend(unknown);
        let up = up.into_iter().filter(|id| devices.contains(id)).collect();
        let old = self.agents.remove(&agent);
        let reported = old.map(|old| old.reported).unwrap_or_default();
        self.agents.insert(agent, Host { name, devices, up, reported });
        all_known
    }

    /// Whether all devices of an agent were answered about.
    pub fn is_known(&self, agent: AgentId) -> bool {
        let host = self.agents.get(&agent);
        host.is_some_and(|host| host.devices.iter().all(|id| self.answered.contains_key(id)))
    }

    /// An agent is gone; what is known of devices that nobody else has is dropped, and returned.
    pub fn left(&mut self, agent: AgentId) -> Vec<WireUpdate> {
        self.agents.remove(&agent);
        self.due.retain(|(owner, _)| *owner != agent);
        let agents = &self.agents;
        let mut gone = Vec::new();
        self.answered.retain(|id, _| {
            let keep = agents.values().any(|host| host.devices.contains(id));
            if !keep {
                gone.push(WireUpdate::NoPort(*id));
            }
            keep
        });
        gone
    }

    /// Neutron says that something changed.
    pub fn notice(&mut self, notice: &Notice) {
        let is_concerned = |id: &Uuid| match notice {
            Notice::Port(port) => port == id,
            Notice::Network(network) => self.answered.get(id) == Some(&Some(*network)),
            Notice::Rules(_) | Notice::Members(_) => false,
        };
        let due = self.devices().filter(|(_, id)| is_concerned(id)).collect::<Vec<_>>();
        self.due.extend(due);
    }

    /// Everything is to be asked again: notices may have been missed.
    pub fn resync(&mut self) {
        let all: Vec<_> = self.devices().collect();
        self.due.extend(all);
    }

    fn devices(&self) -> impl Iterator<Item = (AgentId, Uuid)> {
        self.agents.iter().flat_map(|(agent, host)| host.devices.iter().map(|id| (*agent, *id)))
    }

    /// Devices of one host to ask about now.
    pub fn next_question(&mut self) -> Option<Errand> {
        let agent = self.due.first()?.0;
        let devices: Vec<_> =
            self.due.iter().take_while(|due| due.0 == agent).take(STEP).map(|due| due.1).collect();
        devices.iter().for_each(|id| _ = self.due.remove(&(agent, *id)));
        let host = self.agents.get(&agent)?.name.clone();
        Some(Errand { agent, host, devices, down: Vec::new() })
    }

    /// A question was not answered.
    pub fn failed(&mut self, errand: &Errand) {
        if self.agents.contains_key(&errand.agent) {
            self.due.extend(errand.devices.iter().map(|id| (errand.agent, *id)));
        }
    }

    /// Neutron's answer to a question; what it changes. What it left out is asked again.
    pub fn answered(&mut self, errand: &Errand, details: Vec<Detail>) -> Vec<WireUpdate> {
        let mut left: BTreeSet<_> = errand.devices.iter().copied().collect();
        let mut updates = Vec::new();
        // Only what was asked for: an answer has no business to speak of other devices.
        for detail in details {
            let id = detail.id();
            if !left.remove(&id) {
                continue;
            }
            // Neutron takes a device that is asked about for one that is being wired.
            if let Some(host) = self.agents.get_mut(&errand.agent) {
                host.reported.remove(&id);
            }
            match detail {
                Detail::Port(port) => {
                    self.answered.insert(id, Some(port.network.id));
                    updates.push(WireUpdate::Port(port));
                }
                // Another agent may have it: what was said to that one stays.
                Detail::Elsewhere(_) => _ = self.answered.entry(id).or_default(),
                Detail::Unknown(_) => {
                    self.answered.insert(id, None);
                    updates.push(WireUpdate::NoPort(id));
                }
            }
        }
        for id in left {
            // The others need not wait for it: without wiring it is dead, which is safe.
            self.answered.entry(id).or_default();
            self.due.insert((errand.agent, id));
        }
        updates
    }

    /// Devices of one host whose state Neutron does not know yet.
    pub fn next_report(&self) -> Option<Errand> {
        self.agents.iter().find_map(|(agent, host)| {
            let is_wired = |id: &&Uuid| self.answered.get(id).is_some_and(Option::is_some);
            let devices: Vec<_> =
                host.up.difference(&host.reported).filter(is_wired).take(STEP).copied().collect();
            let down: Vec<_> = host.reported.difference(&host.up).take(STEP).copied().collect();
            let is_due = !devices.is_empty() || !down.is_empty();
            is_due.then(|| Errand { agent: *agent, host: host.name.clone(), devices, down })
        })
    }

    /// Neutron took a report.
    pub fn reported(&mut self, errand: &Errand) {
        if let Some(host) = self.agents.get_mut(&errand.agent) {
            host.reported.extend(&errand.devices);
            host.reported.retain(|id| !errand.down.contains(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::{Network, NetworkKind, Port};

    const HOST: AgentId = AgentId(1);
    const NET: Uuid = Uuid([0xA0; 16]);

    fn id(number: u8) -> Uuid {
        Uuid([number; 16])
    }

    fn question(devices: &[u8], up: &[u8]) -> wiring::Question {
        let ids = |numbers: &[u8]| numbers.iter().map(|number| id(*number)).collect();
        wiring::Question { host: "compute-01".parse().unwrap(), devices: ids(devices), up: ids(up) }
    }

    fn port(number: u8) -> Detail {
        Detail::Port(Box::new(Port {
            id: id(number),
            mac: [2, 0, 0, 0, 0, number].into(),
            network: Network {
                id: NET,
                kind: NetworkKind::Local,
                physical_network: None,
                segmentation_id: None,
            },
            addresses: Vec::new(),
            admin_state_up: true,
            filtered: true,
        }))
    }

    fn settled() -> WireLedger {
        let mut ledger = WireLedger::default();
        assert!(!ledger.named(HOST, question(&[1, 2], &[])));
        let errand = ledger.next_question().unwrap();
        assert_eq!((errand.devices.clone(), errand.host.as_str()), (vec![id(1), id(2)], "compute-01"));
        assert!(!ledger.is_known(HOST));
        assert_eq!(ledger.answered(&errand, vec![port(1), port(2), port(9)]).len(), 2);
        assert!(ledger.is_known(HOST) && ledger.next_question().is_none());
        ledger
    }

    #[test]
    fn notices_ask_about_the_ports_that_they_concern() {
        let mut ledger = settled();
        for (notice, expected) in [
            (Notice::Port(id(2)), Some(vec![id(2)])),
            (Notice::Network(NET), Some(vec![id(1), id(2)])),
            (Notice::Network(id(7)), None),
            (Notice::Port(id(7)), None),
            (Notice::Rules(vec![id(1)]), None),
        ] {
            ledger.notice(&notice);
            assert_eq!(ledger.next_question().map(|errand| errand.devices), expected, "{notice:?}");
        }
    }

    #[test]
    fn failures_are_asked_again_and_those_elsewhere_take_nothing_away() {
        let mut ledger = settled();
        ledger.notice(&Notice::Network(NET));
        let errand = ledger.next_question().unwrap();
        ledger.failed(&errand);
        assert_eq!(ledger.next_question(), Some(errand.clone()));
        assert_eq!(ledger.answered(&errand, vec![Detail::Elsewhere(id(1))]), []);
        let again = ledger.next_question().unwrap();
        assert_eq!(again.devices, [id(2)], "it was not answered about");
        let updates = ledger.answered(&again, vec![Detail::Unknown(id(2))]);
        assert_eq!(updates, [WireUpdate::NoPort(id(2))]);
    }

    #[test]
    fn a_port_is_reported_up_once_for_each_time_that_neutron_was_asked() {
        let mut ledger = settled();
        assert_eq!(ledger.next_report(), None, "nobody says that it is up");
        assert!(ledger.named(HOST, question(&[1, 2], &[1, 8])));
        let report = ledger.next_report().unwrap();
        assert_eq!((report.devices.clone(), report.down.clone()), (vec![id(1)], vec![]));
        ledger.reported(&report);
        assert_eq!(ledger.next_report(), None);
        ledger.notice(&Notice::Port(id(1)));
        let errand = ledger.next_question().unwrap();
        ledger.answered(&errand, vec![port(1)]);
        assert_eq!(ledger.next_report().unwrap().devices, [id(1)]);
        ledger.reported(&report);
        ledger.named(HOST, question(&[1, 2], &[]));
        assert_eq!(ledger.next_report().unwrap().down, [id(1)]);
    }

    #[test]
    fn what_an_agent_leaves_behind_is_dropped_unless_another_has_it() {
        let mut ledger = settled();
        ledger.named(AgentId(2), question(&[2], &[]));
        assert_eq!(ledger.left(HOST), [WireUpdate::NoPort(id(1))]);
        assert_eq!(ledger.left(AgentId(2)), [WireUpdate::NoPort(id(2))]);
        assert_eq!(ledger.next_question(), None);
    }

    #[test]
    fn questions_have_a_bounded_size() {
        let mut ledger = WireLedger::default();
        ledger.named(HOST, question(&(0..50).collect::<Vec<_>>(), &[]));
        ledger.named(AgentId(2), question(&[60], &[]));
        let sizes: Vec<_> =
            std::iter::from_fn(|| ledger.next_question()).map(|errand| errand.devices.len()).collect();
        assert_eq!(sizes, [20, 20, 10, 1]);
    }
}
