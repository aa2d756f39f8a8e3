//! iptables with ipset, in the shape of Neutron's iptables driver: a chain per port and direction
//! (`i`, `o`) and one for its sources (`s`), where RETURN lets a packet pass on to the next port's
//! chain and `sg-chain` accepts what has passed them all.

use std::fmt::Write;

use secgroup_rpc::{
    Direction, Family, Rule, Uuid,
    ipnet::{IpNet, Ipv4Net, Ipv6Net},
};

use super::{
    Link, Style,
    matches::{Match, of_rules},
    plan::{Plan, Port},
};
use crate::reply::rule_text;

/// Neutron's limit, so that a name with one more character is left for swapping
/// (`neutron/agent/linux/ipset_manager.py`).
const SET_NAME: usize = 29;
/// How many members a set has room for at least, as Neutron's do.
const SET_ROOM: usize = 131_072;

/// Commands for `ipset restore -exist`: every set is filled aside and swapped in as a whole.
pub(super) fn sets(plan: &Plan<'_>) -> String {
    let mut out = String::new();
    for ((id, family), members) in plan.sets() {
        let (name, word) = (set(family, id), if family == Family::V4 { "inet" } else { "inet6" });
        let room = SET_ROOM.max(2 * members.len()).next_power_of_two();
        // Writing to a `String` cannot fail.
        for name in [&name, &format!("{name}-")] {
            let _ = writeln!(out, "create {name} hash:net family {word} maxelem {room}");
        }
        let _ = writeln!(out, "flush {name}-");
        for member in members.into_iter().flat_map(halves) {
            let _ = writeln!(out, "add {name}- {member}");
        }
        let _ = writeln!(out, "swap {name}- {name}\ndestroy {name}-");
    }
    out
}

/// ipset knows no /0: the two halves say the same.
fn halves(net: IpNet) -> Vec<IpNet> {
    let of = |half: Option<Vec<IpNet>>| half.unwrap_or_else(|| vec![net]);
    match net {
        _ if net.prefix_len() > 0 => vec![net],
        IpNet::V4(any) => of(Ipv4Net::subnets(&any, 1).ok().map(|half| half.map(IpNet::V4).collect())),
        IpNet::V6(any) => of(Ipv6Net::subnets(&any, 1).ok().map(|half| half.map(IpNet::V6).collect())),
    }
}

fn set(family: Family, id: Uuid) -> String {
    format!("N{}{id}", family.name()).chars().take(SET_NAME).collect()
}

/// The tables `raw` and `filter` as a whole, for `iptables-restore` or `ip6tables-restore`.
pub(super) fn tables(plan: &Plan<'_>, style: &Style, family: Family) -> String {
    let mut writer = Writer { out: String::new(), plan, style, family };
    writer.raw();
    writer.filter();
    writer.out
}

struct Writer<'p, 'a> {
    out: String,
    plan: &'p Plan<'a>,
    style: &'p Style,
    family: Family,
}

impl Writer<'_, '_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn add(&mut self, chain: &str, rule: &str) {
        let _ = writeln!(self.out, "-A {chain} {rule}");
    }

    /// What is tracked, and in which zone: networks may use the same addresses.
    fn raw(&mut self) {
        self.line("*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]");
        let plan = self.plan;
        for port in plan.ports.iter().filter(|port| !port.is_stateful) {
            let from = self.sent_by(&port.interface);
            self.add("PREROUTING", &format!("{from} -j CT --notrack"));
        }
        if self.style.link == Link::Bridged {
            for (bridge, zone) in &plan.zones {
                self.add("PREROUTING", &format!("-i {bridge} -j CT --zone {zone}"));
                self.add("OUTPUT", &format!("-o {bridge} -j CT --zone {zone}"));
            }
        }
        self.line("COMMIT");
    }

    fn filter(&mut self) {
        let plan = self.plan;
        self.line("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]");
        self.line(":sg-chain - [0:0]\n:sg-fallback - [0:0]");
        for port in &plan.ports {
            for kind in ['i', 'o', 's'] {
                let _ = writeln!(self.out, ":{} - [0:0]", self.chain(kind, port));
            }
        }
        for port in &plan.ports {
            self.jumps(port);
        }
        for interface in &plan.unfiltered {
            for at in [self.toward(interface), self.forwarded_by(interface)] {
                self.add("FORWARD", &format!("{at} -j ACCEPT"));
            }
        }
        self.add("sg-chain", "-j ACCEPT");
        self.add("sg-fallback", "-j DROP");
        for port in &plan.ports {
            self.sources(port);
            self.egress(port);
            self.ingress(port);
        }
        self.line("COMMIT");
    }

    /// From the hooks to the chains of a port.
    fn jumps(&mut self, port: &Port<'_>) {
        let sides = [('i', self.toward(&port.interface)), ('o', self.forwarded_by(&port.interface))];
        for (kind, at) in sides {
            self.add("FORWARD", &format!("{at} -j sg-chain"));
            let chain = self.chain(kind, port);
            self.add("sg-chain", &format!("{at} -j {chain}"));
        }
        let (from, chain) = (self.sent_by(&port.interface), self.chain('o', port));
        self.add("INPUT", &format!("{from} -j {chain}"));
    }

    fn sources(&mut self, port: &Port<'_>) {
        let chain = self.chain('s', port);
        for source in port.sources(self.family) {
            let net = if source.net.prefix_len() > 0 { format!("-s {} ", source.net) } else { String::new() };
            self.add(&chain, &format!("{net}-m mac --mac-source {} -j RETURN", source.mac));
        }
        self.add(&chain, "-j DROP");
    }

    fn egress(&mut self, port: &Port<'_>) {
        let (chain, sources) = (self.chain('o', port), self.chain('s', port));
        let (nowhere, fixed): (&[&str], &[&str]) = match self.family {
            Family::V4 => (
                &["-s 0.0.0.0/32 -d 255.255.255.255/32 -p udp -m udp --sport 68 --dport 67 -j RETURN"],
                &[
                    "-p udp -m udp --sport 68 --dport 67 -j RETURN",
                    "-p udp -m udp --sport 67 --dport 68 -j DROP",
                ],
            ),
            Family::V6 => (
                &[
                    "-s ::/128 -d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type 131 -j RETURN",
                    "-s ::/128 -d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j RETURN",
                    "-s ::/128 -d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type 143 -j RETURN",
                ],
                &[
                    "-p ipv6-icmp -m icmp6 --icmpv6-type 134 -j DROP",
                    "-p ipv6-icmp -j RETURN",
                    "-p udp -m udp --sport 546 --dport 547 -j RETURN",
                    "-p udp -m udp --sport 547 --dport 546 -j DROP",
                ],
            ),
        };
        nowhere.iter().for_each(|rule| self.add(&chain, rule));
        self.add(&chain, &format!("-j {sources}"));
        fixed.iter().for_each(|rule| self.add(&chain, rule));
        self.rules(port, Direction::Egress, &chain);
    }

    fn ingress(&mut self, port: &Port<'_>) {
        let chain = self.chain('i', port);
        if self.family == Family::V6 {
            for kind in [130, 135, 136] {
                self.add(&chain, &format!("-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN"));
            }
        }
        self.rules(port, Direction::Ingress, &chain);
    }

    /// What the port's own rules and those of its groups admit, and the end of what they do not.
    fn rules(&mut self, port: &Port<'_>, direction: Direction, chain: &str) {
        if port.is_stateful {
            self.add(chain, "-m state --state RELATED,ESTABLISHED -j RETURN");
        }
        let own = port.own_rules(direction, self.family);
        let of_groups = port.groups(self.plan.info).flat_map(|group| &group.rules);
        let all: Vec<&Rule> = own.iter().chain(of_groups).collect();
        let (matches, left_out) = of_rules(all, direction, self.family);
        for found in matches {
            match found.set.filter(|_| self.style.no_ipset) {
                None => {
                    let words = words(&found, direction, self.family);
                    self.add(chain, &format!("{words}-j RETURN"));
                }
                Some(id) => self.members(port, direction, &found, id, chain),
            }
        }
        for rule in left_out {
            let _ = writeln!(self.out, "# left out, no packet can match it: {}", rule_text(rule));
        }
        self.add(chain, "-m state --state INVALID -j DROP");
        self.add(chain, "-j sg-fallback");
    }

    /// The rule once per member, without the port's own addresses.
    fn members(&mut self, port: &Port<'_>, direction: Direction, found: &Match, id: Uuid, chain: &str) {
        let is_own = |net: &IpNet| {
            net.prefix_len() == net.max_prefix_len() && port.device.fixed_ips.contains(&net.addr())
        };
        for net in self.plan.members(id, self.family) {
            let mut found = Match { set: None, ..found.clone() };
            let far = Some(net).filter(|net| net.prefix_len() > 0);
            match direction {
                Direction::Ingress => found.source = far,
                Direction::Egress => found.destination = far,
            }
            if !is_own(&net) {
                let words = words(&found, direction, self.family);
                self.add(chain, &format!("{words}-j RETURN"));
            }
        }
    }

    /// `i52b7bdbe-79`: Neutron's kinds of chains, and the port's part of the interface name.
    fn chain(&self, kind: char, port: &Port<'_>) -> String {
        let id = port.interface.get(self.style.interface.len()..).unwrap_or(&port.interface);
        format!("{kind}{id}")
    }

    /// Matches what goes to a port.
    fn toward(&self, interface: &str) -> String {
        match self.style.link {
            Link::Bridged => format!("-m physdev --physdev-out {interface} --physdev-is-bridged"),
            Link::Routed => format!("-o {interface}"),
        }
    }

    /// Matches what comes from a port and goes on to another one.
    fn forwarded_by(&self, interface: &str) -> String {
        match self.style.link {
            Link::Bridged => format!("-m physdev --physdev-in {interface} --physdev-is-bridged"),
            Link::Routed => format!("-i {interface}"),
        }
    }

    /// Matches what comes from a port.
    fn sent_by(&self, interface: &str) -> String {
        match self.style.link {
            Link::Bridged => format!("-m physdev --physdev-in {interface}"),
            Link::Routed => format!("-i {interface}"),
        }
    }
}

/// The conditions of a rule in the order of iptables-save, each with a space behind it.
fn words(found: &Match, direction: Direction, family: Family) -> String {
    let mut out = String::new();
    for (option, net) in [("-s", found.source), ("-d", found.destination)] {
        if let Some(net) = net {
            let _ = write!(out, "{option} {net} ");
        }
    }
    if let Some(protocol) = found.protocol {
        let _ = write!(out, "-p {protocol} ");
        protocol_words(&mut out, found, protocol);
    }
    if let Some(id) = found.set {
        let end = if direction == Direction::Ingress { "src" } else { "dst" };
        let _ = write!(out, "-m set --match-set {} {end} ", set(family, id));
    }
    out
}

fn protocol_words(out: &mut String, found: &Match, protocol: u8) {
    if let Some(kind) = found.icmp_type {
        let (module, option) = if protocol == 1 { ("icmp", "icmp") } else { ("icmp6", "icmpv6") };
        let code = found.icmp_code.map_or_else(String::new, |code| format!("/{code}"));
        let _ = write!(out, "-m {module} --{option}-type {kind}{code} ");
    }
    // UDP-Lite has no match of its own.
    let module = [(6, "tcp"), (17, "udp"), (33, "dccp"), (132, "sctp")];
    let module = module.into_iter().find(|(number, _)| *number == protocol).map(|(_, module)| module);
    let ranges = [("sport", found.source_ports), ("dport", found.ports)];
    if let Some(module) = module.filter(|_| ranges.iter().any(|(_, range)| range.is_some())) {
        let _ = write!(out, "-m {module} ");
    }
    for (option, range) in ranges {
        let _ = match range {
            Some((min, max)) if min == max && module.is_some() => write!(out, "--{option} {min} "),
            Some((min, max)) if min == max => write!(out, "-m multiport --{option}s {min} "),
            Some((min, max)) => write!(out, "-m multiport --{option}s {min}:{max} "),
            None => Ok(()),
        };
    }
}
