//! Any operations, at any time: a handled deadline moves on, sends are bounded, and every own probe
//! is counted once.
#![no_main]

use core::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use rrcp::{
    Action, Config, Disposition, Hint, LoopDetector, MacAddr6, PROBE_LEN, PortConfig, PortId, Role, Timing, VlanId,
};

const PORTS: u16 = 4;
const VLANS: u16 = 2;

#[derive(Arbitrary, Debug)]
struct Input {
    listens: bool,
    signs: bool,
    nonce: u64,
    trips_per_hour: u8,
    confirmations: u8,
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Wait { millis: u16 },
    Jump { at: Duration },
    Timeout,
    Link { port: u8, up: bool },
    Stp { port: u8, held: bool },
    Hint { port: u8, hint: u8 },
    Port { port: u8, role: u8, transmit: bool, block: bool },
    Vlan { port: u8, vlan: u8, add: bool },
    Release { port: u8 },
    /// One of the probes sent so far comes in, perhaps with a byte changed.
    Echo { port: u8, vlan: u8, probe: u8, flip: Option<(u8, u8)> },
    Frame { port: u8, bytes: Vec<u8> },
}

struct Rig {
    now: Duration,
    detector: LoopDetector<{ PORTS as usize }, { VLANS as usize }>,
    sent: Vec<[u8; PROBE_LEN]>,
}

impl Rig {
    fn apply(&mut self, operation: &Operation) {
        let (now, detector) = (self.now, &mut self.detector);
        // One port more than there are.
        let port = |raw: &u8| PortId::new(u16::from(*raw) % (PORTS + 1)).expect("small");
        let vlan = |raw: &u8| VlanId::new(u16::from(*raw) % 4);
        match operation {
            Operation::Wait { millis } => self.now = now.saturating_add(Duration::from_millis(u64::from(*millis))),
            Operation::Jump { at } => self.now = *at,
            Operation::Timeout => self.timeout(),
            Operation::Link { port: raw, up } => detector.handle_link(now, port(raw), *up),
            Operation::Stp { port: raw, held } => detector.handle_stp(now, port(raw), *held),
            Operation::Hint { port: raw, hint } => {
                let hints = [Hint::DuplicateProbe, Hint::OwnSource, Hint::StationMove, Hint::Storm];
                detector.handle_hint(now, port(raw), hints[usize::from(*hint) % hints.len()]);
            }
            Operation::Port { port: raw, role, transmit, block } => {
                let roles = [Role::Access, Role::Uplink, Role::Excluded, Role::Monitor];
                let role = roles[usize::from(*role) % roles.len()];
                let config = PortConfig { role, transmit: *transmit, block: *block, ..PortConfig::DEFAULT };
                let known = port(raw).get() < PORTS;
                assert_eq!(detector.set_port(now, port(raw), config).is_ok(), known);
            }
            Operation::Vlan { port: raw, vlan: vid, add } => match vlan(vid) {
                Some(vid) if *add => drop(detector.add_vlan(port(raw), vid)),
                Some(vid) => detector.remove_vlan(port(raw), vid),
                None => {}
            },
            Operation::Release { port: raw } => drop(detector.release(now, port(raw))),
            Operation::Echo { port: raw, vlan: vid, probe, flip } => {
                let Some(mut frame) = self.sent.get(usize::from(*probe) % self.sent.len().max(1)).copied() else {
                    return;
                };
                if let Some((at, bits)) = flip {
                    frame[usize::from(*at) % PROBE_LEN] ^= bits;
                }
                let was_blocked = detector.is_blocked(port(raw));
                let disposition = detector.handle_frame(now, port(raw), vlan(vid), &frame);
                assert!(!was_blocked || matches!(disposition, Disposition::OwnProbe | Disposition::Blocked));
            }
            Operation::Frame { port: raw, bytes } => {
                let _ = detector.handle_frame(now, port(raw), None, bytes);
            }
        }
        self.drain();
    }

    fn timeout(&mut self) {
        let due = self.detector.poll_timeout();
        self.detector.handle_timeout(self.now);
        if due.is_some_and(|due| due <= self.now) && self.now < Duration::MAX {
            let next = self.detector.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a handled deadline must move on");
        }
    }

    fn drain(&mut self) {
        let (mut frame, mut handed_out) = ([0; PROBE_LEN], 0);
        while let Some(transmit) = self.detector.poll_transmit(&mut frame) {
            assert!(transmit.port.get() < PORTS);
            handed_out += 1;
            self.sent.push(frame);
        }
        assert!(handed_out <= PORTS * VLANS, "one round at most");
        self.sent.drain(..self.sent.len().saturating_sub(64));
        while self.detector.poll_event().is_some() {}
        let counters = self.detector.counters();
        let judged = counters.acted
            + counters.deferred
            + counters.rearmed
            + counters.repeated
            + counters.late
            + counters.void
            + counters.in_flight
            + counters.mirrored
            + counters.held_by_stp;
        assert_eq!(counters.own, judged);
    }
}

fuzz_target!(|input: Input| {
    let timing = Timing {
        trips_per_hour: input.trips_per_hour,
        confirmations: input.confirmations,
        ..Timing::DEFAULT
    };
    let config = Config {
        action: if input.listens { Action::Report } else { Action::Block },
        key: input.signs.then_some([1; 16]),
        timing,
        ..Config::new(MacAddr6::new(2, 0, 0, 0, 0, 1), input.nonce)
    };
    let mut rig = Rig { now: Duration::ZERO, detector: LoopDetector::new(Duration::ZERO, config), sent: Vec::new() };
    let mut latest = Duration::ZERO;
    for operation in &input.operations {
        rig.apply(operation);
        latest = latest.max(rig.now);
    }
    // Rounds are bounded by the time that passed: so many per second, and one period begun.
    let periods = latest.as_secs().saturating_add(2);
    assert!(rig.detector.counters().rounds <= periods.saturating_mul(u64::from(Timing::ROUNDS_PER_PERIOD)));
    if input.listens {
        assert_eq!(rig.detector.blocked_ports().count(), 0);
    }
});
