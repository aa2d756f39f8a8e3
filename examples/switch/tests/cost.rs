//! What a frame costs: no allocation, counted by the allocator itself, and one buffer for each distinct
//! tagging.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use fdb::storm::ConsecutiveSettings;
use fdb::{Config, MacAddr6};
use rrcp::LoopDetector;
use switch::vlan_table::dot1q::{Bridge, Membership};
use switch::vlan_table::{PortId, PortMask, VlanId, openvswitch};
use switch::{Database, Outcome, Storm, Switch, Transmit};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as asked.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as asked.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn port(raw: u16) -> PortId {
    PortId::new(raw).unwrap()
}

fn frame(dst: [u8; 6], src: u8, tag: &[u8], ether_type: [u8; 2]) -> Vec<u8> {
    [&dst[..], &[2, 0, 0, 0, 0, src], tag, &ether_type, &[0; 46]].concat()
}

/// Frames of every fate: known, flooded, to its own port, reserved, tagged in several ways, a probe, cut.
fn frames() -> Vec<(PortId, Vec<u8>)> {
    let (all, ip) = ([0xFF; 6], [0x08, 0x00]);
    let mut frames = vec![
        (port(0), frame(all, 1, &[], ip)),
        (port(1), frame([2, 0, 0, 0, 0, 1], 2, &[], ip)),
        (port(0), frame([2, 0, 0, 0, 0, 1], 3, &[], ip)),
        (port(2), frame([2, 0, 0, 0, 9, 9], 4, &[], ip)),
        (port(2), frame([0x01, 0x80, 0xC2, 0, 0, 0x0E], 4, &[], ip)),
        (port(3), frame(all, 5, &[], [0x88, 0x99])),
        (port(9), frame(all, 1, &[], ip)),
    ];
    for tag in [[0x81, 0, 0, 1], [0x81, 0, 0, 10], [0x81, 0, 0x0F, 0xFF], [0x88, 0xA8, 0, 1]] {
        frames.push((port(0), frame(all, 6, &tag, ip)));
    }
    frames.extend((0..20).map(|len| (port(1), frame(all, 7, &[0x81, 0, 0, 1], ip)[..len].to_vec())));
    frames
}

fn switches() -> Vec<Switch> {
    let database = || Database::hashed(4096, [1, 2], Config::DEFAULT);
    let mut chip = Switch::rtl8305sc();
    chip.set_storm(Storm::consecutive(ConsecutiveSettings::RTL8305));
    vec![
        chip,
        Switch::rtl8306sd(),
        Switch::dot1q(Bridge::new(PortMask::first(6)), database()),
        Switch::openvswitch(openvswitch::Bridge::new(6, 2), database()),
    ]
}

#[test]
fn no_frame_allocates_whatever_becomes_of_it() {
    let detector = rrcp::Config::new(MacAddr6::new(2, 0, 0, 0, 0, 0xEE), 7);
    let frames = frames();
    let batch: Vec<_> = frames.iter().map(|(port, frame)| (*port, &frame[..])).collect();
    for switch in switches() {
        let mut switch = switch.with_guard(LoopDetector::<8>::new(Duration::ZERO, detector));
        // The database has grown to what it needs before counting begins.
        let mut work = |second: u64| {
            let now = Duration::from_secs(second);
            let mut buffer = [0; 256];
            let mut left = 0;
            for (port, frame) in &batch {
                let decision = switch.receive(now, *port, frame);
                for copy in switch.copies(&decision) {
                    left += copy.write(frame, &mut buffer).unwrap();
                }
            }
            switch.receive_batch(now, &batch, |_, decision| left += decision.ports.len());
            switch.handle_timeout(now);
            while let Some(Transmit { len, .. }) = switch.poll_transmit(&mut buffer).unwrap() {
                left += len;
            }
            left
        };
        assert_ne!(work(1), 0);
        let before = ALLOCATIONS.get();
        let left: usize = (2..20).map(&mut work).sum();
        assert_eq!(ALLOCATIONS.get(), before);
        assert_ne!(left, 0);
    }
}

#[test]
fn a_flood_by_sixty_four_ports_takes_as_many_buffers_as_there_are_taggings() {
    let (ten, everywhere) = (VlanId::new(10).unwrap(), PortMask::first(64));
    let mut bridge = Bridge::new(everywhere);
    for port in everywhere {
        let untagged = port.get() % 2 == 0;
        let how = if untagged { Membership::Untagged } else { Membership::Tagged };
        bridge.join(ten, port, how).unwrap();
    }
    let mut switch = Switch::dot1q(bridge, Database::hashed(64, [1, 2], Config::DEFAULT));
    let tagged = frame([0xFF; 6], 1, &[0x81, 0, 0, 10], [0x08, 0x00]);
    let decision = switch.receive(Duration::ZERO, port(0), &tagged);
    assert_eq!((decision.outcome, decision.ports.len()), (Outcome::Forwarded, 63));
    let copies: Vec<_> = switch.copies(&decision).collect();
    let lengths: Vec<_> = copies.iter().map(|copy| (copy.edit.growth(), copy.ports.len())).collect();
    assert_eq!(lengths, [(0, 32), (-4, 31)]);
}
