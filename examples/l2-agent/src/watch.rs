//! A desired state that follows its files.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::desired::Desired;

/// The state of a file, and of the files that it names. A file that cannot be used changes nothing.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    seen: Vec<Option<Stamp>>,
    state: Desired,
    /// Of the directories, since a file that is replaced is another one. Where the kernel has none
    /// to give, the files are looked at from time to time.
    notices: Option<Inotify>,
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
        let notices = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok();
        // Whatever is written while this reads is read again.
        let watched = Self { path: path.to_owned(), seen: Vec::new(), state, notices };
        watched.watch();
        Ok(watched)
    }

    /// Can be read when a file may have changed.
    pub fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.notices.as_ref().map(AsFd::as_fd)
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
        while self.notices.as_ref().is_some_and(|notices| notices.read_events().is_ok()) {}
        let stamps = self.stamps();
        if stamps == self.seen {
            return Ok(false);
        }
        self.seen = stamps;
        self.state = Desired::read(&self.path)?;
        self.watch();
        Ok(true)
    }

    fn files(&self) -> [Option<&Path>; 3] {
        [Some(self.path.as_path()), self.state.groups_file(), self.state.bus_file()]
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.files().into_iter().map(|file| stamp(file?)).collect()
    }

    /// A directory that is watched already stays so.
    fn watch(&self) {
        let Some(notices) = &self.notices else { return };
        for file in self.files().into_iter().flatten() {
            let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
            let flags = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
            _ = notices.add_watch(directory.unwrap_or(Path::new(".")), flags);
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}
