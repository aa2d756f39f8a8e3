//! What both rule languages are told: ports by interface, and which sets there are.

use std::collections::{BTreeMap, BTreeSet};

use secgroup_rpc::{
    Device, Direction, Family, Group, Info, IpSpec, Rule, Uuid, anti_spoof,
    ipnet::{IpNet, Ipv4Net, Ipv6Net},
    macaddr::MacAddr6,
};

use super::Style;

/// Neutron's first conntrack zone for security groups (`neutron/agent/linux/ip_conntrack.py`,
/// `ZONE_START`).
const FIRST_ZONE: usize = 4097;

/// Names are cut to so many characters of an id.
const ID_CHARACTERS: usize = 11;

/// A filter, sorted by what has to be written.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The reply.
    pub(super) info: &'a Info,
    /// Filtered ports.
    pub(super) ports: Vec<Port<'a>>,
    /// Interfaces of ports that pass everything.
    pub(super) unfiltered: Vec<String>,
    /// Bridge and conntrack zone of each network.
    pub(super) zones: BTreeMap<String, usize>,
}

/// A filtered port.
#[derive(Debug)]
pub(super) struct Port<'a> {
    pub(super) device: &'a Device,
    pub(super) interface: String,
    /// Sources that it may send with, IPv4: no two overlap.
    pub(super) sources4: Vec<Source>,
    /// The same for IPv6.
    pub(super) sources6: Vec<Source>,
    /// False if its groups are stateless: replies need rules of their own.
    pub(super) is_stateful: bool,
}

/// A source MAC and prefix that a port may send with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Source {
    pub(super) mac: MacAddr6,
    pub(super) net: IpNet,
}

impl<'a> Plan<'a> {
    /// Fails with what is wrong if two ports would have the same interface.
    pub(super) fn new(info: &'a Info, style: &Style) -> Result<Self, String> {
        let mut taken = BTreeSet::new();
        let (mut ports, mut unfiltered) = (Vec::new(), Vec::new());
        for device in &info.devices {
            let interface = named(&style.interface, device.id);
            if !taken.insert(interface.clone()) {
                return Err(format!("two ports would be {interface}: {} is one of them", device.id));
            }
            if device.is_filtered() {
                ports.push(Port::new(info, device, interface));
            } else {
                unfiltered.push(interface);
            }
        }
        let networks = info.devices.iter().filter_map(|device| device.network);
        let bridges: BTreeSet<_> = networks.map(|network| named(&style.bridge, network)).collect();
        let zones = bridges.into_iter().zip(FIRST_ZONE..).collect();
        Ok(Self { info, ports, unfiltered, zones })
    }

    /// The sets that rules name, by id and family, each with its members as prefixes, host bits
    /// cleared.
    pub(super) fn sets(&self) -> BTreeMap<(Uuid, Family), Vec<IpNet>> {
        let named = self.info.groups.iter().flat_map(|group| &group.rules);
        let keys = named.filter_map(|rule| Some((rule.remote?.id(), rule.family)));
        keys.map(|(id, family)| ((id, family), self.members(id, family))).collect()
    }

    /// The members of a set as prefixes that differ.
    pub(super) fn members(&self, id: Uuid, family: Family) -> Vec<IpNet> {
        let set = self.info.member_set(id).into_iter().flat_map(|set| set.members(family));
        set.map(|member| member.address.net()).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl<'a> Port<'a> {
    fn new(info: &'a Info, device: &'a Device, interface: String) -> Self {
        let (v4, v6) = anti_spoof(device);
        let any4 = IpNet::V4(Ipv4Net::default());
        let any6 = IpNet::V6(Ipv6Net::default());
        Self {
            device,
            interface,
            sources4: apart(v4.into_iter().map(|(mac, spec)| source(mac, spec, any4))),
            sources6: apart(v6.into_iter().map(|(mac, spec)| source(mac, spec, any6))),
            is_stateful: is_stateful(info, device),
        }
    }

    /// What it may send with.
    pub(super) fn sources(&self, family: Family) -> &[Source] {
        match family {
            Family::V4 => &self.sources4,
            Family::V6 => &self.sources6,
        }
    }

    /// The groups whose rules it has.
    pub(super) fn groups<'b>(&'b self, info: &'a Info) -> impl Iterator<Item = &'a Group> + 'b {
        self.device.groups.iter().filter_map(|id| info.group(*id))
    }

    /// Its own rules, mostly for DHCP.
    pub(super) fn own_rules(&self, direction: Direction, family: Family) -> Vec<Rule> {
        let mut rules = self.device.rules().into_owned();
        rules.retain(|rule| rule.direction == direction && rule.family == family);
        rules
    }
}

fn source(mac: MacAddr6, spec: Option<IpSpec>, any: IpNet) -> Source {
    Source { mac, net: spec.map_or(any, IpSpec::net) }
}

/// The sources without those that another one covers: prefixes are nested or apart.
fn apart(sources: impl Iterator<Item = Source>) -> Vec<Source> {
    let mut kept: Vec<Source> = Vec::new();
    for new in sources {
        let covers = |a: &Source, b: &Source| a.mac == b.mac && a.net.contains(&b.net);
        if !kept.iter().any(|old| covers(old, &new)) {
            kept.retain(|old| !covers(&new, old));
            kept.push(new);
        }
    }
    kept
}

/// A port cannot mix stateful and stateless groups, so its first rule tells; ports of Neutron's own
/// services are always tracked (`_get_port_sg_rules` of the iptables driver).
fn is_stateful(info: &Info, device: &Device) -> bool {
    let is_service = device
        .owner
        .as_deref()
        .is_some_and(|owner| owner.starts_with("network:") || owner.starts_with("neutron:"));
    let mut rules = device.groups.iter().filter_map(|id| info.group(*id)).flat_map(|group| &group.rules);
    is_service || rules.next().and_then(|rule| rule.stateful).unwrap_or(true)
}

fn named(prefix: &str, id: Uuid) -> String {
    prefix.chars().chain(id.to_string().chars().take(ID_CHARACTERS)).collect()
}
