//! No frame allocates: counted by the allocator itself.

#[path = "behaviour/frames.rs"]
#[allow(dead_code, clippy::indexing_slicing, clippy::unwrap_used)]
mod frames;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use frames::*;
use mac_nat::{Binding, Config, Guard, MacNat, Miss, Mode, Port, PortId, Side};

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

#[test]
fn no_frame_allocates_whatever_it_is() {
    let port = PortId::new(1).unwrap();
    for mode in [Mode::Single, Mode::Vmac] {
        let mut config = Config::new(mode, E.into());
        config.policy.miss = Miss::Hold;
        config.ports.push(Port::new(port));
        let wire = if mode == Mode::Single { E } else { W1 };
        config.ports[0].wire = Some(wire.into());
        config.bindings.push(Binding::fixed(IpAddr::from(A), port, V1.into(), wire.into()));
        let mut nat = MacNat::new(config).unwrap();
        let guard = Guard::new(nat.wire_macs());
        let mut outward = vec![
            eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"known")),
            eth(R, V1, &[], IPV4, &ipv4(FREE, G, 1, b"learned")),
            eth(BROADCAST, V1, &[(0x8100, 10)], ARP, &arp(1, V1, B, NIL, G)),
            arp_frame(BROADCAST, 1, V1, ANY, NIL, C),
            ns(V1, A6, R6, &slla(V1)),
            na(group_mac(ALL_NODES), V1, LL1, ALL_NODES, A6, &tlla(V1)),
            Dhcp::discover(V1, 7).request_frame(V1),
            eth(R, V1, &[], 0x88B5, b"unknown"),
            eth(R, V3, &[], IPV4, &ipv4(A, G, 1, b"spoof")),
        ];
        outward.extend(
            (0..200)
                .map(|i| eth(R, V2, &[], IPV4, &ipv4(Ipv4Addr::from_bits(0x0A00_0001 + i), G, 1, b"quota"))),
        );
        let mut inward = vec![
            eth(wire, R, &[], IPV4, &ipv4(G, A, 1, b"known")),
            arp_frame(wire, 2, R, C, wire, ANY),
            arp_frame(BROADCAST, 1, X, A, NIL, A),
            Dhcp::offer(wire, 7).reply_frame(wire, [255; 4].into()),
        ];
        inward.extend(
            (0..400)
                .map(|i| eth(E, R, &[], IPV4, &ipv4(G, Ipv4Addr::from_bits(0x0C00_0001 + i), 1, b"miss"))),
        );
        let mut buffer = [0; 2048];

        let before = ALLOCATIONS.get();
        for second in 0..100 {
            let now = Duration::from_secs(second * 30);
            for frame in &mut outward {
                let _ = nat.translate(now, Side::Inside(port), frame);
                let _ = guard.check(frame);
                frame[6..12].copy_from_slice(&V1);
            }
            for frame in &mut inward {
                let _ = nat.translate(now, Side::Uplink, frame);
            }
            nat.handle_timeout(now);
            while nat.poll_transmit(&mut buffer).is_some() {}
            while nat.poll_event().is_some() {}
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{mode:?}");
    }
}
