//! Neutron itself as the judge: random groups made by its own server, and what its agent makes of them.
//!
//! Needs a Python with Neutron: `NEUTRON_PYTHON=DIR/bin/python`, else `python3`; see
//! `tests/peers/requirements.txt`.
#![allow(
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Stdio},
};

use common::sorted;
use secgroup_rpc::{Info, Legacy, Limits, Message, Rule, Uuid, Value, read_value};

/// Neutron takes about a second of processor time for a seed, and five to start.
const SEEDS: std::ops::Range<u32> = 1..9;

fn python() -> Option<OsString> {
    let python = std::env::var_os("NEUTRON_PYTHON").unwrap_or_else(|| "python3".into());
    let probe = "import importlib.util as u; raise SystemExit(u.find_spec('neutron') is None)";
    let mut command = Command::new(&python);
    let status = command.args(["-c", probe]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success()).then_some(python)
}

/// One seed's answers by name.
struct Answers(std::collections::BTreeMap<String, Value>);

impl Answers {
    fn get(&self, name: &str) -> Value {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}")).clone()
    }

    fn message(&self, name: &str) -> Message {
        Message::from_value(&self.get(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn info(&self, name: &str) -> Info {
        match self.message(name) {
            Message::Info(info) => info,
            other => panic!("{name} is {}", other.kind()),
        }
    }
}

fn answers(python: &OsString) -> Vec<Answers> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/neutron_oracle.py");
    let output = Command::new(python).arg(script).args(SEEDS.map(|seed| seed.to_string())).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let answer = |line| match read_value(line, &Limits::default()).unwrap() {
        Value::Object(answers) => Answers(answers.into_iter().collect()),
        other => panic!("{other:?}"),
    };
    lines.map(answer).collect()
}

fn rules_only(legacy: &Legacy) -> Vec<(Uuid, Vec<Rule>)> {
    legacy.devices.iter().map(|entry| (entry.device.id, entry.rules.clone())).collect()
}

#[test]
fn random_groups_mean_what_neutron_says_they_mean() {
    let Some(python) = python() else {
        eprintln!("skipped: neutron not found");
        assert!(std::env::var_os("REQUIRE_PEERS").is_none_or(|on| on != "1"), "neutron not found");
        return;
    };
    let answers = answers(&python);
    assert_eq!(answers.len(), SEEDS.len());
    let (mut rules, mut members) = (0, 0);
    for answers in &answers {
        let seed = format!("seed {:?}", answers.get("seed"));
        for name in ["compact", "compact-v1.2", "legacy"] {
            let mut message = answers.message(name);
            assert!(sorted(message.to_value()) == sorted(answers.get(name)), "{seed}: {name} as JSON");
            message.normalize();
            for what in ["lossless", "semantic"] {
                let again = Message::decode(&message.encode(), &Limits::default());
                assert!(again.as_ref() == Ok(&message), "{seed}: {name}, {what}: {:?}", again.err());
                message.strip();
            }
        }
        let info = answers.info("compact");
        let ours = info.expand().map(|device| (device.id.to_string(), device.to_value())).collect();
        assert!(sorted(Value::Object(ours)) == sorted(answers.get("expanded")), "{seed}: expansion");
        let Message::Legacy(legacy) = answers.message("legacy") else { panic!("{seed}: no legacy reply") };
        assert!(rules_only(&info.to_legacy()) == rules_only(&legacy), "{seed}: legacy from compact");
        rules += info.expand().map(|device| device.ingress.len() + device.egress.len()).sum::<usize>();
        members += info.members.iter().map(secgroup_rpc::MemberSet::len).sum::<usize>();
    }
    eprintln!("{} seeds, {rules} expanded rules, {members} members", answers.len());
    assert!(rules > 200 && members > 20, "{rules} rules and {members} members do not show much");
}
