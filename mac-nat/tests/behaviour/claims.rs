//! Who owns an address: learning, moving, conflicts, quotas, spoofing.

use std::net::Ipv4Addr;

use mac_nat::{DropReason, Event, HostAddress, Mode, Owner, PortId, Takeover, Verdict, VlanId, Vlans};

use crate::frames::*;
use crate::lab::{Lab, P1, P2, UPLINK, dropped, empty, seconds, single, to, vmac};

fn ping(src: Mac, from: Ipv4Addr) -> Vec<u8> {
    eth(R, src, &[], IPV4, &ipv4(from, G, 1, b"ping"))
}

fn announce(src: Mac, addr: Ipv4Addr) -> Vec<u8> {
    arp_frame(BROADCAST, 1, src, addr, NIL, addr)
}

fn owner(port: PortId, mac: Mac) -> Owner {
    Owner { port, mac: mac.into() }
}

#[test]
fn traffic_arp_and_advertisements_teach() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &ping(V1, A));
    lab.egress(P2, &arp_frame(BROADCAST, 1, V2, B, NIL, G));
    lab.egress(P1, &eth(R, V1, &[], IPV6, &ipv6(A6, R6, 6, 64, &[0; 20])));
    assert_eq!(lab.owner(A), Some((P1, V1)));
    assert_eq!(lab.owner(B), Some((P2, V2)));
    assert_eq!(lab.owner(A6), Some((P1, V1)));
    let events = lab.events();
    assert!(events.iter().all(|event| matches!(event, Event::Learned(_))) && events.len() == 3, "{events:?}");
    assert_eq!(lab.nat.counters().learned, 3);
}

#[test]
fn the_uplink_never_teaches() {
    let mut lab = Lab::new(empty(Mode::Single));
    for frame in [
        announce(X, A),
        arp_frame(E, 2, X, A, E, H),
        na(group_mac(ALL_NODES), X, A6, ALL_NODES, A6, &tlla(X)),
    ] {
        lab.ingress(&frame);
    }
    lab.ingress(&eth(E, R, &[], IPV4, &ipv4(A, H, 1, b"ping")));
    assert!(lab.nat.is_empty());
}

#[test]
fn a_binding_ends_exactly_at_its_time() {
    let mut config = empty(Mode::Single);
    config.timers.lifetime = seconds(100);
    let mut lab = Lab::new(config);
    lab.egress(P1, &ping(V1, A));
    let inbound = eth(E, R, &[], IPV4, &ipv4(G, A, 1, b"ping"));
    lab.now = seconds(100) - std::time::Duration::from_nanos(1);
    assert_eq!(lab.ingress(&inbound).0, to(P1));
    // Nobody has called `handle_timeout`, and still:
    lab.now = seconds(100);
    assert_eq!(lab.ingress(&inbound).0, dropped(DropReason::Unknown));
    lab.wait(seconds(0));
    assert!(lab.events().iter().any(|event| matches!(event, Event::Expired { .. })));
    assert!(lab.nat.is_empty());
}

#[test]
fn only_the_owner_keeps_a_binding_alive() {
    let mut config = empty(Mode::Single);
    config.timers.lifetime = seconds(100);
    let mut lab = Lab::new(config);
    lab.egress(P1, &ping(V1, A));
    let inbound = eth(E, R, &[], IPV4, &ipv4(G, A, 1, b"ping"));
    for _ in 0..9 {
        lab.wait(seconds(11));
        assert_eq!(lab.ingress(&inbound).0, to(P1));
    }
    lab.wait(seconds(2));
    assert_eq!(lab.ingress(&inbound).0, dropped(DropReason::Unknown));

    lab.egress(P1, &ping(V1, A));
    for _ in 0..9 {
        lab.wait(seconds(80));
        lab.egress(P1, &ping(V1, A));
    }
    assert_eq!(lab.owner(A), Some((P1, V1)));
}

#[test]
fn the_last_who_spoke_gets_the_address() {
    for claim in [ping(V2, A), announce(V2, A), arp_frame(BROADCAST, 2, V2, A, V2, A)] {
        let mut lab = Lab::new(empty(Mode::Single));
        lab.egress(P1, &ping(V1, A));
        lab.events();
        assert!(matches!(lab.egress(P2, &claim).0, UPLINK | Verdict::Flood));
        assert_eq!(lab.owner(A), Some((P2, V2)));
        let events = lab.events();
        assert!(matches!(events[..], [Event::Moved { from, .. }] if from == owner(P1, V1)), "{events:?}");
    }
}

#[test]
fn a_machine_that_was_built_anew_on_its_port_is_known_at_once() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &ping(V1, A));
    assert_eq!(lab.egress(P1, &ping(V3, A)).0, UPLINK);
    assert_eq!(lab.owner(A), Some((P1, V3)));
}

#[test]
fn two_who_both_speak_are_stopped_and_the_first_keeps_the_address() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &ping(V1, A));
    for _ in 0..2 {
        lab.egress(P2, &ping(V2, A));
        lab.egress(P1, &ping(V1, A));
    }
    // The fourth move is one too many; it happens to be back to the first.
    assert_eq!(lab.owner(A), Some((P1, V1)));
    assert_eq!(lab.egress(P2, &ping(V2, A)).0, dropped(DropReason::Conflict));
    let conflict = Event::Conflict {
        addr: A.into(),
        vlans: Vlans::UNTAGGED,
        kept: owner(P1, V1),
        refused: owner(P2, V2),
    };
    assert_eq!(lab.events().last(), Some(&conflict));
    lab.wait(seconds(29));
    assert_eq!(lab.egress(P2, &ping(V2, A)).0, dropped(DropReason::Conflict));
    lab.wait(seconds(1));
    assert_eq!(lab.egress(P2, &ping(V2, A)).0, UPLINK);
}

#[test]
fn the_address_returns_to_the_first_if_another_has_it_when_flapping_is_noticed() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &ping(V1, A));
    lab.egress(P2, &ping(V2, A));
    lab.egress(P1, &ping(V1, A));
    lab.egress(P2, &ping(V2, A));
    assert_eq!(lab.egress(PortId::new(3).unwrap(), &ping(V3, A)).0, dropped(DropReason::Conflict));
    assert_eq!(lab.owner(A), Some((P1, V1)));
}

#[test]
fn slow_moves_are_no_flapping() {
    let mut lab = Lab::new(empty(Mode::Single));
    for _ in 0..10 {
        for (port, mac) in [(P1, V1), (P2, V2)] {
            assert_eq!(lab.egress(port, &ping(mac, A)).0, UPLINK);
            assert_eq!(lab.owner(A), Some((port, mac)));
            lab.wait(seconds(6));
        }
    }
}

#[test]
fn first_wins_until_the_binding_expires() {
    let mut config = empty(Mode::Single);
    config.policy.takeover = Takeover::FirstWins;
    config.timers.lifetime = seconds(100);
    let mut lab = Lab::new(config);
    lab.egress(P1, &ping(V1, A));
    lab.wait(seconds(99));
    assert_eq!(lab.egress(P2, &ping(V2, A)).0, dropped(DropReason::Conflict));
    lab.wait(seconds(1));
    assert_eq!(lab.egress(P2, &ping(V2, A)).0, UPLINK);
}

#[test]
fn the_old_owner_is_asked_and_keeps_what_it_answers_for() {
    for answers in [true, false] {
        let mut config = empty(Mode::Single);
        config.policy.takeover = Takeover::Verify;
        let mut lab = Lab::new(config);
        lab.egress(P1, &ping(V1, A));
        lab.wait(seconds(10));
        assert_eq!(lab.egress(P2, &ping(V2, A)).0, dropped(DropReason::Verifying));
        let sent = lab.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!((dst(&sent[0].2), src(&sent[0].2)), (V1, E));
        lab.wait(std::time::Duration::from_millis(500));
        assert_eq!(lab.egress(P2, &ping(V2, A)).0, dropped(DropReason::Verifying));
        if answers {
            assert_eq!(lab.egress(P1, &arp_frame(E, 2, V1, A, E, ANY)).0, crate::lab::HOST);
        }
        lab.wait(std::time::Duration::from_millis(500));
        let expected = if answers { dropped(DropReason::Conflict) } else { UPLINK };
        assert_eq!(lab.egress(P2, &ping(V2, A)).0, expected);
    }
}

#[test]
fn with_static_only_nothing_is_learned() {
    let mut config = single();
    config.policy.takeover = Takeover::StaticOnly;
    let mut lab = Lab::new(config);
    assert_eq!(lab.egress(P1, &ping(V1, A)).0, UPLINK);
    assert_eq!(lab.egress(P1, &ping(V1, FREE)).0, dropped(DropReason::Unbound));
}

#[test]
fn host_gateway_and_static_addresses_cannot_be_claimed() {
    let mut lab = Lab::new(single());
    for addr in [H, G, B] {
        for frame in [ping(V1, addr), announce(V1, addr), arp_frame(BROADCAST, 2, V1, addr, V1, addr)] {
            assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::Spoof), "{addr}");
            let events = lab.events();
            assert!(
                matches!(events[..], [Event::Spoof { by, .. }] if by == owner(P1, V1)) || events.is_empty()
            );
        }
    }
    let gateway = na(group_mac(ALL_NODES), V1, G6, ALL_NODES, G6, &tlla(V1));
    assert_eq!(lab.egress(P1, &gateway).0, dropped(DropReason::Spoof));
    assert_eq!(lab.owner(B), Some((P2, V2)));
}

/// Behind one port of ours there may be a whole bridge.
#[test]
fn another_machine_on_the_same_port_cannot_claim_a_static_address() {
    let mut lab = Lab::new(single());
    assert_eq!(lab.egress(P1, &ping(V3, A)).0, dropped(DropReason::Spoof));
}

#[test]
fn a_host_address_is_protected_in_its_vlan_only() {
    let vlan = Vlans::one(VlanId::new(10).unwrap());
    let mut config = empty(Mode::Single);
    config.host.addresses = vec![HostAddress { addr: H.into(), vlans: vlan }];
    let mut lab = Lab::new(config);
    let tagged = eth(R, V1, &[(0x8100, 10)], IPV4, &ipv4(H, G, 1, b"ping"));
    assert_eq!(lab.egress(P1, &tagged).0, dropped(DropReason::Spoof));
    assert_eq!(lab.egress(P1, &ping(V1, H)).0, UPLINK);
}

#[test]
fn anti_spoofing_lists_are_kept() {
    let mut config = empty(Mode::Single);
    config.ports[0].allowed = vec!["203.0.113.8/29".parse().unwrap(), "2001:db8:1::/64".parse().unwrap()];
    let mut lab = Lab::new(config);
    assert_eq!(lab.egress(P1, &ping(V1, A)).0, UPLINK);
    assert_eq!(lab.egress(P1, &ping(V1, FREE)).0, dropped(DropReason::ForeignIp));
    assert_eq!(lab.egress(P2, &ping(V2, FREE)).0, UPLINK, "another port, no list");
    let v6 = |addr| eth(R, V1, &[], IPV6, &ipv6(addr, R6, 17, 64, &[0; 8]));
    assert_eq!(lab.egress(P1, &v6(A6)).0, UPLINK);
    assert_eq!(lab.egress(P1, &v6(LL1)).0, UPLINK, "every machine has a link-local address");
    assert_eq!(lab.egress(P1, &v6("2001:db8:2::1".parse().unwrap())).0, dropped(DropReason::ForeignIp));
}

#[test]
fn port_security_is_kept_for_every_kind_of_frame() {
    let mut config = empty(Mode::Single);
    config.ports[0].macs = vec![V1.into()];
    let mut lab = Lab::new(config);
    assert_eq!(lab.egress(P1, &ping(V1, A)).0, UPLINK);
    for frame in [
        ping(V3, A),
        announce(V3, B),
        arp_frame(BROADCAST, 1, V3, ANY, NIL, B),
        Dhcp::discover(V3, 7).request_frame(V3),
        ns(V3, ANY6, A6, &[]),
        ns(V3, A6, R6, &slla(V3)),
        eth(E, V3, &[], IPV4, &ipv4(A, H, 1, b"ping")),
    ] {
        assert_eq!(lab.egress(P1, &frame).0, dropped(DropReason::ForeignMac));
    }
    assert_eq!(lab.owner(A), Some((P1, V1)));
}

/// A million addresses of one tenant cost nobody else a binding.
#[test]
fn a_flood_of_addresses_is_translated_but_learned_only_up_to_the_quota() {
    let mut config = empty(Mode::Single);
    config.limits.bindings_per_port = 8;
    config.ports[2].quota = Some(2);
    let mut lab = Lab::new(config);
    for i in 0..20_000_u32 {
        let (verdict, out) = lab.egress(P1, &ping(V1, Ipv4Addr::from_bits(0x0A00_0001 + i)));
        assert_eq!((verdict, src(&out)), (UPLINK, E));
    }
    assert_eq!(lab.nat.len(), 8);
    assert_eq!(lab.nat.counters().refused_by_port, 20_000 - 8);
    lab.egress(P2, &ping(V2, B));
    assert_eq!(lab.owner(B), Some((P2, V2)));
    for i in 0..4 {
        lab.egress(PortId::new(3).unwrap(), &ping(V3, Ipv4Addr::from_bits(0x0B00_0001 + i)));
    }
    assert_eq!(lab.nat.len(), 8 + 1 + 2);
    assert!(lab.nat.counters().events_lost > 0, "events are bounded too");
}

#[test]
fn a_full_table_refuses_and_translates_on() {
    let mut config = empty(Mode::Single);
    config.limits.bindings = 3;
    let mut lab = Lab::new(config);
    for i in 0..5 {
        assert_eq!(lab.egress(P1, &ping(V1, Ipv4Addr::from_bits(0x0A00_0001 + i))).0, UPLINK);
    }
    assert_eq!((lab.nat.len(), lab.nat.counters().refused_by_table), (3, 2));
    // Room comes back with time.
    lab.wait(seconds(20 * 60));
    lab.egress(P1, &ping(V1, A));
    assert_eq!(lab.owner(A), Some((P1, V1)));
}

#[test]
fn expired_bindings_make_room_even_if_nobody_handles_timeouts() {
    let mut config = empty(Mode::Single);
    config.limits.bindings_per_port = 1;
    let mut lab = Lab::new(config);
    lab.egress(P1, &ping(V1, A));
    lab.now += seconds(20 * 60);
    lab.egress(P1, &ping(V1, B));
    assert_eq!(lab.owner(B), Some((P1, V1)));
}

#[test]
fn an_address_is_another_one_in_another_vlan() {
    let mut lab = Lab::new(empty(Mode::Single));
    for (port, mac, vid) in [(P1, V1, 10), (P2, V2, 20)] {
        lab.egress(port, &eth(R, mac, &[(0x8100, vid)], IPV4, &ipv4(A, G, 1, b"ping")));
    }
    for (port, vid) in [(P1, 10), (P2, 20)] {
        let frame = eth(E, R, &[(0x8100, vid)], IPV4, &ipv4(G, A, 1, b"ping"));
        assert_eq!(lab.ingress(&frame).0, to(port));
    }
    let untagged = eth(E, R, &[], IPV4, &ipv4(G, A, 1, b"ping"));
    assert_eq!(lab.ingress(&untagged).0, dropped(DropReason::Unknown));
}

#[test]
fn the_wire_mac_of_the_port_serves_what_is_learned_in_mode_vmac() {
    let mut config = empty(Mode::Vmac);
    config.ports[0].wire = Some(W1.into());
    let mut lab = Lab::new(config);
    let (verdict, out) = lab.egress(P1, &ping(V1, A));
    assert_eq!((verdict, src(&out)), (UPLINK, W1));
    let (verdict, out) = lab.ingress(&eth(W1, R, &[], IPV4, &ipv4(G, A, 1, b"ping")));
    assert_eq!((verdict, dst(&out)), (to(P1), V1));
}

#[test]
fn a_move_to_another_wire_mac_is_announced() {
    let mut config = empty(Mode::Vmac);
    config.ports[0].wire = Some(W1.into());
    config.ports[1].wire = Some(W2.into());
    let mut lab = Lab::new(config);
    lab.egress(P1, &ping(V1, A));
    lab.egress(P2, &ping(V2, A));
    let sent = lab.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((src(&sent[0].2), arp_macs(&sent[0].2).0), (W2, W2));
}

#[test]
fn two_machines_with_one_mac_both_work() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &ping(V1, A));
    lab.egress(P2, &ping(V1, B));
    assert!(lab.events().iter().any(|event| matches!(event, Event::DuplicateMac { known, also, .. }
        if (*known, *also) == (P1, P2))));
    for (addr, port) in [(A, P1), (B, P2)] {
        assert_eq!(lab.ingress(&eth(E, R, &[], IPV4, &ipv4(G, addr, 1, b"ping"))).0, to(port));
    }
}

#[test]
fn a_virtual_router_may_name_its_virtual_mac_in_arp() {
    let vrrp: Mac = [0, 0, 0x5E, 0, 1, 7];
    let mut lab = Lab::new(empty(Mode::Single));
    let frame = eth(BROADCAST, V1, &[], ARP, &arp(1, vrrp, A, NIL, A));
    let (verdict, out) = lab.egress(P1, &frame);
    assert_eq!((verdict, src(&out), arp_macs(&out).0), (Verdict::Flood, E, E));
    assert_eq!(lab.owner(A), Some((P1, vrrp)));
    let other = eth(BROADCAST, V1, &[], ARP, &arp(1, V3, A, NIL, A));
    assert_eq!(lab.egress(P1, &other).0, dropped(DropReason::ArpSender));
}

#[test]
fn a_machine_may_use_the_providers_mac_itself() {
    let mut config = vmac();
    config.bindings[0].inside = W1.into();
    let mut lab = Lab::new(config);
    let (verdict, out) = lab.egress(P1, &ping(W1, A));
    assert_eq!((verdict, src(&out)), (UPLINK, W1));
    assert_eq!(lab.egress(P2, &ping(W1, FREE)).0, dropped(DropReason::WireMacInside));
}
