//! Scenario files: what they can express, what their mistakes look like.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, helpers of tests too"
)]

use std::fs;

use lab::scenario::Scenario;
use lab::sim::{Happening, Journey, Outcome};

/// Two switches and two hosts; more is added by each test.
const BASE: &str = r#"
until = "1h"
[[switch]]
name = "a"
[[switch]]
name = "b"
[[cable]]
name = "ab"
ends = ["a.4", "b.4"]
[[host]]
name = "x"
port = "a.0"
[[host]]
name = "y"
port = "b.0"
"#;

#[test]
fn a_pulled_cable_carries_nothing_until_it_is_plugged_in_again() {
    let outcome = run(r#"
        [[event]]
        at = 1
        ping = { from = "x", to = "y", count = 10, every = "1s" }
        [[event]]
        at = 4.5
        unplug = "ab"
        [[event]]
        at = "7500ms"
        plug = "ab"
        "#);
    let x = outcome.hosts[0].1;
    assert_eq!((x.sent, x.answered), (10, 7), "those of seconds 5, 6 and 7 are lost");
}

#[test]
fn a_loop_goes_round_until_the_budget_is_spent() {
    let outcome = run_all(
        &BASE.replace("until", "frames = 100_000\nuntil"),
        r#"
        [[cable]]
        ends = ["a.3", "b.3"]
        [[event]]
        at = 1
        send = { from = "x", to = "all" }
        "#,
    );
    assert!(outcome.cut_off);
    let journey = journeys(&outcome).next().unwrap();
    assert!(journey.more_hops > 40_000, "one frame, over and over");
    assert!(journey.in_flight > 0);
    assert_eq!(journey.heard_by, ["y", "x"], "even its sender hears it again");
    for (name, report) in outcome.switches {
        assert!(report.received > 20_000, "{name}");
    }
}

#[test]
fn a_bad_cable_loses_its_share_and_every_frame_is_accounted_for() {
    let outcome = run_all(
        &BASE
            .replace("ends = [\"a.4\", \"b.4\"]", "ends = [\"a.4\", \"b.4\"]\nloss = 0.25")
            .replace("until", "seed = 3\nuntil"),
        r#"
        [[event]]
        at = 1
        send = { from = "x", to = "all", count = 1000, every = "1ms" }
        "#,
    );
    let cable = outcome.cables.iter().find(|(name, _)| name == "ab").unwrap().1;
    assert_eq!(cable.carried + cable.lost + cable.queue_full, 1000);
    assert!((150..350).contains(&cable.lost), "{cable:?}");
    let heard = journeys(&outcome).filter(|journey| journey.heard_by == ["y"]).count();
    assert_eq!(heard as u64, cable.carried);
}

#[test]
fn equal_seeds_are_equal_runs() {
    let text = format!(
        "{BASE}\n[[event]]\nat = 1\nping = {{ from = \"x\", to = \"y\", count = 20, jitter = \"1s\" }}"
    );
    let outcome = |seed| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("s.toml"), &text).unwrap();
        let outcome = Scenario::read(&dir.path().join("s.toml")).unwrap().run(seed).unwrap();
        serde_json::to_string(&outcome).unwrap()
    };
    assert_eq!(outcome(7), outcome(7));
    assert_ne!(outcome(7), outcome(8));
}

#[test]
fn switches_take_their_settings_from_the_scenario_or_from_files_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sw.toml"), "[switch]\nmodel = \"dot1q\"\n[[port]]\nname = \"p\"\ntag = 5")
        .unwrap();
    fs::write(
        dir.path().join("s.toml"),
        "until = 1\n[config.inline]\nswitch = { model = \"rtl8306sd\" }\n[[switch]]\nname = \"one\"\nconfig = \"inline\"\n\
         [[switch]]\nname = \"two\"\nconfig = \"sw.toml\"\n[[host]]\nname = \"h\"\nport = \"two.p\"",
    )
    .unwrap();
    let outcome = Scenario::read(&dir.path().join("s.toml")).unwrap().run(1).unwrap();
    let models: Vec<_> = outcome.switches.iter().map(|(_, report)| report.model.as_str()).collect();
    assert_eq!(models, ["RTL8306SD", "dot1q"]);
}

/// What is added to the base, and words that the message must hold.
const MISTAKES: [(&str, &[&str]); 18] = [
    (
        "[[event]]\nat = 1\nping = { from = \"x\", to = \"y\", count = 1_000_001 }",
        &["s.toml:17:40", "event[0].ping.count", "1000001"],
    ),
    ("[[event]]\nat = \"101 years\"\nannounce = \"x\"", &["s.toml:16:6", "event[0].at", "century"]),
    ("[[switch]]\nname = \"a\"", &["s.toml:16:8", "a second switch `a`"]),
    ("[[switch]]\nname = \"a.b\"", &["s.toml:16:8", "dot"]),
    ("[[switch]]\nname = \"c\"\nconfig = \"gone\"", &["s.toml:17:10", "no [config.gone]"]),
    ("[[switch]]\nname = \"c\"\nconfig = \"gone.toml\"", &["gone.toml", "No such file"]),
    ("[config.c.switch]\nmodel = \"rtl\"", &["s.toml:16:9", "config.c.switch.model", "rtl8305sc"]),
    (
        "[config.c]\nswitch = { model = \"dot1q\" }\nport = [{ name = \"p\", tag = 4095 }]",
        &["s.toml:17:29", "4095"],
    ),
    ("[[cable]]\nends = [\"a.4\", \"b.1\"]", &["s.toml:16:9", "taken by the cable `ab`"]),
    ("[[cable]]\nends = [\"a.9\", \"b.1\"]", &["s.toml:16:9", "no port `9`", "0, 1, 2, 3, 4"]),
    ("[[cable]]\nends = [\"a\", \"b.1\"]", &["s.toml:16:9", "not a jack"]),
    ("[[cable]]\nends = [\"c.1\", \"b.1\"]", &["s.toml:16:9", "no switch `c`", "a, b"]),
    ("[[cable]]\nends = [\"a.1\", \"a.1\"]", &["s.toml:16:16", "same jack"]),
    ("[[host]]\nname = \"x\"\nport = \"a.1\"", &["s.toml:16:8", "a second host `x`"]),
    (
        "[[host]]\nname = \"z\"\nport = \"a.1\"\nmac = \"01:00:00:00:00:00\"",
        &["s.toml:18:7", "first byte must be even"],
    ),
    ("[[event]]\nat = 1", &["s.toml:15:1", "nothing happens"]),
    ("[[event]]\nat = 1\nping = { from = \"x\", to = \"z\" }", &["s.toml:17:27", "no host `z`", "x, y"]),
    ("[[event]]\nat = 1\nsend = { from = \"x\", to = \"y\", bytes = 9001 }", &["s.toml:17:40", "60..=9000"]),
];

#[test]
fn every_mistake_names_file_and_line() {
    for (text, words) in MISTAKES {
        let message = try_run(BASE, text).unwrap_err();
        for word in words {
            assert!(message.contains(word), "{word:?} is not in the message for {text:?}:\n{message}");
        }
    }
}

fn journeys(outcome: &Outcome) -> impl Iterator<Item = &Journey> {
    outcome.timeline.iter().filter_map(|entry| match &entry.what {
        Happening::Frame(journey) => Some(journey),
        _ => None,
    })
}

fn run(text: &str) -> Outcome {
    run_all(BASE, text)
}

fn run_all(base: &str, text: &str) -> Outcome {
    try_run(base, text).unwrap_or_else(|message| panic!("{message}"))
}

fn try_run(base: &str, text: &str) -> Result<Outcome, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.toml");
    fs::write(&path, format!("{}\n{text}\n", base.trim())).unwrap();
    Scenario::read(&path).and_then(|scenario| scenario.run(1)).map_err(|e| e.to_string())
}
