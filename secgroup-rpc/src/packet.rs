//! Would this packet pass, and by which rule?

use core::net::IpAddr;

use crate::{
    Device, Direction, Family, Info, IpSpec, Member, MemberSet, Protocol, Rule, Uuid, info::provider_rules,
};

/// The first packet of a flow, as a filter sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet {
    /// To or from the port.
    pub direction: Direction,
    /// Source address.
    pub source: IpAddr,
    /// Destination address; of the same family.
    pub destination: IpAddr,
    /// Protocol number of the IP header (for IPv6: after extension headers).
    pub protocol: u8,
    /// Source and destination port, or ICMP type and code; `None` if the protocol has neither.
    pub ports: Option<(u16, u16)>,
}

/// What becomes of a packet, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The message does not have the device: Neutron leaves out trusted ports, so agents pass it.
    UnknownDevice,
    /// `port_security_enabled` is false: everything passes.
    Unfiltered,
    /// Neighbour discovery and multicast listener queries (ICMPv6 130, 135, 136) always come in.
    Discovery,
    /// Passes by this rule.
    Allowed(Rule),
    /// No rule lets it pass.
    Denied,
}

impl Verdict {
    /// True unless [`Verdict::Denied`].
    pub const fn passes(&self) -> bool {
        !matches!(self, Self::Denied)
    }
}

impl Packet {
    /// The address at the other end.
    pub const fn far(&self) -> IpAddr {
        match self.direction {
            Direction::Ingress => self.source,
            Direction::Egress => self.destination,
        }
    }

    /// The IP version.
    pub const fn family(&self) -> Family {
        match self.far() {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    pub(crate) fn is_discovery(&self) -> bool {
        self.direction == Direction::Ingress
            && self.family() == Family::V6
            && self.protocol == 58
            && matches!(self.ports, Some((130 | 135 | 136, _)))
    }
}

impl Rule {
    /// True if the rule lets `packet` pass; `is_member` tells whether the far end is in a remote set.
    ///
    /// After expansion the prefix of the far end says it all, and `is_member` is not asked.
    pub fn matches(&self, packet: &Packet, is_member: impl FnOnce(Uuid) -> bool) -> bool {
        if self.direction != packet.direction || self.family != packet.family() {
            return false;
        }
        if self.protocol_number().is_some_and(|number| number != packet.protocol) {
            return false;
        }
        let (first, second) = packet.ports.unwrap_or_default();
        let fits = if self.protocol.is_some_and(Protocol::is_icmp) {
            let is = |wanted: Option<u16>, found| {
                wanted.is_none_or(|wanted| packet.ports.is_some() && wanted == found)
            };
            is(self.ports.min, first) && is(self.ports.max, second) && is(self.source_ports.min, first)
        } else {
            self.source_ports.contains(first) && self.ports.contains(second)
        };
        let within = |net: Option<ipnet::IpNet>, address| net.is_none_or(|net| net.contains(&address));
        fits && within(self.source, packet.source)
            && within(self.destination, packet.destination)
            && (self.remote_prefix().is_some() || self.remote.is_none_or(|remote| is_member(remote.id())))
    }
}

impl Info {
    /// Would `packet` pass the filter of `device`? Anti-spoof checks, which need the Ethernet header,
    /// and connection tracking are apart. O(rules + log members).
    pub fn check(&self, device: Uuid, packet: &Packet) -> Verdict {
        let Ok(at) = self.devices.binary_search_by_key(&device, |device| device.id) else {
            return Verdict::UnknownDevice;
        };
        let Some(device) = self.devices.get(at) else { return Verdict::UnknownDevice };
        if !device.is_filtered() {
            return Verdict::Unfiltered;
        }
        if packet.is_discovery() {
            return Verdict::Discovery;
        }
        let is_member = |id| self.member_set(id).is_some_and(|set| is_far_end(set, device, packet.far()));
        let groups = device.groups.iter().filter_map(|id| self.group(*id));
        let own = match &device.own_rules {
            Some(rules) => rules.iter().find(|rule| rule.matches(packet, is_member)).cloned(),
            None => {
                provider_rules(device.fixed_ips.iter().copied()).find(|rule| rule.matches(packet, is_member))
            }
        };
        let mut from_groups = groups.flat_map(|group| &group.rules);
        let rule = own.or_else(|| from_groups.find(|rule| rule.matches(packet, is_member)).cloned());
        rule.map_or(Verdict::Denied, Verdict::Allowed)
    }
}

/// A device's own address is a far end only as part of a written prefix, as in expansion.
fn is_far_end(set: &MemberSet, device: &Device, far: IpAddr) -> bool {
    if !device.fixed_ips.contains(&far) {
        return set.contains(far);
    }
    let family = if far.is_ipv4() { Family::V4 } else { Family::V6 };
    set.members(family).any(|member| covers(&member, far, true))
}

/// True if `member` admits `far`; `own` tells that it is the device's own address.
pub(crate) fn covers(member: &Member, far: IpAddr, own: bool) -> bool {
    match member.address {
        IpSpec::Host(host) => !own && host == far,
        IpSpec::Net(net) => net.contains(&far),
    }
}
