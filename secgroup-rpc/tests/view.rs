//! The borrowed view says what the owned model says, on recorded messages and model packets.
#![allow(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::net::IpAddr;

use common::{files, message};
use secgroup_rpc::{Direction, Family, Info, IpSpec, Limits, Message, Packet, Rule, Verdict, View};

/// Every recorded compact reply, with its bytes.
fn infos() -> impl Iterator<Item = (String, Info)> {
    files().into_iter().filter_map(|path| match message(&path) {
        Message::Info(mut info) => {
            info.normalize();
            Some((path.display().to_string(), info))
        }
        _ => None,
    })
}

#[test]
fn the_view_lists_what_the_model_lists() {
    for (name, info) in infos() {
        let bytes = info.encode();
        let view = View::new(&bytes, &Limits::default()).unwrap();
        let devices = view.devices().map(|device| {
            let mut fixed: Vec<_> = device.fixed_ips().collect();
            fixed.sort();
            (device.id(), device.mac(), fixed, device.groups().collect::<Vec<_>>(), device.is_filtered())
        });
        let wanted = info
            .devices
            .iter()
            .map(|d| (d.id, d.mac, d.fixed_ips.to_vec(), d.groups.to_vec(), d.is_filtered()));
        assert!(devices.eq(wanted), "{name}");
        for (group, wanted) in view.groups().zip(&info.groups) {
            let mut rules: Vec<Rule> = group.rules.collect();
            rules.sort();
            let bare = |rule: &Rule| Rule { patch: None, ..rule.clone() };
            assert_eq!((group.id, rules), (wanted.id, wanted.rules.iter().map(bare).collect()), "{name}");
        }
        assert_eq!(view.groups().count(), info.groups.len());
        for set in &info.members {
            for family in [Family::V4, Family::V6] {
                let mut members = Vec::new();
                view.for_each_member(set.id, family, |member| members.push(member));
                members.sort();
                let mut wanted: Vec<_> = set.members(family).collect();
                wanted.sort();
                assert_eq!(members, wanted, "{name}, {} {}", set.id, family.name());
            }
        }
    }
}

fn next(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(a) => IpAddr::V4((a.to_bits().wrapping_add(1)).into()),
        IpAddr::V6(a) => IpAddr::V6((a.to_bits().wrapping_add(1)).into()),
    }
}

/// Addresses worth asking about: some members, their neighbours, and strangers.
fn interesting(info: &Info) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> =
        vec!["203.0.113.7".parse().unwrap(), "2001:db8:ffff::1".parse().unwrap()];
    addresses.extend(info.devices.iter().take(3).flat_map(|device| device.fixed_ips.to_vec()));
    for set in &info.members {
        for family in [Family::V4, Family::V6] {
            addresses.extend(set.members(family).step_by(29).take(8).map(|member| match member.address {
                IpSpec::Host(host) => host,
                IpSpec::Net(net) => net.network(),
            }));
        }
    }
    let neighbours: Vec<_> = addresses.iter().map(|address| next(*address)).collect();
    addresses.extend(neighbours);
    addresses.sort();
    addresses.dedup();
    addresses
}

#[test]
fn membership_is_the_same_in_bytes_and_model() {
    for (name, info) in infos() {
        let bytes = info.encode();
        let view = View::new(&bytes, &Limits::default()).unwrap();
        for set in &info.members {
            for address in interesting(&info) {
                assert_eq!(
                    view.is_member(set.id, address),
                    set.contains(address),
                    "{name}: {} {address}",
                    set.id
                );
            }
        }
    }
}

/// What expansion says: the packet passes if an expanded rule matches it.
fn passes_by_expansion(info: &Info, at: usize, packet: &Packet) -> bool {
    let device = info.expand_device(&info.devices[at]);
    let rules = if packet.direction == Direction::Ingress { device.ingress } else { device.egress };
    rules.iter().any(|rule| rule.matches(packet, |_| panic!("expanded rules have no sets")))
}

#[test]
fn verdicts_agree_in_bytes_model_and_expansion() {
    let mut seen = [0; 2];
    for (name, info) in infos().filter(|(name, _)| !name.contains("blog-0") && !name.contains("-all")) {
        let bytes = info.encode();
        let view = View::new(&bytes, &Limits::default()).unwrap();
        for (at, device) in info.devices.iter().enumerate().take(4) {
            for far in interesting(&info).into_iter().step_by(2) {
                let Some(&own) = device.fixed_ips.iter().find(|own| own.is_ipv4() == far.is_ipv4()) else {
                    continue;
                };
                for (protocol, ports) in
                    [(6, (4000, 80)), (17, (67, 68)), (1, (8, 0)), (58, (128, 0)), (112, (0, 0))]
                {
                    for direction in [Direction::Ingress, Direction::Egress] {
                        let (source, destination) =
                            if direction == Direction::Ingress { (far, own) } else { (own, far) };
                        let packet = Packet { direction, source, destination, protocol, ports: Some(ports) };
                        let verdict = info.check(device.id, &packet);
                        assert_eq!(
                            view.check(device.id, &packet).passes(),
                            verdict.passes(),
                            "{name} {packet:?}"
                        );
                        if matches!(verdict, Verdict::Discovery | Verdict::Forbidden) {
                            continue; // whatever the rules say
                        }
                        let passes = !device.is_filtered() || passes_by_expansion(&info, at, &packet);
                        assert_eq!(verdict.passes(), passes, "{name} {packet:?}");
                        seen[usize::from(passes)] += 1;
                    }
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 50), "{seen:?} verdicts do not show much");
}

#[test]
fn some_packets_are_decided_before_any_rule() {
    let (_, info) = infos().find(|(name, _)| name.contains("two-ports")).unwrap();
    let bytes = info.encode();
    let view = View::new(&bytes, &Limits::default()).unwrap();
    let (v4, v6) = (["198.51.100.7", "192.0.2.1"], ["2001:db8::7", "fe80::1"]);
    let cases = [
        (Direction::Egress, v6, 58, (134, 0), Verdict::Forbidden),
        (Direction::Egress, v6, 58, (128, 0), Verdict::Discovery),
        (Direction::Egress, v4, 17, (68, 67), Verdict::DhcpClient),
        (Direction::Egress, v6, 17, (546, 547), Verdict::DhcpClient),
        (Direction::Egress, v4, 17, (67, 68), Verdict::Forbidden),
        (Direction::Egress, v6, 17, (547, 546), Verdict::Forbidden),
        (Direction::Ingress, v6, 58, (130, 0), Verdict::Discovery),
        (Direction::Ingress, v6, 58, (136, 0), Verdict::Discovery),
    ];
    for (direction, [source, destination], protocol, ports, verdict) in cases {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let packet = Packet { direction, source, destination, protocol, ports: Some(ports) };
        assert_eq!(info.check(info.devices[0].id, &packet), verdict, "{packet:?}");
        assert_eq!(view.check(info.devices[0].id, &packet), verdict, "{packet:?}");
    }
}

#[test]
fn a_port_sends_with_its_own_pairs_or_as_one_without_an_address() {
    let (_, info) = infos().find(|(name, _)| name.contains("two-ports")).unwrap();
    let device = &info.devices[0];
    let packet = |source: &str, destination: &str, protocol, ports| Packet {
        direction: Direction::Egress,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol,
        ports: Some(ports),
    };
    let other = "02:00:00:00:00:99".parse().unwrap();
    let own = packet("198.51.100.7", "192.0.2.1", 6, (1, 2));
    assert!(device.may_send(device.mac, &own) && !device.may_send(other, &own));
    assert!(!device.may_send(device.mac, &packet("198.51.100.8", "192.0.2.1", 6, (1, 2))));
    assert!(device.may_send(device.mac, &packet("fe80::ff:fe00:7", "fe80::1", 17, (1, 2))), "link-local");
    assert!(device.may_send(other, &packet("0.0.0.0", "255.255.255.255", 17, (68, 67))));
    assert!(device.may_send(other, &packet("::", "ff02::1:ff00:7", 58, (135, 0))));
    assert!(!device.may_send(device.mac, &packet("::", "ff02::1:ff00:7", 58, (134, 0))));
    let open = secgroup_rpc::Device { fixed_ips: secgroup_rpc::List::new(), ..device.clone() };
    assert!(open.may_send(open.mac, &packet("203.0.113.9", "192.0.2.1", 6, (1, 2))), "no address: any");
}

#[test]
fn special_devices_have_their_own_verdicts() {
    let (_, mut info) = infos().find(|(name, _)| name.contains("two-ports")).unwrap();
    let id = info.devices[0].id;
    let packet = Packet {
        direction: Direction::Ingress,
        source: "fe80::1".parse().unwrap(),
        destination: "2001:db8::7".parse().unwrap(),
        protocol: 58,
        ports: Some((135, 0)),
    };
    assert_eq!(info.check(id, &packet), Verdict::Discovery);
    info.devices[0].port_security = Some(false);
    assert_eq!(info.check(id, &packet), Verdict::Unfiltered);
    let stranger = "ffffffff-ffff-4fff-bfff-ffffffffffff".parse().unwrap();
    assert_eq!(info.check(stranger, &packet), Verdict::UnknownDevice);
    let bytes = info.encode();
    let view = View::new(&bytes, &Limits::default()).unwrap();
    assert_eq!(view.check(id, &packet), Verdict::Unfiltered);
    assert_eq!(view.check(stranger, &packet), Verdict::UnknownDevice);
}
