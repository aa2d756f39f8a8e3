//! The frames that show what rules do, made from the bindings of a configuration.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mac_nat::export::Ability;
use mac_nat::{Binding, Config, Mode, Side, Vlans};

use super::packets::{
    BROADCAST, Mac, NOBODY, ROUTER, arp, dhcp, discovery, ethernet, later_fragment4, neighbour, option, rarp,
    solicited, tagged, udp4, udp6,
};

/// Somebody else's address, from a block for documentation (RFC 5737, RFC 3849).
const ELSEWHERE4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const ELSEWHERE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 0xFFFF, 0, 0, 0, 0, 0x53);
/// Nobody's address, for what is learned.
const UNBOUND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
/// A MAC that nobody inside has.
const STRANGER: Mac = [0x02, 0, 0x5E, 0x10, 0, 0x01];
const UNUSED_VLAN: u16 = 4094;
const PORTS: (u16, u16) = (4000, 4001);

/// A conversation; the data plane is judged by what it does with the last frame.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) ability: Ability,
    /// Whose frames these are.
    pub(crate) subject: String,
    pub(crate) steps: Vec<(Side, Vec<u8>)>,
    /// Only what leaks counts: whether the frame arrives is a matter of policy.
    pub(crate) leaks_only: bool,
}

/// All probes for a configuration, of at most `limit` bindings.
pub(crate) fn probes(config: &Config, limit: usize) -> Vec<Probe> {
    let mut makers: Vec<Maker> = Vec::new();
    for binding in config.bindings.iter().take(limit) {
        let mut maker = Maker::new(config, binding);
        match maker.addr {
            IpAddr::V4(addr) => maker.ipv4(addr),
            IpAddr::V6(addr) => maker.ipv6(addr),
        }
        makers.push(maker);
    }
    makers.extend(rest(config));
    makers.into_iter().flat_map(|maker| maker.probes).collect()
}

/// Makes the probes of one binding.
struct Maker<'a> {
    config: &'a Config,
    binding: &'a Binding,
    addr: IpAddr,
    side: Side,
    inside: Mac,
    wire: Mac,
    probes: Vec<Probe>,
}

impl<'a> Maker<'a> {
    fn new(config: &'a Config, binding: &'a Binding) -> Self {
        let addr = match binding.is_host() {
            true => binding.net.addr(),
            false => binding.net.hosts().next().unwrap_or(binding.net.addr()),
        };
        Self {
            config,
            binding,
            addr,
            side: Side::Inside(binding.port),
            inside: binding.inside.into_array(),
            wire: binding.wire.into_array(),
            probes: Vec::new(),
        }
    }

    fn ipv4(&mut self, addr: Ipv4Addr) {
        use Ability::{AnnouncementTarget, ConflictDetection, Ipv4, SilentOwner};
        let (inside, wire, router) = (self.inside, self.wire, gateway4(self.config));
        let (any, me, side) = (Ipv4Addr::UNSPECIFIED, (inside, addr), self.side);
        let announcement = (side, arp(BROADCAST, 1, me, (NOBODY, addr)));
        let to_me = udp4(wire, ROUTER, (ELSEWHERE4, addr), PORTS, b"in");
        let out = |frame| vec![(side, frame)];
        self.add("IPv4 packet", Ipv4, out(udp4(ROUTER, inside, (addr, ELSEWHERE4), PORTS, b"out")));
        self.add(
            "IPv4 fragment without ports",
            Ipv4,
            out(later_fragment4(ROUTER, inside, (addr, ELSEWHERE4))),
        );
        self.add("ARP request for the router", Ipv4, out(arp(BROADCAST, 1, me, (NOBODY, router))));
        self.add("ARP reply to the router", Ipv4, out(arp(ROUTER, 2, me, (ROUTER, router))));
        self.add("ARP announcement as a request", Ipv4, vec![announcement.clone()]);
        self.add("ARP announcement as a reply", AnnouncementTarget, out(arp(BROADCAST, 2, me, me)));
        let probe = (side, arp(BROADCAST, 1, (inside, any), (NOBODY, addr)));
        self.add("ARP probe", ConflictDetection, vec![probe.clone()]);
        let taken = arp(wire, 2, (ROUTER, addr), (wire, any));
        self.add("answer to an ARP probe", ConflictDetection, vec![probe, (Side::Uplink, taken)]);
        let mut inward = |name, frame| {
            self.add(name, Ipv4, vec![announcement.clone(), (Side::Uplink, frame)]);
        };
        inward("IPv4 packet from outside", to_me.clone());
        inward("ARP reply of the router", arp(wire, 2, (ROUTER, router), (wire, addr)));
        inward("ARP request of the router", arp(BROADCAST, 1, (ROUTER, router), (NOBODY, addr)));
        inward("ARP request of the router to us alone", arp(wire, 1, (ROUTER, router), (NOBODY, addr)));
        self.add("IPv4 packet from outside, owner silent so far", SilentOwner, vec![(Side::Uplink, to_me)]);
        self.neighbour_inside(addr);
        if self.binding.vlans == Vlans::UNTAGGED {
            if self.is_first_of_machine() {
                self.dhcp();
            }
            self.hidden_in_a_vlan(&arp(BROADCAST, 1, me, (NOBODY, router)));
        }
    }

    fn ipv6(&mut self, addr: Ipv6Addr) {
        use Ability::{NeighbourDiscovery, RouterOptions};
        let (inside, wire, router, side) = (self.inside, self.wire, gateway6(self.config), self.side);
        let (source, target) = (option(1, inside), option(2, inside));
        let (group_mac, group) = solicited(router);
        let (own_mac, own_group) = solicited(addr);
        let (all_nodes, all_routers) = (v6(0xFF02, 1), v6(0xFF02, 2));
        let solicit =
            |options: &[u8]| discovery(group_mac, inside, (addr, group), 135, &neighbour(0, router, options));
        let advertise = |flags, to: (Mac, Ipv6Addr)| {
            discovery(to.0, inside, (addr, to.1), 136, &neighbour(flags, addr, &target))
        };
        let announcement = (side, advertise(0x20, ([0x33, 0x33, 0, 0, 0, 1], all_nodes)));
        let nonce = [&[14, 1, 1, 2, 3, 4, 5, 6][..], &source].concat();
        let broken = [&source[..], &[14, 0, 0, 0, 0, 0, 0, 0], &source].concat();
        let own = [
            ("IPv6 packet", udp6(ROUTER, inside, (addr, ELSEWHERE6), b"out")),
            ("neighbour solicitation", solicit(&source)),
            ("neighbour solicitation with a nonce first", solicit(&nonce)),
            ("neighbour advertisement", advertise(0x60, (ROUTER, router))),
            ("unsolicited neighbour advertisement", announcement.1.clone()),
            (
                "solicitation for duplicate address detection",
                discovery(own_mac, inside, (Ipv6Addr::UNSPECIFIED, own_group), 135, &neighbour(0, addr, &[])),
            ),
        ];
        for (name, frame) in own {
            self.add(name, NeighbourDiscovery, vec![(side, frame)]);
        }
        let malformed = [
            ("neighbour solicitation with the option twice", solicit(&source.repeat(2))),
            ("neighbour solicitation with a broken option between", solicit(&broken)),
        ];
        for (name, frame) in malformed {
            self.add_leaks(name, Ability::MalformedNd, (side, frame));
        }
        let to_me = udp6(wire, ROUTER, (ELSEWHERE6, addr), b"in");
        let question = neighbour(0, addr, &option(1, ROUTER));
        let answer = neighbour(0xE0, router, &option(2, ROUTER));
        let inward = [
            ("IPv6 packet from outside", to_me),
            (
                "neighbour solicitation of the router",
                discovery(own_mac, ROUTER, (router, own_group), 135, &question),
            ),
            ("neighbour advertisement of the router", discovery(wire, ROUTER, (router, addr), 136, &answer)),
        ];
        for (name, frame) in inward {
            self.add(name, NeighbourDiscovery, vec![announcement.clone(), (Side::Uplink, frame)]);
        }
        let solicitation = [&[0; 4][..], &source].concat();
        let to_routers = ([0x33, 0x33, 0, 0, 0, 2], (addr, all_routers));
        let router_solicitation = discovery(to_routers.0, inside, to_routers.1, 133, &solicitation);
        self.add("router solicitation", RouterOptions, vec![(side, router_solicitation)]);
        let advertisement = [&[64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &source].concat();
        let to_nodes = ([0x33, 0x33, 0, 0, 0, 1], (addr, all_nodes));
        let frame = discovery(to_nodes.0, inside, to_nodes.1, 134, &advertisement);
        self.add("router advertisement from inside", RouterOptions, vec![(side, frame)]);
    }

    /// Machines on one side talk with their real MACs.
    fn neighbour_inside(&mut self, addr: Ipv4Addr) {
        let other = self.config.bindings.iter().find_map(|other| match other.net.addr() {
            IpAddr::V4(at) if other.port != self.binding.port && other.vlans == self.binding.vlans => {
                Some((other, at))
            }
            _ => None,
        });
        let Some((other, at)) = other else { return };
        let mac = other.inside.into_array();
        let announcement = arp(BROADCAST, 1, (mac, at), (NOBODY, at));
        let frame = udp4(mac, self.inside, (addr, at), PORTS, b"beside");
        let steps = vec![(Side::Inside(other.port), announcement), (self.side, frame)];
        self.add("IPv4 packet to a neighbour inside", Ability::Ipv4, steps);
    }

    fn dhcp(&mut self) {
        let server = gateway4(self.config);
        let question = (self.side, dhcp(BROADCAST, self.inside, 1, self.inside, server));
        self.add("DHCP discovery", Ability::Dhcp, vec![question.clone()]);
        // The server answers to whom it saw.
        let (dst, client) = match self.config.mode {
            Mode::Single => (BROADCAST, self.inside),
            Mode::Vmac => (self.wire, self.wire),
        };
        let answer = (Side::Uplink, dhcp(dst, ROUTER, 2, client, server));
        self.add("DHCP offer", Ability::Dhcp, vec![question, answer]);
    }

    /// A tag must not hide a MAC from the rules.
    fn hidden_in_a_vlan(&mut self, frame: &[u8]) {
        let hop = (self.side, tagged(frame, UNUSED_VLAN));
        self.add_leaks("ARP request in a VLAN that nobody has", Ability::Vlan, hop);
    }

    /// To drop such a frame is as good as to translate it.
    fn add_leaks(&mut self, name: &'static str, ability: Ability, hop: (Side, Vec<u8>)) {
        let before = self.probes.len();
        self.add(name, ability, vec![hop]);
        self.probes.iter_mut().skip(before).for_each(|probe| probe.leaks_only = true);
    }

    fn add(&mut self, name: &'static str, ability: Ability, mut steps: Vec<(Side, Vec<u8>)>) {
        let vids: Vec<u16> = self.binding.vlans.iter().map(u16::from).collect();
        for (_, frame) in &mut steps {
            // The inner tag first.
            vids.iter().rev().for_each(|vid| *frame = tagged(frame, *vid));
        }
        let basic =
            matches!(ability, Ability::Ipv4 | Ability::AnnouncementTarget | Ability::NeighbourDiscovery);
        let ability = match (vids.len(), ability) {
            // In VLANs, what else is missing shows in the other bindings.
            (1.., _) if !basic => return,
            (1, _) => Ability::Vlan,
            (2.., _) => Ability::TwoVlans,
            (_, Ability::Ipv4) if self.has_several_wires() => Ability::SeveralWires,
            _ => ability,
        };
        let subject = self.binding.to_string();
        self.probes.push(Probe { name, ability, subject, steps, leaks_only: false });
    }

    /// A machine without an address speaks with the MAC of its first.
    fn is_first_of_machine(&self) -> bool {
        let same = |other: &&Binding| other.inside == self.binding.inside && other.port == self.binding.port;
        self.config.bindings.iter().find(same).is_some_and(|first| first.net == self.binding.net)
    }

    fn has_several_wires(&self) -> bool {
        let same = |other: &&Binding| other.inside == self.binding.inside && other.port == self.binding.port;
        self.config.bindings.iter().filter(same).any(|other| other.wire != self.binding.wire)
    }
}

/// What belongs to no binding: unknown protocols, foreign addresses, and what could be learned.
fn rest(config: &Config) -> Option<Maker<'_>> {
    let is_plain = |binding: &&Binding| binding.vlans == Vlans::UNTAGGED && binding.net.addr().is_ipv4();
    let binding = config.bindings.iter().find(is_plain)?;
    let mut maker = Maker::new(config, binding);
    let (inside, side) = (maker.inside, maker.side);
    let IpAddr::V4(own) = maker.addr else { return None };
    let bridge_group = [0x01, 0x80, 0xC2, 0, 0, 0x0E];
    let unknown = [
        ("RARP announcement", rarp(inside)),
        (
            "LLDP",
            ethernet(bridge_group, inside, 0x88CC, &[&[2, 7, 4][..], &inside, &[4, 3, 7, 97, 97]].concat()),
        ),
        ("PPPoE discovery", ethernet(BROADCAST, inside, 0x8863, &[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0])),
        ("frame of an unknown protocol", ethernet(BROADCAST, inside, 0x88B5, &inside)),
    ];
    for (name, frame) in unknown {
        maker.add(name, Ability::DropsTheRest, vec![(side, frame)]);
    }
    let stranger = [
        (
            "IPv4 packet with a MAC that nobody has",
            udp4(ROUTER, STRANGER, (own, ELSEWHERE4), PORTS, b"strange"),
        ),
        (
            "ARP request with a MAC that nobody has",
            arp(BROADCAST, 1, (STRANGER, own), (NOBODY, gateway4(config))),
        ),
    ];
    for (name, frame) in stranger {
        maker.add_leaks(name, Ability::DropsTheRest, (side, frame));
    }
    let taken = config.host.addresses.iter().map(|own| ("host", own.addr));
    let taken: BTreeSet<_> = taken.chain(config.gateways.iter().map(|addr| ("router", *addr))).collect();
    for (who, addr) in taken {
        let IpAddr::V4(addr) = addr else { continue };
        let name =
            if who == "host" { "claim of the host's address" } else { "claim of the router's address" };
        maker.add(name, Ability::Spoofing, vec![(side, arp(BROADCAST, 2, (inside, addr), (NOBODY, addr)))]);
    }
    let other = config.bindings.iter().filter(is_plain).find(|other| other.port != binding.port);
    if let Some(IpAddr::V4(other)) = other.map(|other| other.net.addr()) {
        let frame = udp4(ROUTER, inside, (other, ELSEWHERE4), PORTS, b"not mine");
        maker.add("IPv4 packet with a neighbour's address", Ability::Spoofing, vec![(side, frame)]);
    }
    let admits = |binding: &&Binding| {
        let mut ports = config.ports.iter().filter(|port| port.id == binding.port);
        ports.any(|port| port.admits_ip(UNBOUND.into()))
    };
    if let Some(free) = config.bindings.iter().filter(is_plain).find(admits) {
        let (inside, side) = (free.inside.into_array(), Side::Inside(free.port));
        let announcement = arp(BROADCAST, 1, (inside, UNBOUND), (NOBODY, UNBOUND));
        let to_it = udp4(free.wire.into_array(), ROUTER, (ELSEWHERE4, UNBOUND), PORTS, b"in");
        let steps = vec![(side, announcement), (Side::Uplink, to_it)];
        maker.add("address that is in no binding", Ability::Learning, steps);
    }
    if let Some(IpAddr::V4(host)) = config.host.addresses.iter().map(|own| own.addr).find(IpAddr::is_ipv4) {
        let frame = udp4(config.host.mac.into_array(), ROUTER, (ELSEWHERE4, host), PORTS, b"host");
        maker.add("IPv4 packet to the host", Ability::Ipv4, vec![(Side::Uplink, frame)]);
    }
    Some(maker)
}

fn gateway4(config: &Config) -> Ipv4Addr {
    let mut gateways = config.gateways.iter();
    let found = gateways.find_map(|addr| if let IpAddr::V4(addr) = addr { Some(*addr) } else { None });
    found.unwrap_or(Ipv4Addr::new(198, 51, 100, 1))
}

fn gateway6(config: &Config) -> Ipv6Addr {
    let mut gateways = config.gateways.iter();
    let found = gateways.find_map(|addr| if let IpAddr::V6(addr) = addr { Some(*addr) } else { None });
    found.unwrap_or(v6(0xFE80, 1))
}

fn v6(first: u16, last: u16) -> Ipv6Addr {
    Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last)
}
