//! What holds for a guest whatever its rules say: who it may claim to be, and what reaches it
//! unasked.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use macaddr::MacAddr6;
use secgroup_rpc::{Device, IpSpec, anti_spoof};

use super::spelling::{Block, Match, goto};
use super::{Port, TO_REGISTER, ZONE, table};
use crate::flow::Flow;

/// ICMPv6 that a host needs to be a host and that claims nothing but its source: reports and
/// leaves of groups (RFC 2710, RFC 3810), solicitations of routers and neighbours (RFC 4861).
const SOLICITATIONS: [u8; 5] = [131, 132, 133, 135, 143];
/// Router advertisement: not a guest's to send.
const ROUTER_ADVERTISEMENT: u8 = 134;
/// Claims the address in its target field.
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Queries for groups and neighbours always come in (`securitygroups_rpc.py`).
const DISCOVERY: [u8; 3] = [130, 135, 136];

const DHCP: (Block, Block) = (Block::single(68), Block::single(67));
const DHCPV6: (Block, Block) = (Block::single(546), Block::single(547));

/// What reaches every filtered port, and the look-up of connections for the rest.
pub(super) fn arrivals() -> impl Iterator<Item = Flow> {
    let arrive = |priority, matches: Match, actions: &str| {
        Flow::new(table::ARRIVE, priority, matches.to_string(), actions)
    };
    let discovery =
        DISCOVERY.map(|kind| Match { protocol: "icmp6", icmp: (Some(kind), None), ..Match::default() });
    let arp = Match { protocol: "arp", ..Match::default() };
    let unasked = discovery.into_iter().chain([arp]).map(move |m| arrive(100, m, TO_REGISTER));
    let tracked = ["ip", "ipv6"].into_iter().flat_map(move |protocol| {
        let state = |state| Match { state, protocol, ..Match::default() };
        // A frame from a neighbour was looked up when it left, in the same zone.
        [
            arrive(90, state("-trk"), &format!("ct(table={},{ZONE})", table::INGRESS)),
            arrive(80, state("+trk"), &goto(table::INGRESS)),
        ]
    });
    unasked.chain(tracked)
}

/// Which frames of a guest are looked at further; everything else is dropped.
pub(super) fn claims(port: &Port<'_>, device: &Device) -> Vec<Flow> {
    let claims = Claims { in_port: Some(port.ofport) };
    let (v4, v6) = anti_spoof(device);
    let mut flows = claims.not_a_server().to_vec();
    for (mac, address) in v4 {
        flows.extend(claims.ipv4(mac, address.map(IpSpec::net)));
    }
    for (mac, address) in v6 {
        flows.extend(claims.ipv6(mac, address.map(IpSpec::net)));
    }
    flows
}

struct Claims {
    in_port: Option<u16>,
}

impl Claims {
    fn of(&self, protocol: &'static str, mac: MacAddr6) -> Match {
        Match { protocol, in_port: self.in_port, dl_src: Some(mac), ..Match::default() }
    }

    fn ipv4(&self, mac: MacAddr6, source: Option<IpNet>) -> [Flow; 4] {
        let nobody = IpNet::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (client, server) = DHCP;
        [
            tracked(Match { source, ..self.of("ip", mac) }),
            passed(95, Match { arp: Some((source, None)), ..self.of("arp", mac) }),
            // A probe claims nothing (RFC 5227, 2.1.1).
            passed(95, Match { arp: Some((Some(nobody), Some(1))), ..self.of("arp", mac) }),
            passed(80, Match { tp_src: Some(client), tp_dst: Some(server), ..self.of("udp", mac) }),
        ]
    }

    fn ipv6(&self, mac: MacAddr6, source: Option<IpNet>) -> Vec<Flow> {
        let nobody = IpNet::from(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let (client, server) = DHCPV6;
        let icmp = |kind, source| Match { icmp: (Some(kind), None), source, ..self.of("icmp6", mac) };
        let mut flows = vec![
            tracked(Match { source, ..self.of("ipv6", mac) }),
            passed(95, Match { nd_target: source, ..icmp(NEIGHBOUR_ADVERTISEMENT, None) }),
            passed(80, Match { source, tp_src: Some(client), tp_dst: Some(server), ..self.of("udp6", mac) }),
        ];
        for kind in SOLICITATIONS {
            flows.push(passed(95, icmp(kind, source)));
            flows.push(passed(95, icmp(kind, Some(nobody))));
        }
        flows
    }

    /// A guest is no DHCP server and no router, whatever its rules say.
    fn not_a_server(&self) -> [Flow; 3] {
        let from = |protocol| Match { protocol, in_port: self.in_port, ..Match::default() };
        let server = |protocol, (client, server)| Match {
            tp_src: Some(server),
            tp_dst: Some(client),
            ..from(protocol)
        };
        let router = Match { icmp: (Some(ROUTER_ADVERTISEMENT), None), ..from("icmp6") };
        [server("udp", DHCP), server("udp6", DHCPV6), router]
            .map(|m| Flow::new(table::CLAIMS, 70, m.to_string(), "drop"))
    }
}

fn tracked(matches: Match) -> Flow {
    Flow::new(table::CLAIMS, 65, matches.to_string(), format!("ct(table={},{ZONE})", table::EGRESS))
}

fn passed(priority: u16, matches: Match) -> Flow {
    Flow::new(table::CLAIMS, priority, matches.to_string(), goto(table::SWITCH))
}
