//! Frames over a pair of virtual interfaces, in a network namespace of the test's own.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use core::time::Duration;
use std::os::fd::AsFd;
use std::process::Command;

use afpacket::{Interface, TAG_ROOM, wait};
use nix::sched::{CloneFlags, unshare};

/// Moves this thread into a new network namespace with the pair `left` and `right`, both up.
///
/// Returns whether that was possible: it needs root and `ip`.
fn enter_lab() -> bool {
    let missing = if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        "CAP_SYS_ADMIN"
    } else if !ip("link add left type veth peer name right") {
        "ip"
    } else {
        return ip("link set left up") && ip("link set right up");
    };
    assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{missing} not found");
    eprintln!("skipped: {missing} not found");
    false
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().is_ok_and(|status| status.success())
}

/// What comes out of `to` first among the frames with our test EtherType at their end.
fn receive(to: &Interface, len: usize) -> Vec<u8> {
    let mut buffer = [0; 2048];
    for _ in 0..100 {
        while let Some(frame) = to.recv(&mut buffer, TAG_ROOM).unwrap() {
            if buffer[frame.clone()].ends_with(b"layer two") {
                assert_eq!(frame.len(), len);
                return buffer[frame].to_vec();
            }
        }
        wait(&[to.as_fd()], Some(Duration::from_millis(100))).unwrap();
    }
    panic!("no frame within ten seconds");
}

#[test]
fn tags_that_the_kernel_strips_are_put_back() {
    if !enter_lab() {
        return;
    }
    let (left, right) = (Interface::open("left").unwrap(), Interface::open("right").unwrap());
    assert_ne!(left.mac(), [0; 6]);
    let tag_stacks: [&[u8]; 5] = [
        &[],
        &[0x81, 0x00, 0x00, 0x0A],
        &[0x81, 0x00, 0xE0, 0x00],
        &[0x88, 0xA8, 0x30, 0x64, 0x81, 0x00, 0x00, 0x0A],
        &[0x81, 0x00, 0x00, 0x0D, 0x81, 0x00, 0x0F, 0xFE],
    ];
    for tags in tag_stacks {
        let mut frame = [&[0x02, 0, 0, 0, 0, 9][..], &[0x02, 0, 0, 0, 0, 1], tags, &[0x88, 0xB5]].concat();
        frame.resize(60, 0);
        frame.extend(b"layer two");
        left.send(&frame).unwrap();
        assert_eq!(receive(&right, frame.len()), frame);
        // The sender does not hear itself.
        assert_eq!(left.recv(&mut [0; 2048], TAG_ROOM).unwrap().map(|frame| frame.len() == 69), None);
    }
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let error = Interface::open("nowhere0").unwrap_err().to_string();
    assert!(error.contains("nowhere0") && error.contains("ip link"), "{error}");
}
