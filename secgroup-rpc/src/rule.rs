//! Security-group rules, as they stand in a group and as they come out of expansion.

use alloc::boxed::Box;
use ipnet::IpNet;

use crate::{Patch, Protocol, Uuid};

/// The direction of a rule as seen from the port.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Direction {
    /// From the port into the network.
    Egress,
    /// From the network to the port.
    Ingress,
}

impl Direction {
    /// Neutron's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// The IP version of a rule, an address or a member list; Neutron calls it "ethertype".
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// `"IPv4"`
    V4,
    /// `"IPv6"`
    V6,
}

impl Family {
    /// Neutron's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The family of `net`.
    pub const fn of_net(net: IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }
}

/// A range of ports, or an ICMP type and code; each end may be absent.
///
/// For ICMP `min` is the type, `max` the code, and an absent end matches all.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PortRange {
    /// `port_range_min`
    pub min: Option<u16>,
    /// `port_range_max`
    pub max: Option<u16>,
}

impl PortRange {
    /// No constraint.
    pub const ANY: Self = Self { min: None, max: None };

    /// Exactly `port`.
    pub const fn single(port: u16) -> Self {
        Self { min: Some(port), max: Some(port) }
    }

    /// True if `port` lies in the range; an absent end does not constrain.
    pub fn contains(self, port: u16) -> bool {
        self.min.is_none_or(|min| min <= port) && self.max.is_none_or(|max| port <= max)
    }
}

/// The remote side of a rule, when it is a set kept elsewhere in the message.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Remote {
    /// `remote_group_id`: the ports of a security group.
    Group(Uuid),
    /// `remote_address_group_id`: the prefixes of an address group.
    AddressGroup(Uuid),
}

impl Remote {
    /// The id of the set, whichever kind it is.
    pub const fn id(self) -> Uuid {
        match self {
            Self::Group(id) | Self::AddressGroup(id) => id,
        }
    }
}

/// A rule: it lets a packet pass if every present field matches. Rules never forbid.
///
/// The order of rules (`Ord`) is that of the fields below and is what the binary form uses.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rule {
    /// `direction`
    pub direction: Direction,
    /// `ethertype`
    pub family: Family,
    /// `protocol`; absent means any.
    pub protocol: Option<Protocol>,
    /// `port_range_min` and `port_range_max`: destination ports, or ICMP type and code.
    pub ports: PortRange,
    /// `source_port_range_min` and `source_port_range_max`: only provider rules have them. The
    /// Router Advertisement rule keeps its ICMPv6 type here.
    pub source_ports: PortRange,
    /// `source_ip_prefix`, with host bits as the user wrote them.
    pub source: Option<IpNet>,
    /// `dest_ip_prefix`, with host bits as the user wrote them.
    pub destination: Option<IpNet>,
    /// `remote_group_id` or `remote_address_group_id`. Kept beside the prefix after expansion.
    pub remote: Option<Remote>,
    /// `stateful`: the group's flag; absent before 2020 and in the legacy call.
    pub stateful: Option<bool>,
    /// `security_group_id`: present in database rules of the legacy call only.
    pub group: Option<Uuid>,
    /// What the fields do not say; `None` almost always.
    pub patch: Option<Box<Patch>>,
}

impl Rule {
    /// The rule without any constraint beyond direction and family.
    pub const fn any(direction: Direction, family: Family) -> Self {
        Self {
            direction,
            family,
            protocol: None,
            ports: PortRange::ANY,
            source_ports: PortRange::ANY,
            source: None,
            destination: None,
            remote: None,
            stateful: None,
            group: None,
            patch: None,
        }
    }

    /// The prefix of the far end: source on ingress, destination on egress.
    pub const fn remote_prefix(&self) -> Option<IpNet> {
        match self.direction {
            Direction::Ingress => self.source,
            Direction::Egress => self.destination,
        }
    }

    /// This rule for the far end `prefix`: what expansion makes of a rule with a remote set.
    pub fn with_remote_prefix(&self, prefix: IpNet) -> Self {
        let mut rule = self.clone();
        match self.direction {
            Direction::Ingress => rule.source = Some(prefix),
            Direction::Egress => rule.destination = Some(prefix),
        }
        rule
    }

    /// The rule with host bits of its prefixes cleared: equal filters compare equal.
    pub fn masked(&self) -> Self {
        let mut rule = self.clone();
        rule.source = rule.source.map(|net| net.trunc());
        rule.destination = rule.destination.map(|net| net.trunc());
        rule
    }

    /// What `protocol` means in this family: plain `icmp` on IPv6 is ICMPv6. `None` matches all, and
    /// so does the number 0, which the drivers write without a match.
    pub fn protocol_number(&self) -> Option<u8> {
        match (self.protocol?.number(), self.family) {
            (0, _) => None,
            (1, Family::V6) => Some(58),
            (number, _) => Some(number),
        }
    }
}
