//! nftables: one table with a set per remote group and family, a chain per group, and verdict maps
//! from interface and protocol to a port's chain.
//!
//! Rules stand once, in their group's chain, however many ports have the group. What leaves a port
//! and what goes to one are two base chains, since a packet between two ports of a host must pass
//! both: `accept` ends only one of them. What is neither IPv4 nor IPv6 is in no map, and passes.

use std::fmt::Write;

use secgroup_rpc::{Direction, Family, Rule, ipnet::IpNet, macaddr::MacAddr6};

use super::{
    Link, Style,
    matches::{Match, of_rules},
    plan::{Plan, Port, Source},
};
use crate::reply::rule_text;

const TABLE: &str = "secgroup";
/// Members on one line of a set.
const PER_LINE: usize = 6;

/// What leaves a port before any rule of its groups is asked; the port's sources are checked between
/// the two parts (`_spoofing_rule` of Neutron's iptables driver).
const FIXED: &str = "\
\tchain nowhere4 {
\t\tip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept comment \"DHCP client\"
\t}
\tchain nowhere6 {
\t\tip6 saddr :: ip6 daddr ff02::/16 icmpv6 type { 131, 135, 143 } accept comment \"address detection\"
\t}
\tchain fixed-out4 {
\t\tudp sport 68 udp dport 67 accept comment \"DHCP client\"
\t\tudp sport 67 udp dport 68 counter drop comment \"DHCP server\"
\t}
\tchain fixed-out6 {
\t\ticmpv6 type 134 counter drop comment \"Router Advertisement\"
\t\tmeta l4proto 58 accept
\t\tudp sport 546 udp dport 547 accept comment \"DHCP client\"
\t\tudp sport 547 udp dport 546 counter drop comment \"DHCP server\"
\t}
\tchain fixed-in6 {
\t\ticmpv6 type { 130, 135, 136 } accept comment \"neighbour discovery\"
\t}
\tchain unmatched {
\t\tct state invalid counter drop
\t\tcounter drop
\t}
";

/// The whole table; loading it replaces an earlier one in one transaction.
pub(super) fn table(plan: &Plan<'_>, style: &Style) -> String {
    let family = match style.link {
        Link::Bridged => "bridge",
        Link::Routed => "inet",
    };
    let mut out =
        format!("table {family} {TABLE}\ndelete table {family} {TABLE}\n\ntable {family} {TABLE} {{\n");
    sets(&mut out, plan);
    out += FIXED;
    for group in &plan.info.groups {
        for (direction, family) in sides() {
            let (matches, left_out) = of_rules(&group.rules, direction, family);
            if !matches.is_empty() || !left_out.is_empty() {
                chain(&mut out, &group_chain(direction, family, group.id), |out| {
                    rules(out, direction, family, &matches, &left_out);
                });
            }
        }
    }
    for port in &plan.ports {
        sides().for_each(|(direction, family)| port_chain(&mut out, plan, port, direction, family));
    }
    verdict_map(&mut out, plan, "from-port", Direction::Egress);
    verdict_map(&mut out, plan, "to-port", Direction::Ingress);
    base_chains(&mut out, plan);
    out + "}\n"
}

/// Every chain of a port or group is for one direction and one family.
fn sides() -> impl Iterator<Item = (Direction, Family)> {
    [Direction::Egress, Direction::Ingress]
        .into_iter()
        .flat_map(|direction| [(direction, Family::V4), (direction, Family::V6)])
}

fn sets(out: &mut String, plan: &Plan<'_>) {
    for ((id, family), members) in plan.sets() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "\tset {} {{", set(family, id));
        let _ = writeln!(out, "\t\ttype ipv{}_addr", digit(family));
        let _ = writeln!(out, "\t\tflags interval\n\t\tauto-merge");
        if !members.is_empty() {
            let lines: Vec<String> = members.chunks(PER_LINE).map(|line| list(line, prefix)).collect();
            let _ = writeln!(out, "\t\telements = {{ {} }}", lines.join(",\n\t\t\t"));
        }
        let _ = writeln!(out, "\t}}");
    }
}

fn chain(out: &mut String, name: &str, body: impl FnOnce(&mut String)) {
    let _ = writeln!(out, "\tchain {name} {{");
    body(out);
    let _ = writeln!(out, "\t}}");
}

fn port_chain(out: &mut String, plan: &Plan<'_>, port: &Port<'_>, direction: Direction, family: Family) {
    chain(out, &chain_name(direction, family, &port.interface), |out| {
        let digit = digit(family);
        if direction == Direction::Egress {
            let _ = writeln!(out, "\t\tjump nowhere{digit}");
            anti_spoof(out, port.sources(family), family);
            let _ = writeln!(out, "\t\tjump fixed-out{digit}");
        } else if family == Family::V6 {
            let _ = writeln!(out, "\t\tjump fixed-in6");
        }
        if port.is_stateful {
            let _ = writeln!(out, "\t\tct state established,related accept");
        }
        let own = port.own_rules(direction, family);
        let (matches, left_out) = of_rules(&own, direction, family);
        rules(out, direction, family, &matches, &left_out);
        for group in port.groups(plan.info) {
            if group.rules.iter().any(|rule| rule.direction == direction && rule.family == family) {
                let _ = writeln!(out, "\t\tjump {}", group_chain(direction, family, group.id));
            }
        }
        let _ = writeln!(out, "\t\tgoto unmatched");
    });
}

/// Drops what is not sent from one of the port's sources.
fn anti_spoof(out: &mut String, sources: &[Source], family: Family) {
    let key = match family {
        Family::V4 => "ether saddr . ip saddr",
        Family::V6 => "ether saddr . ip6 saddr",
    };
    if sources.is_empty() {
        let _ = writeln!(out, "\t\tcounter drop comment \"no address of this family\"");
    } else if sources.iter().all(|source| source.net.prefix_len() == 0) {
        let macs = list(sources, |source| mac(source.mac));
        let _ = writeln!(out, "\t\tether saddr != {{ {macs} }} counter drop comment \"spoofed\"");
    } else {
        let pairs = list(sources, |source| format!("{} . {}", mac(source.mac), prefix(&source.net)));
        let _ = writeln!(out, "\t\t{key} != {{ {pairs} }} counter drop comment \"spoofed\"");
    }
}

fn rules(out: &mut String, direction: Direction, family: Family, matches: &[Match], left_out: &[&Rule]) {
    for found in matches {
        let _ = writeln!(out, "\t\t{}accept", words(found, direction, family));
    }
    for rule in left_out {
        let _ = writeln!(out, "\t\t# left out, no packet can match it: {}", rule_text(rule));
    }
}

/// The conditions of a rule, each with a space behind it.
fn words(found: &Match, direction: Direction, family: Family) -> String {
    let ip = match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let mut out = String::new();
    for (end, net) in [("saddr", found.source), ("daddr", found.destination)] {
        if let Some(net) = net {
            let _ = write!(out, "{ip} {end} {} ", prefix(&net));
        }
    }
    if let Some(id) = found.set {
        let end = if direction == Direction::Ingress { "saddr" } else { "daddr" };
        let _ = write!(out, "{ip} {end} @{} ", set(family, id));
    }
    let Some(protocol) = found.protocol else { return out };
    let name = match protocol {
        1 => "icmp",
        58 => "icmpv6",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        132 => "sctp",
        _ => "udplite",
    };
    let bytes = [("type", found.icmp_type), ("code", found.icmp_code)];
    let ranges = [("sport", found.source_ports), ("dport", found.ports)];
    let before = out.len();
    for (field, byte) in bytes {
        if let Some(byte) = byte {
            let _ = write!(out, "{name} {field} {byte} ");
        }
    }
    for (field, range) in ranges {
        match range {
            Some((min, max)) if min == max => {
                let _ = write!(out, "{name} {field} {min} ");
            }
            Some((min, max)) => {
                let _ = write!(out, "{name} {field} {min}-{max} ");
            }
            None => {}
        }
    }
    if out.len() == before {
        let _ = write!(out, "meta l4proto {protocol} ");
    }
    out
}

/// Where packets of each filtered port go, by interface and EtherType.
fn verdict_map(out: &mut String, plan: &Plan<'_>, name: &str, direction: Direction) {
    if plan.ports.is_empty() {
        return;
    }
    let entries = plan.ports.iter().flat_map(|port| {
        [(Family::V4, "ip"), (Family::V6, "ip6")].map(|(family, word)| {
            let chain = chain_name(direction, family, &port.interface);
            format!("\"{}\" . {word} : goto {chain}", port.interface)
        })
    });
    let _ = writeln!(out, "\tmap {name} {{\n\t\ttype ifname . ether_type : verdict");
    let _ = writeln!(out, "\t\telements = {{ {} }}\n\t}}", entries.collect::<Vec<_>>().join(",\n\t\t\t"));
}

fn base_chains(out: &mut String, plan: &Plan<'_>) {
    let tracked_not = plan.ports.iter().filter(|port| !port.is_stateful).map(|port| &port.interface);
    let stateless = tracked_not.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    if !stateless.is_empty() {
        chain(out, "stateless", |out| {
            *out += "\t\ttype filter hook prerouting priority -300; policy accept;\n";
            let _ = writeln!(out, "\t\tiifname {{ {stateless} }} notrack");
        });
    }
    let hooks = [
        ("from-port-to-port", "forward priority 0", "iifname . meta protocol vmap @from-port"),
        ("from-port-to-host", "input priority 0", "iifname . meta protocol vmap @from-port"),
        ("into-port", "forward priority 1", "oifname . meta protocol vmap @to-port"),
    ];
    for (name, hook, rule) in hooks {
        chain(out, name, |out| {
            let _ = writeln!(out, "\t\ttype filter hook {hook}; policy accept;");
            if !plan.ports.is_empty() {
                let _ = writeln!(out, "\t\t{rule}");
            }
        });
    }
}

fn set(family: Family, id: secgroup_rpc::Uuid) -> String {
    format!("members{}-{id}", digit(family))
}

fn group_chain(direction: Direction, family: Family, id: secgroup_rpc::Uuid) -> String {
    chain_name(direction, family, &id.to_string())
}

fn chain_name(direction: Direction, family: Family, of: &str) -> String {
    let word = if direction == Direction::Ingress { "in" } else { "out" };
    format!("{word}{}-{of}", digit(family))
}

const fn digit(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

/// A prefix, or the address alone if it has full length.
fn prefix(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn mac(mac: MacAddr6) -> String {
    mac.to_string().to_lowercase()
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}
