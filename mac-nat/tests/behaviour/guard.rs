//! The last check before the wire, alone.

use mac_nat::{DropReason, Guard, MacAddr6, Violation};

use crate::frames::*;

fn guard() -> Guard {
    Guard::new([E, W1].map(MacAddr6::from))
}

#[test]
fn frames_of_allowed_macs_pass() {
    for frame in [
        eth(R, E, &[], IPV4, &ipv4(A, G, 1, b"ping")),
        eth(R, W1, &[(0x8100, 10)], IPV4, &ipv4(A, G, 1, b"ping")),
        arp_frame(BROADCAST, 1, E, A, NIL, G),
        arp_frame(R, 2, E, A, R, G),
        arp_frame(BROADCAST, 2, E, A, BROADCAST, A),
        arp_frame(BROADCAST, 2, E, A, W1, A),
        ns(E, A6, R6, &slla(E)),
        eth(BROADCAST, E, &[], RARP, &arp(3, E, ANY, E, ANY)),
        eth(BROADCAST, E, &[], 0x0842, &[0xFF; 102]),
    ] {
        assert_eq!(guard().check(&frame), Ok(()));
    }
}

#[test]
fn every_place_of_a_foreign_mac_is_found() {
    let foreign = MacAddr6::from(V1);
    let hidden =
        [&[58, 0, 5, 2, 0, 0, 1, 0][..], &icmpv6(A6, R6, 135, 0, &nd_body(0, R6, &slla(V1)))].concat();
    for (frame, violation) in [
        (eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping")), Violation::Source(foreign)),
        (eth(R, E, &[], ARP, &arp(2, V1, A, R, G)), Violation::ArpSender(foreign)),
        (arp_frame(BROADCAST, 2, E, A, V1, A), Violation::ArpTarget(foreign)),
        (eth(BROADCAST, E, &[(0x8100, 5)], ARP, &arp(2, V1, A, NIL, A)), Violation::ArpSender(foreign)),
        (eth(BROADCAST, E, &[], RARP, &arp(3, E, ANY, V1, ANY)), Violation::ArpTarget(foreign)),
        (ns(E, A6, R6, &slla(V1)), Violation::NdOption(foreign)),
        (ns(E, A6, R6, &[slla(E), slla(V1)].concat()), Violation::NdOption(foreign)),
        (na(R, E, A6, G6, A6, &tlla(V1)), Violation::NdOption(foreign)),
        (eth(R, E, &[], IPV6, &ipv6(A6, R6, 0, 255, &hidden)), Violation::NdOption(foreign)),
    ] {
        assert_eq!(guard().check(&frame), Err(violation));
    }
}

#[test]
fn what_cannot_be_read_does_not_pass() {
    for (frame, reason) in [
        (vec![0; 13], DropReason::Truncated),
        (eth(R, E, &[], 0x88CC, &[2, 7]), DropReason::Protocol),
        (eth(R, E, &[], ARP, &[0; 46]), DropReason::BadArp),
        (ns(E, A6, R6, &[1, 0, 0, 0, 0, 0, 0, 0]), DropReason::BadNd),
    ] {
        assert_eq!(guard().check(&frame), Err(Violation::Unreadable(reason)));
    }
}
