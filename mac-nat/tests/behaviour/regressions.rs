//! Defects that others have, so that we never do. Each names where it was seen.

use mac_nat::{DropReason, Mode, Verdict};

use crate::frames::*;
use crate::lab::{Lab, P1, P2, UPLINK, dropped, empty, seconds, single, to, vmac};

/// XNU `bridge_mac_nat`: the sum is corrected without the end-around carry. VirtualBox
/// `SrvIntNetR0`: the carry is lost in 32 bits. Both wrong for the same 127 values of 65535.
#[test]
fn dhcp_checksums_are_right_for_every_value_that_a_transaction_can_give() {
    let mut lab = Lab::new(single());
    for xid in (0..=0xFFFF).step_by(7) {
        let (_, out) = lab.egress(P1, &Dhcp::discover(V1, xid).request_frame(V1));
        assert_eq!(checksum_holds(&out), Some(true), "xid {xid:#x}");
    }
}

/// XNU: an ARP probe, and any ARP when the table is full, leaves with the machine's MAC in it.
#[test]
fn arp_is_translated_without_a_binding() {
    let mut config = empty(Mode::Single);
    config.limits.bindings_per_port = 0;
    let mut lab = Lab::new(config);
    for spa in [ANY, A] {
        let (verdict, out) = lab.egress(P1, &arp_frame(BROADCAST, 1, V1, spa, NIL, B));
        assert_eq!(verdict, Verdict::Flood);
        assert!(!carries(&out, V1));
    }
}

/// XNU: an unknown EtherType leaves untranslated.
#[test]
fn no_unknown_protocol_leaves() {
    let mut lab = Lab::new(single());
    for ether_type in 0..=0xFFFF_u16 {
        if [IPV4, IPV6, ARP, RARP, 0x0842].contains(&ether_type) {
            continue;
        }
        let (verdict, _) = lab.egress(P1, &eth(R, V1, &[], ether_type, &[0; 46]));
        assert!(matches!(verdict, Verdict::Drop(_)), "{ether_type:#06x}: {verdict:?}");
    }
}

/// XNU: a new MAC on the same port never replaces the old one, whose entry is refreshed for ever.
#[test]
fn a_new_mac_on_the_same_port_replaces_the_old_one() {
    let mut lab = Lab::new(empty(Mode::Single));
    for mac in [V1, V3] {
        lab.egress(P1, &arp_frame(BROADCAST, 1, mac, A, NIL, G));
    }
    let (_, out) = lab.ingress(&arp_frame(E, 2, R, G, E, A));
    assert_eq!(dst(&out), V3);
}

/// XNU: the host's own entry ages out and can then be claimed.
#[test]
fn the_host_keeps_its_address_for_ever() {
    let mut lab = Lab::new(single());
    lab.wait(seconds(100_000));
    assert_eq!(lab.egress(P1, &arp_frame(BROADCAST, 1, V1, H, NIL, H)).0, dropped(DropReason::Spoof));
}

/// Realtek NAT2.5 `scan_tlv`: an option of length zero never ends. Open vSwitch after 3.1
/// `packet_set_nd`: options of length 1, 3 and then a link-layer address are not rewritten.
#[test]
fn option_walks_end_and_reach_the_end() {
    let mut lab = Lab::new(single());
    let zero = vec![5, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(lab.egress(P1, &ns(V1, A6, R6, &zero)).0, dropped(DropReason::BadNd));
    let options = [vec![14, 1, 0, 0, 0, 0, 0, 0], vec![14, 3], vec![0; 22], slla(V1)].concat();
    let (_, out) = lab.egress(P1, &ns(V1, A6, R6, &options));
    assert_eq!((carries(&out, V1), checksum_holds(&out)), (false, Some(true)));
}

/// Realtek NAT2.5 adds the whole flags word and ignores that there is no checksum; VirtualBox
/// makes 80ff of it.
#[test]
fn a_missing_udp_checksum_stays_missing() {
    let mut frame = Dhcp::discover(V1, 7).request_frame(V1);
    frame[UDP_SUM..UDP_SUM + 2].fill(0);
    frame[BOOTP + 10..BOOTP + 12].copy_from_slice(&[0x80, 0x01]);
    let (_, out) = Lab::new(single()).egress(P1, &frame);
    assert_eq!((word(&out, UDP_SUM), word(&out, BOOTP + 10)), (Some(0), Some(0x8001)));
}

/// Realtek NAT2.5: ARP and IP entries are keyed in different byte orders.
#[test]
fn what_arp_teaches_ip_finds() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &arp_frame(BROADCAST, 1, V1, A, NIL, G));
    assert_eq!(lab.ingress(&eth(E, R, &[], IPV4, &ipv4(G, A, 1, b"ping"))).0, to(P1));
}

/// VirtualBox: a unicast ARP reply becomes a broadcast.
#[test]
fn unicast_arp_stays_unicast() {
    let mut lab = Lab::new(single());
    assert_eq!(lab.egress(P1, &arp_frame(R, 2, V1, A, R, G)).0, UPLINK);
    assert_eq!(lab.ingress(&arp_frame(E, 2, R, G, E, A)).0, to(P1));
}

/// relayd-like helpers keep one global transaction: two clients at once get mixed up.
#[test]
fn two_dhcp_clients_at_once_get_their_own_answers() {
    let mut lab = Lab::new(vmac());
    // Even with the same number.
    lab.egress(P1, &Dhcp::discover(V1, 7).request_frame(V1));
    lab.egress(P2, &Dhcp::discover(V2, 7).request_frame(V2));
    for (wire, mac, port) in [(W2, V2, P2), (W1, V1, P1)] {
        let (verdict, out) = lab.ingress(&Dhcp::offer(wire, 7).reply_frame(BROADCAST, [255; 4].into()));
        assert_eq!((verdict, mac_at(&out, CHADDR)), (to(port), mac));
    }
}

/// ebtables and every learning rule set: the second copy of the option leaves as it was.
#[test]
fn the_second_copy_of_an_option_is_no_way_out() {
    let (_, out) = Lab::new(single()).egress(P1, &ns(V1, A6, R6, &[slla(V1), slla(V1)].concat()));
    assert!(!carries(&out, V1));
}

/// nft `update @map`: a moved address stays with the dead machine while the new owner talks.
#[test]
fn a_moved_address_leaves_the_dead_machine() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping")));
    lab.egress(P2, &eth(R, V2, &[], IPV4, &ipv4(A, G, 1, b"ping")));
    let (verdict, out) = lab.ingress(&eth(E, R, &[], IPV4, &ipv4(G, A, 1, b"pong")));
    assert_eq!((verdict, dst(&out)), (to(P2), V2));
}

/// nft `ether type` sees the outer tag: tagged ARP leaves with the machine's MAC in it.
#[test]
fn a_tag_hides_no_arp() {
    let mut lab = Lab::new(empty(Mode::Single));
    let (_, out) = lab.egress(P1, &eth(BROADCAST, V1, &[(0x8100, 5)], ARP, &arp(1, V1, A, NIL, G)));
    assert!(!carries(&out, V1));
}
