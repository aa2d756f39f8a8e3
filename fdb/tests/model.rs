//! Random operations on every store and on a naive model, which is a list that is searched from end to end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use core::time::Duration;

use fdb::{
    Ageing, Config, DirectCam, Entry, Event, Fdb, Fid, FlushScope, HashTable, Key, Kind, Learned, MacAddr6,
    PortId, Refused, SetAssoc, Store, WhenFull,
};
use proptest::prelude::*;

const PORTS: u16 = 4;

#[derive(Clone, Debug)]
enum Op {
    Learn(Key, PortId, Kind),
    Lookup(Key),
    Insert(Key, Entry),
    Remove(Key),
    Flush(FlushScope),
    Expire,
    Advance(Duration),
}

/// Sixty addresses of which many meet in one place of the chips' tables.
fn key() -> impl Strategy<Value = Key> {
    (0..3u16, 0..20u16).prop_map(|(fid, host)| {
        let [high, low] = [(host / 4) as u8, (host % 4) as u8];
        Key::new(Fid::new(fid).unwrap(), MacAddr6::new(2, 0, 0, high << 4, 0, low << 1))
    })
}

fn port() -> impl Strategy<Value = PortId> {
    (0..PORTS).prop_map(|raw| PortId::new(raw).unwrap())
}

fn kind() -> impl Strategy<Value = Kind> {
    use Kind::{Drop, Dynamic, External, Local, Locked, Static, Sticky};
    let rare = proptest::sample::select(vec![Sticky, Locked, Static, Drop, Local, External]);
    prop_oneof![2 => Just(Dynamic), 1 => rare]
}

fn scope() -> impl Strategy<Value = FlushScope> {
    let fid = (0..3u16).prop_map(|raw| Fid::new(raw).unwrap());
    (proptest::option::of(port()), proptest::option::of(fid)).prop_map(|(port, fid)| FlushScope { port, fid })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (key(), port(), kind()).prop_map(|(key, port, kind)| Op::Learn(key, port, kind)),
        4 => key().prop_map(Op::Lookup),
        1 => (key(), port(), kind()).prop_map(|(key, port, kind)| Op::Insert(key, Entry { port, kind })),
        1 => key().prop_map(Op::Remove),
        1 => scope().prop_map(Op::Flush),
        1 => Just(Op::Expire),
        3 => (0..400u64).prop_map(|ms| Op::Advance(Duration::from_millis(ms))),
        1 => (0..3u64).prop_map(|seconds| Op::Advance(Duration::from_secs(seconds))),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 0..150)
}

fn config() -> impl Strategy<Value = Config> {
    let ageing = prop_oneof![
        Just(Ageing::NEVER),
        Just(Ageing::after(Duration::from_secs(2))),
        Just(Ageing::coarse(Duration::from_millis(500), 3)),
    ];
    let when_full = prop_oneof![Just(WhenFull::Refuse), Just(WhenFull::OldestInSet), Just(WhenFull::Fair)];
    let limit = || proptest::option::of(5..25u32);
    (ageing, when_full, limit(), limit(), limit()).prop_map(
        |(ageing, when_full, total, port_quota, fid_quota)| Config {
            ageing,
            when_full,
            total,
            port_quota,
            fid_quota,
            ..Config::DEFAULT
        },
    )
}

struct Naive {
    config: Config,
    entries: Vec<(Key, Entry, Duration)>,
}

impl Naive {
    fn alive(&self, now: Duration, (_, entry, seen): &(Key, Entry, Duration)) -> bool {
        let tick = self.config.ageing.resolution().as_nanos();
        match self.config.ageing.time() {
            Some(time) if entry.kind.ages() => {
                now.as_nanos() < seen.as_nanos() / tick * tick + time.as_nanos()
            }
            _ => true,
        }
    }

    fn tidy(&mut self, now: Duration) {
        let entries = core::mem::take(&mut self.entries);
        self.entries = entries.into_iter().filter(|entry| self.alive(now, entry)).collect();
    }

    fn find(&mut self, key: Key) -> Option<&mut (Key, Entry, Duration)> {
        self.entries.iter_mut().find(|(known, ..)| *known == key)
    }

    fn count(&self, matching: impl Fn(&Key, &Entry) -> bool) -> u32 {
        self.entries.iter().filter(|(key, entry, _)| matching(key, entry)).count() as u32
    }

    /// What learning must say, as far as it does not depend on where the store has room.
    fn learn(&mut self, now: Duration, key: Key, port: PortId, kind: Kind) -> Expected {
        self.tidy(now);
        let kind = if kind.ages() { kind } else { Kind::Dynamic };
        let (on_port, in_fid) = (self.count(|_, e| e.port == port), self.count(|k, _| k.fid() == key.fid()));
        let over = |count: u32, limit: Option<u32>| limit.filter(|limit| count >= *limit);
        let (port_quota, fid_quota) =
            (over(on_port, self.config.port_quota), over(in_fid, self.config.fid_quota));
        if let Some((_, known, seen)) = self.find(key) {
            let same = known.port == port;
            if same && known.kind.ages() {
                *seen = now;
                return Expected::Exactly(Ok(Learned::Refreshed));
            }
            if same || !known.kind.moves() || kind == Kind::Locked && known.kind != Kind::Locked {
                return Expected::Exactly(Ok(Learned::Bound(*known)));
            }
            if let Some(limit) = port_quota {
                return Expected::Exactly(Err(Refused::PortQuota { port, limit }));
            }
            let from = known.port;
            (*known, *seen) = (Entry { port, kind }, now);
            return Expected::Exactly(Ok(Learned::Moved { from }));
        }
        if let Some(limit) = port_quota {
            return Expected::Exactly(Err(Refused::PortQuota { port, limit }));
        }
        if let Some(limit) = fid_quota {
            return Expected::Exactly(Err(Refused::FidQuota { fid: key.fid(), limit }));
        }
        Expected::NewIfRoom(Entry { port, kind })
    }
}

enum Expected {
    Exactly(Result<Learned, Refused>),
    NewIfRoom(Entry),
}

fn agree<S: Store>(store: S, config: Config, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut fdb: Fdb<S, 512> = Fdb::with_events(store, config);
    let mut copy = Vec::new();
    let mut model = Naive { config, entries: Vec::new() };
    let mut now = Duration::from_millis(123);
    for op in ops {
        match *op {
            Op::Advance(step) => now += step,
            Op::Learn(key, port, kind) => {
                let outcome = fdb.learn_as(now, key, port, kind);
                match model.learn(now, key, port, kind) {
                    Expected::Exactly(expected) => prop_assert_eq!(outcome, expected),
                    Expected::NewIfRoom(entry) => admit(&fdb, &mut model, now, key, entry, outcome)?,
                }
            }
            Op::Lookup(key) => {
                model.tidy(now);
                prop_assert_eq!(fdb.lookup(now, key), model.find(key).map(|known| known.1));
            }
            Op::Insert(key, entry) => {
                model.tidy(now);
                let known = model.find(key).map(|known| known.1);
                match fdb.insert(now, key, entry) {
                    Ok(before) => {
                        prop_assert_eq!(before, known);
                        model.entries.retain(|(other, ..)| *other != key);
                        forget_evicted(&fdb, &mut model, now, None)?;
                        model.entries.push((key, entry, now));
                    }
                    Err(refused) => {
                        let no_room = matches!(refused, Refused::Full { .. } | Refused::SetFull { .. });
                        prop_assert!(known.is_none() && no_room);
                    }
                }
            }
            Op::Remove(key) => {
                model.tidy(now);
                prop_assert_eq!(fdb.remove(now, key), model.find(key).map(|known| known.1));
                model.entries.retain(|(other, ..)| *other != key);
            }
            Op::Flush(FlushScope { port, fid }) => {
                fdb.flush(now, FlushScope { port, fid });
                model.tidy(now);
                model.entries.retain(|(key, entry, _)| {
                    !entry.kind.ages()
                        || port.is_some_and(|port| port != entry.port)
                        || fid.is_some_and(|fid| fid != key.fid())
                });
            }
            Op::Expire => {
                let expired = fdb.expire(now);
                model.tidy(now);
                prop_assert_eq!(fdb.len(), model.entries.len());
                prop_assert!(expired <= ops.len());
                prop_assert!(
                    fdb.next_expiry().is_none_or(|next| next > now),
                    "a handled deadline must move on"
                );
            }
        }
        check(&fdb, &mut model, now)?;
    }
    fdb.expire(now);
    follow(&mut fdb, &mut copy)?;
    let mut real: Vec<_> = fdb.iter(now).map(|row| (row.key, row.entry)).collect();
    real.sort_by_key(|(key, _)| *key);
    copy.sort_by_key(|(key, _)| *key);
    prop_assert_eq!(real, copy);
    Ok(())
}

/// Applies all events to a copy, in which each of them must make sense.
fn follow<S: Store>(fdb: &mut Fdb<S, 512>, copy: &mut Vec<(Key, Entry)>) -> Result<(), TestCaseError> {
    while let Some(event) = fdb.poll_event() {
        let find = |copy: &[(Key, Entry)], key| copy.iter().position(|(known, _)| *known == key);
        match event {
            Event::Appeared { key, entry } => {
                prop_assert_eq!(find(copy, key), None);
                copy.push((key, entry));
            }
            Event::Moved { key, from, entry } => {
                let known = find(copy, key).unwrap();
                prop_assert_eq!(copy[known].1.port, from);
                copy[known].1 = entry;
            }
            Event::Changed { key, entry } => {
                let known = find(copy, key).unwrap();
                prop_assert!(copy[known].1.port == entry.port && copy[known].1.kind != entry.kind);
                copy[known].1 = entry;
            }
            Event::Gone { key, entry } => {
                let known = find(copy, key).unwrap();
                prop_assert_eq!(copy.swap_remove(known).1, entry);
            }
            Event::Flushed(FlushScope { port, fid }) => copy.retain(|(key, entry)| {
                let spared =
                    port.is_some_and(|port| port != entry.port) || fid.is_some_and(|fid| fid != key.fid());
                !entry.kind.ages() || spared
            }),
            Event::Overflow { lost } => prop_assert!(false, "{lost} lost"),
        }
    }
    Ok(())
}

/// A new station: learned if the limits allow it, else refused or in the place of somebody who may go.
fn admit<S: Store>(
    fdb: &Fdb<S, 512>,
    model: &mut Naive,
    now: Duration,
    key: Key,
    entry: Entry,
    outcome: Result<Learned, Refused>,
) -> Result<(), TestCaseError> {
    let full = model.entries.len() >= fdb.capacity() as usize;
    match outcome {
        Ok(Learned::New) => prop_assert!(!full),
        Ok(Learned::Replaced { from }) => {
            let share = |port| model.count(|_, entry| entry.port == port);
            match model.config.when_full {
                WhenFull::Refuse => prop_assert!(false, "nobody may be evicted"),
                WhenFull::Fair => {
                    let others =
                        (0..PORTS).map(|raw| PortId::new(raw).unwrap()).filter(|port| *port != entry.port);
                    let ports = 1 + others.filter(|port| share(*port) > 0).count() as u32;
                    let too_much = share(from) > fdb.capacity() / ports && share(from) > share(entry.port);
                    prop_assert!(from == entry.port || too_much);
                }
                WhenFull::OldestInSet => {}
            }
            forget_evicted(fdb, model, now, Some(from))?;
        }
        Err(Refused::Full { limit }) => {
            prop_assert!(full && limit == fdb.capacity());
            return Ok(());
        }
        Err(Refused::SetFull { key: refused, .. }) => {
            prop_assert_eq!(refused, key);
            return Ok(());
        }
        other => prop_assert!(false, "{other:?} for a new station"),
    }
    model.entries.push((key, entry, now));
    Ok(())
}

/// Finds who is gone from the database, which may be one evictable entry, and forgets it too.
fn forget_evicted<S: Store>(
    fdb: &Fdb<S, 512>,
    model: &mut Naive,
    now: Duration,
    from: Option<PortId>,
) -> Result<(), TestCaseError> {
    let gone: Vec<_> =
        model.entries.iter().filter(|(key, ..)| fdb.lookup(now, *key).is_none()).copied().collect();
    prop_assert!(gone.len() <= 2, "{gone:?}");
    for (key, entry, _) in gone {
        prop_assert!(entry.kind.evictable() && from.is_none_or(|from| from == entry.port));
        model.entries.retain(|(other, ..)| *other != key);
    }
    Ok(())
}

/// The whole content agrees, and the counters add up.
fn check<S: Store>(fdb: &Fdb<S, 512>, model: &mut Naive, now: Duration) -> Result<(), TestCaseError> {
    model.tidy(now);
    let mut real: Vec<_> = fdb.iter(now).map(|row| (row.key, row.entry)).collect();
    let mut expected: Vec<_> = model.entries.iter().map(|(key, entry, _)| (*key, *entry)).collect();
    real.sort_by_key(|(key, _)| *key);
    expected.sort_by_key(|(key, _)| *key);
    prop_assert_eq!(real, expected);
    for (key, entry, _) in &model.entries {
        prop_assert_eq!(fdb.lookup(now, *key), Some(*entry));
    }
    prop_assert_eq!(fdb.counters().stored(), fdb.len() as u64);
    let by_port: u32 = (0..PORTS).map(|raw| fdb.len_of_port(PortId::new(raw).unwrap())).sum();
    let by_fid: u32 = (0..3).map(|raw| fdb.len_of_fid(Fid::new(raw).unwrap())).sum();
    prop_assert_eq!((by_port as usize, by_fid as usize), (fdb.len(), fdb.len()));
    prop_assert!(fdb.len() <= fdb.capacity() as usize);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn direct_map_agrees_with_the_model(config in config(), ops in ops()) {
        agree(DirectCam::new(), config, &ops)?;
    }

    #[test]
    fn chip_sets_agree_with_the_model(config in config(), ops in ops()) {
        agree(SetAssoc::new(), config, &ops)?;
    }

    #[test]
    fn seeded_sets_agree_with_the_model(seed: [u64; 2], config in config(), ops in ops()) {
        agree(SetAssoc::seeded(seed), config, &ops)?;
    }

    #[test]
    fn hash_table_agrees_with_the_model(seed: [u64; 2], config in config(), ops in ops()) {
        agree(HashTable::new(64, seed), config, &ops)?;
    }
}
