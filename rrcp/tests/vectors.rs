//! The golden frames in both directions, and every way to cut or stretch them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{C18, C19, C20, C21, C22, C23, C24, R2, STATION, SWITCH, golden, padded};
use rrcp::wire::{CpuTagFormat, Op, Ttl};
use rrcp::{EtherType, Frame, FrameView, Message, ParseError, Probe, Tag};
use vlan_table::FrameError;

const MAX_TAGS: usize = 3;

/// Bytes that a kind needs behind the EtherType: below it the frame is truncated.
fn needed(message: &Message<'_>) -> usize {
    match message {
        Message::Rrcp(rrcp) => match rrcp.op {
            Op::Hello => 4,
            Op::Get(_) | Op::GetReply(_) | Op::Set(_) => 10,
            Op::HelloReply(_) => 18,
        },
        Message::Rep(_) | Message::Probe(Probe::Classic { .. } | Probe::Short { .. }) => 1,
        Message::Probe(Probe::Rldp(_)) => 14,
        Message::Probe(Probe::Vector(_)) => 23,
        Message::CpuTag(tag) if tag.format() == CpuTagFormat::Rtl8365 => 8,
        Message::CpuTag(_) => 4,
        Message::Unknown(_) => 1,
    }
}

#[test]
fn golden_frames_parse_to_their_meaning() {
    for golden in golden() {
        let bytes = golden.bytes();
        let view = FrameView::new(&bytes, MAX_TAGS).unwrap();
        assert_eq!(view.message(), golden.message, "{}", golden.id);
        assert_eq!((view.dst(), view.src()), (golden.dst, golden.src), "{}", golden.id);
        assert!(view.tags().eq(golden.tags.iter().copied()), "{}", golden.id);
    }
}

#[test]
fn golden_meanings_emit_their_frame() {
    for golden in golden() {
        let mut out = [0xEE; 80];
        let frame = Frame { dst: golden.dst, src: golden.src, message: golden.message };
        let len = frame.emit(&golden.tags, &mut out).unwrap();
        assert_eq!(out[..len], golden.bytes(), "{}", golden.id);
        assert!(out[len..].iter().all(|&byte| byte == 0xEE), "{}: later bytes are untouched", golden.id);
        for short in 0..len {
            let error = frame.emit(&golden.tags, &mut out[..short]).unwrap_err();
            assert_eq!((error.needed, error.have), (len, short));
        }
    }
}

/// C18..C21.
#[test]
fn frames_kept_as_bytes_survive_both_directions() {
    for hex in [C18, C19, C20, C21] {
        let bytes = padded(hex, 60);
        let frame = FrameView::new(&bytes, 0).unwrap().to_frame();
        assert!(matches!(frame.message, Message::CpuTag(_) | Message::Unknown(_)));
        let mut out = [0xEE; 60];
        assert_eq!(frame.emit(&[], &mut out), Ok(60));
        assert_eq!(out[..], bytes);
    }
}

/// C18..C20; corner case 20.
#[test]
fn a_cpu_tag_is_recognised_and_is_no_message() {
    let [c18, c19, c20] = [C18, C19, C20].map(|hex| padded(hex, 60));
    let tag = |bytes| match FrameView::new(bytes, 0).unwrap().message() {
        Message::CpuTag(tag) => tag,
        other => panic!("{other:?}"),
    };
    assert_eq!(tag(&c18).format(), CpuTagFormat::Rtl8365);
    assert_eq!(tag(&c18).ports_raw(), 2);
    assert_eq!((tag(&c18).reason(), tag(&c18).learning_disabled()), (Some(0), Some(true)));
    assert_eq!((tag(&c19).format(), tag(&c19).ports_raw()), (CpuTagFormat::Rtl8366, 3));
    assert_eq!((tag(&c20).format(), tag(&c20).ports_raw()), (CpuTagFormat::Rtl8306, 3));
    for bytes in [&c18, &c19, &c20] {
        assert_eq!(tag(bytes).ether_type(), EtherType::IPV4);
        assert_eq!(tag(bytes).payload()[0], 0x45, "the IPv4 header follows");
    }
}

/// Corner case 20: the whole byte decides before its high nibble does.
#[test]
fn every_first_byte_is_one_kind_and_only_three_are_probes() {
    for first in 0..=u8::MAX {
        let mut bytes = padded(C21, 60);
        bytes[14] = first;
        let message = FrameView::new(&bytes, 0).unwrap().message();
        let as_expected = match first {
            0x01 => matches!(message, Message::Rrcp(_)),
            0x02 => matches!(message, Message::Rep(_)),
            0x03 | 0x23 | 0x25 => matches!(message, Message::Probe(_)),
            0x04 | 0x90..=0xAF => matches!(message, Message::CpuTag(_)),
            _ => matches!(message, Message::Unknown(unknown) if unknown.protocol() == first),
        };
        assert!(as_expected, "{first:#04x}: {message:?}");
    }
}

#[test]
fn an_opcode_that_no_document_defines_is_unknown() {
    for opcode in 0..=u8::MAX {
        let mut bytes = padded(C21, 60);
        [bytes[14], bytes[15]] = [0x01, opcode];
        let known = matches!(opcode, 0x00 | 0x80 | 0x01 | 0x81 | 0x02);
        let message = FrameView::new(&bytes, 0).unwrap().message();
        assert_eq!(matches!(message, Message::Rrcp(_)), known, "{opcode:#04x}: {message:?}");
    }
}

/// R2.
#[test]
fn another_protocol_is_not_ours() {
    let error = FrameView::new(&padded(R2, 60), MAX_TAGS).unwrap_err();
    assert_eq!(error, ParseError::NotOurs { ether_type: EtherType::ECTP });
    assert_eq!(error.to_string(), "EtherType 0x9000 is not Realtek's 0x8899");
}

/// C22..C24; corner cases 1 and 2.
#[test]
fn short_frames_say_what_they_need() {
    let c22 = padded(C22, 15);
    let view = FrameView::new(&c22, 0).unwrap();
    assert_eq!(view.message(), Message::Probe(Probe::Classic { ttl: Ttl::NONE }));

    let protocol_byte = ParseError::Truncated { layer: "protocol byte", needed: 15, have: 14 };
    assert_eq!(FrameView::new(&padded(C23, 14), 0).unwrap_err(), protocol_byte);
    let hello_reply = ParseError::Truncated { layer: "hello reply", needed: 32, have: 31 };
    assert_eq!(FrameView::new(&padded(C24, 31), 0).unwrap_err(), hello_reply);
    let header = FrameError::Truncated { layer: "Ethernet header", needed: 14, have: 13 };
    assert_eq!(FrameView::new(&padded(C23, 14)[..13], 0).unwrap_err(), ParseError::Ethernet(header));
}

/// Corner cases 1, 2 and 4: every kind, behind zero to three tags, cut at every length.
#[test]
fn every_truncation_is_an_error_with_the_length_that_is_needed() {
    let kept = [C18, C19, C20, C21].map(|hex| padded(hex, 60));
    let kept = kept.iter().map(|bytes| FrameView::new(bytes, 0).unwrap().to_frame());
    let built = golden();
    let built = built.iter().map(|g| Frame { dst: g.dst, src: g.src, message: g.message });
    for frame in built.chain(kept) {
        for tags in 0..=MAX_TAGS {
            let mut out = [0; 80];
            let len = frame.emit(&vec![Tag::from_tci(EtherType::VLAN, 10); tags], &mut out).unwrap();
            let needs = 14 + 4 * tags + needed(&frame.message);
            for have in 0..=len {
                match FrameView::new(&out[..have], tags) {
                    // Nothing but the byte 23 is the short form without its hop count.
                    Ok(cut)
                        if have == 15 + 4 * tags
                            && matches!(frame.message, Message::Probe(Probe::Rldp(_))) =>
                    {
                        assert_eq!(cut.message(), Message::Probe(Probe::Short { ttl: Ttl::NONE }));
                    }
                    Ok(_) => assert!(have >= needs, "{frame} parses at {have}, needs {needs}"),
                    Err(ParseError::Truncated { needed, have: at, .. })
                    | Err(ParseError::Ethernet(FrameError::Truncated { needed, have: at, .. })) => {
                        assert!(have < needs, "{frame} fails at {have}, needs {needs}");
                        assert_eq!(at, have);
                        assert!(have < needed && needed <= needs, "{frame}: {needed} of {needs}");
                    }
                    Err(error) => panic!("{frame}: {error}"),
                }
            }
        }
    }
}

/// Corner case 3: padding with anything, an FCS, a jumbo tail.
#[test]
fn what_follows_the_last_field_changes_nothing() {
    for golden in golden() {
        let fields = golden.hex.chars().filter(|c| !c.is_whitespace()).count() / 2;
        // A cookie that is padding, and a TTL that is none, are only absent where padding is zero.
        let fixed = fields.max(14 + 4 * golden.tags.len() + 18);
        for (filler, len) in [(0x00, 64), (0x20, 60), (0xFF, 64), (0xA5, 9018)] {
            let mut bytes = golden.bytes();
            bytes.truncate(fixed);
            bytes.resize(len.max(fixed), filler);
            assert_eq!(FrameView::new(&bytes, MAX_TAGS).unwrap().message(), golden.message, "{}", golden.id);
        }
    }
}

/// Corner case 3: chips fill with 0x20 directly behind the last byte that they write.
#[test]
fn filler_behind_a_classic_probe_is_no_hop_count() {
    let mut bytes = padded("ffffffffffff 52544c8305b0 8899 03 00", 16);
    bytes.resize(60, 0x20);
    let message = FrameView::new(&bytes, 0).unwrap().message();
    assert_eq!(message, Message::Probe(Probe::Classic { ttl: Ttl::NONE }));
}

/// Corner case 2: no partial values.
#[test]
fn a_cookie_is_whole_or_none() {
    let bytes = padded("52544c010203 020000000001 8899 01 01 2379 0602 00000000 11223344 55667788", 60);
    for len in 24..=60 {
        let Message::Rrcp(rrcp) = FrameView::new(&bytes[..len], 0).unwrap().message() else { panic!() };
        let Op::Get(access) = rrcp.op else { panic!("{rrcp}") };
        assert_eq!(access.cookie.0 != [0; 8], len >= 32, "{len}");
    }
}

/// Corner case 4.
#[test]
fn a_tag_beyond_the_limit_makes_the_frame_not_ours() {
    let frame = Frame { dst: STATION, src: SWITCH, message: Probe::Classic { ttl: Ttl::NONE }.into() };
    let priority = Tag::from_tci(EtherType::VLAN, 0xE000);
    let tags =
        [Tag::from_tci(EtherType::SERVICE_VLAN, 100), Tag::from_tci(EtherType::VLAN_9100, 7), priority];
    let mut out = [0; 80];
    for count in 0..=3 {
        let len = frame.emit(&tags[..count], &mut out).unwrap();
        for limit in 0..=4 {
            let view = FrameView::new(&out[..len], limit);
            match tags[..count].get(limit) {
                Some(beyond) => {
                    assert_eq!(view.unwrap_err(), ParseError::NotOurs { ether_type: beyond.tpid });
                }
                None => assert_eq!(view.unwrap().to_frame(), frame),
            }
        }
    }
    let len = frame.emit(&[priority], &mut out).unwrap();
    assert_eq!(FrameView::new(&out[..len], 1).unwrap().vlan(), None, "a priority tag names no VLAN");
}
