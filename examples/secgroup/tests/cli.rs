//! The commands from the outside: files in, files out, exit codes.
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use secgroup_rpc::{Limits, Message, read_json};

fn secgroup(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_secgroup"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../secgroup-rpc/tests/messages/two-ports.compact.json")
}

fn message(text: &[u8]) -> Message {
    let mut message = read_json(text, &Limits::default()).unwrap();
    message.normalize();
    message
}

#[test]
fn a_message_survives_encode_and_decode() {
    let folder = tempfile::tempdir().unwrap();
    let (packed, again) = (folder.path().join("m.sg"), folder.path().join("m.json"));
    let text = fs::read(sample()).unwrap();
    for profile in ["lossless", "semantic"] {
        let encode =
            ["encode", sample().to_str().unwrap(), "-o", packed.to_str().unwrap(), "--profile", profile]
                .map(str::to_owned);
        assert!(secgroup(&encode.each_ref().map(|arg| arg.as_str()), b"").status.success());
        assert!(fs::metadata(&packed).unwrap().len() < text.len() as u64 / 5);
        let decode = ["decode", packed.to_str().unwrap(), "-o", again.to_str().unwrap()];
        assert!(secgroup(&decode, b"").status.success());
        let mut wanted = message(&text);
        if profile == "semantic" {
            wanted.strip();
        }
        assert_eq!(message(&fs::read(&again).unwrap()), wanted);
    }
}

#[test]
fn streams_stand_for_files() {
    let text = fs::read(sample()).unwrap();
    let packed = secgroup(&["encode", "-", "-o", "-"], &text).stdout;
    let again = secgroup(&["decode", "-", "-o", "-"], &packed).stdout;
    assert_eq!(message(&again), message(&text));
    let from_binary = secgroup(&["expand", "-", "-o", "-"], &packed).stdout;
    let from_json = secgroup(&["expand", "-", "-o", "-"], &text).stdout;
    assert_eq!(message(&from_binary), message(&from_json));
    let table = secgroup(&["inspect", "-"], &packed).stdout;
    assert!(String::from_utf8(table).unwrap().contains("2 devices, 2 of them filtered"));
}

#[test]
fn bad_input_is_exit_code_2_with_the_path_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let text = String::from_utf8(fs::read(sample()).unwrap()).unwrap();
    let cases = [
        (text.replace("\"IPv4\",", "\"IPv5\","), "ethertype: \"IPv5\" is not IPv4 or IPv6"),
        (text.replace("\"port_range_max\": 23", "\"port_range_max\": 2"), "port range 22..2 is reversed"),
        (text[..text.len() / 2].to_owned(), "line"),
        ("{\"a\": 1}".to_owned(), "neither a reply"),
        (String::new(), "EOF"),
        ("[".repeat(100_000), "nested deeper"),
        ("\u{7ff}".to_owned(), "format version"),
    ];
    for (input, complaint) in cases {
        for command in ["encode", "decode", "expand"] {
            let done = secgroup(&[command, "-", "-o", out.to_str().unwrap()], input.as_bytes());
            let errors = String::from_utf8(done.stderr).unwrap();
            assert_eq!(done.status.code(), Some(2), "{errors}");
            assert!(errors.contains(complaint), "{errors}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn a_missing_file_is_exit_code_1() {
    assert_eq!(secgroup(&["decode", "/no/such/file", "-o", "-"], b"").status.code(), Some(1));
}
