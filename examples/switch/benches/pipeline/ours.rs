//! Our switch, with everything on: ageing, counters, seeded hash, reserved addresses.

use std::hint::black_box;
use std::time::Duration;

use bench_clock::ThreadCpu;
use criterion::BenchmarkGroup;
use fdb::Config;
use switch::vlan_table::dot1q::{Bridge, Membership, PortConfig};
use switch::vlan_table::{FrameMut, PortId, PortMask, VlanId};
use switch::{Database, Switch};

use crate::traffic::{HEADROOM, PORTS, SLOT, Traffic, VLANS, Workload};

fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

fn switch(workload: Workload, traffic: &Traffic) -> Switch {
    let mut bridge = Bridge::new(PortMask::first(PORTS));
    if workload.vlans {
        for raw in 0..PORTS {
            let pvid = VlanId::new(raw % VLANS + 1);
            let config = PortConfig { pvid, ingress_filter: true, ..PortConfig::default() };
            bridge.set_port(port(raw), config).unwrap();
            for vid in (1..=VLANS).filter_map(VlanId::new) {
                let how = if Some(vid) == pvid { Membership::Untagged } else { Membership::Tagged };
                bridge.join(vid, port(raw), how).unwrap();
            }
        }
    }
    let capacity = (workload.stations * 2) as u32;
    let seed = [0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344];
    let mut switch = Switch::dot1q(bridge, Database::hashed(capacity, seed, Config::DEFAULT));
    for (raw, frame) in &traffic.introductions {
        let _ = switch.receive(Duration::ZERO, port(*raw), frame);
    }
    assert_eq!(switch.database().len(), workload.stations);
    switch
}

pub(crate) fn single(group: &mut BenchmarkGroup<'_, ThreadCpu>, workload: Workload, traffic: &mut Traffic) {
    let mut switch = switch(workload, traffic);
    let mut out = [0; SLOT];
    let mut now = Duration::from_secs(1);
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            now += Duration::from_micros(100);
            let mut sum = 0;
            for (raw, slot) in traffic.round() {
                let decision = switch.receive(now, port(raw), &slot[HEADROOM..]);
                let [ports] = *decision.ports.words();
                sum ^= ports;
                if workload.vlans {
                    sum ^= retagged(&switch, &decision, slot, &mut out);
                }
            }
            black_box(sum)
        });
    });
    let total = switch.counters().total();
    assert_eq!(total.received, total.forwarded + total.filtered + total.dropped);
    assert_eq!(total.dropped, 0);
}

/// What the next hop would read of the frame.
#[inline]
fn retagged(switch: &Switch, decision: &switch::Decision, slot: &[u8; SLOT], out: &mut [u8; SLOT]) -> u64 {
    let mut sum = 0;
    for copy in switch.copies(decision) {
        *out = *slot;
        let mut frame = FrameMut::new(out, HEADROOM).unwrap();
        copy.edit.apply(&mut frame).unwrap();
        let bytes = frame.as_bytes();
        sum ^= u64::from(bytes[12]) ^ u64::from(bytes[15]);
    }
    sum
}

pub(crate) fn flood(group: &mut BenchmarkGroup<'_, ThreadCpu>, others: u32, traffic: &mut Traffic) {
    let bridge = Bridge::new(PortMask::first(PORTS));
    let mut switch = Switch::dot1q(bridge, Database::hashed(2 << 20, [1, 2], Config::DEFAULT));
    for number in 0..others {
        let [a, b, c, d] = number.to_be_bytes();
        let mut frame = [0xFF; 60];
        frame[6..12].copy_from_slice(&[0x06, 0, a, b, c, d]);
        let _ = switch.receive(Duration::ZERO, port(number as u16 % PORTS), &frame);
    }
    let now = Duration::from_secs(1);
    group.bench_function(format!("ours, {} stations in the table", others + 1024), |bencher| {
        bencher.iter(|| {
            let decide = |sum, (raw, slot): (u16, &[u8; SLOT])| {
                let decision = switch.receive(now, port(raw), &slot[HEADROOM..]);
                let copies = switch.copies(&decision).count() as u64;
                let [ports] = *decision.ports.words();
                sum ^ ports ^ copies
            };
            black_box(traffic.round().fold(0, decide))
        });
    });
}

/// Frames at a time: as many as a driver hands over.
const BATCH: usize = 64;

pub(crate) fn batched(group: &mut BenchmarkGroup<'_, ThreadCpu>, workload: Workload, traffic: &mut Traffic) {
    let mut switch = switch(workload, traffic);
    let mut now = Duration::from_secs(1);
    group.bench_function("ours, batches of 64, without tagging", |bencher| {
        bencher.iter(|| {
            now += Duration::from_micros(100);
            let mut sum = 0;
            let mut frames = traffic.round().map(|(raw, slot)| (port(raw), &slot[HEADROOM..]));
            let mut batch = Vec::with_capacity(BATCH);
            loop {
                batch.clear();
                batch.extend(frames.by_ref().take(BATCH));
                if batch.is_empty() {
                    return black_box(sum);
                }
                switch.receive_batch(now, &batch, |_, decision| {
                    let [ports] = *decision.ports.words();
                    sum ^= ports;
                });
            }
        });
    });
}
