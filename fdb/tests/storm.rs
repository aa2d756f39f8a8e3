//! Storm control against its definitions.

mod common;

use common::port;
use core::time::Duration;
use fdb::storm::{Class, ConsecutiveFilter, ConsecutiveSettings, Rate, StormControl, TokenBucket, Unit};

const BROADCAST: Option<Class> = Some(Class::Broadcast);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn the_chip_lets_64_broadcasts_pass_every_800_ms() {
    let mut filter = ConsecutiveFilter::<5>::new(ConsecutiveSettings::RTL8305);
    let passed = (0..8000).filter(|at| filter.passes(ms(*at), port(1), BROADCAST)).count();
    // 64 at 1 per ms, then 800 ms from the last of them: 863 ms per round, and the tenth round begins
    assert_eq!(passed, 64 * 10);
    let counters = filter.counters(port(1));
    assert_eq!((counters.passed + counters.dropped, counters.triggered), (8000, 10));
    assert_eq!(counters.last_triggered, Some(ms(9 * 863 + 63)));
}

#[test]
fn one_foreign_frame_in_64_defeats_the_chips_filter() {
    let mut filter = ConsecutiveFilter::<5>::new(ConsecutiveSettings::RTL8305);
    for number in 0..10_000 {
        let class = if number % 64 == 63 { None } else { BROADCAST };
        assert!(filter.passes(ms(0), port(1), class));
    }
}

#[test]
fn a_foreign_frame_ends_the_window_only_if_it_is_to() {
    for clear_on_other in [true, false] {
        let settings = ConsecutiveSettings { clear_on_other, ..ConsecutiveSettings::RTL8305 };
        let mut filter = ConsecutiveFilter::<5>::new(settings);
        assert_eq!((0..100).filter(|_| filter.passes(ms(0), port(1), BROADCAST)).count(), 64);
        assert_eq!(filter.drops_until(port(1)), Some(ms(800)));
        assert!(filter.passes(ms(1), port(1), Some(Class::Multicast)));
        assert_eq!(filter.passes(ms(2), port(1), BROADCAST), clear_on_other);
    }
}

#[test]
fn ports_are_filtered_apart_and_lonely_broadcasts_add_up() {
    let mut filter = ConsecutiveFilter::<2>::new(ConsecutiveSettings::RTL8305);
    for hour in 0..64 {
        assert!(filter.passes(ms(hour * 3_600_000), port(0), BROADCAST));
    }
    let now = ms(63 * 3_600_000 + 1);
    assert!(!filter.passes(now, port(0), BROADCAST));
    assert!(filter.passes(now, port(1), BROADCAST));
    assert!(filter.passes(now, port(2), BROADCAST), "a port beyond is not filtered");
}

#[test]
fn a_bucket_never_exceeds_its_bound_and_always_reaches_it() {
    for (per_second, burst) in [(1, 2), (7, 3), (1000, 100), (3, 50), (999_999_937, 10)] {
        let mut bucket = TokenBucket::new(Rate { unit: Unit::Frames, per_second, burst });
        let (mut passed, step) = (0u128, 13_777_777);
        for number in 0..5000u128 {
            let elapsed = number * step;
            while bucket.passes(Duration::from_nanos(elapsed as u64), 64) {
                passed += 1;
            }
            // an empty bucket after each round: all that came in went out, whole frames of it
            let most = u128::from(burst) + elapsed * u128::from(per_second) / 1_000_000_000;
            assert!(passed <= most);
            let per_step = step * u128::from(per_second) / 1_000_000_000 + 1;
            assert!(per_step > u128::from(burst) || passed == most, "{passed} of {most}");
        }
    }
}

#[test]
fn bits_are_counted_by_the_length_of_frames() {
    let mut bucket = TokenBucket::new(Rate { unit: Unit::Bits, per_second: 1_000_000, burst: 12_176 });
    assert!(bucket.passes(ms(0), 1522) && !bucket.passes(ms(0), 64));
    let passed = (1..=1000).filter(|at| bucket.passes(ms(*at), 125)).count();
    assert_eq!(passed, 1000, "1000 octet-eights per ms are just the rate");
}

#[test]
fn time_that_goes_back_fills_nothing_and_far_time_does_not_overflow() {
    let mut bucket = TokenBucket::new(Rate { unit: Unit::Bits, per_second: u64::MAX, burst: 512 });
    assert!(bucket.passes(ms(1000), 64) && !bucket.passes(ms(1000), 64));
    assert!(!bucket.passes(ms(0), 64));
    assert!(bucket.passes(Duration::MAX, 64));
    assert!(!bucket.passes(Duration::MAX, 64));
}

#[test]
fn classes_and_ports_have_limits_of_their_own() {
    let mut storm = StormControl::<4>::new();
    let one = Rate { unit: Unit::Frames, per_second: 0, burst: 1 };
    assert!(storm.limit(port(1), Class::Multicast, Some(one)));
    assert!(!storm.limit(port(4), Class::Multicast, Some(one)));
    for class in Class::ALL {
        let passed = (0..10).filter(|_| storm.passes(ms(0), port(1), class, 64)).count();
        assert_eq!(passed, if class == Class::Multicast { 1 } else { 10 });
    }
    let counters = storm.counters(port(1), Class::Multicast);
    assert_eq!((counters.passed, counters.dropped, counters.triggered), (1, 9, 1));
    storm.limit(port(1), Class::Multicast, None);
    assert!(storm.passes(ms(0), port(1), Class::Multicast, 64));
}
