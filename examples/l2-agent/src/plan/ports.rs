//! Guests' ports: which VLAN each belongs into, and how it stands.

use std::collections::{HashMap, HashSet};

use vlan_table::VlanId;

use super::{Attachment, Networks, Op, Plan, Status, Ways};
use crate::desired::{self, Desired, Filter};
use crate::observed::{DEAD_VLAN, Observed, Port, Wiring};

/// The note beside a port's tag that names its network.
const NET_UUID: &str = "net_uuid";

/// A port of the integration bridge that somebody plugged for a guest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest<'a> {
    /// The interface's name.
    name: &'a str,
    /// As it was observed.
    pub(super) port: &'a Port,
    id: &'a str,
    /// What is desired of it, and how it is filtered; `None` if nobody wants it.
    pub(super) wanted: Option<(&'a desired::Port, Filter<'a>)>,
}

/// All guests' ports, by name.
pub(super) fn guests<'a>(desired: &'a Desired, observed: &'a Observed) -> Vec<Guest<'a>> {
    let wanted: HashMap<_, _> = desired.ports.iter().map(|port| (port.id.as_str(), port)).collect();
    let bridge = observed.bridges.get(&desired.integration_bridge);
    let ports = bridge.into_iter().flat_map(|bridge| &bridge.ports);
    let guest = |(name, port): (&'a String, &'a Port)| {
        let id = port.iface_id()?;
        let wanted = wanted.get(id).map(|wanted| (*wanted, desired.filter(wanted)));
        Some(Guest { name, port, id, wanted })
    };
    ports.filter_map(guest).collect()
}

/// The network and local VLAN that the switch's database notes beside each port.
pub(super) fn remembered<'a>(guests: &[Guest<'a>]) -> impl Iterator<Item = (&'a str, VlanId)> {
    guests.iter().filter_map(|guest| {
        let notes = &guest.port.wiring.other_config;
        let tag = notes.get("tag")?.parse().ok()?;
        Some((notes.get(NET_UUID)?.as_str(), VlanId::new(tag)?))
    })
}

/// Plans the VLAN of every guest's port and tells how every desired port stands.
pub(super) fn plan(
    desired: &Desired,
    guests: &[Guest<'_>],
    networks: &Networks,
    ways: &Ways<'_>,
    plan: &mut Plan,
) {
    let ready: HashMap<_, _> = networks.attached().map(|it| (it.vlan, ways.is_ready(&it.segment))).collect();
    for guest in guests {
        let Guest { name, port, id, wanted } = *guest;
        let goal = match attachment(guest, networks) {
            Ok(Attachment { vlan, wiring, .. }) => {
                Goal::Vlan { wiring, ready: ready.get(vlan).is_some_and(|ready| *ready) }
            }
            Err(why) => Goal::Dead(why),
        };
        let status = judge(port, &goal);
        if let Some(to) = next_wiring(port, &goal, &status) {
            plan.ops.push(Op::Wire { port: name.to_owned(), from: port.wiring.clone(), to });
        }
        if wanted.is_some() {
            plan.status.insert(id.to_owned(), status);
        }
    }
    let plugged: HashSet<_> = guests.iter().map(|guest| guest.id).collect();
    for port in desired.ports.iter().filter(|port| !plugged.contains(port.id.as_str())) {
        let why = format!("no interface on {} has iface-id {}", desired.integration_bridge, port.id);
        plan.status.insert(port.id.clone(), Status::Down(why));
    }
}

/// Where a plugged port belongs.
enum Goal<'a> {
    Vlan { wiring: &'a Wiring, ready: bool },
    Dead(String),
}

/// The network of a port, or why it must not talk.
pub(super) fn attachment<'a>(guest: &Guest<'_>, networks: &'a Networks) -> Result<&'a Attachment, String> {
    let Some((wanted, filter)) = guest.wanted else {
        return Err("the port is not among the desired ones".to_owned());
    };
    let attached_mac = guest.port.external_ids.get("attached-mac").map(String::as_str);
    if attached_mac.and_then(|mac| mac.parse().ok()) != Some(wanted.mac.0) {
        let found = attached_mac.unwrap_or("not set").to_ascii_lowercase();
        return Err(format!(
            "attached-mac is {found}, not {}",
            wanted.mac.0.to_string().to_ascii_lowercase()
        ));
    }
    if !wanted.admin_state_up {
        return Err("admin_state_up is false".to_owned());
    }
    if filter == Filter::Unknown {
        return Err("no security groups are known for it, and it must not pass unfiltered".to_owned());
    }
    match networks.get(&wanted.network) {
        Some(network) => network.as_ref().map_err(Clone::clone),
        None => Err(format!("network {} is not attached", wanted.network)),
    }
}

/// What becomes of the ports of a network, with the notes that a restarted agent reads.
pub(super) fn wiring(desired: &Desired, network: &str, vlan: VlanId) -> Wiring {
    let found = desired.networks.iter().find(|candidate| candidate.id == network);
    let notes = [
        (NET_UUID, Some(network.to_owned())),
        ("network_type", found.map(|network| network.kind.name().to_owned())),
        ("physical_network", found.and_then(|network| network.physical_network.clone())),
        ("segmentation_id", found.and_then(|network| network.segmentation_id).map(|id| id.to_string())),
        ("tag", Some(vlan.to_string())),
    ];
    Wiring {
        tag: Some(vlan.get()),
        other_config: notes.into_iter().filter_map(|(key, note)| Some((key.to_owned(), note?))).collect(),
        ..Wiring::default()
    }
}

fn judge(port: &Port, goal: &Goal<'_>) -> Status {
    if port.ofport.is_none() {
        let why = port.error.clone().unwrap_or_else(|| "the switch has not opened its device".to_owned());
        return Status::Building(format!("no OpenFlow port: {why}"));
    }
    match goal {
        Goal::Dead(why) => Status::Down(why.clone()),
        Goal::Vlan { ready: false, .. } => Status::Building("flows are on their way".to_owned()),
        Goal::Vlan { wiring, .. } if port.wiring != **wiring => {
            Status::Building("its VLAN is on its way".to_owned())
        }
        Goal::Vlan { .. } => Status::Up,
    }
}

/// What the port's VLAN must become now, if it must change.
fn next_wiring(port: &Port, goal: &Goal<'_>, status: &Status) -> Option<Wiring> {
    match *goal {
        Goal::Dead(_) => (!port.wiring.is_dead()).then(Wiring::dead),
        Goal::Vlan { .. } if *status == Status::Up => None,
        Goal::Vlan { wiring, ready: true } => (port.wiring != *wiring).then(|| wiring.clone()),
        // A port that is new to its network waits in the dead VLAN until the flows are there. One
        // without any VLAN would be a trunk of all of them meanwhile. One that already is where it
        // belongs stays: an agent that restarts interrupts nobody.
        Goal::Vlan { wiring, .. } => {
            (port.wiring != *wiring && port.wiring.tag != Some(DEAD_VLAN)).then(Wiring::dead)
        }
    }
}
