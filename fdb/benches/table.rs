//! The hash table against maps that one would otherwise take, in the same run.
//!
//! `cargo bench -p fdb --bench table`; a group by name: `cargo bench -p fdb --bench table -- ^hit/`.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use core::hint::black_box;
use core::time::Duration;

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use fdb::Config;
use support::{Case, NOW, QUERIES, SIZES, number};

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

criterion_group!(benches, hit, miss50, refresh, dependent);
criterion_main!(benches);

fn groups(criterion: &mut Criterion, name: &str, mut run: impl FnMut(&mut Group<'_>, &Case, usize)) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
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
fn hit(criterion: &mut Criterion) {
    groups(criterion, "hit", |group, case, size| {
        let fdb = case.fdb(Config::DEFAULT);
        let (fx, fold) = (case.fx(), case.fold());
        let keys: Vec<_> = case.hits().into_iter().map(|(key, _)| key).collect();
        let numbers: Vec<_> = keys.iter().map(|key| number(*key)).collect();
        bench(group, "fdb", size, || {
            keys.iter().map(|key| fdb.lookup(NOW, *key).map_or(0, |entry| u64::from(entry.port.get()))).sum()
        });
        bench(group, "fx", size, || numbers.iter().map(|key| fx.get(key).copied().unwrap_or(0)).sum());
        bench(group, "fold", size, || numbers.iter().map(|key| fold.get(key).copied().unwrap_or(0)).sum());
    });
}

/// Look-ups of which half find nothing.
fn miss50(criterion: &mut Criterion) {
    groups(criterion, "miss50", |group, case, size| {
        let fdb = case.fdb(Config::DEFAULT);
        let (fx, fold) = (case.fx(), case.fold());
        let keys = case.half_hits();
        let numbers: Vec<_> = keys.iter().map(|key| number(*key)).collect();
        bench(group, "fdb", size, || {
            keys.iter().map(|key| fdb.lookup(NOW, *key).map_or(0, |entry| u64::from(entry.port.get()))).sum()
        });
        bench(group, "fx", size, || numbers.iter().map(|key| fx.get(key).copied().unwrap_or(0)).sum());
        bench(group, "fold", size, || numbers.iter().map(|key| fold.get(key).copied().unwrap_or(0)).sum());
    });
}

/// Known stations send again: their age is set back.
fn refresh(criterion: &mut Criterion) {
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
fn dependent(criterion: &mut Criterion) {
    groups(criterion, "dependent", |group, case, size| {
        let fdb = case.fdb(Config::DEFAULT);
        let (fx, fold) = (case.fx(), case.fold());
        let keys: Vec<_> = case.hits().into_iter().map(|(key, _)| key).collect();
        let numbers: Vec<_> = keys.iter().map(|key| number(*key)).collect();
        let next = |at: usize, port: u64| at + 1 + (port >> 12) as usize; // ports are below 4096
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
