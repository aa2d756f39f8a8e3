//! The collection of corner cases beside the repository: frame by frame what Open vSwitch did.
//!
//! The file holds frames and answers; how the switch was configured in between is said here.

use std::time::Duration;

use private_ovs::Frames;
use serde_json::{Value, json};
use switch::vlan_table::ReservedAddresses;

use crate::ours::Ours;
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
    let mut bench = Bench::new(1, fdb::Config { zero_is_station: true, ..fdb::Config::DEFAULT });
    assert_eq!(array(&vectors).len(), 60);
    for vector in array(&vectors) {
        let id = vector["id"].as_str().unwrap();
        bench.prepare(id);
        match vector["frame"].as_str() {
            Some(frame) => {
                let left = bench.ours.exchange(vector["in_port"].as_str().unwrap(), &[bytes(frame)]);
                assert_eq!(shown(&left), vector["out"], "{id}: {}", vector["desc"]);
            }
            None => assert!(bench.holds(id), "{id}: {}", vector["desc"]),
        }
    }
}

struct Bench {
    ours: Ours,
}

impl Bench {
    fn new(vlan_limit: usize, config: fdb::Config) -> Self {
        let columns: Vec<_> =
            PORTS.iter().map(|(_, columns)| columns.iter().map(|c| (*c).to_owned()).collect()).collect();
        let named = PORTS.iter().map(|(name, _)| *name).zip(columns.iter().map(Vec::as_slice));
        Self { ours: Ours::with_names(vlan_limit, config, named) }
    }

    /// What happens before a vector.
    fn prepare(&mut self, id: &str) {
        let ours = &mut self.ours;
        match id {
            "V24" => ours.set_vlan_limit(2),
            "V26" => ours.set_vlan_limit(1),
            "V30" => {
                ours.flush();
                ours.add_static("acc10", 10, D);
            }
            "V32" => ours.flush(),
            "V33" => ours.add_static("acc20", 10, C),
            "V34" => {
                ours.remove(10, C);
                ours.remove(10, D);
                ours.exchange("acc10", &[frame(ALL, A)]);
                ours.exchange("acc10b", &[frame(ALL, D)]);
                ours.set_port("acc10b", &["tag=20"]);
            }
            "V35" => {
                ours.set_port("acc10b", &["tag=10"]);
                ours.set_no_flood("acc20", true);
            }
            // A port that is down by OpenFlow's flag is the device's business: nothing to be set here.
            "V35b" => {
                ours.set_no_flood("acc20", false);
                ours.exchange("acc20", &[frame(ALL, A)]);
            }
            "V36" => ours.set_flood_vlans("20"),
            "V37" => {
                ours.set_flood_vlans("");
                ours.switch.set_reserved(ReservedAddresses::RelayAll);
            }
            "V38" => {
                ours.switch.set_reserved(ReservedAddresses::OpenVSwitch);
                for port in ["acc10", "acc10b"] {
                    ours.set_port(port, &["tag=10", "protected=true"]);
                }
            }
            "V39" => {
                ours.set_port("acc10", &["tag=10"]);
                ours.set_port("acc10b", &["tag=4095", "vlan_mode=trunk", "trunks=4095"]);
            }
            "V41" => ours.set_port("acc10b", &["tag=4095"]),
            "V42" => {
                ours.set_port("acc10b", &["tag=10"]);
                ours.set_ageing(Duration::from_secs(15));
            }
            "V44" => *self = Self::new(1, fdb::Config { zero_is_station: true, ..fdb::Config::DEFAULT }),
            _ => {}
        }
    }

    /// Whether a statement about the forwarding database holds.
    fn holds(&mut self, id: &str) -> bool {
        let ours = &mut self.ours;
        let known = |ours: &Ours, port: u16, vlan: u16, mac: [u8; 6], is_static: bool| {
            let mac = mac.map(|octet| format!("{octet:02x}")).join(":");
            ours.fdb().contains(&(port.to_string(), vlan, mac, is_static))
        };
        let anywhere = |ours: &Ours, part: &str| ours.fdb().iter().any(|row| row.2.contains(part));
        match id {
            "V15b" => known(ours, 3, 10, A, false),
            "V16b" => !anywhere(ours, "03:00"),
            "V17b" => !anywhere(ours, ":77"),
            "V31b" | "V32" => known(ours, 2, 10, D, true),
            "V34" => known(ours, 2, 10, A, false) && !anywhere(ours, ":0d"),
            "V42" => {
                ours.exchange("acc10", &[frame(ALL, A)]);
                let sent = ours.now;
                ours.now = sent + Duration::from_secs(14);
                let before = known(ours, 2, 10, A, false);
                ours.now = sent + Duration::from_secs(16);
                before && !known(ours, 2, 10, A, false)
            }
            "V43" => self.overflow_is_fair(),
            "V46b" => known(ours, 4, 20, [0; 6], false),
            _ => panic!("{id} is new"),
        }
    }

    /// Ten places: twelve stations of one port do not push out the three of another. (Open vSwitch gives
    /// up the longest silent station of the big port; ours one that was silent for long, found
    /// without a list in order of time.)
    fn overflow_is_fair(&mut self) -> bool {
        let config = fdb::Config { total: Some(10), when_full: fdb::WhenFull::Fair, ..fdb::Config::DEFAULT };
        *self = Self::new(1, config);
        for (port, name, stations) in [(0x20, "acc20", 3), (0x10, "acc10", 12)] {
            for number in 0..stations {
                self.ours.now += Duration::from_secs(1);
                self.ours.exchange(name, &[frame(ALL, [2, 0, 0, 0, port, number])]);
            }
        }
        let rows = self.ours.fdb();
        let of = |port: &str| rows.iter().filter(|row| row.0 == port).count();
        (of("4"), of("2"), rows.len()) == (3, 7, 10)
    }
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
