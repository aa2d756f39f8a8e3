//! What a bridge knows of Neutron's state, whom it concerns, and what must be asked again. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use secgroup_rpc::sync::{AgentId, Server};
use secgroup_rpc::{Device, Family, Info, MemberSet, Remote, Rule, Uuid};

use crate::oslo::Notice;

/// Devices in one question: Neutron's `rpc_resources_processing_step`.
pub const STEP: usize = 20;

/// Devices of agents, and what Neutron said about them.
///
/// Groups are shared: one question about any device that is bound to a group brings the rules of the
/// group and the members that they name, for all agents. So a notice costs one question for each group
/// that it concerns, not one for each device.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    by_agent: BTreeMap<AgentId, BTreeSet<Uuid>>,
    /// Devices that Neutron answered about, and the groups of those that it knows and filters.
    answered: BTreeMap<Uuid, Vec<Uuid>>,
    rules: BTreeMap<Uuid, Vec<Rule>>,
    members: BTreeMap<Uuid, MemberSet>,
    due: BTreeSet<Uuid>,
}

/// A change of a server's model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Update {
    /// Neutron says this of a device.
    Device(Box<Device>),
    /// Neutron does not know it, or trusts it.
    NoDevice(Uuid),
    /// The rules of a group.
    Rules(Uuid, Vec<Rule>),
    /// No device has it any more; its members go, too, unless an update after this one brings them.
    NoGroup(Uuid),
    /// The members of a group or address group.
    Members(MemberSet),
    /// No rule names it any more.
    NoMembers(Uuid),
}

impl Update {
    /// Brings it into the model; what is equal already costs nothing.
    pub fn apply(self, server: &mut Server) {
        match self {
            Self::Device(device) => server.set_device(*device),
            Self::NoDevice(id) => server.remove_device(id),
            Self::Rules(group, rules) => server.set_rules(group, rules),
            Self::NoGroup(group) => server.remove_group(group),
            Self::Members(set) => server.set_members(set),
            Self::NoMembers(id) => server.remove_members(id),
        }
    }
}

impl Ledger {
    /// An agent has these devices; whether all of them were answered about.
    pub fn named(&mut self, agent: AgentId, devices: impl IntoIterator<Item = Uuid>) -> bool {
        let devices: BTreeSet<_> = devices.into_iter().collect();
        let unknown: Vec<_> = devices.iter().filter(|id| !self.answered.contains_key(id)).copied().collect();
        let all_known = unknown.is_empty();
        self.due.extend(unknown);
        self.by_agent.insert(agent, devices);
        all_known
    }

    /// Whether all devices of an agent were answered about.
    pub fn is_known(&self, agent: AgentId) -> bool {
        let devices = self.by_agent.get(&agent);
        devices.is_some_and(|devices| devices.iter().all(|id| self.answered.contains_key(id)))
    }

    /// An agent is gone. Its devices are dropped with the next sweep if nobody else has them.
    pub fn left(&mut self, agent: AgentId) {
        self.by_agent.remove(&agent);
    }

    /// Neutron says that something changed.
    pub fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Port(id) => {
                if self.answered.contains_key(id) {
                    self.due.insert(*id);
                }
            }
            Notice::Network(_) => {}
            Notice::Rules(groups) => {
                let groups = groups.iter().copied().collect();
                self.ask_for_groups(&groups);
            }
            Notice::Members(changed) => {
                let names_one =
                    |rule: &Rule| rule.remote.is_some_and(|remote| changed.contains(&remote.id()));
                let named =
                    |(group, rules): (&Uuid, &Vec<Rule>)| rules.iter().any(names_one).then_some(*group);
                let groups = self.rules.iter().filter_map(named).collect();
                self.ask_for_groups(&groups);
            }
        }
    }

    /// One device of each group is enough; one that has several saves a question.
    fn ask_for_groups(&mut self, groups: &BTreeSet<Uuid>) {
        let mut open = groups.clone();
        for (device, of_device) in &self.answered {
            let covers = of_device.iter().filter(|group| open.remove(group)).count();
            if covers > 0 {
                self.due.insert(*device);
            }
            if open.is_empty() {
                return;
            }
        }
    }

    /// Everything is to be asked again: notices may have been missed, and some changes have none.
    pub fn resync(&mut self) {
        self.due.extend(self.by_agent.values().flatten());
    }

    /// Devices to ask about now.
    pub fn next_question(&mut self) -> Option<Vec<Uuid>> {
        let wanted: BTreeSet<_> = self.due.iter().take(STEP).copied().collect();
        self.due.retain(|id| !wanted.contains(id));
        (!wanted.is_empty()).then(|| wanted.into_iter().collect())
    }

    /// A question was not answered.
    pub fn failed(&mut self, asked: Vec<Uuid>) {
        self.due.extend(asked);
    }

    /// Neutron's answer to a question; what it changes.
    pub fn answered(&mut self, asked: &[Uuid], mut info: Info) -> Vec<Update> {
        info.strip();
        info.normalize();
        let mut updates = Vec::new();
        let groups_before: Vec<_> =
            asked.iter().filter_map(|id| self.answered.get(id)).flatten().copied().collect();
        for id in asked {
            if info.devices.binary_search_by_key(id, |device| device.id).is_err() {
                self.answered.insert(*id, Vec::new());
                updates.push(Update::NoDevice(*id));
            }
        }
        // Only what was asked for: an answer has no business to speak of other devices.
        for device in
            std::mem::take(&mut info.devices).into_iter().filter(|device| asked.contains(&device.id))
        {
            self.answered.insert(device.id, device.groups.iter().copied().collect());
            updates.push(Update::Device(Box::new(device)));
        }
        for group in &info.groups {
            self.rules.insert(group.id, group.rules.clone());
            updates.push(Update::Rules(group.id, group.rules.clone()));
        }
        for set in std::mem::take(&mut info.members) {
            let set = self.with_families_of_others(set, |group| info.group(group).is_some());
            self.members.insert(set.id, set.clone());
            updates.push(Update::Members(set));
        }
        // Perhaps it was asked for the sake of a group that it has left meanwhile: ask another.
        let left = groups_before.into_iter().filter(|group| info.group(*group).is_none()).collect();
        self.ask_for_groups(&left);
        if self.due.is_empty() {
            self.sweep(&mut updates);
        }
        updates
    }

    /// A family is in an answer only if a rule of that answer names it. Keeps what rules of other
    /// groups need.
    fn with_families_of_others(&self, mut set: MemberSet, is_in_answer: impl Fn(Uuid) -> bool) -> MemberSet {
        let Some(old) = self.members.get(&set.id) else { return set };
        let is_needed = |family: Family| {
            let others = self.rules.iter().filter(|(group, _)| !is_in_answer(**group));
            others.flat_map(|(_, rules)| rules).any(|rule| {
                rule.family == family && rule.remote.is_some_and(|remote: Remote| remote.id() == set.id)
            })
        };
        let (keep_v4, keep_v6) = (
            set.v4.is_none() && old.v4.is_some() && is_needed(Family::V4),
            set.v6.is_none() && old.v6.is_some() && is_needed(Family::V6),
        );
        if keep_v4 {
            set.v4.clone_from(&old.v4);
        }
        if keep_v6 {
            set.v6.clone_from(&old.v6);
        }
        set
    }

    /// Drops what concerns nobody any more.
    fn sweep(&mut self, updates: &mut Vec<Update>) {
        let wanted: BTreeSet<_> = self.by_agent.values().flatten().copied().collect();
        self.answered.retain(|id, _| {
            let keep = wanted.contains(id);
            if !keep {
                updates.push(Update::NoDevice(*id));
            }
            keep
        });
        let bound: BTreeSet<_> = self.answered.values().flatten().copied().collect();
        self.rules.retain(|group, _| {
            let keep = bound.contains(group);
            if !keep {
                updates.push(Update::NoGroup(*group));
                updates.extend(self.members.get(group).cloned().map(Update::Members));
            }
            keep
        });
        let named: BTreeSet<_> =
            self.rules.values().flatten().filter_map(|rule| rule.remote).map(|remote| remote.id()).collect();
        self.members.retain(|id, _| {
            let keep = named.contains(id);
            if !keep {
                updates.push(Update::NoMembers(*id));
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secgroup_rpc::{Direction, Group, Members};

    const HOST: AgentId = AgentId(1);
    const WEB: Uuid = Uuid([0xA1; 16]);
    const APP: Uuid = Uuid([0xA2; 16]);

    fn port(number: u8) -> Uuid {
        Uuid([number; 16])
    }

    fn device(number: u8, groups: &[Uuid]) -> Device {
        Device {
            groups: groups.iter().copied().collect(),
            ..Device::new(port(number), [2, 0, 0, 0, 0, number].into())
        }
    }

    fn admit(remote: Uuid, family: Family) -> Rule {
        Rule { remote: Some(Remote::Group(remote)), ..Rule::any(Direction::Ingress, family) }
    }

    fn set(id: Uuid, addresses: &[&str]) -> MemberSet {
        fn bare<A: std::str::FromStr>(addresses: &[&str]) -> Option<Members<A>> {
            let addresses: Vec<A> = addresses.iter().filter_map(|text| text.parse().ok()).collect();
            (!addresses.is_empty()).then(|| Members { addresses, others: Vec::new() })
        }
        MemberSet { v4: bare(addresses), v6: bare(addresses), ..MemberSet::new(id) }
    }

    fn answer(devices: Vec<Device>, groups: Vec<Group>, members: Vec<MemberSet>) -> Info {
        let mut info = Info { devices, groups, members, ..Info::default() };
        info.normalize();
        info
    }

    fn web(addresses: &[&str]) -> Info {
        let rules = vec![admit(WEB, Family::V4)];
        answer(
            vec![device(1, &[WEB]), device(2, &[WEB])],
            vec![Group { id: WEB, rules }],
            vec![set(WEB, addresses)],
        )
    }

    fn settled() -> Ledger {
        let mut ledger = Ledger::default();
        assert!(!ledger.named(HOST, [port(1), port(2)]));
        assert_eq!(ledger.next_question(), Some(vec![port(1), port(2)]));
        assert!(!ledger.is_known(HOST));
        ledger.answered(&[port(1), port(2)], web(&["10.0.0.1"]));
        assert!(ledger.is_known(HOST));
        assert_eq!(ledger.next_question(), None);
        ledger
    }

    #[test]
    fn an_agent_is_known_once_neutron_answered_about_each_of_its_devices() {
        let mut ledger = settled();
        assert!(ledger.named(AgentId(2), [port(1)]), "another agent may have it, too");
        assert!(!ledger.named(HOST, [port(1), port(3)]));
        let asked = ledger.next_question().unwrap();
        assert_eq!(asked, [port(3)]);
        ledger.failed(asked);
        let asked = ledger.next_question().unwrap();
        let updates = ledger.answered(&asked, Info::default());
        assert!(updates.contains(&Update::NoDevice(port(3))), "unknown or trusted");
        assert!(ledger.is_known(HOST));
    }

    #[test]
    fn a_notice_costs_one_question_for_a_group_and_none_if_it_concerns_nobody() {
        let mut ledger = settled();
        for notice in [Notice::Members(vec![WEB]), Notice::Rules(vec![WEB]), Notice::Port(port(2))] {
            ledger.notice(&notice);
            ledger.notice(&notice);
            assert_eq!(ledger.next_question().map(|asked| asked.len()), Some(1), "{notice:?}");
            assert_eq!(ledger.next_question(), None);
        }
        for notice in [Notice::Members(vec![APP]), Notice::Rules(vec![APP]), Notice::Port(port(9))] {
            ledger.notice(&notice);
            assert_eq!(ledger.next_question(), None, "{notice:?}");
        }
    }

    #[test]
    fn a_notice_while_a_question_is_open_asks_again() {
        let mut ledger = settled();
        ledger.notice(&Notice::Members(vec![WEB]));
        let asked = ledger.next_question().unwrap();
        ledger.notice(&Notice::Members(vec![WEB]));
        ledger.answered(&asked, web(&["10.0.0.1"]));
        assert!(ledger.next_question().is_some());
    }

    #[test]
    fn a_device_that_vanished_before_the_answer_is_no_witness_for_its_group() {
        let mut ledger = settled();
        // Port 1 is asked for the sake of the group, and is deleted before Neutron answers.
        ledger.notice(&Notice::Members(vec![WEB]));
        let asked = ledger.next_question().unwrap();
        assert_eq!(asked, [port(1)]);
        ledger.answered(&asked, Info::default());
        assert_eq!(ledger.next_question(), Some(vec![port(2)]), "another device of the group is asked");
        ledger.answered(&[port(2)], web(&["10.0.0.2"]));
        assert_eq!(ledger.next_question(), None);
    }

    #[test]
    fn a_family_that_only_other_groups_need_stays() {
        let mut ledger = Ledger::default();
        ledger.named(HOST, [port(1), port(2)]);
        let six = Group { id: APP, rules: vec![admit(WEB, Family::V6)] };
        ledger.answered(
            &[port(2)],
            answer(vec![device(2, &[APP])], vec![six], vec![set(WEB, &["2001:db8::1"])]),
        );
        let four = Group { id: WEB, rules: vec![admit(WEB, Family::V4)] };
        let only_four = answer(vec![device(1, &[WEB])], vec![four], vec![set(WEB, &["10.0.0.1"])]);
        let updates = ledger.answered(&[port(1)], only_four);
        assert!(updates.contains(&Update::Members(set(WEB, &["10.0.0.1", "2001:db8::1"]))), "{updates:?}");
        // Once no rule needs it, it goes.
        let none = Group { id: APP, rules: Vec::new() };
        ledger.answered(&[port(2)], answer(vec![device(2, &[APP])], vec![none], vec![]));
        let four = Group { id: WEB, rules: vec![admit(WEB, Family::V4)] };
        let updates = ledger
            .answered(&[port(1)], answer(vec![device(1, &[WEB])], vec![four], vec![set(WEB, &["10.0.0.1"])]));
        let expected = MemberSet {
            v4: Some(Members { addresses: vec!["10.0.0.1".parse().unwrap()], others: vec![] }),
            ..MemberSet::new(WEB)
        };
        assert!(updates.contains(&Update::Members(expected)), "{updates:?}");
    }

    #[test]
    fn what_concerns_nobody_is_dropped_and_answers_about_others_are_not_taken() {
        let mut ledger = settled();
        ledger.left(HOST);
        ledger.named(AgentId(2), [port(3)]);
        let asked = ledger.next_question().unwrap();
        let mut reply = web(&["10.0.0.1"]);
        reply.devices.push(device(3, &[]));
        let updates = ledger.answered(&asked, reply);
        assert!(!updates.iter().any(|update| matches!(update, Update::Device(it) if it.id == port(1))));
        for gone in [Update::NoDevice(port(1)), Update::NoGroup(WEB), Update::NoMembers(WEB)] {
            assert!(updates.contains(&gone), "{gone:?} in {updates:?}");
        }
    }

    #[test]
    fn questions_have_a_bounded_size() {
        let mut ledger = Ledger::default();
        ledger.named(HOST, (0..50).map(port));
        let sizes: Vec<_> = std::iter::from_fn(|| ledger.next_question()).map(|asked| asked.len()).collect();
        assert_eq!(sizes, [20, 20, 10]);
    }
}
