//! Random bindings and frames: the engine and Open vSwitch with our flows say the same of every frame
//! that both understand.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use mac_nat::export::{DataPlane, Interfaces};
use mac_nat::{Binding, Config, IpNet, MacNat, Mode, Port, Side, Takeover, Verdict, Vlans};
use private_ovs::{Datapath, PrivateOvs};
use vlan_table::VlanId;

use crate::frames::*;
use crate::port;

/// Each with its own bindings and frames.
const CONFIGURATIONS: u64 = 200;
const FRAMES: usize = 10;
const PORTS: [&str; 3] = ["vm1", "vm2", "vm3"];

/// Frames by the name of the port that they left, in order.
type Left = BTreeMap<String, Vec<Vec<u8>>>;

#[test]
fn random_frames_leave_open_vswitch_as_they_leave_the_engine() {
    let Some(mut ovs) = PrivateOvs::start(Datapath::Dummy) else { return };
    ovs.add_bridge("nat", &["fail_mode=secure"]);
    for name in ["uplink"].iter().chain(&PORTS) {
        ovs.add_port("nat", name, &[]);
    }
    let numbers =
        ["uplink", "vm1", "vm2", "vm3"].map(|name| ovs.vsctl(&["get", "Interface", name, "ofport"]));
    let ports = (1..).map(port).zip(numbers.iter().skip(1).map(String::as_str));
    let interfaces = Interfaces::new(&numbers[0], ports);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut translated = 0;
    for seed in 0..CONFIGURATIONS {
        let mut random = Random(seed);
        let config = config(&mut random);
        let rules = DataPlane::OpenFlow.export(&config, &interfaces).unwrap();
        std::fs::write(file.path(), &rules.text).unwrap();
        ovs.ofctl(&["replace-flows", "nat", &file.path().display().to_string()]);
        let mut nat = MacNat::new(config.clone()).unwrap();
        for from in [Side::Uplink, Side::Inside(port(1)), Side::Inside(port(2)), Side::Inside(port(3))] {
            let frames: Vec<_> = (0..FRAMES).map(|_| frame(&mut random, &config, from)).collect();
            let mut expected = Left::new();
            for frame in &frames {
                expect(&mut nat, from, frame, &mut expected);
            }
            let mut left = ovs.exchange_all(&name(from), &frames);
            // Who is inside hears a group frame even if it must not leave.
            left.retain(|name, _| from == Side::Uplink || name == "uplink");
            translated += left.values().map(Vec::len).sum::<usize>();
            if left != expected {
                differ(&mut ovs, &mut nat, from, &frames, &config);
            }
        }
    }
    let all = CONFIGURATIONS as usize * FRAMES * 4;
    assert!(translated > all / 4, "only {translated} frames of {all} went anywhere");
}

/// Says which of the frames it is.
fn differ(ovs: &mut PrivateOvs, nat: &mut MacNat, from: Side, frames: &[Vec<u8>], config: &Config) {
    let bindings: String = config.bindings.iter().map(|binding| format!("{binding}\n")).collect();
    for frame in frames {
        let mut expected = Left::new();
        expect(nat, from, frame, &mut expected);
        let mut left = ovs.exchange(&name(from), frame);
        left.retain(|name, _| from == Side::Uplink || name == "uplink");
        assert_eq!(left, expected, "from {from}: {}\n{:?}\n{bindings}", hex(frame), config.mode);
    }
    panic!("together, the frames from {from} are treated as none is alone:\n{bindings}");
}

fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the engine sends a frame: to the uplink if it came from inside, else to the machines.
fn expect(nat: &mut MacNat, from: Side, frame: &[u8], expected: &mut Left) {
    let mut translated = frame.to_vec();
    let to = match nat.translate(Duration::ZERO, from, &mut translated) {
        Verdict::Forward(to @ (Side::Uplink | Side::Inside(_))) => vec![to],
        Verdict::Flood if from == Side::Uplink => (1..=3).map(|number| Side::Inside(port(number))).collect(),
        Verdict::Flood => vec![Side::Uplink],
        _ => vec![],
    };
    for side in to.into_iter().filter(|to| (*to == Side::Uplink) == (from != Side::Uplink)) {
        expected.entry(name(side)).or_default().push(translated.clone());
    }
}

/// Up to three machines per port with hosts and blocks of both families, with and without a VLAN.
fn config(random: &mut Random) -> Config {
    let mode = random.pick(&[Mode::Single, Mode::Vmac]);
    let mut config = Config::new(mode, E.into());
    config.gateways = vec![G.into(), G6.into()];
    // Only what is configured: the flows do not learn.
    config.policy.takeover = Takeover::StaticOnly;
    config.ports = (1..=3).map(|number| Port::new(port(number))).collect();
    for _ in 0..random.below(10) {
        let number = 1 + random.below(3) as u16;
        let inside = machine(number, random.below(2) as u8);
        let wire = if mode == Mode::Single { E } else { [2, 0, 0, 0, number as u8, random.below(3) as u8] };
        let vlans = random.pick(&["untagged", "untagged", "10", "20"]).parse::<Vlans>().unwrap();
        let net: IpNet = match random.below(4) {
            0 => IpNet::new(v4(random).into(), 28 + random.below(4) as u8).unwrap().trunc(),
            1 => IpNet::from(IpAddr::from(v4(random))),
            2 => IpNet::new(v6(random).into(), 120 + random.below(8) as u8).unwrap().trunc(),
            _ => IpNet::from(IpAddr::from(v6(random))),
        };
        let binding = Binding::fixed(net, port(number), inside.into(), wire.into()).in_vlans(vlans);
        let known = |other: &Binding| (other.net, other.vlans) == (binding.net, binding.vlans);
        if !config.bindings.iter().any(known) {
            config.bindings.push(binding);
        }
    }
    config
}

/// A frame that flows and engine both have an answer for: see [`crate::frames`] for the rest.
fn frame(random: &mut Random, config: &Config, from: Side) -> Vec<u8> {
    let tags = random.pick(&[&[][..], &[], &[(0x8100, 10)], &[(0x8100, 0x6014)], &[(0x8100, 0xE000)]]);
    let Side::Inside(from) = from else { return from_outside(random, config, tags) };
    let number = from.get();
    let mine = |binding: &&Binding| binding.port == from;
    let binding = random.one_of(config.bindings.iter().filter(mine));
    let src = match binding {
        Some(binding) if random.below(8) > 0 => binding.inside.into_array(),
        _ => machine(number, random.below(3) as u8),
    };
    let dst = match random.below(8) {
        0 => machine(1 + random.below(3) as u16, random.below(2) as u8),
        1 => random.pick(&[E, W1, [1, 0x80, 0xC2, 0, 0, 0xE]]),
        _ => R,
    };
    let (v4, v6) = addresses(random, binding);
    match random.below(6) {
        0 => {
            let (oper, dst, tha, tpa) = match random.below(4) {
                0 => (1, BROADCAST, NIL, G),
                1 => (1, BROADCAST, NIL, v4),
                2 => (2, BROADCAST, src, v4),
                _ => (2, R, R, G),
            };
            let sha = if random.below(10) == 0 { V3 } else { src };
            eth(dst, src, tags, ARP, &arp(oper, sha, v4, tha, tpa))
        }
        1 => eth(dst, src, tags, IPV4, &udp4(v4, G, (4000, 4001), &random.bytes())),
        2 => {
            let fragment = random.pick(&[0, 0x2000, 5, 0x2005]);
            eth(
                dst,
                src,
                tags,
                IPV4,
                &ipv4_fragment(v4, G, random.pick(&[1, 6, 50]), &random.bytes(), fragment),
            )
        }
        3 => eth(dst, src, tags, IPV6, &ipv6(v6, R6, random.pick(&[6, 17, 50]), 64, &random.bytes())),
        4 => {
            let group = solicited_node(R6);
            let message = icmpv6(v6, group, 135, 0, &nd_body(0, R6, &slla(src)));
            eth(group_mac(group), src, tags, IPV6, &damaged(random, ipv6(v6, group, 58, 255, &message)))
        }
        _ => {
            let (to, mac) = random.pick(&[(R6, R), (ALL_NODES, group_mac(ALL_NODES))]);
            let message = icmpv6(v6, to, 136, 0, &nd_body(0x60, v6, &tlla(src)));
            eth(mac, src, tags, IPV6, &damaged(random, ipv6(v6, to, 58, 255, &message)))
        }
    }
}

fn from_outside(random: &mut Random, config: &Config, tags: &[(u16, u16)]) -> Vec<u8> {
    let binding = random.one_of(config.bindings.iter());
    let (v4, v6) = addresses(random, binding);
    let kind = random.below(6);
    let dst = match config.mode {
        Mode::Single => random.pick(&[E, E, E, machine(1, 0), W2]),
        // The engine delivers by either, flows need address and wire MAC together.
        Mode::Vmac => wire_of(config, tags, if kind < 4 { v4.into() } else { v6.into() }),
    };
    let src = if random.below(10) == 0 { E } else { R };
    match kind {
        0 => eth(BROADCAST, src, tags, ARP, &arp(1, R, G, NIL, v4)),
        1 => eth(dst, src, tags, ARP, &arp(random.pick(&[1, 2]), R, G, dst, v4)),
        2 => eth(dst, src, tags, IPV4, &udp4(G, v4, (4001, 4000), &random.bytes())),
        3 => eth(dst, src, tags, IPV4, &udp4(G, Ipv4Addr::BROADCAST, (4001, 4000), &random.bytes())),
        4 => eth(dst, src, tags, IPV6, &ipv6(R6, v6, 17, 64, &random.bytes())),
        _ => {
            let message = icmpv6(R6, v6, 136, 0, &nd_body(0x60, R6, &tlla(R)));
            eth(dst, src, tags, IPV6, &ipv6(R6, v6, 58, 255, &message))
        }
    }
}

/// The wire MAC of an address: that of the longest prefix in this VLAN, or else the host's.
fn wire_of(config: &Config, tags: &[(u16, u16)], addr: IpAddr) -> Mac {
    let vid = tags.first().and_then(|(_, tci)| VlanId::new(tci & 0xFFF));
    let vlans = vid.map_or(Vlans::UNTAGGED, Vlans::one);
    let of_addr =
        config.bindings.iter().filter(|binding| binding.vlans == vlans && binding.net.contains(&addr));
    of_addr.max_by_key(|binding| binding.net.prefix_len()).map_or(E, |binding| binding.wire.into_array())
}

/// Some wrong checksums, which have to stay as wrong as they are.
fn damaged(random: &mut Random, mut packet: Vec<u8>) -> Vec<u8> {
    if random.below(8) == 0 {
        packet[42] ^= 0x5A;
    }
    packet
}

/// An address of each family, in the binding's net if it is of this family.
fn addresses(random: &mut Random, binding: Option<&Binding>) -> (Ipv4Addr, Ipv6Addr) {
    match binding.map(|binding| binding.net) {
        Some(IpNet::V4(net)) if random.below(8) > 0 => (
            Ipv4Addr::from_bits(net.addr().to_bits() | random.below(64) as u32 & net.hostmask().to_bits()),
            v6(random),
        ),
        Some(IpNet::V6(net)) if random.below(8) > 0 => {
            let host = random.below(64) as u128 & net.hostmask().to_bits();
            (v4(random), Ipv6Addr::from_bits(net.addr().to_bits() | host))
        }
        _ => (v4(random), v6(random)),
    }
}

fn v4(random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, random.below(64) as u8)
}

fn v6(random: &mut Random) -> Ipv6Addr {
    Ipv6Addr::from_bits(A6.to_bits() & !0xFFFF | u128::from(random.below(64) + 0x100))
}

fn machine(port: u16, number: u8) -> Mac {
    [0xFA, 0x16, 0x3E, 0, port as u8, number]
}

fn name(side: Side) -> String {
    match side {
        Side::Inside(port) => PORTS[port.index() - 1].to_owned(),
        side => side.to_string(),
    }
}

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn one_of<T>(&mut self, from: impl Iterator<Item = T>) -> Option<T> {
        let mut from: Vec<T> = from.collect();
        if from.is_empty() { None } else { Some(from.swap_remove(self.below(from.len() as u64) as usize)) }
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(40)).map(|_| self.next() as u8).collect()
    }
}
