//! The network at work: composed switches, cables with a rate and a queue, in virtual time.

use core::cmp::{Ordering, Reverse};
use core::time::Duration;
use std::collections::BinaryHeap;
use std::rc::Rc;

use fastrand::Rng;
use rrcp::{Config, Event, Hint, LoopDetector, MacAddr6, PROBE_LEN, PortConfig, Role};
use switch::fdb::Config as FdbConfig;
use switch::vlan_table::dot1q::Bridge;
use switch::vlan_table::{EtherType, Header, PortId, PortMask};
use switch::{Database, Guard, Switch};

use super::topology::{Jack, Kind, PORTS, Topology};

/// A shortest frame on 10 Mbit/s: 14 881 a second are full rate.
const FRAME_TIME: Duration = Duration::from_nanos(67_200);
/// Frames that wait for a cable before more are lost.
const QUEUE: u32 = 32;

type Detector = LoopDetector<{ PORTS as usize }, 1>;

/// The network of a trial.
pub(super) struct Network {
    pub(super) now: Duration,
    pub(super) nodes: Vec<Switch<Option<Detector>>>,
    cables: Vec<Line>,
    /// The cable end in each jack, by node and port.
    jacks: Vec<Vec<Option<(usize, usize)>>>,
    /// The storm guards of each node's ports.
    meters: Vec<Vec<Meter>>,
    /// When each node is woken next.
    armed: Vec<Option<Duration>>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    serial: u64,
    rng: Rng,
    /// What detectors said, until somebody takes it.
    pub(super) told: Vec<(Duration, usize, Event)>,
    /// Frames that arrived somewhere.
    pub(super) frames: u64,
    /// Probes that detectors sent.
    pub(super) probes: u64,
}

/// A cable: what is under way, in each direction.
#[derive(Clone, Debug)]
struct Line {
    ends: [Jack; 2],
    plugged: bool,
    delay: Duration,
    /// By direction: when the probes under way are through, and when everything is.
    busy_until: [[Duration; 2]; 2],
}

/// A storm guard: everything here is a broadcast, and so many pass in a tenth of a second.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    since: Duration,
    passed: u32,
}

impl Meter {
    const WINDOW: Duration = Duration::from_millis(100);
    /// 1000 a second, seven in a hundred of full rate.
    const BOUND: u32 = 100;

    fn passes(&mut self, now: Duration) -> bool {
        if now - self.since >= Self::WINDOW {
            *self = Self { since: now, passed: 0 };
        }
        self.passed += 1;
        self.passed <= Self::BOUND
    }
}

/// What waits for what on a cable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    Own,
    Probe,
    Other,
}

struct Scheduled {
    at: Duration,
    serial: u64,
    what: What,
}

enum What {
    Arrive { cable: usize, end: usize, frame: Rc<[u8]> },
    Wake { node: usize },
    Storm { jack: Jack, until: Duration, frame: Rc<[u8]> },
}

impl Network {
    /// Everything built, nothing plugged.
    pub(super) fn new(topology: &Topology, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let node = |(number, kind): (usize, &Kind)| node(number, kind, rng.u64(..));
        let nodes: Vec<_> = topology.nodes.iter().enumerate().map(node).collect();
        let line = |cable: &super::topology::Cable| Line {
            ends: cable.ends,
            plugged: false,
            delay: cable.delay,
            busy_until: [[Duration::ZERO; 2]; 2],
        };
        let cables: Vec<_> = topology.cables.iter().map(line).collect();
        let mut jacks = vec![vec![None; usize::from(PORTS)]; nodes.len()];
        for (number, cable) in cables.iter().enumerate() {
            for (end, (node, port)) in cable.ends.iter().enumerate() {
                if let Some(jack) = jacks.get_mut(*node).and_then(|ports| ports.get_mut(usize::from(*port))) {
                    *jack = Some((number, end));
                }
            }
        }
        Self {
            now: Duration::ZERO,
            armed: vec![None; nodes.len()],
            meters: vec![vec![Meter::default(); usize::from(PORTS)]; nodes.len()],
            nodes,
            cables,
            jacks,
            queue: BinaryHeap::new(),
            serial: 0,
            rng,
            told: Vec::new(),
            frames: 0,
            probes: 0,
        }
    }

    /// Plugs a cable in at both ends, now.
    pub(super) fn plug(&mut self, cable: usize) {
        let Some(line) = self.cables.get_mut(cable) else { return };
        line.plugged = true;
        for (node, port) in line.ends {
            let (Some(switch), Some(port)) = (self.nodes.get_mut(node), PortId::new(port)) else { continue };
            _ = switch.set_link(self.now, port, true); // it has this port
            self.settle(node);
        }
    }

    /// From now on, a station at `jack` sends broadcasts at full rate.
    pub(super) fn storm(&mut self, jack: Jack, until: Duration) {
        let mut frame = [0; 60];
        let head = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02, 0xEE, 0, 0, 0, 0x01, 0x08, 0x06];
        frame.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        self.push(self.now, What::Storm { jack, until, frame: Rc::new(frame) });
    }

    /// Handles what is next; `None` if nothing is due until then.
    pub(super) fn step(&mut self, until: Duration) -> Option<()> {
        if self.queue.peek()?.0.at > until {
            return None;
        }
        let Reverse(next) = self.queue.pop()?;
        self.now = next.at;
        match next.what {
            What::Arrive { cable, end, frame } => {
                let line = self.cables.get(cable)?;
                let (node, port) = *line.ends.get(end)?;
                self.receive(node, port, &frame);
            }
            What::Wake { node } => {
                *self.armed.get_mut(node)? = None;
                let switch = self.nodes.get_mut(node)?;
                if switch.poll_timeout().is_some_and(|due| due <= self.now) {
                    switch.handle_timeout(self.now);
                }
                self.settle(node);
            }
            What::Storm { jack: (node, port), until, frame } => {
                self.receive(node, port, &frame);
                if self.now < until {
                    let next = self.now + self.frame_time();
                    self.push(next, What::Storm { jack: (node, port), until, frame });
                }
            }
        }
        Some(())
    }

    /// Jacks that detectors block.
    pub(super) fn blocked(&self) -> Vec<Jack> {
        let of = |(node, switch): (usize, &Switch<Option<Detector>>)| {
            switch.blocked().iter().map(move |port| (node, port.get())).collect::<Vec<_>>()
        };
        self.nodes.iter().enumerate().flat_map(of).collect()
    }

    fn receive(&mut self, node: usize, port: u16, frame: &Rc<[u8]>) {
        let (Some(switch), Some(port)) = (self.nodes.get_mut(node), PortId::new(port)) else { return };
        self.frames += 1;
        // Nothing here has a tag, so every copy is the frame itself.
        let is_probe = Header::read(frame).is_ok_and(|header| header.ether_type() == EtherType::REALTEK);
        let meter = self.meters.get_mut(node).and_then(|ports| ports.get_mut(port.index()));
        if switch.guard().is_some() && !is_probe && meter.is_some_and(|meter| !meter.passes(self.now)) {
            switch.guard_mut().handle_hint(self.now, port, Hint::Storm);
            self.settle(node);
            return;
        }
        let decision = switch.receive(self.now, port, frame);
        // What a detector had flooded is not learned from.
        let class = match switch.guard().is_some() && is_probe && decision.learned.is_none() {
            true => Class::Probe,
            false => Class::Other,
        };
        for port in decision.ports {
            self.send((node, port.get()), frame.clone(), class);
        }
        if is_probe {
            self.settle(node);
        }
    }

    /// After an input to a switch: its probes, its events, its alarm.
    fn settle(&mut self, node: usize) {
        let Some(switch) = self.nodes.get_mut(node) else { return };
        let mut probes = Vec::new();
        if let Some(detector) = switch.guard_mut() {
            let mut frame = [0; PROBE_LEN];
            while let Some(transmit) = detector.poll_transmit(&mut frame) {
                probes.push((transmit.port, Rc::new(frame)));
            }
            while let Some(event) = detector.poll_event() {
                self.told.push((self.now, node, event));
            }
        }
        let due = switch.guard().as_ref().and_then(LoopDetector::poll_timeout);
        if let (Some(due), Some(armed)) = (due, self.armed.get_mut(node))
            && armed.is_none_or(|armed| due < armed)
        {
            *armed = Some(due);
            self.push(due, What::Wake { node });
        }
        self.probes += probes.len() as u64;
        for (port, frame) in probes {
            self.send((node, port.get()), frame, Class::Own);
        }
    }

    /// Puts a frame on the cable in a jack. Own probes go first and always, probes that a detector
    /// floods before what else waits; whatever finds its queue full is lost.
    fn send(&mut self, (node, port): Jack, frame: Rc<[u8]>, class: Class) {
        let jack = self.jacks.get(node).and_then(|ports| ports.get(usize::from(port))).copied().flatten();
        let Some((number, from)) = jack else { return };
        let Some(line) = self.cables.get(number).filter(|line| line.plugged) else { return };
        let Some([probes, all]) = line.busy_until.get(from) else { return };
        let free = (if class == Class::Other { *all } else { *probes }).max(self.now);
        if class != Class::Own && free - self.now > FRAME_TIME * QUEUE {
            return;
        }
        let time = self.frame_time();
        let Some(line) = self.cables.get_mut(number) else { return };
        let Some([probes, all]) = line.busy_until.get_mut(from) else { return };
        if class != Class::Other {
            *probes = free + time;
        }
        *all = (*all).max(self.now) + time;
        let at = free + time + line.delay;
        self.push(at, What::Arrive { cable: number, end: 1 - from, frame });
    }

    /// Lengths and clocks differ: in lockstep the same frames would win every race.
    fn frame_time(&mut self) -> Duration {
        FRAME_TIME / 2 + Duration::from_nanos(self.rng.u64(0..FRAME_TIME.as_nanos() as u64))
    }

    fn push(&mut self, at: Duration, what: What) {
        self.serial += 1;
        self.queue.push(Reverse(Scheduled { at, serial: self.serial, what }));
    }
}

/// A switch with all links down.
fn node(number: usize, kind: &Kind, nonce: u64) -> Switch<Option<Detector>> {
    let mut switch = match kind {
        Kind::Plain => Switch::rtl8305sc().with_guard(None),
        Kind::Guarded { uplinks } => {
            let mac = MacAddr6::new(0x02, 0, 0, 0, (number >> 8) as u8, number as u8);
            let mut detector = Detector::new(Duration::ZERO, Config::new(mac, nonce));
            for port in uplinks.iter().filter_map(|port| PortId::new(*port)) {
                _ = detector.set_port(Duration::ZERO, port, PortConfig::with_role(Role::Uplink)); // below PORTS
            }
            let database = Database::hashed(1024, [nonce, 1], FdbConfig::default());
            Switch::dot1q(Bridge::new(PortMask::first(PORTS)), database).with_guard(Some(detector))
        }
    };
    // The highest port is a station's, the others wait for their cables.
    for port in switch.links_up() {
        let station = port.get() + 1 == super::topology::ports(switch.guard().is_some());
        _ = switch.set_link(Duration::ZERO, port, station);
    }
    switch
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}
