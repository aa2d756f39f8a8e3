//! Recorded Neutron messages: read, written and expanded as Neutron does.
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use common::{files, files_named, message, sorted, text, value};
use secgroup_rpc::{Info, Legacy, Limits, Message, Resource, Rule, Value, read_json, read_value, to_json};

#[test]
fn writing_gives_back_every_recorded_message() {
    for path in files() {
        let written = to_json(&message(&path));
        let again = read_value(written.as_bytes(), &Limits::default()).unwrap();
        assert!(sorted(again) == sorted(value(&path)), "{} differs", path.display());
    }
}

#[test]
fn a_stripped_message_reads_as_itself() {
    for path in files() {
        let mut message = message(&path);
        message.strip();
        let again = read_json(to_json(&message).as_bytes(), &Limits::default()).unwrap();
        assert!(again == message, "{} differs", path.display());
    }
}

fn info(path: &std::path::Path) -> Info {
    match message(path) {
        Message::Info(info) => info,
        other => panic!("{} is {}", path.display(), other.kind()),
    }
}

fn legacy(path: &std::path::Path) -> Legacy {
    match message(path) {
        Message::Legacy(legacy) => legacy,
        other => panic!("{} is {}", path.display(), other.kind()),
    }
}

/// The recorded expansion less the iptables text, and ours, both sorted.
#[test]
fn expansion_equals_that_of_neutrons_agent() {
    for path in files_named(".expanded") {
        let compact =
            path.with_file_name(path.file_name().unwrap().to_str().unwrap().replace("expanded", "compact"));
        let info = info(&compact);
        let Value::Object(mut recorded) = value(&path) else { panic!() };
        for device in recorded.values_mut() {
            let Value::Object(device) = device else { panic!() };
            device.retain(|key, _| !key.contains("iptables"));
        }
        let ours = info.expand().map(|device| (device.id.to_string(), device.to_value())).collect();
        assert!(sorted(Value::Object(ours)) == sorted(Value::Object(recorded)), "{}", path.display());
    }
}

fn rules_only(legacy: &Legacy) -> Vec<(secgroup_rpc::Uuid, Vec<Rule>)> {
    legacy.devices.iter().map(|entry| (entry.device.id, entry.rules.clone())).collect()
}

#[test]
fn the_legacy_reply_follows_from_the_compact_one_and_back() {
    for path in files_named(".legacy") {
        let compact =
            path.with_file_name(path.file_name().unwrap().to_str().unwrap().replace("legacy", "compact"));
        let (legacy, info) = (legacy(&path), info(&compact));
        assert!(rules_only(&info.to_legacy()) == rules_only(&legacy), "{}", path.display());
        match legacy.compact() {
            Some(compacted) => assert!(rules_only(&compacted.to_legacy()) == rules_only(&legacy)),
            // Two members of `features` differ in their MACs alone, which expansion does not show.
            None => assert!(path.ends_with("features.legacy.json"), "{}", path.display()),
        }
    }
}

#[test]
fn pushed_objects_say_what_the_compact_reply_says() {
    let Some(folder) = common::shared() else { return };
    let wanted = info(&folder.join("features.compact.json"));
    let pushed = |name: &str| match message(&folder.join(name)) {
        Message::Objects(objects) => objects,
        other => panic!("{name} is {}", other.kind()),
    };
    match pushed("push.port-update.json")[0].resource().unwrap() {
        Some(Resource::Port(port)) => {
            let device = wanted.devices.iter().find(|device| device.id == port.id).unwrap();
            assert_eq!(*port, secgroup_rpc::Device { patch: Default::default(), ..device.clone() });
        }
        other => panic!("{other:?}"),
    }
    match pushed("push.group-update.json")[0].resource().unwrap() {
        Some(Resource::SecurityGroup { id, rules }) => {
            let mut masked: Vec<_> = wanted.group(id).unwrap().rules.iter().map(Rule::masked).collect();
            masked.sort();
            assert_eq!(rules, masked);
        }
        other => panic!("{other:?}"),
    }
    match pushed("push.address-group-update.json")[0].resource().unwrap() {
        Some(Resource::AddressGroup(set)) => assert_eq!(set.len(), 3),
        other => panic!("{other:?}"),
    }
    assert!(matches!(pushed("push.rule-update.json")[0].resource(), Ok(Some(Resource::Rule(_)))));
    let deleted = &pushed("push.port-delete.json")[0];
    assert!(deleted.resource().is_err() && deleted.id().is_some());
}

#[test]
fn every_truncation_of_the_text_is_an_error() {
    let path = files_named("two-ports.compact").pop().unwrap();
    let text = text(&path);
    for len in 0..text.trim_ascii_end().len() {
        assert!(read_json(&text[..len], &Limits::default()).is_err());
    }
}
