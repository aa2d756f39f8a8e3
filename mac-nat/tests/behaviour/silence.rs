//! Machines that say nothing: asking, holding, refreshing, announcing.

use std::net::Ipv4Addr;
use std::time::Duration;

use mac_nat::{Config, DropReason, Event, Miss, Mode, Recipients, Side, Verdict};

use crate::frames::*;
use crate::lab::{HOST, Lab, P1, P2, dropped, empty, seconds, single, vmac};

const TO_A: fn() -> Vec<u8> = || eth(E, R, &[], IPV4, &ipv4(G, A, 1, b"ping"));

fn holding() -> Config {
    let mut config = empty(Mode::Single);
    config.policy.miss = Miss::Hold;
    config
}

#[test]
fn a_miss_asks_inside_three_times_and_then_pauses() {
    let mut lab = Lab::new(empty(Mode::Single));
    let mut asked = Vec::new();
    for _ in 0..200 {
        assert_eq!(lab.ingress(&TO_A()).0, dropped(DropReason::Unknown));
        asked.extend(lab.sent());
        asked.extend(lab.wait(Duration::from_millis(100)));
    }
    let times: Vec<u64> = asked.iter().map(|(at, ..)| at.as_secs()).collect();
    assert_eq!(times, [0, 1, 2, 13, 14, 15]);
    let (_, recipients, frame) = &asked[0];
    assert_eq!(*recipients, Recipients::EveryInside);
    assert_eq!(
        frame[..42],
        arp_frame(BROADCAST, 1, E, ANY, NIL, A)[..42],
        "a probe that no cache learns from"
    );
}

#[test]
fn a_miss_for_ipv6_asks_with_a_solicitation_of_the_host() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.ingress(&eth(E, R, &[], IPV6, &ipv6(R6, A6, 6, 64, &[0; 20])));
    let sent = lab.sent();
    assert_eq!(sent[0].2, ns(E, LLE, A6, &slla(E)));
}

#[test]
fn questions_carry_the_tags_of_the_frame_that_missed() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.ingress(&eth(E, R, &[(0x88A8, 13), (0x8100, 10)], IPV4, &ipv4(G, A, 1, b"ping")));
    let question = &lab.sent()[0].2;
    assert_eq!(question[12..22], [0x88, 0xA8, 0, 13, 0x81, 0, 0, 10, 8, 6]);
}

#[test]
fn the_answer_is_learned_and_the_next_frame_finds_its_way() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.ingress(&TO_A());
    let answer = arp_frame(E, 2, V1, A, E, ANY);
    assert_eq!(lab.egress(P1, &answer), (HOST, answer));
    assert_eq!(lab.ingress(&TO_A()).0, crate::lab::to(P1));
    // IPv6
    let to_a6 = eth(E, R, &[], IPV6, &ipv6(R6, A6, 6, 64, &[0; 20]));
    lab.ingress(&to_a6);
    let answer = na(E, V1, A6, LLE, A6, &tlla(V1));
    assert_eq!(lab.egress(P1, &answer), (HOST, answer));
    assert_eq!(lab.ingress(&to_a6).0, crate::lab::to(P1));
}

#[test]
fn held_frames_go_out_when_the_owner_answers() {
    let mut lab = Lab::new(holding());
    for _ in 0..3 {
        assert_eq!(lab.ingress(&TO_A()).0, Verdict::Hold);
    }
    assert_eq!(lab.ingress(&TO_A()).0, dropped(DropReason::Unknown), "three for one address");
    lab.sent();
    lab.egress(P1, &arp_frame(E, 2, V1, A, E, ANY));
    let released = lab.sent();
    assert_eq!(released.len(), 3);
    for (_, to, frame) in released {
        assert_eq!(to, Recipients::One(Side::Inside(P1)));
        assert_eq!((dst(&frame), &frame[6..]), (V1, &TO_A()[6..]));
    }
    assert_eq!(lab.nat.counters().released, 3);
}

#[test]
fn a_held_arp_reply_names_the_machine_when_it_goes_out() {
    let mut lab = Lab::new(holding());
    assert_eq!(lab.ingress(&arp_frame(E, 2, R, G, E, A)).0, Verdict::Hold);
    lab.sent();
    lab.egress(P1, &arp_frame(E, 2, V1, A, E, ANY));
    assert_eq!(arp_macs(&lab.sent()[0].2), (R, V1));
}

#[test]
fn held_frames_are_given_up_with_the_question() {
    let mut lab = Lab::new(holding());
    assert_eq!(lab.ingress(&TO_A()).0, Verdict::Hold);
    lab.wait(seconds(4));
    assert_eq!(lab.nat.counters().hold_lost, 1);
    lab.egress(P1, &arp_frame(E, 2, V1, A, E, ANY));
    assert_eq!(lab.sent(), []);
}

#[test]
fn a_scan_costs_bounded_memory_and_bounded_questions() {
    let mut config = holding();
    config.limits.asks = 16;
    config.limits.held_frames = 4;
    let mut lab = Lab::new(config);
    let mut held = 0;
    for i in 0..10_000_u32 {
        let frame = eth(E, R, &[], IPV4, &ipv4(G, Ipv4Addr::from_bits(0x0A00_0000 + i), 1, b"?"));
        held += u32::from(lab.ingress(&frame).0 == Verdict::Hold);
    }
    assert_eq!((lab.sent().len(), held), (16, 4));
}

#[test]
fn nobody_is_asked_for_what_nobody_may_have() {
    let mut config = empty(Mode::Single);
    for port in &mut config.ports {
        port.allowed = vec!["203.0.113.0/28".parse().unwrap()];
    }
    let mut lab = Lab::new(config);
    lab.ingress(&eth(E, R, &[], IPV4, &ipv4(G, FREE, 1, b"?")));
    assert_eq!(lab.sent(), []);
    lab.ingress(&TO_A());
    assert_eq!(lab.sent().len(), 1);
}

#[test]
fn with_the_policy_drop_nobody_is_asked() {
    let mut config = empty(Mode::Single);
    config.policy.miss = Miss::Drop;
    let mut lab = Lab::new(config);
    assert_eq!(lab.ingress(&TO_A()).0, dropped(DropReason::Unknown));
    assert_eq!(lab.sent(), []);
}

#[test]
fn owners_are_asked_before_their_bindings_expire() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping")));
    lab.egress(P2, &na(group_mac(ALL_NODES), V2, B6, ALL_NODES, B6, &tlla(V2)));
    let lifetime = seconds(20 * 60);
    let sent = lab.wait(lifetime - seconds(1));
    let times: Vec<u64> = sent.iter().map(|(at, ..)| at.as_secs()).collect();
    assert_eq!(times, [1170, 1170, 1180, 1180, 1190, 1190]);
    for (_, to, frame) in &sent {
        let (port, mac) = if *to == Recipients::One(Side::Inside(P1)) { (P1, V1) } else { (P2, V2) };
        assert_eq!((*to, dst(frame), src(frame)), (Recipients::One(Side::Inside(port)), mac, E));
    }
    // One answers, one is gone.
    lab.egress(P1, &arp_frame(E, 2, V1, A, E, ANY));
    lab.wait(seconds(1));
    assert_eq!((lab.owner(A), lab.owner(B6)), (Some((P1, V1)), None));
    assert!(matches!(lab.events().last(), Some(Event::Expired { .. })));
}

#[test]
fn every_address_is_announced_after_a_failover() {
    for (config, wires) in [(single(), [E; 5]), (vmac(), [W1, W1, W3, W2, W2])] {
        let bindings = config.bindings.len();
        let mut lab = Lab::new(config);
        lab.nat.reannounce();
        let sent = lab.sent();
        assert_eq!(sent.len(), bindings);
        for (_, to, frame) in &sent {
            assert_eq!(*to, Recipients::One(Side::Uplink));
            assert!(wires.contains(&src(frame)));
            match word(frame, 12) {
                Some(ARP) => assert_eq!(
                    (mac_at(frame, 22), frame[28..32].to_vec()),
                    (src(frame), frame[38..42].to_vec())
                ),
                Some(IPV6) => assert_eq!((frame[ICMPV6], mac_at(frame, ND_OPTION)), (136, src(frame))),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(lab.nat.counters().announced, bindings as u64);
        assert_eq!(lab.sent(), []);
    }
}

#[test]
fn a_buffer_that_is_too_small_loses_the_frame_and_counts_it() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.ingress(&TO_A());
    assert_eq!(lab.nat.poll_transmit(&mut [0; 40]), None);
    assert_eq!(lab.nat.counters().transmit_lost, 1);
}
