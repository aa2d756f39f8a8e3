//! Switches, hosts and cables in virtual time.
//!
//! One queue of events, ordered by time and then by age: the same scenario and seed give the same
//! run on every machine. Nothing here reads a clock or waits.

mod cable;
mod frames;
mod host;
mod journey;

use core::cmp::{Ordering, Reverse};
use core::time::Duration;
use std::collections::BinaryHeap;
use std::rc::Rc;

use serde::Serialize;
use vlan_table::PortId;

use crate::device::Device;
use crate::mac::Mac;
use crate::report::{Report, Station, as_map};
use crate::seconds;

pub use cable::Counters as CableCounters;
pub use host::Pings;
pub use journey::{Entry, Happening, Hop, Journey, Report as AlarmReport};

pub(crate) use cable::{Cable, End, Order, Quality};
pub(crate) use frames::BROADCAST;
pub(crate) use host::Host;

/// Everything that a scenario is made of.
pub(crate) struct Sim {
    now: Duration,
    queue: BinaryHeap<Reverse<Event>>,
    /// Orders events of equal time by age.
    serial: u64,
    switches: Vec<Node>,
    hosts: Vec<Host>,
    cables: Vec<Cable>,
    journeys: journey::Journeys,
    random: fastrand::Rng,
    /// Frames that may be handed to a switch or host: what ends a run that would not.
    budget: u64,
    /// Frames that were, and those that were handed to a host.
    frames: u64,
    host_frames: u64,
    /// Probes that switches sent.
    probes: u64,
    /// When a cable was plugged in last.
    plugged_at: Option<Duration>,
}

/// A switch under its name.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) device: Device,
    /// The earliest time at which it will be woken.
    armed: Option<Duration>,
}

impl Node {
    pub(crate) fn new(name: String, device: Device) -> Self {
        Self { name, device, armed: None }
    }
}

/// Something that will happen.
struct Event {
    at: Duration,
    serial: u64,
    what: What,
}

enum What {
    Step(Step),
    Arrive(Arrival),
    Timeout(usize),
    Flood(Flood),
}

/// A host that sends the same frame over and over.
struct Flood {
    host: usize,
    frame: Rc<[u8]>,
    journey: usize,
    gap: Duration,
    until: Duration,
}

/// A frame at the end of its cable.
struct Arrival {
    cable: usize,
    /// Which end of the cable it came to.
    end: usize,
    frame: Rc<[u8]>,
    journey: usize,
}

/// No journey: what is too many to be told, such as probes.
const UNTOLD: usize = usize::MAX;

/// What a scenario makes happen. Numbers are positions in the lists of the [`Sim`].
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Note(String),
    Ping { from: usize, to: usize },
    Send { from: usize, to: Mac, len: usize },
    Flood { from: usize, to: Mac, len: usize, gap: Duration, until: Duration },
    Announce { host: usize },
    Move { host: usize, switch: usize, port: PortId },
    Plug { cable: usize },
    Unplug { cable: usize },
    ShowStations,
}

/// How a run went.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// When it ended, in seconds since its start.
    #[serde(with = "seconds")]
    pub ended_at: Duration,
    /// What happened, in order.
    pub timeline: Vec<Entry>,
    /// The switches at the end.
    #[serde(serialize_with = "as_map")]
    pub switches: Vec<(String, Report)>,
    /// The hosts, and how their pings went.
    #[serde(serialize_with = "as_map")]
    pub hosts: Vec<(String, Pings)>,
    /// The cables, and what they carried.
    #[serde(serialize_with = "as_map")]
    pub cables: Vec<(String, CableCounters)>,
    /// Frames that arrived anywhere, probes included.
    pub frames: u64,
    /// Those that arrived at hosts, for them or not.
    pub host_frames: u64,
    /// Probes that loop detectors sent.
    pub probes: u64,
    /// Whether the run was cut off because it moved more frames than allowed.
    pub cut_off: bool,
}

impl Sim {
    pub(crate) fn new(
        switches: Vec<Node>,
        hosts: Vec<Host>,
        cables: Vec<Cable>,
        seed: u64,
        budget: u64,
    ) -> Self {
        Self {
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            serial: 0,
            switches,
            hosts,
            cables,
            journeys: journey::Journeys::default(),
            random: fastrand::Rng::with_seed(seed),
            budget,
            frames: 0,
            host_frames: 0,
            probes: 0,
            plugged_at: None,
        }
    }

    pub(crate) fn schedule(&mut self, at: Duration, step: Step) {
        self.push(at, What::Step(step));
    }

    /// Runs to the time `until`, or to the end of the frame budget.
    pub(crate) fn run(mut self, until: Duration) -> Outcome {
        for switch in 0..self.switches.len() {
            self.set_first_links(switch);
        }
        for switch in 0..self.switches.len() {
            self.settle(switch);
        }
        let mut cut_off = false;
        while let Some(Reverse(event)) = self.queue.pop() {
            if event.at > until {
                self.queue.push(Reverse(event));
                break;
            }
            self.now = event.at;
            match event.what {
                What::Step(step) => self.step(step),
                What::Timeout(switch) => self.timeout(switch),
                What::Flood(flood) => self.flood(flood),
                What::Arrive(arrival) if self.frames < self.budget => {
                    self.frames += 1;
                    self.arrive(&arrival);
                }
                What::Arrive(arrival) => {
                    self.queue.push(Reverse(Event { what: What::Arrive(arrival), ..event }));
                    cut_off = true;
                    break;
                }
            }
        }
        self.now = if cut_off { self.now } else { until };
        self.finish(cut_off)
    }

    fn finish(mut self, cut_off: bool) -> Outcome {
        for Reverse(event) in self.queue {
            if let What::Arrive(arrival) = event.what
                && let Some(journey) = self.journeys.of(arrival.journey)
            {
                journey.in_flight += 1;
            }
        }
        let hosts = &self.hosts;
        let reported = self.switches.into_iter().map(|node| {
            let mut report = node.device.report(self.now);
            name_hosts(&mut report.fdb, hosts);
            (node.name, report)
        });
        let switches = reported.collect();
        Outcome {
            ended_at: self.now,
            cut_off,
            frames: self.frames,
            host_frames: self.host_frames,
            probes: self.probes,
            timeline: self.journeys.finish(),
            switches,
            hosts: self.hosts.into_iter().map(|host| (host.name, host.pings)).collect(),
            cables: self.cables.into_iter().map(|cable| (cable.name, cable.counters)).collect(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Note(text) => self.journeys.record(self.now, Happening::Note(text)),
            Step::Ping { from, to } => {
                let Some(ip) = self.hosts.get(to).map(|host| host.ip) else { return };
                let frame = self.hosts.get_mut(from).map(|host| host.ping(ip));
                self.host_sends(from, frame);
            }
            Step::Send { from, to, len } => {
                let frame = self.hosts.get(from).map(|host| host.raw(to, len));
                self.host_sends(from, frame);
            }
            Step::Flood { from, to, len, gap, until } => {
                let Some(frame) = self.hosts.get(from).map(|host| host.raw(to, len)) else { return };
                let journey = self.start(from, &frame, 0);
                self.flood(Flood { host: from, frame: frame.into(), journey, gap, until });
            }
            Step::Announce { host } => {
                let frame = self.hosts.get(host).map(Host::announce);
                self.host_sends(host, frame);
            }
            Step::Move { host, switch, port } => self.move_host(host, switch, port),
            Step::Plug { cable } => self.set_plugged(cable, true),
            Step::Unplug { cable } => self.set_plugged(cable, false),
            Step::ShowStations => {
                let known = self.switches.iter().map(|node| {
                    let mut stations = node.device.stations(self.now);
                    name_hosts(&mut stations, &self.hosts);
                    (node.name.clone(), stations)
                });
                let known = known.collect();
                self.journeys.record(self.now, Happening::Stations(known));
            }
        }
    }

    fn host_sends(&mut self, host: usize, frame: Option<Vec<u8>>) {
        let Some(frame) = frame else { return };
        let journey = self.start(host, &frame, 1);
        self.transmit(End::Host(host), frame.into(), journey, Order::InTurn);
    }

    /// Begins to tell of a frame that `host` sends so often.
    fn start(&mut self, host: usize, frame: &[u8], frames: u64) -> usize {
        let Some(sender) = self.hosts.get(host) else { return UNTOLD };
        self.journeys.start(self.now, &sender.name, frame, frames, |mac| host_name(&self.hosts, mac))
    }

    /// Sends the next frame of a flood, and plans the one after it.
    fn flood(&mut self, flood: Flood) {
        if self.now >= flood.until {
            return;
        }
        if let Some(journey) = self.journeys.of(flood.journey) {
            journey.frames += 1;
        }
        self.transmit(End::Host(flood.host), flood.frame.clone(), flood.journey, Order::InTurn);
        self.push(self.now + flood.gap, What::Flood(flood));
    }

    /// Puts a frame on the cable at `from`, if there is one.
    fn transmit(&mut self, from: End, frame: Rc<[u8]>, journey: usize, order: Order) {
        let arrival = self.cables.iter_mut().enumerate().find_map(|(number, cable)| {
            let end = cable.ends.iter().position(|end| *end == from).filter(|_| cable.plugged)?;
            let at = cable.send(self.now, end, frame.len(), order, self.random.f64());
            Some(at.map(|at| (at, Arrival { cable: number, end: 1 - end, frame: frame.clone(), journey })))
        });
        match (arrival, self.journeys.of(journey)) {
            (Some(Some((at, arrival))), _) => self.push(at, What::Arrive(arrival)),
            // Nobody expects a frame behind an empty jack of a switch that floods.
            (None, _) => {}
            (Some(None), Some(journey)) => journey.lost += 1,
            (Some(None), None) => {}
        }
    }

    fn arrive(&mut self, arrival: &Arrival) {
        let Some(cable) = self.cables.get(arrival.cable) else { return };
        let end = cable.ends.get(arrival.end).copied().filter(|_| cable.plugged);
        match end {
            Some(End::Switch(switch, port)) => {
                self.switch_receives(switch, port, &arrival.frame, arrival.journey)
            }
            Some(End::Host(host)) => self.host_receives(host, &arrival.frame, arrival.journey),
            None => {
                if let Some(journey) = self.journeys.of(arrival.journey) {
                    journey.lost += 1;
                }
            }
        }
    }

    fn switch_receives(&mut self, switch: usize, port: PortId, frame: &[u8], journey: usize) {
        let Some(node) = self.switches.get_mut(switch) else { return };
        let mut copies: Vec<(PortId, Rc<[u8]>)> = Vec::new();
        let decision = node.device.receive(self.now, port, frame, |port, frame| {
            // Ports of equal tagging get the same bytes one after the other.
            let same = copies.last().map(|(_, last)| last).filter(|last| ***last == *frame);
            copies.push((port, same.cloned().unwrap_or_else(|| frame.into())));
        });
        if let Some(journey) = self.journeys.of(journey) {
            journey.met(|| Hop {
                at: self.now,
                switch: node.name.clone(),
                port: node.device.name(port).to_owned(),
                handling: node.device.explain(self.now, frame, &decision),
            });
        }
        let order = match node.device.overtakes(frame, &decision) {
            true => Order::Overtaking,
            false => Order::InTurn,
        };
        for (port, copy) in copies {
            self.transmit(End::Switch(switch, port), copy, journey, order);
        }
        self.settle(switch);
    }

    fn host_receives(&mut self, host: usize, frame: &[u8], journey: usize) {
        self.host_frames += 1;
        let Some(receiver) = self.hosts.get_mut(host) else { return };
        let heard = receiver.hear(frame);
        if let Some(journey) = self.journeys.of(journey).filter(|_| heard.accepted) {
            journey.heard(&receiver.name);
        }
        for reply in heard.replies {
            self.host_sends(host, Some(reply));
        }
    }

    fn timeout(&mut self, switch: usize) {
        if let Some(node) = self.switches.get_mut(switch) {
            node.armed = None;
            // Whoever dies now lived a moment ago.
            let before = node.device.stations(self.now.saturating_sub(MOMENT));
            node.device.handle_timeout(self.now);
            let after = node.device.stations(self.now);
            let gone = |station: &Station| {
                !after.iter().any(|left| (left.mac, left.fid) == (station.mac, station.fid))
            };
            let mut forgotten: Vec<_> = before.into_iter().filter(gone).collect();
            if !forgotten.is_empty() {
                name_hosts(&mut forgotten, &self.hosts);
                self.journeys.record(self.now, Happening::Forgot(node.name.clone(), forgotten));
            }
        }
        self.settle(switch);
    }

    /// After every input to a switch: sends its probes, tells what its loop detector says, and sees
    /// to it that it is woken.
    fn settle(&mut self, switch: usize) {
        let Some(node) = self.switches.get_mut(switch) else { return };
        while let Some(alarm) = node.device.poll_alarm() {
            let after_plug = self.plugged_at.filter(|_| alarm.is_loop()).map(|at| self.now - at);
            let report = AlarmReport { switch: node.name.clone(), alarm, after_plug };
            self.journeys.record(self.now, Happening::Alarm(report));
        }
        let order = if node.device.own_probes_overtake() { Order::Always } else { Order::InTurn };
        let mut probes: Vec<(PortId, Rc<[u8]>)> = Vec::new();
        while let Some((port, probe)) = node.device.poll_transmit() {
            probes.push((port, probe.into()));
        }
        self.probes += probes.len() as u64;
        for (port, probe) in probes {
            self.transmit(End::Switch(switch, port), probe, UNTOLD, order);
        }
        let Some(node) = self.switches.get_mut(switch) else { return };
        let next = node.device.next_timeout();
        if let Some(at) = next.filter(|at| node.armed.is_none_or(|armed| *at < armed)) {
            node.armed = Some(at);
            self.push(at, What::Timeout(switch));
        }
    }

    fn move_host(&mut self, host: usize, switch: usize, port: PortId) {
        let (new, own) = (End::Switch(switch, port), End::Host(host));
        let Some(cable) = self.cables.iter_mut().find(|cable| cable.ends.contains(&own)) else { return };
        let old = core::mem::replace(&mut cable.ends, [new, own]);
        cable.plugged = true;
        if let (Some(host), Some(node)) = (self.hosts.get(host), self.switches.get(switch)) {
            let to = (node.name.clone(), node.device.name(port).to_owned());
            self.journeys.record(self.now, Happening::Moved(host.name.clone(), to.0, to.1));
        }
        self.set_links(old, false);
        self.set_links([new, own], true);
    }

    fn set_plugged(&mut self, cable: usize, plugged: bool) {
        let Some(cable) = self.cables.get_mut(cable) else { return };
        cable.plugged = plugged;
        let ends = cable.ends;
        let what = if plugged { Happening::Plugged } else { Happening::Unplugged };
        self.plugged_at = if plugged { Some(self.now) } else { self.plugged_at };
        self.journeys.record(self.now, what(cable.name.clone()));
        self.set_links(ends, plugged);
    }

    /// Tells the switches at a cable's ends that the link came up or went down.
    fn set_links(&mut self, ends: [End; 2], up: bool) {
        for end in ends {
            if let End::Switch(switch, port) = end {
                if let Some(node) = self.switches.get_mut(switch) {
                    node.device.set_link(self.now, port, up);
                }
                self.settle(switch);
            }
        }
    }

    /// Tells a switch which of its jacks have a plug.
    fn set_first_links(&mut self, switch: usize) {
        let Some(node) = self.switches.get_mut(switch) else { return };
        for port in node.device.ports() {
            let jack = End::Switch(switch, port);
            let plugged = self.cables.iter().any(|cable| cable.plugged && cable.ends.contains(&jack));
            node.device.set_link(self.now, port, plugged);
        }
    }

    fn push(&mut self, at: Duration, what: What) {
        self.serial += 1;
        self.queue.push(Reverse(Event { at, serial: self.serial, what }));
    }
}

/// Shorter than any tick of a database.
const MOMENT: Duration = Duration::from_nanos(1);

fn name_hosts(stations: &mut [Station], hosts: &[Host]) {
    for station in stations {
        station.host = host_name(hosts, station.mac);
    }
}

fn host_name(hosts: &[Host], mac: Mac) -> Option<String> {
    hosts.iter().find(|host| host.mac == mac).map(|host| host.name.clone())
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}
