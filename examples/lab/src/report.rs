//! What a switch has done and knows: the same data as JSON and as tables.

use core::ops::RangeInclusive;
use core::time::Duration;
use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use serde::{Serialize, Serializer};

use crate::detector::Mode;
use crate::mac::{self, Mac};
use crate::scenario::Comparison;
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
    /// The first thousand storms that storm control held back, in order of time.
    pub storms: Vec<Storm>,
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
    /// It may have been heard this much earlier or later: a chip counts age in ticks of 100 seconds.
    #[serde(serialize_with = "seconds::some")]
    pub age_resolution: Option<Duration>,
}

/// Frames of a kind and from a port that storm control discarded, with no second of peace in between.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Storm {
    /// Where it came from.
    pub port: String,
    /// Of what.
    pub class: &'static str,
    /// The first frame that was discarded, in seconds since the first frame of all.
    #[serde(with = "seconds")]
    pub first: Duration,
    /// The last one.
    #[serde(with = "seconds")]
    pub last: Duration,
    /// How many frames were discarded.
    pub dropped: u64,
}

impl Station {
    /// The host's name, or the address where none is known.
    pub fn name(&self) -> String {
        self.host.clone().unwrap_or_else(|| mac::text(self.mac))
    }
}

impl Report {
    /// How the frames add up, then a table of ports and one of stations.
    pub fn text(&self) -> String {
        let reasons = |counts: &BTreeMap<&str, u64>| match reasons(counts) {
            reasons if reasons.is_empty() => String::new(),
            reasons => format!(" ({reasons})"),
        };
        format!(
            "{} frames = {} forwarded + {} filtered{} + {} dropped{}\n\n{}\n{}",
            grouped(self.received),
            grouped(self.forwarded),
            grouped(self.filtered),
            reasons(&self.filters),
            grouped(self.dropped),
            reasons(&self.drops),
            self.port_table(),
            station_table(&self.fdb)
        ) + &self.storm_lines()
    }

    fn storm_lines(&self) -> String {
        let mut text = String::new();
        for Storm { port, class, first, last, dropped } in &self.storms {
            let (first, last) = (first.as_secs_f64(), last.as_secs_f64());
            let dropped = grouped(*dropped);
            text.push_str(&format!(
                "\n  {class} on port {port} from {first:.6} s to {last:.6} s: {dropped} frames discarded\n"
            ));
        }
        text
    }

    fn port_table(&self) -> String {
        let mut table = table(["port", "rx frames", "rx bytes", "tx frames", "tx bytes", "dropped"]);
        for (name, port) in &self.ports {
            let numbers = [port.rx_frames, port.rx_bytes, port.tx_frames, port.tx_bytes].map(grouped);
            table.add_row([&[name.clone()][..], &numbers, &[reasons(&port.drops)]].concat());
        }
        lines(table, 1..=4)
    }
}

/// Stations as a table; the column of VLANs is left out where all share one database.
fn station_table(stations: &[Station]) -> String {
    if stations.is_empty() {
        return "  no station is known\n".into();
    }
    let by_vlan = stations.iter().any(|station| station.vlan.is_some());
    let mut table = table(["station", "port", "kind", "age", if by_vlan { "vlan" } else { "" }]);
    for station in stations {
        let age = station.age.zip(station.age_resolution);
        let age = age.map_or("-".into(), |(age, resolution)| ticked(age, resolution));
        let vlan = station.vlan.map(|vid| vid.to_string()).unwrap_or_default();
        table.add_row([station.name(), station.port.clone(), station.kind.to_owned(), age, vlan]);
    }
    lines(table, 3..=4)
}

/// Runs with several kinds of loop detectors as a table.
pub(crate) fn comparison(rows: &[Comparison]) -> String {
    let header = [
        "detectors",
        "frames",
        "at hosts",
        "probes",
        "loops told",
        "first after",
        "blocked",
        "released",
        "pings",
    ];
    let mut table = table(header);
    for row in rows {
        let detectors = match row.detectors {
            Mode::Off => "none",
            Mode::Classic => "the chip's",
            Mode::Strict => "strict",
        };
        let cut_off = match row.cut_off {
            true => format!(", cut off at {:.1} s", row.ended_at.as_secs_f64()),
            false => String::new(),
        };
        let told = row.told_after.map_or("-".into(), time);
        let (pings, answered) = row.pings;
        table.add_row([
            detectors.to_owned(),
            grouped(row.frames) + &cut_off,
            grouped(row.host_frames),
            grouped(row.probes),
            row.loops.to_string(),
            told,
            row.blocks.to_string(),
            row.releases.to_string(),
            format!("{answered} of {pings}"),
        ]);
    }
    lines(table, 1..=8)
}

/// An age that is counted in ticks, as precisely as it is known.
fn ticked(age: Duration, tick: Duration) -> String {
    match tick < Duration::from_secs(1) {
        true => format!("{:.1} s", age.as_secs_f64()),
        false => format!("{} s ± {} s", age.as_secs(), tick.as_secs()),
    }
}

/// A short or long time, three digits or so.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 0.001 => format!("{:.0} us", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

/// `3 not-member, 1 tagged`.
fn reasons(counts: &BTreeMap<&str, u64>) -> String {
    let each: Vec<_> = counts.iter().map(|(why, count)| format!("{} {why}", grouped(*count))).collect();
    each.join(", ")
}

fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

/// The table's lines, indented, without blanks at their ends.
fn lines(mut table: Table, numbers: RangeInclusive<usize>) -> String {
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    let width = text.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0);
    let mut indented = String::new();
    for (number, line) in text.lines().enumerate() {
        indented.push_str(&format!(" {}\n", line.trim_end()));
        if number == 0 {
            indented.push_str(&format!("  {}\n", "─".repeat(width.saturating_sub(1))));
        }
    }
    indented
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

/// For `#[serde(serialize_with)]`: a list of names and values as an object, in its order.
pub(crate) fn as_map<T: Serialize, S: Serializer>(named: &[(String, T)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(named.iter().map(|(name, value)| (name, value)))
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
