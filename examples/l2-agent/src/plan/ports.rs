//! Guests' ports: which VLAN each belongs into, and how it stands.

use std::collections::{BTreeMap, BTreeSet};

use vlan_table::VlanId;

use super::{Attachment, Networks, Op, Plan, Status, patches};
use crate::desired::{self, Desired, Filter, Segment};
use crate::observed::{DEAD_VLAN, Observed, Port, Wiring};

/// The note beside a port's tag that names its network.
const NET_UUID: &str = "net_uuid";

/// Desired port id to the port on the integration bridge that carries it.
pub(super) fn plugged<'a>(
    desired: &Desired,
    observed: &'a Observed,
) -> BTreeMap<&'a str, (&'a str, &'a Port)> {
    guests(desired, observed).filter_map(|(name, port)| Some((port.iface_id()?, (name, port)))).collect()
}

/// The network and local VLAN that the switch's database notes beside each port.
pub(super) fn remembered<'a>(
    desired: &Desired,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a str, VlanId)> {
    guests(desired, observed).filter_map(|(_, port)| {
        let network = port.wiring.other_config.get(NET_UUID)?;
        let tag = port.wiring.other_config.get("tag")?.parse().ok()?;
        Some((network.as_str(), VlanId::new(tag)?))
    })
}

/// The ports that belong into a network, with what is desired of them and where.
pub(super) fn attached<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
    networks: &'a Networks,
) -> impl Iterator<Item = (&'a Port, &'a desired::Port, &'a Attachment)> {
    let wanted: BTreeMap<_, _> = desired.ports.iter().map(|port| (port.id.as_str(), port)).collect();
    guests(desired, observed).filter_map(move |(_, port)| {
        let wanted = *wanted.get(port.iface_id()?)?;
        Some((port, wanted, attachment(desired, wanted, port, networks).ok()?))
    })
}

/// Plans the VLAN of every guest's port and tells how every desired port stands.
pub(super) fn plan(
    desired: &Desired,
    observed: &Observed,
    networks: &Networks,
    settled: &BTreeSet<String>,
    plan: &mut Plan,
) {
    let ways = Ways { desired, observed, settled };
    let plugged = plugged(desired, observed);
    let wanted: BTreeMap<_, _> = desired.ports.iter().map(|port| (port.id.as_str(), port)).collect();
    for (name, port) in guests(desired, observed) {
        let Some(id) = port.iface_id() else { continue };
        let goal = match wanted.get(id) {
            Some(wanted) => goal(desired, wanted, port, networks),
            None => Goal::Dead("the port is not among the desired ones".to_owned()),
        };
        let status = judge(port, &goal, &ways);
        if let Some(to) = next_wiring(port, &goal, &status, &ways) {
            plan.ops.push(Op::Wire { port: name.to_owned(), from: port.wiring.clone(), to });
        }
        if wanted.contains_key(id) {
            plan.status.insert(id.to_owned(), status);
        }
    }
    for port in desired.ports.iter().filter(|port| !plugged.contains_key(port.id.as_str())) {
        let why = format!("no interface on {} has iface-id {}", desired.integration_bridge, port.id);
        plan.status.insert(port.id.clone(), Status::Down(why));
    }
}

/// Where a plugged port belongs.
enum Goal {
    Vlan { wiring: Wiring, segment: Segment },
    Dead(String),
}

fn goal(desired: &Desired, wanted: &desired::Port, port: &Port, networks: &Networks) -> Goal {
    match attachment(desired, wanted, port, networks) {
        Ok(attachment) => {
            Goal::Vlan { wiring: wiring(desired, wanted, attachment), segment: attachment.segment.clone() }
        }
        Err(why) => Goal::Dead(why),
    }
}

/// The network of a port, or why it must not talk.
fn attachment<'a>(
    desired: &Desired,
    wanted: &desired::Port,
    port: &Port,
    networks: &'a Networks,
) -> Result<&'a Attachment, String> {
    let attached_mac = port.external_ids.get("attached-mac").map(|mac| mac.to_ascii_lowercase());
    let mac = wanted.mac.0.to_string().to_ascii_lowercase();
    if attached_mac.as_ref() != Some(&mac) {
        let found = attached_mac.as_deref().unwrap_or("not set");
        return Err(format!("attached-mac is {found}, not {mac}"));
    }
    if !wanted.admin_state_up {
        return Err("admin_state_up is false".to_owned());
    }
    if desired.filter(wanted) == Filter::Unknown {
        return Err("no security groups are known for it, and unknown_ports is dead".to_owned());
    }
    match networks.get(&wanted.network) {
        Some(network) => network.as_ref().map_err(Clone::clone),
        None => Err(format!("network {} is not attached", wanted.network)),
    }
}

fn wiring(desired: &Desired, wanted: &desired::Port, attachment: &Attachment) -> Wiring {
    let network = desired.networks.iter().find(|network| network.id == wanted.network);
    let tag = attachment.vlan.get();
    let notes = [
        (NET_UUID, Some(wanted.network.clone())),
        ("network_type", network.map(|network| network.kind.name().to_owned())),
        ("physical_network", network.and_then(|network| network.physical_network.clone())),
        ("segmentation_id", network.and_then(|network| network.segmentation_id).map(|id| id.to_string())),
        ("tag", Some(tag.to_string())),
    ];
    Wiring {
        tag: Some(tag),
        other_config: notes.into_iter().filter_map(|(key, note)| Some((key.to_owned(), note?))).collect(),
        ..Wiring::default()
    }
}

fn judge(port: &Port, goal: &Goal, ways: &Ways<'_>) -> Status {
    if port.ofport.is_none() {
        let why = port.error.clone().unwrap_or_else(|| "the switch has not opened its device".to_owned());
        return Status::Building(format!("no OpenFlow port: {why}"));
    }
    match goal {
        Goal::Dead(why) => Status::Down(why.clone()),
        Goal::Vlan { segment, .. } if !ways.is_ready(segment) => {
            Status::Building("flows are on their way".to_owned())
        }
        Goal::Vlan { wiring, .. } if port.wiring != *wiring => {
            Status::Building("its VLAN is on its way".to_owned())
        }
        Goal::Vlan { .. } => Status::Up,
    }
}

/// What the port's VLAN must become now, if it must change.
fn next_wiring(port: &Port, goal: &Goal, status: &Status, ways: &Ways<'_>) -> Option<Wiring> {
    match goal {
        Goal::Dead(_) => (!port.wiring.is_dead()).then(Wiring::dead),
        Goal::Vlan { .. } if *status == Status::Up => None,
        Goal::Vlan { wiring, segment } if ways.is_ready(segment) => {
            (port.wiring != *wiring).then(|| wiring.clone())
        }
        // A port that is new to its network waits in the dead VLAN until the flows are there. One
        // without any VLAN would be a trunk of all of them meanwhile. One that already is where it
        // belongs stays: an agent that restarts interrupts nobody.
        Goal::Vlan { wiring, .. } => {
            (port.wiring != *wiring && port.wiring.tag != Some(DEAD_VLAN)).then(Wiring::dead)
        }
    }
}

/// Bridges as far as ports depend on them.
struct Ways<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    settled: &'a BTreeSet<String>,
}

impl Ways<'_> {
    /// Whether every flow between the integration bridge and the network's way out is installed,
    /// and the way is open.
    fn is_ready(&self, segment: &Segment) -> bool {
        let far = match segment {
            Segment::Local => None,
            Segment::Flat { bridge } | Segment::Vlan { bridge, .. } => Some(bridge),
            Segment::Vxlan { .. } => Some(&self.desired.tunnel_bridge),
        };
        let translation = self.desired.translation.as_ref();
        let beyond = translation.filter(|translation| Some(&translation.external) == far);
        let way = far.into_iter().chain(beyond.map(|translation| &translation.bridge));
        self.settled.contains(&self.desired.integration_bridge)
            && way.into_iter().all(|bridge| {
                self.settled.contains(bridge) && patches::are_connected(self.desired, self.observed, bridge)
            })
    }
}

/// Ports of the integration bridge that somebody plugged for a guest.
fn guests<'a>(desired: &Desired, observed: &'a Observed) -> impl Iterator<Item = (&'a str, &'a Port)> {
    let bridge = observed.bridges.get(&desired.integration_bridge);
    let ports = bridge.into_iter().flat_map(|bridge| &bridge.ports);
    ports.filter(|(_, port)| port.iface_id().is_some()).map(|(name, port)| (name.as_str(), port))
}
