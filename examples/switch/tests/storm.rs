//! Storm control in its place: after learning, never before a probe.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use fdb::storm::{Class, ConsecutiveSettings, Rate, StormControl};
use rrcp::{Config, LoopDetector, MacAddr6};
use switch::vlan_table::{PortId, PortMask, dot1q};
use switch::{Database, Dropped, Outcome, Storm, Switch, Transmit};

fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

fn frame(dst: [u8; 6], src: u8) -> Vec<u8> {
    [&dst[..], &[2, 0, 0, 0, 0, src, 0x08, 0x00], &[0; 46]].concat()
}

const ALL: [u8; 6] = [0xFF; 6];

#[test]
fn sixty_four_broadcasts_in_a_row_pass_and_a_known_destination_ends_the_row() {
    let mut switch = Switch::rtl8305sc();
    switch.set_storm(Storm::consecutive(ConsecutiveSettings::RTL8305));
    let now = Duration::from_secs(1);
    let _ = switch.receive(now, port(1), &frame(ALL, 9));
    let broadcast = |switch: &mut Switch| switch.receive(now, port(0), &frame(ALL, 1)).outcome;
    let passed = (0..100).take_while(|_| broadcast(&mut switch) == Outcome::Forwarded).count();
    assert_eq!(passed, 64);
    assert_eq!(broadcast(&mut switch), Outcome::Dropped(Dropped::Storm(Class::Broadcast)));
    let known = switch.receive(now, port(0), &frame([2, 0, 0, 0, 0, 9], 1));
    assert_eq!(known.outcome, Outcome::Forwarded);
    assert_eq!(broadcast(&mut switch), Outcome::Forwarded, "the row was broken");
    assert_eq!(switch.storm().counters(port(0), Class::Broadcast).triggered, 1);
}

#[test]
fn a_rate_drops_its_class_and_no_other_and_the_source_is_learned_all_the_same() {
    let mut switch = Switch::rtl8306sd();
    let mut control = StormControl::new();
    control.limit(port(0), Class::UnknownUnicast, Some(Rate::frames(1)));
    switch.set_storm(Storm::Rates(Box::new(control)));
    let now = Duration::from_secs(1);
    let nobody = [2, 0, 0, 0, 1, 1];
    assert_eq!(switch.receive(now, port(0), &frame(nobody, 1)).outcome, Outcome::Forwarded);
    let second = switch.receive(now, port(0), &frame(nobody, 2));
    assert_eq!(second.outcome, Outcome::Dropped(Dropped::Storm(Class::UnknownUnicast)));
    assert_eq!(switch.receive(now, port(0), &frame(ALL, 3)).outcome, Outcome::Forwarded);
    assert_eq!(switch.database().len(), 3);
}

/// A switch that blocks port 2, since a cable joins it with port 1.
fn looped(now: Duration) -> Switch<LoopDetector<4, 1>> {
    let detector = LoopDetector::new(now, Config::new(MacAddr6::new(2, 0, 0, 0, 0, 0xFE), 7));
    let database = Database::hashed(64, [1, 2], fdb::Config::DEFAULT);
    let rules = dot1q::Bridge::new(PortMask::first(4));
    let mut switch = Switch::dot1q(rules, database).with_guard(detector);
    (1..=2).for_each(|raw| switch.set_link(now, port(raw), true).unwrap());
    let now = switch.poll_timeout().unwrap();
    switch.handle_timeout(now);
    let mut probe = [0; Transmit::LONGEST];
    while let Some(Transmit { port: from, len }) = switch.poll_transmit(&mut probe).unwrap() {
        if from == port(1) {
            let _ = switch.receive(now, port(2), probe.get(..len).unwrap());
            break;
        }
    }
    assert!(switch.blocked().contains(port(2)));
    switch
}

#[test]
fn a_storm_at_a_blocked_port_is_dropped_there_and_makes_the_detector_probe_often() {
    let rounds_in_two_seconds = |broadcasts: usize| {
        let mut switch = looped(Duration::ZERO);
        switch.set_storm(Storm::consecutive(ConsecutiveSettings::RTL8305));
        let before = switch.guard().counters().rounds;
        for step in 1..=200 {
            let now = Duration::from_millis(10 * step);
            for _ in 0..broadcasts {
                let outcome = switch.receive(now, port(2), &frame(ALL, 1)).outcome;
                assert_eq!(outcome, Outcome::Dropped(Dropped::Blocked));
            }
            if switch.poll_timeout().is_some_and(|due| due <= now) {
                switch.handle_timeout(now);
                while switch.poll_transmit(&mut [0; Transmit::LONGEST]).unwrap().is_some() {}
            }
        }
        switch.guard().counters().rounds - before
    };
    assert!(rounds_in_two_seconds(0) <= 4);
    assert!(rounds_in_two_seconds(50) >= 40);
}
