//! The flows of the filter, and what each part of them was worked out from.
//!
//! A port's flows depend on the port and on its groups, a network's on its ports, the members' on
//! the sets. Whatever depends on nothing that changed stays as it is. So the time that a change takes
//! follows the change, while the answer is a function of the arguments alone.

use std::collections::{BTreeMap, BTreeSet};

use macaddr::MacAddr6;
use secgroup_rpc::{Device, Group, Info, MemberSet, Uuid};
use vlan_table::VlanId;

use super::parts::Parts;
use super::rules::{self, Remote, Rules};
use super::{Network, Port, base, from_guest, switching};
use crate::flow::Flow;

/// What there is of the filter's flows already.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    flows: Parts<Part>,
    guests: BTreeMap<u16, Guest>,
    /// Networks with the OpenFlow numbers of their ports.
    networks: BTreeMap<VlanId, (Network, Vec<u16>)>,
    groups: Vec<Group>,
    members: Vec<MemberSet>,
    ids: BTreeMap<Remote, u32>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Part {
    /// What is few and worked out each time.
    Base,
    Guest(u16),
    Network(VlanId),
    Members,
}

/// A port as it was, and what it came to.
#[derive(Debug)]
struct Guest {
    vlan: VlanId,
    mac: MacAddr6,
    device: Option<Device>,
    rules: Rules,
}

impl Memo {
    /// Every flow once, in ascending order.
    pub(crate) fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter()
    }

    /// Makes the flows those of this state, with `base` among them. The rules that Open vSwitch has
    /// no words for: they admit nothing.
    pub(crate) fn update(
        &mut self,
        base: impl IntoIterator<Item = Flow>,
        info: &Info,
        ports: &[Port<'_>],
        networks: &[Network],
    ) -> Vec<String> {
        self.flows
            .set(Part::Base, base.into_iter().chain(super::defaults()).chain(base::arrivals()).collect());
        let renewed = self.renew_guests(info, ports);
        let remotes = self.guests.values().flat_map(|guest| guest.rules.remotes()).collect();
        let before = std::mem::replace(&mut self.ids, rules::number(&remotes));
        for port in ports {
            let Some(guest) = self.guests.get(&port.ofport) else { continue };
            let same_id = |remote| self.ids.get(&remote) == before.get(&remote);
            if renewed.contains(&port.ofport) || !guest.rules.remotes().all(same_id) {
                let claims = port.device.into_iter().flat_map(|device| base::claims(port, device));
                let flows = from_guest(port).into_iter().chain(claims).chain(guest.rules.flows(&self.ids));
                self.flows.set(Part::Guest(port.ofport), flows.collect());
            }
        }
        if self.ids != before || self.members != info.members {
            self.members.clone_from(&info.members);
            self.flows.set(Part::Members, rules::members(info, &self.ids));
        }
        self.renew_networks(ports, networks, &renewed);
        self.flows.retain(|part| match part {
            Part::Base | Part::Members => true,
            Part::Guest(ofport) => self.guests.contains_key(&ofport),
            Part::Network(vlan) => self.networks.contains_key(&vlan),
        });
        let faults: BTreeSet<_> = self.guests.values().flat_map(|guest| guest.rules.faults()).collect();
        faults.into_iter().cloned().collect()
    }

    /// The OpenFlow numbers of ports that are new or not what they were.
    fn renew_guests(&mut self, info: &Info, ports: &[Port<'_>]) -> BTreeSet<u16> {
        let changed = changed_groups(&self.groups, &info.groups);
        if !changed.is_empty() {
            self.groups.clone_from(&info.groups);
        }
        let mut renewed = BTreeSet::new();
        for port in ports {
            let known = self.guests.get(&port.ofport);
            if !known.is_some_and(|guest| guest.is_still(port, &changed)) {
                self.guests.insert(port.ofport, Guest::of(info, port));
                renewed.insert(port.ofport);
            }
        }
        let present: BTreeSet<_> = ports.iter().map(|port| port.ofport).collect();
        self.guests.retain(|ofport, _| present.contains(ofport));
        renewed
    }

    fn renew_networks(&mut self, ports: &[Port<'_>], networks: &[Network], renewed: &BTreeSet<u16>) {
        let mut local = BTreeMap::<_, Vec<_>>::new();
        for port in ports {
            local.entry(port.vlan).or_default().push(port);
        }
        let mut before = std::mem::take(&mut self.networks);
        for network in networks {
            let local = local.remove(&network.vlan).unwrap_or_default();
            let now = (*network, local.iter().map(|port| port.ofport).collect::<Vec<_>>());
            let is_same = before.remove(&network.vlan).as_ref() == Some(&now);
            if !is_same || now.1.iter().any(|ofport| renewed.contains(ofport)) {
                self.flows.set(Part::Network(network.vlan), switching(*network, &local));
            }
            self.networks.insert(network.vlan, now);
        }
    }
}

impl Guest {
    fn of(info: &Info, port: &Port<'_>) -> Self {
        let rules = port.device.map(|device| Rules::of(info, port, device)).unwrap_or_default();
        Self { vlan: port.vlan, mac: port.mac, device: port.device.cloned(), rules }
    }

    fn is_still(&self, port: &Port<'_>, changed: &BTreeSet<Uuid>) -> bool {
        let groups = self.device.iter().flat_map(|device| device.groups.iter());
        (self.vlan, self.mac, self.device.as_ref()) == (port.vlan, port.mac, port.device)
            && !groups.into_iter().any(|group| changed.contains(group))
    }
}

/// Groups that only one of the two has, or has otherwise.
fn changed_groups(before: &[Group], now: &[Group]) -> BTreeSet<Uuid> {
    let by_id = |groups| -> BTreeMap<_, &Group> { <[Group]>::iter(groups).map(|it| (it.id, it)).collect() };
    let (before, now) = (by_id(before), by_id(now));
    let ids = before.keys().chain(now.keys());
    ids.filter(|id| before.get(id) != now.get(id)).copied().collect()
}
