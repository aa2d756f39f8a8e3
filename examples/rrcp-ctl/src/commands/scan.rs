//! `scan`: which switches there are and how they hang together.

use std::collections::BTreeSet;
use std::fmt;

use rrcp::MacAddr6;
use rrcp::client::{Event, Switch, Topology};
use serde::Serialize;

use crate::record::mac;

/// All answers to a scan.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    switches: Vec<Switch>,
    echoes: BTreeSet<[u8; 6]>,
    dropped: u64,
}

impl Scan {
    /// Takes an event of a scan.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Found(switch) => self.switches.push(switch),
            Event::EchoFound(mac) => drop(self.echoes.insert(mac.into_array())),
            Event::ScanDone { dropped, .. } => self.dropped = dropped,
            _ => {}
        }
    }

    /// The addresses that answered, each once.
    pub fn found(&self) -> BTreeSet<[u8; 6]> {
        let hellos = self.switches.iter().map(|switch| switch.mac.into_array());
        hellos.chain(self.echoes.iter().copied()).collect()
    }

    /// Addresses that answer echoes but no hello: RRCP is off, or the key was changed.
    fn echo_only(&self) -> impl Iterator<Item = MacAddr6> + '_ {
        let answers_hello = |mac: &MacAddr6| self.switches.iter().any(|switch| switch.mac == *mac);
        self.echoes.iter().map(|mac| MacAddr6::from(*mac)).filter(move |mac| !answers_hello(mac))
    }

    fn write_below(&self, f: &mut fmt::Formatter<'_>, switch: &Switch, depth: usize) -> fmt::Result {
        let (reply, indent) = (&switch.reply, 2 * depth);
        write!(f, "{:indent$}{}  port {}", "", mac(switch.mac), reply.downlink_port)?;
        if let Some((uplink, port)) = reply.uplink() {
            write!(f, " on {} port {port}", mac(uplink))?;
        }
        writeln!(f, "  chip {} vendor {} key {}", reply.chip, reply.vendor, switch.key)?;
        let below = Topology::new(&self.switches).below(switch.mac);
        // A ring of links would have no end.
        let mut below = below.filter(|_| depth < self.switches.len());
        below.try_for_each(|below| self.write_below(f, below, depth + 1))
    }
}

impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topology = Topology::new(&self.switches);
        topology.roots().try_for_each(|root| self.write_below(f, root, 0))?;
        if topology.roots().next().is_none() {
            self.switches.iter().try_for_each(|switch| self.write_below(f, switch, self.switches.len()))?;
        }
        self.echo_only().try_for_each(|echo| writeln!(f, "{}  answers echoes only", mac(echo)))?;
        if self.dropped > 0 {
            writeln!(f, "and {} more answers than fit", self.dropped)?;
        }
        match self.found().len() {
            0 => writeln!(
                f,
                "nobody answers: wrong VLAN, RRCP off, or a changed key (then ask one by address)"
            ),
            _ => Ok(()),
        }
    }
}

impl Serialize for Scan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Report {
            switches: Vec<Found>,
            echo_only: Vec<String>,
            dropped: u64,
        }
        #[derive(Serialize)]
        struct Found {
            mac: String,
            downlink_port: u8,
            uplink_mac: Option<String>,
            uplink_port: Option<u8>,
            depth: usize,
            chip: String,
            vendor: String,
            key: String,
        }
        let topology = Topology::new(&self.switches);
        let found = |switch: &Switch| Found {
            mac: mac(switch.mac),
            downlink_port: switch.reply.downlink_port,
            uplink_mac: switch.reply.uplink().map(|(uplink, _)| mac(uplink)),
            uplink_port: switch.reply.uplink().map(|(_, port)| port),
            depth: topology.depth(switch),
            chip: switch.reply.chip.to_string(),
            vendor: switch.reply.vendor.to_string(),
            key: switch.key.to_string(),
        };
        Report {
            switches: self.switches.iter().map(found).collect(),
            echo_only: self.echo_only().map(mac).collect(),
            dropped: self.dropped,
        }
        .serialize(serializer)
    }
}
