//! Recorded traffic: nothing panics, nothing of a station leaves, whatever it was.

use std::collections::BTreeSet;
use std::path::Path;

use mac_nat::{Config, Guard, MacNat, Mode, Port, PortId, Side, Verdict};

use crate::frames::{Mac, W1, carries};
use crate::lab::adds_up;

const NIC: Mac = [0x02, 0xAA, 0xBB, 0xCC, 0xDD, 0x01];

#[test]
fn recorded_stations_stay_unseen_outside() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let Ok(files) = std::fs::read_dir(&directory) else {
        println!("skipped: {} not found", directory.display());
        return;
    };
    let mut left = 0;
    let is_capture = |file: &std::path::PathBuf| file.extension().is_some_and(|ext| ext != "md");
    for file in files.map(|file| file.unwrap().path()).filter(is_capture) {
        for mode in [Mode::Single, Mode::Vmac] {
            left += replay(mode, &records(&std::fs::read(&file).unwrap()));
        }
    }
    assert!(left > 1000, "only {left} frames left: the captures were not read");
}

/// The capture plays the machines, then the provider; gives how many frames left.
fn replay(mode: Mode, frames: &[Vec<u8>]) -> usize {
    let mut config = Config::new(mode, NIC.into());
    config.limits.bindings_per_port = 1000;
    config.ports = [1, 2].map(|id| Port::new(PortId::new(id).unwrap())).into();
    config.ports[0].wire = Some(W1.into());
    let mut nat = MacNat::new(config).unwrap();
    let guard = Guard::new(nat.wire_macs());
    let stations: BTreeSet<Mac> = frames
        .iter()
        .filter_map(|frame| frame.get(6..12)?.try_into().ok())
        .filter(|mac: &Mac| mac[0] & 1 == 0)
        .collect();
    let mut left = 0;
    for (i, frame) in frames.iter().enumerate() {
        let now = std::time::Duration::from_millis(i as u64);
        let mut out = frame.clone();
        let verdict = nat.translate(now, Side::Inside(PortId::new(1).unwrap()), &mut out);
        assert_eq!(out.len(), frame.len());
        if matches!(verdict, Verdict::Flood | Verdict::Forward(Side::Uplink)) {
            left += 1;
            assert_eq!(guard.check(&out), Ok(()));
            // Headers only: payloads belong to those who wrote them.
            let headers = out.get(6..42.min(out.len())).unwrap();
            let destination: Mac = out[..6].try_into().unwrap();
            for station in stations.iter().filter(|station| **station != destination) {
                assert!(!carries(headers, *station) || out[12..14] != [8, 6]);
            }
        }
        let mut back = frame.clone();
        let _ = nat.translate(now, Side::Uplink, &mut back);
        nat.handle_timeout(now);
        while nat.poll_event().is_some() {}
        while nat.poll_transmit(&mut [0; 2048]).is_some() {}
    }
    assert!(adds_up(nat.counters()));
    left
}

/// The frames of a capture, classic or pcapng, read as far as this test needs it.
fn records(file: &[u8]) -> Vec<Vec<u8>> {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
    let mut frames = Vec::new();
    if file.starts_with(&[0x0A, 0x0D, 0x0D, 0x0A]) {
        let mut at = 0;
        while at + 12 <= file.len() {
            let (kind, len) = (word(&file[at..]), word(&file[at + 4..]));
            if kind == 6 {
                let captured = word(&file[at + 20..]);
                frames.push(file[at + 28..at + 28 + captured].to_vec());
            }
            at += len;
        }
        return frames;
    }
    let big_endian = file.starts_with(&[0xA1]);
    let mut at = 24;
    while at + 16 <= file.len() {
        let raw: [u8; 4] = file[at + 8..at + 12].try_into().unwrap();
        let len = if big_endian { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) } as usize;
        frames.push(file[at + 16..at + 16 + len].to_vec());
        at += 16 + len;
    }
    frames
}
