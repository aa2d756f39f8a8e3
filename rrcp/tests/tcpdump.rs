//! tcpdump's reading of frames that we emit. It was written apart from us, by people with switches.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::process::Command;
use std::time::Duration;

use common::{C18, C19, C20, C21, golden, padded};
use pcap_file::pcap::{PcapPacket, PcapWriter};
use rrcp::wire::{Access, AuthKey, Cookie, CpuTagFormat, Op, RegisterAddress, Rrcp};
use rrcp::{Frame, FrameView, Message, Probe, Tag};

/// What tcpdump 4.99 prints behind the addresses, its defects included:
///
/// - chip and vendor id are printed in wire order, though the chips send them low byte first;
/// - the two words of a cookie change places;
/// - the loop prevention vector is unknown;
/// - all other probes are "RLDP", and nothing of their body is shown;
/// - REP requests and replies look the same.
fn reading(message: &Message<'_>) -> String {
    match message {
        Message::Rrcp(rrcp) => reading_of_rrcp(rrcp),
        Message::Rep(_) => "REP".to_owned(),
        Message::Probe(Probe::Vector(_)) => "Realtek unknown type 0x25".to_owned(),
        Message::Probe(_) => "RLDP".to_owned(),
        Message::CpuTag(tag) => match tag.format() {
            CpuTagFormat::Rtl8365 => "Realtek 8-byte DSA tag".to_owned(),
            CpuTagFormat::Rtl8306 => "Realtek RTL8306 4-byte DSA tag".to_owned(),
            CpuTagFormat::Rtl8366 => "Realtek RTL8366RB 4-byte DSA tag".to_owned(),
        },
        Message::Unknown(unknown) => format!("Realtek unknown type {:#04x}", unknown.protocol()),
    }
}

fn reading_of_rrcp(Rrcp { key, op }: &Rrcp) -> String {
    let access = |name: &str, Access { register, data, cookie }: &Access| {
        let [a, b, c, d, e, f, g, h] = cookie.0;
        let exchanged = u64::from_be_bytes([e, f, g, h, a, b, c, d]);
        format!("{name} addr={register}, data={data:#010x}, auth={key}, cookie={exchanged:#018x}")
    };
    match op {
        Op::Hello => format!("RRCP query: hello, auth={key}"),
        Op::HelloReply(reply) => {
            let (vendor, chip) = (reply.vendor.0.swap_bytes(), reply.chip.0.swap_bytes());
            format!(
                "RRCP reply: hello, auth={key} downlink_port={}, uplink_port={}, uplink_mac={}, \
                 vendor_id={vendor:08x} ,chip_id={chip:04x}",
                reply.downlink_port,
                reply.uplink_port,
                reply.uplink_mac.to_string().to_lowercase(),
            )
        }
        Op::Get(get) => access("RRCP query: get", get),
        Op::GetReply(reply) => access("RRCP reply: get", reply),
        Op::Set(set) => access("RRCP query: set", set),
    }
}

fn emitted(frame: &Frame<'_>, tags: &[Tag]) -> Vec<u8> {
    let mut out = vec![0; frame.emitted_len(tags.len())];
    frame.emit(tags, &mut out).unwrap();
    out
}

/// Every golden frame behind its tags, the kinds that are kept as bytes, and registers and values
/// of all sizes.
fn frames() -> Vec<Vec<u8>> {
    let built = golden().into_iter().map(|golden| {
        let frame = Frame { dst: golden.dst, src: golden.src, message: golden.message };
        emitted(&frame, &golden.tags)
    });
    let kept = [C18, C19, C20, C21].into_iter().map(|hex| {
        let bytes = padded(hex, 60);
        emitted(&FrameView::new(&bytes, 0).unwrap().to_frame(), &[])
    });
    let accesses = (0..300_u32).map(|number| {
        let bits = number.wrapping_mul(0x9E37_79B9);
        let cookie = Cookie((u64::from(bits) << 32 | u64::from(!bits)).to_be_bytes());
        let access = Access { register: RegisterAddress((bits >> 7) as u16), data: bits, cookie };
        let op = [Op::Get, Op::GetReply, Op::Set][number as usize % 3](access);
        let message = Rrcp { key: AuthKey(bits as u16), op }.into();
        emitted(&Frame { dst: common::SWITCH, src: common::STATION, message }, &[])
    });
    built.chain(kept).chain(accesses).collect()
}

#[test]
fn tcpdump_reads_what_we_emit() {
    let frames = frames();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = PcapWriter::new(file.reopen().unwrap()).unwrap();
    for bytes in &frames {
        writer.write_packet(&PcapPacket::new(Duration::ZERO, bytes.len() as u32, bytes)).unwrap();
    }
    drop(writer);
    let Ok(output) = Command::new("tcpdump").args(["-n", "-t", "-e", "-r"]).arg(file.path()).output() else {
        assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "tcpdump not found");
        println!("skipped: tcpdump not found");
        return;
    };
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), frames.len(), "{}", String::from_utf8_lossy(&output.stderr));
    for (bytes, line) in frames.iter().zip(lines.lines()) {
        let view = FrameView::new(bytes, 2).unwrap();
        let expected = reading(&view.message());
        assert!(line.trim_end().ends_with(&expected), "{view}\ntcpdump: {line}\nexpected: {expected}");
        for tag in view.tags() {
            assert!(line.contains(&format!("vlan {}, p {}", tag.vid.raw(), tag.pcp.get())), "{line}");
        }
    }
}
