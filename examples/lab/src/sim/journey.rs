//! What happened, told frame by frame: from the host that sent it to all who heard it.

use core::time::Duration;
use std::collections::VecDeque;

use serde::Serialize;

use super::frames::{self, BROADCAST};
use crate::detector::Alarm;
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
    /// A loop detector has something to say.
    Alarm(Report),
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

/// What the loop detector of a switch says.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The switch.
    pub switch: String,
    /// What it is.
    #[serde(flatten)]
    pub alarm: Alarm,
    /// Since a cable was plugged in last, in seconds, if it is about a loop.
    #[serde(serialize_with = "seconds::some", skip_serializing_if = "Option::is_none")]
    pub after_plug: Option<Duration>,
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
    /// How many of it were sent, one after the other.
    pub frames: u64,
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

/// Equal frames that follow each other faster than this are told as one: answers to a storm.
const SAME: Duration = Duration::from_millis(1);
/// Journeys among which an equal one is looked for.
const RECENT: usize = 8;

/// All that happened so far.
#[derive(Debug, Default)]
pub(super) struct Journeys {
    entries: Vec<Entry>,
    /// The last frames that set out, and when.
    recent: VecDeque<(usize, Duration)>,
}

impl Journeys {
    pub(super) fn record(&mut self, at: Duration, what: Happening) {
        self.entries.push(Entry { at, what });
    }

    /// A frame sets out, so often; the number that its copies go by.
    pub(super) fn start(
        &mut self,
        at: Duration,
        from: &str,
        frame: &[u8],
        frames: u64,
        names: impl Fn(Mac) -> Option<String>,
    ) -> usize {
        let to = match frames::destination(frame) {
            BROADCAST => "all".into(),
            mac => names(mac).unwrap_or_else(|| mac::text(mac)),
        };
        let journey = Journey {
            from: from.to_owned(),
            to,
            what: frames::describe(frame),
            frames,
            hops: Vec::new(),
            more_hops: 0,
            heard_by: Vec::new(),
            lost: 0,
            in_flight: 0,
        };
        for place in 0..self.recent.len() {
            let Some((number, last)) = self.recent.get(place).copied() else { continue };
            let same = self.of(number).filter(|old| at - last < SAME && old.says_the_same(&journey));
            if let Some(old) = same {
                old.frames += frames;
                self.recent.remove(place);
                self.recent.push_back((number, at));
                return number;
            }
        }
        self.record(at, Happening::Frame(journey));
        let number = self.entries.len() - 1;
        self.recent.push_back((number, at));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        number
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
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.from, &self.to, &self.what) == (&other.from, &other.to, &other.what)
    }

    /// Meets a switch; `hop` is asked for only if it will be listed.
    pub(super) fn met(&mut self, hop: impl FnOnce() -> Hop) {
        if self.hops.len() < LISTED_HOPS {
            self.hops.push(hop());
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
