//! Open vSwitch as oracle: every frame that leaves it leaves ours, and both learn the same.
//!
//! Three sources of frames: random ones into a real Open vSwitch, answers of a real one recorded
//! in `recorded.json`, and, where it is there, the collection of corner cases in
//! `../shared/peers/ovs/vectors.json` beside the repository.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod ours;
mod ports;
mod random;
mod recorded;
mod vectors;

use ours::Ours;
use private_ovs::{Datapath, PrivateOvs};
use random::Random;

const BRIDGE: &str = "br0";

/// Frames in all; `OVS_FRAMES` in the environment overrides it.
const FRAMES: usize = 20_000;
const FRAMES_PER_BRIDGE: usize = 1_000;

#[test]
fn random_frames_leave_as_they_leave_open_vswitch() {
    let frames = std::env::var("OVS_FRAMES").map_or(FRAMES, |frames| frames.parse().unwrap());
    let bridges = frames.div_ceil(FRAMES_PER_BRIDGE) as u64;
    // Two daemons at a time: each spends most of it waiting for its next turn.
    let run =
        |seeds: std::ops::Range<u64>| seeds.into_iter().all(|seed| compare(&mut Random::new(seed), seed));
    let complete = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(0..bridges / 2));
        run(bridges / 2..bridges) && other.join().unwrap()
    });
    if complete {
        println!("{} frames through {bridges} bridges: no difference", bridges as usize * FRAMES_PER_BRIDGE);
    }
}

/// One bridge with random ports; `false` without Open vSwitch.
fn compare(random: &mut Random, seed: u64) -> bool {
    let Some(mut lab) = PrivateOvs::start(Datapath::Dummy) else { return false };
    lab.add_bridge(BRIDGE, &["fail_mode=standalone"]);
    let vlan_limit = 1 + random.below(2);
    lab.vsctl(&["set", "Open_vSwitch", ".", &format!("other_config:vlan-limit={vlan_limit}")]);
    let ports: Vec<_> = (0..4 + random.below(6)).map(|_| random::columns(random)).collect();
    for (number, columns) in ports.iter().enumerate() {
        lab.add_port(
            BRIDGE,
            &Ours::name(number + 1),
            &columns.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    let mut ours = Ours::new(vlan_limit, &ports);
    if random.one_in(3) {
        let quiet = Ours::name(1 + random.below(ports.len()));
        lab.mod_port(BRIDGE, &quiet, "no-flood");
        ours.set_no_flood(&quiet, true);
    }
    if random.one_in(3) {
        let vlan = random::vlan(random).to_string();
        lab.vsctl(&["set", "Bridge", BRIDGE, &format!("flood_vlans={vlan}")]);
        ours.set_flood_vlans(&vlan);
    }
    let mut sent = 0;
    while sent < FRAMES_PER_BRIDGE {
        let into = Ours::name(1 + random.below(ports.len()));
        if random.one_in(40) {
            lab.appctl("fdb/flush", &[BRIDGE]);
            ours.flush();
        }
        if random.one_in(20) {
            let (vlan, mac) = (random::vlan(random), random::station(random));
            let mac_text = mac.map(|octet| format!("{octet:02x}")).join(":");
            lab.appctl("fdb/add", &[BRIDGE, &into, &vlan.to_string(), &mac_text]);
            ours.add_static(&into, vlan, mac);
        }
        let frames: Vec<_> = (0..=random.below(16)).map(|_| random::frame(random)).collect();
        sent += frames.len();
        let (theirs, mine) = (lab.exchange_all(&into, &frames), ours.exchange(&into, &frames));
        let context =
            || format!("seed {seed}, vlan-limit {vlan_limit}, into {into} of {ports:#?}:\n{frames:02x?}");
        assert_eq!(mine, theirs, "{}", context());
        assert_eq!(ours.fdb(), lab.fdb(BRIDGE), "{}", context());
    }
    true
}
