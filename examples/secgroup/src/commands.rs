//! What each command does, from file to file.

use std::{fmt::Write, path::Path};

use anyhow::Result;
use clap::ValueEnum;
use secgroup_rpc::{Info, Message, Object, Value, to_json, write_value};

use crate::files::{self, BadInput};

/// What the compact form carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Profile {
    /// What a packet filter needs; unknown and unused keys are dropped.
    Semantic,
    /// Everything, unknown keys included.
    Lossless,
}

/// Writes a message in the compact form.
pub fn encode(input: &Path, output: &Path, profile: Profile) -> Result<()> {
    let mut message = files::read(input)?.message;
    if profile == Profile::Semantic {
        message.strip();
    }
    files::write(output, &message.encode())
}

/// Writes a message as JSON.
pub fn decode(input: &Path, output: &Path) -> Result<()> {
    let message = files::read(input)?.message;
    files::write(output, to_json(&message).as_bytes())
}

/// Writes the expanded rules of every device.
pub fn expand(input: &Path, output: &Path) -> Result<()> {
    let message = files::read(input)?.message;
    files::write(output, write_value(&expanded(&message)?).as_bytes())
}

/// The filter of every device as Neutron's agent expands it, under its id.
pub fn expanded(message: &Message) -> Result<Value> {
    let entry = |device: secgroup_rpc::ExpandedDevice| (device.id.to_string(), device.to_value());
    let devices: Object = match message.payload() {
        Some(Message::Info(info)) => info.expand().map(entry).collect(),
        Some(Message::Legacy(legacy)) => legacy.expand().map(entry).collect(),
        Some(Message::Expanded(devices)) => devices.clone(),
        other => {
            let kind = other.map_or("an empty envelope", Message::kind);
            let hint =
                "expand takes a reply of security_group_info_for_devices or security_group_rules_for_devices";
            return Err(BadInput(format!("nothing to expand in {kind}: {hint}")).into());
        }
    };
    Ok(devices.into())
}

/// Shows what a message holds and how large it is in each form.
pub fn inspect(input: &Path, json: bool) -> Result<()> {
    let input = files::read(input)?;
    let text = if json { write_value(&summary(&input)) + "\n" } else { table(&input) };
    files::write(Path::new("-"), text.as_bytes())
}

/// How large the message is in each form, in bytes.
struct Sizes {
    json: usize,
    lossless: usize,
    semantic: usize,
}

impl Sizes {
    fn of(message: &Message) -> Self {
        let mut semantic = message.clone();
        semantic.strip();
        Self {
            json: to_json(message).len(),
            lossless: message.encode().len(),
            semantic: semantic.encode().len(),
        }
    }
}

fn summary(input: &files::Input) -> Value {
    let number = |count: usize| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let sizes = Sizes::of(&input.message);
    let mut object = Object::from([
        ("kind".into(), input.message.kind().into()),
        ("input_bytes".into(), number(input.bytes)),
        ("json_bytes".into(), number(sizes.json)),
        ("lossless_bytes".into(), number(sizes.lossless)),
        ("semantic_bytes".into(), number(sizes.semantic)),
    ]);
    if let Some(Message::Info(info)) = input.message.payload() {
        object.insert("devices".into(), number(info.devices.len()));
        object.insert("groups".into(), number(info.groups.len()));
        object.insert("rules".into(), number(info.groups.iter().map(|group| group.rules.len()).sum()));
        object.insert("member_sets".into(), number(info.members.len()));
        object.insert("members".into(), number(info.members.iter().map(|set| set.len()).sum()));
    }
    object.into()
}

fn table(input: &files::Input) -> String {
    let sizes = Sizes::of(&input.message);
    let form = if input.compact { "compact form" } else { "JSON" };
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{}, {} bytes of {form}", input.message.kind(), input.bytes);
    let _ = writeln!(out, "{:>10} bytes as JSON", sizes.json);
    let _ = writeln!(out, "{:>10} bytes lossless", sizes.lossless);
    let _ = writeln!(out, "{:>10} bytes semantic", sizes.semantic);
    if let Some(Message::Info(info)) = input.message.payload() {
        out += &info_table(info);
    }
    out
}

fn info_table(info: &Info) -> String {
    let mut out = String::new();
    let _ =
        writeln!(out, "\n{:<36}  {:>6}  {:>7}  {:>8}  {:>8}", "group", "rules", "devices", "IPv4", "IPv6");
    let mut ids: Vec<_> = info.groups.iter().map(|group| group.id).collect();
    ids.extend(info.members.iter().map(|set| set.id));
    ids.sort();
    ids.dedup();
    for id in ids {
        let count = |count: Option<usize>| count.map_or("-".to_owned(), |count| count.to_string());
        let rules = count(info.group(id).map(|group| group.rules.len()));
        let devices = info.devices.iter().filter(|device| device.groups.contains(&id)).count();
        let set = info.member_set(id);
        let v4 = count(set.and_then(|set| set.v4.as_ref()).map(|v4| v4.len()));
        let v6 = count(set.and_then(|set| set.v6.as_ref()).map(|v6| v6.len()));
        let _ = writeln!(out, "{id}  {rules:>6}  {devices:>7}  {v4:>8}  {v6:>8}");
    }
    let filtered = info.devices.iter().filter(|device| device.is_filtered()).count();
    let _ = writeln!(out, "{} devices, {filtered} of them filtered", info.devices.len());
    out
}
