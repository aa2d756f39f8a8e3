//! A block: when it begins, what keeps it, what ends it.

use core::time::Duration;

use rrcp::{
    Action, Config, Disposition, Event, Hint, LoopDetector, PROBE_LEN, PortConfig, PortStatus, Role, Timing,
};

use crate::sim::{Detector, MAC, NONCE, PORTS, Sim, Way, cable, ms, port, vlan, way};

const FAST: Duration = Timing::DEFAULT.fast;
const IDLE: Duration = Timing::DEFAULT.idle;

#[test]
fn a_loop_is_blocked_within_one_idle_period_of_closing() {
    for offset in (0..5_000).step_by(97) {
        let mut sim = Sim::new();
        sim.run_until(ms(60_000 + offset));
        sim.plug(cable(2, 5));
        sim.run_for(IDLE);
        assert_eq!(sim.blocked(), [5], "plugged {offset} ms into the minute");
    }
}

#[test]
fn a_loop_is_blocked_within_a_slot_of_its_link_coming_up() {
    let mut sim = Sim::new();
    sim.link(5, false);
    sim.run_until(ms(60_000));
    sim.plug(cable(2, 5));
    sim.link(5, true);
    sim.run_for(2 * Timing::DEFAULT.slot);
    assert_eq!(sim.blocked(), [5]);
}

#[test]
fn a_hint_brings_the_next_round_forward() {
    for hint in [Hint::StationMove, Hint::Storm, Hint::OwnSource, Hint::DuplicateProbe] {
        let mut sim = Sim::new();
        sim.run_until(ms(60_000));
        sim.plug(cable(2, 5));
        sim.detector.handle_hint(sim.now, port(2), hint);
        sim.run_for(Timing::DEFAULT.slot);
        assert_eq!(sim.blocked(), [5], "{hint:?}");
    }
}

#[test]
fn our_address_in_any_frame_is_a_hint() {
    let mut sim = Sim::new();
    sim.run_until(ms(60_000));
    let mut frame = [0; PROBE_LEN];
    frame[6..12].copy_from_slice(MAC.as_bytes());
    assert_eq!(sim.frame(2, None, &frame), Disposition::Forward);
    assert_eq!(sim.events.pop().unwrap().1, Event::Suspected { port: port(2), hint: Hint::OwnSource });
}

#[test]
fn a_block_lasts_while_probes_return_and_ends_after_three_silent_periods() {
    let mut sim = Sim::new();
    sim.plug(cable(2, 5));
    sim.run_until(ms(600_000));
    assert_eq!((sim.blocks().len(), sim.blocked()), (1, vec![5]), "ten minutes, one block");
    sim.unplug_all();
    sim.run_for(2 * FAST);
    assert_eq!(sim.blocked(), [5]);
    sim.run_for(3 * FAST);
    assert_eq!(sim.blocked(), []);
    assert!(matches!(sim.events.pop().unwrap().1, Event::Cleared { after, .. } if after > ms(600_000)));
}

#[test]
fn a_single_return_in_time_renews_the_hold() {
    let mut sim = Sim::new();
    sim.plug(cable(2, 5));
    sim.run_until(ms(1_000));
    for _ in 0..20 {
        sim.unplug_all();
        sim.run_for(FAST * 3 / 2);
        sim.plug(cable(2, 5));
        sim.run_for(FAST);
    }
    assert_eq!((sim.blocks(), sim.blocked()), (vec![5], vec![5]));
}

#[test]
fn silence_without_probes_sent_releases_nothing() {
    let mut detector = Detector::new(Duration::ZERO, Config::new(MAC, NONCE));
    for raw in [2, 5] {
        detector.handle_link(Duration::ZERO, port(raw), true);
    }
    detector.handle_timeout(ms(20));
    let mut probe = [0; PROBE_LEN];
    let _ = detector.poll_transmit(&mut probe).unwrap();
    assert_eq!(detector.handle_frame(ms(20), port(5), None, &probe), Disposition::OwnProbe);
    assert!(detector.is_blocked(port(5)), "blocked within the call");
    // The caller keeps time but never fetches the probes.
    let mut now = ms(20);
    for _ in 0..1_000 {
        now = detector.poll_timeout().unwrap();
        detector.handle_timeout(now);
    }
    assert!(now > 400 * FAST && detector.is_blocked(port(5)));
}

#[test]
fn repeated_trips_double_the_hold_and_end_in_a_latch_that_only_an_operator_opens() {
    let mut sim = Sim::new();
    let mut held = Vec::new();
    for _ in 0..Timing::DEFAULT.trips_per_hour {
        sim.plug(cable(2, 5));
        while sim.blocked().is_empty() {
            sim.run_for(ms(10));
        }
        sim.unplug_all();
        let since = sim.now;
        while !sim.blocked().is_empty() {
            sim.run_for(ms(10));
        }
        held.push((sim.now - since).as_secs_f64());
    }
    for (trip, hold) in held.iter().enumerate() {
        let expected = (3.0 * 2f64.powi(trip as i32)).min(300.0);
        assert!((expected - 0.1..expected + 1.1).contains(hold), "trip {trip}: held {hold} s");
    }
    sim.plug(cable(2, 5));
    sim.run_for(IDLE);
    let trips = Timing::DEFAULT.trips_per_hour + 1;
    assert_eq!(sim.events.last().unwrap().1, Event::Latched { port: port(5), trips });
    sim.unplug_all();
    sim.run_for(Duration::from_secs(86_400));
    assert_eq!(sim.detector.status(port(5)), PortStatus::Latched);

    assert!(sim.detector.release(sim.now, port(5)));
    sim.run_for(5 * FAST);
    assert_eq!((sim.blocked(), sim.detector.status(port(5))), (vec![], PortStatus::Clear));
    assert!(!sim.detector.release(sim.now, port(5)), "nothing left to release");
}

#[test]
fn trips_an_hour_apart_do_not_add_up() {
    let mut sim = Sim::new();
    for _ in 0..30 {
        sim.plug(cable(2, 5));
        sim.run_for(IDLE);
        sim.unplug_all();
        let since = sim.now;
        while !sim.blocked().is_empty() {
            sim.run_for(ms(10));
        }
        assert!(sim.now - since < 5 * FAST);
        sim.run_for(Duration::from_secs(3_600));
    }
}

#[test]
fn an_uplink_is_blocked_only_on_a_second_return_after_a_while() {
    let mut sim = Sim::with_looped_uplinks();
    let first = sim.now;
    sim.run_for(9 * Timing::DEFAULT.slot);
    assert_eq!(sim.blocked(), []);
    sim.run_until(first + ms(250));
    assert_eq!(sim.blocked(), [5]);
}

#[test]
fn an_uplink_stays_if_the_loop_goes_away_before_the_second_return() {
    let mut sim = Sim::new();
    [2, 5].into_iter().for_each(|raw| sim.role(raw, Role::Uplink));
    sim.run_until(ms(60_000));
    sim.plug(cable(2, 5));
    while sim.detector.counters().deferred == 0 {
        sim.run_for(ms(1));
    }
    sim.unplug_all(); // another switch on the loop has cut it
    sim.run_for(ms(60_000));
    assert_eq!(sim.blocks(), []);
}

#[test]
fn a_listener_reports_once_blocks_nothing_and_tells_the_end() {
    let mut sim = Sim::with(Config { action: Action::Report, ..Config::new(MAC, NONCE) });
    sim.plug(cable(2, 5));
    sim.run_until(ms(60_000));
    assert!(matches!(sim.events[..], [(_, Event::Looped { blocked: None, .. })]), "{:?}", sim.events);
    assert_eq!(sim.detector.status(port(5)), PortStatus::Looped);
    sim.unplug_all();
    sim.run_for(6 * FAST);
    assert!(matches!(sim.events[1..], [(_, Event::Cleared { .. })]), "{:?}", sim.events);
}

#[test]
fn a_port_that_does_not_transmit_is_still_judged_by_the_probes_of_others() {
    let mut sim = Sim::new();
    let config = PortConfig { transmit: false, ..PortConfig::DEFAULT };
    sim.detector.set_port(Duration::ZERO, port(5), config).unwrap();
    sim.plug(cable(2, 5));
    sim.run_until(ms(10_000));
    assert_eq!(sim.blocked(), [5]);
    assert!(sim.sent.iter().all(|(_, transmit, _)| transmit.port != port(5)));
    sim.unplug_all();
    sim.run_for(6 * FAST);
    assert_eq!(sim.blocked(), []);
}

#[test]
fn a_blocked_port_swallows_frames_and_still_hears_probes() {
    let mut sim = Sim::new();
    sim.plug(cable(2, 5));
    sim.run_until(ms(1_000));
    let mut frame = [0; PROBE_LEN];
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x77]);
    assert_eq!(sim.frame(5, None, &frame), Disposition::Blocked);
    assert_eq!(sim.frame(2, None, &frame), Disposition::Forward);
    [frame[12], frame[13], frame[14]] = [0x88, 0x99, 0x03];
    assert_eq!(sim.frame(5, None, &frame), Disposition::Blocked);
    assert_eq!(sim.detector.neighbours().count(), 1, "heard, not forwarded");
}

#[test]
fn a_return_between_two_blocked_ports_keeps_only_one_of_them() {
    let mut sim = Sim::new();
    sim.plug([cable(1, 2), cable(2, 3), cable(1, 3)].concat());
    sim.run_until(ms(5_000));
    assert_eq!(sim.blocked(), [2, 3]);
    sim.unplug_all();
    sim.plug(cable(2, 3)); // port 1 left the hub: one cycle is left
    sim.run_for(ms(60_000));
    assert_eq!((sim.blocked(), sim.blocks().len()), (vec![3], 2));
}

#[test]
fn a_probe_later_than_the_window_is_no_evidence() {
    let mut sim = Sim::new();
    sim.plug([Way { delay: Timing::DEFAULT.accept + ms(1), ..way(2, 5) }]);
    sim.run_until(ms(120_000));
    assert_eq!(sim.blocks(), []);
    assert!(sim.detector.counters().late > 10);
}

#[test]
fn every_vlan_of_a_port_is_probed_and_a_loop_in_one_of_them_is_found() {
    let mut sim = Sim::new();
    for raw in [10, 20, 30] {
        sim.detector.add_vlan(port(2), vlan(raw).unwrap()).unwrap();
    }
    sim.detector.add_vlan(port(5), vlan(30).unwrap()).unwrap();
    sim.run_until(ms(30));
    let probed = |raw| -> Vec<_> {
        let sent = sim.sent.iter().filter(|(_, transmit, _)| transmit.port == port(raw));
        sent.map(|(_, transmit, _)| transmit.vlan).collect()
    };
    assert_eq!(probed(2), [vlan(10), vlan(20), vlan(30)]);
    assert_eq!(probed(5), [vlan(30)]);
    assert_eq!(probed(0), [None]);

    sim.detector.remove_vlan(port(2), vlan(10).unwrap());
    sim.detector.add_vlan(port(2), vlan(40).unwrap()).unwrap();
    sim.detector.add_vlan(port(2), vlan(50).unwrap()).unwrap();
    let full = sim.detector.add_vlan(port(2), vlan(60).unwrap()).unwrap_err();
    assert_eq!(full.to_string(), "VLAN 60 does not fit, 4 VLANs are probed already");
    let missing = sim.detector.add_vlan(port(8), vlan(20).unwrap()).unwrap_err();
    assert_eq!(missing.to_string(), "port 8 is not in 0..8");
}

#[test]
fn without_a_link_nothing_is_sent_and_nothing_is_due() {
    let mut sim = Sim::new();
    (0..PORTS as u16).for_each(|raw| sim.link(raw, false));
    assert_eq!(sim.detector.poll_timeout(), None);
    sim.detector.handle_hint(ms(5), port(1), Hint::Storm);
    assert_eq!(sim.detector.poll_timeout(), None);
    let sent = sim.sent.len();
    sim.run_until(ms(60_000));
    assert_eq!(sim.sent.len(), sent);
}

#[test]
fn timing_without_sense_is_bent_until_it_works() {
    let zero = Duration::ZERO;
    let timing = Timing {
        idle: zero,
        fast: zero,
        slot: Duration::MAX,
        confirmations: 0,
        silent_periods: 0,
        hold_max: zero,
        ..Timing::DEFAULT
    };
    let mut sim = Sim::with(Config { timing, ..Config::new(MAC, NONCE) });
    sim.plug(cable(2, 5));
    sim.run_until(ms(100));
    assert_eq!(sim.blocked(), [5]);
    sim.unplug_all();
    sim.run_until(ms(200));
    assert_eq!(sim.blocked(), []);
}

#[test]
fn memory_is_fixed_and_small() {
    let size = size_of::<LoopDetector<26, 8>>();
    assert!(size <= 12 * 1024, "{size} bytes");
}
