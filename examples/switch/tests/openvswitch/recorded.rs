//! Answers of an Open vSwitch 3.1, recorded: the comparison that needs no Open vSwitch.
//!
//! `RECORD_OPENVSWITCH=1 cargo test -p switch --test openvswitch` writes the file anew.

use private_ovs::{Datapath, Frames, PrivateOvs};
use serde_json::{Value, json};

use crate::BRIDGE;
use crate::ours::Ours;
use crate::random::{self, Random};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openvswitch/recorded.json");
const BRIDGES: u64 = 8;
const EXCHANGES: usize = 30;
/// Room for three tags and a few bytes: nobody looks at the rest.
const LONGEST: usize = 30;

#[test]
fn recorded_answers_of_open_vswitch_are_ours() {
    if std::env::var_os("RECORD_OPENVSWITCH").is_some() {
        record();
    }
    let bridges: Value = serde_json::from_slice(&std::fs::read(FILE).unwrap()).unwrap();
    for bridge in array(&bridges) {
        let columns = array(&bridge["ports"]).iter().map(strings);
        let ports: Vec<_> = (1..).map(|number| format!("p{number}")).zip(columns).collect();
        let limit = bridge["vlan_limit"].as_u64().unwrap() as usize;
        let mut ours = Ours::new(limit, &ports);
        for exchange in array(&bridge["exchanges"]) {
            let frames: Vec<_> = strings(&exchange["frames"]).iter().map(|frame| bytes(frame)).collect();
            let left = ours.exchange(exchange["into"].as_str().unwrap(), &frames);
            assert_eq!(hex_output(&left), exchange["out"], "{exchange} on {ports:#?}, vlan-limit {limit}");
        }
        assert_eq!(json!(ours.fdb()), bridge["fdb"]);
    }
    assert_eq!(array(&bridges).len() as u64, BRIDGES);
}

fn record() {
    let Some(bridges) = (0..BRIDGES).map(record_bridge).collect::<Option<Vec<_>>>() else { return };
    // One exchange in a line, so that changes can be read.
    let text = serde_json::to_string(&bridges).unwrap().replace(r#"{"frames""#, "\n{\"frames\"");
    std::fs::write(FILE, text + "\n").unwrap();
}

fn record_bridge(seed: u64) -> Option<Value> {
    let mut random = Random::new(1_000_000 + seed);
    let mut lab = PrivateOvs::start(Datapath::Dummy)?;
    lab.add_bridge(BRIDGE, &["fail_mode=standalone"]);
    let limit = 1 + seed % 2;
    lab.vsctl(&["set", "Open_vSwitch", ".", &format!("other_config:vlan-limit={limit}")]);
    let ports = random::ports(&mut random, 4..8);
    for (name, columns) in &ports {
        lab.add_port(BRIDGE, name, &columns.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let exchanges = (0..EXCHANGES).map(|_| {
        let into = random::port(&mut random, &ports);
        let mut frames: Vec<_> = (0..4).map(|_| random::frame(&mut random)).collect();
        frames.iter_mut().for_each(|frame| frame.truncate(LONGEST));
        let out = lab.exchange_all(&into, &frames);
        let frames: Vec<_> = frames.iter().map(|frame| hex(frame)).collect();
        json!({ "into": into, "frames": frames, "out": hex_output(&out) })
    });
    let exchanges: Vec<_> = exchanges.collect();
    let columns: Vec<_> = ports.iter().map(|(_, columns)| columns).collect();
    Some(json!({ "vlan_limit": limit, "ports": columns, "exchanges": exchanges, "fdb": lab.fdb(BRIDGE) }))
}

fn hex_output(output: &Frames) -> Value {
    let hex = |frames: &Vec<Vec<u8>>| frames.iter().map(|frame| hex(frame)).collect::<Vec<_>>();
    output.iter().map(|(port, frames)| (port.clone(), json!(hex(frames)))).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

pub(crate) fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    array(value).iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}
