//! Loop detectors in a chip and in a bridge, driven by the switch alone: its timers, its frames.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use fdb::MacAddr6;
use rrcp::{ClassicDetector, Config, LoopDetector};
use switch::vlan_table::dot1q::{Bridge, Membership};
use switch::vlan_table::{EtherType, Header, PortId, PortMask, VlanId};
use switch::{Database, Dropped, Filtered, Guard, Outcome, Switch, Transmit};

const OWN: MacAddr6 = MacAddr6::new(2, 0, 0, 0, 0, 0xEE);
const ALL: [u8; 6] = [0xFF; 6];

fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A switch and its time.
struct Sim<G> {
    switch: Switch<G>,
    now: Duration,
    /// A cable between two of its own ports.
    patch: Option<[PortId; 2]>,
}

impl<G: Guard> Sim<G> {
    fn new(switch: Switch, guard: G, ports: u16) -> Self {
        let mut switch = switch.with_guard(guard);
        for raw in 0..ports {
            switch.set_link(Duration::ZERO, port(raw), true).unwrap();
        }
        Self { switch, now: Duration::ZERO, patch: None }
    }

    /// Lets time pass; returns the frames of the switch's own. Those that leave by one end of the patch
    /// cable come in at the other.
    fn run_until(&mut self, until: Duration) -> Vec<(Duration, PortId, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(due) = self.switch.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.switch.handle_timeout(self.now);
            let mut buffer = [0; Transmit::LONGEST];
            while let Some(Transmit { port, len }) = self.switch.poll_transmit(&mut buffer).unwrap() {
                sent.push((self.now, port, buffer[..len].to_vec()));
                if let Some(other) = self.other_end(port) {
                    let _ = self.switch.receive(self.now, other, &buffer[..len]);
                }
            }
            assert!(self.switch.poll_timeout().is_none_or(|next| next > self.now), "time moves on");
        }
        self.now = until;
        sent
    }

    fn other_end(&self, end: PortId) -> Option<PortId> {
        let [a, b] = self.patch?;
        [(a, b), (b, a)].into_iter().find_map(|(this, other)| (this == end).then_some(other))
    }

    fn outcome(&mut self, port: PortId, dst: [u8; 6], src: u8) -> Outcome {
        let frame = [&dst[..], &[2, 0, 0, 0, 0, src, 0x08, 0x00], &[0; 46]].concat();
        self.switch.receive(self.now, port, &frame).outcome
    }
}

fn chip() -> Sim<ClassicDetector<5>> {
    Sim::new(Switch::rtl8305sc(), ClassicDetector::new(Duration::ZERO, OWN, 1), 5)
}

fn bridge() -> Sim<LoopDetector<4>> {
    let ports = PortMask::first(4);
    let switch = Switch::dot1q(Bridge::new(ports), Database::hashed(64, [1, 2], fdb::Config::DEFAULT));
    Sim::new(switch, LoopDetector::new(Duration::ZERO, Config::new(OWN, 7)), 4)
}

#[test]
fn a_chip_sends_a_probe_by_every_port_with_link_each_three_to_five_minutes() {
    let mut sim = chip();
    sim.switch.set_link(sim.now, port(2), false).unwrap();
    let sent = sim.run_until(seconds(3600));
    let rounds: Vec<_> =
        sent.iter().map(|(at, ..)| *at).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    assert!((12..=20).contains(&rounds.len()), "{rounds:?}");
    assert!(rounds.windows(2).all(|pair| (180..=300).contains(&(pair[1] - pair[0]).as_secs())), "{rounds:?}");
    for round in rounds {
        let ports: PortMask = sent.iter().filter(|(at, ..)| *at == round).map(|(_, port, _)| *port).collect();
        assert_eq!(ports, PortMask::first(5).without(port(2)));
    }
    let (_, _, probe) = &sent[0];
    let header = Header::read(probe).unwrap();
    assert_eq!((header.dst(), header.src()), (ALL, OWN.into_array()));
    assert_eq!((header.ether_type(), probe.len()), (EtherType::REALTEK, 60));
    let counted: u64 = (0..5).map(|raw| sim.switch.counters().port(port(raw)).sent).sum();
    assert_eq!(counted, sent.len() as u64);
}

#[test]
fn a_chip_shows_a_loop_while_its_probes_return_but_learns_nothing_and_blocks_nothing() {
    let mut sim = chip();
    sim.patch = Some([port(1), port(3)]);
    let sent = sim.run_until(seconds(301));
    assert!(!sent.is_empty());
    assert!(sim.switch.guard().is_looped(port(1)) && sim.switch.guard().is_looped(port(3)));
    assert!(!sim.switch.guard().is_looped(port(0)));
    assert_eq!(sim.switch.blocked(), PortMask::EMPTY);
    assert!(sim.switch.database().is_empty(), "an own address must not be behind a looped port");
    let (reason, count) = sim.switch.counters().filtered().next().unwrap();
    assert_eq!(reason, Filtered::Probe);
    assert_eq!(count, sim.switch.counters().total().filtered);
    sim.patch = None;
    sim.run_until(sim.now + seconds(4));
    assert!(!sim.switch.guard().is_looped(port(1)), "three seconds without a probe end it");
}

#[test]
fn ageing_and_the_detector_share_the_timer_of_the_switch() {
    let mut sim = chip();
    assert_eq!(sim.outcome(port(0), ALL, 1), Outcome::Forwarded);
    assert_eq!(sim.switch.database().len(), 1);
    sim.run_until(seconds(310));
    assert_eq!(sim.switch.database().len(), 0, "it aged while probes came and went");
}

#[test]
fn a_bridge_blocks_one_port_of_a_loop_and_opens_it_when_the_loop_has_gone() {
    let mut sim = bridge();
    assert_eq!(sim.outcome(port(1), ALL, 1), Outcome::Forwarded);
    assert_eq!(sim.outcome(port(2), ALL, 2), Outcome::Forwarded);
    sim.patch = Some([port(1), port(2)]);
    sim.run_until(seconds(12));
    let blocked: Vec<_> = sim.switch.blocked().iter().collect();
    let [closed] = blocked[..] else { panic!("{blocked:?}") };
    assert!(
        sim.switch.database().rows(sim.now).is_empty(),
        "what was learned while frames went round is wrong"
    );
    assert_eq!(sim.outcome(closed, ALL, 9), Outcome::Dropped(Dropped::Blocked));
    let broadcast = [&ALL[..], &[2, 0, 0, 0, 0, 5, 0x08, 0x00], &[0; 46]].concat();
    let flooded = sim.switch.receive(sim.now, port(0), &broadcast).ports;
    assert_eq!(flooded, PortMask::first(4).without(port(0)).without(closed));
    sim.patch = None;
    sim.run_until(seconds(60));
    assert_eq!(sim.switch.blocked(), PortMask::EMPTY);
    assert_eq!(sim.outcome(closed, ALL, 9), Outcome::Forwarded);
}

#[test]
fn a_probe_in_a_vlan_leaves_with_the_tag_that_its_port_has_there() {
    let ten = VlanId::new(10).unwrap();
    let mut bridge = Bridge::new(PortMask::first(2));
    bridge.join(ten, port(0), Membership::Tagged).unwrap();
    bridge.join(ten, port(1), Membership::Untagged).unwrap();
    let switch = Switch::dot1q(bridge, Database::hashed(64, [1, 2], fdb::Config::DEFAULT));
    let mut detector = LoopDetector::<2>::new(Duration::ZERO, Config::new(OWN, 7));
    for raw in 0..2 {
        detector.add_vlan(port(raw), ten).unwrap();
    }
    let mut sim = Sim::new(switch, detector, 2);
    let sent = sim.run_until(seconds(12));
    let lengths = |raw| -> Vec<usize> {
        let own = sent.iter().filter(|(_, from, _)| *from == port(raw));
        own.map(|(_, _, probe)| probe.len()).collect()
    };
    let tagged: Vec<_> =
        sent.iter().filter_map(|(_, from, probe)| Some((*from, Header::read(probe).ok()?.tag()?))).collect();
    assert!(!tagged.is_empty());
    assert!(tagged.iter().all(|(from, tag)| *from == port(0) && tag.vlan() == Some(ten)), "{tagged:?}");
    assert!(lengths(0).contains(&64) && lengths(1).iter().all(|len| *len == 60));
}
