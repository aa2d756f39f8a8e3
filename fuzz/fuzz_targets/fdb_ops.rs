//! Any list of operations on every store: no panic, the counters add up, and what was just learned or
//! removed is found or not found.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use fdb::{
    Ageing, Config, DirectCam, Entry, Fdb, Fid, FlushScope, HashTable, Key, Kind, Learned, MoveGuard, PortId, SetAssoc,
    Store, WhenFull,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    seed: [u64; 2],
    when_full: u8,
    total: Option<u8>,
    port_quota: Option<u8>,
    fid_quota: Option<u8>,
    guarded: bool,
    ageing_ms: Option<u16>,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Learn { station: u16, port: u16, kind: u8 },
    Insert { station: u16, port: u16, kind: u8 },
    Remove { station: u16 },
    Flush { port: Option<u16>, fid: Option<u16> },
    SetAgeing { ms: Option<u16> },
    Advance { ms: u32 },
    Expire,
}

fuzz_target!(|input: Input| {
    run(DirectCam::new(), &input);
    run(SetAssoc::new(), &input);
    run(SetAssoc::seeded(input.seed), &input);
    run(HashTable::new(300, input.seed), &input);
});

fn run<S: Store>(store: S, input: &Input) {
    let config = Config {
        ageing: input.ageing_ms.map_or(Ageing::NEVER, |ms| Ageing::after(Duration::from_millis(ms.into()))),
        when_full: [WhenFull::Refuse, WhenFull::OldestInSet, WhenFull::Fair][usize::from(input.when_full) % 3],
        total: input.total.map(u32::from),
        port_quota: input.port_quota.map(u32::from),
        fid_quota: input.fid_quota.map(u32::from),
        zero_is_station: input.guarded,
        move_guard: input.guarded.then_some(MoveGuard::DEFAULT),
    };
    let mut fdb: Fdb<S, 8> = Fdb::with_events(store, config);
    let mut now = Duration::ZERO;
    for op in &input.ops {
        match *op {
            Op::Learn { station, port: on, kind: as_kind } => {
                let learned = fdb.learn_as(now, key(station), port(on), kind(as_kind));
                if let Ok(Learned::New | Learned::Refreshed | Learned::Replaced { .. } | Learned::Moved { .. }) = learned {
                    assert_eq!(fdb.lookup(now, key(station)).map(|entry| entry.port), Some(port(on)));
                }
            }
            Op::Insert { station, port: on, kind: as_kind } => {
                let entry = Entry { port: port(on), kind: kind(as_kind) };
                if fdb.insert(now, key(station), entry).is_ok() {
                    assert_eq!(fdb.lookup(now, key(station)), Some(entry));
                }
            }
            Op::Remove { station } => {
                fdb.remove(now, key(station));
                assert_eq!(fdb.lookup(now, key(station)), None);
            }
            Op::Flush { port: of, fid } => {
                let scope = FlushScope { port: of.map(port), fid: fid.and_then(|fid| Fid::new(fid % 4096)) };
                fdb.flush(now, scope);
                assert!(fdb.iter(now).filter(|row| row.entry.kind.ages()).all(|row| {
                    scope.port.is_some_and(|port| port != row.entry.port)
                        || scope.fid.is_some_and(|fid| fid != row.key.fid())
                }));
            }
            Op::SetAgeing { ms } => {
                let _ = fdb.set_ageing(now, ms.map(|ms| Duration::from_millis(ms.into())));
            }
            Op::Advance { ms } => now += Duration::from_millis(ms.into()),
            Op::Expire => {
                fdb.expire(now);
                assert!(fdb.next_expiry().is_none_or(|next| next > now));
                assert_eq!(fdb.iter(now).count(), fdb.len());
            }
        }
        while fdb.poll_event().is_some() {}
        assert_eq!(fdb.counters().stored(), fdb.len() as u64);
        assert!(fdb.len() <= fdb.capacity() as usize);
    }
}

/// Few stations, many of which collide in the chips' tables.
fn key(station: u16) -> Key {
    let [high, low] = station.to_be_bytes();
    Key::from_octets(Fid::new(u16::from(high & 3)).unwrap_or_default(), [2, 0, 0, high & 0xF0, 0, low])
}

fn port(raw: u16) -> PortId {
    PortId::new(raw % 70).unwrap()
}

fn kind(raw: u8) -> Kind {
    use Kind::{Drop, Dynamic, External, Local, Locked, Static, Sticky};
    [Dynamic, Dynamic, Dynamic, Sticky, Locked, Static, Drop, Local, External][usize::from(raw) % 9]
}
