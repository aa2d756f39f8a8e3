//! From what shall be and what is, what to do next: a pure function.
//!
//! The agent is level-triggered. [`plan`] looks at the whole of both states, never at events, and
//! names only operations whose preconditions hold *now*; the loop applies them, observes again
//! and plans again, until nothing is left to do. So a lost event, a restart of the agent or of
//! the switch, and a first start are the same thing.
//!
//! What keeps traffic safe is the order that this gives:
//!
//! - A patch pair is made with a peer that does not exist. Only when the flows that keep it from
//!   looping frames are in both bridges is it connected.
//! - A port leaves the dead VLAN only for a network whose flows are there, and is called
//!   [`Up`](Status::Up) only when the switch shows its VLAN and all flows of its way out.
//! - Flows are exchanged as a difference in one bundle; nothing is ever cleared first.
//! - What cannot be wired stays down with its reason and stops nobody else.

mod flows;
mod patches;
mod ports;

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Desired, Segment};
use crate::flow::Flow;
use crate::local_vlan::LocalVlans;
use crate::observed::{Observed, Wiring};

pub use patches::NO_PEER;

/// One change to the node. Each can be applied twice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// Make a bridge that forwards nothing without flows.
    AddBridge {
        /// Its name.
        bridge: String,
    },
    /// Let an existing bridge forward nothing without flows.
    SecureBridge {
        /// Its name.
        bridge: String,
    },
    /// Add a patch or tunnel port.
    AddPort {
        /// The bridge it belongs to.
        bridge: String,
        /// Its name.
        port: String,
        /// `patch` or `vxlan`.
        kind: &'static str,
        /// Interface options.
        options: BTreeMap<String, String>,
    },
    /// Connect a patch port.
    SetPeer {
        /// The port.
        port: String,
        /// The port at the other end.
        peer: String,
    },
    /// Change the VLAN of a port, if it still is what was observed.
    Wire {
        /// The port.
        port: String,
        /// What was observed: the change is refused if it no longer holds.
        from: Wiring,
        /// What it becomes.
        to: Wiring,
    },
    /// Remove and add flows of a bridge in one bundle: all or nothing, no gap between.
    ChangeFlows {
        /// The bridge.
        bridge: String,
        /// Flows to remove.
        delete: Vec<Flow>,
        /// Flows to add.
        add: Vec<Flow>,
    },
}

/// How a desired port stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Status {
    /// The switch shows its VLAN and every flow that it needs.
    Up,
    /// It is being wired; the reason is what it waits for.
    Building(String),
    /// It stays down until somebody changes something; the reason says what.
    Down(String),
}

/// What to do next, and how every desired port stands before it is done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// In the order in which they shall be applied.
    pub ops: Vec<Op>,
    /// By the id of the desired port.
    pub status: BTreeMap<String, Status>,
    /// Local VLANs in use.
    pub vlans: LocalVlans,
    /// What is wrong with the node itself, for a person to mend.
    pub faults: Vec<String>,
}

impl Plan {
    /// Whether the node is as it shall be, as far as the agent can bring it there.
    pub fn is_done(&self) -> bool {
        self.ops.is_empty()
    }
}

/// Names the next operations; see the [module](self) for what holds between them.
///
/// O((ports + flows) log n).
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let networks = Networks::of(desired, observed, &mut plan.vlans);
    patches::plan(desired, observed, &mut plan);
    let wanted = flows::tables(desired, observed, &networks, &mut plan.faults);
    let mut settled = BTreeSet::new();
    for (bridge, flows) in wanted {
        let Some(seen) = observed.bridges.get(&bridge) else { continue };
        let delete: Vec<_> = seen.flows.difference(&flows).cloned().collect();
        let add: Vec<_> = flows.difference(&seen.flows).cloned().collect();
        if delete.is_empty() && add.is_empty() {
            settled.insert(bridge);
        } else {
            plan.ops.push(Op::ChangeFlows { bridge, delete, add });
        }
    }
    patches::connect(desired, observed, &settled, &mut plan);
    ports::plan(desired, observed, &networks, &settled, &mut plan);
    plan
}

/// The networks that have a port on this node: local VLAN and way out.
struct Networks(BTreeMap<String, Result<Attachment, String>>);

/// How one network is attached on this node.
#[derive(Clone, Debug)]
struct Attachment {
    vlan: vlan_table::VlanId,
    segment: Segment,
}

impl Networks {
    /// Restores the local VLANs that the switch remembers, frees those whose last port has left,
    /// and assigns new ones.
    fn of(desired: &Desired, observed: &Observed, vlans: &mut LocalVlans) -> Self {
        let plugged = ports::plugged(desired, observed);
        let in_use: BTreeSet<&str> = desired
            .ports
            .iter()
            .filter(|port| plugged.contains_key(port.id.as_str()))
            .map(|port| port.network.as_str())
            .collect();
        *vlans = LocalVlans::restore(ports::remembered(desired, observed));
        vlans.retain(|network| in_use.contains(network));
        let attach = |network: &str, vlans: &mut LocalVlans| {
            let segment = desired.segment(network).map_err(|error| error.to_string())?;
            if let Segment::Flat { bridge } | Segment::Vlan { bridge, .. } = &segment
                && !observed.bridges.contains_key(bridge)
            {
                return Err(format!("network {network}: bridge {bridge} does not exist"));
            }
            let vlan = vlans.assign(network).map_err(|error| error.to_string())?;
            Ok(Attachment { vlan, segment })
        };
        Self(in_use.into_iter().map(|network| (network.to_owned(), attach(network, vlans))).collect())
    }

    fn get(&self, network: &str) -> Option<&Result<Attachment, String>> {
        self.0.get(network)
    }

    fn attached(&self) -> impl Iterator<Item = &Attachment> {
        self.0.values().filter_map(|network| network.as_ref().ok())
    }
}

#[cfg(test)]
mod tests;
