//! From the provider to machines, kind by kind.

use std::net::Ipv4Addr;

use mac_nat::{Binding, DropReason, Event, IpNet, Mode, OutsideClaim, Recipients, Side, Verdict};

use crate::frames::*;
use crate::lab::{HOST, Lab, P1, P2, dropped, empty, seconds, single, to, vmac};

#[test]
fn unicast_goes_to_the_owner_of_the_address() {
    for (config, wires) in [(single(), [E, E]), (vmac(), [W1, W2])] {
        let mut lab = Lab::new(config);
        for (addr, wire, port, mac) in [(A, wires[0], P1, V1), (B, wires[1], P2, V2)] {
            let frame = eth(wire, R, &[], IPV4, &udp4(G, addr, (53, 1234), b"answer"));
            let (verdict, out) = lab.ingress(&frame);
            assert_eq!((verdict, dst(&out)), (to(port), mac));
            assert_eq!(out[6..], frame[6..]);
        }
        let frame = eth(wires[1], R, &[], IPV6, &ipv6(R6, B6, 17, 64, &[0; 16]));
        let (verdict, out) = lab.ingress(&frame);
        assert_eq!((verdict, dst(&out)), (to(P2), V2));
    }
}

#[test]
fn in_mode_vmac_the_wire_mac_alone_finds_the_machine() {
    let mut lab = Lab::new(vmac());
    let frame = eth(W2, R, &[], IPV4, &ipv4(G, FREE, 1, b"ping"));
    let (verdict, out) = lab.ingress(&frame);
    assert_eq!((verdict, dst(&out)), (to(P2), V2));
}

#[test]
fn the_longest_routed_block_wins() {
    let mut config = single();
    for (net, port, mac) in
        [("2001:db8:5::/48", P1, V1), ("2001:db8:5:7::/64", P2, V2), ("10.0.0.0/8", P2, V2)]
    {
        let net: IpNet = net.parse().unwrap();
        config.bindings.push(Binding::fixed(net, port, mac.into(), E.into()));
    }
    let mut lab = Lab::new(config);
    for (addr, port) in [("2001:db8:5::1", P1), ("2001:db8:5:7::1", P2), ("2001:db8:5:8::1", P1)] {
        let frame = eth(E, R, &[], IPV6, &ipv6(R6, addr.parse().unwrap(), 17, 64, &[0; 8]));
        assert_eq!(lab.ingress(&frame).0, to(port), "{addr}");
    }
    let frame = eth(E, R, &[], IPV4, &ipv4(G, "10.9.8.7".parse().unwrap(), 1, b"ping"));
    assert_eq!(lab.ingress(&frame).0, to(P2));
    // The block's addresses belong to its owner on the way out too.
    let frame = eth(R, V2, &[], IPV4, &ipv4("10.9.8.7".parse().unwrap(), G, 1, b"ping"));
    assert_eq!(lab.egress(P2, &frame).0, crate::lab::UPLINK);
    let frame = eth(R, V1, &[], IPV4, &ipv4("10.9.8.7".parse().unwrap(), G, 1, b"ping"));
    assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::Spoof));
}

#[test]
fn what_is_for_somebody_else_is_dropped() {
    let mut lab = Lab::new(single());
    for stranger in [X, V1, W1] {
        let frame = eth(stranger, R, &[], IPV4, &ipv4(G, A, 1, b"ping"));
        assert_eq!(lab.ingress(&frame).0, dropped(DropReason::NotForUs));
    }
}

#[test]
fn our_own_frames_that_come_back_are_dropped() {
    let mut lab = Lab::new(vmac());
    for wire in [E, W1, W2, W3] {
        let frame = arp_frame(BROADCAST, 1, wire, A, NIL, G);
        assert_eq!(lab.ingress(&frame).0, dropped(DropReason::Reflected));
    }
}

#[test]
fn groups_reach_everybody_untouched() {
    let mut lab = Lab::new(single());
    let frames = [
        arp_frame(BROADCAST, 1, R, G, NIL, A),
        ns(R, G6, A6, &slla(R)),
        nd_frame(group_mac(ALL_NODES), R, G6, ALL_NODES, 134, &[&[0; 12][..], &slla(R)].concat()),
        na(group_mac(ALL_NODES), R, G6, ALL_NODES, G6, &tlla(R)),
        eth(BROADCAST, R, &[], IPV4, &udp4(G, [255; 4].into(), (5, 6), b"all")),
        Dhcp::discover(X, 3).request_frame(X),
    ];
    for frame in frames {
        let (verdict, out) = lab.ingress(&frame);
        assert_eq!((verdict, out), (Verdict::Flood, frame));
    }
}

#[test]
fn neighbour_protocols_and_unknown_ones_reach_the_host_only() {
    let mut lab = Lab::new(single());
    let lldp = eth([0x01, 0x80, 0xC2, 0, 0, 0x0E], R, &[], 0x88CC, &[2, 7]);
    let unknown = eth(BROADCAST, R, &[], 0x88B5, b"?");
    let unicast = eth(E, R, &[], 0x8864, b"session");
    for frame in [lldp, unknown, unicast] {
        assert_eq!(lab.ingress(&frame).0, HOST);
    }
    let mut lab = Lab::new(vmac());
    assert_eq!(lab.ingress(&eth(W1, R, &[], 0x8864, b"session")).0, dropped(DropReason::Protocol));
}

#[test]
fn a_broadcast_in_a_unicast_frame_reaches_everybody() {
    let mut config = single();
    let subnet = Ipv4Addr::new(203, 0, 113, 255);
    config.broadcasts = vec![subnet];
    let mut lab = Lab::new(config);
    for broadcast in [Ipv4Addr::BROADCAST, subnet] {
        let frame = eth(E, R, &[], IPV4, &udp4(G, broadcast, (67, 68), &Dhcp::offer(V1, 7).bytes()));
        let (verdict, out) = lab.ingress(&frame);
        assert_eq!((verdict, dst(&out)), (Verdict::Flood, BROADCAST));
        assert_eq!(out[6..], frame[6..]);
    }
}

#[test]
fn arp_answers_find_the_machine_and_name_it() {
    let mut lab = Lab::new(single());
    let (verdict, out) = lab.ingress(&arp_frame(E, 2, R, G, E, A));
    assert_eq!((verdict, dst(&out), arp_macs(&out)), (to(P1), V1, (R, V1)));
    // A router that checks its cache asks in unicast.
    let (verdict, out) = lab.ingress(&arp_frame(E, 1, R, G, NIL, B));
    assert_eq!((verdict, dst(&out), arp_macs(&out)), (to(P2), V2, (R, NIL)));
}

#[test]
fn arp_for_the_host_reaches_the_host() {
    let mut lab = Lab::new(single());
    let frame = arp_frame(E, 2, R, G, E, H);
    let (verdict, out) = lab.ingress(&frame);
    assert_eq!((verdict, out), (HOST, frame));
}

#[test]
fn the_answer_to_a_probe_finds_the_prober() {
    for (config, wire) in [(single(), E), (vmac(), W1)] {
        let mut lab = Lab::new(config);
        lab.egress(P1, &arp_frame(BROADCAST, 1, V1, ANY, NIL, FREE));
        for tpa in [ANY, FREE] {
            let (verdict, out) = lab.ingress(&arp_frame(wire, 2, X, FREE, wire, tpa));
            assert_eq!((verdict, dst(&out), arp_macs(&out)), (to(P1), V1, (X, V1)), "{tpa}");
        }
        lab.wait(seconds(11));
        let late = arp_frame(wire, 2, X, FREE, wire, ANY);
        assert_ne!(lab.ingress(&late).0, to(P1), "the probe is long over");
    }
}

#[test]
fn two_probers_get_their_own_answers() {
    let mut lab = Lab::new(empty(Mode::Single));
    let other = Ipv4Addr::new(203, 0, 113, 98);
    lab.egress(P1, &arp_frame(BROADCAST, 1, V1, ANY, NIL, FREE));
    lab.egress(P2, &arp_frame(BROADCAST, 1, V2, ANY, NIL, other));
    assert_eq!(lab.ingress(&arp_frame(E, 2, X, other, E, ANY)).0, to(P2));
    assert_eq!(lab.ingress(&arp_frame(E, 2, X, FREE, E, ANY)).0, to(P1));
}

#[test]
fn a_claim_outside_reaches_the_owner_as_an_event_and_as_a_copy() {
    let mut lab = Lab::new(single());
    // In a broadcast the owner sees it anyway.
    assert_eq!(lab.ingress(&arp_frame(BROADCAST, 1, X, A, NIL, A)).0, Verdict::Flood);
    assert!(matches!(lab.events()[..], [Event::ClaimedOutside { .. }]));
    assert_eq!(lab.sent().len(), 0);
    // In unicast to somebody else it would not.
    let frame = arp_frame(E, 2, X, A, E, B);
    assert_eq!(lab.ingress(&frame).0, to(P2));
    let sent = lab.sent();
    let [(_, recipients, copy)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(*recipients, Recipients::One(Side::Inside(P1)));
    assert_eq!((dst(copy), &copy[6..], copy.len()), (V1, &frame[6..], frame.len()));
    assert_eq!(lab.owner(A), Some((P1, V1)), "the binding does not move");
}

#[test]
fn a_claim_outside_can_be_kept_out() {
    let mut config = single();
    config.policy.outside_claim = OutsideClaim::Drop;
    let mut lab = Lab::new(config);
    assert_eq!(lab.ingress(&arp_frame(BROADCAST, 1, X, A, NIL, A)).0, dropped(DropReason::Conflict));
    assert_eq!(lab.events().len(), 1);
}

#[test]
fn an_advertisement_outside_for_an_address_of_ours_is_an_event() {
    let mut lab = Lab::new(single());
    let frame = na(group_mac(ALL_NODES), X, A6, ALL_NODES, A6, &tlla(X));
    assert_eq!(lab.ingress(&frame).0, Verdict::Flood);
    assert!(matches!(lab.events()[..], [Event::ClaimedOutside { .. }]));
    assert_eq!(lab.owner(A6), Some((P1, V1)));
}

#[test]
fn unicast_solicitations_find_the_machine_with_the_peers_option_untouched() {
    let mut lab = Lab::new(single());
    let frame = nd_frame(E, R, G6, A6, 135, &nd_body(0, A6, &slla(R)));
    let (verdict, out) = lab.ingress(&frame);
    assert_eq!((verdict, dst(&out)), (to(P1), V1));
    assert_eq!(out[6..], frame[6..]);
}

/// A hoster that routes a block to the link-local address of the server's MAC asks for nothing
/// else.
#[test]
fn the_link_local_address_of_a_wire_mac_stays_with_the_host() {
    for config in [single(), vmac()] {
        let mut lab = Lab::new(config);
        let frame = nd_frame(E, R, G6, LLE, 135, &nd_body(0, LLE, &slla(R)));
        assert_eq!(lab.ingress(&frame).0, HOST);
        let claim = na(group_mac(ALL_NODES), V1, LLE, ALL_NODES, LLE, &tlla(V1));
        assert_eq!(lab.egress(P1, &claim).0, dropped(DropReason::Spoof));
    }
}

#[test]
fn dhcp_answers_find_the_client_in_mode_vmac() {
    let mut lab = Lab::new(vmac());
    lab.egress(P1, &Dhcp::discover(V1, 7).request_frame(V1));
    for (frame_dst, expected_dst) in [(W1, V1), (BROADCAST, BROADCAST)] {
        let (verdict, out) = lab.ingress(&Dhcp::offer(W1, 7).reply_frame(frame_dst, [255; 4].into()));
        assert_eq!((verdict, dst(&out), mac_at(&out, CHADDR)), (to(P1), expected_dst, V1));
        assert_eq!(checksum_holds(&out), Some(true));
    }
    let stranger = Dhcp::offer(W1, 8).reply_frame(BROADCAST, [255; 4].into());
    let (verdict, out) = lab.ingress(&stranger);
    assert_eq!((verdict, out), (Verdict::Flood, stranger), "no such transaction");
}

#[test]
fn dhcp_answers_are_broadcast_untouched_in_mode_single() {
    let mut lab = Lab::new(single());
    let offer = Dhcp::offer(V1, 7).reply_frame(BROADCAST, [255; 4].into());
    let (verdict, out) = lab.ingress(&offer);
    assert_eq!((verdict, out), (Verdict::Flood, offer));
}

#[test]
fn the_host_speaks_for_itself() {
    let mut lab = Lab::new(single());
    let frame = eth(R, E, &[], IPV4, &ipv4(H, G, 1, b"ping"));
    assert_eq!(lab.pass(Side::Host, &frame), (Verdict::Forward(Side::Uplink), frame));
    let frame = eth(V1, E, &[], IPV4, &ipv4(H, A, 1, b"ping"));
    assert_eq!(lab.pass(Side::Host, &frame), (to(P1), frame));
    let frame = arp_frame(BROADCAST, 1, E, H, NIL, G);
    assert_eq!(lab.pass(Side::Host, &frame), (Verdict::Flood, frame));
    let foreign = eth(R, X, &[], IPV4, &ipv4(H, G, 1, b"ping"));
    assert_eq!(lab.pass(Side::Host, &foreign).0, dropped(DropReason::Guard));
    let frame = eth(E, V1, &[], IPV4, &ipv4(A, H, 1, b"ping"));
    assert_eq!(lab.egress(P1, &frame), (HOST, frame));
}
