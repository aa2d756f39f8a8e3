//! What a message holds and how large it is in each form.

use std::{fmt::Write, path::Path};

use anyhow::Result;
use secgroup_rpc::{Info, Message, Object, Value, to_json, write_value};

use crate::files;

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
    /// Of a reply: what each part adds to those before it. Parts share ids and addresses, so none
    /// has a size of its own.
    sections: Vec<(&'static str, usize)>,
}

impl Sizes {
    fn of(message: &Message) -> Self {
        let mut stripped = message.clone();
        stripped.strip();
        let (lossless, semantic) = (message.encode().len(), stripped.encode().len());
        let mut sections = Vec::new();
        if let Some(Message::Info(info)) = stripped.payload() {
            sections = sections_of(info);
            let parts: usize = sections.iter().map(|(_, bytes)| bytes).sum();
            sections.push(("envelope", semantic.saturating_sub(parts)));
            sections.push(("other keys", lossless.saturating_sub(semantic)));
        }
        Self { json: to_json(message).len(), lossless, semantic, sections }
    }
}

/// The semantic form piece by piece, from nothing to all of it.
fn sections_of(info: &Info) -> Vec<(&'static str, usize)> {
    let mut sections = Vec::new();
    let (mut part, mut before) = (Info { version: info.version, ..Info::default() }, 0);
    let mut add = |name, part: &Info| {
        let bytes = part.encode().len();
        sections.push((name, bytes.saturating_sub(before)));
        before = before.max(bytes);
    };
    add("frame", &part);
    part.groups = info.groups.clone();
    add("groups and rules", &part);
    part.members = info.members.clone();
    add("members", &part);
    part.devices = info.devices.clone();
    add("devices", &part);
    sections
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
    if !sizes.sections.is_empty() {
        let sections = sizes.sections.iter().map(|(name, bytes)| ((*name).into(), number(*bytes)));
        object.insert("section_bytes".into(), sections.collect::<Object>().into());
    }
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
        out += "\nwhat each part adds to those above it, in bytes\n";
        for (name, bytes) in &sizes.sections {
            let _ = writeln!(out, "{bytes:>10} {name}");
        }
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
