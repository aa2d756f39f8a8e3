//! What a frame costs before its addresses are looked at: reading the header, and finding its VLAN.
//!
//! `cargo bench -p vlan-table` prints thread CPU time in nanoseconds per frame, as throughput. Frames
//! come in an order that no branch predictor learns, and every contender folds the same fields into one
//! number.
//!
//! The contenders of `classify/` do less than we do: they know one tag type, no port states and no
//! policy, only "tagged or not, VLAN to members, is the port one of them".

#![allow(missing_docs, clippy::indexing_slicing, clippy::unwrap_used)] // a bench may panic

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;

use bench_clock::ThreadCpu;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use etherparse::{Ethernet2HeaderSlice, SingleVlanHeaderSlice};
use rustc_hash::FxHashMap;
use vlan_table::dot1q::{Bridge, Membership, PortConfig};
use vlan_table::{EtherType, FrameView, Header, PortId, PortMask, VlanId, chip};
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

const FRAMES: usize = 1 << 16;
const SLOT: usize = 64;
const PORTS: u16 = 16;

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ThreadCpu);
    targets = parse, classify_16, classify_4094
}
criterion_main!(benches);

/// A generator of numbers that look random (xorshift64*), the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((u128::from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)) * u128::from(bound)) >> 64) as u64
    }
}

/// Frames of 60 bytes on cache lines; `tagged` of 100 have a tag with one of `vids`.
fn frames(tagged: u64, vids: &[u16]) -> Vec<u8> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut pool = vec![0; FRAMES * SLOT];
    for frame in pool.chunks_exact_mut(SLOT) {
        for byte in &mut frame[..12] {
            *byte = random.below(256) as u8;
        }
        if random.below(100) < tagged {
            let vid = vids[random.below(vids.len() as u64) as usize];
            frame[12..14].copy_from_slice(&EtherType::VLAN.0.to_be_bytes());
            frame[14..16].copy_from_slice(&(vid | 0x6000).to_be_bytes());
            frame[16..18].copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
        } else {
            frame[12..14].copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
        }
    }
    pool
}

fn each_frame(
    group: &mut BenchmarkGroup<'_, ThreadCpu>,
    name: &str,
    pool: &[u8],
    parse: impl Fn(&[u8]) -> u64,
) {
    group.bench_function(name, |b| {
        b.iter(|| {
            let frames = black_box(pool).chunks_exact(SLOT);
            frames.fold(0u64, |sum, frame| sum.wrapping_add(parse(&frame[..60])))
        });
    });
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EthernetHeader {
    dst: [u8; 6],
    src: [u8; 6],
    ether_type: U16,
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct VlanHeader {
    tci: U16,
    ether_type: U16,
}

fn fold(dst: [u8; 6], src: [u8; 6], tci: u16, ether_type: u16) -> u64 {
    let number = |[a, b, c, d, e, f]: [u8; 6]| u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    number(dst) ^ number(src).rotate_left(16) ^ u64::from(tci) << 16 ^ u64::from(ether_type)
}

fn parse(c: &mut Criterion<ThreadCpu>) {
    for (name, tagged) in [("untagged", 0), ("tagged", 100), ("half", 50)] {
        let mut group = c.benchmark_group(format!("parse/{name}"));
        group.throughput(Throughput::Elements(FRAMES as u64));
        let pool = frames(tagged, &[10, 20, 30, 40]);
        each_frame(&mut group, "Header", &pool, |frame| {
            let header = Header::read(frame).unwrap();
            header.dst_bits()
                ^ header.src_bits().rotate_left(16)
                ^ u64::from(header.tag_tci()) << 16
                ^ u64::from(header.ether_type().0)
        });
        each_frame(&mut group, "FrameView", &pool, |frame| {
            let view = FrameView::new(frame, 1).unwrap();
            fold(view.dst(), view.src(), view.outer_tag().map_or(0, |tag| tag.tci()), view.ether_type().0)
        });
        each_frame(&mut group, "etherparse", &pool, |frame| {
            let eth = Ethernet2HeaderSlice::from_slice(frame).unwrap();
            let (mut tci, mut ether_type) = (0, eth.ether_type().0);
            if ether_type == 0x8100 {
                let tag = SingleVlanHeaderSlice::from_slice(&frame[14..]).unwrap();
                let dei = u16::from(tag.drop_eligible_indicator());
                tci = u16::from(tag.priority_code_point().value()) << 13
                    | dei << 12
                    | tag.vlan_identifier().value();
                ether_type = tag.ether_type().0;
            }
            fold(eth.destination(), eth.source(), tci, ether_type)
        });
        each_frame(&mut group, "zerocopy", &pool, |frame| {
            let (eth, rest) = EthernetHeader::ref_from_prefix(frame).unwrap();
            let (mut tci, mut ether_type) = (0, eth.ether_type.get());
            if ether_type == 0x8100 {
                let (tag, _) = VlanHeader::ref_from_prefix(rest).unwrap();
                (tci, ether_type) = (tag.tci.get(), tag.ether_type.get());
            }
            fold(eth.dst, eth.src, tci, ether_type)
        });
    }
}

/// A frame's header and the port it came in by, as the stage before classification leaves them.
#[derive(Clone, Copy)]
struct Arrival {
    header: Header,
    port: PortId,
}

fn arrivals(tagged: u64, vids: &[u16], ports: u16) -> Vec<Arrival> {
    let mut random = Random(7);
    let mut arrival = |frame: &[u8]| Arrival {
        header: Header::read(frame).unwrap(),
        port: PortId::new(random.below(ports.into()) as u16).unwrap(),
    };
    frames(tagged, vids).chunks_exact(SLOT).map(&mut arrival).collect()
}

fn each_arrival(
    group: &mut BenchmarkGroup<'_, ThreadCpu>,
    name: &str,
    arrivals: &[Arrival],
    classify: impl Fn(PortId, &Header) -> Option<(u64, u16)>,
) {
    group.bench_function(name, |b| {
        b.iter(|| {
            black_box(arrivals).iter().fold(0u64, |sum, arrival| {
                let (members, fid) = classify(arrival.port, &arrival.header).unwrap_or((1, 1));
                sum.wrapping_add(members ^ u64::from(fid))
            })
        });
    });
}

/// The simplest thing that classifies: a map from VID to members, and a PVID per port.
fn by_map<'a>(
    pvids: &'a [u16; PORTS as usize],
    get: impl Fn(u16) -> Option<(u64, u16)> + 'a,
) -> impl Fn(PortId, &Header) -> Option<(u64, u16)> + 'a {
    move |port, header| {
        let vid = if header.tpid() == EtherType::VLAN { header.tci() & 0xFFF } else { 0 };
        let vid = if vid == 0 { pvids[port.index() & 15] } else { vid };
        let (members, fid) = get(vid)?;
        (members >> port.index() & 1 == 1).then_some((members & !(1 << port.index()), fid))
    }
}

fn peers(group: &mut BenchmarkGroup<'_, ThreadCpu>, arrivals: &[Arrival], vlans: &[(u16, u64)]) {
    let pvids = [vlans[0].0; PORTS as usize];
    let rows = || vlans.iter().map(|(vid, members)| (*vid, (*members, *vid)));
    let mut array = vec![(0, 0); 4096];
    rows().for_each(|(vid, row)| array[usize::from(vid)] = row);
    let array: &[(u64, u16); 4096] = array.as_slice().try_into().unwrap();
    let fx: FxHashMap<_, _> = rows().collect();
    let std: HashMap<_, _> = rows().collect();
    let tree: BTreeMap<_, _> = rows().collect();
    each_arrival(
        group,
        "array of 4096",
        arrivals,
        by_map(&pvids, |vid| Some(array[usize::from(vid & 0xFFF)])),
    );
    each_arrival(group, "FxHashMap", arrivals, by_map(&pvids, |vid| fx.get(&vid).copied()));
    each_arrival(group, "HashMap", arrivals, by_map(&pvids, |vid| std.get(&vid).copied()));
    each_arrival(group, "BTreeMap", arrivals, by_map(&pvids, |vid| tree.get(&vid).copied()));
}

/// Sixteen VLANs that all ports are members of, tagged frames, some of VLANs that are not configured.
fn classify_16(c: &mut Criterion<ThreadCpu>) {
    let known: Vec<u16> = (0..16).map(|n| 100 + 37 * n).collect();
    let unknown: Vec<u16> = known.iter().map(|vid| vid + 1).chain(known.iter().copied()).collect();
    let everyone = (1 << PORTS) - 1;
    let vlans: Vec<_> = known.iter().map(|vid| (*vid, everyone)).collect();
    for (name, tagged, vids) in
        [("known", 100, &known), ("mixed", 50, &known), ("half unknown", 100, &unknown)]
    {
        let mut group = c.benchmark_group(format!("classify/16 VLANs, {name}"));
        group.throughput(Throughput::Elements(FRAMES as u64));
        let (few, arrivals) = (arrivals(tagged, vids, 5), arrivals(tagged, vids, PORTS));
        let bridge = bridge::<16>(&known);
        each_arrival(&mut group, "dot1q::Bridge", &arrivals, |port, header| {
            bridge.classify(port, header).ok().map(|c| (c.members.bits(), c.fid.get()))
        });
        let table = table(&known);
        each_arrival(&mut group, "chip::Table", &few, |port, header| {
            table.classify(port, header).ok().map(|c| (c.members.bits(), c.fid.get()))
        });
        peers(&mut group, &arrivals, &vlans);
    }
}

/// All VLANs that there are.
fn classify_4094(c: &mut Criterion<ThreadCpu>) {
    let vids: Vec<u16> = VlanId::all().map(VlanId::get).collect();
    let mut group = c.benchmark_group("classify/4094 VLANs");
    group.throughput(Throughput::Elements(FRAMES as u64));
    let arrivals = arrivals(100, &vids, PORTS);
    let bridge = bridge::<4094>(&vids);
    each_arrival(&mut group, "dot1q::Bridge", &arrivals, |port, header| {
        bridge.classify(port, header).ok().map(|c| (c.members.bits(), c.fid.get()))
    });
    let vlans: Vec<_> = vids.iter().map(|vid| (*vid, (1 << PORTS) - 1)).collect();
    peers(&mut group, &arrivals, &vlans);
}

fn bridge<const VLANS: usize>(vids: &[u16]) -> Box<Bridge<VLANS>> {
    let ports = PortMask::first(PORTS);
    let mut bridge = Box::new(Bridge::new(ports));
    bridge.remove_vlan(VlanId::DEFAULT).unwrap();
    for port in ports {
        for vid in vids {
            bridge.join(VlanId::new(*vid).unwrap(), port, Membership::Tagged).unwrap();
        }
        let pvid = VlanId::new(vids[0]);
        bridge.set_port(port, PortConfig { pvid, ingress_filter: true, ..PortConfig::default() }).unwrap();
    }
    bridge
}

/// A chip with five ports, which are where its frames arrive.
fn table(vids: &[u16]) -> Box<chip::Table> {
    let mut config = chip::Config::new(chip::Model::RTL8305SC);
    (config.vlan_enabled, config.tag_aware, config.ingress_filter) = (true, true, true);
    config.policies.unknown_vid = chip::UnknownVid::Drop;
    for (entry, vid) in config.entries.iter_mut().zip(vids) {
        *entry = chip::Entry { vid: *vid, members: config.model.port_mask() };
    }
    Box::new(chip::Table::new(config).unwrap())
}
