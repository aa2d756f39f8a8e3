//! A made-up cloud for the demonstration and the measurements.

use std::net::Ipv4Addr;

use secgroup_rpc::sync::Server;
use secgroup_rpc::{
    Device, Direction, Family, IpSpec, Member, MemberSet, Members, PortRange, Protocol, Remote, Rule, Uuid,
};

use crate::wiring::{self, Network, NetworkKind};

/// Ports of one network in groups that admit themselves, spread over hosts.
#[derive(Clone, Copy, Debug)]
pub struct Cloud {
    /// Ports in all.
    pub ports: u32,
    /// Hosts that share them.
    pub hosts: u32,
    /// Groups that share them.
    pub groups: u32,
}

impl Cloud {
    /// The id of a port.
    pub fn port(self, number: u32) -> Uuid {
        named(1, number)
    }

    /// The id of a group.
    pub fn group(self, number: u32) -> Uuid {
        named(2, number)
    }

    /// The ports of one host.
    pub fn ports_of(self, host: u32) -> Vec<Uuid> {
        (0..self.ports).filter(|port| port % self.hosts == host).map(|port| self.port(port)).collect()
    }

    /// Whether a host has a port in a group.
    pub fn has_port_in(self, host: u32, group: u32) -> bool {
        (0..self.ports).any(|port| port % self.hosts == host && self.group_of(port) == group)
    }

    /// A member beside the ports, as a port on a host that nobody here is.
    pub fn stranger(self, number: u32) -> Member {
        Member { address: IpSpec::Host(address_of(number, 5).into()), mac: None }
    }

    /// Makes a server hold it.
    pub fn fill(self, server: &mut Server) {
        for group in 0..self.groups {
            let own = (0..self.ports).filter(|port| self.group_of(*port) == group);
            let v4 = Some(Members { addresses: own.map(address).collect(), ..Members::default() });
            server.set_members(MemberSet { v4, ..MemberSet::new(self.group(group)) });
            server.set_rules(self.group(group), self.rules(group));
        }
        for port in 0..self.ports {
            server.set_device(self.device_in(port, self.group_of(port)));
        }
    }

    /// How a port is wired that is in this VLAN.
    pub fn wired(self, port: u32, vlan: u16) -> wiring::Port {
        let device = self.device_in(port, self.group_of(port));
        wiring::Port {
            id: device.id,
            mac: device.mac,
            network: Network {
                id: named(3, vlan.into()),
                kind: NetworkKind::Vlan,
                physical_network: Some("physnet1".into()),
                segmentation_id: Some(vlan.into()),
            },
            addresses: device.fixed_ips.iter().copied().collect(),
            admin_state_up: true,
            filtered: true,
        }
    }

    const fn group_of(self, port: u32) -> u32 {
        port / self.hosts % self.groups
    }

    /// As Neutron's default group: all within, SSH from anywhere, everything outwards.
    pub(crate) fn rules(self, group: u32) -> Vec<Rule> {
        let within = Remote::Group(self.group(group));
        vec![
            Rule { remote: Some(within), ..Rule::any(Direction::Ingress, Family::V4) },
            Rule {
                protocol: Some(Protocol::TCP),
                ports: PortRange::single(22),
                ..Rule::any(Direction::Ingress, Family::V4)
            },
            Rule::any(Direction::Egress, Family::V4),
            Rule::any(Direction::Egress, Family::V6),
        ]
    }

    /// A port, bound to a group.
    pub(crate) fn device_in(self, port: u32, group: u32) -> Device {
        let [a, b, c, d] = port.to_be_bytes();
        Device {
            fixed_ips: [address(port).into()].into_iter().collect(),
            groups: [self.group(group)].into_iter().collect(),
            ..Device::new(self.port(port), [0xFA, 0x16, a, b, c, d].into())
        }
    }
}

/// Where a port is: addresses in 10.0.0.0/9 with gaps, as an allocator picks among the next free ones.
fn address(port: u32) -> Ipv4Addr {
    address_of(port, 2)
}

/// Different offsets below 7 never meet.
fn address_of(number: u32, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0A00_0000 + (number.wrapping_mul(7) & 0x007F_FFFF) + offset)
}

/// A random-looking id (version 4) that is the same in each run: splitmix64 of kind and number.
fn named(kind: u64, number: u32) -> Uuid {
    let mix = |seed: u64| {
        let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ x >> 31
    };
    let seed = kind << 32 | u64::from(number);
    let bits = u128::from(mix(seed)) << 64 | u128::from(mix(!seed));
    Uuid::from_bits(bits & !(0xF << 76) & !(3 << 62) | 4 << 76 | 2 << 62)
}
