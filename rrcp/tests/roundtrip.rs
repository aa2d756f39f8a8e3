//! Whatever can be built survives the wire, and whatever parses can be emitted.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs::File;
use std::path::Path;

use macaddr::MacAddr6;
use pcap_file::pcap::PcapReader;
use proptest::array::{uniform3, uniform6, uniform8};
use proptest::prelude::*;
use rrcp::wire::{
    Access, AuthKey, ChipId, Cookie, HelloReply, Op, RegisterAddress, Rep, Rldp, RldpRandom, Rrcp, Ttl,
    Vector, VectorId, VendorId,
};
use rrcp::{Frame, FrameView, Message, Probe, Tag};

fn mac() -> impl Strategy<Value = MacAddr6> {
    uniform6(any::<u8>()).prop_map(MacAddr6::from)
}

fn tag() -> impl Strategy<Value = Tag> {
    (prop::sample::select(vec![0x8100_u16, 0x88A8, 0x9100]), any::<u16>())
        .prop_map(|(tpid, tci)| Tag::from_tci(tpid.into(), tci))
}

fn op() -> impl Strategy<Value = Op> {
    let access = (any::<u16>(), any::<u32>(), uniform8(any::<u8>())).prop_map(|(register, data, cookie)| {
        Access { register: RegisterAddress(register), data, cookie: Cookie(cookie) }
    });
    let hello_reply = (any::<[u8; 2]>(), mac(), any::<u16>(), any::<u32>());
    let hello_reply = hello_reply.prop_map(|([downlink_port, uplink_port], uplink_mac, chip, vendor)| {
        let (chip, vendor) = (ChipId(chip), VendorId(vendor));
        Op::HelloReply(HelloReply { downlink_port, uplink_port, uplink_mac, chip, vendor })
    });
    prop_oneof![
        Just(Op::Hello),
        hello_reply,
        access.clone().prop_map(Op::Get),
        access.clone().prop_map(Op::GetReply),
        access.prop_map(Op::Set),
    ]
}

fn probe() -> impl Strategy<Value = Probe> {
    let ttl = (0..16_u8).prop_map(|raw| Ttl::new(raw).unwrap());
    let rldp = (uniform6(any::<u8>()), uniform6(any::<u8>()), any::<u8>());
    let rldp = rldp.prop_filter_map("the short form", |(random, magic, port)| {
        Some(Rldp { random: RldpRandom::new(random)?, magic, port })
    });
    let id = || (uniform3(any::<u8>()), mac()).prop_map(|(priority, mac)| VectorId { priority, mac });
    let vector = (id(), any::<u16>(), id(), any::<u8>(), any::<u8>());
    let vector = vector.prop_map(|(root, cost, bridge, port_priority, port)| Vector {
        root,
        cost,
        bridge,
        port_priority,
        port,
    });
    prop_oneof![
        ttl.clone().prop_map(|ttl| Probe::Classic { ttl }),
        ttl.prop_map(|ttl| Probe::Short { ttl }),
        rldp.prop_map(Probe::Rldp),
        vector.prop_map(Probe::Vector),
    ]
}

fn message() -> impl Strategy<Value = Message<'static>> {
    let rep = (any::<bool>(), uniform8(any::<u8>()));
    prop_oneof![
        (any::<u16>(), op()).prop_map(|(key, op)| Rrcp { key: AuthKey(key), op }.into()),
        rep.prop_map(|(reply, cookie)| Rep { reply, cookie: Cookie(cookie) }.into()),
        probe().prop_map(Message::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_built_survives_the_wire(
        (dst, src) in (mac(), mac()),
        tags in prop::collection::vec(tag(), 0..4),
        message in message(),
    ) {
        let frame = Frame { dst, src, message };
        let mut out = [0xEE; 80];
        let len = frame.emit(&tags, &mut out).unwrap();
        prop_assert_eq!(len, 60 + 4 * tags.len());
        let view = FrameView::new(&out[..len], tags.len()).unwrap();
        prop_assert_eq!(view.to_frame(), frame);
        prop_assert!(view.tags().eq(tags));
    }

    #[test]
    fn what_parses_can_be_emitted(
        first in prop_oneof![Just(1_u8), Just(2), Just(3), Just(4), Just(0x23), Just(0x25), any::<u8>()],
        mut bytes in prop::collection::vec(any::<u8>(), 15..100),
        zeros in any::<bool>(),
    ) {
        bytes[12..15].copy_from_slice(&[0x88, 0x99, first]);
        // Most of what is on wires is zero; without zeros, the short forms never occur.
        if zeros {
            bytes.iter_mut().skip(15).step_by(2).for_each(|byte| *byte = 0);
        }
        let Ok(view) = FrameView::new(&bytes, 0) else { return Ok(()) };
        let frame = view.to_frame();
        let mut out = [0; 128];
        let len = frame.emit(&[], &mut out).unwrap();
        let again = FrameView::new(&out[..len], 0).unwrap().to_frame();
        match (frame.message, again.message) {
            // Kept as bytes, so padding is a part of them.
            (Message::Unknown(kept), Message::Unknown(padded)) => {
                prop_assert!(padded.payload().starts_with(kept.payload()));
            }
            (Message::CpuTag(kept), Message::CpuTag(padded)) => {
                prop_assert!(padded.as_bytes().starts_with(kept.as_bytes()));
            }
            (said, same) => prop_assert_eq!(said, same),
        }
    }
}

/// Frames of a TP-Link switch (nDPI `teams.pcap` and `zoom.pcap`), byte for byte.
#[test]
fn captured_frames_are_emitted_as_they_were() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/derived-realtek-0x25-only.pcap");
    let Ok(file) = File::open(&path) else {
        println!("skipped: {} not found", path.display());
        return;
    };
    let mut reader = PcapReader::new(file).unwrap();
    let mut frames = 0;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let mut out = [0; 80];
        let len = FrameView::new(&packet.data, 0).unwrap().to_frame().emit(&[], &mut out).unwrap();
        assert_eq!(out[..len], *packet.data);
        frames += 1;
    }
    assert_eq!(frames, 16);
}
