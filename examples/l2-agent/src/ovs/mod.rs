//! The real switch: Open vSwitch through its database socket and its OpenFlow sockets.

mod audit;
mod database;
mod flows;
mod replica;
mod transact;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::net::if_::if_nameindex;

use self::audit::Audit;
use self::database::Database;
use self::flows::{FlowSocket, Generation};
use crate::backend::{Backend, Failure};
use crate::flow::Flow;
use crate::observed::Observed;
use crate::plan::Op;

/// Between two readings of all flows.
const AUDIT: Duration = Duration::from_secs(5);
/// Between two looks at the host's devices.
const DEVICES: Duration = Duration::from_secs(1);

/// An Open vSwitch on this machine.
///
/// Ports and bridges are a replica that the database keeps up to date. Flows are read when a bridge
/// or its daemon is new and when a change failed; every five seconds they are read beside.
#[derive(Debug)]
pub struct OpenVSwitch {
    database: Database,
    run_dir: PathBuf,
    observed: Observed,
    /// Bridges whose flows are known, and the socket that told them.
    known: BTreeMap<String, Generation>,
    audit: Option<Audit>,
    audited: Instant,
    /// Devices that the database shows and the host does not have.
    lost: BTreeSet<String>,
    devices_seen: Option<Instant>,
    new_bridge_options: Vec<(String, String)>,
}

impl OpenVSwitch {
    /// Connects to the database at `socket`, such as `/run/openvswitch/db.sock`. The OpenFlow
    /// sockets are in the same directory.
    ///
    /// # Errors
    /// Names the socket and what to do.
    pub fn connect(socket: &Path) -> anyhow::Result<Self> {
        let database = Database::connect(socket).with_context(|| {
            format!(
                "cannot use {}; is ovsdb-server running, and may this user open its socket?",
                socket.display()
            )
        })?;
        Ok(Self {
            database,
            run_dir: socket.parent().map(Path::to_path_buf).unwrap_or_default(),
            observed: Observed::default(),
            known: BTreeMap::new(),
            audit: None,
            audited: Instant::now(),
            lost: BTreeSet::new(),
            devices_seen: None,
            new_bridge_options: Vec::new(),
        })
    }

    /// Sets a column of the bridges that the agent makes, such as `datapath_type` to `netdev`.
    #[must_use]
    pub fn with_bridge_option(mut self, column: &str, value: &str) -> Self {
        self.new_bridge_options.push((column.to_owned(), value.to_owned()));
        self
    }

    /// Adds an internal port with marks in `external_ids`, in the dead VLAN. One that exists is
    /// kept as it is.
    ///
    /// # Errors
    /// The database's words.
    pub fn plug(&mut self, bridge: &str, port: &str, marks: &[(&str, String)]) -> anyhow::Result<()> {
        if self.database.replica.has("Port", port) {
            return Ok(());
        }
        let operations = transact::plug(bridge, port, marks);
        self.database.transact(&operations)?.map(drop).map_err(anyhow::Error::msg)
    }

    /// Removes a port from its bridge; one that is not there is no error.
    ///
    /// # Errors
    /// The database's words.
    pub fn unplug(&mut self, bridge: &str, port: &str) -> anyhow::Result<()> {
        self.database.receive()?;
        let Some(id) = self.database.replica.id("Port", port) else { return Ok(()) };
        let operations = transact::unplug(bridge, id);
        self.database.transact(&operations)?.map(drop).map_err(anyhow::Error::msg)
    }

    fn change_flows(&mut self, bridge: &str, delete: &[Flow], add: &[Flow]) -> Result<(), String> {
        let result = FlowSocket::new(&self.run_dir, bridge).change(delete, add);
        if let Some(audit) = &mut self.audit {
            audit.note(delete.iter().chain(add));
        }
        match (&result, self.observed.bridges.get_mut(bridge)) {
            (Ok(()), Some(seen)) => {
                delete.iter().for_each(|flow| _ = seen.flows.remove(flow));
                seen.flows.extend(add.iter().cloned());
            }
            _ => _ = self.known.remove(bridge),
        }
        result.map_err(|error| format!("{error:#}"))
    }

    /// Reads the flows of bridges that are new, or whose daemon is.
    fn read_new_flows(&mut self) {
        self.known.retain(|bridge, _| self.observed.bridges.contains_key(bridge));
        for (name, bridge) in &mut self.observed.bridges {
            let socket = FlowSocket::new(&self.run_dir, name);
            let generation = socket.generation();
            if generation.is_some() && self.known.get(name) == generation.as_ref() {
                continue;
            }
            // A bridge that the daemon has not opened yet has no socket and no flows.
            let read = generation.and_then(|generation| Some((generation, socket.dump().ok()?)));
            match read {
                Some((generation, flows)) => {
                    self.audit = None;
                    self.known.insert(name.clone(), generation);
                    bridge.flows = flows;
                }
                None => {
                    self.known.remove(name);
                    bridge.flows.clear();
                }
            }
        }
    }

    fn audit_flows(&mut self) {
        if let Some(audit) = self.audit.take_if(|audit| audit.is_finished()) {
            let bridges = self.observed.bridges.iter_mut();
            let bridges = bridges.filter(|(name, _)| self.known.contains_key(*name));
            let known = bridges.map(|(name, bridge)| (name.as_str(), &mut bridge.flows)).collect();
            audit.finish(known).iter().for_each(|bridge| _ = self.known.remove(bridge));
        } else if self.audit.is_none() && self.audited.elapsed() >= AUDIT {
            let sockets = self.known.keys();
            let sockets = sockets.map(|name| (name.clone(), FlowSocket::new(&self.run_dir, name)));
            self.audit = Some(Audit::begin(sockets.collect()));
            self.audited = Instant::now();
        }
    }

    /// The database goes on showing a port whose device somebody deleted. What the host does not
    /// have is not open; whoever plugged it must plug it again.
    ///
    /// Only system devices are looked for, and only where the bridge's own device is seen too:
    /// otherwise the switch has another network namespace than this process.
    fn look_for_devices(&mut self) {
        if self.devices_seen.is_some_and(|seen| seen.elapsed() < DEVICES) {
            return;
        }
        self.devices_seen = Some(Instant::now());
        let Ok(devices) = if_nameindex() else { return };
        let devices: BTreeSet<_> = devices.iter().filter_map(|device| device.name().to_str().ok()).collect();
        let bridges = self.observed.bridges.iter().filter(|(name, _)| devices.contains(name.as_str()));
        let ports = bridges.flat_map(|(_, bridge)| &bridge.ports).filter(|(device, port)| {
            let shown = port.ofport.is_some() || self.lost.contains(*device);
            port.kind.is_empty() && shown && !devices.contains(device.as_str())
        });
        let lost = ports.map(|(device, _)| device.clone()).collect();
        let before = std::mem::replace(&mut self.lost, lost);
        before.difference(&self.lost).for_each(|device| self.database.replica.doubt(device));
    }

    fn note_lost_devices(&mut self) {
        for bridge in self.observed.bridges.values_mut() {
            for device in &self.lost {
                if let Some(port) = bridge.ports.get_mut(device) {
                    port.ofport = None;
                    port.error = Some(format!("device {device} is gone; plug it again"));
                }
            }
        }
    }
}

impl Backend for OpenVSwitch {
    fn observe(&mut self) -> anyhow::Result<&Observed> {
        self.database.receive()?;
        self.database.replica.refresh(&mut self.observed);
        self.look_for_devices();
        self.database.replica.refresh(&mut self.observed);
        self.note_lost_devices();
        self.read_new_flows();
        self.audit_flows();
        Ok(&self.observed)
    }

    fn apply(&mut self, ops: &[Op]) -> anyhow::Result<Vec<Failure>> {
        let mut failures = Vec::new();
        let (flow_ops, rows): (Vec<_>, Vec<_>) =
            ops.iter().enumerate().partition(|(_, op)| matches!(op, Op::ChangeFlows { .. }));
        // Flows first: whatever opens a way through them comes after.
        for (index, op) in flow_ops {
            let Op::ChangeFlows { bridge, delete, add } = op else { continue };
            if let Err(why) = self.change_flows(bridge, delete, add) {
                failures.push(Failure { op: index, why });
            }
        }
        failures.extend(transact::apply(&mut self.database, &rows, &self.new_bridge_options)?);
        Ok(failures)
    }

    fn wait(&mut self, timeout: Duration, also: Option<BorrowedFd<'_>>) -> anyhow::Result<()> {
        self.database.wait(timeout, also).map(drop)
    }
}
