//! Files and standard streams: JSON, gzip and the compact form told apart by their first byte.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use secgroup_rpc::{Limits, Message, read_json};

/// The input is at fault, not the system: exit code 2.
#[derive(Debug)]
pub struct BadInput(pub String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// A message and how many bytes it was, unpacked.
#[derive(Debug)]
pub struct Input {
    /// The message.
    pub message: Message,
    /// Its size as it came, after gunzip.
    pub bytes: usize,
    /// True if it came in the compact form.
    pub compact: bool,
}

/// Reads a message in whatever form it is.
pub fn read(path: &Path) -> Result<Input> {
    let bytes = read_bytes(path)?;
    parse(&bytes).with_context(|| format!("cannot read {}", name(path)))
}

/// Tells the forms apart and reads the message.
pub fn parse(bytes: &[u8]) -> Result<Input> {
    let compact = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let message = if compact {
        Message::decode(bytes, &Limits::default()).map_err(|error| BadInput(error.to_string()))?
    } else {
        read_json(bytes, &Limits::default()).map_err(|error| BadInput(error.to_string()))?
    };
    Ok(Input { message, bytes: bytes.len(), compact })
}

/// The bytes of a file or of standard input, unpacked if they are gzip.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if is_stream(path) {
        io::stdin().lock().read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.with_context(|| format!("cannot read {}", name(path)))?;
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(&bytes[..])
        .read_to_end(&mut unpacked)
        .map_err(|error| BadInput(format!("{} is damaged gzip: {error}", name(path))))?;
    Ok(unpacked)
}

/// Writes all or nothing: a file appears under its name once it is complete.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let context = || format!("cannot write {}", name(path));
    if is_stream(path) || path.metadata().is_ok_and(|found| !found.is_file()) {
        // Standard output, and devices such as /dev/null, take the bytes as they come.
        let mut out: Box<dyn Write> = if is_stream(path) {
            Box::new(io::stdout().lock())
        } else {
            Box::new(File::create(path).with_context(context)?)
        };
        return out.write_all(bytes).and_then(|()| out.flush()).with_context(context);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // 0o666 less the umask, as for any new file; without it a temporary file is its owner's alone.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let mut partial = tempfile::Builder::new().permissions(mode).tempfile_in(folder).with_context(context)?;
    partial.write_all(bytes).with_context(context)?;
    partial.persist(path).with_context(context)?;
    Ok(())
}

fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn name(path: &Path) -> String {
    if is_stream(path) { "standard stream".into() } else { path.display().to_string() }
}
