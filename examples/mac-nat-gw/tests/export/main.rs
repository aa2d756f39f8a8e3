//! Exported rules in the real data planes: Open vSwitch forwards exact frames as the engine does, and
//! the tools of the others take the rules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(missing_docs)]

#[allow(dead_code, unreachable_pub)]
#[path = "../../../../mac-nat/tests/behaviour/frames.rs"]
mod frames;
mod random;

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use frames::*;
use mac_nat::export::{DataPlane, Interfaces};
use mac_nat::{Binding, Config, MacNat, Mode, Port, PortId, Side, Verdict};
use private_ovs::{Datapath, PrivateOvs};

const PORTS: [(&str, u16); 2] = [("vm1", 1), ("vm2", 2)];

fn port(number: u16) -> PortId {
    PortId::new(number).unwrap()
}

/// Two machines with an address of each family; in *vmac* the first has a second IPv4 address.
fn config(mode: Mode) -> Config {
    let mut config = Config::new(mode, E.into());
    config.host.addresses.push(mac_nat::HostAddress { addr: H.into(), vlans: mac_nat::Vlans::UNTAGGED });
    config.gateways = vec![G.into(), G6.into()];
    let wire = |wire: Mac| if mode == Mode::Single { E } else { wire };
    let mut bind = |addr: IpAddr, number, inside: Mac, outside| {
        config.bindings.push(Binding::fixed(addr, port(number), inside.into(), wire(outside).into()));
    };
    bind(A.into(), 1, V1, W1);
    bind(A6.into(), 1, V1, W1);
    bind(LL1.into(), 1, V1, W1);
    bind(B.into(), 2, V2, W2);
    bind(B6.into(), 2, V2, W2);
    if mode == Mode::Vmac {
        bind(C.into(), 1, V1, W3);
    }
    for (_, number) in PORTS {
        config.ports.push(Port::new(port(number)));
    }
    config
}

/// Frames that both understand: from which side, and the frame.
fn conversation(mode: Mode) -> Vec<(Side, Vec<u8>)> {
    let [w1, w2] = if mode == Mode::Single { [E, E] } else { [W1, W2] };
    let (vm1, vm2, out) = (Side::Inside(port(1)), Side::Inside(port(2)), Side::Uplink);
    let udp = |src, dst| udp4(src, dst, (4000, 4001), b"layer two");
    vec![
        (vm1, arp_frame(BROADCAST, 1, V1, A, NIL, G)),
        (out, arp_frame(w1, 2, R, G, w1, A)),
        (vm1, eth(R, V1, &[], IPV4, &udp(A, G))),
        (out, eth(w1, R, &[], IPV4, &udp(G, A))),
        // Announcements, as request and as reply with the MAC a third time.
        (vm2, arp_frame(BROADCAST, 1, V2, B, NIL, B)),
        (vm2, arp_frame(BROADCAST, 2, V2, B, V2, B)),
        (out, eth(w2, R, &[], IPV4, &udp(G, B))),
        // A router verifies.
        (out, arp_frame(w2, 1, R, G, NIL, B)),
        (vm2, arp_frame(R, 2, V2, B, R, G)),
        // IPv6.
        (vm1, ns(V1, A6, R6, &slla(V1))),
        (vm1, na(R, V1, A6, R6, A6, &tlla(V1))),
        (out, na(w1, R, R6, A6, R6, &tlla(R))),
        // A neighbour behind the same uplink, through the router.
        (vm1, eth(R, V1, &[], IPV4, &udp(A, B))),
        (out, eth(w2, R, &[], IPV4, &udp(A, B))),
        // Spoofed: another's address, the router's, a foreign MAC.
        (vm1, eth(R, V1, &[], IPV4, &udp(B, G))),
        (vm2, arp_frame(BROADCAST, 2, V2, G, V2, G)),
        (vm2, eth(R, V3, &[], IPV4, &udp(B, G))),
        // Not understood.
        (vm1, eth(BROADCAST, V1, &[], 0x88B5, b"unknown")),
        (vm1, eth(BROADCAST, V1, &[], RARP, &arp(3, V1, ANY, V1, ANY))),
    ]
}

#[test]
fn static_flows_send_to_the_uplink_and_inside_what_the_engine_sends() {
    for mode in [Mode::Single, Mode::Vmac] {
        let Some(mut ovs) = lab(mode, DataPlane::OpenFlow) else { return };
        let mut nat = MacNat::new(config(mode)).unwrap();
        for (at, (from, frame)) in conversation(mode).into_iter().enumerate() {
            let left = ovs.exchange(name(from), &frame);
            let mut translated = frame.clone();
            let verdict = nat.translate(Duration::ZERO, from, &mut translated);
            let to = |side: Side| left.get(name(side)).map(|frames| frames[0].clone());
            let expected_at = |side: Side| match verdict {
                Verdict::Forward(to) => (to == side).then(|| translated.clone()),
                Verdict::Flood if side == from => None,
                Verdict::Flood if matches!(from, Side::Inside(_)) && side != Side::Uplink => {
                    Some(frame.clone())
                }
                Verdict::Flood => Some(translated.clone()),
                Verdict::Hold | Verdict::Drop(_) => None,
            };
            // What goes out, always; what goes in, if it came from outside: a dropped announcement may
            // still reach the neighbours inside, who know each other anyway.
            let compared: &[Side] = match from {
                Side::Uplink => &[Side::Inside(port(1)), Side::Inside(port(2))],
                _ => &[Side::Uplink],
            };
            for side in compared {
                assert_eq!(
                    to(*side),
                    expected_at(*side),
                    "{mode:?}, frame {at} from {from} to {side}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn learned_flows_find_the_way_back_without_knowing_a_binding() {
    let Some(mut ovs) = lab(Mode::Single, DataPlane::OpenFlowLearn) else { return };
    let udp = |src, dst| udp4(src, dst, (4000, 4001), b"layer two");
    assert!(ovs.exchange("uplink", &eth(E, R, &[], IPV4, &udp(G, A))).is_empty(), "nobody is known yet");
    for (from, frame) in conversation(Mode::Single).into_iter().take(12) {
        let left = ovs.exchange(name(from), &frame);
        assert_eq!(left.len(), if frame[0] & 1 == 1 { 2 } else { 1 }, "{frame:02x?}");
        for frame in left.get("uplink").into_iter().flatten() {
            assert!(!frame.windows(6).any(|window| window == V1 || window == V2), "{frame:02x?}");
        }
    }
    // The machine moves to another port and says so.
    ovs.exchange("vm2", &arp_frame(BROADCAST, 1, V3, A, NIL, A));
    let left = ovs.exchange("uplink", &eth(E, R, &[], IPV4, &udp(G, A)));
    assert_eq!(left.keys().collect::<Vec<_>>(), ["vm2"]);
    assert_eq!(left["vm2"][0][..6], V3);
    // Nobody takes the router's address.
    assert!(!ovs.exchange("vm1", &arp_frame(BROADCAST, 2, V1, G, V1, G)).contains_key("uplink"));
}

#[test]
fn discovery_that_open_vswitch_cannot_rewrite_does_not_leave() {
    for plane in [DataPlane::OpenFlow, DataPlane::OpenFlowLearn] {
        let Some(mut ovs) = lab(Mode::Single, plane) else { return };
        assert!(ovs.exchange("vm1", &ns(V1, A6, R6, &slla(V1))).contains_key("uplink"));
        let frames = [
            ns(V1, A6, R6, &slla(V1).repeat(2)),
            na(R, V1, A6, R6, A6, &tlla(V1).repeat(2)),
            nd_frame(R, V1, A6, R6, 133, &[&[0; 4][..], &slla(V1)].concat()),
        ];
        for frame in frames {
            assert_eq!(ovs.exchange("vm1", &frame).get("uplink"), None, "{plane:?}: {frame:02x?}");
        }
    }
}

#[test]
fn nft_takes_the_rules_twice() {
    if !private_ovs::enter_namespaces() {
        return;
    }
    for name in ["eth0", "vm1", "vm2"] {
        feed("ip", &["link", "add", name, "type", "veth", "peer", "name", &format!("{name}p")], "");
    }
    for mode in [Mode::Single, Mode::Vmac] {
        for (plane, left_out) in
            [(DataPlane::Nftables, 3), (DataPlane::NftNetdev, 3), (DataPlane::NftNetlink, 0)]
        {
            let rules = plane.export(&config(mode), &devices()).unwrap();
            assert_eq!(rules.left_out.len(), left_out, "{plane:?}: the IPv6 addresses");
            for _ in 0..2 {
                let Some(()) = feed("nft", &["-f", "-"], &rules.text) else {
                    return private_ovs::skip("nft");
                };
            }
        }
    }
}

#[test]
fn ebtables_takes_the_rules() {
    if !private_ovs::enter_namespaces() {
        return;
    }
    for mode in [Mode::Single, Mode::Vmac] {
        let rules = DataPlane::Ebtables.export(&config(mode), &devices()).unwrap();
        // The older of the two programs needs a module that few kernels still have.
        let Some(program) = ["ebtables-nft", "ebtables"].into_iter().find(|program| is_there(program)) else {
            return private_ovs::skip("ebtables");
        };
        let text = rules.text.replace("ebtables ", &format!("{program} "));
        let script = format!("set -e\n{program} -t nat -F\n{program} -t nat -X\n{text}");
        feed("sh", &["-s"], &script).unwrap();
    }
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("-V").output().is_ok()
}

/// Runs a program with this input; `None` if there is no such program.
fn feed(program: &str, arguments: &[&str], input: &str) -> Option<()> {
    let piped = Command::new(program).args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = piped.ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{input}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

fn devices() -> Interfaces {
    Interfaces::new("eth0", PORTS.map(|(name, number)| (port(number), name)))
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Uplink => "uplink",
        Side::Host => "host",
        Side::Inside(port) => PORTS.iter().find(|(_, number)| *number == port.get()).unwrap().0,
    }
}

/// A bridge with uplink and ports that carries the exported flows.
fn lab(mode: Mode, data_plane: DataPlane) -> Option<PrivateOvs> {
    let mut ovs = PrivateOvs::start(Datapath::Dummy)?;
    ovs.add_bridge("nat", &["fail_mode=secure"]);
    for name in ["uplink", "vm1", "vm2"] {
        ovs.add_port("nat", name, &[]);
    }
    let number = |name: &str| ovs.vsctl(&["get", "Interface", name, "ofport"]);
    let (uplink, vm1, vm2) = (number("uplink"), number("vm1"), number("vm2"));
    let interfaces = Interfaces::new(&uplink, [(port(1), vm1.as_str()), (port(2), vm2.as_str())]);
    let rules = data_plane.export(&config(mode), &interfaces).unwrap();
    assert!(rules.left_out.is_empty());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(rules.text.as_bytes()).unwrap();
    ovs.ofctl(&["add-flows", "nat", &file.path().display().to_string()]);
    Some(ovs)
}
