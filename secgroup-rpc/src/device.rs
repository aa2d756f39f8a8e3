//! Devices: the ports of one host whose packets an agent filters.

use alloc::{borrow::Cow, boxed::Box, string::ToString, vec::Vec};
use core::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use macaddr::MacAddr6;

use crate::{Family, List, Patch, Rule, Uuid};

/// An address or a prefix, as written: `10.0.0.4` and `10.0.0.4/32` are different texts, and only
/// the first is recognised as a port's own address in expansion.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum IpSpec {
    /// Written without a prefix length.
    Host(IpAddr),
    /// Written with a prefix length; may have host bits.
    Net(IpNet),
}

impl IpSpec {
    /// The prefix that this means: full length for a host, host bits cleared for a net.
    pub fn net(self) -> IpNet {
        match self {
            Self::Host(host) => IpNet::from(host),
            Self::Net(net) => net.trunc(),
        }
    }

    /// The IP version.
    pub const fn family(self) -> Family {
        match self {
            Self::Host(IpAddr::V4(_)) | Self::Net(IpNet::V4(_)) => Family::V4,
            Self::Host(IpAddr::V6(_)) | Self::Net(IpNet::V6(_)) => Family::V6,
        }
    }
}

/// An `allowed_address_pairs` entry: the port may also send from here.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AddressPair {
    /// `ip_address`: an address or a CIDR, down to /0.
    pub address: IpSpec,
    /// `mac_address`
    pub mac: MacAddr6,
}

/// A port, with what a packet filter needs to know of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// `id`, and the key of the device in a reply.
    pub id: Uuid,
    /// `device`: the name that the agent asked by; `None` if it is the id.
    pub name: Option<Box<str>>,
    /// `mac_address`
    pub mac: MacAddr6,
    /// `fixed_ips`: a set, kept sorted; may be empty.
    pub fixed_ips: List<IpAddr, 2>,
    /// `allowed_address_pairs`: a set, kept sorted.
    pub pairs: Vec<AddressPair>,
    /// `security_groups`: a set, kept sorted; may be empty.
    pub groups: List<Uuid, 2>,
    /// `port_security_enabled`; absent means true. False means no filter at all.
    pub port_security: Option<bool>,
    /// `device_owner`, such as `compute:nova`; absent in hand-made messages only.
    pub owner: Option<Cow<'static, str>>,
    /// `network_id`
    pub network: Option<Uuid>,
    /// `security_group_rules` of the compact call, if they are not the provider rules that follow
    /// from `fixed_ips` (see [`Device::provider_rules`]); sorted.
    pub own_rules: Option<Vec<Rule>>,
    /// What the fields above do not say. Empty in the semantic profile.
    pub patch: Patch,
}

impl Device {
    /// A port with this id and MAC address and nothing else.
    pub const fn new(id: Uuid, mac: MacAddr6) -> Self {
        Self {
            id,
            name: None,
            mac,
            fixed_ips: List::new(),
            pairs: Vec::new(),
            groups: List::new(),
            port_security: None,
            owner: None,
            network: None,
            own_rules: None,
            patch: Patch::new(),
        }
    }

    /// False if the port passes everything (`port_security_enabled: false`).
    pub const fn is_filtered(&self) -> bool {
        !matches!(self.port_security, Some(false))
    }

    /// The device's own rules: those that the message gave, else the provider rules.
    pub fn rules(&self) -> Cow<'_, [Rule]> {
        match &self.own_rules {
            Some(rules) => Cow::Borrowed(rules),
            None => Cow::Owned(self.provider_rules()),
        }
    }

    /// Sorts what is a set: addresses, pairs, groups and own rules.
    pub(crate) fn normalize(&mut self) {
        self.fixed_ips.sort_as_set();
        crate::members::sort_as_set(&mut self.pairs);
        self.groups.sort_as_set();
        if let Some(rules) = &mut self.own_rules {
            rules.sort_unstable();
        }
        if self.name.as_deref().is_some_and(|name| *name == *self.id.to_string()) {
            self.name = None;
        }
    }

    pub(crate) fn is_normalized(&self) -> bool {
        self.fixed_ips.is_sorted_by(|a, b| a < b)
            && self.pairs.is_sorted_by(|a, b| a < b)
            && self.groups.is_sorted_by(|a, b| a < b)
            && self.own_rules.as_ref().is_none_or(|rules| rules.is_sorted())
            && self.name.as_deref().is_none_or(|name| *name != *self.id.to_string())
    }
}

/// The link-local address that follows from `mac` (RFC 4291, appendix A): `fe80::` and the modified
/// EUI-64.
pub fn link_local(mac: MacAddr6) -> Ipv6Addr {
    Ipv6Addr::from(0xFE80_u128 << 112 | u128::from(eui64(mac)))
}

/// The modified EUI-64 interface identifier of `mac` (RFC 4291, appendix A).
pub(crate) fn eui64(mac: MacAddr6) -> u64 {
    let [a, b, c, d, e, f] = mac.into_array();
    u64::from_be_bytes([a ^ 2, b, c, 0xFF, 0xFE, d, e, f])
}
