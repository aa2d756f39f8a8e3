//! One rule of the database per test.

mod common;

use common::{Random, host, port, secs};
use core::time::Duration;
use fdb::{
    Ageing, AgeingTooLong, Config, DirectCam, Entry, Fdb, Fid, FlushScope, HashTable, Key, Kind, Learned,
    MacAddr6, MoveGuard, Refused, SetAssoc, Store,
};

fn table() -> HashTable {
    HashTable::new(4096, [1, 2])
}

#[test]
fn an_entry_lives_for_the_ageing_time_less_at_most_a_tick_in_every_store() {
    fn check<S: Store>(store: &S) {
        let tick = Ageing::DEFAULT.resolution();
        for number in 0..500u32 {
            let mut fdb = Fdb::new(store.clone(), Config::DEFAULT);
            let seen = Duration::from_millis(1733) * number;
            fdb.learn(seen, host(1), port(1)).unwrap();
            assert!(fdb.lookup(seen + secs(300) - tick, host(1)).is_some());
            assert!(fdb.lookup(seen + secs(300), host(1)).is_none());
        }
    }
    check(&DirectCam::new());
    check(&SetAssoc::new());
    check(&table());
}

#[test]
fn realtek_ageing_is_200_to_300_seconds() {
    let alive_after = |seen: u64, silent: u64| {
        let mut fdb = Fdb::new(SetAssoc::new(), Config::REALTEK);
        fdb.learn(secs(seen), host(1), port(1)).unwrap();
        fdb.lookup(secs(seen + silent), host(1)).is_some()
    };
    assert!((0..100).all(|seen| alive_after(1000 + seen, 200)));
    assert!(alive_after(1000, 299) && !alive_after(1000, 300) && !alive_after(1099, 201));
}

#[test]
fn only_frames_from_a_station_refresh_it() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    fdb.learn(secs(0), host(1), port(1)).unwrap();
    for now in 0..300 {
        assert!(fdb.lookup(secs(now), host(1)).is_some());
    }
    assert_eq!(fdb.lookup(secs(300), host(1)), None);
    assert_eq!(fdb.learn(secs(300), host(1), port(1)), Ok(Learned::New));
    assert_eq!(fdb.learn(secs(500), host(1), port(1)), Ok(Learned::Refreshed));
    assert!(fdb.lookup(secs(799), host(1)).is_some());
}

#[test]
fn time_that_goes_back_is_the_time_before() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    fdb.learn(secs(1000), host(1), port(1)).unwrap();
    fdb.learn(secs(10), host(2), port(1)).unwrap();
    assert!(fdb.lookup(secs(0), host(1)).is_some());
    assert!(fdb.lookup(secs(1290), host(2)).is_some());
    assert_eq!(fdb.expire(Duration::MAX), 2);
    assert!(fdb.is_empty());
}

#[test]
fn group_addresses_and_zero_are_not_learned() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    for mac in [MacAddr6::broadcast(), MacAddr6::nil(), MacAddr6::new(1, 0x80, 0xC2, 0, 0, 0)] {
        let key = Key::new(Fid::SHARED, mac);
        assert_eq!(fdb.learn(secs(0), key, port(1)), Err(Refused::NotAStation { key }));
    }
    assert_eq!(fdb.counters().invalid, 3);
}

#[test]
fn fids_are_separate_databases() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    let mac = MacAddr6::new(2, 0, 0, 0, 0, 1);
    for raw in 0..2000 {
        let fid = Fid::new(raw).unwrap();
        assert_eq!(fdb.learn(secs(0), (fid, mac), port(raw)), Ok(Learned::New));
    }
    for raw in 0..2000 {
        assert_eq!(
            fdb.lookup(secs(0), (Fid::new(raw).unwrap(), mac)).map(|entry| entry.port),
            Some(port(raw))
        );
    }
}

#[test]
fn ageing_can_be_shortened_for_a_topology_change_and_restored() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    fdb.learn(secs(0), host(1), port(1)).unwrap();
    fdb.learn(secs(90), host(2), port(1)).unwrap();
    fdb.set_ageing(secs(100), Some(secs(15))).unwrap();
    assert!(fdb.lookup(secs(100), host(1)).is_none() && fdb.lookup(secs(100), host(2)).is_some());
    fdb.set_ageing(secs(101), Some(secs(300))).unwrap();
    assert!(fdb.lookup(secs(101), host(1)).is_none(), "what is dead stays dead");
    assert!(fdb.lookup(secs(389), host(2)).is_some());
    let too_long = AgeingTooLong { asked: secs(301), longest: secs(300) };
    assert_eq!(fdb.set_ageing(secs(101), Some(secs(301))), Err(too_long));
}

#[test]
fn without_ageing_entries_live_until_they_are_flushed() {
    let config = Config { ageing: Ageing::NEVER, ..Config::DEFAULT };
    let mut fdb = Fdb::new(table(), config);
    fdb.learn(secs(0), host(1), port(1)).unwrap();
    assert_eq!(fdb.next_expiry(), None);
    assert!(fdb.lookup(Duration::MAX, host(1)).is_some());
    fdb.flush(secs(1), FlushScope::ALL);
    assert_eq!(fdb.lookup(secs(1), host(1)), None);
}

#[test]
fn more_flushes_than_there_are_stamps_lose_and_revive_nobody() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    let resident = host(1);
    for round in 0..20_000u32 {
        let now = Duration::from_millis(u64::from(round));
        if round % 1000 == 0 {
            fdb.learn(now, resident, port(1)).unwrap();
        }
        let (guest, place) = (host(2 + round), port(2 + (round % 500) as u16));
        assert_eq!(fdb.learn(now, guest, place), Ok(Learned::New));
        fdb.flush(now, FlushScope::port(place));
        assert_eq!(fdb.lookup(now, guest), None);
        assert!(fdb.lookup(now, resident).is_some());
    }
    fdb.expire(secs(20));
    assert_eq!(fdb.len(), 1);
    assert_eq!(fdb.counters().flushed, 20_000);
}

#[test]
fn every_flush_scope_removes_just_its_ageing_entries() {
    let fids = [Fid::new(1).unwrap(), Fid::new(2).unwrap()];
    let scopes = [
        FlushScope::ALL,
        FlushScope::port(port(1)),
        FlushScope::fid(fids[0]),
        FlushScope::port(port(1)).and_fid(fids[0]),
    ];
    for scope in scopes {
        let mut fdb = Fdb::new(table(), Config::DEFAULT);
        let mut random = Random(4);
        let mut expected = Vec::new();
        for number in 0..200 {
            let (fid, on) = (fids[number % 2], port(1 + (number / 2 % 2) as u16));
            let key = Key::new(fid, random.station().mac());
            let kind = if number % 5 == 0 { Kind::Static } else { Kind::Dynamic };
            fdb.insert(secs(0), key, Entry { port: on, kind }).unwrap();
            let hit = scope.port.is_none_or(|port| port == on) && scope.fid.is_none_or(|of| of == fid);
            expected.push((key, !hit || kind == Kind::Static));
        }
        fdb.flush(secs(0), scope);
        for (key, stays) in &expected {
            assert_eq!(fdb.lookup(secs(0), *key).is_some(), *stays);
        }
        let gone = expected.iter().filter(|(_, stays)| !stays).count();
        assert_eq!(fdb.expire(secs(0)), gone);
        assert_eq!(fdb.counters().flushed, gone as u64);
    }
}

#[test]
fn a_flapping_station_is_held_after_five_moves_and_released_later() {
    let config = Config { move_guard: Some(MoveGuard::DEFAULT), ..Config::DEFAULT };
    let mut fdb = Fdb::new(table(), config);
    fdb.learn(secs(0), host(1), port(0)).unwrap();
    for step in 1..=5u16 {
        let moved = fdb.learn(secs(u64::from(step)), host(1), port(step % 2));
        assert_eq!(moved, Ok(Learned::Moved { from: port((step + 1) % 2) }));
    }
    for now in 6..185 {
        assert_eq!(fdb.learn(secs(now), host(1), port(0)), Err(Refused::Held { until: secs(185) }));
        assert_eq!(fdb.learn(secs(now), host(1), port(1)), Ok(Learned::Refreshed));
    }
    assert_eq!(fdb.learn(secs(185), host(1), port(0)), Ok(Learned::Moved { from: port(1) }));
    assert_eq!(fdb.counters().held, 179);
}

#[test]
fn slow_roaming_is_no_flapping() {
    let config = Config { move_guard: Some(MoveGuard::DEFAULT), ..Config::DEFAULT };
    let mut fdb = Fdb::new(table(), config);
    for step in 0..200u16 {
        assert!(fdb.learn(secs(46 * u64::from(step)), host(1), port(step % 2)).is_ok());
    }
}

#[test]
fn removing_a_held_station_lets_it_move_again() {
    let guard = MoveGuard { moves: 1, window: secs(10), recovery: None };
    let mut fdb = Fdb::new(table(), Config { move_guard: Some(guard), ..Config::DEFAULT });
    fdb.learn(secs(0), host(1), port(0)).unwrap();
    fdb.learn(secs(0), host(1), port(1)).unwrap();
    assert_eq!(fdb.learn(secs(200), host(1), port(0)), Err(Refused::Held { until: Duration::MAX }));
    fdb.remove(secs(200), host(1));
    fdb.learn(secs(200), host(1), port(0)).unwrap();
    assert_eq!(fdb.learn(secs(200), host(1), port(1)), Ok(Learned::Moved { from: port(0) }));
}

#[test]
fn a_station_with_a_bound_entry_does_not_move_and_its_roaming_is_counted() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    for (number, kind) in [Kind::Static, Kind::Sticky, Kind::Drop, Kind::Local].into_iter().enumerate() {
        let (key, entry) = (host(number as u32), Entry { port: port(1), kind });
        fdb.insert(secs(0), key, entry).unwrap();
        assert_eq!(fdb.learn(secs(0), key, port(2)), Ok(Learned::Bound(entry)));
        assert_eq!(fdb.lookup(secs(0), key), Some(entry));
        assert_eq!(fdb.counters().roamed, number as u64 + 1);
    }
}

#[test]
fn a_station_of_the_control_plane_is_taken_over_when_it_is_seen_here() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    fdb.insert(secs(0), host(1), Entry { port: port(9), kind: Kind::External }).unwrap();
    assert_eq!(fdb.learn(secs(1), host(1), port(2)), Ok(Learned::Moved { from: port(9) }));
    assert_eq!(fdb.lookup(secs(1), host(1)), Some(Entry { port: port(2), kind: Kind::Dynamic }));
}

#[test]
fn a_locked_port_neither_takes_nor_keeps_a_station_of_others() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    let locked = Entry { port: port(1), kind: Kind::Locked };
    assert_eq!(fdb.learn_as(secs(0), host(1), port(1), Kind::Locked), Ok(Learned::New));
    assert_eq!(fdb.lookup(secs(0), host(1)), Some(locked));
    assert_eq!(fdb.learn(secs(0), host(1), port(2)), Ok(Learned::Moved { from: port(1) }));
    let open = Entry { port: port(2), kind: Kind::Dynamic };
    assert_eq!(fdb.learn_as(secs(0), host(1), port(1), Kind::Locked), Ok(Learned::Bound(open)));
}

#[test]
fn a_batch_answers_as_single_look_ups_do() {
    let mut fdb = Fdb::new(HashTable::new(2000, [8, 9]), Config::DEFAULT);
    for number in 0..2000 {
        fdb.learn(secs(u64::from(number) / 10), host(number), port((number % 40) as u16)).unwrap();
    }
    fdb.insert(secs(200), host(7), Entry { port: port(3), kind: Kind::Static }).unwrap();
    fdb.flush(secs(200), FlushScope::port(port(5)));
    let keys: Vec<_> = (0..4001).map(host).collect();
    for now in [200, 400, 450, 1000].map(secs) {
        let mut answers = vec![None; keys.len()];
        fdb.lookup_batch(now, &keys, &mut answers);
        let single: Vec<_> = keys.iter().map(|key| fdb.lookup(now, *key)).collect();
        assert_eq!(answers, single);
    }
}

#[test]
fn expiry_deadlines_come_in_time_and_move_on() {
    let mut fdb = Fdb::new(table(), Config::DEFAULT);
    for number in 0..1000 {
        fdb.learn(Duration::from_millis(u64::from(number) * 777), host(number), port(1)).unwrap();
    }
    let (mut last, mut expired) = (Duration::ZERO, fdb.counters().aged as usize);
    while let Some(next) = fdb.next_expiry() {
        assert!(next > last, "a handled deadline must move on");
        expired += fdb.expire(next);
        last = next;
    }
    assert_eq!((expired, fdb.len()), (1000, 0));
    assert!(last <= Duration::from_millis(999 * 777) + secs(300));
}

#[test]
fn ports_beyond_the_store_are_refused() {
    let mut fdb = Fdb::new(DirectCam::new(), Config::DEFAULT);
    let refused = Refused::PortOutOfRange { port: port(64), ports: 64 };
    assert_eq!(fdb.learn(secs(0), host(1), port(64)), Err(refused));
    let fid = Fid::new(64).unwrap();
    let key = (fid, MacAddr6::new(2, 0, 0, 0, 0, 1));
    assert_eq!(fdb.learn(secs(0), key, port(1)), Err(Refused::FidOutOfRange { fid, fids: 64 }));
}

/// Long churn leaves no trace: the table is as good as new.
#[test]
fn churn_does_not_wear_the_hash_table_out() {
    let config = Config { when_full: fdb::WhenFull::OldestInSet, ..Config::DEFAULT };
    let mut fdb = Fdb::new(HashTable::new(1024, [5, 5]), config);
    let mut random = Random(12);
    for number in 0..300_000u64 {
        let now = Duration::from_millis(number);
        assert!(fdb.learn(now, random.station(), port(1)).is_ok());
    }
    assert_eq!((fdb.len(), fdb.store().memory()), (1024, 16 * 1024));
    fdb.flush(secs(300), FlushScope::ALL);
    fdb.expire(secs(300));
    assert!(fdb.is_empty() && fdb.store().is_pristine());
}
