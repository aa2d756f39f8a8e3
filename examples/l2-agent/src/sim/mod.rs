//! The simulated switch: bridges, patch ports and flows in memory, no root needed.
//!
//! It behaves as far as the agent can tell like Open vSwitch: ports get OpenFlow numbers, flows
//! are executed as they are written, and `NORMAL` is the composed switch with Open vSwitch's
//! rules. What it cannot do (tunnels, more than 64 ports on a bridge) it refuses.

mod bridge;
mod pipeline;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::backend::{Backend, Failure};
use crate::observed::{Observed, Port, Wiring};
use crate::plan::Op;
use bridge::SimBridge;

/// Frames by the name of the port that they left.
pub type Frames = BTreeMap<String, Vec<Vec<u8>>>;

/// Patch ports that a frame may cross: more is a loop.
const MAX_HOPS: usize = 16;

/// A switch in memory.
#[derive(Debug, Default)]
pub struct SimSwitch {
    bridges: BTreeMap<String, SimBridge>,
    observed: Observed,
    now: Duration,
}

impl SimSwitch {
    /// A switch without bridges.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a bridge, as an operator would.
    pub fn add_bridge(&mut self, bridge: &str) {
        self.bridges.entry(bridge.to_owned()).or_default();
    }

    /// Adds a port with marks in `external_ids`; with `iface-id` it starts in the dead VLAN, as a
    /// guest's should.
    ///
    /// # Errors
    /// There is no such bridge, it is full, or it has a port of this name.
    pub fn plug(&mut self, bridge: &str, port: &str, marks: &[(&str, &str)]) -> Result<(), String> {
        let external_ids: BTreeMap<_, _> =
            marks.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let wiring = if external_ids.contains_key("iface-id") { Wiring::dead() } else { Wiring::default() };
        self.bridge(bridge)?.add_port(port, Port { external_ids, wiring, ..Port::default() })
    }

    /// Takes a port out.
    ///
    /// # Errors
    /// There is no such bridge.
    pub fn unplug(&mut self, bridge: &str, port: &str) -> Result<(), String> {
        self.bridge(bridge)?.remove_port(port);
        Ok(())
    }

    /// Forgets all flows, as a restarted daemon does.
    pub fn restart(&mut self) {
        self.bridges.values_mut().for_each(SimBridge::forget);
    }

    /// Lets time pass, for the ageing of stations.
    pub fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    /// Sends a frame into a port; what left which port. Patch ports are crossed, not listed.
    pub fn send(&mut self, port: &str, frame: &[u8]) -> Frames {
        let mut out = Frames::new();
        let start = self.find(port).map(|(bridge, port)| (bridge, port, frame.to_vec(), 0));
        let mut under_way: Vec<_> = start.into_iter().collect();
        while let Some((bridge, in_port, frame, hops)) = under_way.pop() {
            let left = self.bridges.get_mut(&bridge).map(|bridge| bridge.forward(self.now, in_port, &frame));
            for departure in left.into_iter().flatten() {
                match departure.peer {
                    None => out.entry(departure.port).or_default().push(departure.frame),
                    Some(peer) => {
                        // A peer that does not exist swallows what it is sent.
                        let far = self.find(&peer).filter(|_| hops < MAX_HOPS);
                        under_way.extend(far.map(|(bridge, port)| (bridge, port, departure.frame, hops + 1)));
                    }
                }
            }
        }
        out
    }

    /// Bridge and OpenFlow number of a port.
    fn find(&self, port: &str) -> Option<(String, u16)> {
        self.bridges.iter().find_map(|(name, bridge)| Some((name.clone(), bridge.ofport(port)?)))
    }

    fn bridge(&mut self, name: &str) -> Result<&mut SimBridge, String> {
        self.bridges.get_mut(name).ok_or_else(|| format!("no bridge named {name}"))
    }
}

impl Backend for SimSwitch {
    fn observe(&mut self) -> anyhow::Result<&Observed> {
        self.observed.bridges =
            self.bridges.iter().map(|(name, bridge)| (name.clone(), bridge.observe())).collect();
        Ok(&self.observed)
    }

    fn apply(&mut self, ops: &[Op]) -> anyhow::Result<Vec<Failure>> {
        let results = ops.iter().enumerate().map(|(op, what)| (op, self.run(what)));
        Ok(results.filter_map(|(op, result)| Some(Failure { op, why: result.err()? })).collect())
    }

    fn wait(&mut self, timeout: Duration, _also: Option<BorrowedFd<'_>>) -> anyhow::Result<()> {
        // Nothing changes here but by calls.
        self.advance(timeout);
        Ok(())
    }
}

impl SimSwitch {
    fn run(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::AddBridge { bridge } => {
                self.add_bridge(bridge);
                self.bridge(bridge)?.secure();
                Ok(())
            }
            Op::SecureBridge { bridge } => {
                self.bridge(bridge)?.secure();
                Ok(())
            }
            Op::AddPort { port, kind: "patch", bridge, options } => {
                let new = Port { kind: "patch".to_owned(), options: options.clone(), ..Port::default() };
                self.bridge(bridge)?.add_port(port, new)
            }
            Op::AddPort { port, kind, .. } => {
                Err(format!("{port}: the simulated switch has no {kind} ports"))
            }
            Op::SetPeer { port, peer } => {
                let (bridge, _) = self.find(port).ok_or_else(|| format!("no port named {port}"))?;
                self.bridge(&bridge)?.set_peer(port, peer);
                Ok(())
            }
            Op::Wire { port, from, to } => {
                let (bridge, _) = self.find(port).ok_or_else(|| format!("no port named {port}"))?;
                self.bridge(&bridge)?.wire(port, from, to)
            }
            Op::ChangeFlows { bridge, delete, add } => self.bridge(bridge)?.change_flows(delete, add),
        }
    }
}
