//! What a replay leaves behind: files that appear all at once, or not at all.

use core::time::Duration;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use pcap_file::pcap::{PcapHeader, PcapWriter, RawPcapPacket};
use pcap_file::{DataLink, Endianness, TsResolution};
use tempfile::TempDir;

use crate::error::BadInput;

/// Longest packet that the headers of our files announce; what tcpdump writes by default.
const SNAP_LEN: u32 = 262_144;

/// A directory in the making. Dropped without [`commit`](Self::commit), it leaves no trace.
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    /// On the same file system as the target, so that the last step is a rename.
    files: TempDir,
}

impl Staging {
    /// Prepares the directory `target`, which may exist.
    ///
    /// # Errors
    /// [`BadInput`] if `target` is a file or nothing can be written there.
    pub fn new(target: &Path) -> Result<Self, BadInput> {
        let fault = |what: String| {
            BadInput::new(format_args!("--out {}", target.display()), what)
                .help("name a directory that can be written; it is made if it is missing")
        };
        if target.exists() && !target.is_dir() {
            return Err(fault("is a file, not a directory".into()));
        }
        let absolute = std::path::absolute(target).map_err(|e| fault(e.to_string()))?;
        let existing = absolute.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
        let files = tempfile::Builder::new()
            .prefix(".lab-")
            .tempdir_in(existing)
            .map_err(|e| fault(format!("cannot write there: {e}")))?;
        Ok(Self { target: absolute, files })
    }

    /// Where the directory will stand.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Starts the file `name`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(&self, name: &str) -> anyhow::Result<BufWriter<File>> {
        let path = self.files.path().join(name);
        let file = File::create_new(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(BufWriter::new(file))
    }

    /// Moves every file to its place; files of the same name are replaced, others stay.
    ///
    /// # Errors
    /// What the file system says.
    pub fn commit(self) -> anyhow::Result<()> {
        let put = || -> io::Result<()> {
            fs::create_dir_all(&self.target)?;
            for entry in fs::read_dir(self.files.path())? {
                let entry = entry?;
                fs::rename(entry.path(), self.target.join(entry.file_name()))?;
            }
            Ok(())
        };
        put().with_context(|| format!("cannot write to {}", self.target.display()))
    }
}

/// A classic pcap file with nanosecond time stamps, little-endian on every machine.
#[derive(Debug)]
pub struct PcapFile {
    writer: PcapWriter<BufWriter<File>>,
}

impl PcapFile {
    /// Writes the file header.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(file: BufWriter<File>) -> anyhow::Result<Self> {
        let header = PcapHeader {
            snaplen: SNAP_LEN,
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            endianness: Endianness::Little,
            ..PcapHeader::default()
        };
        Ok(Self { writer: PcapWriter::with_header(file, header)? })
    }

    /// Appends `frame`, of which `cut` bytes were never recorded.
    ///
    /// # Errors
    /// What the file system says, and a time after the year 2106, which the format cannot hold.
    pub fn write(&mut self, time: Duration, frame: &[u8], cut: u32) -> anyhow::Result<()> {
        let ts_sec = u32::try_from(time.as_secs()).map_err(|_| {
            anyhow::anyhow!("a time stamp {} s after 1970 does not fit into pcap", time.as_secs())
        })?;
        let incl_len = frame.len() as u32;
        let packet = RawPcapPacket {
            ts_sec,
            ts_frac: time.subsec_nanos(),
            incl_len,
            orig_len: incl_len.saturating_add(cut),
            data: Cow::Borrowed(frame),
        };
        self.writer.write_raw_packet(&packet)?;
        Ok(())
    }

    /// Writes what is left in the buffer.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self) -> anyhow::Result<()> {
        Ok(self.writer.into_writer().flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_directory_leaves_no_trace() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::new(&root.path().join("a/b")).unwrap();
        staging.create("x").unwrap().write_all(b"half").unwrap();
        drop(staging);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_committed_directory_holds_the_files_and_keeps_those_of_others() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("notes"), "mine").unwrap();
        fs::write(root.path().join("x"), "old").unwrap();
        let staging = Staging::new(root.path()).unwrap();
        staging.create("x").unwrap().write_all(b"new").unwrap();
        staging.commit().unwrap();
        assert_eq!(fs::read_to_string(root.path().join("x")).unwrap(), "new");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_in_the_way_is_bad_input() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Staging::new(file.path()).unwrap_err().to_string();
        assert!(error.contains("is a file"), "{error}");
    }
}
