//! Uplinks wait for better cuts: how long, for whom, and what the others hear meanwhile.

use core::time::Duration;

use rrcp::{Disposition, FrameView, Hint, MacAddr6, PROBE_LEN, Role, Stake, StrictProbe, Timing};

use crate::sim::{Sim, cable, ms, port, way};

const SLOT: Duration = Timing::DEFAULT.slot;
/// An uplink waits so long for others that do not speak up.
const PATIENCE: Duration = Duration::from_millis(240);

/// What the rounds since `since` stood for.
fn stakes(sim: &Sim, since: Duration) -> Vec<Stake> {
    let probe = |frame: &[u8]| StrictProbe::parse(&FrameView::new(frame, 0).unwrap()).unwrap();
    let of_port_0 = |transmit: &rrcp::Transmit| transmit.port == port(0);
    let sent = sim.sent.iter().filter(|(at, transmit, _)| *at >= since && of_port_0(transmit));
    sent.map(|(_, _, frame)| probe(frame).stake).collect()
}

#[test]
fn whoever_waits_says_so_every_few_slots_and_presses_when_it_will_act() {
    let mut sim = Sim::with_looped_uplinks();
    let first = sim.now;
    sim.run_until(first + PATIENCE - SLOT);
    let waits = stakes(&sim, first);
    assert!(waits.len() >= 6 && waits.iter().all(|stake| *stake == Stake::Waits), "{waits:?}");
    sim.run_until(first + PATIENCE + SLOT);
    assert_eq!((sim.blocked(), stakes(&sim, first)[waits.len()]), (vec![5], Stake::Presses));
}

#[test]
fn time_that_was_waited_for_one_loop_does_not_count_for_the_next() {
    let mut sim = Sim::with_looped_uplinks();
    sim.run_for(PATIENCE - 4 * SLOT);
    sim.unplug_all(); // somebody has cut it
    sim.run_for(PATIENCE + 4 * SLOT);
    sim.plug(cable(2, 5)); // another loop through the same ports
    let next = sim.now;
    sim.run_until(next + PATIENCE - SLOT);
    assert_eq!(sim.blocked(), [], "it has its own patience");
    sim.run_until(next + Timing::DEFAULT.fast);
    assert_eq!(sim.blocked(), [5]);
}

#[test]
fn case_15_silence_while_a_storm_rages_does_not_end_the_wait() {
    let mut sim = Sim::with_looped_uplinks();
    let storm_for = |sim: &mut Sim, time: Duration| {
        let until = sim.now + time;
        while sim.now < until {
            sim.detector.handle_hint(sim.now, port(7), Hint::Storm);
            sim.run_for(ms(20));
        }
    };
    storm_for(&mut sim, ms(40)); // with a return in it
    sim.unplug_all(); // the storm swallows all probes
    let rounds = sim.detector.counters().rounds;
    storm_for(&mut sim, 2 * PATIENCE);
    let rounds = sim.detector.counters().rounds - rounds;
    assert!(rounds >= 24, "twice as many as without a storm: {rounds}");
    sim.plug(cable(2, 5)); // some get through again
    storm_for(&mut sim, 4 * SLOT);
    assert_eq!(sim.blocked(), [5], "it has waited long enough");
}

#[test]
fn case_11_old_probes_that_keep_going_round_prove_no_pair_for_now() {
    let mut sim = Sim::with_looped_uplinks();
    sim.run_for(4 * SLOT);
    sim.unplug_all();
    // What left port 2 before the cut goes round somewhere behind port 5, as in a loop of bridges.
    let from_port_2 = sim.sent.iter().rev().filter(|(_, transmit, _)| transmit.port == port(2));
    let two_rounds: Vec<_> = from_port_2.map(|(_, _, frame)| *frame).take(2).collect();
    for step in 0..200 {
        sim.run_for(ms(5));
        assert_eq!(sim.frame(5, None, &two_rounds[step % 2]), Disposition::OwnProbe);
    }
    assert_eq!(sim.blocks(), []);
}

#[test]
fn a_switch_that_cut_one_loop_presses_at_once_for_what_remains_behind_its_uplink() {
    let mut sim = Sim::new();
    sim.role(3, Role::Uplink);
    sim.run_until(ms(60_000));
    sim.plug([way(1, 2), way(3, 3)]);
    while sim.blocked().is_empty() {
        sim.run_for(ms(1));
    }
    let cut = sim.now;
    sim.run_for(PATIENCE / 2);
    let stakes = stakes(&sim, cut + 2 * SLOT);
    assert!(stakes.len() >= 3 && stakes.iter().all(|stake| *stake == Stake::Presses), "{stakes:?}");
    assert_eq!(sim.blocked(), [2], "pressing is not acting");
    sim.run_for(PATIENCE);
    assert_eq!(sim.blocked(), [2, 3]);
}

#[test]
fn an_uplink_waits_on_while_another_behind_it_presses_but_not_for_ever() {
    let pressing_for = |time: Duration| {
        let mut sim = Sim::with_looped_uplinks();
        let first = sim.now;
        let mac = MacAddr6::new(2, 0, 0, 0, 0, 9);
        let mut probe = StrictProbe {
            mac,
            nonce: 9,
            priority: 0x9000,
            sequence: 0,
            port: port(0),
            vlan: None,
            stake: Stake::Presses,
        };
        while sim.now < first + time {
            sim.run_for(3 * SLOT);
            probe.sequence += 1;
            let mut frame = [0; PROBE_LEN];
            probe.emit(None, &mut frame);
            assert_eq!(sim.frame(5, None, &frame), Disposition::ForeignProbe);
            assert_eq!(sim.blocked(), [], "{:?} after the first return", sim.now - first);
        }
        sim.run_for(PATIENCE + 2 * SLOT);
        assert_eq!(sim.blocked(), [5], "nobody presses any more");
        sim.now - first
    };
    assert!(pressing_for(ms(100)) < 2 * PATIENCE);
    let longest = pressing_for(ms(720));
    assert!(longest > ms(760), "{longest:?}");
}
