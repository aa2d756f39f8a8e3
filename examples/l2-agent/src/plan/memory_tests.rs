//! A planner that remembers answers like one that does not, whatever is changed in between.

use secgroup_rpc::{
    AddressPair, Device, Direction, Family, Group, Info, IpSpec, MemberSet, Members, PortRange, Protocol,
    Remote, Rule, Uuid,
};

use super::tests::{Node, desired};
use super::*;
use crate::desired::{Security, UnknownPorts};

/// A linear congruential generator (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

fn uuid(kind: u8, number: u64) -> Uuid {
    format!("{kind:08x}-0000-4000-8000-00000000000{number:x}").parse().unwrap()
}

fn v4(number: u64) -> std::net::Ipv4Addr {
    [10, 0, 0, number as u8].into()
}

fn device(random: &mut Random, number: u64) -> Device {
    let pair = AddressPair { address: IpSpec::Host(v4(100).into()), mac: [0, 0, 0x5E, 0, 1, 7].into() };
    Device {
        fixed_ips: [v4(number).into()].into_iter().collect(),
        groups: (1..=3).filter(|_| random.one_in(2)).map(|group| uuid(2, group)).collect(),
        pairs: if random.one_in(4) { vec![pair] } else { Vec::new() },
        port_security: random.one_in(5).then_some(false),
        ..Device::new(uuid(1, number), [0xFA, 0x16, 0x3E, 0, 0, number as u8].into())
    }
}

fn rule(random: &mut Random) -> Rule {
    let direction = if random.one_in(2) { Direction::Ingress } else { Direction::Egress };
    let mut rule = Rule::any(direction, if random.one_in(3) { Family::V6 } else { Family::V4 });
    if random.one_in(2) {
        rule.protocol = Some(if random.one_in(2) { Protocol::TCP } else { "udplite".parse().unwrap() });
        rule.ports = PortRange::single(random.below(3) as u16);
    }
    if random.one_in(2) {
        rule.remote = Some(Remote::Group(uuid(2, 1 + random.below(3))));
    }
    rule.stateful = random.one_in(4).then_some(false);
    rule
}

fn group(random: &mut Random, number: u64) -> Group {
    Group { id: uuid(2, number), rules: (0..random.below(4)).map(|_| rule(random)).collect() }
}

fn members(random: &mut Random, number: u64) -> MemberSet {
    let addresses = (1..8).filter(|_| random.one_in(2)).map(v4).collect();
    MemberSet { v4: Some(Members { addresses, others: Vec::new() }), ..MemberSet::new(uuid(2, number)) }
}

fn security(random: &mut Random) -> Security {
    let info = Info {
        devices: (1..=8).map(|number| device(random, number)).collect(),
        groups: (1..=3).map(|number| group(random, number)).collect(),
        members: (1..=3).map(|number| members(random, number)).collect(),
        ..Info::default()
    };
    Security { file: "groups".into(), unknown_ports: UnknownPorts::Trusted, info }
}

/// One thing that changes on a server, a hypervisor or a switch.
fn edit(random: &mut Random, desired: &mut Desired, node: &mut Node) {
    let number = 1 + random.below(8);
    let (name, id) = (format!("tap{number}"), uuid(1, number).to_string());
    match random.below(14) {
        0 => desired.ports.retain(|port| port.id != id),
        1 if desired.ports.iter().all(|port| port.id != id) => {
            let network = ["A", "B", "C", "D", "E", "F"].map(str::to_owned)[random.below(6) as usize].clone();
            let mac = format!("fa:16:3e:00:00:0{number}").try_into().unwrap();
            desired.ports.push(crate::desired::Port {
                id,
                mac,
                network,
                admin_state_up: !random.one_in(8),
                filtered: None,
            });
        }
        2 => _ = node.bridge("br-int").ports.remove(&name),
        3 if !node.bridge("br-int").ports.contains_key(&name) => {
            node.plug(number as u8);
            let port = node.bridge("br-int").ports.get_mut(&name).unwrap();
            port.external_ids.insert("iface-id".to_owned(), id);
        }
        4 => {
            if let Some(port) = node.bridge("br-int").ports.get_mut(&name) {
                port.ofport = (!random.one_in(3)).then_some(100 + random.below(900) as u16);
            }
        }
        5 => desired.networks[1].segmentation_id = Some(100 + random.below(3) as u32),
        6 => node.bridge("br-int").flows.clear(),
        7 if random.one_in(3) => {
            desired.security = if random.one_in(2) { None } else { Some(security(random)) };
        }
        kind => {
            let Some(security) = &mut desired.security else { return };
            let info = &mut security.info;
            match kind {
                8 => info.devices.retain(|device| device.id != uuid(1, number)),
                9 | 10 => {
                    info.devices.retain(|device| device.id != uuid(1, number));
                    info.devices.push(device(random, number));
                }
                11 => info.groups[(number % 3) as usize] = group(random, 1 + number % 3),
                12 => info.members[(number % 3) as usize] = members(random, 1 + number % 3),
                _ => {
                    security.unknown_ports =
                        if random.one_in(2) { UnknownPorts::Dead } else { UnknownPorts::Trusted };
                }
            }
        }
    }
    if let Some(security) = &mut desired.security {
        security.info.normalize();
    }
}

#[test]
fn what_is_remembered_never_shows_in_a_plan() {
    let mut flows = 0;
    for seed in 0..20 {
        let random = &mut Random(seed);
        let (mut desired, mut node, mut planner) = (desired(), Node::new(), Planner::default());
        desired.ports.clear();
        node.bridge("br-int").ports.retain(|name, _| !name.starts_with("tap"));
        desired.security = Some(security(random));
        for _ in 0..200 {
            edit(random, &mut desired, &mut node);
            let next = planner.plan(&desired, &node.observed);
            assert_eq!(next, plan(&desired, &node.observed), "seed {seed}");
            if random.one_in(2) {
                next.ops.iter().for_each(|op| node.apply(op));
            }
            flows = flows.max(node.bridge("br-int").flows.len());
        }
    }
    assert!(flows > 100, "at most {flows} flows: the edits do not meet");
}
