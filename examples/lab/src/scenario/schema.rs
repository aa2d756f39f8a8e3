//! The keys of a scenario file.

use core::time::Duration;
use std::net::Ipv4Addr;

use serde::Deserialize;
use toml::Spanned;
use vlan_table::VlanId;

use crate::detector::Mode;
use crate::document::{count, duration, some_vlan, vlans};

/// The file, without its `[config.*]` tables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) title: String,
    /// The network as text, shown before the timeline.
    #[serde(default)]
    pub(super) picture: String,
    #[serde(default = "one")]
    pub(super) seed: u64,
    /// Virtual time at which the run ends.
    #[serde(deserialize_with = "duration")]
    pub(super) until: Duration,
    /// Frames that may arrive somewhere before the run is cut off.
    #[serde(default = "a_million")]
    pub(super) frames: u64,
    pub(super) switch: Vec<Switch>,
    #[serde(default)]
    pub(super) cable: Vec<Cable>,
    #[serde(default)]
    pub(super) host: Vec<Host>,
    #[serde(default)]
    pub(super) event: Vec<Spanned<Event>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    pub(super) name: Spanned<String>,
    /// A `[config.NAME]` of this file, or the path of a switch file.
    pub(super) config: Option<Spanned<String>>,
    pub(super) detector: Option<Spanned<Detector>>,
}

/// A loop detector.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Detector {
    #[serde(default)]
    pub(super) mode: Mode,
    /// The address of the switch; made up if left out.
    pub(super) mac: Option<Spanned<String>>,
    /// Ports that are blocked only if nothing else breaks the loop.
    #[serde(default)]
    pub(super) uplinks: Vec<Spanned<String>>,
    /// VLANs to probe in, where ports are members; probes have no tag if there are none.
    #[serde(default, deserialize_with = "vlans")]
    pub(super) vlans: Vec<VlanId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cable {
    pub(super) name: Option<Spanned<String>>,
    /// Two jacks, each as `switch.port`.
    pub(super) ends: [Spanned<String>; 2],
    #[serde(default = "half_a_microsecond", deserialize_with = "duration")]
    pub(super) delay: Duration,
    /// Megabits per second.
    #[serde(default = "fast_ethernet")]
    pub(super) mbit: u32,
    /// Full-sized frames that a transmitter keeps waiting.
    #[serde(default = "queue")]
    pub(super) queue: u32,
    /// Share of frames that get lost.
    #[serde(default)]
    pub(super) loss: f64,
    #[serde(default = "yes")]
    pub(super) plugged: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    pub(super) name: Spanned<String>,
    /// The jack, as `switch.port`.
    pub(super) port: Spanned<String>,
    pub(super) mac: Option<Spanned<String>>,
    pub(super) ip: Option<Ipv4Addr>,
    /// The VLAN whose tag its frames carry.
    #[serde(default, deserialize_with = "some_vlan")]
    pub(super) vlan: Option<VlanId>,
}

/// One thing that happens; exactly one of the optional keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    #[serde(deserialize_with = "duration")]
    pub(super) at: Duration,
    pub(super) note: Option<String>,
    pub(super) ping: Option<Ping>,
    pub(super) send: Option<Send>,
    pub(super) flood: Option<Flood>,
    pub(super) announce: Option<Spanned<String>>,
    #[serde(rename = "move")]
    pub(super) relocate: Option<Move>,
    pub(super) plug: Option<Spanned<String>>,
    pub(super) unplug: Option<Spanned<String>>,
    pub(super) flap: Option<Flap>,
    pub(super) show: Option<Show>,
}

/// Echo requests, each after an ARP request if the address is unknown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ping {
    pub(super) from: Spanned<String>,
    pub(super) to: Spanned<String>,
    #[serde(default = "once", deserialize_with = "count")]
    pub(super) count: u32,
    #[serde(default = "a_second", deserialize_with = "duration")]
    pub(super) every: Duration,
    /// Each is late by a random time up to this.
    #[serde(default, deserialize_with = "duration")]
    pub(super) jitter: Duration,
}

/// Frames that nobody answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    pub(super) from: Spanned<String>,
    /// A host, `"all"`, or an address.
    pub(super) to: Spanned<String>,
    /// Length without FCS.
    #[serde(default = "shortest")]
    pub(super) bytes: Spanned<u16>,
    #[serde(default = "once", deserialize_with = "count")]
    pub(super) count: u32,
    #[serde(default = "a_second", deserialize_with = "duration")]
    pub(super) every: Duration,
    #[serde(default, deserialize_with = "duration")]
    pub(super) jitter: Duration,
}

/// The same broadcast over and over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flood {
    pub(super) from: Spanned<String>,
    /// Frames per second; 148 810 of the shortest fill 100 Mbit/s.
    pub(super) rate: Spanned<u32>,
    #[serde(rename = "for", deserialize_with = "duration")]
    pub(super) time: Duration,
}

/// A cable that is plugged in and pulled in turn.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flap {
    pub(super) cable: Spanned<String>,
    /// How long it stays as it is.
    #[serde(deserialize_with = "duration")]
    pub(super) every: Duration,
    /// How often it is plugged in, and pulled again.
    #[serde(deserialize_with = "count")]
    pub(super) count: u32,
}

/// How often, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeat {
    pub(super) count: u32,
    pub(super) every: Duration,
    pub(super) jitter: Duration,
}

impl Ping {
    pub(super) fn repeat(&self) -> Repeat {
        Repeat { count: self.count, every: self.every, jitter: self.jitter }
    }
}

impl Send {
    pub(super) fn repeat(&self) -> Repeat {
        Repeat { count: self.count, every: self.every, jitter: self.jitter }
    }
}

/// A host takes its cable to another jack.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Move {
    pub(super) host: Spanned<String>,
    /// The new jack, as `switch.port`.
    pub(super) to: Spanned<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Show {
    /// What every switch has learned.
    Stations,
}

// serde takes defaults from functions only.
fn one() -> u64 {
    1
}
fn once() -> u32 {
    1
}
fn a_million() -> u64 {
    1_000_000
}
fn a_second() -> Duration {
    Duration::from_secs(1)
}
fn half_a_microsecond() -> Duration {
    Duration::from_nanos(500)
}
fn fast_ethernet() -> u32 {
    100
}
fn queue() -> u32 {
    64
}
fn shortest() -> Spanned<u16> {
    Spanned::new(0..0, 60)
}
fn yes() -> bool {
    true
}
