//! Configuration, commands, snapshot and restore.

use std::time::Duration;

use mac_nat::{Binding, Config, ConfigError, DropReason, IpNet, MacNat, Mode, Origin, PortId, Vlans};

use crate::frames::*;
use crate::lab::{Lab, P1, P2, UPLINK, dropped, empty, seconds, single, to, vmac};

fn bound(addr: std::net::Ipv4Addr, port: PortId, inside: Mac, wire: Mac) -> Binding {
    Binding::fixed(std::net::IpAddr::from(addr), port, inside.into(), wire.into())
}

#[test]
fn contradictions_are_named() {
    let with = |change: fn(&mut Config)| {
        let mut config = single();
        change(&mut config);
        MacNat::new(config).err()
    };
    let net = IpNet::from(std::net::IpAddr::from(A));
    let nine = PortId::new(9).unwrap();
    assert_eq!(with(|_| {}), None);
    assert_eq!(
        with(|config| config.bindings.push(config.bindings[0])),
        Some(ConfigError::DuplicateBinding { net, vlans: Vlans::UNTAGGED })
    );
    assert_eq!(
        with(|config| config.bindings[0].port = PortId::new(9).unwrap()),
        Some(ConfigError::UnknownPort { port: nine, net })
    );
    assert_eq!(
        with(|config| config.bindings[0].wire = W1.into()),
        Some(ConfigError::WireMac { net, wire: W1.into(), host: E.into() })
    );
    assert_eq!(
        with(|config| config.bindings[0].inside = BROADCAST.into()),
        Some(ConfigError::NotAStation { mac: BROADCAST.into() })
    );
    assert_eq!(with(|config| config.gateways.push(A.into())), Some(ConfigError::Taken { addr: A.into() }));
    assert_eq!(
        with(|config| config.ports[1].id = config.ports[0].id),
        Some(ConfigError::DuplicatePort { port: P1 })
    );
    assert_eq!(
        with(|config| config.limits.bindings = 3),
        Some(ConfigError::TooManyBindings { given: 4, limit: 3 })
    );
}

#[test]
fn static_bindings_come_and_go() {
    let mut lab = Lab::new(vmac());
    let binding = bound(FREE, P2, V2, [2, 0, 0, 0xC5, 0x7A, 0x99]);
    lab.nat.bind(lab.now, binding).unwrap();
    let frame = eth(binding.wire.into_array(), R, &[], IPV4, &ipv4(G, FREE, 1, b"ping"));
    assert_eq!(lab.ingress(&frame).0, to(P2));
    assert!(lab.nat.unbind(lab.now, &binding));
    assert!(!lab.nat.unbind(lab.now, &binding));
    assert_eq!(lab.ingress(&frame).0, dropped(DropReason::NotForUs), "its wire MAC went with it");
    assert_eq!(lab.ingress(&eth(W2, R, &[], IPV4, &ipv4(G, B, 1, b"ping"))).0, to(P2));
}

#[test]
fn another_wire_mac_for_an_address_is_announced() {
    let mut lab = Lab::new(vmac());
    lab.nat.bind(lab.now, bound(A, P1, V1, W3)).unwrap();
    let sent = lab.sent();
    assert_eq!((sent.len(), src(&sent[0].2)), (1, W3));
}

#[test]
fn a_wire_mac_that_no_binding_has_any_more_is_not_ours() {
    let mut lab = Lab::new(vmac());
    let to_w2 = eth(W2, R, &[], IPV4, &ipv4(G, B, 1, b"ping"));
    lab.nat.bind(lab.now, bound(B, P2, V2, W1)).unwrap();
    assert_eq!(lab.ingress(&to_w2).0, to(P2), "B6 still has it");
    let b6 = Binding::fixed(std::net::IpAddr::from(B6), P2, V2.into(), W1.into());
    lab.nat.bind(lab.now, b6).unwrap();
    assert_eq!(lab.ingress(&to_w2).0, dropped(DropReason::NotForUs));
}

#[test]
fn a_learned_binding_gives_way_to_a_static_one() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping")));
    lab.nat.bind(lab.now, bound(A, P2, V2, E)).unwrap();
    assert_eq!(lab.owner(A), Some((P2, V2)));
    lab.wait(seconds(100_000));
    assert_eq!(lab.owner(A), Some((P2, V2)));
}

#[test]
fn a_new_set_of_bindings_changes_only_what_differs() {
    let mut lab = Lab::new(single());
    lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(FREE, G, 1, b"ping")));
    lab.events();
    lab.nat.set_bindings(lab.now, &[bound(A, P1, V1, E), bound(C, P2, V2, E)]).unwrap();
    assert_eq!(lab.owner(A), Some((P1, V1)));
    assert_eq!(lab.owner(C), Some((P2, V2)));
    assert_eq!(lab.owner(B), None);
    assert_eq!(lab.owner(FREE), Some((P1, V1)), "learned ones stay");
    let before = lab.nat.len();
    let wrong = [bound(B, P1, V1, E), bound(G, P1, V1, E)];
    assert!(lab.nat.set_bindings(lab.now, &wrong).is_err());
    assert_eq!((lab.nat.len(), lab.owner(B)), (before, None), "all or nothing");
}

#[test]
fn a_flushed_port_forgets_what_it_taught() {
    let mut lab = Lab::new(single());
    for (port, mac, addr) in [(P1, V1, C), (P2, V2, FREE)] {
        lab.egress(port, &eth(R, mac, &[], IPV4, &ipv4(addr, G, 1, b"ping")));
    }
    lab.egress(P1, &arp_frame(BROADCAST, 1, V3, ANY, NIL, C));
    lab.nat.flush_port(lab.now, P1);
    assert_eq!((lab.owner(C), lab.owner(FREE)), (None, Some((P2, V2))));
    assert_eq!(lab.owner(A), Some((P1, V1)), "static ones stay");
    let to_probed = eth(V3, V2, &[], 0x88B5, b"?");
    assert_eq!(lab.egress(P2, &to_probed).0, dropped(DropReason::Protocol), "the station is forgotten");
}

#[test]
fn a_snapshot_lives_on_in_another_instance() {
    let mut lab = Lab::new(single());
    lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(C, G, 1, b"ping")));
    lab.wait(seconds(600));
    let snapshot: Vec<Binding> = lab.nat.bindings(lab.now).collect();
    let learned = snapshot.iter().find(|binding| binding.origin == Origin::Learned).unwrap();
    assert_eq!(learned.expires_in, Some(seconds(600)));

    let mut other = Lab::new(empty(Mode::Single));
    other.now = seconds(5);
    let restored = other.nat.restore(other.now, snapshot.clone());
    assert_eq!((restored.accepted, restored.refused), (5, 0));
    let sorted = |mut bindings: Vec<Binding>| {
        bindings.sort_by_key(|binding| binding.net);
        bindings
    };
    assert_eq!(sorted(other.nat.bindings(other.now).collect()), sorted(snapshot));
    let frame = eth(E, R, &[], IPV4, &ipv4(G, C, 1, b"ping"));
    other.now += seconds(600) - Duration::from_nanos(1);
    assert_eq!(other.ingress(&frame).0, to(P1));
    other.now += Duration::from_nanos(1);
    assert_eq!(other.ingress(&frame).0, dropped(DropReason::Unknown));
}

#[test]
fn a_snapshot_cannot_smuggle_anything_in() {
    let mut lab = Lab::new(empty(Mode::Single));
    let mut learned = bound(G, P1, V1, E);
    learned.origin = Origin::Learned;
    learned.expires_in = Some(seconds(1_000_000));
    let mut forged = bound(A, P1, V1, W1);
    forged.origin = Origin::Learned;
    forged.expires_in = Some(seconds(1_000_000));
    let restored = lab.nat.restore(lab.now, [learned, forged, bound(H, P1, V1, E)]);
    assert_eq!((restored.accepted, restored.refused), (1, 2));
    let (_, out) = lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping")));
    assert_eq!(src(&out), E, "the wire MAC is ours to choose");
    lab.wait(seconds(20 * 60));
    assert_eq!(lab.owner(A), None, "and so is the lifetime");
}

#[test]
fn time_that_goes_back_stands_still() {
    let mut lab = Lab::new(empty(Mode::Single));
    lab.now = seconds(1000);
    lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping")));
    lab.now = Duration::ZERO;
    assert_eq!(lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(A, G, 1, b"ping"))).0, UPLINK);
    lab.now = Duration::MAX;
    assert_eq!(lab.owner(A), None);
    // Nor does the end of time stop anything.
    lab.egress(P1, &eth(R, V1, &[], IPV4, &ipv4(B, G, 1, b"ping")));
    lab.egress(P1, &arp_frame(BROADCAST, 1, V3, ANY, NIL, FREE));
    lab.ingress(&eth(E, R, &[], IPV4, &ipv4(G, C, 1, b"ping")));
    lab.nat.handle_timeout(lab.now);
    assert!(lab.nat.is_empty());
}

#[cfg(feature = "serde")]
#[test]
fn bindings_are_written_as_people_write_them() {
    let vlans = "13.10".parse().unwrap();
    let binding = bound(A, P1, V1, W1).in_vlans(vlans);
    let json = serde_json::to_string(&binding).unwrap();
    assert_eq!(
        json,
        r#"{"net":"203.0.113.11/32","vlans":"13.10","port":1,"inside":"fa:16:3e:00:00:01","wire":"02:00:00:c5:7a:11","origin":"static","expires_in":null}"#
    );
    assert_eq!(serde_json::from_str::<Binding>(&json).unwrap(), binding);
    assert!(serde_json::from_str::<Binding>(&json.replace("fa:16:3e", "fa:16:3x")).is_err());
    assert!(serde_json::from_str::<Binding>(&json.replace("\"port\":1", "\"port\":5000")).is_err());
    assert!(serde_json::from_str::<Binding>(&json.replace("13.10", "13.4095")).is_err());
}
