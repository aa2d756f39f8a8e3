//! What hostile stations can and cannot do.

mod common;

use common::{Random, host, port, secs};
use core::time::Duration;
use fdb::{Config, Fdb, Fid, HashTable, Kind, Learned, Refused, SetAssoc, Store, WhenFull};

const FLOODER: u16 = 47;

/// 40 ports with 15 stations each, then a million spoofed addresses from one port.
fn flood<S: Store>(store: S, spoofed: u32, config: Config) -> Fdb<S> {
    let mut fdb = Fdb::new(store, config);
    for number in 0..600 {
        assert!(fdb.learn(secs(0), host(number), port((number % 40) as u16)).is_ok());
    }
    let mut random = Random(3);
    for number in 0..spoofed {
        let now = Duration::from_micros(10 * u64::from(number));
        let _ = fdb.learn(now, random.station(), port(FLOODER));
    }
    for number in 0..600 {
        let entry = fdb.lookup(secs(11), host(number));
        assert_eq!(entry.map(|entry| entry.port), Some(port((number % 40) as u16)), "host {number}");
    }
    assert_eq!(fdb.counters().stored(), fdb.len() as u64);
    fdb
}

#[test]
fn a_million_spoofed_addresses_evict_nobody_elses_station() {
    for when_full in [WhenFull::Fair, WhenFull::Refuse] {
        let config = Config { when_full, ..Config::DEFAULT };
        let fdb = flood(HashTable::new(1024, [5, 6]), 1_000_000, config);
        assert_eq!(fdb.len(), 1024);
        assert_eq!(fdb.len_of_port(port(FLOODER)), 424);
    }
}

#[test]
fn a_flood_on_the_chips_sets_evicts_nobody_elses_station() {
    flood(SetAssoc::new(), 1_000_000, Config { when_full: WhenFull::Fair, ..Config::DEFAULT });
}

#[test]
fn a_port_quota_stops_a_flood_and_leaves_room_for_others() {
    let config = Config { port_quota: Some(100), ..Config::DEFAULT };
    let mut fdb = flood(HashTable::new(1024, [5, 6]), 100_000, config);
    assert_eq!(fdb.len_of_port(port(FLOODER)), 100);
    assert_eq!(fdb.counters().over_port_quota, 100_000 - 100);
    let limit = Refused::PortQuota { port: port(FLOODER), limit: 100 };
    assert_eq!(fdb.learn(secs(11), host(5000), port(FLOODER)), Err(limit));
    assert_eq!(fdb.learn(secs(11), host(5000), port(3)), Ok(Learned::New));
}

#[test]
fn a_quiet_port_gets_its_share_of_a_database_that_another_filled() {
    let config = Config { when_full: WhenFull::Fair, ..Config::DEFAULT };
    let mut fdb = Fdb::new(HashTable::new(1024, [5, 6]), config);
    for number in 0..5000 {
        let _ = fdb.learn(secs(0), host(number), port(1));
    }
    for number in 10_000..10_400 {
        let learned = fdb.learn(secs(1), host(number), port(2));
        assert!(matches!(learned, Ok(Learned::Replaced { .. })));
    }
    assert!(fdb.len_of_port(port(2)) >= 390, "{}", fdb.len_of_port(port(2)));
    assert_eq!(fdb.len(), 1024);
}

#[test]
fn no_flood_evicts_a_static_entry() {
    for when_full in [WhenFull::OldestInSet, WhenFull::Fair] {
        let config = Config { when_full, ..Config::DEFAULT };
        let mut fdb = Fdb::new(HashTable::new(256, [5, 6]), config);
        let entry = fdb::Entry { port: port(1), kind: Kind::Static };
        for number in 0..200 {
            assert_eq!(fdb.insert(secs(0), host(number), entry), Ok(None));
        }
        let mut random = Random(9);
        for _ in 0..50_000 {
            let _ = fdb.learn(secs(0), random.station(), port(1));
        }
        assert!((0..200).all(|number| fdb.lookup(secs(9999), host(number)) == Some(entry)));
    }
}

/// An attacker who knows the code but not the seed: addresses that meet in one line under another seed.
#[test]
fn addresses_that_collide_under_one_seed_spread_under_another() {
    let share_a_line = |seed: [u64; 2]| {
        // 200 stations that a small table with this seed could not hold, found by asking it
        let mut random = Random(1);
        let mut found = Vec::new();
        let mut fdb = Fdb::new(HashTable::new(1020, seed), Config { total: Some(1020), ..Config::DEFAULT });
        while found.len() < 200 {
            let station = random.station();
            if fdb.store().line_of(station) == 0 {
                found.push(station);
                let _ = fdb.learn(secs(0), station, port(1));
            }
        }
        assert!(fdb.len() < 100, "they really meet: {} of 200 are held", fdb.len());
        found
    };
    let colliding = share_a_line([1, 2]);
    let mut fdb = Fdb::new(HashTable::new(1020, [3, 4]), Config::DEFAULT);
    for station in &colliding {
        assert_eq!(fdb.learn(secs(0), *station, port(1)), Ok(Learned::New));
    }
    let mut lines: Vec<_> = colliding.iter().map(|station| fdb.store().line_of(*station)).collect();
    lines.sort_unstable();
    lines.dedup();
    assert!(lines.len() > 110, "{} of 256 lines", lines.len()); // 139 expected
}

/// The bit patterns that defeat plain XOR and multiplicative hashes.
#[test]
fn structured_addresses_spread_as_random_ones_do() {
    let strides: [u64; 7] = [1, 4, 256, 1 << 12, 1 << 24, 0x0001_0001_0001, 0x9E37_79B9];
    for (number, stride) in strides.into_iter().enumerate() {
        let mut fdb = Fdb::new(HashTable::new(8192, [number as u64, 99]), Config::DEFAULT);
        for step in 0..8192u64 {
            let [_, _, mac @ ..] = (0x0200_0000_0000 + step.wrapping_mul(stride) % (1 << 40)).to_be_bytes();
            let learned = fdb.learn(secs(0), fdb::Key::from_octets(Fid::SHARED, mac), port(1));
            assert!(learned.is_ok(), "stride {stride:#x}, step {step}: {learned:?}");
        }
    }
}
