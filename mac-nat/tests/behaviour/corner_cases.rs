//! The cases in which existing data planes were seen to leak or to break something.

use mac_nat::{Binding, DropReason, Mode, Verdict, VlanId, Vlans};

use crate::frames::*;
use crate::lab::{HOST, Lab, P1, P2, UPLINK, dropped, empty, single, to, vmac};

const TAGS: [&[(u16, u16)]; 5] =
    [&[(0x8100, 10)], &[(0x88A8, 10)], &[(0x9100, 0xE00A)], &[(0x88A8, 13), (0x8100, 10)], &[(0x8100, 0)]];

/// A at V1 in the VLANs of these tags.
fn tagged(tags: &[(u16, u16)]) -> Lab {
    let vid = |(_, tci): &(u16, u16)| VlanId::new(tci & 0xFFF);
    let vlans = match tags.iter().filter_map(vid).collect::<Vec<_>>()[..] {
        [] => Vlans::UNTAGGED,
        [one] => Vlans::one(one),
        [outer, inner] => Vlans::two(outer, inner),
        _ => unreachable!(),
    };
    let mut config = empty(Mode::Single);
    for addr in [std::net::IpAddr::from(A), A6.into()] {
        config.bindings.push(Binding::fixed(addr, P1, V1.into(), E.into()).in_vlans(vlans));
    }
    Lab::new(config)
}

#[test]
fn tagged_frames_are_translated_with_all_their_tags() {
    for tags in TAGS {
        let mut lab = tagged(tags);
        let shift = 4 * tags.len();
        let (_, out) = lab.egress(P1, &eth(BROADCAST, V1, tags, ARP, &arp(2, V1, A, V1, A)));
        assert!(!carries(&out, V1), "{tags:x?}");
        let (_, out) = lab.egress(P1, &eth(R, V1, tags, IPV4, &ipv4(A, G, 1, b"ping")));
        assert_eq!(src(&out), E);
        let solicitation = ipv6(A6, R6, 58, 255, &icmpv6(A6, R6, 135, 0, &nd_body(0, R6, &slla(V1))));
        let (_, out) = lab.egress(P1, &eth(R, V1, tags, IPV6, &solicitation));
        assert_eq!((carries(&out, V1), checksum_holds(&out)), (false, Some(true)));

        let reply = eth(E, R, tags, ARP, &arp(2, R, G, E, A));
        let (verdict, out) = lab.ingress(&reply);
        assert_eq!((verdict, dst(&out), mac_at(&out, 32 + shift)), (to(P1), V1, V1));
        let frame = eth(E, R, tags, IPV4, &ipv4(G, A, 1, b"pong"));
        assert_eq!(lab.ingress(&frame).0, to(P1));
        assert_eq!(out[12..12 + shift], reply[12..12 + shift]);
    }
}

#[test]
fn three_tags_and_the_reserved_vlan_are_not_understood() {
    let mut lab = Lab::new(single());
    let three = [(0x88A8, 1), (0x8100, 2), (0x8100, 3)];
    let frame = eth(R, V1, &three, IPV4, &ipv4(A, G, 1, b"ping"));
    assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::TooManyTags));
    let frame = eth(R, V1, &[(0x8100, 0xFFF)], IPV4, &ipv4(A, G, 1, b"ping"));
    assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::ReservedVlan));
}

#[test]
fn hairpin_through_the_router_reaches_the_other_machine() {
    let mut lab = Lab::new(single());
    let (verdict, mut out) = lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(A, B, 1, b"ping")));
    assert_eq!(verdict, UPLINK);
    // The router turns it round: a frame from outside with a source address of ours is no attack.
    out[..6].copy_from_slice(&E);
    out[6..12].copy_from_slice(&R);
    let (verdict, out) = lab.ingress(&out);
    assert_eq!((verdict, dst(&out)), (to(P2), V2));
    assert_eq!(lab.events(), []);
}

#[test]
fn fragmented_neighbour_discovery_is_dropped_both_ways() {
    let mut lab = Lab::new(single());
    let message = icmpv6(A6, R6, 135, 0, &nd_body(0, R6, &slla(V1)));
    let first = [&[58, 0, 0, 1, 0, 0, 0, 9][..], &message[..24]].concat();
    let whole = [&[58, 0, 0, 0, 0, 0, 0, 9][..], &message].concat();
    for fragment in [first, whole] {
        let out = eth(R, V1, &[], IPV6, &ipv6(A6, R6, 44, 255, &fragment));
        assert_eq!(lab.egress(P1, &out).0, dropped(DropReason::FragmentedNd));
        let back = eth(E, R, &[], IPV6, &ipv6(R6, A6, 44, 255, &fragment));
        assert_eq!(lab.ingress(&back).0, dropped(DropReason::FragmentedNd));
    }
    // A fragment that hides what it carries cannot be told from one.
    let hiding =
        eth(R, V1, &[], IPV6, &ipv6(A6, R6, 44, 255, &[60, 0, 0, 1, 0, 0, 0, 9, 58, 1, 0, 0, 0, 0, 0, 0]));
    assert_eq!(lab.egress(P1, &hiding).0, dropped(DropReason::BadIpv6));
}

/// What a later fragment carries only its first says, which never leaves: so nobody can read a MAC out
/// of one, and large packets must pass.
#[test]
fn a_later_fragment_passes_without_the_first() {
    let mut lab = Lab::new(single());
    let later = [&[58, 0, 0, 24, 0, 0, 0, 9][..], &slla(V1)].concat();
    let frame = eth(R, V1, &[], IPV6, &ipv6(A6, R6, 44, 255, &later));
    let (verdict, out) = lab.egress(P1, &frame);
    assert_eq!((verdict, &out[12..]), (UPLINK, &frame[12..]));
}

#[test]
fn large_pings_are_fragments_too_and_pass() {
    let mut lab = Lab::new(single());
    let echo = icmpv6(A6, R6, 128, 0, &[7; 60]);
    for (offset, part) in [(1, &echo[..32]), (32, &echo[32..])] {
        let fragment = [&[58, 0, 0, offset, 0, 0, 0, 9][..], part].concat();
        let frame = eth(R, V1, &[], IPV6, &ipv6(A6, R6, 44, 64, &fragment));
        assert_eq!(lab.egress(P1, &frame).0, UPLINK);
    }
}

#[test]
fn neighbour_discovery_is_found_behind_extension_headers() {
    let mut lab = Lab::new(single());
    let message = icmpv6(A6, R6, 135, 0, &nd_body(0, R6, &slla(V1)));
    let hop = |next| vec![next, 0, 5, 2, 0, 0, 1, 0];
    let long = |next| [&[next, 2, 1, 20][..], &[0; 20]].concat();
    for (first, headers) in
        [(0, hop(58)), (60, hop(58)), (43, hop(58)), (0, [hop(60), long(43), hop(58)].concat())]
    {
        let packet = ipv6(A6, R6, first, 255, &[headers, message.clone()].concat());
        let (verdict, out) = lab.egress(P1, &eth(R, V1, &[], IPV6, &packet));
        assert_eq!(verdict, UPLINK);
        assert_eq!((carries(&out, V1), checksum_holds(&out)), (false, Some(true)));
    }
}

#[test]
fn every_copy_of_a_link_layer_option_is_rewritten_wherever_it_stands() {
    let mut lab = Lab::new(single());
    let nonce = vec![14, 1, 1, 2, 3, 4, 5, 6];
    for options in [
        [nonce.clone(), slla(V1)].concat(),
        [slla(V1), slla(V1)].concat(),
        [slla(V1), nonce.clone(), tlla(V1), nonce, slla(V3)].concat(),
    ] {
        let (_, out) = lab.egress(P1, &ns(V1, A6, R6, &options));
        assert!(!carries(&out, V1) && !carries(&out, V3));
        assert_eq!(checksum_holds(&out), Some(true));
    }
}

#[test]
fn malformed_options_are_dropped() {
    let mut lab = Lab::new(single());
    for options in [
        vec![1, 0, 1, 2, 3, 4, 5, 6],
        vec![14, 0, 0, 0, 0, 0, 0, 0],
        [&[1, 2][..], &V1].concat(),
        [slla(V1), vec![14, 5, 0, 0, 0, 0, 0, 0]].concat(),
        [slla(V1), vec![14]].concat(),
        [vec![1, 2], vec![0; 14]].concat(),
    ] {
        assert_eq!(lab.egress(P1, &ns(V1, A6, R6, &options)).0, dropped(DropReason::BadNd), "{options:x?}");
    }
    let mut forwarded = ns(V1, A6, R6, &slla(V1));
    forwarded[14 + 7] = 254;
    assert_eq!(lab.egress(P1, &forwarded).0, dropped(DropReason::BadNd), "hop limit");
}

#[test]
fn signed_messages_are_dropped_rather_than_broken() {
    let mut lab = Lab::new(single());
    let signature = vec![12, 2, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
    let frame = ns(V1, A6, R6, &[slla(V1), signature.clone()].concat());
    assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::SignedNd));
    // Nothing to rewrite, nothing to break.
    let frame = nd_frame(R, V1, A6, G6, 136, &nd_body(0x60, A6, &signature));
    assert_eq!(lab.egress(P1, &frame).0, UPLINK);
    let message = icmpv6(A6, R6, 135, 0, &nd_body(0, R6, &slla(V1)));
    let ah = [vec![58, 4], vec![0; 22]].concat();
    let frame = eth(R, V1, &[], IPV6, &ipv6(A6, R6, 51, 255, &[ah, message].concat()));
    assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::SignedNd));
}

#[test]
fn headers_that_lie_are_dropped() {
    let mut lab = Lab::new(single());
    let arp_with = |at: usize, byte: u8| {
        let mut frame = arp_frame(R, 2, V1, A, R, G);
        frame[14 + at] = byte;
        frame
    };
    for (at, byte) in [(1, 6), (2, 9), (4, 8), (5, 16), (7, 0), (7, 3), (7, 9)] {
        assert_eq!(lab.egress(P1, &arp_with(at, byte)).0, dropped(DropReason::BadArp), "byte {at} = {byte}");
    }
    let ip_with = |at: usize, byte: u8| {
        let mut frame = eth(R, V1, &[], IPV4, &udp4(A, G, (5, 6), &[0; 64]));
        frame[14 + at] = byte;
        frame
    };
    for (at, byte) in [(0, 0x44), (0, 0x65), (2, 0xFF), (3, 19)] {
        assert_eq!(lab.egress(P1, &ip_with(at, byte)).0, dropped(DropReason::BadIpv4), "byte {at} = {byte}");
    }
    let mut ip6 = ns(V1, A6, R6, &slla(V1));
    ip6[14 + 4] = 1;
    assert_eq!(lab.egress(P1, &ip6).0, dropped(DropReason::BadIpv6), "payload beyond the frame");
    let mut dhcp = Dhcp::discover(V1, 7).request_frame(V1);
    dhcp[BOOTP - 4] = 0xFF;
    assert_eq!(lab.egress(P1, &dhcp).0, dropped(DropReason::BadDhcp), "UDP length beyond the packet");
    let mut bootp = Dhcp::discover(V1, 7).request_frame(V1);
    bootp[BOOTP + 236] = 0;
    assert_eq!(lab.egress(P1, &bootp).0, dropped(DropReason::BadDhcp), "no cookie");
}

#[test]
fn options_of_ipv4_move_the_udp_header() {
    let mut lab = Lab::new(single());
    let mut packet = udp4(ANY, [255; 4].into(), (68, 67), &Dhcp::discover(V1, 7).bytes());
    packet.splice(20..20, [1, 1, 1, 0]);
    packet[0] = 0x46;
    let len = packet.len() as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    let (_, out) = lab.egress(P1, &eth(BROADCAST, V1, &[], IPV4, &packet));
    assert_eq!(word(&out, BOOTP + 4 + 10), Some(0x8000));
    assert_eq!(checksum_holds(&out), Some(true));
}

#[test]
fn every_truncation_is_dropped_or_translated_whole() {
    for frame in [
        arp_frame(BROADCAST, 2, V1, A, V1, A),
        ns(V1, A6, R6, &[slla(V1), slla(V1)].concat()),
        Dhcp::discover(V1, 7).request_frame(V1),
        eth(R, V1, &[(0x8100, 10)], IPV4, &ipv4(A, G, 1, b"ping")),
    ] {
        for config in [single(), vmac()] {
            let mut lab = Lab::new(config);
            for len in 0..frame.len() {
                let (verdict, out) = lab.egress(P1, &frame[..len]);
                let passed = matches!(verdict, UPLINK | Verdict::Flood);
                // A DHCP client in mode `single` keeps its own address for the server to echo.
                let dhcp = frame.len() > 200;
                assert!(!passed || dhcp || !carries(&out, V1), "{len} bytes");
                lab.ingress(&frame[..len]);
            }
        }
    }
}

#[test]
fn frames_at_the_minimum_length_keep_their_padding() {
    let mut lab = Lab::new(single());
    let mut frame = arp_frame(R, 2, V1, A, R, G);
    frame[42..].fill(0xA5);
    let (_, out) = lab.egress(P1, &frame);
    assert_eq!(out[42..], frame[42..]);
}

#[test]
fn nobody_inside_may_use_a_wire_mac_as_source() {
    for (config, wires) in [(single(), vec![E]), (vmac(), vec![E, W1, W2, W3])] {
        let mut lab = Lab::new(config);
        for wire in wires {
            for frame in [
                eth(R, wire, &[], IPV4, &ipv4(FREE, G, 1, b"ping")),
                arp_frame(BROADCAST, 1, wire, FREE, NIL, G),
                arp_frame(BROADCAST, 1, wire, ANY, NIL, FREE),
                Dhcp::discover(wire, 7).request_frame(wire),
            ] {
                assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::WireMacInside));
            }
        }
    }
}

#[test]
fn a_group_address_is_no_source() {
    let mut lab = Lab::new(single());
    let group: Mac = [0xFB, 0x16, 0x3E, 0, 0, 1];
    let frame = eth(R, group, &[], IPV4, &ipv4(A, G, 1, b"ping"));
    assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::GroupSource));
    assert_eq!(
        lab.ingress(&eth(E, group, &[], IPV4, &ipv4(G, A, 1, b"pong"))).0,
        dropped(DropReason::GroupSource)
    );
    let arp = eth(BROADCAST, V1, &[], ARP, &arp(2, group, A, NIL, A));
    assert_eq!(lab.egress(P1, &arp).0, dropped(DropReason::ArpSender));
}

#[test]
fn a_machine_that_talks_to_a_wire_mac_talks_to_the_host_or_to_nobody() {
    let mut lab = Lab::new(vmac());
    let to_wire = |wire| eth(wire, V1, &[], IPV4, &ipv4(A, B, 1, b"ping"));
    assert_eq!(lab.egress(P1, &to_wire(E)).0, HOST);
    assert_eq!(lab.egress(P1, &to_wire(W2)).0, dropped(DropReason::WireMacInside));
    assert_eq!(
        lab.egress(P1, &eth(V1, V1, &[], IPV4, &ipv4(A, A, 1, b"ping"))).0,
        dropped(DropReason::SamePort)
    );
}

#[test]
fn the_link_local_address_of_a_machine_stays_reachable() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &nd_frame(R, V1, LL1, G6, 136, &nd_body(0x60, LL1, &tlla(V1))));
    let frame = eth(E, R, &[], IPV6, &ipv6(G6, LL1, 58, 64, &icmpv6(G6, LL1, 128, 0, &[0; 8])));
    assert_eq!(lab.ingress(&frame).0, to(P1));
}

#[test]
fn a_defence_against_duplicate_addresses_outside_is_seen_inside() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &ns(V1, ANY6, A6, &[]));
    let defence = na(group_mac(ALL_NODES), X, A6, ALL_NODES, A6, &tlla(X));
    assert_eq!(lab.ingress(&defence), (Verdict::Flood, defence));
}

#[test]
fn release_and_inform_leave_as_they_are_in_mode_single() {
    for message_type in [7, 8] {
        let mut message = Dhcp::discover(V1, 7);
        message.ciaddr = A;
        message.options[2] = message_type;
        let frame = eth(R, V1, &[], IPV4, &udp4(A, G, (68, 67), &message.bytes()));
        let (verdict, out) = Lab::new(single()).egress(P1, &frame);
        assert_eq!((verdict, &out[12..]), (UPLINK, &frame[12..]));
    }
}

#[test]
fn a_renewal_leaves_as_it_is_in_mode_single() {
    let renewal = Dhcp { ciaddr: A, options: vec![53, 1, 3, 255], ..Dhcp::discover(V1, 7) };
    let frame = eth(R, V1, &[], IPV4, &udp4(A, G, (68, 67), &renewal.bytes()));
    let (verdict, out) = Lab::new(single()).egress(P1, &frame);
    assert_eq!((verdict, &out[12..]), (UPLINK, &frame[12..]), "the server answers to the address");
}

#[test]
fn a_dhcp_request_from_outside_is_flooded_as_it_is() {
    for config in [single(), vmac()] {
        let request = Dhcp::discover(X, 7).request_frame(X);
        assert_eq!(Lab::new(config).ingress(&request), (Verdict::Flood, request));
    }
}

#[test]
fn eui64_addresses_and_payloads_that_hold_a_mac_are_left_alone() {
    let mut lab = Lab::new(single());
    let frame =
        eth(R, V1, &[], IPV4, &udp4(A, G, (546, 547), &[&[0, 1, 0, 14, 0, 1, 0, 1][..], &V1].concat()));
    let (_, out) = lab.egress(P1, &frame);
    assert_eq!(out[12..], frame[12..]);
}
