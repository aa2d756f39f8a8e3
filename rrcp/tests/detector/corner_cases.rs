//! Corner cases, numbered as in the list that the detector was designed against.
//!
//! Cases 1 to 4 and 17 to 21 belong to the codec and the client; 4 and 20 appear here as far as
//! they concern the detector.

use core::time::Duration;

use rrcp::wire::{BROADCAST, Ttl};
use rrcp::{
    Config, Disposition, Event, Frame, Hint, Loop, LoopKind, MacAddr6, PROBE_LEN, PortStatus, Probe, Role,
    StrictProbe, Timing,
};

use crate::sim::{Detector, MAC, NONCE, Sim, Way, cable, ms, port, vlan, way};

fn strict(sim: &Sim) -> StrictProbe {
    let (_, _, frame) = sim.sent.last().expect("a probe was sent");
    StrictProbe::parse(&rrcp::FrameView::new(frame, 0).unwrap()).unwrap()
}

fn emitted(probe: StrictProbe) -> [u8; PROBE_LEN] {
    let mut frame = [0; PROBE_LEN];
    probe.emit(None, &mut frame);
    frame
}

fn classic(src: MacAddr6) -> [u8; PROBE_LEN] {
    let mut frame = [0; PROBE_LEN];
    let message = Probe::Classic { ttl: Ttl::NONE }.into();
    Frame { dst: BROADCAST, src, message }.emit(&[], &mut frame).unwrap();
    frame
}

#[test]
fn case_04_an_own_probe_is_known_behind_up_to_four_tags_and_cut_ones_are_not_ours() {
    for tags in 1..=5 {
        let mut sim = Sim::new();
        sim.run_until(ms(30));
        let (_, _, probe) = sim.sent[0];
        let mut tagged = probe[..12].to_vec();
        (0..tags).for_each(|_| tagged.extend([0x81, 0x00, 0x00, 0x0A]));
        tagged.extend(&probe[12..]);
        assert_eq!(sim.frame(1, vlan(10), &tagged[..14]), Disposition::Forward, "cut in the first tag");
        let expected = if tags <= 4 { Disposition::OwnProbe } else { Disposition::Forward };
        assert_eq!(sim.frame(1, vlan(10), &tagged), expected, "{tags} tags");
    }
}

#[test]
fn case_05_a_probe_sent_in_vlan_10_and_back_in_vlan_20_is_an_inter_vlan_loop() {
    let mut sim = Sim::new();
    sim.detector.add_vlan(port(1), vlan(10).unwrap()).unwrap();
    sim.detector.add_vlan(port(2), vlan(20).unwrap()).unwrap();
    sim.plug([Way { vlan: vlan(20), ..way(1, 2) }, Way { vlan: vlan(10), ..way(2, 1) }]);
    sim.run_until(ms(100));
    let loops = sim.loops();
    assert_eq!(loops.len(), 1);
    assert_eq!(loops[0].kind(), LoopKind::InterVlan);
    assert_eq!((loops[0].tx_vlan, loops[0].rx_vlan), (vlan(10), vlan(20)));
    assert_eq!(sim.blocked(), [2]);
}

#[test]
fn case_05_an_inter_vlan_loop_can_be_reported_only() {
    let mut sim = Sim::with(Config { inter_vlan: rrcp::Action::Report, ..Config::new(MAC, NONCE) });
    sim.detector.add_vlan(port(1), vlan(10).unwrap()).unwrap();
    sim.plug([Way { vlan: vlan(20), ..way(1, 2) }]);
    sim.run_until(ms(5_000));
    assert_eq!((sim.loops().len(), sim.blocks().len()), (1, 0), "one event, no block");
    assert_eq!(sim.detector.status(port(2)), PortStatus::Looped);
}

#[test]
fn case_06_an_own_probe_back_on_its_port_is_a_self_loop_of_that_port() {
    let mut sim = Sim::new();
    sim.run_until(ms(20_000));
    sim.plug([way(3, 3)]);
    sim.run_until(ms(25_000));
    let found = Loop { tx: port(3), rx: port(3), tx_vlan: None, rx_vlan: None };
    assert_eq!(sim.loops(), [found]);
    assert_eq!(found.kind(), LoopKind::SelfLoop);
    assert_eq!(sim.blocked(), [3]);
}

#[test]
fn case_07_an_own_probe_back_on_another_port_is_a_pair_with_one_event_and_one_block() {
    let mut sim = Sim::new();
    sim.plug(cable(2, 5));
    sim.run_until(ms(20_000));
    assert_eq!(sim.events.len(), 1, "{:?}", sim.events);
    assert_eq!(sim.loops()[0].kind(), LoopKind::Pair);
    assert_eq!(sim.blocked(), [5], "the higher number");
}

#[test]
fn case_07_role_goes_before_priority_and_priority_before_number() {
    let blocked = |set: fn(&mut Sim)| {
        let mut sim = Sim::new();
        set(&mut sim);
        sim.plug(cable(2, 5));
        sim.run_until(ms(2_000));
        sim.blocked()
    };
    assert_eq!(blocked(|sim| sim.role(5, Role::Uplink)), [2]);
    assert_eq!(blocked(|sim| sim.role(5, Role::Excluded)), [2]);
    assert_eq!(
        blocked(|sim| {
            sim.role(2, Role::Excluded);
            sim.role(5, Role::Uplink);
        }),
        [5]
    );
    assert_eq!(
        blocked(|sim| {
            let config = rrcp::PortConfig { priority: 200, ..rrcp::PortConfig::DEFAULT };
            sim.detector.set_port(Duration::ZERO, port(2), config).unwrap();
        }),
        [2]
    );
    assert_eq!(
        blocked(|sim| {
            let config = rrcp::PortConfig { block: false, ..rrcp::PortConfig::DEFAULT };
            sim.detector.set_port(Duration::ZERO, port(5), config).unwrap();
        }),
        [2]
    );
}

#[test]
fn case_08_a_probe_back_on_three_ports_leads_to_one_block_per_cycle_one_after_the_other() {
    let mut sim = Sim::new();
    // Ports 1, 2 and 3 lead to one hub: two independent cycles.
    sim.plug([cable(1, 2), cable(2, 3), cable(1, 3)].concat());
    sim.run_until(ms(10_000));
    assert_eq!(sim.blocks().len(), 2, "{:?}", sim.events);
    assert_eq!(sim.blocked(), [2, 3]);
    let times: Vec<_> = sim.events.iter().map(|(at, _)| *at).collect();
    assert!(times[1] - times[0] >= Timing::DEFAULT.slot, "tested again in between");
    assert!(times[1] < ms(100));
}

#[test]
fn case_08_two_loops_at_once_lead_to_a_block_each() {
    let mut sim = Sim::new();
    sim.plug([cable(0, 1), cable(4, 6)].concat());
    sim.run_until(ms(1_000));
    assert_eq!(sim.blocked(), [1, 6]);
}

#[test]
fn case_09_a_foreign_probe_is_flooded_and_counted_without_an_event() {
    let mut sim = Sim::new();
    let other = MacAddr6::new(2, 0, 0, 0, 0, 9);
    for _ in 0..3 {
        assert_eq!(sim.frame(4, None, &classic(other)), Disposition::ForeignProbe);
    }
    assert_eq!(sim.detector.counters().foreign, 3);
    let neighbour = sim.detector.neighbours().next().unwrap();
    assert_eq!(
        (neighbour.mac, neighbour.port, neighbour.probes, neighbour.strict),
        (other, port(4), 3, false)
    );
    assert_eq!(sim.events, []);
}

#[test]
fn case_09_the_real_vector_probe_is_foreign() {
    let mut frame = [0; PROBE_LEN];
    let head = [
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xD8, 0x0D, 0x17, 0xD6, 0x55, 0xAB, 0x88, 0x99, // to all
        0x25, 0x80, 0, 0, 0xD8, 0x0D, 0x17, 0xD6, 0x55, 0xAB, 0, 0, 0x80, 0, 0, 0xD8, 0x0D, 0x17, 0xD6, 0x55,
        0xAB, 0x80, 0x08, // nDPI teams.pcap, frame 4
    ];
    frame[..head.len()].copy_from_slice(&head);
    assert_eq!(Sim::new().frame(4, None, &frame), Disposition::ForeignProbe);
}

#[test]
fn case_10_our_address_in_a_foreign_form_is_a_duplicate_and_no_loop() {
    let mut sim = Sim::new();
    sim.run_until(ms(10));
    for second in 1..=120 {
        sim.run_until(ms(second * 1_000));
        assert_eq!(sim.frame(4, vlan(7), &classic(MAC)), Disposition::ForeignProbe);
    }
    let told: Vec<_> = sim.events.iter().map(|(_, event)| *event).collect();
    let duplicate = Event::DuplicateMac { port: port(4), vlan: vlan(7) };
    assert_eq!(told, [duplicate; 2], "once a minute");
    assert_eq!(sim.blocked(), []);
}

#[test]
fn case_10_our_address_with_another_nonce_is_a_duplicate_and_no_loop() {
    let mut sim = Sim::new();
    sim.run_until(ms(5_000));
    let twin = emitted(StrictProbe { nonce: NONCE + 1, ..strict(&sim) });
    assert_eq!(sim.frame(4, None, &twin), Disposition::ForeignProbe);
    assert!(matches!(sim.events[..], [(_, Event::DuplicateMac { .. })]));
    assert_eq!(sim.blocked(), []);
}

#[test]
fn case_10_a_zero_or_group_source_is_malformed_and_never_ours() {
    let mut sim = Sim::new();
    for src in [MacAddr6::nil(), MacAddr6::broadcast(), MacAddr6::new(1, 0, 0, 0, 0, 1)] {
        let _ = sim.frame(4, None, &classic(src));
    }
    assert_eq!((sim.detector.counters().malformed, sim.detector.counters().foreign), (3, 0));
    assert_eq!(sim.events, []);
}

#[test]
fn case_11_a_replayed_probe_costs_at_most_one_hold_time() {
    let mut sim = Sim::new();
    sim.run_until(ms(30));
    let (_, _, probe) = sim.sent[0];
    sim.run_until(ms(60));
    assert_eq!(sim.frame(5, None, &probe), Disposition::OwnProbe);
    assert_eq!(sim.blocks(), [5], "it cannot be told from a loop");
    for later in 1..200 {
        sim.run_until(ms(60 + later * 100));
        let _ = sim.frame(5, None, &probe); // the same frame again and again
    }
    assert_eq!(sim.blocked(), []);
    let (cleared_at, _) = sim.events[1];
    let hold = 3 * Timing::DEFAULT.fast;
    assert!(cleared_at < ms(60) + Timing::DEFAULT.accept + hold + Timing::DEFAULT.fast, "{cleared_at:?}");
    assert_eq!(sim.events.len(), 2, "blocked once, cleared once: {:?}", sim.events);
}

#[test]
fn case_11_with_a_key_a_forged_probe_is_foreign() {
    let config = Config { key: Some([9; 16]), ..Config::new(MAC, NONCE) };
    let mut sim = Sim::with(config);
    sim.run_until(ms(30));
    let guessed = emitted(strict(&sim)); // everything right but the tag
    assert_eq!(sim.frame(5, None, &guessed), Disposition::ForeignProbe);
    assert_eq!((sim.detector.counters().forged, sim.detector.counters().own), (1, 0));

    sim.plug(cable(1, 2));
    sim.run_until(ms(5_000));
    assert_eq!(sim.blocked(), [2], "the real ones count");
}

#[test]
fn case_11_confirmations_ask_for_returns_of_as_many_rounds() {
    let timing = Timing { confirmations: 3, ..Timing::DEFAULT };
    let mut sim = Sim::with(Config { timing, ..Config::new(MAC, NONCE) });
    sim.run_until(ms(30));
    let (_, _, probe) = sim.sent[0];
    for _ in 0..10 {
        let _ = sim.frame(5, None, &probe);
    }
    assert_eq!(sim.blocked(), [], "ten copies of one round");
    sim.plug(cable(1, 2));
    sim.run_until(ms(5_000));
    assert_eq!(sim.blocked(), [2]);
    assert_eq!(sim.detector.counters().deferred, 3, "one of the replay, two of the loop");
}

#[test]
fn case_12_a_clock_that_goes_back_or_stands_still_starts_nothing() {
    let mut sim = Sim::new();
    sim.run_until(ms(20_000));
    let (sent, due) = (sim.sent.len(), sim.detector.poll_timeout());
    for now in [ms(20_000), ms(3), Duration::ZERO] {
        sim.detector.handle_timeout(now);
        assert_eq!(sim.detector.poll_transmit(&mut [0; PROBE_LEN]), None);
    }
    assert_eq!((sim.sent.len(), sim.detector.poll_timeout()), (sent, due));
}

#[test]
fn case_12_a_jump_of_hours_is_one_step_and_no_burst() {
    let mut detector = Detector::new(Duration::ZERO, Config::new(MAC, NONCE));
    detector.handle_link(Duration::ZERO, port(0), true);
    for now in [ms(1_000), Duration::from_secs(36_000), Duration::MAX] {
        detector.handle_timeout(now);
        let mut sent = 0;
        while detector.poll_transmit(&mut [0; PROBE_LEN]).is_some() {
            sent += 1;
        }
        assert_eq!(sent, 1);
    }
}

#[test]
fn case_13_a_probe_in_flight_across_a_link_flap_is_void() {
    let mut sim = Sim::new();
    sim.run_until(ms(5_000));
    let (_, transmit, probe) = sim.sent[sim.sent.len() - 8];
    assert_eq!(transmit.port, port(0));
    sim.link(0, false);
    sim.link(0, true);
    let _ = sim.frame(4, None, &probe);
    let _ = sim.frame(0, None, &probe);
    assert_eq!(sim.detector.counters().void, 2);
    assert_eq!(sim.blocked(), []);
}

#[test]
fn case_13_a_block_outlasts_a_flap_and_its_hold_time_pauses_without_link() {
    let mut sim = Sim::new();
    sim.plug(cable(2, 5));
    sim.run_until(ms(1_000));
    assert_eq!(sim.blocked(), [5]);
    sim.unplug_all();
    sim.link(5, false);
    sim.run_until(ms(60_000));
    assert_eq!(sim.blocked(), [5], "no link, no verdict");
    sim.link(5, true);
    assert_eq!(sim.blocked(), [5]);
    sim.run_for(Timing::DEFAULT.fast);
    assert_eq!(sim.blocked(), [5], "one silent period is not enough");
    sim.run_for(4 * Timing::DEFAULT.fast);
    assert_eq!(sim.blocked(), []);
}

#[test]
fn case_13_a_flapping_cable_is_one_trip() {
    let mut sim = Sim::new();
    sim.plug(cable(2, 5));
    for _ in 0..20 {
        sim.run_for(ms(400));
        [2, 5].into_iter().for_each(|raw| sim.link(raw, false));
        sim.run_for(ms(300));
        [2, 5].into_iter().for_each(|raw| sim.link(raw, true));
    }
    sim.run_for(ms(5_000));
    assert_eq!(sim.blocks(), [5]);
    assert_eq!(sim.blocked(), [5]);
}

#[test]
fn case_14_a_probe_from_a_port_that_we_do_not_have_is_ignored_and_counted() {
    let mut sim = Sim::new();
    sim.run_until(ms(30));
    let _ = sim.frame(1, None, &emitted(StrictProbe { port: port(40), ..strict(&sim) }));
    assert_eq!(sim.detector.counters().void, 1);
    assert_eq!(sim.detector.handle_frame(ms(31), port(40), None, &classic(MAC)), Disposition::Forward);
    assert_eq!(sim.detector.counters().unknown_port, 1);
    assert_eq!(sim.blocked(), []);
}

#[test]
fn case_14_the_sequence_wraps_without_notice() {
    // The first sequence is the low half of nonce xor address, so it can be placed before the wrap.
    let seed = u64::from_be_bytes([0, 0, 0x02, 0, 0, 0, 0, 0x01]);
    let mut sim = Sim::with(Config::new(MAC, seed ^ u64::from(u32::MAX - 3)));
    sim.run_until(ms(30_000));
    let first = rrcp::FrameView::new(&sim.sent[0].2, 0).unwrap();
    assert!(StrictProbe::parse(&first).unwrap().sequence > u32::MAX - 4);
    assert!(strict(&sim).sequence < 100);
    sim.plug(cable(2, 5));
    sim.run_until(ms(60_000));
    assert_eq!(sim.blocks(), [5]);
}

#[test]
fn case_14_probes_from_before_our_reboot_are_stale() {
    let mut old = Sim::new();
    old.run_until(ms(30));
    let stale = old.sent[0].2;
    let mut sim = Sim::with(Config::new(MAC, NONCE + 77));
    sim.run_until(ms(30));
    assert_eq!(sim.frame(5, None, &stale), Disposition::ForeignProbe);
    assert_eq!((sim.detector.counters().old_boot, sim.detector.counters().duplicate_mac), (1, 0));
    assert_eq!(sim.events, []);
}

#[test]
fn case_15_a_storm_that_drops_every_probe_stays_suspect() {
    let mut sim = Sim::new();
    sim.run_until(ms(30_000));
    assert_eq!(sim.detector.status(port(4)), PortStatus::Clear);
    let rounds = sim.detector.counters().rounds;
    for step in 0..600 {
        sim.run_until(ms(30_000 + 100 * step));
        sim.detector.handle_hint(sim.now, port(4), Hint::Storm);
        assert_eq!(sim.detector.status(port(4)), PortStatus::Suspect);
    }
    let rounds = sim.detector.counters().rounds - rounds;
    let most = 60 * u64::from(Timing::ROUNDS_PER_PERIOD);
    assert!((1_500..=most).contains(&rounds), "many probes, and bounded: {rounds} rounds in 60 s");
    assert_eq!(sim.blocked(), []);
    let told = sim.events.iter().filter(|(_, event)| matches!(event, Event::Suspected { .. })).count();
    assert_eq!(told, 1);
    sim.run_for(ms(20_000));
    assert_eq!(sim.detector.status(port(4)), PortStatus::Clear);
}

#[test]
fn case_15_a_storm_at_a_blocked_port_makes_one_silent_probe_a_period_too_few() {
    let probes_before_release = |storm: bool| {
        let mut sim = Sim::new();
        sim.plug(cable(2, 5));
        sim.run_until(ms(10_000));
        sim.unplug_all();
        let (since, rounds) = (sim.now, sim.detector.counters().rounds);
        while !sim.blocked().is_empty() {
            sim.run_for(ms(50));
            if storm {
                sim.detector.handle_hint(sim.now, port(5), Hint::Storm);
            }
        }
        assert!(sim.now - since < 5 * Timing::DEFAULT.fast, "a storm alone holds no port");
        sim.detector.counters().rounds - rounds
    };
    assert!((4..=8).contains(&probes_before_release(false)));
    assert!(probes_before_release(true) > 3 * 24);
}

#[test]
fn case_15_clear_is_said_only_after_sending_and_waiting() {
    let mut sim = Sim::new();
    assert_eq!(sim.detector.status(port(4)), PortStatus::Unknown);
    sim.run_until(ms(100));
    assert_eq!(sim.detector.status(port(4)), PortStatus::Unknown);
    sim.run_until(ms(2_000));
    assert_eq!(sim.detector.status(port(4)), PortStatus::Clear);
    sim.link(4, false);
    assert_eq!(sim.detector.status(port(4)), PortStatus::Down);
}

#[test]
fn case_16_a_loop_that_spanning_tree_holds_is_not_blocked() {
    for held in [2, 5] {
        let mut sim = Sim::new();
        sim.detector.handle_stp(Duration::ZERO, port(held), true);
        sim.plug(cable(2, 5));
        sim.run_until(ms(20_000));
        assert_eq!(sim.blocked(), []);
        assert!(sim.detector.counters().held_by_stp > 0, "it was heard");
        assert!(
            sim.sent.iter().all(|(_, transmit, _)| transmit.port != port(held)),
            "a held port sends nothing"
        );

        sim.detector.handle_stp(sim.now, port(held), false);
        sim.run_for(Timing::DEFAULT.fast);
        assert_eq!(sim.blocked(), [5], "spanning tree let go");
    }
}

#[test]
fn case_16_a_link_aggregate_is_one_port() {
    let mut sim = Sim::new();
    sim.plug([way(6, 6), way(6, 6)]); // two members, both looped to each other
    sim.run_until(ms(10_000));
    assert_eq!(sim.blocks(), [6]);
}

#[test]
fn case_16_a_mirrored_copy_is_no_evidence() {
    let mut sim = Sim::new();
    sim.role(7, Role::Monitor);
    sim.plug([way(1, 7), way(2, 7)]);
    sim.run_until(ms(20_000));
    assert_eq!(sim.events, []);
    assert!(sim.detector.counters().mirrored > 0);
    assert!(sim.sent.iter().all(|(_, transmit, _)| transmit.port != port(7)));
}

#[test]
fn case_20_cpu_tags_and_unknown_kinds_are_no_probes() {
    let mut sim = Sim::new();
    for head in [[0x04, 0x00], [0xA0, 0x03], [0x90, 0x03], [0x7F, 0x00], [0x01, 0x00], [0x02, 0x00]] {
        let mut frame = classic(MAC);
        frame[14..16].copy_from_slice(&head);
        assert_eq!(sim.frame(3, None, &frame), Disposition::Forward, "{head:02x?}");
    }
    assert_eq!(sim.detector.counters().foreign, 0);
    assert_eq!(sim.events, []);
}
