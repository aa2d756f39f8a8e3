//! One OpenFlow flow as text, in the spelling in which Open vSwitch prints it back, so that sets
//! of flows can be compared.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

/// A flow: where it stands, what it matches, what it does.
///
/// Equality is what decides whether a flow has to be sent; the cookie only says who owns it and
/// does not count. A clone shares its text with the original, and the two are found equal without
/// reading it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flow(Arc<Parts>);

/// What a flow is made of.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Parts {
    /// Table, `0..=254`.
    pub table: u8,
    /// Higher wins.
    pub priority: u16,
    /// Comma-separated fields, empty for "everything"; as `ovs-ofctl dump-flows` prints them.
    pub matches: String,
    /// Comma-separated actions, or `drop`.
    pub actions: String,
}

impl Deref for Flow {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Ord for Flow {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for Flow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Flow {
    /// A flow of these parts.
    pub fn new(table: u8, priority: u16, matches: impl Into<String>, actions: impl Into<String>) -> Self {
        Self(Arc::new(Parts { table, priority, matches: matches.into(), actions: actions.into() }))
    }

    /// The same flow with its fields in the order, and prefixes in the form, in which Open vSwitch
    /// prints them (`lib/match.c`, `match_format`).
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut fields: Vec<_> = self.matches.split(',').filter(|field| !field.is_empty()).collect();
        fields.sort_by_key(|field| rank(field));
        let whole = |field: &str| {
            let length = if field.contains(':') { "/128" } else { "/32" };
            let is_prefix = ["nw_", "ipv6_", "arp_spa", "arp_tpa", "nd_target"].iter();
            let is_prefix = is_prefix.clone().any(|name| field.starts_with(name));
            field.strip_suffix(length).filter(|_| is_prefix).unwrap_or(field).to_owned()
        };
        let matches = fields.into_iter().map(whole).collect::<Vec<_>>().join(",");
        Self::new(self.table, self.priority, matches, self.actions.as_str())
    }

    /// What `ovs-ofctl` takes to remove exactly this flow.
    pub fn identity(&self) -> String {
        let comma = if self.matches.is_empty() { "" } else { "," };
        format!("table={},priority={}{comma}{}", self.table, self.priority, self.matches)
    }
}

/// What only `left` has, and what only `right` has, of two sequences in ascending order.
///
/// Linear, but a flow that both share costs no look at its text.
pub fn differences<'a>(
    left: impl IntoIterator<Item = &'a Flow>,
    right: impl IntoIterator<Item = &'a Flow>,
) -> (Vec<Flow>, Vec<Flow>) {
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let (mut only_left, mut only_right) = (Vec::new(), Vec::new());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return (only_left, only_right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.cmp(right),
        };
        match order {
            Ordering::Less => only_left.extend(left.next().cloned()),
            Ordering::Greater => only_right.extend(right.next().cloned()),
            Ordering::Equal => _ = (left.next(), right.next()),
        }
    }
}

/// Where a field stands. Names of protocols have no value and come before the packet's fields.
fn rank(field: &str) -> usize {
    const ORDER: [&str; 22] = [
        "ct_state",
        "ct_mark",
        "",
        "in_port",
        "dl_vlan",
        "dl_vlan_pcp",
        "vlan_tci",
        "dl_src",
        "dl_dst",
        "nw_src",
        "nw_dst",
        "ipv6_src",
        "ipv6_dst",
        "arp_spa",
        "arp_tpa",
        "arp_op",
        "arp_sha",
        "arp_tha",
        "icmp_type",
        "icmp_code",
        "tp_src",
        "tp_dst",
    ];
    let name = field.split_once('=').map_or("", |(name, _)| name);
    ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} actions={}", self.identity(), self.actions)
    }
}

/// A line that is no flow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a flow: '{0}'")]
pub struct NotAFlow(String);

impl FromStr for Flow {
    type Err = NotAFlow;

    /// Reads a line of `ovs-ofctl dump-flows`, with or without cookie and statistics.
    fn from_str(line: &str) -> Result<Self, NotAFlow> {
        let bad = || NotAFlow(line.to_owned());
        let (head, actions) = line.split_once("actions=").ok_or_else(bad)?;
        let (mut table, mut priority, mut matches) = (0, 32768, Vec::new());
        for item in head.split([',', ' ']).map(str::trim).filter(|item| !item.is_empty()) {
            match item.split_once('=') {
                Some(("table", number)) => table = number.parse().map_err(|_| bad())?,
                Some(("priority", number)) => priority = number.parse().map_err(|_| bad())?,
                Some(("cookie" | "duration" | "n_packets" | "n_bytes" | "idle_age" | "hard_age", _)) => {}
                _ if item == "reset_counts" || item == "send_flow_rem" => {}
                _ => matches.push(item),
            }
        }
        Ok(Self::new(table, priority, matches.join(","), actions.trim()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// As Open vSwitch 3.1.0 prints them.
    #[test]
    fn a_dumped_line_is_the_flow_that_was_sent() {
        let dumped = " cookie=0x1f, duration=3.2s, table=0, n_packets=4, n_bytes=240, idle_age=3, \
                      priority=4,in_port=1,dl_vlan=1 actions=strip_vlan,NORMAL";
        let flow = Flow::new(0, 4, "in_port=1,dl_vlan=1", "strip_vlan,NORMAL");
        assert_eq!(dumped.parse(), Ok(flow.clone()));
        assert_eq!(flow.to_string(), "table=0,priority=4,in_port=1,dl_vlan=1 actions=strip_vlan,NORMAL");
        assert_eq!(flow.to_string().parse(), Ok(flow));
    }

    #[test]
    fn fields_are_brought_into_the_order_in_which_they_are_printed() {
        let text = "table=1,priority=150,in_port=2,vlan_tci=0x0000/0x1fff,icmp6,dl_src=fa:16:3e:00:00:01,\
                    icmp_type=135,ipv6_src=::,nd_target=2001:db8::5/128 actions=drop";
        let flow = text.parse::<Flow>().unwrap().canonical();
        assert_eq!(
            flow.matches,
            "icmp6,in_port=2,vlan_tci=0x0000/0x1fff,dl_src=fa:16:3e:00:00:01,ipv6_src=::,icmp_type=135,\
             nd_target=2001:db8::5"
        );
        let block = Flow::new(0, 1, "in_port=1,ip,nw_dst=198.51.100.0/24", "drop").canonical();
        assert_eq!(block.matches, "ip,in_port=1,nw_dst=198.51.100.0/24");
    }

    #[test]
    fn a_flow_without_match_has_no_stray_comma() {
        let flow = Flow::new(60, 1, "", "NORMAL");
        assert_eq!(flow.to_string(), "table=60,priority=1 actions=NORMAL");
        assert_eq!("table=60, priority=1 actions=NORMAL".parse(), Ok(flow));
    }

    #[test]
    fn differences_are_those_of_the_sets() {
        let flow = |number: u16| Flow::new(0, number, "", "drop");
        let set = |bits: u16| (0..4).filter(|bit| bits >> bit & 1 == 1).map(flow).collect::<BTreeSet<_>>();
        for (left, right) in (0..16).flat_map(|left| (0..16).map(move |right| (set(left), set(right)))) {
            let only = |a: &BTreeSet<Flow>, b: &BTreeSet<Flow>| a.difference(b).cloned().collect::<Vec<_>>();
            assert_eq!(differences(&left, &right), (only(&left, &right), only(&right, &left)));
        }
    }

    #[test]
    fn a_line_without_actions_is_refused() {
        assert!("NXST_FLOW reply (xid=0x4):".parse::<Flow>().is_err());
    }
}
