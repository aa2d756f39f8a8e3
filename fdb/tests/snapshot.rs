//! Snapshots as JSON and back.
#![cfg(feature = "serde")]

mod common;

use common::{Random, host, port, secs};
use fdb::{Config, Entry, Fdb, HashTable, Kind, RestoreError, SetAssoc, Snapshot};

#[test]
fn a_snapshot_goes_through_json_into_another_store_with_its_ages() {
    let mut fdb = Fdb::new(HashTable::new(500, [1, 2]), Config::DEFAULT);
    let mut random = Random(2);
    for number in 0..300u64 {
        fdb.learn(secs(number), random.station(), port(number as u16 % 48)).unwrap();
    }
    fdb.insert(secs(300), host(1), Entry { port: port(5), kind: Kind::Static }).unwrap();
    let snapshot = fdb.snapshot(secs(310));
    let text = serde_json::to_string(&snapshot).unwrap();
    assert!(text.contains(r#"{"fid":0,"mac":"02:00:00:00:00:01","port":5,"kind":"static"}"#));

    let read: Snapshot = serde_json::from_str(&text).unwrap();
    let mut other = Fdb::new(SetAssoc::seeded([3, 4]), Config::DEFAULT);
    assert_eq!(other.restore(secs(100_010), &read), Ok(read.entries.len()));
    for later in [0, 1, 50, 150, 289, 400] {
        let known = |fdb: &fdb::Fdb<HashTable>| fdb.iter(secs(310 + later)).count();
        assert!(other.iter(secs(100_010 + later)).count().abs_diff(known(&fdb)) <= 1, "{later} s later");
    }
}

#[test]
fn a_bad_entry_is_named() {
    let mut fdb = Fdb::new(HashTable::new(500, [1, 2]), Config::DEFAULT);
    let mut restore = |json: &str| fdb.restore(secs(0), &serde_json::from_str(json).unwrap());
    let invalid = |what, value: &str| Err(RestoreError::Invalid { number: 0, what, value: value.into() });
    let entry = |fid, mac, port| {
        format!(r#"{{"entries":[{{"fid":{fid},"mac":"{mac}","port":{port},"kind":"drop"}}]}}"#)
    };
    assert_eq!(restore(&entry(4096, "02:00:00:00:00:01", 1)), invalid("fid", "4096"));
    assert_eq!(restore(&entry(1, "02:00:00:00:01", 1)), invalid("mac", "02:00:00:00:01"));
    assert_eq!(restore(&entry(1, "02:00:00:00:00:01", 4096)), invalid("port", "4096"));
    let group = restore(&entry(1, "ff:ff:ff:ff:ff:ff", 1));
    assert!(matches!(group, Err(RestoreError::Refused { number: 0, .. })), "{group:?}");
    assert_eq!(restore(&entry(1, "02:00:00:00:00:01", 1)), Ok(1));
}
