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

use vlan_table::VlanId;

use crate::desired::{Desired, Segment};
use crate::filter::Memo;
use crate::flow::{Flow, differences};
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
    Planner::default().plan(desired, observed)
}

/// Plans again and again, and keeps what it worked out together with what it came from.
///
/// The answer is that of [`plan`]; only the time it takes depends on what was asked before.
#[derive(Debug, Default)]
pub struct Planner {
    filter: Memo,
}

impl Planner {
    /// Names the next operations, as [`plan`] does. O(ports), and O(log n) for each flow that
    /// became another.
    pub fn plan(&mut self, desired: &Desired, observed: &Observed) -> Plan {
        let mut plan = Plan::default();
        let guests = ports::guests(desired, observed);
        let networks = Networks::of(desired, observed, &guests, &mut plan.vlans);
        patches::plan(desired, observed, &mut plan);
        let node = flows::Node { desired, observed, guests: &guests, networks: &networks };
        let wanted = flows::tables(&node, &mut self.filter, &mut plan.faults);
        let mut settled = BTreeSet::new();
        for (bridge, table) in wanted {
            let Some(seen) = observed.bridges.get(&bridge) else { continue };
            let (delete, add) = differences(&seen.flows, table.flows());
            if delete.is_empty() && add.is_empty() {
                settled.insert(bridge);
            } else {
                plan.ops.push(Op::ChangeFlows { bridge, delete, add });
            }
        }
        patches::connect(desired, observed, &settled, &mut plan);
        let ways = Ways { desired, observed, settled: &settled };
        ports::plan(desired, &guests, &networks, &ways, &mut plan);
        plan
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

/// The networks that have a port on this node: local VLAN and way out.
struct Networks(BTreeMap<String, Result<Attachment, String>>);

/// How one network is attached on this node.
#[derive(Clone, Debug)]
struct Attachment {
    vlan: VlanId,
    segment: Segment,
    /// What its ports become.
    wiring: Wiring,
}

impl Networks {
    /// Restores the local VLANs that the switch remembers, frees those whose last port has left,
    /// and assigns new ones.
    fn of(
        desired: &Desired,
        observed: &Observed,
        guests: &[ports::Guest<'_>],
        vlans: &mut LocalVlans,
    ) -> Self {
        let in_use = guests.iter().filter_map(|guest| Some(guest.wanted?.0.network.as_str()));
        let in_use: BTreeSet<_> = in_use.collect();
        *vlans = LocalVlans::restore(ports::remembered(guests));
        vlans.retain(|network| in_use.contains(network));
        let attach = |network: &str, vlans: &mut LocalVlans| {
            let segment = desired.segment(network).map_err(|error| error.to_string())?;
            if let Segment::Flat { bridge } | Segment::Vlan { bridge, .. } = &segment
                && !observed.bridges.contains_key(bridge)
            {
                return Err(format!("network {network}: bridge {bridge} does not exist"));
            }
            let vlan = vlans.assign(network).map_err(|error| error.to_string())?;
            Ok(Attachment { vlan, segment, wiring: ports::wiring(desired, network, vlan) })
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
mod memory_tests;
#[cfg(test)]
mod tests;
