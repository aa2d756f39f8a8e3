//! Everything that `rrcp-ctl` does, as functions that tests call; `main` is I/O and exit codes.

pub mod decode;
pub mod record;
