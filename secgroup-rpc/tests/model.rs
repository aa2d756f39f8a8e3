//! Arbitrary models: coding is the identity, the order of lists does not matter, and every message
//! has one encoding.
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

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, option, prelude::*};
use secgroup_rpc::{
    AddressPair, CallVersion, Device, Direction, Family, Group, Info, IpSpec, Limits, Member, MemberSet,
    Message, PortRange, Protocol, Remote, Rule, Uuid, Value,
    ipnet::{IpNet, Ipv4Net, Ipv6Net},
    macaddr::MacAddr6,
    read_json, read_value, to_json,
};

/// Few ids, so that references meet; some are no random UUIDs.
fn id() -> impl Strategy<Value = Uuid> {
    (0u128..12, any::<bool>()).prop_map(|(n, v4)| {
        let bits = n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C834);
        let fixed = (bits & !(0xF << 76 | 3 << 62)) | 4 << 76 | 2 << 62;
        Uuid::from_bits(if v4 { fixed } else { n })
    })
}

fn mac() -> impl Strategy<Value = MacAddr6> {
    (prop_oneof![Just(0x00FA_163E_u32), Just(0x0002_0202), 0..1u32 << 24], 0..5u8).prop_map(
        |(vendor, low)| MacAddr6::new((vendor >> 16) as u8, (vendor >> 8) as u8, vendor as u8, 0, 0, low),
    )
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        (0..40u8).prop_map(|low| Ipv4Addr::new(10, 0, 0, low)),
        (0..4u8, 0..4u8).prop_map(|(a, b)| Ipv4Addr::new(192, 168, a, b)),
        any::<u32>().prop_map(Ipv4Addr::from_bits),
    ]
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    let prefix = 0x2001_0DB8u128 << 96;
    prop_oneof![
        (0..20u128).prop_map(move |low| Ipv6Addr::from_bits(prefix | low)),
        mac().prop_map(move |mac| Ipv6Addr::from_bits(
            prefix | secgroup_rpc::link_local(mac).to_bits() & u128::from(u64::MAX)
        )),
        any::<u128>().prop_map(Ipv6Addr::from_bits),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![v4().prop_map(IpAddr::V4), v6().prop_map(IpAddr::V6)]
}

fn net() -> impl Strategy<Value = IpNet> {
    (address(), 0..=128u8, any::<bool>()).prop_map(|(address, length, mask)| {
        let net: IpNet = match address {
            IpAddr::V4(address) => Ipv4Net::new(address, length % 33).unwrap().into(),
            IpAddr::V6(address) => Ipv6Net::new(address, length).unwrap().into(),
        };
        if mask { net.trunc() } else { net }
    })
}

fn spec() -> impl Strategy<Value = IpSpec> {
    prop_oneof![address().prop_map(IpSpec::Host), net().prop_map(IpSpec::Net)]
}

fn ports() -> impl Strategy<Value = PortRange> {
    let port = || prop_oneof![Just(22u16), 0..300u16, any::<u16>()];
    prop_oneof![
        3 => Just(PortRange::ANY),
        2 => port().prop_map(PortRange::single),
        2 => (port(), port()).prop_map(|(a, b)| PortRange { min: Some(a.min(b)), max: Some(a.max(b)) }),
        1 => (option::of(port()), option::of(port())).prop_map(|(min, max)| match (min, max) {
            (Some(a), Some(b)) => PortRange { min: Some(a.min(b)), max: Some(a.max(b)) },
            (min, max) => PortRange { min, max },
        }),
    ]
}

fn patch_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::Int),
        (1u64 << 63..).prop_map(Value::Big),
        (-1e300..1e300f64).prop_map(|x| Value::Float(secgroup_rpc::Float(x.to_bits()))),
        "[a-z:\\-é\"\\\\]{0,8}".prop_map(Value::from),
        id().prop_map(|id| Value::from(id.to_string())),
        address().prop_map(|address| Value::from(address.to_string())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::btree_map("[a-c]{1,2}", inner, 0..4).prop_map(Value::Object),
        ]
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let remote = prop_oneof![id().prop_map(Remote::Group), id().prop_map(Remote::AddressGroup)];
    let protocol = prop_oneof![
        Just(Protocol::TCP),
        Just(Protocol::UDP),
        Just(Protocol::ICMP),
        any::<u8>().prop_map(Protocol::from_number)
    ];
    let place = (any::<bool>(), any::<bool>());
    let patch = option::weighted(0.1, patch_value());
    (
        place,
        option::of(protocol),
        ports(),
        option::weighted(0.2, ports()),
        option::of(net()),
        option::of(remote),
        option::of(any::<bool>()),
        patch,
    )
        .prop_map(|((ingress, six), protocol, ports, source_ports, net, remote, stateful, patch)| {
            let direction = if ingress { Direction::Ingress } else { Direction::Egress };
            let family = if six { Family::V6 } else { Family::V4 };
            let net = net.filter(|net| Family::of_net(*net) == family);
            let (source, destination) = if ingress { (net, None) } else { (None, net) };
            Rule {
                protocol,
                ports,
                source_ports: source_ports.unwrap_or_default(),
                source,
                destination,
                remote,
                stateful,
                patch: patch.map(|value| Box::new([("x-unknown".to_owned(), Some(value))].into())),
                ..Rule::any(direction, family)
            }
        })
}

fn device() -> impl Strategy<Value = Device> {
    let owner = prop_oneof![Just("compute:nova"), Just(""), Just("network:router"), Just("some: other")];
    let name = prop_oneof![Just("tap00000000-00"), Just("00000000-00"), Just("qvo-odd")];
    let pair = (spec(), mac()).prop_map(|(address, mac)| AddressPair { address, mac });
    let lists = (vec(address(), 0..4), vec(pair, 0..3), vec(id(), 0..4));
    let flags = (option::of(any::<bool>()), option::of(owner), option::of(id()), option::of(name));
    let own = option::weighted(0.2, vec(rule(), 0..3));
    let patch = proptest::collection::btree_map("[a-e]{1,2}|tags|status", patch_value(), 0..3);
    (id(), mac(), lists, flags, own, patch, any::<bool>()).prop_map(
        |(
            id,
            mac,
            (fixed_ips, pairs, groups),
            (port_security, owner, network, name),
            own_rules,
            patch,
            made,
        )| {
            // Addresses made from the port's own MAC are frequent in the field.
            let own_address = IpAddr::V6(secgroup_rpc::link_local(mac));
            Device {
                fixed_ips: fixed_ips.into_iter().chain(made.then_some(own_address)).collect(),
                pairs,
                groups: groups.into_iter().collect(),
                port_security,
                owner: owner.map(Into::into),
                network,
                name: name.map(Into::into),
                own_rules,
                patch: patch.into_iter().map(|(key, value)| (key, Some(value))).collect(),
                ..Device::new(id, mac)
            }
        },
    )
}

fn member_set() -> impl Strategy<Value = MemberSet> {
    let family = |family: Family| {
        let other = (spec(), option::of(mac())).prop_map(|(address, mac)| Member { address, mac });
        vec(other, 0..6).prop_map(move |mut others| {
            others.retain(|member| member.address.family() == family);
            others
        })
    };
    let v4 = option::of((vec(v4(), 0..30), family(Family::V4)))
        .prop_map(|v4| v4.map(|(addresses, others)| secgroup_rpc::Members { addresses, others }));
    let v6 = option::of((vec(v6(), 0..10), family(Family::V6)))
        .prop_map(|v6| v6.map(|(addresses, others)| secgroup_rpc::Members { addresses, others }));
    (id(), v4, v6).prop_map(|(id, v4, v6)| MemberSet { v4, v6, ..MemberSet::new(id) })
}

fn info() -> impl Strategy<Value = Info> {
    let group = (id(), vec(rule(), 0..6)).prop_map(|(id, rules)| Group { id, rules });
    (vec(device(), 0..8), vec(group, 0..5), vec(member_set(), 0..5), any::<bool>()).prop_map(
        |(devices, groups, members, old)| {
            let version = if old { CallVersion::V1_2 } else { CallVersion::V1_3 };
            Info { version, devices, groups, members, ..Info::default() }
        },
    )
}

/// Every list in another order.
fn shuffled(info: &Info) -> Info {
    let mut info = info.clone();
    info.devices.reverse();
    info.groups.reverse();
    info.members.reverse();
    info.groups.iter_mut().for_each(|group| group.rules.reverse());
    for device in &mut info.devices {
        device.fixed_ips = device.fixed_ips.iter().rev().copied().collect();
        device.pairs.reverse();
        device.groups = device.groups.iter().rev().copied().collect();
        device.own_rules.iter_mut().for_each(|rules| rules.reverse());
    }
    for set in &mut info.members {
        if let Some(v4) = &mut set.v4 {
            v4.addresses.reverse();
            v4.others.reverse();
        }
    }
    info
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn coding_is_the_identity_and_blind_to_order(info in info()) {
        let mut normal = info;
        normal.normalize();
        let bytes = normal.encode();
        prop_assert_eq!(Info::decode(&bytes, &Limits::default()), Ok(normal.clone()));
        prop_assert_eq!(shuffled(&normal).encode(), bytes);
    }

    #[test]
    fn semantic_messages_survive_and_need_no_patches(info in info()) {
        let mut normal = info;
        normal.strip();
        normal.normalize();
        prop_assert_eq!(Info::decode(&normal.encode(), &Limits::default()), Ok(normal));
    }

    #[test]
    fn damaged_messages_are_errors_or_other_canonical_messages(
        info in info(),
        flips in vec((any::<proptest::sample::Index>(), 0..8u8), 1..4),
    ) {
        let mut bytes = info.encode();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Ok(message) = Message::decode(&bytes, &Limits::default()) {
            prop_assert_eq!(message.encode(), bytes);
        }
    }

    #[test]
    fn every_truncation_is_an_error(info in info(), at in any::<proptest::sample::Index>()) {
        let bytes = info.encode();
        let at = at.index(bytes.len());
        prop_assert!(Message::decode(&bytes[..at], &Limits::default()).is_err());
    }

    #[test]
    fn json_carries_the_model(info in info()) {
        let mut message = Message::Info(info);
        message.normalize();
        // Compared as text: version 1.2 has no place for the MAC of a member.
        let written = to_json(&message);
        let again = to_json(&read_json(written.as_bytes(), &Limits::default()).unwrap());
        let parsed = |text: &str| common::sorted(read_value(text.as_bytes(), &Limits::default()).unwrap());
        prop_assert_eq!(parsed(&again), parsed(&written));
    }

    #[test]
    fn values_survive_in_envelopes(values in vec(patch_value(), 1..4)) {
        let inner = values.into_iter().enumerate().map(|(at, value)| (format!("key{at}"), value)).collect();
        let message = Message::Envelope(Box::new(secgroup_rpc::Envelope {
            outer: secgroup_rpc::Object::new(),
            inner,
            payload: None,
        }));
        prop_assert_eq!(Message::decode(&message.encode(), &Limits::default()), Ok(message));
    }
}
