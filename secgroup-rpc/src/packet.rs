//! Would this packet pass, and by which rule?

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use macaddr::MacAddr6;

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
    /// Neighbour discovery and multicast listener queries (ICMPv6 130, 135, 136) always come in, and
    /// all ICMPv6 but Router Advertisements (134) always goes out.
    Discovery,
    /// What a DHCP client asks (UDP 68 to 67, on IPv6 546 to 547) always goes out.
    DhcpClient,
    /// Router Advertisements and what a DHCP server says never go out, whatever the rules say.
    Forbidden,
    /// Passes by this rule.
    Allowed(Rule),
    /// No rule lets it pass.
    Denied,
}

impl Verdict {
    /// True unless [`Verdict::Denied`] or [`Verdict::Forbidden`].
    pub const fn passes(&self) -> bool {
        !matches!(self, Self::Denied | Self::Forbidden)
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

    /// What is decided before any rule is asked (`_accept_inbound_icmpv6`, `_spoofing_rule` and
    /// `_drop_dhcp_rule` of Neutron's iptables driver).
    pub(crate) const fn fixed_verdict(&self) -> Option<Verdict> {
        let (family, ports) = (self.family(), self.ports);
        match (self.direction, family, self.protocol, ports) {
            (Direction::Ingress, Family::V6, 58, Some((130 | 135 | 136, _))) => Some(Verdict::Discovery),
            (Direction::Egress, Family::V6, 58, Some((134, _))) => Some(Verdict::Forbidden),
            (Direction::Egress, Family::V6, 58, _) => Some(Verdict::Discovery),
            (Direction::Egress, Family::V4, 17, Some((68, 67)))
            | (Direction::Egress, Family::V6, 17, Some((546, 547))) => Some(Verdict::DhcpClient),
            (Direction::Egress, Family::V4, 17, Some((67, 68)))
            | (Direction::Egress, Family::V6, 17, Some((547, 546))) => Some(Verdict::Forbidden),
            _ => None,
        }
    }

    /// True for what a port without an address may send: a DHCP client's broadcast, and the ICMPv6
    /// of duplicate address detection (131, 135, 143) from the unspecified address.
    const fn is_from_nowhere(&self) -> bool {
        match (self.source, self.destination, self.protocol, self.ports) {
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::BROADCAST), 17, Some((68, 67))) => true,
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(to), 58, Some((131 | 135 | 143, _))) => {
                to.octets()[0] == 0xFF && to.octets()[1] == 2
            }
            _ => false,
        }
    }
}

impl Device {
    /// True if the anti-spoof check lets the device send `packet` with this source MAC: it is one of
    /// the pairs of [`anti_spoof`](crate::anti_spoof), or what a port without an address may send.
    /// What comes in is not checked. O(addresses and pairs), allocates.
    pub fn may_send(&self, mac: MacAddr6, packet: &Packet) -> bool {
        if !self.is_filtered() || packet.direction == Direction::Ingress || packet.is_from_nowhere() {
            return true;
        }
        let (v4, v6) = crate::anti_spoof(self);
        let pairs = if packet.source.is_ipv4() { v4 } else { v6 };
        let is_source = |spec: IpSpec| spec.net().contains(&packet.source);
        pairs.iter().any(|(pair, address)| *pair == mac && address.is_none_or(is_source))
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
    /// Would `packet` pass the filter of `device`? The anti-spoof check, which needs the Ethernet header,
    /// is [`Device::may_send`]; connection tracking is the caller's. O(rules + log members).
    pub fn check(&self, device: Uuid, packet: &Packet) -> Verdict {
        let Ok(at) = self.devices.binary_search_by_key(&device, |device| device.id) else {
            return Verdict::UnknownDevice;
        };
        let Some(device) = self.devices.get(at) else { return Verdict::UnknownDevice };
        if !device.is_filtered() {
            return Verdict::Unfiltered;
        }
        if let Some(verdict) = packet.fixed_verdict() {
            return verdict;
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
