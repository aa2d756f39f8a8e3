//! The gateway's commands as functions: configuration, replay, Neutron, guests.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may panic, helpers too"
)]

mod config;
#[path = "../../../../mac-nat/tests/behaviour/frames.rs"]
#[allow(dead_code)]
mod frames;
mod guest;
mod neutron;
mod replay;

use std::path::{Path, PathBuf};

use mac_nat_gw::Settings;

/// A file of `tests/data`.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn settings(name: &str) -> Settings {
    Settings::read(&data(name), |_| None).unwrap()
}
