//! `decode` on captures that the tests write, on real ones if they are there, and on bad input.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
use rrcp_ctl::decode::{self, Summary};
use serde_json::{Value, json};

/// An echo request behind two tags, an IPv4 frame, a hello reply without its last byte.
const FRAMES: [&str; 3] = [
    "ffffffffffff020000000001 88a80064 8100e00a 889902000000000000000000a1a2a3a4b1b2b3b4",
    "ffffffffffff020000000001 0800450000",
    "02000000000152544c010203 8899018023790700000000000000 0c00404142",
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.bytes().filter(|byte| *byte != b' ').collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn write_pcap(name: &str) -> PathBuf {
    let path = temporary(name);
    let mut writer = PcapWriter::new(File::create(&path).unwrap()).unwrap();
    for (second, hex) in (100..).zip(FRAMES) {
        let data = bytes(hex);
        writer.write_packet(&PcapPacket::new(Duration::from_secs(second), data.len() as u32, &data)).unwrap();
    }
    path
}

fn write_pcapng(name: &str) -> PathBuf {
    let path = temporary(name);
    let mut writer = PcapNgWriter::new(File::create(&path).unwrap()).unwrap();
    let interface = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0, options: vec![] };
    writer.write_pcapng_block(interface).unwrap();
    for (second, hex) in (100..).zip(FRAMES) {
        let data = bytes(hex);
        writer
            .write_pcapng_block(EnhancedPacketBlock {
                interface_id: 0,
                timestamp: Duration::from_secs(second),
                original_len: data.len() as u32,
                data: Cow::Owned(data),
                options: vec![],
            })
            .unwrap();
    }
    path
}

fn json_lines(input: &Path) -> (Vec<Value>, Summary) {
    let mut out = Vec::new();
    let summary = decode::run(input.to_str().unwrap(), true, &mut out).unwrap();
    let lines = str::from_utf8(&out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap());
    (lines.collect(), summary)
}

#[test]
fn both_capture_formats_give_one_object_for_each_frame_of_the_family() {
    for path in [write_pcap("both.pcap"), write_pcapng("both.pcapng")] {
        let (lines, summary) = json_lines(&path);
        assert_eq!(summary, Summary { frames: 3, ours: 2, malformed: 1 });
        let echo = json!({
            "frame": 1, "time": 0.0, "kind": "echo-request", "cookie": "a1a2a3a4b1b2b3b4",
            "src": "02:00:00:00:00:01", "dst": "ff:ff:ff:ff:ff:ff", "vlan": 100,
            "tags": [
                { "tpid": "0x88a8", "vid": 100, "pcp": 0, "dei": false },
                { "tpid": "0x8100", "vid": 10, "pcp": 7, "dei": false },
            ],
        });
        let cut = json!({
            "frame": 3, "time": 2.0, "kind": "malformed", "error": "hello reply needs 32 bytes, 31 available",
            "src": "52:54:4c:01:02:03", "dst": "02:00:00:00:00:01", "vlan": null,
        });
        assert_eq!(lines, [echo, cut]);
    }
}

#[test]
fn a_capture_that_ends_in_the_middle_says_behind_which_frame() {
    let path = write_pcap("cut.pcap");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, whole.get(..whole.len() - 1).unwrap()).unwrap();
    let error = decode::run(path.to_str().unwrap(), false, &mut Vec::new()).unwrap_err();
    assert!(format!("{error:#}").contains("damaged behind frame 2"), "{error:#}");
}

#[test]
fn a_capture_of_another_link_type_is_refused() {
    let path = temporary("raw.pcap");
    let header = PcapHeader { datalink: DataLink::RAW, ..Default::default() };
    PcapWriter::with_header(File::create(&path).unwrap(), header).unwrap();
    let error = decode::run(path.to_str().unwrap(), false, &mut Vec::new()).unwrap_err();
    assert!(format!("{error:#}").contains("is not Ethernet"), "{error:#}");
}

#[test]
fn bad_input_exits_with_2_and_says_what_is_wrong() {
    for (input, complaint) in [
        ("no-such-file.pcap", "neither a file nor a frame"),
        ("ffffffffffff 52544c010203 8899", "protocol byte needs 15 bytes, 14 available"),
        ("ffffffffffff 52544c010203 0806", "EtherType 0x0806 is not Realtek's 0x8899"),
        ("fff", "3 digits are no whole number of bytes"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_rrcp-ctl")).args(["decode", input]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(complaint), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}

/// The loop prevention frames of a TP-Link switch in nDPI's `teams.pcap` and `zoom.pcap`.
#[test]
fn real_loop_prevention_frames_are_decoded() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    for (file, frames, ours) in [("derived-realtek-0x25-only.pcap", 16, 16), ("ndpi-teams.pcap", 1540, 13)] {
        let path = captures.join(file);
        if !path.exists() {
            println!("skipped: {file} not found");
            continue;
        }
        let (lines, summary) = json_lines(&path);
        assert_eq!(summary, Summary { frames, ours, malformed: 0 });
        for line in lines {
            assert_eq!(line["kind"], "probe-vector");
            assert_eq!((&line["port"], &line["cost"], &line["vlan"]), (&json!(8), &json!(0), &json!(null)));
            for field in ["src", "root", "bridge"] {
                assert_eq!(line[field], "d8:0d:17:d6:55:ab");
            }
        }
    }
}
