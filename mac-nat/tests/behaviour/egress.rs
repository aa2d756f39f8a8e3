//! From machines to the provider, kind by kind.

use mac_nat::{Checksums, ClientId, DropReason, MacNat, Mode, Side, Treatment, Verdict};

use crate::frames::*;
use crate::lab::{Lab, P1, P2, UPLINK, dropped, empty, single, vmac};

#[test]
fn ipv4_leaves_with_the_wire_mac_and_nothing_else_changed() {
    for (config, wire) in [(single(), E), (vmac(), W1)] {
        let frame = eth(R, V1, &[], IPV4, &udp4(A, G, (1234, 53), b"question"));
        let (verdict, out) = Lab::new(config).egress(P1, &frame);
        assert_eq!(verdict, UPLINK);
        assert_eq!(src(&out), wire);
        assert_eq!((&out[..6], &out[12..]), (&frame[..6], &frame[12..]));
    }
}

#[test]
fn every_address_of_a_machine_has_its_own_wire_mac() {
    let mut lab = Lab::new(vmac());
    for (addr, wire) in [(A, W1), (C, W3)] {
        let (_, out) = lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(addr, G, 1, b"ping")));
        assert_eq!(src(&out), wire);
        let (_, out) = lab.egress(P1, &arp_frame(BROADCAST, 1, V1, addr, NIL, G));
        assert_eq!((src(&out), arp_macs(&out).0), (wire, wire));
    }
}

#[test]
fn fragments_need_only_the_ip_header() {
    let mut lab = Lab::new(single());
    for fragment in [0x2000, 0x2001, 0x00B9] {
        let packet = ipv4_fragment(A, G, 17, &[0; 64], fragment);
        let (verdict, out) = lab.egress(P1, &eth(R, V1, &[], IPV4, &packet));
        assert_eq!((verdict, src(&out)), (UPLINK, E));
    }
}

#[test]
fn without_a_source_address_only_dhcp_and_igmp_leave() {
    let mut lab = Lab::new(single());
    let igmp =
        eth([1, 0, 0x5E, 0, 0, 22], V1, &[], IPV4, &ipv4(ANY, "224.0.0.22".parse().unwrap(), 2, &[0; 8]));
    assert_eq!(lab.egress(P1, &igmp).0, Verdict::Flood);
    let udp = eth(BROADCAST, V1, &[], IPV4, &udp4(ANY, [255; 4].into(), (5, 6), b"?"));
    assert_eq!(lab.egress(P1, &udp).0, dropped(DropReason::BadAddress));
}

#[test]
fn sources_that_are_no_stations_stay_inside() {
    let mut lab = Lab::new(single());
    for addr in ["0.1.2.3", "127.0.0.1", "224.0.0.5", "255.255.255.255"] {
        let frame = eth(R, V1, &[], IPV4, &ipv4(addr.parse().unwrap(), G, 1, b"ping"));
        assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::BadAddress), "{addr}");
    }
    for addr in ["::1", "ff02::1", "::ffff:203.0.113.11"] {
        let frame = eth(R, V1, &[], IPV6, &ipv6(addr.parse().unwrap(), R6, 17, 64, &[0; 16]));
        assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::BadAddress), "{addr}");
    }
}

#[test]
fn arp_names_the_wire_mac_as_sender() {
    let mut lab = Lab::new(single());
    for (dst, oper, tha) in [(BROADCAST, 1, NIL), (R, 1, NIL), (R, 2, R)] {
        let (_, out) = lab.egress(P1, &arp_frame(dst, oper, V1, A, tha, G));
        assert_eq!((src(&out), arp_macs(&out)), (E, (E, tha)));
    }
}

#[test]
fn an_announcement_sent_as_reply_names_the_machine_nowhere() {
    let mut lab = Lab::new(single());
    let (verdict, out) = lab.egress(P1, &arp_frame(BROADCAST, 2, V1, A, V1, A));
    assert_eq!(verdict, Verdict::Flood);
    assert!(!carries(&out, V1));
    assert_eq!(arp_macs(&out), (E, E));
}

#[test]
fn no_machine_is_named_as_arp_target_even_one_that_nobody_has_met() {
    let mut lab = Lab::new(single());
    for target in [V2, V3] {
        let (_, out) = lab.egress(P1, &arp_frame(BROADCAST, 2, V1, A, target, B));
        assert!(!carries(&out, target));
    }
}

#[test]
fn an_address_probe_is_translated_and_owns_nothing() {
    for (config, tpa, wire) in [(single(), FREE, E), (vmac(), A, W1), (vmac(), C, W3)] {
        let mut lab = Lab::new(config);
        let before = lab.nat.len();
        let (verdict, out) = lab.egress(P1, &arp_frame(BROADCAST, 1, V1, ANY, NIL, tpa));
        assert_eq!(verdict, Verdict::Flood);
        assert_eq!((src(&out), arp_macs(&out).0), (wire, wire));
        assert_eq!(lab.nat.len(), before);
    }
}

#[test]
fn solicitations_and_advertisements_carry_the_wire_mac_with_a_right_checksum() {
    let mut lab = Lab::new(single());
    let frames = [
        ns(V1, A6, R6, &slla(V1)),
        na(group_mac(ALL_NODES), V1, A6, ALL_NODES, A6, &tlla(V1)),
        na(R, V1, A6, G6, A6, &tlla(V1)),
        nd_frame(group_mac(ALL_ROUTERS), V1, LL1, ALL_ROUTERS, 133, &[&[0; 4][..], &slla(V1)].concat()),
    ];
    for frame in frames {
        let (verdict, out) = lab.egress(P1, &frame);
        assert!(matches!(verdict, Verdict::Flood | UPLINK), "{verdict:?}");
        assert!(!carries(&out, V1));
        assert_eq!(checksum_holds(&out), Some(true));
    }
}

/// The vectors of the checksum tests, as whole frames.
#[test]
fn known_solicitations_leave_as_known_frames() {
    let mut lab = Lab::new(single());
    let mut ns = ns(V1, A6, R6, &slla(V1));
    assert_eq!(word(&ns, ICMPV6 + 2), Some(0xE5FF));
    (_, ns) = lab.egress(P1, &ns);
    assert_eq!(word(&ns, ICMPV6 + 2), Some(0xCB18));
    assert_eq!(mac_at(&ns, ND_OPTION), E);

    let na = na(R, V1, A6, G6, A6, &tlla(V1));
    assert_eq!(word(&na, ICMPV6 + 2), Some(0x8373));
    assert_eq!(word(&lab.egress(P1, &na).1, ICMPV6 + 2), Some(0x688C));

    let rs = nd_frame(group_mac(ALL_ROUTERS), V1, LL1, ALL_ROUTERS, 133, &[&[0; 4][..], &slla(V1)].concat());
    assert_eq!(word(&rs, ICMPV6 + 2), Some(0x0EFE));
    assert_eq!(word(&lab.egress(P1, &rs).1, ICMPV6 + 2), Some(0xF416));
}

#[test]
fn duplicate_address_detection_leaves_without_an_option() {
    let mut lab = Lab::new(empty(Mode::Single));
    assert_eq!(lab.egress(P1, &ns(V1, ANY6, A6, &[])).0, Verdict::Flood);
    assert_eq!(lab.nat.len(), 0, "nobody owns the address yet");
    let with_option = ns(V1, ANY6, A6, &slla(V1));
    assert_eq!(lab.egress(P1, &with_option).0, dropped(DropReason::BadNd));
}

#[test]
fn an_advertisement_teaches_its_target() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &na(group_mac(ALL_NODES), V1, LL1, ALL_NODES, A6, &tlla(V1)));
    assert_eq!(lab.owner(A6), Some((P1, V1)));
    assert_eq!(lab.owner(LL1), Some((P1, V1)));
}

#[test]
fn machines_are_no_routers_unless_the_policy_says_so() {
    let ra = nd_frame(group_mac(ALL_NODES), V1, LL1, ALL_NODES, 134, &[&[0; 12][..], &slla(V1)].concat());
    let body = [&[0; 4][..], &R6.octets(), &R6.octets(), &tlla(V1)].concat();
    let redirect = nd_frame(R, V1, LL1, G6, 137, &body);
    for frame in [ra, redirect] {
        assert_eq!(Lab::new(single()).egress(P1, &frame).0, dropped(DropReason::RouterMessage));
        let mut config = single();
        config.policy.router_messages = Treatment::Translate;
        let (_, out) = Lab::new(config).egress(P1, &frame);
        assert!(!carries(&out, V1));
        assert_eq!(checksum_holds(&out), Some(true));
    }
}

#[test]
fn listener_reports_leave_with_and_without_an_address() {
    let mut lab = Lab::new(single());
    let group = "ff02::16".parse().unwrap();
    for source in [ANY6, LL1] {
        let message = icmpv6(source, group, 143, 0, &[0; 24]);
        let packet = ipv6(source, group, 0, 1, &[&[58, 0, 5, 2, 0, 0, 1, 0][..], &message].concat());
        let (verdict, out) = lab.egress(P1, &eth(group_mac(group), V1, &[], IPV6, &packet));
        assert_eq!((verdict, src(&out), dst(&out)), (Verdict::Flood, E, group_mac(group)));
    }
}

#[test]
fn rarp_follows_the_policy() {
    let frame = eth(BROADCAST, V1, &[], RARP, &arp(3, V1, ANY, V1, ANY));
    assert_eq!(Lab::new(single()).egress(P1, &frame).0, dropped(DropReason::Rarp));
    let mut config = single();
    config.policy.rarp = Treatment::Translate;
    let (verdict, out) = Lab::new(config).egress(P1, &frame);
    assert_eq!(verdict, Verdict::Flood);
    assert!(!carries(&out, V1));
}

#[test]
fn protocols_that_hold_macs_we_cannot_see_stay_inside() {
    let mut lab = Lab::new(single());
    let slow: Mac = [0x01, 0x80, 0xC2, 0, 0, 0x0E];
    for (dst, ether_type, reason) in [
        (slow, 0x88CC, DropReason::LinkLocal),
        ([0x01, 0x80, 0xC2, 0, 0, 0], 38, DropReason::LinkLocal),
        ([0x01, 0x80, 0xC2, 0, 0, 3], 0x888E, DropReason::LinkLocal),
        (BROADCAST, 0x888E, DropReason::Protocol),
        (BROADCAST, 0x8863, DropReason::Protocol),
        (R, 0x8864, DropReason::Protocol),
        (R, 0x88B5, DropReason::Protocol),
        (R, 0x0026, DropReason::Protocol),
    ] {
        let frame = eth(dst, V1, &[], ether_type, &V1);
        assert_eq!(lab.egress(P1, &frame).0, dropped(reason), "{ether_type:#06x}");
    }
}

#[test]
fn wake_on_lan_changes_its_ethernet_source_only() {
    let mut lab = Lab::new(single());
    let magic = [&[0xFF; 6][..], &[X; 16].concat()].concat();
    let frame = eth(BROADCAST, V1, &[], 0x0842, &magic);
    let (verdict, out) = lab.egress(P1, &frame);
    assert_eq!((verdict, src(&out)), (Verdict::Flood, E));
    assert_eq!(out[12..], frame[12..]);
}

#[test]
fn dhcp_clients_ask_for_a_broadcast_answer_in_mode_single() {
    let frame = Dhcp::discover(V1, 7).request_frame(V1);
    let (verdict, out) = Lab::new(single()).egress(P1, &frame);
    assert_eq!((verdict, src(&out)), (Verdict::Flood, E));
    assert_eq!(word(&out, BOOTP + 10), Some(0x8000));
    assert_eq!(checksum_holds(&out), Some(true));
    assert_eq!(mac_at(&out, CHADDR), V1, "the client knows its answer by it");
}

#[test]
fn dhcp_clients_carry_the_wire_mac_in_mode_vmac() {
    for (policy, id) in [(ClientId::Keep, V1), (ClientId::Rewrite, W1)] {
        let mut config = vmac();
        config.policy.client_id = policy;
        let (_, out) = Lab::new(config).egress(P1, &Dhcp::discover(V1, 7).request_frame(V1));
        assert_eq!((src(&out), mac_at(&out, CHADDR)), (W1, W1));
        assert_eq!(word(&out, BOOTP + 10), Some(0), "the provider can deliver to the wire MAC");
        assert_eq!(mac_at(&out, BOOTP + 240 + 6), id);
        assert_eq!(checksum_holds(&out), Some(true));
    }
}

#[test]
fn a_client_identifier_at_an_odd_offset_keeps_the_checksum_right() {
    for padding in 0..4 {
        let mut config = vmac();
        config.policy.client_id = ClientId::Rewrite;
        let mut discover = Dhcp::discover(V1, 7);
        discover.options.splice(0..0, vec![0; padding]);
        let (_, out) = Lab::new(config).egress(P1, &discover.request_frame(V1));
        assert!(!carries(&out, V1));
        assert_eq!(checksum_holds(&out), Some(true), "{padding} bytes of padding");
    }
}

#[test]
fn dhcp_without_a_checksum_keeps_none() {
    for config in [single(), vmac()] {
        let mut frame = Dhcp::discover(V1, 7).request_frame(V1);
        frame[UDP_SUM..UDP_SUM + 2].fill(0);
        let (_, out) = Lab::new(config).egress(P1, &frame);
        assert_eq!(word(&out, UDP_SUM), Some(0));
    }
}

#[test]
fn a_client_that_has_an_address_or_a_relay_is_reached_without_the_flag() {
    let mut renew = Dhcp::discover(V1, 7);
    renew.ciaddr = A;
    let mut relayed = Dhcp::discover(V1, 7);
    relayed.giaddr = A;
    for message in [renew, relayed] {
        let frame = eth(R, V1, &[], IPV4, &udp4(A, G, (68, 67), &message.bytes()));
        let (verdict, out) = Lab::new(single()).egress(P1, &frame);
        assert_eq!(verdict, UPLINK);
        assert_eq!(out[12..], frame[12..]);
    }
}

#[test]
fn a_client_may_only_name_itself_to_the_provider() {
    let frame = Dhcp::discover(V2, 7).request_frame(V1);
    assert_eq!(Lab::new(vmac()).egress(P1, &frame).0, dropped(DropReason::DhcpClient));
}

#[test]
fn machines_are_no_dhcp_servers_unless_the_policy_says_so() {
    let frame =
        eth(BROADCAST, V1, &[], IPV4, &udp4(A, [255; 4].into(), (67, 68), &Dhcp::offer(X, 1).bytes()));
    assert_eq!(Lab::new(single()).egress(P1, &frame).0, dropped(DropReason::DhcpServer));
    let mut config = single();
    config.policy.dhcp_servers = Treatment::Translate;
    assert_eq!(Lab::new(config).egress(P1, &frame).0, Verdict::Flood);
}

#[test]
fn partial_checksums_are_left_to_the_nic() {
    for (config, frame) in [
        (single(), ns(V1, A6, R6, &slla(V1))),
        (single(), Dhcp::discover(V1, 7).request_frame(V1)),
        (vmac(), Dhcp::discover(V1, 7).request_frame(V1)),
    ] {
        let at = if word(&frame, 12) == Some(IPV6) { ICMPV6 + 2 } else { UDP_SUM };
        let mut nat = MacNat::new(config).unwrap();
        let mut out = frame.clone();
        let _ = nat.translate_with(Default::default(), Side::Inside(P1), &mut out, Checksums::Partial);
        assert_ne!(out, frame);
        assert_eq!(word(&out, at), word(&frame, at));
    }
}

#[test]
fn a_port_without_a_wire_mac_stays_silent() {
    let mut lab = Lab::new(empty(Mode::Vmac));
    let frame = eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping"));
    assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::NoWireMac));
    assert_eq!(lab.nat.len(), 0);
}

#[test]
fn a_port_that_nobody_configured_stays_silent() {
    let mut lab = Lab::new(single());
    let frame = eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping"));
    let unknown = mac_nat::PortId::new(9).unwrap();
    assert_eq!(lab.egress(unknown, &frame).0, dropped(DropReason::UnknownPort));
}

#[test]
fn neighbours_inside_see_each_other_as_they_are() {
    let mut lab = Lab::new(single());
    for payload in [ipv4(A, B, 1, b"ping"), vec![0x77; 40]] {
        for ether_type in [IPV4, 0x88B5] {
            let frame = eth(V2, V1, &[], ether_type, &payload);
            let (verdict, out) = lab.egress(P1, &frame);
            assert_eq!((verdict, out), (crate::lab::to(P2), frame));
        }
    }
}
