//! What a rule matches, in terms that every rule language has.

use std::collections::HashSet;

use secgroup_rpc::{Direction, Family, PortRange, Protocol, Rule, Uuid, ipnet::IpNet};

/// Conditions of one rule within its direction and family; all of them must hold.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Match {
    /// Protocol number.
    pub(super) protocol: Option<u8>,
    /// Source ports, both ends included.
    pub(super) source_ports: Option<(u16, u16)>,
    /// Destination ports, both ends included.
    pub(super) ports: Option<(u16, u16)>,
    /// ICMP type.
    pub(super) icmp_type: Option<u8>,
    /// ICMP code; only with a type.
    pub(super) icmp_code: Option<u8>,
    /// Source prefix, shorter than any.
    pub(super) source: Option<IpNet>,
    /// Destination prefix, shorter than any.
    pub(super) destination: Option<IpNet>,
    /// The far end is in this set.
    pub(super) set: Option<Uuid>,
}

impl Match {
    /// What `rule` matches; `None` if it is none that Neutron's API would take, such as ports without
    /// a protocol that has them, so that rule languages have no words for it.
    pub(super) fn of(rule: &Rule) -> Option<Self> {
        let mut found = Self {
            protocol: rule.protocol_number(),
            source: prefix(rule.source, rule.family)?,
            destination: prefix(rule.destination, rule.family)?,
            set: rule.remote.map(|remote| remote.id()).filter(|_| rule.remote_prefix().is_none()),
            ..Self::default()
        };
        match found.protocol {
            Some(1 | 58) => found.icmp(rule)?,
            Some(number) if Protocol::from_number(number).has_ports() => {
                found.ports = range(rule.ports);
                found.source_ports = range(rule.source_ports);
            }
            _ if [rule.ports, rule.source_ports] == [PortRange::ANY; 2] => {}
            _ => return None,
        }
        Some(found)
    }

    /// Type and code; a Router Advertisement rule has its type where the source port stands.
    fn icmp(&mut self, rule: &Rule) -> Option<()> {
        let byte = |number: Option<u16>| number.map(u8::try_from).transpose().ok();
        let kind = byte(rule.ports.min.or(rule.source_ports.min))?;
        let code = byte(rule.ports.max)?;
        let is_own_family = self.protocol == Some(if rule.family == Family::V4 { 1 } else { 58 });
        let is_said = (kind.is_none() && code.is_none()) || (kind.is_some() && is_own_family);
        (self.icmp_type, self.icmp_code) = (kind, code);
        is_said.then_some(())
    }
}

/// The rules of one direction and family as matches, each once, and those without one.
pub(super) fn of_rules<'a>(
    rules: impl IntoIterator<Item = &'a Rule>,
    direction: Direction,
    family: Family,
) -> (Vec<Match>, Vec<&'a Rule>) {
    let (mut matches, mut left_out, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for rule in rules.into_iter().filter(|rule| rule.direction == direction && rule.family == family) {
        match Match::of(rule) {
            Some(found) if seen.insert(found.clone()) => matches.push(found),
            Some(_) => {}
            None => left_out.push(rule),
        }
    }
    (matches, left_out)
}

/// The prefix with host bits cleared; none if it is any, no answer if it is of the other family.
fn prefix(net: Option<IpNet>, family: Family) -> Option<Option<IpNet>> {
    match net {
        Some(net) if Family::of_net(net) != family => None,
        Some(net) => Some(Some(net.trunc()).filter(|net| net.prefix_len() > 0)),
        None => Some(None),
    }
}

fn range(range: PortRange) -> Option<(u16, u16)> {
    (range != PortRange::ANY).then(|| (range.min.unwrap_or(0), range.max.unwrap_or(u16::MAX)))
}
