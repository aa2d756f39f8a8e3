//! A desired state that follows its files.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::desired::Desired;

/// The state of a file, and of the files that it names. A file that cannot be used changes nothing.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    seen: Vec<Option<Stamp>>,
    state: Desired,
}

/// A file that is replaced has another inode; one that is written has another time or size.
type Stamp = (u64, i64, i64, u64);

impl Watched {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// It cannot be used; [`NotYet`](crate::bus::NotYet) if it only waits for a bus.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let state = Desired::read(path).context("the desired state cannot be used")?;
        // Whatever is written while this reads is read again.
        Ok(Self { path: path.to_owned(), seen: Vec::new(), state })
    }

    /// The last state that could be used.
    pub const fn state(&self) -> &Desired {
        &self.state
    }

    /// Reads again what changed since the last call; whether anything did.
    ///
    /// # Errors
    /// It cannot be used; the last good state stays.
    pub fn refresh(&mut self) -> anyhow::Result<bool> {
        let stamps = self.stamps();
        if stamps == self.seen {
            return Ok(false);
        }
        self.seen = stamps;
        self.state = Desired::read(&self.path)?;
        Ok(true)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let files = [Some(self.path.as_path()), self.state.groups_file(), self.state.bus_file()];
        files.into_iter().map(|file| stamp(file?)).collect()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}
