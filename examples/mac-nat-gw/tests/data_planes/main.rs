//! The same check list for every data plane, with the rules that we export and real network stacks
//! around them: what a data plane can do works, what it cannot do fails as its exporter says.
//!
//! `UPDATE_README=1 cargo test -p mac-nat-gw --test data_planes` writes what was seen into the table
//! of `mac-nat/README.md`; without, the table must say it already.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may panic, helpers too"
)]

mod checks;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../../mac-nat/tests/behaviour/frames.rs"]
mod frames;
#[allow(dead_code)]
#[path = "../namespaces/lab.rs"]
mod lab;
mod plane;
mod readme;
mod scene;

use checks::{CHECKS, Check};
use mac_nat::export::Support;
use plane::Plane;
use scene::{Outcome, Scene, Setting};

/// What a check showed on a data plane.
struct Seen {
    plane: Plane,
    check: &'static Check,
    outcome: Outcome,
}

impl Seen {
    /// What is wrong with the outcome, measured by what the exporter says.
    fn surprise(&self) -> Option<String> {
        let Self { plane, check, outcome } = self;
        let support = plane.support(check.ability);
        let expected = match support {
            Support::Yes => "works",
            Support::Limited(_) if !check.limits.contains(plane) => "works",
            Support::Limited(_) | Support::No => "fails",
            Support::Leaks(_) => "leaks",
        };
        (outcome.name() != expected)
            .then(|| format!("{plane}: {}: {outcome}, but {:?} is {support:?}", check.name, check.ability))
    }
}

#[test]
fn every_data_plane_does_what_its_exporter_says() {
    let peers = ["ip", "nft", "ping", "arping", "tcpdump", "ethtool", "ndisc6", "dnsmasq", "udhcpc"];
    if !lab::available(&peers) {
        return;
    }
    let planes: Vec<Plane> = Plane::all().into_iter().filter(|plane| plane.is_here()).collect();
    let complete = planes.len() == Plane::all().len();
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let labs = planes.iter().flat_map(|plane| Setting::ALL.map(|setting| (*plane, setting)));
        let threads: Vec<_> = labs.map(|(plane, setting)| scope.spawn(move || run(plane, setting))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for Seen { plane, check, outcome } in &seen {
        println!("{plane}: {}: {outcome}", check.name);
    }
    let surprises: Vec<String> = seen.iter().filter_map(Seen::surprise).collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    if complete {
        readme::compare(&seen);
    }
}

/// The checks of a setting on a data plane, one after the other in one lab.
fn run(plane: Plane, setting: Setting) -> Vec<Seen> {
    let scene = Scene::new(plane, setting);
    let checks = CHECKS.iter().filter(|check| check.setting == setting);
    checks.map(|check| Seen { plane, check, outcome: scene.observe(check) }).collect()
}
