//! Lists of rules, each coded against the one before it.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    DecodeError,
    bits::{Reader, Writer, width},
    positions::Table,
};
use crate::{Direction, Family, IpSpec, PortRange, Protocol, Remote, Rule, Uuid};

/// The remote side of a rule, by position in the message's list of groups.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum RemoteRef {
    None,
    /// The group that the rule is in.
    Own,
    Group(u32),
    AddressGroup(u32),
}

/// A rule without patch and with its remote side by position.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct RawRule {
    direction: Direction,
    family: Family,
    protocol: Option<Protocol>,
    ports: PortRange,
    source_ports: PortRange,
    source: Option<IpNet>,
    destination: Option<IpNet>,
    pub(super) remote: RemoteRef,
    stateful: Option<bool>,
    group: Option<Uuid>,
}

impl RawRule {
    const ANY: Self = Self {
        direction: Direction::Egress,
        family: Family::V4,
        protocol: None,
        ports: PortRange::ANY,
        source_ports: PortRange::ANY,
        source: None,
        destination: None,
        remote: RemoteRef::None,
        stateful: None,
        group: None,
    };

    /// The prefix of the far end (source on ingress) and that of the near one.
    const fn far_and_near(&self) -> (Option<IpNet>, Option<IpNet>) {
        match self.direction {
            Direction::Ingress => (self.source, self.destination),
            Direction::Egress => (self.destination, self.source),
        }
    }

    /// The same ends of the rule before this one.
    const fn before(&self, last: &Self) -> (Option<IpNet>, Option<IpNet>) {
        Self { direction: self.direction, ..*last }.far_and_near()
    }

    /// `own` is the position of the group that the rule is in.
    fn of(rule: &Rule, groups: &Table<u128>, own: Option<usize>) -> Self {
        let position = |id: Uuid| groups.find(id.bits()).unwrap_or(0) as usize;
        let remote = match rule.remote {
            None => RemoteRef::None,
            Some(Remote::Group(id)) if own == Some(position(id)) => RemoteRef::Own,
            Some(Remote::Group(id)) => RemoteRef::Group(position(id) as u32),
            Some(Remote::AddressGroup(id)) => RemoteRef::AddressGroup(position(id) as u32),
        };
        Self {
            direction: rule.direction,
            family: rule.family,
            protocol: rule.protocol,
            ports: rule.ports,
            source_ports: rule.source_ports,
            source: rule.source,
            destination: rule.destination,
            remote,
            stateful: rule.stateful,
            group: rule.group,
        }
    }

    /// The rule; `id` finds the id at a position.
    pub(super) fn rule(&self, own: Option<Uuid>, id: impl Fn(usize) -> Option<Uuid>) -> Option<Rule> {
        let remote = match self.remote {
            RemoteRef::None => None,
            RemoteRef::Own => Some(Remote::Group(own?)),
            RemoteRef::Group(at) => Some(Remote::Group(id(at as usize)?)),
            RemoteRef::AddressGroup(at) => Some(Remote::AddressGroup(id(at as usize)?)),
        };
        Some(Rule {
            protocol: self.protocol,
            ports: self.ports,
            source_ports: self.source_ports,
            source: self.source,
            destination: self.destination,
            remote,
            stateful: self.stateful,
            group: self.group,
            ..Rule::any(self.direction, self.family)
        })
    }
}

/// The rules in coded order: that of `Rule`, but with remote sides by position.
pub(super) fn raw_rules(rules: &[Rule], groups: &Table<u128>, own: Option<usize>) -> Vec<RawRule> {
    let mut raw: Vec<_> = rules.iter().map(|rule| RawRule::of(rule, groups, own)).collect();
    raw.sort_unstable();
    raw
}

/// What a list of rules leaves out of each rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleFormat {
    /// How many groups there are.
    pub(super) groups: usize,
    /// Whether any rule of the message carries `security_group_id`.
    pub(super) group_ids: bool,
}

/// `stateful` of a whole list.
mod stateful {
    pub(super) const NONE: u64 = 0;
    pub(super) const TRUE: u64 = 1;
    pub(super) const FALSE: u64 = 2;
    pub(super) const MIXED: u64 = 3;
}

const fn stateful_code(flag: Option<bool>) -> u64 {
    match flag {
        None => stateful::NONE,
        Some(true) => stateful::TRUE,
        Some(false) => stateful::FALSE,
    }
}

/// Writes a list in coded order.
pub(super) fn write(to: &mut Writer, rules: &[RawRule], format: RuleFormat) {
    to.count(rules.len());
    let Some(first) = rules.first() else { return };
    let mixed = rules.iter().any(|rule| rule.stateful != first.stateful);
    to.bits(if mixed { stateful::MIXED } else { stateful_code(first.stateful) }, 2);
    let mut last = RawRule::ANY;
    for rule in rules {
        write_rule(to, rule, &last, mixed, format);
        last = *rule;
    }
}

fn write_rule(to: &mut Writer, rule: &RawRule, last: &RawRule, mixed: bool, format: RuleFormat) {
    let place = |rule: &RawRule| (rule.direction, rule.family);
    to.bit(place(rule) == place(last));
    if place(rule) != place(last) {
        to.bit(rule.direction == Direction::Ingress);
        to.bit(rule.family == Family::V6);
    }
    to.bit(rule.protocol == last.protocol);
    if rule.protocol != last.protocol {
        write_protocol(to, rule.protocol);
    }
    write_ports(to, rule.ports);
    write_prefixes(to, rule, last);
    let (kind, at) = match rule.remote {
        RemoteRef::None => (0, None),
        RemoteRef::Own => (1, None),
        RemoteRef::Group(at) => (2, Some(at)),
        RemoteRef::AddressGroup(at) => (3, Some(at)),
    };
    to.bit(kind != 0);
    if kind != 0 {
        to.bits(kind - 1, 2);
    }
    if let Some(at) = at {
        to.bits(at.into(), width(format.groups));
    }
    if mixed {
        to.bits(stateful_code(rule.stateful), 2);
    }
    if format.group_ids {
        to.bit(rule.group.is_some());
        if let Some(group) = rule.group {
            to.wide(group.bits(), 128);
        }
    }
}

/// Source ports and prefixes: none, just the prefix of the far end, or any.
fn write_prefixes(to: &mut Writer, rule: &RawRule, last: &RawRule) {
    let no_ports = rule.source_ports == PortRange::ANY;
    let (far, near) = rule.far_and_near();
    to.bit(no_ports && far.is_none() && near.is_none());
    if no_ports && far.is_none() && near.is_none() {
        return;
    }
    to.bit(no_ports && near.is_none());
    if let (true, Some(far), None) = (no_ports, far, near) {
        return write_net(to, far, rule.family, rule.before(last).0);
    }
    to.bit(!no_ports);
    if !no_ports {
        write_ports(to, rule.source_ports);
    }
    let before = rule.before(last);
    for (net, before) in [(far, before.0), (near, before.1)] {
        to.bit(net.is_some());
        if let Some(net) = net {
            write_net(to, net, rule.family, before);
        }
    }
}

fn write_protocol(to: &mut Writer, protocol: Option<Protocol>) {
    match protocol {
        None => to.bits(0, 2),
        Some(Protocol::TCP) => to.bits(1, 2),
        Some(Protocol::UDP) => to.bits(2, 2),
        Some(other) => {
            to.bits(3, 2);
            to.bits(other.code().into(), 9);
        }
    }
}

fn read_prefixes(reader: &mut Reader<'_>, rule: &mut RawRule, last: &RawRule) -> Result<(), DecodeError> {
    let before = rule.before(last);
    let (mut far, mut near) = (None, None);
    if reader.bit() {
        far = Some(read_net(reader, rule.family, before.0)?);
    } else {
        if reader.bit() {
            rule.source_ports = read_ports(reader)?;
        }
        if reader.bit() {
            far = Some(read_net(reader, rule.family, before.0)?);
        }
        if reader.bit() {
            near = Some(read_net(reader, rule.family, before.1)?);
        }
    }
    (rule.source, rule.destination) = match rule.direction {
        Direction::Ingress => (far, near),
        Direction::Egress => (near, far),
    };
    Ok(())
}

fn read_protocol(reader: &mut Reader<'_>) -> Result<Option<Protocol>, DecodeError> {
    Ok(match reader.bits(2) {
        0 => None,
        1 => Some(Protocol::TCP),
        2 => Some(Protocol::UDP),
        _ => {
            let protocol = Protocol::from_code(reader.bits(9) as u16);
            Some(protocol.ok_or_else(|| reader.invalid("an unknown protocol"))?)
        }
    })
}

/// None, one port, both ends, or whichever end there is.
fn write_ports(to: &mut Writer, ports: PortRange) {
    match (ports.min, ports.max) {
        (None, None) => to.bits(0, 2),
        (Some(min), Some(max)) if min == max => {
            to.bits(1, 2);
            to.bits(min.into(), 16);
        }
        (Some(min), Some(max)) => {
            to.bits(2, 2);
            to.bits(min.into(), 16);
            // Ranges are short as a rule, and ICMP codes are.
            to.bit(max > min);
            to.number(max.abs_diff(min).into());
        }
        (min, max) => {
            to.bits(3, 2);
            to.bit(min.is_some());
            to.number(min.or(max).unwrap_or_default().into());
        }
    }
}

fn read_ports(reader: &mut Reader<'_>) -> Result<PortRange, DecodeError> {
    let invalid = "a port beyond 65535";
    Ok(match reader.bits(2) {
        0 => PortRange::ANY,
        1 => PortRange::single(reader.bits(16) as u16),
        2 => {
            let min = reader.bits(16) as u16;
            let up = reader.bit();
            let by = u16::try_from(reader.number()).map_err(|_| reader.invalid(invalid))?;
            let max = if up { min.checked_add(by) } else { min.checked_sub(by) };
            PortRange { min: Some(min), max: Some(max.ok_or_else(|| reader.invalid(invalid))?) }
        }
        _ => {
            let is_min = reader.bit();
            let end = u16::try_from(reader.number()).map_err(|_| reader.invalid(invalid))?;
            if is_min {
                PortRange { min: Some(end), max: None }
            } else {
                PortRange { min: None, max: Some(end) }
            }
        }
    })
}

const fn address_bits(family: Family) -> u32 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address_of(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(bits as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(bits).into(),
    }
}

fn net_of(address: IpAddr, length: u8) -> Option<IpNet> {
    match address {
        IpAddr::V4(address) => Ipv4Net::new(address, length).ok().map(IpNet::V4),
        IpAddr::V6(address) => Ipv6Net::new(address, length).ok().map(IpNet::V6),
    }
}

/// The prefix length and first byte are often those of the prefix before.
fn write_net(to: &mut Writer, net: IpNet, family: Family, before: Option<IpNet>) {
    // A rule whose prefix is of the other family says so by the family bit of `net`.
    let own_family = Family::of_net(net);
    to.bit(own_family != family);
    let before = before.filter(|before| Family::of_net(*before) == own_family);
    let (length, total) = (u32::from(net.prefix_len()), address_bits(own_family));
    if let Some(before) = before {
        to.bit(before.prefix_len() == net.prefix_len());
    }
    if before.is_none_or(|before| before.prefix_len() != net.prefix_len()) {
        to.bits(length.into(), length_bits(own_family));
    }
    let bits = bits_of(net.addr());
    let host_bits = net != net.trunc();
    to.bit(host_bits);
    let count = if host_bits { total } else { length };
    let value = bits.checked_shr(total - count).unwrap_or(0);
    match before {
        Some(before) if count >= 8 => {
            let same = bits_of(before.addr()) >> (total - 8) == bits >> (total - 8);
            to.bit(same);
            let count = if same { count - 8 } else { count };
            to.wide(value & u128::MAX.checked_shr(128 - count).unwrap_or(0), count);
        }
        _ => to.wide(value, count),
    }
}

const fn length_bits(family: Family) -> u32 {
    match family {
        Family::V4 => 6,
        Family::V6 => 8,
    }
}

fn read_net(reader: &mut Reader<'_>, family: Family, before: Option<IpNet>) -> Result<IpNet, DecodeError> {
    let family = match (reader.bit(), family) {
        (false, family) => family,
        (true, Family::V4) => Family::V6,
        (true, Family::V6) => Family::V4,
    };
    let before = before.filter(|before| Family::of_net(*before) == family);
    let total = address_bits(family);
    let length = match before {
        Some(before) if reader.bit() => before.prefix_len().into(),
        _ => reader.bits(length_bits(family)) as u32,
    };
    if length > total {
        return Err(reader.invalid("a prefix length beyond the address"));
    }
    let count = if reader.bit() { total } else { length };
    let value = match before {
        Some(before) if count >= 8 && reader.bit() => {
            (bits_of(before.addr()) >> (total - 8)) << (count - 8) | reader.wide(count - 8)
        }
        _ => reader.wide(count),
    };
    let bits = value.checked_shl(total - count).unwrap_or(0);
    net_of(address_of(family, bits), length as u8)
        .ok_or_else(|| reader.invalid("a prefix length beyond the address"))
}

/// Writes an address or prefix of a known family.
pub(super) fn write_spec(to: &mut Writer, spec: IpSpec) {
    match spec {
        IpSpec::Host(host) => {
            to.bit(false);
            to.wide(bits_of(host), address_bits(spec.family()));
        }
        IpSpec::Net(net) => {
            to.bit(true);
            write_net(to, net, spec.family(), None);
        }
    }
}

pub(super) fn read_spec(reader: &mut Reader<'_>, family: Family) -> Result<IpSpec, DecodeError> {
    if reader.bit() {
        read_net(reader, family, None).map(IpSpec::Net)
    } else {
        Ok(IpSpec::Host(address_of(family, reader.wide(address_bits(family)))))
    }
}

/// A list of rules in the bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleList<'a> {
    left: usize,
    stateful: u64,
    last: RawRule,
    format: RuleFormat,
    pub(super) reader: Reader<'a>,
}

impl<'a> RuleList<'a> {
    pub(super) fn read(mut reader: Reader<'a>, format: RuleFormat) -> Result<Self, DecodeError> {
        let left = reader.count(5)?;
        let stateful = if left > 0 { reader.bits(2) } else { 0 };
        Ok(Self { left, stateful, last: RawRule::ANY, format, reader })
    }

    pub(super) const fn len(&self) -> usize {
        self.left
    }

    /// The next rule; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RawRule>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let reader = &mut self.reader;
        let last = self.last;
        let mut rule = RawRule { direction: last.direction, family: last.family, ..RawRule::ANY };
        if !reader.bit() {
            rule.direction = if reader.bit() { Direction::Ingress } else { Direction::Egress };
            rule.family = if reader.bit() { Family::V6 } else { Family::V4 };
        }
        rule.protocol = if reader.bit() { last.protocol } else { read_protocol(reader)? };
        rule.ports = read_ports(reader)?;
        if !reader.bit() {
            read_prefixes(reader, &mut rule, &last)?;
        }
        if reader.bit() {
            let wide = width(self.format.groups);
            rule.remote = match reader.bits(2) {
                0 => RemoteRef::Own,
                1 => RemoteRef::Group(reader.bits(wide) as u32),
                2 => RemoteRef::AddressGroup(reader.bits(wide) as u32),
                _ => return Err(reader.invalid("an unknown kind of remote")),
            };
        }
        let flag = if self.stateful == stateful::MIXED { reader.bits(2) } else { self.stateful };
        rule.stateful = match flag {
            stateful::NONE => None,
            stateful::TRUE => Some(true),
            stateful::FALSE => Some(false),
            _ => return Err(reader.invalid("an unknown stateful flag")),
        };
        if self.format.group_ids && reader.bit() {
            rule.group = Some(Uuid::from_bits(reader.wide(128)));
        }
        reader.check()?;
        self.last = rule;
        Ok(Some(rule))
    }

    /// The reader after the list.
    pub(super) fn end(mut self) -> Result<Reader<'a>, DecodeError> {
        while self.next()?.is_some() {}
        Ok(self.reader)
    }
}
