//! The real switch: Open vSwitch through its database socket and its OpenFlow sockets.

mod database;
mod flows;
mod replica;
mod transact;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::net::if_::if_nametoindex;

use self::database::Database;
use self::flows::FlowSocket;
use crate::backend::{Backend, Failure};
use crate::flow::Flow;
use crate::observed::{Bridge, Observed};
use crate::plan::Op;

/// How long flows are taken to be what they were. Reading 5,000 takes Open vSwitch about 30 ms.
const REREAD: Duration = Duration::from_secs(5);

/// An Open vSwitch on this machine.
///
/// Ports and bridges are a replica that the database keeps up to date; flows are read when a
/// bridge is first seen, after anything that leaves them in doubt, and every five seconds.
#[derive(Debug)]
pub struct OpenVSwitch {
    database: Database,
    run_dir: PathBuf,
    flows: BTreeMap<String, BTreeSet<Flow>>,
    /// When the flows were read last.
    read: Instant,
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
        let run_dir = socket.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self {
            database,
            run_dir,
            flows: BTreeMap::new(),
            read: Instant::now(),
            new_bridge_options: Vec::new(),
        })
    }

    /// Sets a column of the bridges that the agent makes, such as `datapath_type` to `netdev`.
    #[must_use]
    pub fn with_bridge_option(mut self, column: &str, value: &str) -> Self {
        self.new_bridge_options.push((column.to_owned(), value.to_owned()));
        self
    }

    /// Forgets what is known about flows, so that the next look reads them all.
    pub fn doubt_flows(&mut self) {
        self.flows.clear();
        self.read = Instant::now();
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
        self.database.receive(Duration::ZERO)?;
        let Some(id) = self.database.replica.id("Port", port) else { return Ok(()) };
        let operations = transact::unplug(bridge, id);
        self.database.transact(&operations)?.map(drop).map_err(anyhow::Error::msg)
    }

    fn socket(&self, bridge: &str) -> FlowSocket {
        FlowSocket::new(&self.run_dir, bridge)
    }

    fn change_flows(&mut self, bridge: &str, delete: &[Flow], add: &[Flow]) -> Result<(), String> {
        let result = self.socket(bridge).change(delete, add);
        match (&result, self.flows.get_mut(bridge)) {
            (Ok(()), Some(known)) => {
                delete.iter().for_each(|flow| {
                    known.remove(flow);
                });
                known.extend(add.iter().cloned());
            }
            _ => {
                self.flows.remove(bridge);
            }
        }
        result.map_err(|error| format!("{error:#}"))
    }
}

/// The database goes on showing a port whose device somebody deleted. What the kernel does not have
/// is not open; whoever plugged it must plug it again.
///
/// Only devices of the host are looked for, and only where the bridge's own device is seen too:
/// otherwise the switch has another network namespace than this process.
fn note_lost_devices(name: &str, bridge: &mut Bridge) {
    let exists = |device: &str| if_nametoindex(device).is_ok();
    if !exists(name) {
        return;
    }
    for (device, port) in &mut bridge.ports {
        if port.kind.is_empty() && port.ofport.is_some() && !exists(device) {
            port.ofport = None;
            port.error = Some(format!("device {device} is gone; plug it again"));
        }
    }
}

impl Backend for OpenVSwitch {
    fn observe(&mut self) -> anyhow::Result<Observed> {
        self.database.receive(Duration::ZERO)?;
        // A daemon that was restarted has lost its flows, and the database does not tell.
        if self.read.elapsed() >= REREAD {
            self.doubt_flows();
        }
        let mut observed = self.database.replica.observe();
        self.flows.retain(|bridge, _| observed.bridges.contains_key(bridge));
        for (name, bridge) in &mut observed.bridges {
            note_lost_devices(name, bridge);
            if !self.flows.contains_key(name) {
                // A bridge that the daemon has not opened yet has no socket and no flows.
                let Ok(flows) = self.socket(name).dump() else { continue };
                self.flows.insert(name.clone(), flows);
            }
            bridge.flows = self.flows.get(name).cloned().unwrap_or_default();
        }
        Ok(observed)
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

    fn wait(&mut self, timeout: Duration) -> anyhow::Result<()> {
        self.database.receive(timeout).map(drop)
    }
}
