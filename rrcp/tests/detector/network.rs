//! Detectors and plain bridges, wired to each other: who blocks, who does not, and when.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use rrcp::{Config, Disposition, Event, LoopDetector, MacAddr6, PROBE_LEN, PortConfig, PortId, Role};

use crate::sim::{ms, port};

pub(crate) type Detector = LoopDetector<16, 1>;
pub(crate) type Jack = (usize, u16);

/// Time of one frame on a cable: 10 Mbit/s, shortest frames.
const SERIAL: Duration = Duration::from_nanos(67_200);
/// Frames that wait for a cable before more are lost.
const QUEUE: u32 = 16;

/// Switches with detectors, bridges without, and cables, in virtual time.
pub(crate) struct Network {
    pub(crate) now: Duration,
    pub(crate) nodes: Vec<Option<Detector>>,
    pub(crate) cables: Vec<Cable>,
    pub(crate) events: Vec<(Duration, usize, Event)>,
    queue: BinaryHeap<Reverse<Arrival>>,
    serial: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Cable {
    pub(crate) ends: [Jack; 2],
    pub(crate) plugged: bool,
    delay: Duration,
    busy_until: [Duration; 2],
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Arrival {
    at: Duration,
    serial: u64,
    cable: usize,
    end: usize,
    frame: [u8; PROBE_LEN],
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            now: Duration::ZERO,
            nodes: Vec::new(),
            cables: Vec::new(),
            events: Vec::new(),
            queue: BinaryHeap::new(),
            serial: 0,
        }
    }

    /// A switch with a detector; its number is its address.
    pub(crate) fn switch(&mut self) -> usize {
        let number = self.nodes.len();
        let mac = MacAddr6::new(2, 0, 0, 0, 0, number as u8);
        self.switch_with(Config::new(mac, 0xABCD_0000 + number as u64 * 7919))
    }

    pub(crate) fn switch_with(&mut self, config: Config) -> usize {
        self.nodes.push(Some(Detector::new(self.now, config)));
        self.nodes.len() - 1
    }

    /// A bridge that floods and knows nothing of loops.
    pub(crate) fn hub(&mut self) -> usize {
        self.nodes.push(None);
        self.nodes.len() - 1
    }

    pub(crate) fn role(&mut self, (node, raw): Jack, role: Role) {
        let detector = self.nodes[node].as_mut().unwrap();
        detector.set_port(self.now, port(raw), PortConfig::with_role(role)).unwrap();
    }

    /// A cable between two jacks, not plugged yet.
    pub(crate) fn cable(&mut self, a: Jack, b: Jack, delay: Duration) -> usize {
        self.cables.push(Cable { ends: [a, b], plugged: false, delay, busy_until: [Duration::ZERO; 2] });
        self.cables.len() - 1
    }

    pub(crate) fn set_plugged(&mut self, cable: usize, plugged: bool) {
        self.cables[cable].plugged = plugged;
        for (node, raw) in self.cables[cable].ends {
            if let Some(detector) = &mut self.nodes[node] {
                detector.handle_link(self.now, port(raw), plugged);
            }
            self.drain(node);
        }
    }

    /// Wires the jacks, all plugged at once.
    pub(crate) fn wire(&mut self, cables: &[(Jack, Jack)]) -> Vec<usize> {
        let made: Vec<_> = cables.iter().map(|(a, b)| self.cable(*a, *b, Duration::from_micros(5))).collect();
        made.iter().for_each(|cable| self.set_plugged(*cable, true));
        made
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
        self.now = until;
    }

    /// Handles what is next, if it is due.
    fn step(&mut self, until: Duration) -> bool {
        let timeouts = self.nodes.iter().enumerate();
        let timeout =
            timeouts.filter_map(|(node, detector)| Some((detector.as_ref()?.poll_timeout()?, node))).min();
        let arrives = self.queue.peek().map_or(Duration::MAX, |arrival| arrival.0.at);
        match timeout {
            Some((at, node)) if at < arrives && at <= until => {
                self.now = at;
                let detector = self.nodes[node].as_mut().unwrap();
                detector.handle_timeout(at);
                self.drain(node);
                let next = self.nodes[node].as_ref().unwrap().poll_timeout();
                assert!(next.is_none_or(|next| next > at), "a handled deadline must move on");
                true
            }
            _ if arrives <= until => {
                let Some(Reverse(arrival)) = self.queue.pop() else { return false };
                self.now = arrives;
                self.arrive(&arrival);
                true
            }
            _ => false,
        }
    }

    fn arrive(&mut self, arrival: &Arrival) {
        let cable = &self.cables[arrival.cable];
        if !cable.plugged {
            return;
        }
        let (node, raw) = cable.ends[arrival.end];
        if let Some(detector) = &mut self.nodes[node] {
            let disposition = detector.handle_frame(self.now, port(raw), None, &arrival.frame);
            self.drain(node);
            if disposition != Disposition::ForeignProbe {
                return;
            }
        }
        for (cable, end) in self.jacks(node) {
            let (_, out) = self.cables[cable].ends[end];
            if out != raw && !self.is_blocked((node, out)) {
                self.send(cable, end, &arrival.frame, false);
            }
        }
    }

    fn drain(&mut self, node: usize) {
        let mut frame = [0; PROBE_LEN];
        while let Some(transmit) =
            self.nodes[node].as_mut().and_then(|detector| detector.poll_transmit(&mut frame))
        {
            for (cable, end) in self.jacks(node) {
                if self.cables[cable].ends[end].1 == transmit.port.get() {
                    self.send(cable, end, &frame, true);
                }
            }
        }
        while let Some(event) = self.nodes[node].as_mut().and_then(LoopDetector::poll_event) {
            self.events.push((self.now, node, event));
        }
    }

    /// The cable ends at a node.
    fn jacks(&self, node: usize) -> Vec<(usize, usize)> {
        let ends = self.cables.iter().enumerate().flat_map(|(number, cable)| {
            let at = move |end: &usize| cable.ends[*end].0 == node && cable.plugged;
            [0, 1].into_iter().filter(at).map(move |end| (number, end))
        });
        ends.collect()
    }

    /// Own probes wait for no queue; anything else is lost when it is full.
    fn send(&mut self, number: usize, from: usize, frame: &[u8; PROBE_LEN], own: bool) {
        let cable = &mut self.cables[number];
        let start = cable.busy_until[from].max(self.now);
        // Clocks differ a little: without it, the same frames would win every time.
        let skew = SERIAL * ((self.serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u32) / 256;
        if !own && start - self.now + skew > SERIAL * QUEUE {
            self.serial += 1;
            return;
        }
        cable.busy_until[from] = start + SERIAL;
        let at = start + SERIAL + cable.delay;
        self.serial += 1;
        let arrival = Arrival { at, serial: self.serial, cable: number, end: 1 - from, frame: *frame };
        self.queue.push(Reverse(arrival));
    }

    pub(crate) fn is_blocked(&self, (node, raw): Jack) -> bool {
        self.nodes[node].as_ref().is_some_and(|detector| detector.is_blocked(port(raw)))
    }

    pub(crate) fn blocked(&self) -> Vec<Jack> {
        let nodes = self.nodes.iter().enumerate();
        let ports = nodes.flat_map(|(node, detector)| {
            detector.iter().flat_map(move |detector| {
                detector.blocked_ports().map(move |port: PortId| (node, port.get()))
            })
        });
        ports.collect()
    }

    /// Times of all blocks so far, with the blocked jack.
    pub(crate) fn blocks(&self) -> Vec<(Duration, Jack)> {
        let blocks = self.events.iter().filter_map(|(at, node, event)| match event {
            Event::Looped { blocked: Some(port), .. } => Some((*at, (*node, port.get()))),
            _ => None,
        });
        blocks.collect()
    }
}

/// A ring of `count` switches: port 0 to the one before, port 1 to the one after.
fn ring(network: &mut Network, count: usize) -> Vec<(Jack, Jack)> {
    let first = network.nodes.len();
    (0..count).for_each(|_| _ = network.switch());
    (0..count).map(|at| ((first + at, 1), (first + (at + 1) % count, 0))).collect()
}

#[test]
fn a_ring_of_detectors_ends_with_one_block_whoever_starts() {
    for count in 2..=12 {
        for closing in 0..count {
            let mut network = Network::new();
            let mut cables = ring(&mut network, count);
            let last = cables.remove(closing);
            network.wire(&cables);
            network.run_for(ms(20_000));
            assert_eq!(network.blocks(), [], "no loop yet");
            network.wire(&[last]);
            network.run_for(ms(60_000));
            assert_eq!(network.blocks().len(), 1, "{count} switches: {:?}", network.events);
            assert_eq!(network.blocked().len(), 1);
            assert!(network.blocks()[0].0 < ms(20_200));
        }
    }
}

#[test]
fn a_ring_that_boots_at_once_ends_with_one_block() {
    for count in 2..=12 {
        let mut network = Network::new();
        let cables = ring(&mut network, count);
        network.wire(&cables);
        network.run_for(ms(60_000));
        assert_eq!(network.blocked().len(), 1, "{count} switches: {:?}", network.events);
        assert_eq!(network.blocks().len(), 1, "{count} switches: {:?}", network.events);
    }
}

#[test]
fn probes_out_of_a_blocked_port_make_nobody_suspicious() {
    let mut network = Network::new();
    let cables = ring(&mut network, 4);
    network.wire(&cables);
    network.run_for(ms(20_000));
    assert_eq!(network.blocked().len(), 1);
    network.events.clear();
    let rounds = |network: &Network| -> u64 {
        network.nodes.iter().flatten().map(|detector| detector.counters().rounds).sum()
    };
    let before = rounds(&network);
    network.run_for(ms(60_000));
    assert_eq!(network.events, [], "both ways lead to the same switches, and one is closed");
    let rounds = rounds(&network) - before;
    assert!(rounds < 150, "one switch probes fast, three are idle: {rounds} rounds in a minute");
}

#[test]
fn a_switch_beside_the_loop_stays_connected() {
    let mut network = Network::new();
    let mut cables = ring(&mut network, 3);
    // Switch 3 hangs on the ring and ranks before everybody on it; so does 4 behind it.
    for beside in [3, 4] {
        let mac = MacAddr6::new(2, 0, 0, 0, 0, beside);
        network.switch_with(Config { priority: 0, ..Config::new(mac, u64::from(beside)) });
    }
    let last = cables.pop().unwrap();
    cables.extend([((3, 0), (0, 5)), ((4, 0), (3, 1))]);
    network.wire(&cables);
    network.run_for(ms(20_000));
    network.wire(&[last]);
    network.run_for(ms(60_000));
    let blocks = network.blocks();
    assert_eq!(blocks.len(), 1, "{blocks:?}");
    assert!(blocks[0].1.0 < 3, "the loop was cut on the loop: {blocks:?}");
}

#[test]
fn an_uplink_is_spared_while_another_switch_can_cut() {
    for (uplink_first, seed) in [(true, 1), (false, 2)] {
        // Switch 0 has two uplinks into a ring with switch 1, whose ports are access ports; a hub
        // between them comes up without either seeing its link change.
        let mut network = Network::new();
        let config = |last_byte, priority| Config {
            priority,
            ..Config::new(MacAddr6::new(2, 0, 0, 0, 0, last_byte), seed * 1_000 + u64::from(last_byte))
        };
        network.switch_with(config(1, if uplink_first { 1 } else { 9 }));
        network.switch_with(config(2, 5));
        let (a, b) = (network.hub(), network.hub());
        [0, 1].into_iter().for_each(|raw| network.role((0, raw), Role::Uplink));
        network.wire(&[((0, 0), (1, 0)), ((1, 1), (a, 0)), ((0, 1), (b, 0))]);
        network.run_for(ms(20_000));
        network.wire(&[((a, 1), (b, 1))]);
        network.run_for(ms(60_000));
        let blocks = network.blocks();
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].1, (1, 1), "not the uplink");
    }
}

#[test]
fn a_loop_in_a_hub_is_cut_off_by_everyone_attached() {
    let mut network = Network::new();
    (0..2).for_each(|_| _ = network.switch());
    let hub = network.hub();
    network.wire(&[((0, 0), (hub, 0)), ((1, 0), (hub, 1))]);
    network.run_for(ms(20_000));
    let cable = network.wire(&[((hub, 2), (hub, 3))]);
    network.run_for(ms(10_000));
    assert_eq!(network.blocked(), [(0, 0), (1, 0)]);
    network.set_plugged(cable[0], false);
    network.run_for(ms(10_000));
    assert_eq!(network.blocked(), []);
}

#[test]
fn the_spare_link_takes_over_when_the_active_one_fails() {
    let mut network = Network::new();
    let cables = ring(&mut network, 4);
    let cables = network.wire(&cables);
    network.run_for(ms(20_000));
    let blocked = network.blocked()[0];
    let active =
        cables.iter().copied().find(|cable| !network.cables[*cable].ends.contains(&blocked)).unwrap();
    network.set_plugged(active, false);
    network.run_for(ms(5_000));
    assert_eq!(network.blocked(), [], "the block is released within five seconds");
    network.set_plugged(active, true);
    network.run_for(ms(1_000));
    assert_eq!(network.blocked().len(), 1);
}

#[test]
fn twins_with_one_address_do_not_see_loops_that_are_not_there() {
    let mut network = Network::new();
    let factory = MacAddr6::new(0x52, 0x54, 0x4C, 0x83, 0x05, 0xB0);
    (0..2).for_each(|boot| _ = network.switch_with(Config::new(factory, 100 + boot)));
    network.wire(&[((0, 0), (1, 0))]);
    network.run_for(ms(60_000));
    assert_eq!(network.blocks(), []);
    assert!(network.events.iter().all(|(_, _, event)| matches!(event, Event::DuplicateMac { .. })));

    network.wire(&[((0, 1), (1, 1))]);
    network.run_for(ms(60_000));
    assert_eq!(network.blocked().len(), 1, "and the loop that is there is found");
}

#[test]
fn probes_stay_bounded_even_in_a_loop_that_nobody_may_cut() {
    let mut network = Network::new();
    for last_byte in 0..6 {
        let mac = MacAddr6::new(2, 0, 0, 0, 0, last_byte);
        let action = rrcp::Action::Report;
        network.switch_with(Config { action, ..Config::new(mac, u64::from(last_byte)) });
    }
    let cables: Vec<_> = (0..6).map(|at| ((at, 1), ((at + 1) % 6, 0))).collect();
    network.wire(&cables);
    network.run_for(ms(10_000));
    for detector in network.nodes.iter().flatten() {
        let rounds = detector.counters().rounds;
        assert!(rounds <= 10 * u64::from(rrcp::Timing::ROUNDS_PER_PERIOD), "{rounds} rounds in 10 s");
    }
}
