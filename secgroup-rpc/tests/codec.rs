//! The compact form on recorded messages: both ways, canonical, and every truncation refused.
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use common::{files, message};
use secgroup_rpc::{Limits, Message};

#[test]
fn decoding_gives_back_every_recorded_message() {
    for path in files() {
        let mut lossless = message(&path);
        lossless.normalize();
        let mut semantic = lossless.clone();
        semantic.strip();
        for (profile, message) in [("lossless", lossless), ("semantic", semantic)] {
            let bytes = message.encode();
            eprintln!("{:>9} B  {profile} {}", bytes.len(), path.file_name().unwrap().display());
            let again = Message::decode(&bytes, &Limits::default());
            assert!(again.as_ref() == Ok(&message), "{}: {:?}", path.display(), again.err());
        }
    }
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    for path in files().into_iter().filter(|path| path.to_string_lossy().contains("one-port")) {
        let bytes = message(&path).encode();
        for len in 0..bytes.len() {
            assert!(
                Message::decode(&bytes[..len], &Limits::default()).is_err(),
                "{} at {len}",
                path.display()
            );
        }
        for extra in [0, 1, 0xFF] {
            let longer = [&bytes[..], &[extra]].concat();
            assert!(Message::decode(&longer, &Limits::default()).is_err());
        }
    }
}
