//! One simulated bridge: ports, flows, and the learning switch behind `NORMAL`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switch::fdb::{Config, FlushScope};
use switch::vlan_table::{PortId, TagVid, openvswitch};
use switch::{Database, Switch};
use vlan_table::VidSet;

use super::pipeline::{Pipeline, Step};
use crate::flow::Flow;
use crate::observed::{Bridge, Port, Wiring};

/// Ports that the composed switch has room for; OpenFlow counts them from 1.
const MAX_PORTS: u16 = 64;
/// Stations that a bridge of Open vSwitch remembers unless told otherwise.
const STATIONS: u32 = 8192;

/// A frame that leaves a bridge.
#[derive(Debug)]
pub(super) struct Departure {
    /// The port that it leaves by.
    pub(super) port: String,
    /// The patch port at the other end, if it leaves by one.
    pub(super) peer: Option<String>,
    pub(super) frame: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct SimBridge {
    seen: Bridge,
    pipeline: Pipeline,
    normal: Switch,
}

impl Default for SimBridge {
    fn default() -> Self {
        let rules = openvswitch::Bridge::new(MAX_PORTS, 1);
        // Nobody attacks a simulation: any seed will do.
        let database = Database::hashed(STATIONS, [1, 2], Config::default());
        Self {
            seen: Bridge::default(),
            pipeline: Pipeline::default(),
            normal: Switch::openvswitch(rules, database),
        }
    }
}

impl SimBridge {
    pub(super) fn observe(&self) -> Bridge {
        self.seen.clone()
    }

    pub(super) fn secure(&mut self) {
        self.seen.secure = true;
    }

    pub(super) fn ofport(&self, port: &str) -> Option<u16> {
        self.seen.ports.get(port)?.ofport
    }

    pub(super) fn add_port(&mut self, name: &str, port: Port) -> Result<(), String> {
        if self.seen.ports.contains_key(name) {
            return Err(format!("port {name} exists"));
        }
        let used: BTreeSet<_> = self.seen.ports.values().filter_map(|port| port.ofport).collect();
        let free = (1..=MAX_PORTS).find(|number| !used.contains(number));
        let ofport = free.ok_or_else(|| format!("port {name}: a simulated bridge has {MAX_PORTS} ports"))?;
        self.set_vlans(ofport, &port.wiring)?;
        self.seen.ports.insert(name.to_owned(), Port { ofport: Some(ofport), ..port });
        Ok(())
    }

    pub(super) fn remove_port(&mut self, name: &str) {
        if let Some(number) = self.seen.ports.remove(name).and_then(|port| port.ofport) {
            self.flush(number);
        }
    }

    pub(super) fn set_peer(&mut self, port: &str, peer: &str) {
        if let Some(port) = self.seen.ports.get_mut(port) {
            port.options.insert("peer".to_owned(), peer.to_owned());
        }
    }

    pub(super) fn wire(&mut self, name: &str, from: &Wiring, to: &Wiring) -> Result<(), String> {
        let port = self.seen.ports.get_mut(name).ok_or_else(|| format!("no port named {name}"))?;
        if port.wiring != *from {
            return Err(format!("port {name} has changed meanwhile"));
        }
        port.wiring = to.clone();
        let number = port.ofport.unwrap_or_default();
        self.set_vlans(number, to)?;
        self.flush(number);
        Ok(())
    }

    /// All or nothing.
    pub(super) fn change_flows(&mut self, delete: &[Flow], add: &[Flow]) -> Result<(), String> {
        let mut flows = self.seen.flows.clone();
        delete.iter().for_each(|flow| _ = flows.remove(flow));
        flows.extend(add.iter().cloned());
        self.pipeline = Pipeline::compile(&flows)?;
        self.seen.flows = flows;
        Ok(())
    }

    pub(super) fn forget(&mut self) {
        self.seen.flows.clear();
        self.pipeline = Pipeline::default();
        self.normal.database_mut().flush(Duration::ZERO, FlushScope::default());
    }

    /// What leaves when a frame comes in.
    pub(super) fn forward(&mut self, now: Duration, in_port: u16, frame: &[u8]) -> Vec<Departure> {
        let mut left = Vec::new();
        for step in self.pipeline.run(in_port, frame) {
            match step {
                Step::Output(port, frame) => left.push((port, frame)),
                Step::Normal(frame) => left.extend(self.normally(now, in_port, &frame)),
            }
        }
        let names: BTreeMap<_, _> = self.seen.ports.iter().map(|(name, port)| (port.ofport, name)).collect();
        let named = |(port, frame): (u16, _)| {
            let name = (*names.get(&Some(port))?).clone();
            let peer = self.seen.ports.get(&name)?.options.get("peer").cloned();
            Some(Departure { port: name, peer, frame })
        };
        left.into_iter().filter_map(named).collect()
    }

    fn normally(&mut self, now: Duration, in_port: u16, frame: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let Some(port) = port_id(in_port) else { return Vec::new() };
        let decision = self.normal.receive(now, port, frame);
        let mut left = Vec::new();
        for copy in self.normal.copies(&decision) {
            let mut out = vec![0; frame.len() + 8];
            let Ok(len) = copy.write(frame, &mut out) else { continue };
            out.truncate(len);
            left.extend(copy.ports.iter().map(|port| (port.get() + 1, out.clone())));
        }
        left
    }

    fn set_vlans(&mut self, number: u16, wiring: &Wiring) -> Result<(), String> {
        let mode = match (&wiring.vlan_mode, wiring.tag) {
            (Some(mode), _) => mode.parse().map_err(|error| format!("vlan_mode {mode}: {error}"))?,
            (None, Some(_)) => openvswitch::VlanMode::Access,
            (None, None) => openvswitch::VlanMode::Trunk,
        };
        let trunks = wiring.trunks.iter().fold(VidSet::EMPTY, |set, vid| set.with(*vid));
        let config = openvswitch::PortConfig {
            trunks: (!trunks.is_empty()).then_some(trunks),
            ..openvswitch::PortConfig::new(mode, TagVid::from_raw(wiring.tag.unwrap_or_default()))
        };
        let port = port_id(number).ok_or_else(|| format!("no port {number}"))?;
        match self.normal.rules_mut() {
            switch::Rules::OpenVSwitch(bridge) => {
                bridge.set_port(port, config).map_err(|error| error.to_string())
            }
            _ => Err("the bridge has other rules".to_owned()),
        }
    }

    fn flush(&mut self, number: u16) {
        if let Some(port) = port_id(number) {
            self.normal.database_mut().flush(Duration::ZERO, FlushScope::port(port));
        }
    }
}

/// OpenFlow counts ports from 1, the composed switch from 0.
fn port_id(number: u16) -> Option<PortId> {
    PortId::new(number.checked_sub(1)?)
}
