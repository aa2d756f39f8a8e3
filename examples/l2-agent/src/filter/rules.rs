//! The rules of groups and ports.
//!
//! A rule without a remote set is one flow (more, if its range of ports takes more than one
//! block). A rule with one is a conjunction: the set's members on one side, the rest of the rule
//! on the other. The two live at different priorities, since flows of both kinds with one match
//! could not stand beside each other.

use std::collections::{BTreeMap, BTreeSet};

use secgroup_rpc::{Device, Direction, Family, Info, IpSpec, PortRange, Rule, Uuid};
use sha1::{Digest, Sha1};

use super::spelling::{Block, Match, TypeAndCode};
use super::{Port, TO_REGISTER, table};
use crate::flow::Flow;

const PLAIN: u16 = 74;
const CONJUNCTION: u16 = 70;
/// Rules of stateless groups stand above everything that asks for a connection.
const STATELESS: u16 = 50;
/// A port's own rules, before any connection is looked up.
const OWN: u16 = 95;

/// What passing means behind a rule of `table`. A stateless rule makes no connection.
pub(super) const fn pass(table: u8, stateful: bool) -> &'static str {
    match (table, stateful) {
        (table::EGRESS, true) => "goto_table:73",
        (table::EGRESS, false) => "set_field:0x1->reg7,goto_table:73",
        (_, true) => "goto_table:83",
        (_, false) => TO_REGISTER,
    }
}

/// A remote set as rules of one table see it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Remote {
    set: Uuid,
    direction: Direction,
    family: Family,
    stateful: bool,
}

/// The rules of one port, spelled as far as they depend on nothing else.
#[derive(Debug, Default)]
pub(super) struct Rules {
    flows: Vec<Flow>,
    /// Table, priority and match of the port's side of a conjunction, with the sets that it waits for.
    sides: BTreeMap<(u8, u16, String), BTreeSet<Remote>>,
    /// Rules that cannot be told to Open vSwitch.
    faults: Vec<String>,
}

impl Rules {
    /// The rules of a filtered port and of its groups.
    pub(super) fn of(info: &Info, port: &Port<'_>, device: &Device) -> Self {
        let mut rules = Self::default();
        for rule in &*device.rules() {
            rules.own(port, device, rule);
        }
        for rule in device.groups.iter().filter_map(|id| info.group(*id)).flat_map(|group| &group.rules) {
            rules.group(port, device, rule);
        }
        rules
    }

    /// The remote sets that the rules name.
    pub(super) fn remotes(&self) -> impl Iterator<Item = Remote> {
        self.sides.values().flatten().copied()
    }

    pub(super) fn faults(&self) -> &[String] {
        &self.faults
    }

    /// All flows of the port's side, with the numbers of the sets.
    pub(super) fn flows(&self, ids: &BTreeMap<Remote, u32>) -> impl Iterator<Item = Flow> {
        let sides = self.sides.iter().map(|((table, priority, matches), remotes)| {
            let parts = remotes.iter().filter_map(|remote| Some((*ids.get(remote)?, 2)));
            Flow::new(*table, *priority, matches.as_str(), conjunction(parts.collect()))
        });
        self.flows.iter().cloned().chain(sides)
    }

    /// A rule of the port itself: DHCP and router advertisements, which no connection precedes.
    fn own(&mut self, port: &Port<'_>, device: &Device, rule: &Rule) {
        if rule.direction == Direction::Egress || (rule.remote.is_some() && rule.remote_prefix().is_none()) {
            return self.group(port, device, rule);
        }
        match matches(port, rule) {
            Ok(matches) => self.flows.extend(
                matches.into_iter().map(|m| Flow::new(table::ARRIVE, OWN, m.to_string(), TO_REGISTER)),
            ),
            Err(why) => self.fault(device, rule, why),
        }
    }

    fn group(&mut self, port: &Port<'_>, device: &Device, rule: &Rule) {
        let matches = match matches(port, rule) {
            Ok(matches) => matches,
            Err(why) => return self.fault(device, rule, why),
        };
        let table = table_of(rule.direction);
        let stateful = rule.stateful != Some(false);
        let above = if stateful { 0 } else { STATELESS };
        let remote = rule.remote.filter(|_| rule.remote_prefix().is_none()).map(|remote| Remote {
            set: remote.id(),
            direction: rule.direction,
            family: rule.family,
            stateful,
        });
        for matches in matches.iter().map(Match::to_string) {
            match remote {
                Some(remote) => {
                    let side = self.sides.entry((table, CONJUNCTION + above, matches));
                    side.or_default().insert(remote);
                }
                None => self.flows.push(Flow::new(table, PLAIN + above, matches, pass(table, stateful))),
            }
        }
    }

    fn fault(&mut self, device: &Device, rule: &Rule, why: &str) {
        self.faults.push(format!(
            "port {}: a rule of protocol {} is left out, so it admits nothing: {why}",
            device.id,
            rule.protocol.map_or("any".to_owned(), |protocol| protocol.to_string())
        ));
    }
}

/// The far side of every conjunction: the members of the sets, and what follows if both sides hold.
pub(super) fn members(info: &Info, ids: &BTreeMap<Remote, u32>) -> Vec<Flow> {
    let mut flows = Vec::new();
    let mut sides = BTreeMap::<_, BTreeSet<(u32, u8)>>::new();
    for (remote, id) in ids {
        let table = table_of(remote.direction);
        let priority = CONJUNCTION + if remote.stateful { 0 } else { STATELESS };
        flows.push(Flow::new(table, priority, format!("conj_id={id}"), pass(table, remote.stateful)));
        let set = info.member_set(remote.set);
        for member in set.into_iter().flat_map(|set| set.members(remote.family)) {
            let matches = far_end(*remote, member.address).to_string();
            sides.entry((table, priority, matches)).or_default().insert((*id, 1));
        }
    }
    let side = |((table, priority, matches), parts)| Flow::new(table, priority, matches, conjunction(parts));
    flows.extend(sides.into_iter().map(side));
    flows
}

/// Sets by number, and which of the two sides this is.
fn conjunction(parts: BTreeSet<(u32, u8)>) -> String {
    let part = |(id, side): (u32, u8)| format!("conjunction({id},{side}/2)");
    parts.into_iter().map(part).collect::<Vec<_>>().join(",")
}

/// A number for each set that depends on nothing else as long as no two numbers meet, so that a
/// new group leaves the flows of the others alone.
pub(super) fn number(remotes: &BTreeSet<Remote>) -> BTreeMap<Remote, u32> {
    let mut taken = BTreeSet::from([0]); // the number of no conjunction
    let mut ids = BTreeMap::new();
    for remote in remotes {
        let name = format!(
            "{} {} {} {}",
            remote.set,
            remote.direction.name(),
            remote.family.name(),
            remote.stateful
        );
        let digest = Sha1::digest(name.as_bytes());
        let mut id = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        while !taken.insert(id) {
            id = id.wrapping_add(1);
        }
        ids.insert(*remote, id);
    }
    ids
}

const fn table_of(direction: Direction) -> u8 {
    match direction {
        Direction::Egress => table::EGRESS,
        Direction::Ingress => table::INGRESS,
    }
}

fn far_end(remote: Remote, address: IpSpec) -> Match {
    let protocol = any_of(remote.family);
    match remote.direction {
        Direction::Ingress => Match { protocol, source: Some(address.net()), ..Match::default() },
        Direction::Egress => Match { protocol, destination: Some(address.net()), ..Match::default() },
    }
}

/// A port's side of a rule: one match for each pair of blocks.
fn matches(port: &Port<'_>, rule: &Rule) -> Result<Vec<Match>, &'static str> {
    let prefixes = [rule.source, rule.destination];
    if prefixes.iter().flatten().any(|net| Family::of_net(*net) != rule.family) {
        return Err("a prefix is of the other family");
    }
    let base = Match { source: rule.source, destination: rule.destination, ..protocol(rule)? };
    // A guest's packets are told by where they come from, those for it by where they go.
    let base = match rule.direction {
        Direction::Egress => Match { in_port: Some(port.ofport), ..base },
        Direction::Ingress => Match { to: Some(port.ofport), ..base },
    };
    if rule.protocol.is_some_and(secgroup_rpc::Protocol::is_icmp) {
        return Ok(icmp(rule)?.into_iter().map(|icmp| Match { icmp, ..base.clone() }).collect());
    }
    let sources = Block::cover(rule.source_ports);
    let pairs = sources.into_iter().flat_map(|source| {
        Block::cover(rule.ports).into_iter().map(move |destination| (source, destination))
    });
    Ok(pairs.map(|(tp_src, tp_dst)| Match { tp_src, tp_dst, ..base.clone() }).collect())
}

const fn any_of(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ipv6",
    }
}

/// The protocol, if Open vSwitch can match what the rule says of its ports.
fn protocol(rule: &Rule) -> Result<Match, &'static str> {
    let any = Match { protocol: any_of(rule.family), ..Match::default() };
    let with_ports = (rule.ports, rule.source_ports) != (PortRange::ANY, PortRange::ANY);
    let Some(number) = rule.protocol_number() else {
        return if with_ports { Err("ports mean nothing without a protocol") } else { Ok(any) };
    };
    let name = match (number, rule.family) {
        (1, Family::V4) => "icmp",
        (6, Family::V4) => "tcp",
        (17, Family::V4) => "udp",
        (132, Family::V4) => "sctp",
        (6, Family::V6) => "tcp6",
        (17, Family::V6) => "udp6",
        (58, Family::V6) => "icmp6",
        (132, Family::V6) => "sctp6",
        _ if with_ports => return Err("Open vSwitch cannot match its ports"),
        _ => return Ok(Match { nw_proto: Some(number), ..any }),
    };
    Ok(Match { protocol: name, ..Match::default() })
}

/// Type and code, if a packet can have them. A router advertisement's rule has its type where
/// other rules have the source port.
fn icmp(rule: &Rule) -> Result<Option<TypeAndCode>, &'static str> {
    let byte =
        |value: Option<u16>| value.map(u8::try_from).transpose().map_err(|_| "types and codes are bytes");
    let (kind, code) = (byte(rule.ports.min)?, byte(rule.ports.max)?);
    let other = byte(rule.source_ports.min)?;
    if kind.is_none() && code.is_some() {
        return Err("Open vSwitch cannot match a code without its type");
    }
    match (kind, other) {
        (Some(kind), Some(other)) if kind != other => Ok(None),
        _ => Ok(Some((kind.or(other), code))),
    }
}
