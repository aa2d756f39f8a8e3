//! Our switch and a real Open vSwitch, changed alike, given the same frames, and compared.

use std::time::Duration;

use private_ovs::{Datapath, Frames, PrivateOvs};
use switch::vlan_table::ReservedAddresses;

use crate::BRIDGE;
use crate::ours::Ours;

pub(crate) struct Both {
    pub(crate) ours: Ours,
    /// Absent where Open vSwitch is not installed.
    theirs: Option<PrivateOvs>,
    /// What to say beside a difference.
    context: String,
}

impl Both {
    /// Bridges with these ports, each a name and the columns of the `Port` table.
    pub(crate) fn new(context: &str, vlan_limit: usize, ports: &[(String, Vec<String>)]) -> Self {
        let ours = Ours::new(vlan_limit, ports);
        let mut theirs = PrivateOvs::start(Datapath::Dummy);
        if let Some(theirs) = &mut theirs {
            theirs.add_bridge(BRIDGE, &["fail_mode=standalone"]);
            for (name, columns) in ports {
                theirs.add_port(BRIDGE, name, &columns.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        let mut both =
            Self { ours, theirs, context: format!("{context}, vlan-limit {vlan_limit}, {ports:#?}") };
        both.set_vlan_limit(vlan_limit);
        both
    }

    pub(crate) fn has_open_vswitch(&self) -> bool {
        self.theirs.is_some()
    }

    /// Sends frames into a port, one after the other, and returns what left which port: the same.
    pub(crate) fn exchange(&mut self, into: &str, frames: &[Vec<u8>]) -> Frames {
        let left = self.ours.exchange(into, frames);
        if let Some(theirs) = &mut self.theirs {
            let expected = theirs.exchange_all(into, frames);
            assert_eq!(left, expected, "{}\ninto {into}: {frames:02x?}", self.context);
        }
        left
    }

    /// Both know the same stations.
    pub(crate) fn compare_stations(&self) {
        if let Some(theirs) = &self.theirs {
            assert_eq!(self.ours.fdb(), theirs.fdb(BRIDGE), "{}", self.context);
        }
    }

    /// How many stations Open vSwitch knows behind a port.
    pub(crate) fn their_stations(&self, port: &str) -> Option<usize> {
        let rows = self.theirs.as_ref()?.fdb(BRIDGE);
        Some(rows.iter().filter(|row| row.0 == port).count())
    }

    pub(crate) fn set_vlan_limit(&mut self, limit: usize) {
        self.ours.set_vlan_limit(limit);
        self.set("Open_vSwitch", ".", &[&format!("other_config:vlan-limit={limit}")]);
    }

    /// Gives a port these columns and no others.
    pub(crate) fn set_port(&mut self, name: &str, columns: &[&str]) {
        self.ours.set_port(name, columns);
        if let Some(theirs) = &self.theirs {
            let clear = ["clear", "Port", name, "vlan_mode", "tag", "trunks", "cvlans", "other_config"];
            let set = ["--", "set", "Port", name, "protected=false"];
            theirs.vsctl(&[&clear[..], &set, columns].concat());
        }
    }

    pub(crate) fn set_flood_vlans(&mut self, list: &str) {
        self.ours.set_flood_vlans(list);
        self.set("Bridge", BRIDGE, &[&format!("flood_vlans=[{list}]")]);
    }

    pub(crate) fn set_no_flood(&mut self, port: &str, no_flood: bool) {
        self.ours.set_no_flood(port, no_flood);
        self.mod_port(port, if no_flood { "no-flood" } else { "flood" });
    }

    /// A port that is down by OpenFlow's flag is the device's business: forwarding does not look at it.
    pub(crate) fn set_down(&mut self, port: &str, down: bool) {
        self.mod_port(port, if down { "down" } else { "up" });
    }

    pub(crate) fn set_forward_bpdu(&mut self, forward: bool) {
        let reserved = if forward { ReservedAddresses::RelayAll } else { ReservedAddresses::OpenVSwitch };
        self.ours.switch.set_reserved(reserved);
        self.set("Bridge", BRIDGE, &[&format!("other_config:forward-bpdu={forward}")]);
    }

    /// From now on time passes only by [`advance`](Self::advance).
    pub(crate) fn set_ageing(&mut self, time: Duration) {
        self.ours.set_ageing(time);
        self.set("Bridge", BRIDGE, &[&format!("other_config:mac-aging-time={}", time.as_secs())]);
        self.appctl("time/stop", &[]);
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        self.ours.now += time;
        self.appctl("time/warp", &[&time.as_millis().to_string(), "1000"]);
    }

    /// Room for so many stations; all are forgotten.
    pub(crate) fn set_table_size(&mut self, stations: u32) {
        self.ours.set_table_size(stations);
        self.set("Bridge", BRIDGE, &[&format!("other_config:mac-table-size={stations}")]);
        self.appctl("fdb/flush", &[BRIDGE]);
    }

    /// Statics stay.
    pub(crate) fn flush(&mut self) {
        self.ours.flush();
        self.appctl("fdb/flush", &[BRIDGE]);
    }

    pub(crate) fn add_static(&mut self, port: &str, vlan: u16, mac: [u8; 6]) {
        self.ours.add_static(port, vlan, mac);
        self.appctl("fdb/add", &[BRIDGE, port, &vlan.to_string(), &shown(mac)]);
    }

    pub(crate) fn remove(&mut self, vlan: u16, mac: [u8; 6]) {
        self.ours.remove(vlan, mac);
        self.appctl("fdb/del", &[BRIDGE, &vlan.to_string(), &shown(mac)]);
    }

    fn set(&self, table: &str, record: &str, columns: &[&str]) {
        if let Some(theirs) = &self.theirs {
            theirs.vsctl(&[&["set", table, record], columns].concat());
        }
    }

    fn mod_port(&self, port: &str, change: &str) {
        if let Some(theirs) = &self.theirs {
            theirs.mod_port(BRIDGE, port, change);
        }
    }

    fn appctl(&self, method: &str, params: &[&str]) {
        if let Some(theirs) = &self.theirs {
            theirs.appctl(method, params);
        }
    }
}

pub(crate) fn shown(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}
