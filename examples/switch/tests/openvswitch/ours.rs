//! Our switch with the interface of the lab.

use std::time::Duration;

use fdb::{Config, Entry, FlushScope, Key, Kind, WhenFull};
use private_ovs::{FdbRow, Frames};
use switch::vlan_table::openvswitch::{Bridge, PortConfig};
use switch::vlan_table::{Fid, FrameMut, PortId, TagVid, dot1q};
use switch::{Database, Switch};

use crate::both::shown;
use crate::ports;

/// A switch under Open vSwitch's rules. Port 0 is the bridge's own, a trunk of all VLANs whose
/// frames nobody collects.
pub(crate) struct Ours {
    pub(crate) switch: Switch,
    pub(crate) now: Duration,
    names: Vec<String>,
}

impl Ours {
    /// Ports with these names and columns.
    pub(crate) fn new(vlan_limit: usize, ports: &[(String, Vec<String>)]) -> Self {
        let mut bridge = Bridge::new(ports.len() as u16 + 1, vlan_limit);
        for (number, (_, columns)) in (1..).zip(ports) {
            bridge.set_port(PortId::new(number).unwrap(), ports::config(columns)).unwrap();
        }
        let names =
            ["br0"].into_iter().chain(ports.iter().map(|(name, _)| &**name)).map(Into::into).collect();
        Self { switch: Switch::openvswitch(bridge, database(None)), now: Duration::ZERO, names }
    }

    /// The same ports under the rules of IEEE 802.1Q.
    pub(crate) fn standard(ports: &[(String, Vec<String>)]) -> Self {
        let mut ours = Self::new(1, ports);
        let bridge = dot1q::Bridge::new(ours.switch.rules().ports());
        ours.switch = Switch::dot1q(bridge, database(None));
        let trunk = PortConfig::default();
        ours.switch.set_vlan_mode(ours.now, PortId::new(0).unwrap(), &trunk).unwrap();
        for (name, columns) in ports {
            let port = ours.port(name);
            ours.switch.set_vlan_mode(ours.now, port, &ports::config(columns)).unwrap();
        }
        ours
    }

    pub(crate) fn port(&self, name: &str) -> PortId {
        let number = self.names.iter().position(|known| known == name).unwrap();
        PortId::new(number as u16).unwrap()
    }

    pub(crate) fn exchange(&mut self, into: &str, frames: &[Vec<u8>]) -> Frames {
        let mut output = Frames::new();
        for frame in frames {
            let decision = self.switch.receive(self.now, self.port(into), frame);
            for copy in self.switch.copies(&decision) {
                let mut buffer = [&[0; 8], &frame[..]].concat();
                let mut edited = FrameMut::new(&mut buffer, 8).unwrap();
                copy.apply(&mut edited).unwrap();
                for port in copy.ports.iter().filter(|port| port.get() != 0) {
                    output
                        .entry(self.names[port.index()].clone())
                        .or_default()
                        .push(edited.as_bytes().to_vec());
                }
            }
        }
        output
    }

    pub(crate) fn fdb(&self) -> Vec<FdbRow> {
        let row = |row: fdb::Row| {
            let mac = shown(row.key.mac().into_array());
            (row.entry.port.to_string(), row.key.fid().get(), mac, row.entry.kind == Kind::Static)
        };
        let mut rows: Vec<_> = self.switch.database().rows(self.now).into_iter().map(row).collect();
        rows.sort();
        rows
    }

    /// Changes the columns of a port, and forgets its stations.
    pub(crate) fn set_port(&mut self, name: &str, columns: &[&str]) {
        let columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
        self.switch.set_vlan_mode(self.now, self.port(name), &ports::config(&columns)).unwrap();
    }

    pub(crate) fn set_vlan_limit(&mut self, limit: usize) {
        self.switch.openvswitch_mut().unwrap().set_vlan_limit(limit);
    }

    /// As the column `flood_vlans`: stations are forgotten.
    pub(crate) fn set_flood_vlans(&mut self, list: &str) {
        self.switch.openvswitch_mut().unwrap().set_flood_vlans(list.parse().unwrap());
        self.flush();
    }

    /// As `ovs-ofctl mod-port`.
    pub(crate) fn set_no_flood(&mut self, name: &str, no_flood: bool) {
        let port = self.port(name);
        self.switch.openvswitch_mut().unwrap().set_no_flood(port, no_flood).unwrap();
    }

    pub(crate) fn set_ageing(&mut self, time: Duration) {
        self.switch.database_mut().set_ageing(self.now, Some(time)).unwrap();
    }

    /// As `mac-table-size`; all stations are forgotten.
    pub(crate) fn set_table_size(&mut self, stations: u32) {
        let bridge = self.switch.openvswitch_mut().unwrap().clone();
        self.switch = Switch::openvswitch(bridge, database(Some(stations)));
    }

    /// As `fdb/flush`: statics stay.
    pub(crate) fn flush(&mut self) {
        self.switch.database_mut().flush(self.now, FlushScope::ALL);
    }

    /// As `fdb/add`.
    pub(crate) fn add_static(&mut self, port: &str, vlan: u16, mac: [u8; 6]) {
        let entry = Entry { port: self.port(port), kind: Kind::Static };
        let key = Key::from_octets(fid(vlan), mac);
        self.switch.database_mut().insert(self.now, key, entry).unwrap();
    }

    /// As `fdb/del`.
    pub(crate) fn remove(&mut self, vlan: u16, mac: [u8; 6]) {
        assert!(self.switch.database_mut().remove(self.now, Key::from_octets(fid(vlan), mac)).is_some());
    }
}

fn database(total: Option<u32>) -> Database {
    let when_full = WhenFull::Fair;
    Database::hashed(8192, [3, 4], Config { total, when_full, zero_is_station: true, ..Config::DEFAULT })
}

fn fid(vlan: u16) -> Fid {
    Fid::new(TagVid::from_raw(vlan).raw()).unwrap()
}
