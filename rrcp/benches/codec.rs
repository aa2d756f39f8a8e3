//! Parse and build of one register access, against scroll and zerocopy.
//!
//! The peers know this one layout, untagged; ours tells all kinds apart and looks for tags first.
//! Every field goes into a checksum, so that none can be left unread.
//!
//! `cargo bench -p rrcp --bench codec`
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "benches are programs, and may panic"
)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rrcp::wire::{Access, AuthKey, Cookie, Op, RegisterAddress, Rrcp};
use rrcp::{Frame, FrameView, MacAddr6, Message};
use scroll::{BE, LE, Pread, Pwrite};
use zerocopy::byteorder::{big_endian, little_endian};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

const FRAMES: usize = 1024;
/// Frames stand on cache lines, as in a ring of buffers.
type Buffer = [u8; 64];
const LEN: usize = 60;

/// The fields, as the peers see them.
#[derive(Clone, Copy)]
struct Fields {
    dst: [u8; 6],
    src: [u8; 6],
    key: u16,
    register: u16,
    data: u32,
    cookie: [u8; 8],
}

impl Fields {
    fn number(number: usize) -> Self {
        let bits = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let [a, b, c, d, e, f, ..] = bits.to_be_bytes();
        Self {
            dst: [0x52, 0x54, a, b, c, d],
            src: [2, b, c, d, e, f],
            key: 0x2379,
            register: (bits >> 48) as u16,
            data: bits as u32,
            cookie: bits.to_le_bytes(),
        }
    }

    fn sum(&self) -> u64 {
        let mac = |[a, b, c, d, e, f]: [u8; 6]| u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let small = u64::from(self.key) << 48 | u64::from(self.register) << 32 | u64::from(self.data);
        mac(self.dst) ^ mac(self.src).rotate_left(8) ^ small ^ u64::from_le_bytes(self.cookie)
    }
}

mod ours {
    use super::*;

    #[inline]
    pub(super) fn parse(frame: &[u8]) -> Option<Fields> {
        let view = FrameView::new(frame, 2).ok()?;
        let Message::Rrcp(Rrcp { key, op: Op::Get(Access { register, data, cookie }) }) = view.message()
        else {
            return None;
        };
        let (dst, src) = (view.dst().into_array(), view.src().into_array());
        Some(Fields { dst, src, key: key.0, register: register.0, data, cookie: cookie.0 })
    }

    #[inline]
    pub(super) fn build(fields: &Fields, out: &mut [u8]) -> Option<usize> {
        let Fields { dst, src, key, register, data, cookie } = *fields;
        let access = Access { register: RegisterAddress(register), data, cookie: Cookie(cookie) };
        let message = Rrcp { key: AuthKey(key), op: Op::Get(access) }.into();
        Frame { dst: MacAddr6::from(dst), src: MacAddr6::from(src), message }.emit(&[], out).ok()
    }
}

mod with_scroll {
    use super::*;

    #[inline]
    pub(super) fn parse(frame: &[u8]) -> Option<Fields> {
        let mut at = 0;
        let mut mac = [[0; 6]; 2];
        for byte in mac.as_flattened_mut() {
            *byte = frame.gread(&mut at).ok()?;
        }
        let ether_type: u16 = frame.gread_with(&mut at, BE).ok()?;
        let kind: u16 = frame.gread_with(&mut at, BE).ok()?;
        if (ether_type, kind) != (0x8899, 0x0101) {
            return None;
        }
        let [dst, src] = mac;
        Some(Fields {
            dst,
            src,
            key: frame.gread_with(&mut at, BE).ok()?,
            register: frame.gread_with(&mut at, LE).ok()?,
            data: frame.gread_with(&mut at, LE).ok()?,
            cookie: frame.gread_with::<u64>(&mut at, LE).ok()?.to_le_bytes(),
        })
    }

    #[inline]
    pub(super) fn build(fields: &Fields, out: &mut [u8]) -> Option<usize> {
        let out = out.get_mut(..LEN)?;
        let mut at = 0;
        out.gwrite(&fields.dst[..], &mut at).ok()?;
        out.gwrite(&fields.src[..], &mut at).ok()?;
        out.gwrite_with(0x8899_u16, &mut at, BE).ok()?;
        out.gwrite_with(0x0101_u16, &mut at, BE).ok()?;
        out.gwrite_with(fields.key, &mut at, BE).ok()?;
        out.gwrite_with(fields.register, &mut at, LE).ok()?;
        out.gwrite_with(fields.data, &mut at, LE).ok()?;
        out.gwrite(&fields.cookie[..], &mut at).ok()?;
        out.get_mut(at..)?.fill(0);
        Some(LEN)
    }
}

mod with_zerocopy {
    use super::*;

    #[derive(FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
    #[repr(C)]
    struct Layout {
        dst: [u8; 6],
        src: [u8; 6],
        ether_type: big_endian::U16,
        kind: big_endian::U16,
        key: big_endian::U16,
        register: little_endian::U16,
        data: little_endian::U32,
        cookie: [u8; 8],
    }

    #[inline]
    pub(super) fn parse(frame: &[u8]) -> Option<Fields> {
        let (layout, _) = Layout::ref_from_prefix(frame).ok()?;
        if (layout.ether_type.get(), layout.kind.get()) != (0x8899, 0x0101) {
            return None;
        }
        Some(Fields {
            dst: layout.dst,
            src: layout.src,
            key: layout.key.get(),
            register: layout.register.get(),
            data: layout.data.get(),
            cookie: layout.cookie,
        })
    }

    #[inline]
    pub(super) fn build(fields: &Fields, out: &mut [u8]) -> Option<usize> {
        let Fields { dst, src, key, register, data, cookie } = *fields;
        let layout = Layout {
            dst,
            src,
            ether_type: 0x8899.into(),
            kind: 0x0101.into(),
            key: key.into(),
            register: register.into(),
            data: data.into(),
            cookie,
        };
        let out = out.get_mut(..LEN)?;
        layout.write_to_prefix(out).ok()?;
        out.get_mut(size_of::<Layout>()..)?.fill(0);
        Some(LEN)
    }
}

type Parse = fn(&[u8]) -> Option<Fields>;

fn frames() -> Vec<Buffer> {
    let mut frames = vec![[0; 64]; FRAMES];
    for (number, frame) in frames.iter_mut().enumerate() {
        assert_eq!(ours::build(&Fields::number(number), frame), Some(LEN));
    }
    frames
}

/// Who does not do the same is not compared.
fn agree(frames: &[Buffer]) {
    for (number, frame) in frames.iter().enumerate() {
        let fields = Fields::number(number);
        for parse in [ours::parse, with_scroll::parse, with_zerocopy::parse] as [Parse; 3] {
            assert_eq!(parse(&frame[..LEN]).unwrap().sum(), fields.sum());
        }
        for build in [with_scroll::build, with_zerocopy::build] {
            let mut out = [0xEE; 64];
            assert_eq!(build(&fields, &mut out), Some(LEN));
            assert_eq!(out[..LEN], frame[..LEN]);
        }
    }
}

fn codec(criterion: &mut Criterion) {
    let frames = frames();
    agree(&frames);
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(FRAMES as u64));
    macro_rules! parse {
        ($($peer:ident),*) => {$(
            group.bench_function(BenchmarkId::from_parameter(stringify!($peer)), |bencher| {
                bencher.iter(|| {
                    let mut sum = 0;
                    for frame in black_box(&frames) {
                        if let Some(fields) = $peer::parse(&frame[..LEN]) {
                            sum ^= fields.sum();
                        }
                    }
                    sum
                });
            });
        )*};
    }
    parse!(ours, with_scroll, with_zerocopy);
    group.finish();

    let fields: Vec<_> = (0..FRAMES).map(Fields::number).collect();
    let mut out = frames;
    let mut group = criterion.benchmark_group("build");
    group.throughput(Throughput::Elements(FRAMES as u64));
    macro_rules! build {
        ($($peer:ident),*) => {$(
            group.bench_function(BenchmarkId::from_parameter(stringify!($peer)), |bencher| {
                bencher.iter(|| {
                    for (fields, out) in black_box(&fields).iter().zip(&mut out) {
                        black_box($peer::build(fields, out));
                    }
                    black_box(&mut out);
                });
            });
        )*};
    }
    build!(ours, with_scroll, with_zerocopy);
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
