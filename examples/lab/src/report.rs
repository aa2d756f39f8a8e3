//! What a switch has done and knows: the same data as JSON and as tables.

use core::time::Duration;
use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, TableComponent, presets};
use serde::{Serialize, Serializer};

use crate::mac::{self, Mac};
use crate::seconds;

/// Counters and stations of a switch at some moment.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The model, as in a switch file.
    pub model: String,
    /// Frames that came in; always the sum of the next three.
    pub received: u64,
    /// Frames that left by at least one port.
    pub forwarded: u64,
    /// Frames that belong where they came from, or nowhere else.
    pub filtered: u64,
    /// Frames that a rule discarded.
    pub dropped: u64,
    /// Filtered frames by reason.
    pub filters: BTreeMap<&'static str, u64>,
    /// Dropped frames by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// By port, in order.
    #[serde(serialize_with = "as_map")]
    pub ports: Vec<(String, PortCounters)>,
    /// The forwarding database.
    pub fdb: Vec<Station>,
}

/// Frames through a port.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct PortCounters {
    /// Frames that came in.
    pub rx_frames: u64,
    /// Their bytes, without FCS.
    pub rx_bytes: u64,
    /// Frames that left.
    pub tx_frames: u64,
    /// Their bytes, without FCS.
    pub tx_bytes: u64,
    /// Frames that came in and left by at least one port.
    pub forwarded: u64,
    /// Frames that came in and ended here, as they should.
    pub filtered: u64,
    /// Frames that came in and were discarded.
    pub dropped: u64,
    /// The same by reason.
    pub drops: BTreeMap<&'static str, u64>,
}

/// An entry of the forwarding database.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Station {
    /// Its address.
    #[serde(serialize_with = "as_mac")]
    pub mac: Mac,
    /// The host that has this address, in a scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The filtering database; 0 where a switch has one only.
    pub fid: u16,
    /// The VLAN, where each has a database of its own.
    pub vlan: Option<u16>,
    /// Where it is.
    pub port: String,
    /// `"dynamic"`, `"static"` ...
    pub kind: &'static str,
    /// Since it was last heard, in seconds; `None` if it does not age.
    #[serde(serialize_with = "seconds::some")]
    pub age: Option<Duration>,
}

impl Station {
    /// The host's name, or the address where none is known.
    pub fn name(&self) -> String {
        self.host.clone().unwrap_or_else(|| mac::text(self.mac))
    }
}

impl Report {
    /// Two tables, of ports and stations, and a line for each storm.
    pub fn tables(&self) -> String {
        let mut text = format!("{}\n", self.port_table());
        if self.fdb.is_empty() {
            text.push_str("  no station is known\n");
        } else {
            text.push_str(&format!("{}\n", station_table(&self.fdb)));
        }
        text
    }

    fn port_table(&self) -> Table {
        let mut table = table(["port", "rx frames", "rx bytes", "tx frames", "tx bytes", "dropped"]);
        for (name, port) in &self.ports {
            let reasons: Vec<_> = port.drops.iter().map(|(why, count)| format!("{count} {why}")).collect();
            table.add_row([
                name.clone(),
                grouped(port.rx_frames),
                grouped(port.rx_bytes),
                grouped(port.tx_frames),
                grouped(port.tx_bytes),
                reasons.join(", "),
            ]);
        }
        align_right(&mut table, 1..=4);
        table
    }
}

/// Stations as a table.
pub fn station_table(stations: &[Station]) -> Table {
    let mut table = table(["station", "vlan", "port", "kind", "age"]);
    for station in stations {
        table.add_row([
            station.name(),
            station.vlan.map_or("-".into(), |vid| vid.to_string()),
            station.port.clone(),
            station.kind.to_owned(),
            station.age.map_or("-".into(), seconds::text),
        ]);
    }
    align_right(&mut table, 4..=4);
    table
}

/// A number with its thousands set apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─');
    table
}

fn align_right(table: &mut Table, columns: core::ops::RangeInclusive<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn as_map<S: Serializer>(ports: &[(String, PortCounters)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(ports.iter().map(|(name, counters)| (name, counters)))
}

fn as_mac<S: Serializer>(mac: &Mac, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&mac::text(*mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let numbers = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1 000", "1 234 567"]);
    }
}
