//! The hash table against maps that one would otherwise take, in the same run.
//!
//! `cargo bench -p fdb --bench table`; a group by name: `cargo bench -p fdb --bench table -- ^hit/`.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use core::hint::black_box;
use core::time::Duration;

use bench_clock::ThreadCpu;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use fdb::Config;
use fdb::{FlushScope, PortId, WhenFull};
use support::{Case, NOW, QUERIES, SIZES, keys, number};

type Group<'a> = BenchmarkGroup<'a, ThreadCpu>;

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ThreadCpu).without_plots();
    targets = hit, miss50, refresh, dependent, churn, sweep
}
criterion_main!(benches);

fn groups(
    criterion: &mut Criterion<ThreadCpu>,
    name: &str,
    mut run: impl FnMut(&mut Group<'_>, &Case, usize),
) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(12);
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400));
    group.throughput(Throughput::Elements(QUERIES as u64));
    for size in SIZES {
        run(&mut group, &Case::new(size), size);
    }
    group.finish();
}

fn bench(group: &mut Group<'_>, name: &str, size: usize, mut work: impl FnMut() -> u64) {
    group.bench_function(BenchmarkId::new(name, size), |b| b.iter(|| black_box(work())));
}

/// Look-ups of known stations, uniformly at random.
fn hit(criterion: &mut Criterion<ThreadCpu>) {
    groups(criterion, "hit", |group, case, size| {
        let fdb = case.fdb(Config::DEFAULT);
        let (fx, fold) = (case.fx(), case.fold());
        let keys: Vec<_> = case.hits().into_iter().map(|(key, _)| key).collect();
        let numbers: Vec<_> = keys.iter().map(|key| number(*key)).collect();
        bench(group, "fdb", size, || {
            keys.iter().map(|key| fdb.lookup(NOW, *key).map_or(0, |entry| u64::from(entry.port.get()))).sum()
        });
        let mut answers = vec![None; QUERIES];
        bench(group, "fdb batch", size, || {
            fdb.lookup_batch(NOW, &keys, &mut answers);
            answers.iter().map(|entry| entry.map_or(0, |entry| u64::from(entry.port.get()))).sum()
        });
        bench(group, "fx", size, || numbers.iter().map(|key| fx.get(key).copied().unwrap_or(0)).sum());
        let std = case.fill(std::collections::HashMap::new());
        bench(group, "std", size, || numbers.iter().map(|key| std.get(key).copied().unwrap_or(0)).sum());
        let lines = vec![[1; 8]; size / 4];
        bench(group, "one line touched", size, || touch(&lines, &numbers));
        bench(group, "fold", size, || numbers.iter().map(|key| fold.get(key).copied().unwrap_or(0)).sum());
    });
}

/// The bound: one multiplication and one cache line of a table as big as ours.
fn touch(lines: &[[u64; 8]], numbers: &[u64]) -> u64 {
    let line =
        |number: &u64| lines.get((number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % lines.len());
    numbers.iter().filter_map(line).map(|line| line[0]).sum()
}

/// Look-ups of which half find nothing.
fn miss50(criterion: &mut Criterion<ThreadCpu>) {
    groups(criterion, "miss50", |group, case, size| {
        let fdb = case.fdb(Config::DEFAULT);
        let (fx, fold) = (case.fx(), case.fold());
        let keys = case.half_hits();
        let numbers: Vec<_> = keys.iter().map(|key| number(*key)).collect();
        bench(group, "fdb", size, || {
            keys.iter().map(|key| fdb.lookup(NOW, *key).map_or(0, |entry| u64::from(entry.port.get()))).sum()
        });
        let mut answers = vec![None; QUERIES];
        bench(group, "fdb batch", size, || {
            fdb.lookup_batch(NOW, &keys, &mut answers);
            answers.iter().map(|entry| entry.map_or(0, |entry| u64::from(entry.port.get()))).sum()
        });
        bench(group, "fx", size, || numbers.iter().map(|key| fx.get(key).copied().unwrap_or(0)).sum());
        bench(group, "fold", size, || numbers.iter().map(|key| fold.get(key).copied().unwrap_or(0)).sum());
    });
}

/// Known stations send again: their age is set back.
fn refresh(criterion: &mut Criterion<ThreadCpu>) {
    groups(criterion, "refresh", |group, case, size| {
        let mut fdb = case.fdb(Config::DEFAULT);
        let (mut fx, mut fold) = (case.fx(), case.fold());
        let hits = case.hits();
        let numbers: Vec<_> = hits.iter().map(|(key, port)| (number(*key), u64::from(port.get()))).collect();
        let mut round = 0;
        bench(group, "fdb", size, || {
            round += 1; // 30 s per round: nearly every refresh writes a new stamp
            let now = Duration::from_secs(30 * round);
            let refreshed = |(key, port): &(_, _)| fdb.learn(now, *key, *port) == Ok(fdb::Learned::Refreshed);
            hits.iter().map(refreshed).map(u64::from).sum()
        });
        let mut round = 0;
        bench(group, "fx", size, || {
            round += 1;
            let now = round << 16;
            let mut refreshed = 0;
            for (key, port) in &numbers {
                if let Some(value) = fx.get_mut(key) {
                    refreshed += u64::from(*value & 0xFFFF == *port);
                    *value = now | port;
                }
            }
            refreshed
        });
        let mut round = 0;
        bench(group, "fold", size, || {
            round += 1;
            let now = round << 16;
            let mut refreshed = 0;
            for (key, port) in &numbers {
                if let Some(value) = fold.get_mut(key) {
                    refreshed += u64::from(*value & 0xFFFF == *port);
                    *value = now | port;
                }
            }
            refreshed
        });
    });
}

/// Each look-up waits for the one before: one frame at a time.
fn dependent(criterion: &mut Criterion<ThreadCpu>) {
    groups(criterion, "dependent", |group, case, size| {
        let fdb = case.fdb(Config::DEFAULT);
        let (fx, fold) = (case.fx(), case.fold());
        let keys: Vec<_> = case.hits().into_iter().map(|(key, _)| key).collect();
        let numbers: Vec<_> = keys.iter().map(|key| number(*key)).collect();
        let nothing = black_box(0); // or else the compiler sees that ports do not matter
        let next = |at: usize, port: u64| at + 1 + (port & nothing) as usize;
        bench(group, "fdb", size, || {
            let mut at = 0;
            while let Some(key) = keys.get(at) {
                at = next(at, fdb.lookup(NOW, *key).map_or(0, |entry| u64::from(entry.port.get())));
            }
            at as u64
        });
        bench(group, "fx", size, || {
            let mut at = 0;
            while let Some(key) = numbers.get(at) {
                at = next(at, fx.get(key).copied().unwrap_or(0));
            }
            at as u64
        });
        bench(group, "fold", size, || {
            let mut at = 0;
            while let Some(key) = numbers.get(at) {
                at = next(at, fold.get(key).copied().unwrap_or(0));
            }
            at as u64
        });
    });
}

/// New stations come all the time to a full table, and each takes the place of another.
fn churn(criterion: &mut Criterion<ThreadCpu>) {
    groups(criterion, "churn", |group, case, size| {
        let stream = keys((4 * size).max(4 * QUERIES), 77);
        let numbers: Vec<_> = stream.iter().map(|key| number(*key)).collect();
        let ports: Vec<_> = (0..64).filter_map(PortId::new).collect();
        for (name, when_full) in [("fdb oldest", WhenFull::OldestInSet), ("fdb fair", WhenFull::Fair)] {
            let mut fdb = case.fdb(Config { when_full, ..Config::DEFAULT });
            let mut at = 0;
            bench(group, name, size, || {
                let mut learned = 0;
                for _ in 0..QUERIES {
                    at = if at + 1 < stream.len() { at + 1 } else { 0 };
                    learned += u64::from(fdb.learn(NOW, stream[at], ports[at % 64]).is_ok());
                }
                learned
            });
        }
        let hasher = foldhash::fast::RandomState::default();
        let mut lru = schnellru::LruMap::with_hasher(schnellru::ByLength::new(size as u32), hasher);
        let mut at = 0;
        bench(group, "schnellru", size, || {
            let mut learned = 0;
            for _ in 0..QUERIES {
                at = if at + 1 < numbers.len() { at + 1 } else { 0 };
                learned += u64::from(lru.insert(numbers[at], at as u64 % 64));
            }
            learned
        });
    });
}

/// The whole table is looked at for what has expired; nothing has. Time per entry.
fn sweep(criterion: &mut Criterion<ThreadCpu>) {
    groups(criterion, "sweep", |group, case, size| {
        group.throughput(Throughput::Elements(size as u64));
        let mut fdb = case.fdb(Config::DEFAULT);
        let nobody = FlushScope::port(PortId::new(4000).unwrap());
        bench(group, "fdb", size, || {
            fdb.flush(NOW, nobody); // makes a sweep due
            fdb.expire(NOW) as u64
        });
        let mut map: indexmap::IndexMap<_, _, rustc_hash::FxBuildHasher> = case.fill(Default::default());
        bench(group, "indexmap", size, || {
            let before = map.len();
            map.retain(|_, value| *value < 1 << 40);
            (before - map.len()) as u64
        });
    });
}
