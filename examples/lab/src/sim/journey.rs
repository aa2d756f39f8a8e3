//! What happened, told frame by frame: from the host that sent it to all who heard it.

use core::time::Duration;

use serde::Serialize;

use super::frames::{self, BROADCAST};
use crate::device::Handling;
use crate::mac::{self, Mac};
use crate::report::Station;
use crate::seconds;

/// Something that happened, and when.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Since the start of the run, in seconds.
    #[serde(with = "seconds")]
    pub at: Duration,
    /// What it was.
    #[serde(flatten)]
    pub what: Happening,
}

/// What can happen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// The scenario has something to say.
    Note(String),
    /// A host, or a switch of its own accord, sent a frame.
    Frame(Journey),
    /// A cable was plugged in.
    Plugged(String),
    /// A cable was pulled.
    Unplugged(String),
    /// A host took its cable elsewhere: host, switch, port.
    Moved(String, String, String),
    /// A switch forgot stations that were silent for too long.
    Forgot(String, Vec<Station>),
    /// The scenario asked what the switches know.
    Stations(Vec<(String, Vec<Station>)>),
}

/// The way of one frame and all its copies.
#[derive(Debug, Serialize)]
pub struct Journey {
    /// Who sent it.
    pub from: String,
    /// For whom: a host, `"all"`, or an address.
    pub to: String,
    /// What it says.
    pub what: String,
    /// The switches that it met, in order of time.
    pub hops: Vec<Hop>,
    /// Switches that it met beyond those listed.
    pub more_hops: u64,
    /// Hosts that took it.
    pub heard_by: Vec<String>,
    /// Copies that came to a jack where nobody was, or that a cable lost.
    pub lost: u64,
    /// Copies that were still on their way when the run ended.
    pub in_flight: u64,
}

/// What a switch did with a frame.
#[derive(Debug, Serialize)]
pub struct Hop {
    /// When, in seconds since the start of the run.
    #[serde(with = "seconds")]
    pub at: Duration,
    /// Which switch.
    pub switch: String,
    /// The port it came in by.
    pub port: String,
    /// What became of it.
    #[serde(flatten)]
    pub handling: Handling,
}

/// Hops that are listed of a frame; one that goes in circles has more.
const LISTED_HOPS: usize = 12;

/// All that happened so far.
#[derive(Debug, Default)]
pub(super) struct Journeys {
    entries: Vec<Entry>,
}

impl Journeys {
    pub(super) fn record(&mut self, at: Duration, what: Happening) {
        self.entries.push(Entry { at, what });
    }

    /// A frame sets out; the number that its copies go by.
    pub(super) fn start(
        &mut self,
        at: Duration,
        from: &str,
        frame: &[u8],
        names: impl Fn(Mac) -> Option<String>,
    ) -> usize {
        let to = match frames::destination(frame) {
            BROADCAST => "all".into(),
            mac => names(mac).unwrap_or_else(|| mac::text(mac)),
        };
        self.record(
            at,
            Happening::Frame(Journey {
                from: from.to_owned(),
                to,
                what: frames::describe(frame),
                hops: Vec::new(),
                more_hops: 0,
                heard_by: Vec::new(),
                lost: 0,
                in_flight: 0,
            }),
        );
        self.entries.len() - 1
    }

    pub(super) fn of(&mut self, number: usize) -> Option<&mut Journey> {
        match &mut self.entries.get_mut(number)?.what {
            Happening::Frame(journey) => Some(journey),
            _ => None,
        }
    }

    pub(super) fn finish(self) -> Vec<Entry> {
        self.entries
    }
}

impl Journey {
    pub(super) fn met(&mut self, hop: Hop) {
        if self.hops.len() < LISTED_HOPS {
            self.hops.push(hop);
        } else {
            self.more_hops += 1;
        }
    }

    pub(super) fn heard(&mut self, host: &str) {
        if !self.heard_by.iter().any(|name| name == host) {
            self.heard_by.push(host.to_owned());
        }
    }
}
