//! Every public capture that is at hand goes through every kind of switch: no panic, no lost frame.

#![allow(clippy::unwrap_used, reason = "tests may panic, helpers of tests too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use lab::capture::{Capture, Record};
use lab::config::SwitchFile;
use lab::replay::{Replay, Summary};

const SWITCHES: [&str; 4] = ["chip.toml", "chip-vlans.toml", "dot1q.toml", "openvswitch.toml"];

#[test]
fn every_capture_replays_and_the_counters_add_up() {
    let mut replayed = 0;
    for capture in captures() {
        for switch in SWITCHES {
            let out = tempfile::tempdir().unwrap();
            let file = SwitchFile::read(&data(switch)).unwrap();
            let port = file.build().names().next().unwrap().to_owned();
            let inputs = [(port, capture.display().to_string())];
            let summary = Replay {
                switch: &file,
                inputs: &inputs,
                out: Some(out.path()),
                stop: &AtomicBool::new(false),
            }
            .run()
            .unwrap();
            adds_up(&summary, out.path());
            replayed += 1;
        }
    }
    println!("{replayed} replays");
}

#[test]
fn a_damaged_capture_is_an_error_or_another_capture_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged");
    let (mut read, mut refused) = (0, 0);
    for name in ["hello.pcap", "hello.pcapng"] {
        let whole = fs::read(data(name)).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xFF;
            fs::write(&path, damaged).unwrap();
            match read_all(&path) {
                Ok(frames) => read += frames,
                Err(message) => {
                    assert!(message.contains("damaged: "), "{message}");
                    refused += 1;
                }
            }
        }
    }
    assert!(read > 500 && refused > 50, "{read} read, {refused} refused");
}

fn read_all(path: &Path) -> Result<usize, String> {
    let mut capture = Capture::open(path).map_err(|e| e.to_string())?;
    let mut record = Record::default();
    let mut frames = 0;
    while capture.read(&mut record).map_err(|e| e.to_string())? {
        frames += 1;
    }
    Ok(frames)
}

fn adds_up(summary: &Summary, out: &Path) {
    let switch = &summary.switch;
    let frames: u64 = summary.inputs.iter().map(|input| input.frames).sum();
    assert_eq!(switch.received, frames);
    assert_eq!(switch.received, switch.forwarded + switch.filtered + switch.dropped);
    assert_eq!(switch.filtered, switch.filters.values().sum::<u64>());
    assert_eq!(switch.dropped, switch.drops.values().sum::<u64>());
    for (name, port) in &switch.ports {
        assert_eq!(port.rx_frames, port.forwarded + port.filtered + port.dropped, "port {name}");
        assert_eq!(port.dropped, port.drops.values().sum::<u64>(), "port {name}");
        let (mut written, mut bytes) = (0, 0);
        let mut record = Record::default();
        let mut file = Capture::open(&out.join(format!("{name}.pcap"))).unwrap();
        while file.read(&mut record).unwrap() {
            written += 1;
            bytes += record.data.len() as u64;
        }
        assert_eq!((port.tx_frames, port.tx_bytes), (written, bytes), "port {name}");
    }
}

/// The captures beside the repository, if they are there, and our own.
fn captures() -> Vec<PathBuf> {
    let mut found = vec![data("hello.pcap"), data("hello.pcapng")];
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    match fs::read_dir(&beside) {
        Ok(entries) => found.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng")),
        ),
        Err(_) => println!("skipped: public captures not found"),
    }
    found
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
