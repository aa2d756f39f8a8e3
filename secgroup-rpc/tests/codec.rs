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

/// The format, once and for all: whoever changes these bytes changes the version.
#[test]
fn two_ports_have_these_bytes() {
    let mut message = message(&common::own().join("two-ports.compact.json"));
    message.strip();
    let hex: String = message.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "90c824179c3dd9f73887b347349a28b5b27da5649d7e960c864638f6a30b82512ee3d09a4b91379d0a37",
            "ed69e2703251b60b33a6b28e20dba36c71f47aa7f3400000102000c01020a08e13076401000100000080",
            "db1000026e30525038000048000010284d6433c6aa000023468e181b2a33416b14c0d0ba81b74daa86b5",
            "1182206a52a6b40018c216c4012c33d92313224d6433c65501000c2182510080db100002",
        )
    );
}
