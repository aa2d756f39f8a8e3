//! Packets around the edges of every rule, and what the model says of them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use etherparse::{IpNumber, PacketBuilder, PacketBuilderStep};
use secgroup::render::Link;
use secgroup_rpc::{
    Device, Direction, Family, Info, Packet, Protocol, Rule, ipnet::IpNet, macaddr::MacAddr6,
};

use crate::world::FAR_MAC;

/// Marks our packets; a number follows.
const MAGIC: &[u8; 8] = b"sg probe";
/// Far ends that are tried per port and family, at most.
const FAR_ENDS: usize = 8;
/// Source ports of probes: each has its own, so that no flow is another one's reply.
const FIRST_PORT: u16 = 20_000;

/// An end of the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Place {
    /// Behind the uplink.
    Far,
    /// The machine at the port of this device.
    Port(usize),
}

/// A packet, where it starts, where it should arrive, and whether it should.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) from: Place,
    pub(crate) to: Place,
    pub(crate) source_mac: MacAddr6,
    pub(crate) destination_mac: MacAddr6,
    pub(crate) packet: Packet,
    pub(crate) expected: bool,
}

impl Probe {
    /// The frame to the next hop, with its number at the end.
    pub(crate) fn frame(&self, number: u32, next_hop: MacAddr6) -> Vec<u8> {
        let mut payload = vec![0; 32];
        payload.extend_from_slice(MAGIC);
        payload.extend_from_slice(&number.to_be_bytes());
        let start = PacketBuilder::ethernet2(self.source_mac.into_array(), next_hop.into_array());
        let start = match (self.packet.source, self.packet.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => start.ipv4(from.octets(), to.octets(), 64),
            (IpAddr::V6(from), IpAddr::V6(to)) => start.ipv6(from.octets(), to.octets(), 64),
            _ => panic!("{:?} mixes families", self.packet),
        };
        transport(start, &self.packet, number, payload)
    }

    /// The number of a frame of ours.
    pub(crate) fn number(frame: &[u8]) -> Option<u32> {
        let at = frame.windows(MAGIC.len()).position(|window| window == MAGIC)? + MAGIC.len();
        Some(u32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?))
    }
}

fn transport(
    start: PacketBuilderStep<etherparse::IpHeaders>,
    packet: &Packet,
    number: u32,
    mut payload: Vec<u8>,
) -> Vec<u8> {
    let (first, second) = packet.ports.unwrap_or_default();
    let mut out = Vec::new();
    let id = (number as u16).to_be_bytes();
    match packet.protocol {
        6 => start.tcp(first, second, number, 4096).syn().write(&mut out, &payload).unwrap(),
        17 => start.udp(first, second).write(&mut out, &payload).unwrap(),
        1 => start
            .icmpv4_raw(first as u8, second as u8, [id[0], id[1], 0, 1])
            .write(&mut out, &payload)
            .unwrap(),
        58 => start
            .icmpv6_raw(first as u8, second as u8, [id[0], id[1], 0, 1])
            .write(&mut out, &payload)
            .unwrap(),
        protocol => {
            if packet.ports.is_some() {
                payload[..2].copy_from_slice(&first.to_be_bytes());
                payload[2..4].copy_from_slice(&second.to_be_bytes());
            }
            start.write(&mut out, IpNumber(protocol), &payload).unwrap();
        }
    }
    out
}

/// Probes to or from every port.
pub(crate) fn probes(info: &Info, direction: Direction, link: Link) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (at, device) in info.devices.iter().enumerate() {
        let near: Vec<IpAddr> = device.fixed_ips.iter().copied().collect();
        for family in [Family::V4, Family::V6] {
            let is_of_family = |address: &&IpAddr| address.is_ipv4() == (family == Family::V4);
            let Some(near) = near.iter().find(is_of_family) else { continue };
            for far in far_ends(info, device, direction, family) {
                for (protocol, ports) in transports(info, device, direction, family) {
                    probes.push(probe(info, at, direction, *near, far, protocol, ports));
                }
            }
        }
        if direction == Direction::Egress {
            probes.extend(spoofed(info, at));
        }
        if link == Link::Bridged {
            probes.extend(discovery(info, at, direction));
        }
    }
    if link == Link::Routed {
        probes.retain(|probe| is_routable(info, probe));
    }
    let mut port = FIRST_PORT;
    for probe in &mut probes {
        // Only DHCP's source ports matter to a rule.
        if let Some((source, _)) = &mut probe.packet.ports
            && *source == 0
            && Protocol::from_number(probe.packet.protocol).has_ports()
        {
            port += 1;
            *source = port;
        }
    }
    for probe in &mut probes {
        probe.expected = expected(info, probe);
    }
    probes
}

/// What the model says: the sender's anti-spoof check and the port's filter.
fn expected(info: &Info, probe: &Probe) -> bool {
    let ((Place::Port(at), _) | (_, Place::Port(at))) = (probe.from, probe.to) else {
        panic!("{probe:?} passes no port")
    };
    let device = &info.devices[at];
    device.may_send(probe.source_mac, &probe.packet) && info.check(device.id, &probe.packet).passes()
}

fn probe(
    info: &Info,
    at: usize,
    direction: Direction,
    near: IpAddr,
    far: IpAddr,
    protocol: u8,
    ports: Option<(u16, u16)>,
) -> Probe {
    let own = info.devices[at].mac;
    let (from, to, source_mac, destination_mac, source, destination) = match direction {
        Direction::Ingress => (Place::Far, Place::Port(at), FAR_MAC, own, far, near),
        Direction::Egress => (Place::Port(at), Place::Far, own, FAR_MAC, near, far),
    };
    let packet = Packet { direction, source, destination, protocol, ports };
    Probe { from, to, source_mac, destination_mac, packet, expected: false }
}

/// Members, edges of prefixes, and strangers.
fn far_ends(info: &Info, device: &Device, direction: Direction, family: Family) -> Vec<IpAddr> {
    let mut ends = BTreeSet::new();
    let mut nets: Vec<IpNet> = Vec::new();
    let rules = device.groups.iter().filter_map(|id| info.group(*id)).flat_map(|group| &group.rules);
    for rule in rules.filter(|rule| rule.direction == direction && rule.family == family) {
        nets.extend(rule.remote_prefix());
        let set = rule.remote.and_then(|remote| info.member_set(remote.id()));
        nets.extend(
            set.into_iter().flat_map(|set| set.members(family).take(4)).map(|member| member.address.net()),
        );
    }
    for net in nets {
        ends.extend([net.network(), net.broadcast()]);
        ends.extend(neighbours(net));
    }
    // The edges of /0, and what no host may be called.
    ends.retain(|address| match address {
        IpAddr::V4(a) => {
            !(a.is_broadcast()
                || a.is_multicast()
                || a.is_loopback()
                || a.octets()[0] == 0
                || a.octets()[0] >= 240)
        }
        IpAddr::V6(a) => {
            !(a.is_multicast() || a.is_unspecified() || a.is_loopback() || a.segments()[0] & 0xE000 != 0x2000)
        }
    });
    // A port's own address is a member to ipset and nftables, and none to the expansion.
    ends.retain(|address| !device.fixed_ips.contains(address));
    let step = ends.len().div_ceil(FAR_ENDS).max(1);
    let mut ends: Vec<IpAddr> = ends.into_iter().step_by(step).collect();
    let strangers: [IpAddr; 2] = match family {
        Family::V4 => ["192.0.2.77".parse().unwrap(), "172.31.9.9".parse().unwrap()],
        Family::V6 => ["2001:db8:dead::1".parse().unwrap(), "2600::99".parse().unwrap()],
    };
    ends.extend(strangers);
    ends
}

/// The addresses just outside of `net`.
fn neighbours(net: IpNet) -> [IpAddr; 2] {
    match (net.network(), net.broadcast()) {
        (IpAddr::V4(low), IpAddr::V4(high)) => [
            Ipv4Addr::from_bits(low.to_bits().wrapping_sub(1)).into(),
            Ipv4Addr::from_bits(high.to_bits().wrapping_add(1)).into(),
        ],
        (IpAddr::V6(low), IpAddr::V6(high)) => [
            std::net::Ipv6Addr::from_bits(low.to_bits().wrapping_sub(1)).into(),
            std::net::Ipv6Addr::from_bits(high.to_bits().wrapping_add(1)).into(),
        ],
        _ => panic!("{net} mixes families"),
    }
}

/// Protocols and ports at and beside the edges of the device's rules; source port 0 is filled in
/// later.
fn transports(
    info: &Info,
    device: &Device,
    direction: Direction,
    family: Family,
) -> BTreeSet<(u8, Option<(u16, u16)>)> {
    let echo = if family == Family::V4 { (1, Some((8, 0))) } else { (58, Some((128, 0))) };
    let mut found = BTreeSet::from([(6, Some((0, 22))), (17, Some((0, 33_333))), echo]);
    let of_groups = device.groups.iter().filter_map(|id| info.group(*id)).flat_map(|group| &group.rules);
    let own = device.rules();
    for rule in own.iter().chain(of_groups) {
        if rule.direction == direction && rule.family == family {
            found.extend(edges(rule));
        }
    }
    found
}

fn edges(rule: &Rule) -> Vec<(u8, Option<(u16, u16)>)> {
    let Some(number) = rule.protocol_number() else { return Vec::new() };
    match number {
        1 | 58 => {
            let kind = rule.ports.min.or(rule.source_ports.min).unwrap_or(8);
            let code = rule.ports.max.unwrap_or(0);
            vec![
                (number, Some((kind, code))),
                (number, Some((kind, code + 1))),
                (number, Some((kind + 1, code))),
            ]
        }
        // What IPv6 takes for extension headers is not a protocol to a filter.
        0 | 43 | 44 | 50 | 51 | 59 | 60 if rule.family == Family::V6 => Vec::new(),
        _ if Protocol::from_number(number).has_ports() => {
            let source = rule.source_ports.min.unwrap_or(0);
            let (min, max) = (rule.ports.min.unwrap_or(1), rule.ports.max.unwrap_or(65_535));
            let ports = [min.saturating_sub(1).max(1), min, max, max.saturating_add(1)];
            ports.into_iter().map(|port| (number, Some((source, port)))).collect()
        }
        _ => vec![(number, None)],
    }
}

/// Packets with sources that are not, or just are, the port's.
fn spoofed(info: &Info, at: usize) -> Vec<Probe> {
    let device = &info.devices[at];
    let mut probes = Vec::new();
    let mut send = |mac: MacAddr6, source: IpAddr| {
        let far: IpAddr = match source {
            IpAddr::V4(_) => "192.0.2.78".parse().unwrap(),
            IpAddr::V6(_) => "2600::98".parse().unwrap(),
        };
        for (protocol, ports) in [(6, (0, 5432)), (17, (0, 514))] {
            let probe = probe(info, at, Direction::Egress, source, far, protocol, Some(ports));
            probes.push(Probe { source_mac: mac, ..probe });
        }
    };
    let other_mac = MacAddr6::new(0xFA, 0x16, 0x3E, 0, 0, 1);
    for address in &device.fixed_ips {
        send(other_mac, *address);
        neighbours(IpNet::from(*address)).into_iter().for_each(|address| send(device.mac, address));
    }
    for pair in &device.pairs {
        let net = pair.address.net();
        let inside = if net.prefix_len() == 0 { "10.66.0.1".parse().unwrap() } else { net.network() };
        send(pair.mac, inside);
        send(other_mac, inside);
        if net.prefix_len() > 0 {
            neighbours(net).into_iter().for_each(|address| send(pair.mac, address));
        }
    }
    for source in ["10.99.0.7", "2001:db8:77::7"] {
        send(device.mac, source.parse().unwrap());
        send(other_mac, source.parse().unwrap());
    }
    probes.push(Probe {
        source_mac: device.mac,
        ..probe(
            info,
            at,
            Direction::Egress,
            IpAddr::V6(secgroup_rpc::link_local(device.mac)),
            "2600::98".parse().unwrap(),
            17,
            Some((0, 514)),
        )
    });
    probes
}

/// DHCP and neighbour discovery, as clients, servers, hosts and routers send them.
fn discovery(info: &Info, at: usize, direction: Direction) -> Vec<Probe> {
    let device = &info.devices[at];
    let v4 = device.fixed_ips.iter().find(|address| address.is_ipv4()).copied();
    let v6 = IpAddr::V6(secgroup_rpc::link_local(device.mac));
    let router: IpAddr = "fe80::1".parse().unwrap();
    let broadcast: IpAddr = "255.255.255.255".parse().unwrap();
    let all: IpAddr = "ff02::1".parse().unwrap();
    let mut cases: Vec<(IpAddr, IpAddr, u8, (u16, u16))> = Vec::new();
    match direction {
        Direction::Ingress => {
            let server: IpAddr = "192.0.2.1".parse().unwrap();
            cases.extend(v4.map(|own| (server, own, 17, (67, 68))));
            cases.push((server, broadcast, 17, (67, 68)));
            cases.push((server, broadcast, 17, (66, 68)));
            cases.push((router, v6, 17, (547, 546)));
            cases.push((router, v6, 17, (545, 546)));
            cases.extend([130, 133, 134, 135, 136, 137].map(|kind| (router, all, 58, (kind, 0))));
        }
        Direction::Egress => {
            let nowhere4: IpAddr = "0.0.0.0".parse().unwrap();
            let nowhere6: IpAddr = "::".parse().unwrap();
            cases.push((nowhere4, broadcast, 17, (68, 67)));
            cases.push((nowhere4, broadcast, 17, (68, 69)));
            cases.extend(v4.map(|own| (own, broadcast, 17, (67, 68))));
            cases.extend(v4.map(|own| (own, broadcast, 17, (68, 67))));
            cases.extend([131, 134, 135, 143, 128].map(|kind| (nowhere6, all, 58, (kind, 0))));
            cases.extend([128, 134, 135].map(|kind| (v6, all, 58, (kind, 0))));
            cases.push((v6, all, 17, (546, 547)));
            cases.push((v6, all, 17, (547, 546)));
        }
    }
    let probe = |(source, destination, protocol, ports): (IpAddr, IpAddr, u8, (u16, u16))| {
        let (near, far) =
            if direction == Direction::Ingress { (destination, source) } else { (source, destination) };
        let probe = probe(info, at, direction, near, far, protocol, Some(ports));
        let group = match destination {
            IpAddr::V4(a) if a.is_broadcast() => Some(MacAddr6::broadcast()),
            IpAddr::V6(a) if a.is_multicast() => Some(MacAddr6::new(0x33, 0x33, 0, 0, 0, 1)),
            _ => None,
        };
        Probe { destination_mac: group.unwrap_or(probe.destination_mac), ..probe }
    };
    cases.into_iter().map(probe).collect()
}

/// A router forwards neither link-local addresses nor what is for one of its own ports.
fn is_routable(info: &Info, probe: &Probe) -> bool {
    let is_global = |address: IpAddr| match address {
        IpAddr::V4(address) => {
            !(address.is_broadcast() || address.is_unspecified() || address.is_link_local())
        }
        IpAddr::V6(address) => address.segments()[0] & 0xE000 == 0x2000,
    };
    let is_local = |address: IpAddr| info.devices.iter().any(|device| device.fixed_ips.contains(&address));
    let to_far = probe.to == Place::Far;
    is_global(probe.packet.source)
        && is_global(probe.packet.destination)
        && !(to_far && is_local(probe.packet.destination))
}
