//! Nanoseconds of processor time per frame by kind, with 16, 1024 and 65536 bindings.
//!
//! `cargo bench -p mac-nat`. Frames are copied from a pristine set each round, as a receive ring
//! would give them; `copy` is the cost of that alone and stands in every other figure.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench may panic; criterion's macros write undocumented items"
)]

#[path = "../../tests/behaviour/frames.rs"]
#[allow(dead_code, clippy::indexing_slicing, clippy::unwrap_used)]
mod frames;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bench_clock::ThreadCpu;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use frames::*;
use mac_nat::{Binding, Config, Guard, MacNat, Mode, Port, PortId, Side};

/// Frames in a round: a power of two, small enough for their bytes to stay in L1 and L2.
const ROUND: usize = 256;

fn benches(criterion: &mut Criterion<ThreadCpu>) {
    let frame = eth(R, machine(0), &[], IPV4, &udp4(v4(0), G, (1, 2), &[0; 18]));
    bench(criterion, "copy", 16, Side::Uplink, &vec![frame; ROUND], false);
    for bindings in [16, 1024, 65_536] {
        // A multiplicative walk: neighbouring frames have distant addresses.
        let pick = |i: usize| (i * 40_503) % bindings;
        let outward =
            |build: &dyn Fn(usize) -> Vec<u8>| (0..ROUND).map(|i| build(pick(i))).collect::<Vec<_>>();
        let ipv4_out = outward(&|i| eth(R, machine(i), &[], IPV4, &udp4(v4(i), G, (1, 2), &[0; 18])));
        let ipv4_in = outward(&|i| eth(E, R, &[], IPV4, &udp4(G, v4(i), (1, 2), &[0; 18])));
        let ipv6_out = outward(&|i| eth(R, machine(i), &[], IPV6, &ipv6(v6(i), R6, 17, 64, &[0; 16])));
        let arp_out = outward(&|i| arp_frame(R, 2, machine(i), v4(i), R, G));
        let arp_in = outward(&|i| arp_frame(E, 2, R, G, E, v4(i)));
        let ns_out = outward(&|i| ns(machine(i), v6(i), R6, &slla(machine(i))));
        let dhcp_out = outward(&|i| Dhcp::discover(machine(i), i as u32).request_frame(machine(i)));
        let miss = outward(&|i| {
            eth(E, R, &[], IPV4, &ipv4(G, Ipv4Addr::from_bits(0x0900_0000 + i as u32), 1, &[0; 26]))
        });
        let inside = Side::Inside(port());
        for (name, side, frames) in [
            ("ipv4 out", inside, &ipv4_out),
            ("ipv4 in", Side::Uplink, &ipv4_in),
            ("ipv6 out", inside, &ipv6_out),
            ("arp out", inside, &arp_out),
            ("arp in", Side::Uplink, &arp_in),
            ("ns out", inside, &ns_out),
            ("dhcp out", inside, &dhcp_out),
            ("miss", Side::Uplink, &miss),
        ] {
            bench(criterion, name, bindings, side, frames, true);
        }
    }
    guard(criterion);
}

fn bench(
    criterion: &mut Criterion<ThreadCpu>,
    name: &str,
    bindings: usize,
    side: Side,
    frames: &[Vec<u8>],
    translate: bool,
) {
    let mut nat = MacNat::new(config(bindings)).unwrap();
    let mut ring = frames.to_vec();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ROUND as u64));
    group.bench_function(bindings.to_string(), |bencher| {
        bencher.iter(|| {
            for (slot, frame) in ring.iter_mut().zip(frames) {
                slot.copy_from_slice(frame);
                if translate {
                    let _ = black_box(nat.translate(Duration::ZERO, side, slot));
                }
            }
            black_box(&mut ring);
        });
    });
    group.finish();
}

fn guard(criterion: &mut Criterion<ThreadCpu>) {
    let guard = Guard::new([E, W1, W2, W3].map(Into::into));
    let mut group = criterion.benchmark_group("guard");
    for (name, frame) in
        [("ipv4", eth(R, E, &[], IPV4, &udp4(A, G, (1, 2), &[0; 18]))), ("ns", ns(E, A6, R6, &slla(E)))]
    {
        group.bench_function(name, |bencher| bencher.iter(|| guard.check(black_box(&frame))));
    }
    group.finish();
}

/// Half the bindings are IPv4, half IPv6; every machine has one of each.
fn config(bindings: usize) -> Config {
    let mut config = Config::new(Mode::Single, E.into());
    config.ports.push(Port::new(port()));
    config.limits.bindings = 2 * bindings;
    config.seed = 0x5EED;
    for i in 0..bindings {
        for addr in [IpAddr::from(v4(i)), v6(i).into()] {
            config.bindings.push(Binding::fixed(addr, port(), machine(i).into(), E.into()));
        }
    }
    config
}

fn port() -> PortId {
    PortId::new(1).unwrap()
}

fn machine(i: usize) -> Mac {
    let [.., a, b, c] = (i as u32).to_be_bytes();
    [0xFA, 0x16, 0x3E, a, b, c]
}

fn v4(i: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0A00_0001 + i as u32)
}

fn v6(i: usize) -> Ipv6Addr {
    Ipv6Addr::from_bits(A6.to_bits() + ((i as u128) << 64))
}

criterion_group!(name = all; config = Criterion::default().with_measurement(ThreadCpu); targets = benches);
criterion_main!(all);
