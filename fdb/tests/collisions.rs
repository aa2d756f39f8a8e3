//! How many random stations chip-sized tables cannot hold, and that the hash table holds what it says.

mod common;

use common::{Random, port};
use core::time::Duration;
use fdb::{Config, DirectCam, Fdb, HashTable, SetAssoc, Store};

/// Percent of `hosts` random stations that find no place, over many tables.
fn lost<S: Store>(store: &S, hosts: u32) -> f64 {
    let (mut random, tables) = (Random(u64::from(hosts)), 100);
    let mut lost = 0;
    for _ in 0..tables {
        let mut fdb = Fdb::new(store.clone(), Config::DEFAULT);
        lost += (0..hosts).filter(|_| fdb.learn(Duration::ZERO, random.station(), port(1)).is_err()).count();
    }
    100.0 * lost as f64 / f64::from(tables * hosts)
}

/// Hosts, percent lost, and by how much the measurement may be off.
fn assert_curve<S: Store>(store: &S, curve: &[(u32, f64, f64)]) {
    for (hosts, expected, tolerance) in curve {
        let lost = lost(store, *hosts);
        assert!((lost - expected).abs() <= *tolerance, "{hosts} hosts: {lost:.2} % lost, not {expected} %");
    }
}

#[test]
fn direct_map_and_cam_lose_what_the_published_curve_says() {
    let curve = [(128, 0.0, 0.05), (200, 1.5, 0.5), (256, 5.0, 0.5), (512, 18.0, 0.7), (1024, 35.0, 0.7)];
    assert_curve(&DirectCam::new(), &curve);
}

#[test]
fn sets_of_four_lose_what_the_published_curve_says() {
    let curve = [(256, 0.04, 0.04), (512, 0.4, 0.1), (1024, 3.7, 0.3), (2048, 19.5, 0.4)];
    assert_curve(&SetAssoc::new(), &curve);
    assert_curve(&SetAssoc::seeded([11, 13]), &curve);
}

#[test]
fn first_loss_of_the_direct_map_comes_at_about_192_hosts() {
    let mut first: Vec<_> = (0..101)
        .map(|seed| {
            let (mut fdb, mut random) = (Fdb::new(DirectCam::new(), Config::DEFAULT), Random(seed));
            (0..).find(|_| fdb.learn(Duration::ZERO, random.station(), port(1)).is_err()).unwrap_or(0)
        })
        .collect();
    first.sort_unstable();
    assert!((175..=210).contains(&first[50]), "median {}", first[50]);
}

#[test]
fn four_neighbours_fill_a_set_of_the_chip_and_the_fifth_has_room_elsewhere() {
    let mut fdb = Fdb::new(SetAssoc::new(), Config::DEFAULT);
    for number in 0..2048 {
        assert!(fdb.learn(Duration::ZERO, common::host(number), port(1)).is_ok());
    }
    assert!(fdb.learn(Duration::ZERO, common::host(2048), port(1)).is_err());
}

#[test]
fn hash_table_holds_all_of_its_capacity_whatever_the_seed() {
    for seed in 0..40 {
        for capacity in [1, 5, 1000, 1024, 1025, 5000] {
            let (mut fdb, mut random) =
                (Fdb::new(HashTable::new(capacity, [seed, 77]), Config::DEFAULT), Random(seed));
            let stations: Vec<_> = (0..capacity).map(|_| random.station()).collect();
            for station in &stations {
                assert!(fdb.learn(Duration::ZERO, *station, port(1)).is_ok());
            }
            assert!(stations.iter().all(|station| fdb.lookup(Duration::ZERO, *station).is_some()));
            assert!(fdb.learn(Duration::ZERO, common::host(1), port(1)).is_err());
        }
    }
}

#[test]
fn hash_table_of_a_quarter_million_takes_16_octets_per_entry() {
    let (capacity, mut random) = (1 << 18, Random(5));
    let mut fdb = Fdb::new(HashTable::new(capacity, [1, 2]), Config::DEFAULT);
    for _ in 0..capacity {
        assert!(fdb.learn(Duration::ZERO, random.station(), port(1)).is_ok());
    }
    assert_eq!(fdb.store().memory(), 16 * capacity as usize);
}
