//! A difference as a table for people and as JSON.

use std::fmt::Write;

use secgroup_rpc::{CallVersion, Device, Family, Group, Member, MemberSet, Rule};
use serde_json::{Value, json};

use super::{Changes, Difference, FieldChange, MemberChange, RuleChange};
use crate::reply::rule_text;

/// Members of one change that are named in the table; JSON has them all.
const NAMED: usize = 8;

/// One line per change, `+` for what came, `-` for what went, `~` for what is another now.
pub fn table(difference: &Difference) -> String {
    let mut out = String::new();
    for device in &difference.devices.added {
        line(&mut out, '+', "device", &device_text(device));
    }
    for device in &difference.devices.removed {
        line(&mut out, '-', "device", &device_text(device));
    }
    for (id, fields) in &difference.devices.changed {
        line(&mut out, '~', "device", &id.to_string());
        fields.iter().for_each(|field| detail(&mut out, '~', &field_text(field)));
    }
    groups(&mut out, &difference.groups);
    sets(&mut out, "members", &difference.members);
    sets(&mut out, "address group", &difference.address_groups);
    if let Some((before, after)) = difference.version {
        line(&mut out, '~', "call version", &format!("{} -> {}", version(before), version(after)));
    }
    if difference.other_keys {
        line(&mut out, '~', "other keys", "beside devices, groups and members");
    }
    if difference.is_empty() {
        out += "equal\n";
    }
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{} bytes as a delta, {} as a whole", difference.delta, difference.whole);
    out
}

fn groups(out: &mut String, groups: &Changes<Group, RuleChange>) {
    for (sign, list) in [('+', &groups.added), ('-', &groups.removed)] {
        for group in list {
            line(out, sign, "group", &group.id.to_string());
            group.rules.iter().for_each(|rule| detail(out, sign, &rule_text(rule)));
        }
    }
    for (id, change) in &groups.changed {
        line(out, '~', "group", &id.to_string());
        change.removed.iter().for_each(|rule| detail(out, '-', &rule_text(rule)));
        change.added.iter().for_each(|rule| detail(out, '+', &rule_text(rule)));
    }
}

fn sets(out: &mut String, what: &str, sets: &Changes<MemberSet, MemberChange>) {
    for (sign, list) in [('+', &sets.added), ('-', &sets.removed)] {
        for set in list {
            let count = |family| set.members(family).count();
            let counts = format!("{}  {} IPv4, {} IPv6", set.id, count(Family::V4), count(Family::V6));
            line(out, sign, what, &counts);
        }
    }
    for (id, change) in &sets.changed {
        line(out, '~', what, &id.to_string());
        for (sign, list) in [('-', &change.removed), ('+', &change.added)] {
            list.iter().take(NAMED).for_each(|member| detail(out, sign, &member_text(member)));
            if list.len() > NAMED {
                detail(out, sign, &format!("and {} more", list.len() - NAMED));
            }
        }
        if change.shape {
            detail(out, '~', "lists or keys without members");
        }
    }
}

fn line(out: &mut String, sign: char, what: &str, text: &str) {
    let _ = writeln!(out, "{sign} {what:<13}  {text}");
}

fn detail(out: &mut String, sign: char, text: &str) {
    let _ = writeln!(out, "{:>18}{sign} {text}", "");
}

fn device_text(device: &Device) -> String {
    let addresses: Vec<_> = device.fixed_ips.iter().map(ToString::to_string).collect();
    format!("{}  {}  {}", device.id, mac_text(device.mac), addresses.join(" "))
}

fn mac_text(mac: secgroup_rpc::macaddr::MacAddr6) -> String {
    mac.to_string().to_lowercase()
}

fn field_text(field: &FieldChange) -> String {
    format!("{}: {} -> {}", field.key, field.before, field.after)
}

fn member_text(member: &Member) -> String {
    match member.mac {
        Some(mac) => format!("{} with {}", member.address, mac_text(mac)),
        None => member.address.to_string(),
    }
}

const fn version(version: CallVersion) -> &'static str {
    match version {
        CallVersion::V1_2 => "1.2",
        CallVersion::V1_3 => "1.3",
    }
}

/// An object with every change; rules and keys as Neutron writes them.
pub fn json(difference: &Difference) -> String {
    let ids = |devices: &[Device]| devices.iter().map(|device| device.id.to_string()).collect::<Vec<_>>();
    let fields = |fields: &Vec<FieldChange>| {
        let object = |field: &FieldChange| {
            let (before, after) = (&field.before, &field.after);
            (field.key.clone(), json!({"before": before, "after": after}))
        };
        Value::Object(fields.iter().map(object).collect())
    };
    let value = json!({
        "equal": difference.is_empty(),
        "delta_bytes": difference.delta,
        "whole_bytes": difference.whole,
        "devices": {
            "added": ids(&difference.devices.added),
            "removed": ids(&difference.devices.removed),
            "changed": changed(&difference.devices.changed, fields),
        },
        "groups": {
            "added": keyed(&difference.groups.added, |group| (group.id, rules(&group.rules))),
            "removed": keyed(&difference.groups.removed, |group| (group.id, rules(&group.rules))),
            "changed": changed(&difference.groups.changed, |change| {
                json!({"added": rules(&change.added), "removed": rules(&change.removed)})
            }),
        },
        "members": set_changes(&difference.members),
        "address_groups": set_changes(&difference.address_groups),
        "call_version": difference.version.map(|(before, after)| {
            json!({"before": version(before), "after": version(after)})
        }),
        "other_keys": difference.other_keys,
    });
    format!("{value:#}\n")
}

fn set_changes(sets: &Changes<MemberSet, MemberChange>) -> Value {
    let all = |set: &MemberSet| -> Vec<Member> {
        [Family::V4, Family::V6].into_iter().flat_map(|family| set.members(family)).collect()
    };
    json!({
        "added": keyed(&sets.added, |set| (set.id, members(&all(set)))),
        "removed": keyed(&sets.removed, |set| (set.id, members(&all(set)))),
        "changed": changed(&sets.changed, |change| json!({
            "added": members(&change.added),
            "removed": members(&change.removed),
            "shape": change.shape,
        })),
    })
}

fn keyed<T>(items: &[T], entry: impl Fn(&T) -> (secgroup_rpc::Uuid, Value)) -> Value {
    let text = |(id, value): (secgroup_rpc::Uuid, Value)| (id.to_string(), value);
    Value::Object(items.iter().map(|item| text(entry(item))).collect())
}

fn changed<C>(items: &[(secgroup_rpc::Uuid, C)], value: impl Fn(&C) -> Value) -> Value {
    keyed(items, |(id, change)| (*id, value(change)))
}

fn rules(rules: &[Rule]) -> Value {
    rules.iter().map(|rule| serde_json::to_value(rule.to_value()).unwrap_or_default()).collect()
}

/// Pairs of address and MAC or null, as Neutron lists members.
fn members(members: &[Member]) -> Value {
    members.iter().map(|member| json!([member.address.to_string(), member.mac.map(mac_text)])).collect()
}
