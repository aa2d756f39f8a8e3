//! The bundled scenarios about loops: what detectors must do in each, and what happens without them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, helpers of tests too"
)]

use core::time::Duration;
use std::path::Path;

use lab::detector::{Alarm, Mode};
use lab::scenario::{Comparison, NAMES, Scenario, compare};
use lab::sim::{Happening, Outcome};

/// A loop is blocked within this time where a detector sees the link come up, and while it is alert.
const FAST: Duration = Duration::from_secs(1);

#[test]
fn the_default_scenario_finds_blocks_and_releases_a_loop() {
    let run = run("three-switches");
    let [(at, block)] = &blocks(&run)[..] else { panic!("{:?}", blocks(&run)) };
    assert!((30.0..31.0).contains(at), "{block}");
    let [(at, released)] = &released(&run)[..] else { panic!("{:?}", released(&run)) };
    assert!((36.0..43.0).contains(at), "{released}");
    assert_eq!(released, block, "core's way to desk is open again");
    assert_eq!(answered(&run, "carol"), (2, 2), "frank is reached around the block, and after it");
    assert!(run.probes < 12_000, "{} probes in twelve minutes", run.probes);
}

#[test]
fn a_loop_through_a_switch_without_detector_is_blocked_once_and_released_after_the_pull() {
    let run = run("loop");
    assert_eq!(blocks(&run).len(), 1);
    let (at, port) = blocks(&run).remove(0);
    assert!(after(5.0, at) < FAST);
    let (at, released) = released(&run).remove(0);
    assert_eq!(port, released);
    assert!((12.0..17.0).contains(&at), "three silent periods after 10 s, not at {at}");
}

#[test]
fn two_loops_that_close_at_once_are_blocked_once_each_within_a_period() {
    let run = run("two-loops");
    assert_eq!(blocks(&run).len(), 2);
    assert!(blocks(&run).iter().all(|(at, _)| after(5.0, *at) < FAST), "{:?}", blocks(&run));
    assert_eq!(released(&run), []);
    assert_eq!(answered(&run, "alice"), (2, 2));
}

#[test]
fn a_loop_behind_a_hub_is_a_self_loop_that_is_cut_off_while_it_lasts() {
    let run = run("hub");
    let alarm = alarms(&run).find(|(_, _, alarm)| alarm.is_loop()).unwrap().2;
    assert!(matches!(alarm, Alarm::Looped { kind: "self_loop", tx, rx, .. } if tx == "1" && rx == "1"));
    assert!(after(5.0, blocks(&run)[0].0) < 5 * FAST, "nobody saw the link: the idle period counts");
    assert_eq!(answered(&run, "alice"), (3, 3), "beside the hub all goes on, and with it after the pull");
    assert!(released(&run)[0].0 > 12.0);
}

#[test]
fn a_cable_between_vlans_is_told_apart_and_carries_nothing_across() {
    let run = run("inter-vlan");
    let kinds: Vec<_> = alarms(&run)
        .filter_map(|(_, _, alarm)| match alarm {
            Alarm::Looped { kind, tx_vlan, rx_vlan, .. } => Some((*kind, *tx_vlan, *rx_vlan)),
            _ => None,
        })
        .collect();
    assert_eq!(kinds.len(), 2);
    for (kind, tx, rx) in kinds {
        assert_eq!(kind, "inter_vlan");
        assert!([(Some(10), Some(20)), (Some(20), Some(10))].contains(&(tx, rx)));
    }
    assert!(!heard(&run, "bob"), "alice is in another VLAN");
    let off = with("inter-vlan", Mode::Off);
    assert!(heard(&off, "bob"), "without a detector she is heard there");
}

#[test]
fn two_switches_with_one_address_are_warned_of_and_never_blocked() {
    let run = run("same-mac");
    let warned = |name| alarms(&run).any(|(switch, _, alarm)| switch == name && is_duplicate(alarm));
    assert!(warned("west") && warned("east"));
    assert!(alarms(&run).all(|(_, _, alarm)| is_duplicate(alarm)), "and nothing else is said");
    assert_eq!(answered(&run, "alice"), (1, 1));
}

#[test]
fn the_chip_takes_two_switches_with_one_address_for_a_loop() {
    let run = with("same-mac", Mode::Classic);
    let lamps: Vec<_> = alarms(&run).filter(|(_, _, alarm)| matches!(alarm, Alarm::LampOn { .. })).collect();
    assert!(!lamps.is_empty());
    assert!(lamps.iter().all(|(_, at, _)| *at > 180.0), "not before its first probe");
    assert_eq!(answered(&run, "alice"), (1, 1), "it does nothing about it");
}

#[test]
fn a_loop_that_closes_in_a_storm_is_blocked_within_a_period() {
    let run = run("storm");
    assert_eq!(blocks(&run).len(), 1);
    assert!(after(5.0, blocks(&run)[0].0) < FAST);
    assert_eq!(answered(&run, "alice"), (2, 2));
}

#[test]
fn an_uplink_is_blocked_only_where_no_access_port_is_on_the_loop() {
    let run = run("uplinks");
    let blocks = blocks(&run);
    let [(first, access), (second, uplink)] = &blocks[..] else { panic!("{blocks:?}") };
    assert!(access.ends_with(".1"), "{access} at {first}");
    assert!(uplink.ends_with(".3") || uplink.ends_with(".4"), "{uplink}");
    assert!((20.0..21.0).contains(second), "it waits for a better cut, and not longer than a period");
    assert_eq!(answered(&run, "alice"), (3, 3));
}

#[test]
fn a_cable_that_comes_and_goes_is_held_longer_each_time() {
    let run = run("flapping");
    let (blocks, released) = (blocks(&run), released(&run));
    assert!(blocks.len() <= 8, "thirty loops in five minutes: {blocks:?}");
    assert!(!blocks.is_empty() && released.len() >= blocks.len() - 1);
}

#[test]
fn without_loops_nothing_is_blocked_in_any_scenario() {
    for name in NAMES {
        let text = std::fs::read_to_string(format!("scenarios/{name}.toml")).unwrap();
        let kept = text.lines().filter(|line| !line.starts_with("plug = ") && !line.starts_with("flap = "));
        // An event that only plugged a cable becomes a note.
        let text = kept.collect::<Vec<_>>().join("\n").replace("[[event]]\nat", "[[event]]\nnote = \"\"\nat");
        let text = drop_second_notes(&text);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.toml");
        std::fs::write(&path, text).unwrap();
        let run =
            Scenario::read(&path).and_then(|scenario| scenario.run(1)).unwrap_or_else(|e| panic!("{e}"));
        assert!(alarms(&run).all(|(_, _, alarm)| !alarm.is_loop()), "{name}");
    }
}

#[test]
fn detectors_keep_a_storm_small_that_goes_on_without_them() {
    for name in ["loop", "two-loops", "inter-vlan", "uplinks", "three-switches"] {
        let [off, classic, strict] = &compared(name)[..] else { panic!("three kinds") };
        assert_eq!([off, classic, strict].map(|run| run.detectors), [Mode::Off, Mode::Classic, Mode::Strict]);
        assert!(off.frames > 10 * strict.frames, "{name}: {} and {}", off.frames, strict.frames);
        assert_eq!((off.probes, off.loops, off.blocks, classic.blocks), (0, 0, 0, 0), "{name}");
        assert!(strict.told_after.unwrap() < FAST, "{name}");
        assert!(strict.pings.1 >= off.pings.1, "{name}");
    }
}

#[test]
fn equal_seeds_are_equal_runs_with_detectors_too() {
    let text = || serde_json::to_string(&run("two-loops")).unwrap();
    assert_eq!(text(), text());
}

fn run(name: &str) -> Outcome {
    let scenario = Scenario::find(Path::new(name)).unwrap();
    scenario.run(scenario.seed()).unwrap()
}

fn with(name: &str, detectors: Mode) -> Outcome {
    let scenario = Scenario::find(Path::new(name)).unwrap();
    scenario.run_with(Some(detectors), scenario.seed()).unwrap()
}

fn compared(name: &str) -> Vec<Comparison> {
    let scenario = Scenario::find(Path::new(name)).unwrap();
    compare(&scenario, scenario.seed()).unwrap()
}

/// What detectors said: switch, seconds, alarm.
fn alarms(run: &Outcome) -> impl Iterator<Item = (&str, f64, &Alarm)> {
    run.timeline.iter().filter_map(|entry| match &entry.what {
        Happening::Alarm(report) => Some((report.switch.as_str(), entry.at.as_secs_f64(), &report.alarm)),
        _ => None,
    })
}

/// Times and ports, as `switch.port`, of blocks.
fn blocks(run: &Outcome) -> Vec<(f64, String)> {
    ports(run, |alarm| match alarm {
        Alarm::Looped { blocked, .. } => blocked.as_deref(),
        _ => None,
    })
}

fn released(run: &Outcome) -> Vec<(f64, String)> {
    ports(run, |alarm| match alarm {
        Alarm::Cleared { port, .. } => Some(port),
        _ => None,
    })
}

fn ports(run: &Outcome, of: fn(&Alarm) -> Option<&str>) -> Vec<(f64, String)> {
    alarms(run).filter_map(|(switch, at, alarm)| Some((at, format!("{switch}.{}", of(alarm)?)))).collect()
}

fn is_duplicate(alarm: &Alarm) -> bool {
    matches!(alarm, Alarm::DuplicateMac { .. })
}

fn after(plugged: f64, blocked: f64) -> Duration {
    Duration::from_secs_f64(blocked - plugged)
}

/// Pings that a host sent, and that were answered.
fn answered(run: &Outcome, host: &str) -> (u64, u64) {
    let (_, pings) = run.hosts.iter().find(|(name, _)| name == host).unwrap();
    (pings.sent, pings.answered)
}

fn heard(run: &Outcome, host: &str) -> bool {
    run.timeline.iter().any(|entry| match &entry.what {
        Happening::Frame(journey) => journey.heard_by.iter().any(|name| name == host),
        _ => false,
    })
}

/// Of two notes in one event the first goes.
fn drop_second_notes(text: &str) -> String {
    text.split("[[event]]\n")
        .map(|event| {
            if event.matches("note = ").count() > 1 {
                event.replacen("note = \"\"\n", "", 1)
            } else {
                event.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join("[[event]]\n")
}
