//! Captures through the gateway: what leaves where, when, and what is written.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mac_nat_gw::replay::replay;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::{DataLink, TsResolution};

use crate::frames::*;
use crate::settings;

const START: Duration = Duration::new(1_700_000_000, 0);

fn record(path: &Path, frames: &[(u64, Vec<u8>)]) -> PathBuf {
    let header = PcapHeader {
        datalink: DataLink::ETHERNET,
        ts_resolution: TsResolution::NanoSecond,
        ..Default::default()
    };
    let mut writer = PcapWriter::with_header(File::create(path).unwrap(), header).unwrap();
    for (ms, frame) in frames {
        let time = START + Duration::from_millis(*ms);
        writer.write_packet(&PcapPacket::new(time, frame.len() as u32, frame)).unwrap();
    }
    path.to_owned()
}

fn play(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    assert_eq!(reader.header().ts_resolution, TsResolution::NanoSecond);
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        frames.push(((packet.timestamp - START).as_millis() as u64, packet.data.into_owned()));
    }
    frames
}

#[test]
fn a_conversation_is_translated_both_ways_in_its_own_time() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let vm1 = record(
        &at("in-vm1.pcap"),
        &[
            (0, arp_frame(BROADCAST, 1, V1, A, NIL, G)),
            (10, eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping"))),
            (12, eth(R, V1, &[], 0x88B5, b"?")),
        ],
    );
    let uplink = record(
        &at("in-uplink.pcap"),
        &[
            (5, arp_frame(E, 2, R, G, E, A)),
            (11, eth(E, R, &[], IPV4, &ipv4(G, A, 1, b"pong"))),
            // Nobody has this one: the question goes out again a second later.
            (100, eth(E, R, &[], IPV4, &ipv4(G, FREE, 1, b"ping"))),
            (1500, arp_frame(BROADCAST, 1, R, G, NIL, B)),
        ],
    );
    let out = at("out");
    let inputs = [("vm1".to_owned(), vm1), ("uplink".to_owned(), uplink)];
    let mut settings = settings("single.toml");
    settings.engine.ports[1].allowed.clear();
    let summary = replay(&settings, &inputs, Some(&out)).unwrap();

    let left = play(&out.join("uplink.pcap"));
    assert_eq!(left.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [0, 10]);
    assert!(left.iter().all(|(_, frame)| src(frame) == E && !carries(frame, V1)));
    let to_vm1 = play(&out.join("vm1.pcap"));
    let times: Vec<u64> = to_vm1.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(times, [5, 11, 100, 1100, 1500]);
    assert_eq!(arp_macs(&to_vm1[0].1), (R, V1));
    // The broadcast of vm1 reached vm2 and the host as it was.
    for side in ["vm2.pcap", "host.pcap"] {
        assert_eq!(play(&out.join(side))[0], (0, arp_frame(BROADCAST, 1, V1, A, NIL, G)));
    }
    let json: serde_json::Value =
        serde_json::from_reader(File::open(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(json["counters"]["frames"], 7);
    assert_eq!(json["counters"]["held"], 1);
    assert_eq!(json["counters"]["stopped_by_guard"], 0);
    assert_eq!(json["dropped"]["protocol"], 1);
    assert_eq!(json["sent"]["uplink"], 2);
    assert_eq!(json["inputs"][0]["frames"], 3);
    assert_eq!(summary.sent["vm1"], 5);
}

#[test]
fn a_broken_capture_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = record(&directory.path().join("in.pcap"), &[(0, arp_frame(BROADCAST, 1, V1, A, NIL, G))]);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let out = directory.path().join("out");
    let error =
        replay(&settings("single.toml"), &[("vm1".into(), path)], Some(&out)).unwrap_err().to_string();
    assert!(error.contains("in.pcap") && error.contains("truncated"), "{error}");
    assert!(!out.exists());
}

#[test]
fn a_replay_never_writes_over_its_input() {
    let directory = tempfile::tempdir().unwrap();
    let path = record(&directory.path().join("uplink.pcap"), &[]);
    let error =
        replay(&settings("single.toml"), &[("uplink".into(), path)], Some(directory.path())).unwrap_err();
    assert!(error.to_string().contains("write over"), "{error}");
}

#[test]
fn sides_that_are_none_are_named() {
    let settings = settings("single.toml");
    let error = replay(&settings, &[("vm9".into(), "x.pcap".into())], None).unwrap_err().to_string();
    assert!(error.contains("there is no side `vm9`") && error.contains("uplink, host, vm1, vm2"), "{error}");
}

#[test]
fn recorded_traffic_leaks_no_station() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    let Ok(files) = std::fs::read_dir(&captures) else {
        println!("skipped: {} not found", captures.display());
        return;
    };
    let mut settings = settings("vmac.toml");
    settings.engine.ports[0].wire = Some(W1.into());
    settings.engine.limits.bindings_per_port = 1000;
    let mut left = 0;
    for file in
        files.map(|file| file.unwrap().path()).filter(|file| file.extension().is_some_and(|ext| ext != "md"))
    {
        let directory = tempfile::tempdir().unwrap();
        let summary = replay(&settings, &[("vm1".into(), file.clone())], Some(directory.path())).unwrap();
        assert_eq!(summary.status.counters["stopped_by_guard"], 0, "{}", file.display());
        let frames = play_any_time(&directory.path().join("uplink.pcap"));
        assert!(frames.iter().all(|frame| [W1, W2, W3, E].contains(&src(frame))), "{}", file.display());
        left += frames.len();
    }
    assert!(left > 1000, "only {left} frames left");
}

fn play_any_time(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let packets =
        std::iter::from_fn(|| reader.next_raw_packet().map(|packet| packet.unwrap().data.into_owned()));
    packets.collect()
}
