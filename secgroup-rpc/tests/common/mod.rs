//! Recorded messages: from the shared folder when it is there, and our own small ones always.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use secgroup_rpc::{Limits, Message, Value, read_json, read_value};

/// `../shared/fixtures/neutron`, if it is there.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/neutron");
    folder.is_dir().then_some(folder)
}

/// Our own messages, in the repository.
pub(crate) fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages")
}

/// Every message file, `.json` and `.json.gz`, sorted by name. The largest of the sweep over N are
/// left out: they show nothing new and take long in a debug build.
pub(crate) fn files() -> Vec<PathBuf> {
    let folders = [Some(own()), shared(), shared().map(|folder| folder.join("blog"))];
    let entries = folders.into_iter().flatten().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let is_message = |path: &PathBuf| {
        let name = path.to_string_lossy();
        let large = ["blog-0500", "blog-1000-all", "blog-1000-host.legacy", "blog-2000"];
        let large = large.iter().any(|start| name.contains(start));
        !large && (name.ends_with(".json") || name.ends_with(".json.gz"))
    };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_message).collect();
    files.sort();
    files
}

/// The files whose name ends with `suffix` (`.json` or `.json.gz` added).
pub(crate) fn files_named(suffix: &str) -> Vec<PathBuf> {
    let ends = [format!("{suffix}.json"), format!("{suffix}.json.gz")];
    files().into_iter().filter(|path| ends.iter().any(|end| path.to_string_lossy().ends_with(end))).collect()
}

/// The text of a file, unpacked.
pub(crate) fn text(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_none_or(|end| end != "gz") {
        return bytes;
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    text
}

pub(crate) fn value(path: &Path) -> Value {
    read_value(&text(path), &Limits::default()).unwrap()
}

pub(crate) fn message(path: &Path) -> Message {
    read_json(&text(path), &Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The value with every list sorted and JSON text in envelopes opened: what may not differ.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(sorted).collect();
            items.sort();
            Value::Array(items)
        }
        Value::Object(members) => {
            let open = |(key, value): (String, Value)| match value {
                Value::String(text) if key == "oslo.message" => {
                    (key, sorted(read_value(text.as_bytes(), &Limits::default()).unwrap()))
                }
                value => (key, sorted(value)),
            };
            Value::Object(members.into_iter().map(open).collect())
        }
        other => other,
    }
}
