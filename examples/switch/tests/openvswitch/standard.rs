//! The same ports under IEEE 802.1Q: what is not on the list of differences is no difference.
//!
//! The list, with the clauses, stands in `DESIGN.md`; here it says what is left out.

use crate::ours::Ours;
use crate::random::{self, Random};

const BRIDGES: u64 = 60;
const FRAMES: usize = 300;

#[test]
fn beside_the_differences_that_are_listed_the_standard_and_open_vswitch_agree() {
    let mut left = 0;
    for seed in 0..BRIDGES {
        let mut random = Random::new(seed);
        let ports = alike(random::ports(&mut random, 4..10));
        let (mut theirs, mut standard) = (Ours::new(1, &ports), Ours::standard(&ports));
        for _ in 0..FRAMES {
            let into = random::port(&mut random, &ports);
            let frame = random::frame(&mut random);
            if is_treated_differently(&frame, mode(&ports, &into)) {
                continue;
            }
            let frames = [frame];
            let expected = theirs.exchange(&into, &frames);
            left += expected.len();
            assert_eq!(
                standard.exchange(&into, &frames),
                expected,
                "into {into} of {ports:#?}: {frames:02x?}"
            );
            assert_eq!(standard.fdb(), theirs.fdb(), "into {into} of {ports:#?}: {frames:02x?}");
        }
    }
    assert!(left > 5_000, "only {left} frames left");
}

/// The ports without what only Open vSwitch has: VLANs 0 and 4095, tags of priority, tunnels that look into
/// customers' tags or say of which type the outer one is.
fn alike(mut ports: Vec<(String, Vec<String>)>) -> Vec<(String, Vec<String>)> {
    for (_, columns) in &mut ports {
        columns.retain(|column| !column.contains("priority-tags") && !column.contains("cvlans"));
        for column in columns {
            if column.starts_with("tag=") && (column.ends_with("=0") || column.ends_with("=4095")) {
                *column = "tag=10".into();
            } else if let Some(vids) = column.strip_prefix("trunks=") {
                let usable: Vec<_> = vids.split(',').filter(|vid| !["0", "4095"].contains(vid)).collect();
                *column = if usable.is_empty() {
                    "trunks=20".into()
                } else {
                    format!("trunks={}", usable.join(","))
                };
            } else if column == "vlan_mode=dot1q-tunnel" {
                *column = "vlan_mode=access".into();
            }
        }
    }
    ports
}

fn mode<'a>(ports: &'a [(String, Vec<String>)], name: &str) -> &'a str {
    let (_, columns) = ports.iter().find(|(known, _)| known == name).unwrap();
    columns[0].strip_prefix("vlan_mode=").unwrap()
}

/// Whether a frame meets one of the differences.
fn is_treated_differently(frame: &[u8], mode: &str) -> bool {
    let (dst, rest) = (&frame[..6], &frame[12..]);
    let tci = (rest[..2] == [0x81, 0] && rest.len() >= 6).then(|| u16::from_be_bytes([rest[2], rest[3]]));
    let vid = tci.map_or(0, |tci| tci & 0x0FFF);
    let ether_type = if tci.is_some() { &rest[4..6] } else { &rest[..2] };
    let is_tag = matches!(ether_type, [0x81, 0] | [0x88, 0xA8]);
    let is_llc = ether_type[0] < 6;
    let is_short = frame.len() < if tci.is_some() { 64 } else { 60 };
    let reserved = matches!(dst, [1, 0x80, 0xC2, ..] | [1, 0, 0x0C, ..] | [0, 0xE0, 0x2B, ..]);
    let has_dei = tci.is_some_and(|tci| tci & 0x1000 != 0);
    reserved
        || vid == 4095
        || vid == 0 && mode == "trunk" // VLAN 0 there, none by the standard
        || has_dei
        || is_tag // of the other type, or a second one, or cut
        || is_llc // which may announce a tag in its SNAP header
        || is_short // filled up by the standard
}
