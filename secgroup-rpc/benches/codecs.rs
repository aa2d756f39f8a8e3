//! Time to encode and decode, with general codecs in the same run.
//! `cargo bench -p secgroup-rpc --bench codecs`
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::unwrap_used,
    missing_docs,
    missing_debug_implementations,
    reason = "a bench stops where it fails"
)]

mod common;

use std::hint::black_box;

use common::{
    Addresses,
    peers::{Interned, Plain, ProstInterned},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secgroup_rpc::{Info, Limits, Message, View};

fn codecs(c: &mut Criterion, name: &str, info: &Info) {
    let (plain, interned) = (Plain::from(info), Interned::from(info));
    let mut group = c.benchmark_group(format!("encode/{name}"));
    group.bench_function("ours", |b| b.iter(|| black_box(info).encode()));
    group.bench_function("serde_json", |b| b.iter(|| serde_json::to_vec(black_box(&plain)).unwrap()));
    group.bench_function("rmp-serde", |b| b.iter(|| rmp_serde::to_vec(black_box(&plain)).unwrap()));
    group.bench_function("postcard", |b| b.iter(|| postcard::to_stdvec(black_box(&plain)).unwrap()));
    group.bench_function("bitcode", |b| b.iter(|| bitcode::encode(black_box(&plain))));
    group.bench_function("prost", |b| b.iter(|| prost::Message::encode_to_vec(black_box(&plain))));
    group.bench_function("rkyv", |b| {
        b.iter(|| rkyv::to_bytes::<rkyv::rancor::Error>(black_box(&plain)).unwrap())
    });
    group.bench_function("postcard interned", |b| {
        b.iter(|| postcard::to_stdvec(&Interned::from(black_box(info))).unwrap());
    });
    group
        .bench_function("bitcode interned", |b| b.iter(|| bitcode::encode(&Interned::from(black_box(info)))));
    group.bench_function("rmp-serde interned", |b| {
        b.iter(|| rmp_serde::to_vec(&Interned::from(black_box(info))).unwrap());
    });
    group.bench_function("prost interned", |b| {
        b.iter(|| prost::Message::encode_to_vec(&ProstInterned::from(&Interned::from(black_box(info)))));
    });
    group.bench_function("bitcode interned + zstd", |b| {
        b.iter(|| common::peers::zstd3(&bitcode::encode(&Interned::from(black_box(info)))));
    });
    group.finish();

    let mut group = c.benchmark_group(format!("decode/{name}"));
    let (bytes, limits) = (info.encode(), Limits::default());
    group.bench_function("ours", |b| b.iter(|| Info::decode(black_box(&bytes), &limits).unwrap()));
    let trusting = Limits { canonical: false, ..limits };
    group.bench_function("ours, unchecked order", |b| {
        b.iter(|| Info::decode(black_box(&bytes), &trusting).unwrap())
    });
    group.bench_function("ours, view", |b| b.iter(|| View::new(black_box(&bytes), &limits).unwrap()));
    let json = serde_json::to_vec(&plain).unwrap();
    group.bench_function("serde_json", |b| {
        b.iter(|| serde_json::from_slice::<Plain>(black_box(&json)).unwrap())
    });
    let bytes = rmp_serde::to_vec(&plain).unwrap();
    group.bench_function("rmp-serde", |b| {
        b.iter(|| rmp_serde::from_slice::<Plain>(black_box(&bytes)).unwrap())
    });
    let bytes = postcard::to_stdvec(&plain).unwrap();
    group
        .bench_function("postcard", |b| b.iter(|| postcard::from_bytes::<Plain>(black_box(&bytes)).unwrap()));
    let bytes = bitcode::encode(&plain);
    group.bench_function("bitcode", |b| b.iter(|| bitcode::decode::<Plain>(black_box(&bytes)).unwrap()));
    let bytes = prost::Message::encode_to_vec(&plain);
    group.bench_function("prost", |b| {
        b.iter(|| <Plain as prost::Message>::decode(black_box(&bytes[..])).unwrap());
    });
    let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&plain).unwrap();
    group.bench_function("rkyv", |b| {
        b.iter(|| rkyv::from_bytes::<Plain, rkyv::rancor::Error>(black_box(&bytes)).unwrap());
    });
    let bytes = postcard::to_stdvec(&interned).unwrap();
    group.bench_function("postcard interned", |b| {
        b.iter(|| postcard::from_bytes::<Interned>(black_box(&bytes)).unwrap());
    });
    let bytes = bitcode::encode(&interned);
    group.bench_function("bitcode interned", |b| {
        b.iter(|| bitcode::decode::<Interned>(black_box(&bytes)).unwrap());
    });
    group.bench_function("bitcode interned, to the model", |b| {
        b.iter(|| bitcode::decode::<Interned>(black_box(&bytes)).unwrap().to_info());
    });
    let bytes = rmp_serde::to_vec(&interned).unwrap();
    group.bench_function("rmp-serde interned", |b| {
        b.iter(|| rmp_serde::from_slice::<Interned>(black_box(&bytes)).unwrap());
    });
    let bytes = prost::Message::encode_to_vec(&ProstInterned::from(&interned));
    group.bench_function("prost interned", |b| {
        b.iter(|| <ProstInterned as prost::Message>::decode(black_box(&bytes[..])).unwrap());
    });
    group.bench_function("the model copied and dropped", |b| b.iter(|| black_box(info).clone()));
    group.finish();
}

fn messages(c: &mut Criterion) {
    codecs(c, "all 1000", &common::model(1, 1000, 1000, Addresses::Slash16));
    codecs(c, "host20 1000", &common::model(1, 1000, 20, Addresses::Slash16));
    if let Some(mut info) = common::recorded("blog/blog-1000-host.compact.json.gz") {
        let lossless = info.encode();
        c.bench_function("lossless/encode blog-1000-host", |b| b.iter(|| black_box(&info).encode()));
        c.bench_function("lossless/decode blog-1000-host", |b| {
            b.iter(|| Message::decode(black_box(&lossless), &Limits::default()).unwrap());
        });
        let rules: usize = info.expand().map(|device| device.ingress.len() + device.egress.len()).sum();
        let mut group = c.benchmark_group("expand");
        group.throughput(Throughput::Elements(rules as u64));
        group.bench_function(format!("blog-1000-host, {rules} rules"), |b| {
            b.iter(|| black_box(&info).expand().map(|device| device.ingress.len()).sum::<usize>());
        });
        group.finish();
        info.strip();
        codecs(c, "blog-1000-host", &info);
    }
}

/// Members alone: the cost of an address, in a message without devices.
fn addresses(c: &mut Criterion) {
    let mut group = c.benchmark_group("address sets");
    for count in [100, 1000, 10_000] {
        let info = common::model(1, count, 0, Addresses::Slash16);
        let bytes = info.encode();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("encode {count} of a /16"), |b| b.iter(|| black_box(&info).encode()));
        let trusting = Limits { canonical: false, ..Limits::default() };
        group.bench_function(format!("decode {count} of a /16"), |b| {
            b.iter(|| Info::decode(black_box(&bytes), &trusting).unwrap());
        });
        group.bench_function(format!("view {count} of a /16"), |b| {
            b.iter(|| View::new(black_box(&bytes), &Limits::default()).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, messages, addresses);
criterion_main!(benches);
