//! One detector and the ways that lead from its ports back to its ports.

use core::time::Duration;

use rrcp::{
    Config, Disposition, Event, LoopDetector, MacAddr6, PROBE_LEN, PortConfig, PortId, Role, Transmit, VlanId,
};

pub(crate) const MAC: MacAddr6 = MacAddr6::new(0x02, 0, 0, 0, 0, 0x01);
pub(crate) const NONCE: u64 = 0x1234_5678_9ABC_DEF0;
pub(crate) const PORTS: usize = 8;

pub(crate) type Detector = LoopDetector<PORTS, 4>;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

pub(crate) fn vlan(raw: u16) -> Option<VlanId> {
    VlanId::new(raw)
}

/// What leaves `tx` arrives at `rx`, in `vlan` if that is fixed, else as it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Way {
    pub(crate) tx: u16,
    pub(crate) rx: u16,
    pub(crate) vlan: Option<VlanId>,
    pub(crate) delay: Duration,
}

pub(crate) fn way(tx: u16, rx: u16) -> Way {
    Way { tx, rx, vlan: None, delay: Duration::from_micros(50) }
}

/// A cable between two ports.
pub(crate) fn cable(a: u16, b: u16) -> [Way; 2] {
    [way(a, b), way(b, a)]
}

pub(crate) struct Sim {
    pub(crate) now: Duration,
    pub(crate) detector: Detector,
    pub(crate) ways: Vec<Way>,
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) sent: Vec<(Duration, Transmit, [u8; PROBE_LEN])>,
    in_flight: Vec<(Duration, PortId, Option<VlanId>, [u8; PROBE_LEN])>,
}

impl Sim {
    pub(crate) fn new() -> Self {
        Self::with(Config::new(MAC, NONCE))
    }

    /// Ports 2 and 5 are uplinks; a loop through them was seen for the first time just now.
    pub(crate) fn with_looped_uplinks() -> Self {
        let mut sim = Self::new();
        [2, 5].into_iter().for_each(|raw| sim.role(raw, Role::Uplink));
        sim.run_until(ms(60_000));
        sim.plug(cable(2, 5));
        while sim.detector.counters().deferred == 0 {
            sim.run_for(ms(1));
        }
        sim
    }

    /// Every port is up from the start.
    pub(crate) fn with(config: Config) -> Self {
        let mut sim = Self {
            now: Duration::ZERO,
            detector: Detector::new(Duration::ZERO, config),
            ways: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
            in_flight: Vec::new(),
        };
        for raw in 0..PORTS as u16 {
            sim.link(raw, true);
        }
        sim
    }

    pub(crate) fn role(&mut self, raw: u16, role: Role) {
        self.detector.set_port(self.now, port(raw), PortConfig::with_role(role)).unwrap();
    }

    pub(crate) fn link(&mut self, raw: u16, up: bool) {
        self.detector.handle_link(self.now, port(raw), up);
        self.drain();
    }

    pub(crate) fn frame(&mut self, raw: u16, vlan: Option<VlanId>, frame: &[u8]) -> Disposition {
        let disposition = self.detector.handle_frame(self.now, port(raw), vlan, frame);
        self.drain();
        disposition
    }

    pub(crate) fn plug(&mut self, ways: impl IntoIterator<Item = Way>) {
        self.ways.extend(ways);
    }

    pub(crate) fn unplug_all(&mut self) {
        self.ways.clear();
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Handles what is due, in order, and checks that a handled deadline moves on.
    pub(crate) fn run_until(&mut self, until: Duration) {
        loop {
            let arrival = (0..self.in_flight.len()).min_by_key(|at| self.in_flight[*at].0);
            let arrives = arrival.map_or(Duration::MAX, |at| self.in_flight[at].0);
            let timeout = self.detector.poll_timeout().unwrap_or(Duration::MAX);
            let next = arrives.min(timeout);
            if next > until {
                break;
            }
            self.now = next;
            if arrives <= timeout {
                let (_, rx, vlan, frame) = self.in_flight.swap_remove(arrival.unwrap());
                assert_eq!(self.detector.handle_frame(next, rx, vlan, &frame), Disposition::OwnProbe);
            } else {
                self.detector.handle_timeout(next);
                self.drain();
                assert!(
                    self.detector.poll_timeout().is_none_or(|later| later > next),
                    "a deadline must move on"
                );
            }
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        let mut frame = [0; PROBE_LEN];
        while let Some(transmit) = self.detector.poll_transmit(&mut frame) {
            self.sent.push((self.now, transmit, frame));
            for way in self.ways.iter().filter(|way| way.tx == transmit.port.get()) {
                let vlan = way.vlan.or(transmit.vlan);
                self.in_flight.push((self.now + way.delay, port(way.rx), vlan, frame));
            }
        }
        while let Some(event) = self.detector.poll_event() {
            self.events.push((self.now, event));
        }
        let counters = self.detector.counters();
        let judged = [
            counters.acted,
            counters.deferred,
            counters.rearmed,
            counters.repeated,
            counters.late,
            counters.void,
            counters.in_flight,
            counters.mirrored,
            counters.held_by_stp,
        ];
        assert_eq!(counters.own, judged.iter().sum::<u64>(), "every own probe is counted once");
    }

    pub(crate) fn blocked(&self) -> Vec<u16> {
        self.detector.blocked_ports().map(PortId::get).collect()
    }

    /// The ports that loops were found at and blocked, in order.
    pub(crate) fn blocks(&self) -> Vec<u16> {
        let blocks = self.events.iter().filter_map(|(_, event)| match event {
            Event::Looped { blocked, .. } => *blocked,
            _ => None,
        });
        blocks.map(PortId::get).collect()
    }

    pub(crate) fn loops(&self) -> Vec<rrcp::Loop> {
        let loops = self.events.iter().filter_map(|(_, event)| match event {
            Event::Looped { found, .. } => Some(*found),
            _ => None,
        });
        loops.collect()
    }
}
