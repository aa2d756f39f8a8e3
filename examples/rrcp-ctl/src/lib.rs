//! Everything that `rrcp-ctl` does, as functions that tests call; `main` is I/O and exit codes.

pub mod cli;
pub mod commands;
pub mod decode;
pub mod record;
pub mod remote;
pub mod serve;
pub mod session;
pub mod simulated;
