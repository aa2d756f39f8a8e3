//! Whatever arrives: no panic, and every frame is in exactly one counter.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use switch::vlan_table::{PortId, PortMask, dot1q, openvswitch};
use switch::{Database, NoGuard, Outcome, Switch};

fn switches() -> Vec<Switch<NoGuard>> {
    let database = || Database::hashed(64, [1, 2], fdb::Config::DEFAULT);
    vec![
        Switch::rtl8305sc(),
        Switch::rtl8306sd(),
        Switch::dot1q(dot1q::Bridge::new(PortMask::first(6)), database()),
        Switch::openvswitch(openvswitch::Bridge::new(6, 2), database()),
    ]
}

/// A frame of any bytes, most of them with addresses that occur again and a tag.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop_oneof![
        Just(vec![]),
        Just(vec![0x81, 0, 0, 1]),
        Just(vec![0x88, 0xA8, 0x0F, 0xFF]),
        vec(any::<u8>(), 4)
    ];
    let made = (0u8..4, 0u8..4, tag, vec(any::<u8>(), 0..80)).prop_map(|(dst, src, tag, rest)| {
        let dst = if dst == 0 { [0xFF; 6] } else { [2, 0, 0, 0, 0, dst] };
        [&dst[..], &[2, 0, 0, 0, 0, src], &tag, &rest].concat()
    });
    prop_oneof![4 => made, 1 => vec(any::<u8>(), 0..100)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_frame_is_forwarded_filtered_or_dropped(
        frames in vec((0u16..8, frame(), 0u64..40), 0..60),
    ) {
        for mut switch in switches() {
            let mut now = Duration::ZERO;
            let (mut copies, mut arrived) = (0, 0);
            for (port, frame, pause) in &frames {
                now += Duration::from_secs(*pause);
                let port = PortId::new(*port).unwrap();
                let decision = switch.receive(now, port, frame);
                arrived += u64::from(switch.rules().ports().contains(port));
                prop_assert_eq!(decision.outcome == Outcome::Forwarded, !decision.ports.is_empty());
                prop_assert!(!decision.ports.contains(port));
                copies += decision.ports.len() as u64;
                let mut left = PortMask::EMPTY;
                for copy in switch.copies(&decision) {
                    prop_assert!(left.intersection(copy.ports).is_empty(), "a port gets one copy");
                    left = left.union(copy.ports);
                    let mut in_place = [&[0; 8], &frame[..], &[0; 60]].concat();
                    let mut edited =
                        switch::vlan_table::FrameMut::with_tailroom(&mut in_place, 8, frame.len()).unwrap();
                    copy.apply(&mut edited).unwrap();
                    let mut written = vec![0; frame.len() + 60];
                    let len = copy.write(frame, &mut written).unwrap();
                    prop_assert_eq!(edited.as_bytes(), &written[..len]);
                }
                prop_assert_eq!(left, decision.ports, "every port gets a copy");
                if switch.poll_timeout().is_some_and(|due| due <= now) {
                    switch.handle_timeout(now);
                    prop_assert!(switch.poll_timeout().is_none_or(|due| due > now));
                }
            }
            let total = switch.counters().total();
            prop_assert_eq!(total.received, arrived);
            prop_assert_eq!(total.received, total.forwarded + total.filtered + total.dropped);
            prop_assert_eq!(total.sent, copies);
            let sum = |counts: u64, (_, count): (_, u64)| counts + count;
            prop_assert_eq!(total.filtered, switch.counters().filtered().fold(0, |n, (_, count)| sum(n, ((), count))));
            prop_assert_eq!(total.dropped, switch.counters().dropped().fold(0, |n, (_, count)| sum(n, ((), count))));
            let rows = switch.database().rows(now);
            prop_assert!(rows.len() <= switch.database().len());
        }
    }
}
