//! State in files: Neutron's JSON or the compact form, read as either, written whole or not at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use secgroup_rpc::{Info, Limits, Message, Uuid, read_json, to_json};

use crate::input::BadInput;

/// Largest file that is read.
const MAX_FILE: u64 = 1 << 30;

/// Reads a reply of the compact call, with or without its envelope, as JSON or in the compact form.
///
/// # Errors
/// If the file cannot be read; [`BadInput`] if it holds something else.
pub fn read(path: &Path) -> Result<Info> {
    let bytes = read_bytes(path)?;
    parse(&bytes).map_err(|why| BadInput(format!("{}: {why}", path.display())).into())
}

fn parse(bytes: &[u8]) -> Result<Info> {
    let limits = Limits::default();
    let message = if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        Message::decode(bytes, &limits)?
    } else {
        read_json(bytes, &limits)?
    };
    match message.payload() {
        Some(Message::Info(info)) => Ok(info.clone()),
        other => Err(anyhow!("not what a server knows but {}", other.map_or("nothing", Message::kind))),
    }
}

/// Writes JSON if the name ends in `.json`, else the compact form. The file changes in one instant.
///
/// # Errors
/// If it cannot be written; it is then as it was.
pub fn write(path: &Path, info: &Info) -> Result<()> {
    let message = Message::Info(info.clone());
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let bytes = if is_json { to_json(&message).into_bytes() } else { message.encode() };
    replace(path, &bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The file has these bytes or its old ones, at any time and after a power cut.
///
/// # Errors
/// If it cannot be written; it is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = fs::Permissions::from_mode(0o644);
    let mut partial = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    partial.write_all(bytes)?;
    partial.as_file().sync_data()?;
    partial.persist(path)?;
    Ok(())
}

/// Reads device ids: a JSON list, or one on each line; `#` starts a comment.
///
/// # Errors
/// If the file cannot be read; [`BadInput`] with the place of what is no id.
pub fn read_devices(path: &Path) -> Result<Vec<Uuid>> {
    let text = String::from_utf8(read_bytes(path)?).map_err(|_| bad(path, "not UTF-8"))?;
    let words: Vec<String> = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).map_err(|error| bad(path, &error.to_string()))?
    } else {
        let line = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
        text.lines().map(line).filter(|word| !word.is_empty()).collect()
    };
    let ids = words.iter().map(|word| word.parse().map_err(|error| bad(path, &format!("`{word}`: {error}"))));
    Ok(ids.collect::<Result<_, _>>()?)
}

fn bad(path: &Path, what: &str) -> BadInput {
    BadInput(format!("{}: {what}", path.display()))
}

pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    if fs::metadata(path).with_context(context)?.len() > MAX_FILE {
        return Err(bad(path, "larger than 1 GiB").into());
    }
    fs::read(path).with_context(context)
}

/// Notices that a file is another than before.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// A file that is replaced has another inode; one that is written has another time or size.
type Stamp = (u64, i64, i64, u64);

impl Watched {
    /// Watches from what the file is now.
    pub fn new(path: &Path) -> Self {
        Self { path: path.into(), seen: stamp(path) }
    }

    /// The file's place.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file changed since the last call; one that is away is not a change.
    pub fn changed(&mut self) -> bool {
        let now = stamp(&self.path);
        let changed = now.is_some() && now != self.seen;
        if changed {
            self.seen = now;
        }
        changed
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Cloud;
    use secgroup_rpc::sync::Server;

    fn info() -> Info {
        let mut server = Server::new(1);
        Cloud { ports: 6, hosts: 2, groups: 2 }.fill(&mut server);
        server.info()
    }

    #[test]
    fn both_forms_survive_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state.json", "state.sg"] {
            let path = folder.path().join(name);
            write(&path, &info()).unwrap();
            let mut read_back = read(&path).unwrap();
            read_back.strip();
            assert_eq!(read_back, info(), "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half-written stays");
    }

    #[test]
    fn other_messages_and_damage_are_bad_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut compact = Message::Info(info()).encode();
        compact.truncate(compact.len() / 2);
        for bytes in [&b""[..], b"{", b"{\"security_groups\": []}", &compact] {
            fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.is::<BadInput>(), "{error:#}");
        }
        assert!(!read(&folder.path().join("missing")).unwrap_err().is::<BadInput>());
    }

    #[test]
    fn devices_come_as_lines_or_as_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices");
        let id = Uuid([0x11; 16]);
        for text in [format!("# mine\n{id}  # the first\n\n"), format!("[\"{id}\"]")] {
            fs::write(&path, text).unwrap();
            assert_eq!(read_devices(&path).unwrap(), [id]);
        }
        fs::write(&path, "tap52b7bdbe-79\n").unwrap();
        assert!(read_devices(&path).unwrap_err().to_string().contains("`tap52b7bdbe-79`"));
    }

    #[test]
    fn a_watched_file_tells_each_change_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut watched = Watched::new(&path);
        assert!(!watched.changed());
        for text in ["a", "ab"] {
            replace(&path, text.as_bytes()).unwrap();
            assert!(watched.changed());
            assert!(!watched.changed());
        }
        fs::remove_file(&path).unwrap();
        assert!(!watched.changed());
    }
}
