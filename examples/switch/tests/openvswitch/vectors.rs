//! The collection of corner cases beside the repository: frame by frame what Open vSwitch did, and does
//! where it is installed.
//!
//! The file holds frames and answers; how the switch was configured in between is said here.

use std::time::Duration;

use private_ovs::Frames;
use serde_json::{Value, json};

use crate::both::{self, Both};
use crate::recorded::{array, bytes};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/peers/ovs/vectors.json");

const PORTS: [(&str, &[&str]); 10] = [
    ("trunk", &[]),
    ("acc10", &["tag=10"]),
    ("acc10b", &["tag=10"]),
    ("acc20", &["tag=20"]),
    ("tr1020", &["trunks=10,20"]),
    ("nt10", &["vlan_mode=native-tagged", "tag=10", "trunks=10,20"]),
    ("nu10", &["vlan_mode=native-untagged", "tag=10", "trunks=10,20"]),
    ("pr10", &["tag=10", "other_config:priority-tags=if-nonzero"]),
    ("qt30", &["vlan_mode=dot1q-tunnel", "tag=30"]),
    ("tr0", &["trunks=0,40"]),
];

const A: [u8; 6] = [2, 0, 0, 0, 0, 0x0A];
const C: [u8; 6] = [2, 0, 0, 0, 0, 0x0C];
const D: [u8; 6] = [2, 0, 0, 0, 0, 0x0D];
const ALL: [u8; 6] = [0xFF; 6];

#[test]
fn corner_cases_of_open_vswitch_are_ours() {
    let Ok(file) = std::fs::read(FILE) else {
        println!("skipped: {FILE} not found");
        return;
    };
    let vectors: Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(array(&vectors).len(), 60);
    let owned = |columns: &[&str]| columns.iter().map(|column| (*column).to_owned()).collect();
    let ports = PORTS.map(|(name, columns)| (name.to_owned(), owned(columns)));
    let mut both = Both::new("corner cases", 1, &ports);
    for vector in array(&vectors) {
        let id = vector["id"].as_str().unwrap();
        prepare(&mut both, id);
        match vector["frame"].as_str() {
            Some(frame) => {
                let left = both.exchange(vector["in_port"].as_str().unwrap(), &[bytes(frame)]);
                assert_eq!(shown(&left), vector["out"], "{id}: {}", vector["desc"]);
            }
            None => assert!(holds(&mut both, id), "{id}: {}", vector["desc"]),
        }
        if id != "V43" {
            both.compare_stations();
        }
    }
    if both.has_open_vswitch() {
        println!("60 corner cases: no difference");
    }
}

/// What happens before a vector.
fn prepare(both: &mut Both, id: &str) {
    match id {
        "V24" => both.set_vlan_limit(2),
        "V26" => both.set_vlan_limit(1),
        "V30" => {
            both.flush();
            both.add_static("acc10", 10, D);
        }
        "V32" => both.flush(),
        "V33" => both.add_static("acc20", 10, C),
        "V34" => {
            both.remove(10, C);
            both.remove(10, D);
            both.exchange("acc10", &[frame(ALL, A)]);
            both.exchange("acc10b", &[frame(ALL, D)]);
            both.set_port("acc10b", &["tag=20"]);
        }
        "V35" => {
            both.set_port("acc10b", &["tag=10"]);
            both.set_no_flood("acc20", true);
        }
        "V35b" => {
            both.set_no_flood("acc20", false);
            both.exchange("acc20", &[frame(ALL, A)]);
            both.set_down("acc20", true);
        }
        "V36" => {
            both.set_down("acc20", false);
            both.set_flood_vlans("20");
        }
        "V37" => {
            both.set_flood_vlans("");
            both.set_forward_bpdu(true);
        }
        "V38" => {
            both.set_forward_bpdu(false);
            for port in ["acc10", "acc10b"] {
                both.set_port(port, &["tag=10", "protected=true"]);
            }
        }
        "V39" => {
            both.set_port("acc10", &["tag=10"]);
            both.set_port("acc10b", &["tag=4095", "vlan_mode=trunk", "trunks=4095"]);
        }
        "V41" => both.set_port("acc10b", &["tag=4095"]),
        "V42" => {
            both.set_port("acc10b", &["tag=10"]);
            both.set_ageing(Duration::from_secs(15));
            both.flush();
        }
        "V43" => both.set_table_size(10),
        "V44" => both.set_table_size(8192),
        _ => {}
    }
}

/// Whether a statement about the forwarding database holds.
fn holds(both: &mut Both, id: &str) -> bool {
    let known = |both: &Both, port: u16, vlan: u16, mac: [u8; 6], is_static: bool| {
        both.compare_stations();
        both.ours.fdb().contains(&(port.to_string(), vlan, both::shown(mac), is_static))
    };
    let anywhere = |both: &Both, part: &str| both.ours.fdb().iter().any(|row| row.2.contains(part));
    match id {
        "V15b" => known(both, 3, 10, A, false),
        "V16b" => !anywhere(both, "03:00"),
        "V17b" => !anywhere(both, ":77"),
        "V31b" | "V32" => known(both, 2, 10, D, true),
        "V34" => known(both, 2, 10, A, false) && !anywhere(both, ":0d"),
        "V42" => {
            both.exchange("acc10", &[frame(ALL, A)]);
            both.advance(Duration::from_secs(14));
            let before = known(both, 2, 10, A, false);
            both.advance(Duration::from_secs(2));
            before && !known(both, 2, 10, A, false)
        }
        "V43" => overflow_is_fair(both),
        "V46b" => known(both, 4, 20, [0; 6], false),
        _ => panic!("{id} is new"),
    }
}

/// Ten places: twelve stations of one port do not push out the three of another. (Open vSwitch gives
/// up the longest silent station of the big port; ours one that was silent for long, found
/// without a list in order of time.)
fn overflow_is_fair(both: &mut Both) -> bool {
    for (port, name, stations) in [(0x20, "acc20", 3), (0x10, "acc10", 12)] {
        for number in 0..stations {
            both.ours.now += Duration::from_secs(1);
            both.exchange(name, &[frame(ALL, [2, 0, 0, 0, port, number])]);
        }
    }
    [("4", 3), ("2", 7)].into_iter().all(|(port, expected)| {
        let ours = both.ours.fdb().iter().filter(|row| row.0 == port).count();
        ours == expected && both.their_stations(port).is_none_or(|theirs| theirs == expected)
    })
}

/// An untagged frame, as the collection makes them.
fn frame(dst: [u8; 6], src: [u8; 6]) -> Vec<u8> {
    [&dst[..], &src, &[0xAB, 0xCD], &[0; 46]].concat()
}

/// Tags in the notation of the file.
fn shown(output: &Frames) -> Value {
    let show = |frame: &Vec<u8>| {
        let tags = frame[12..]
            .chunks(4)
            .take_while(|four| four.len() == 4 && matches!(four[..2], [0x81, 0] | [0x88, 0xA8]));
        let tag = |four: &[u8]| {
            let tci = u16::from_be_bytes([four[2], four[3]]);
            let dei = if tci & 0x1000 == 0 { "" } else { ",dei" };
            format!("{:02x}{:02x}:vid={},pcp={}{dei}", four[0], four[1], tci & 0xFFF, tci >> 13)
        };
        let tags: Vec<_> = tags.map(tag).collect();
        if tags.is_empty() { "untagged".to_owned() } else { format!("[{}]", tags.join(" ")) }
    };
    output.iter().map(|(port, frames)| (port.clone(), json!(show(&frames[0])))).collect()
}
