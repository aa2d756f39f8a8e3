//! The check list: what floating IPs need, asked of every data plane alike.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use mac_nat::export::{Ability, DataPlane};

use crate::frames::{
    A, A6, ALL_ROUTERS, ANY, ARP, B, B6, BROADCAST, E, G, H, IPV4, IPV6, LL1, Mac, NIL, R, R6, RARP, V1, arp,
    arp_frame, dst, eth, group_mac, icmpv6, ipv6, mac_at, nd_body, nd_frame, slla, solicited_node, src, tlla,
    udp4, word,
};
use crate::lab::{E as NIC, GATEWAY, IP, IP6, ROUTER6, W};
use crate::plane::Plane;
use crate::scene::{SECOND, SECOND_W, Scene, Setting};

type Result = std::result::Result<(), String>;

/// One thing that a data plane can or cannot do.
pub(crate) struct Check {
    pub(crate) ability: Ability,
    pub(crate) setting: Setting,
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Scene) -> Result,
    /// Data planes with limits that fail here.
    pub(crate) limits: &'static [Plane],
}

const fn check(ability: Ability, setting: Setting, name: &'static str, run: fn(&Scene) -> Result) -> Check {
    Check { ability, setting, name, run, limits: &[] }
}

impl Check {
    const fn but_not(mut self, limits: &'static [Plane]) -> Self {
        self.limits = limits;
        self
    }
}

const STATIC: &[Plane] = &[
    Plane::Rules(DataPlane::Ebtables),
    Plane::Rules(DataPlane::Nftables),
    Plane::Rules(DataPlane::NftNetdev),
    Plane::Rules(DataPlane::NftNetlink),
    Plane::Rules(DataPlane::OpenFlow),
];
const NETLINK: &[Plane] = &[Plane::Rules(DataPlane::NftNetlink)];
const LEARN: &[Plane] = &[Plane::Rules(DataPlane::OpenFlowLearn)];

use Ability::*;
use Setting::{Bound, Unbound, Vmac as ManyWires};

/// In this order: the silent machine must not have spoken before.
pub(crate) const CHECKS: &[Check] = &[
    check(SilentOwner, Bound, "a bound machine that has said nothing is found", found_by_binding),
    check(Ipv4, Bound, "machines reach the router", |s| {
        s.ping("vm1", GATEWAY)?;
        s.ping("vm2", GATEWAY)
    }),
    check(Ipv4, Bound, "the router finds machines", |s| {
        s.lab.forget_neighbours();
        s.ping("router", IP[0])?;
        s.ping("router", IP[1])
    }),
    check(Ipv4, Bound, "fragments pass both ways", |s| {
        s.run("router", &format!("ping -c 1 -s 4000 -W 1 {}", IP[0]))?;
        s.run("vm2", &format!("ping -c 1 -s 4000 -W 1 {GATEWAY}"))
    }),
    check(Ipv4, Bound, "machines reach each other through the router", |s| s.ping("vm1", IP[1])),
    check(Ipv4, Bound, "the host reaches the router", |s| s.ping("hv", GATEWAY)),
    check(Ipv4, Bound, "TCP connects both ways", |s| {
        tcp(s, "router", A)?;
        tcp(s, "vm1", G)
    }),
    check(Ipv4, Bound, "announcements as requests are translated", |s| {
        s.run("vm1", &format!("arping -q -c 1 -w 1 -U -I eth0 {}", IP[0])).or(Ok::<_, String>(()))?;
        s.sees_outside(|frame| is_arp(frame, 1, E, A) && dst(frame) == BROADCAST)?;
        s.ping("router", IP[0])
    }),
    check(AnnouncementTarget, Bound, "announcements as replies are translated", |s| {
        s.run("vm1", &format!("arping -q -c 1 -w 1 -A -I eth0 {}", IP[0])).or(Ok::<_, String>(()))?;
        s.sees_outside(|frame| is_arp(frame, 2, E, A) && dst(frame) == BROADCAST)
    }),
    check(NeighbourDiscovery, Bound, "machines reach the router by IPv6", |s| s.ping("vm1", ROUTER6)),
    check(NeighbourDiscovery, Bound, "the router finds machines by IPv6", |s| {
        s.lab.forget_neighbours();
        s.ping("router", IP6[0])?;
        s.ping("router", IP6[1])
    }),
    check(NeighbourDiscovery, Bound, "link-local addresses are found", |s| {
        s.ping("router", "fe80::f816:3eff:fe00:1%r0")
    }),
    check(NeighbourDiscovery, Bound, "ndisc6 gets answers both ways", |s| {
        s.run("vm1", &format!("ndisc6 -q -1 -w 1000 {ROUTER6} eth0"))?;
        s.run("router", &format!("ndisc6 -q -1 -w 1000 {} r0", IP6[0]))
    }),
    check(NeighbourDiscovery, Bound, "solicitations behind another header are translated", |s| {
        let group = solicited_node(R6);
        let message = icmpv6(A6, group, 135, 0, &nd_body(0, R6, &slla(V1)));
        let payload = [&[58, 0, 1, 4, 0, 0, 0, 0][..], &message].concat();
        s.send("vm1", &eth(group_mac(group), V1, &[], IPV6, &ipv6(A6, group, 0, 255, &payload)));
        s.sees_outside(|frame| frame.get(20) == Some(&0) && frame.get(88..94) == Some(&E))
    })
    .but_not(NETLINK),
    check(NeighbourDiscovery, Bound, "the kernel finds that its IPv6 address is taken outside", taken_ipv6),
    check(RouterOptions, Bound, "router solicitations are translated", |s| {
        s.send(
            "vm1",
            &nd_frame(group_mac(ALL_ROUTERS), V1, LL1, ALL_ROUTERS, 133, &[&[0; 4][..], &slla(V1)].concat()),
        );
        s.sees_outside(|frame| is_nd(frame, 133) && frame.get(64..70) == Some(&E))
    }),
    check(RouterOptions, Bound, "router advertisements are translated", |s| {
        let body = [&[64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &slla(V1)].concat();
        s.send("vm1", &nd_frame(group_mac(ALL_ROUTERS), V1, LL1, ALL_ROUTERS, 134, &body));
        s.sees_outside(|frame| is_nd(frame, 134) && frame.get(72..78) == Some(&E))
    })
    .but_not(NETLINK),
    check(RouterOptions, Bound, "redirects are translated", |s| {
        let body = [&[0; 4][..], &A6.octets(), &B6.octets(), &tlla(V1)].concat();
        s.send("vm1", &nd_frame(R, V1, LL1, R6, 137, &body));
        s.sees_outside(|frame| is_nd(frame, 137) && frame.get(96..102) == Some(&E))
    })
    .but_not(NETLINK),
    check(MalformedNd, Bound, "neighbour discovery made to slip through does not", malformed_nd),
    check(ConflictDetection, Bound, "arping finds that an address is taken outside", taken_ipv4),
    check(Dhcp, Bound, "a DHCP client gets a lease", lease),
    check(Vlan, Bound, "frames with a tag leave", |s| tagged_out(s, &[10])),
    check(Vlan, Bound, "frames with a tag arrive", |s| tagged_in(s, &[10])),
    check(TwoVlans, Bound, "frames with two tags leave", |s| tagged_out(s, &[13, 10])),
    check(TwoVlans, Bound, "frames with two tags arrive", |s| tagged_in(s, &[13, 10])),
    check(DropsTheRest, Bound, "other protocols stay inside", other_protocols),
    check(Spoofing, Bound, "addresses of router, host and neighbours cannot be used", spoofing)
        .but_not(LEARN),
    check(SilentOwner, Unbound, "an unknown machine that has said nothing is asked for", |s| {
        silent(s, IP[1])
    })
    .but_not(STATIC),
    check(Learning, Unbound, "the way back is learned", |s| {
        s.ping("vm1", GATEWAY)?;
        s.ping("router", IP[0])
    }),
    check(Learning, Unbound, "an address that moves is found at its new place", moves),
    check(Learning, Unbound, "calls from outside do not keep a dead machine's address", forgets),
    check(Vmac, ManyWires, "every machine has a wire MAC of its own", |s| {
        s.ping("vm1", GATEWAY)?;
        s.ping("vm2", GATEWAY)?;
        s.lab.forget_neighbours();
        s.ping("router", IP[0])?;
        s.ping("router", IP[1])?;
        neighbour(s, IP[0], W[0])?;
        neighbour(s, IP[1], W[1])
    }),
    check(SeveralWires, ManyWires, "a second address of a machine has a wire MAC of its own", |s| {
        s.run("vm1", &format!("ping -c 1 -W 1 -I {SECOND} {GATEWAY}"))?;
        s.lab.forget_neighbours();
        s.ping("router", SECOND)?;
        neighbour(s, SECOND, SECOND_W)
    }),
    check(Dhcp, ManyWires, "a DHCP client with a wire MAC of its own gets a lease", lease),
];

fn found_by_binding(s: &Scene) -> Result {
    silent(s, IP[1])
}

/// A hoster that routes does not ask: its first frame comes without ARP.
fn silent(s: &Scene, address: &str) -> Result {
    s.run("router", &format!("ip neigh replace {address} lladdr {NIC} dev r0 nud permanent"))?;
    let answer = s.ping("router", address);
    s.run("router", &format!("ip neigh del {address} dev r0"))?;
    answer
}

/// A hundred thousand bytes to an echo that listens in the other namespace, and back.
fn tcp(s: &Scene, client: &str, address: Ipv4Addr) -> Result {
    const PORT: u16 = 7000;
    let server = if client == "router" { "vm1" } else { "router" };
    let timeout = Duration::from_secs(2);
    let listener = s.lab.within(server, || TcpListener::bind((address, PORT)).unwrap());
    let connect = || TcpStream::connect_timeout(&SocketAddr::from((address, PORT)), timeout);
    let mut stream = s.lab.within(client, connect).map_err(|error| format!("{client}: {error}"))?;
    let (mut peer, _) = listener.accept().map_err(|error| error.to_string())?;
    let data: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
    std::thread::scope(|scope| {
        for stream in [&stream, &peer] {
            stream.set_read_timeout(Some(timeout)).unwrap();
            stream.set_write_timeout(Some(timeout)).unwrap();
        }
        let echo = scope.spawn(move || {
            let mut received = vec![0; 100_000];
            peer.read_exact(&mut received).and_then(|()| peer.write_all(&received))
        });
        let mut answer = vec![0; data.len()];
        let talk = stream.write_all(&data).and_then(|()| stream.read_exact(&mut answer));
        let echo = echo.join().unwrap();
        talk.and(echo).map_err(|error| format!("{client}: {error}"))?;
        if answer == data { Ok(()) } else { Err(format!("{client}: what came back differs")) }
    })
}

fn taken_ipv4(s: &Scene) -> Result {
    s.run("vm1", "arping -q -c 1 -w 1 -D -I eth0 203.0.113.99").map_err(|_| "a free address is taken")?;
    s.run("router", &format!("ip addr add {}/32 dev r0", IP[0]))?;
    let probe = s.lab.try_run("vm1", &format!("arping -q -c 2 -w 2 -D -I eth0 {}", IP[0]));
    s.run("router", &format!("ip addr del {}/32 dev r0", IP[0]))?;
    match probe.status.code() {
        Some(1) => Ok(()),
        code => Err(format!("arping -D ended with {code:?}")),
    }
}

fn taken_ipv6(s: &Scene) -> Result {
    let address = format!("{}/64 dev eth0", IP6[0]);
    s.run("router", &format!("ip -6 addr add {}/128 dev r0 nodad", IP6[0]))?;
    s.run("vm1", &format!("ip -6 addr del {address}"))?;
    s.run("vm1", &format!("ip -6 addr add {address}"))?;
    std::thread::sleep(Duration::from_millis(2500));
    let state = s.lab.try_run("vm1", "ip -6 addr show dev eth0 dadfailed");
    s.run("router", &format!("ip -6 addr del {}/128 dev r0", IP6[0]))?;
    s.run("vm1", &format!("ip -6 addr del {address}"))?;
    s.run("vm1", &format!("ip -6 addr add {address} nodad"))?;
    let noticed = String::from_utf8_lossy(&state.stdout).contains(IP6[0]);
    if noticed { Ok(()) } else { Err("the kernel took the address".to_owned()) }
}

/// What a filter that looks at the first option of a whole message lets out.
fn malformed_nd(s: &Scene) -> Result {
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    let group = solicited_node(R6);
    let frame =
        |payload: &[u8], next| eth(group_mac(group), V1, &[], IPV6, &ipv6(A6, group, next, 255, payload));
    for options in [
        [&slla(V1)[..], &slla(V1)].concat(),
        [&nonce[..], &slla(V1)].concat(),
        [&[14, 0, 0, 0, 0, 0, 0, 0][..], &slla(V1)].concat(),
    ] {
        s.send("vm1", &frame(&icmpv6(A6, group, 135, 0, &nd_body(0, R6, &options)), 58));
    }
    let message = icmpv6(A6, group, 135, 0, &nd_body(0, R6, &slla(V1)));
    let (first, second) = message.split_at(24);
    s.send("vm1", &frame(&[&[58, 0, 0, 1, 0, 0, 0, 7][..], first].concat(), 44));
    s.send("vm1", &frame(&[&[58, 0, 0, 24, 0, 0, 0, 7][..], second].concat(), 44));
    let first_fragment = |frame: &[u8]| {
        word(frame, 12) == Some(IPV6) && frame.get(20) == Some(&44) && word(frame, 56) == Some(1)
    };
    match s.sees_outside(first_fragment) {
        Ok(()) => Err("a fragmented solicitation left".to_owned()),
        Err(_) => Ok(()),
    }
}

fn lease(s: &Scene) -> Result {
    let leases = s.lab.directory.path().join("leases");
    let _server = s.lab.background(
        "router",
        &format!(
            "dnsmasq --keep-in-foreground --port=0 --interface=r0 --bind-interfaces --user=root --no-ping \
             --conf-file=/dev/null --dhcp-range=198.51.100.100,198.51.100.110,600 --pid-file= \
             --dhcp-leasefile={}",
            leases.display()
        ),
    );
    s.run("vm1", "udhcpc -i eth0 -n -q -f -t 4 -T 1 -s /bin/true")
}

fn tagged_out(s: &Scene, vids: &[u16]) -> Result {
    let (tags, at) = (tags(vids), 12 + 4 * vids.len());
    s.send("vm1", &eth(BROADCAST, V1, &tags, ARP, &arp(1, V1, A, NIL, G)));
    s.sees_outside(|frame| has_tags(frame, vids, ARP) && src(frame) == E && mac_at(frame, at + 10) == E)?;
    s.send("vm1", &eth(R, V1, &tags, IPV4, &udp4(A, G, (4000, 4001), b"tagged")));
    s.sees_outside(|frame| has_tags(frame, vids, IPV4) && src(frame) == E)
}

fn tagged_in(s: &Scene, vids: &[u16]) -> Result {
    let (tags, at) = (tags(vids), 12 + 4 * vids.len());
    s.send("router", &eth(E, R, &tags, ARP, &arp(2, R, G, E, A)));
    s.sees_inside(|frame| has_tags(frame, vids, ARP) && dst(frame) == V1 && mac_at(frame, at + 20) == V1)?;
    s.send("router", &eth(E, R, &tags, IPV4, &udp4(G, A, (4001, 4000), b"tagged")));
    s.sees_inside(|frame| has_tags(frame, vids, IPV4) && dst(frame) == V1)
}

fn other_protocols(s: &Scene) -> Result {
    let nearest: Mac = [0x01, 0x80, 0xC2, 0, 0, 0x0E];
    let lldp = [&[2, 7, 4][..], &V1, &[4, 3, 7, b'a', b'b', 6, 2, 0, 120, 0, 0]].concat();
    let llc = [&[0x42, 0x42, 3][..], &[0; 35]].concat();
    for frame in [
        eth(BROADCAST, V1, &[], RARP, &arp(3, V1, ANY, V1, ANY)),
        eth(nearest, V1, &[], 0x88CC, &lldp),
        eth([0x01, 0x80, 0xC2, 0, 0, 0], V1, &[], 38, &llc),
        eth([0x01, 0x80, 0xC2, 0, 0, 3], V1, &[], 0x888E, &[1, 1, 0, 0]),
        eth(BROADCAST, V1, &[], 0x88B5, &[b'x'; 46]),
        eth(BROADCAST, V1, &[], 0x8863, &[0x11, 9, 0, 0, 0, 0]),
        eth(R, V1, &[], 38, &llc),
    ] {
        s.send("vm1", &frame);
    }
    s.sees_only_ip_outside()
}

fn spoofing(s: &Scene) -> Result {
    for claimed in [G, H] {
        s.send("vm1", &arp_frame(BROADCAST, 2, V1, claimed, NIL, claimed));
    }
    s.send("vm1", &eth(R, V1, &[], IPV4, &udp4(B, G, (4000, 4001), b"spoofed")));
    let spoofed = |frame: &[u8]| {
        [G, H].into_iter().any(|addr| is_arp(frame, 2, E, addr))
            || frame.windows(7).any(|text| text == b"spoofed")
    };
    match s.sees_outside(spoofed) {
        Ok(()) => Err("somebody else's address was used".to_owned()),
        Err(_) => Ok(()),
    }
}

fn moves(s: &Scene) -> Result {
    s.run("vm1", &format!("ip addr del {}/32 dev eth0", IP[0]))?;
    // Open vSwitch counts the old owner's last frames up to half a second late, and learns from them
    // once more.
    std::thread::sleep(Duration::from_secs(1));
    s.run("vm2", &format!("ip addr add {}/32 dev eth0", IP[0]))?;
    let _ = s.run("vm2", &format!("arping -q -c 1 -w 1 -U -I eth0 {}", IP[0]));
    s.ping("router", IP[0])
}

/// Behind [`moves`]: the second machine has both addresses and falls silent.
fn forgets(s: &Scene) -> Result {
    s.ping("router", IP[0])?;
    s.run("vm2", &format!("ip addr del {}/32 dev eth0", IP[0]))?;
    s.run("router", &format!("ip neigh replace {} lladdr {NIC} dev r0 nud permanent", IP[0]))?;
    let _ = s.run("router", &format!("ping -c 12 -i 0.5 -W 1 {}", IP[0]));
    if s.knows(IP[0]) { Err("the binding is still there".to_owned()) } else { Ok(()) }
}

/// Whether the router knows the address by this MAC.
fn neighbour(s: &Scene, address: &str, mac: &str) -> Result {
    let entry = s.lab.try_run("router", &format!("ip neigh show {address}"));
    let entry = String::from_utf8_lossy(&entry.stdout).into_owned();
    if entry.contains(mac) { Ok(()) } else { Err(format!("the router knows {entry:?}")) }
}

fn is_arp(frame: &[u8], oper: u16, sha: Mac, spa: Ipv4Addr) -> bool {
    word(frame, 12) == Some(ARP)
        && word(frame, 20) == Some(oper)
        && mac_at(frame, 22) == sha
        && frame.get(28..32) == Some(&spa.octets())
}

fn is_nd(frame: &[u8], kind: u8) -> bool {
    word(frame, 12) == Some(IPV6) && frame.get(20) == Some(&58) && frame.get(54) == Some(&kind)
}

fn tags(vids: &[u16]) -> Vec<(u16, u16)> {
    vids.iter().map(|vid| (0x8100, *vid)).collect()
}

fn has_tags(frame: &[u8], vids: &[u16], ether_type: u16) -> bool {
    let in_tag = |(at, vid): (usize, &u16)| word(frame, 14 + 4 * at).map(|tci| tci & 0xFFF) == Some(*vid);
    vids.iter().enumerate().all(in_tag) && word(frame, 12 + 4 * vids.len()) == Some(ether_type)
}
