//! Open vSwitch as oracle: every frame that leaves it leaves ours, and both learn the same.
//!
//! Three sources of frames: random ones; where it is there, the collection of corner cases in
//! `../shared/peers/ovs/vectors.json` beside the repository, both into a real Open vSwitch; and answers of
//! a real one recorded in `recorded.json`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod both;
mod ours;
mod ports;
mod random;
mod recorded;
mod standard;
mod vectors;

use both::Both;
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
    let vlan_limit = 1 + random.below(2);
    let ports = random::ports(random, 4..10);
    let mut both = Both::new(&format!("seed {seed}"), vlan_limit, &ports);
    if !both.has_open_vswitch() {
        return false;
    }
    if random.one_in(3) {
        both.set_no_flood(&random::port(random, &ports), true);
    }
    if random.one_in(3) {
        both.set_flood_vlans(&random::vlan(random).to_string());
    }
    let mut sent = 0;
    while sent < FRAMES_PER_BRIDGE {
        let into = random::port(random, &ports);
        if random.one_in(40) {
            both.flush();
        }
        if random.one_in(20) {
            both.add_static(&into, random::vlan(random), random::station(random));
        }
        let frames: Vec<_> = (0..=random.below(16)).map(|_| random::frame(random)).collect();
        sent += frames.len();
        both.exchange(&into, &frames);
        both.compare_stations();
    }
    true
}
