//! The whole switch against what one would otherwise use: `cargo bench -p switch --bench pipeline`.
//!
//! Sixteen ports, frames of 60 bytes on cache lines, visited in sixteen random orders in turn. A
//! frame is parsed, classified, learned from, looked up, decided about and tagged.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod ours;
mod peers;
mod traffic;

use std::hash::BuildHasher;
use std::hint::black_box;

use bench_clock::ThreadCpu;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use peers::{Bound, Composed, PktkitHub, Tagging};
use traffic::{SLOT, Traffic, Workload};

const PLAIN: Workload = Workload { stations: 1024, vlans: false, unknown: 0, broadcast: false };

const WORKLOADS: [(&str, Workload); 6] = [
    ("1024 stations", PLAIN),
    ("1024 stations, half retagged", Workload { vlans: true, ..PLAIN }),
    ("1024 stations, 10 % unknown", Workload { unknown: 10, ..PLAIN }),
    ("16k stations", Workload { stations: 16 << 10, ..PLAIN }),
    ("1M stations", Workload { stations: 1 << 20, ..PLAIN }),
    ("1M stations, half retagged", Workload { stations: 1 << 20, vlans: true, ..PLAIN }),
];

fn pipeline(criterion: &mut Criterion<ThreadCpu>) {
    for (name, workload) in WORKLOADS {
        let mut traffic = Traffic::new(workload);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(traffic.len() as u64));
        ours::single(&mut group, workload, &mut traffic);
        ours::batched(&mut group, workload, &mut traffic);
        composed::<rustc_hash::FxBuildHasher>("etherparse + FxHashMap", &mut group, workload, &mut traffic);
        composed::<foldhash::fast::RandomState>("etherparse + foldhash", &mut group, workload, &mut traffic);
        if workload.stations <= 1024 {
            pktkit(&mut group, workload, &mut traffic);
        }
        if !workload.vlans {
            bound(&mut group, workload, &mut traffic);
        }
        group.finish();
    }
}

/// Deciding to flood takes as long with a million stations in the table as with a thousand: the same
/// frames, from the same thousand stations.
fn flood(criterion: &mut Criterion<ThreadCpu>) {
    let mut traffic = Traffic::new(Workload { broadcast: true, ..PLAIN });
    let mut group = criterion.benchmark_group("flood");
    group.throughput(Throughput::Elements(traffic.len() as u64));
    for others in [0, (1 << 20) - 1024] {
        ours::flood(&mut group, others, &mut traffic);
    }
    group.finish();
}

fn composed<S: BuildHasher + Default>(
    name: &str,
    group: &mut BenchmarkGroup<'_, ThreadCpu>,
    workload: Workload,
    traffic: &mut Traffic,
) {
    let mut switch = Composed::<S>::new();
    for (port, frame) in &traffic.introductions {
        switch.forward(1, *port, frame);
    }
    let mut out = [0; SLOT];
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut sum = 0;
            for (port, slot) in traffic.round() {
                let (ports, tagging) = switch.forward(2, port, &slot[4..]);
                sum ^= ports;
                if workload.vlans {
                    sum ^= retagged(tagging, slot, &mut out);
                }
            }
            black_box(sum)
        });
    });
}

/// What the next hop would read of the frame.
#[inline]
fn retagged(tagging: Tagging, slot: &[u8; SLOT], out: &mut [u8; SLOT]) -> u64 {
    *out = *slot;
    let start = peers::retag(tagging, out);
    u64::from(out[start + 12]) ^ u64::from(out[start + 15])
}

fn bound(group: &mut BenchmarkGroup<'_, ThreadCpu>, workload: Workload, traffic: &mut Traffic) {
    let mut table = Bound::new(workload.stations);
    for (port, frame) in &traffic.introductions {
        table.forward(1, *port, frame);
    }
    group.bench_function("bound: numbered stations, nothing verified", |bencher| {
        bencher.iter(|| {
            let sum = traffic.round().fold(0, |sum, (port, slot)| sum ^ table.forward(2, port, &slot[4..]));
            black_box(sum)
        });
    });
}

fn pktkit(group: &mut BenchmarkGroup<'_, ThreadCpu>, workload: Workload, traffic: &mut Traffic) {
    let hub = PktkitHub::new(workload.vlans);
    let handlers = hub.handlers();
    for (port, frame) in &traffic.introductions {
        handlers[usize::from(*port)](::pktkit::Frame::from_slice(frame)).unwrap();
    }
    assert_eq!(hub.stations(), workload.stations);
    group.bench_function("pktkit L2Hub", |bencher| {
        bencher.iter(|| {
            for (port, slot) in traffic.round() {
                handlers[usize::from(port)](::pktkit::Frame::from_slice(&slot[4..])).unwrap();
            }
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ThreadCpu);
    targets = pipeline, flood
}
criterion_main!(benches);
