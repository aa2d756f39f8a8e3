//! From sets to rules: what an agent's packet filter is made of, exactly as Neutron's agent and
//! Neutron's legacy call do it.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::net::IpAddr;

use macaddr::MacAddr6;

use crate::{
    Device, Direction, Family, Group, Info, IpSpec, Legacy, MemberSet, Rule, Uuid, device::link_local,
};

/// What a device may claim to be: a source MAC, and a source address or (`None`) any.
pub type SpoofPair = (MacAddr6, Option<IpSpec>);

/// The filter of one device, with no set left in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExpandedDevice {
    /// The port's id.
    pub id: Uuid,
    /// False if the port passes everything.
    pub filtered: bool,
    /// Rules for packets to the port.
    pub ingress: Vec<Rule>,
    /// Rules for packets from the port.
    pub egress: Vec<Rule>,
    /// What the port may send as, IPv4.
    pub anti_spoof_v4: Vec<SpoofPair>,
    /// What the port may send as, IPv6; with the link-local address of each MAC.
    pub anti_spoof_v6: Vec<SpoofPair>,
}

impl Info {
    /// The filter of every device, in the order of [`Info::devices`].
    ///
    /// O(rules out): every group and set is found once per device and rule by binary search.
    pub fn expand(&self) -> impl Iterator<Item = ExpandedDevice> + '_ {
        self.devices.iter().map(|device| self.expand_device(device))
    }

    /// The filter of one device: its own rules, then those of its groups, where a rule with a remote
    /// set becomes one rule per member of its family (`neutron/agent/linux/iptables_firewall.py`,
    /// ipset off).
    pub fn expand_device(&self, device: &Device) -> ExpandedDevice {
        let (mut ingress, mut egress) = (Vec::new(), Vec::new());
        let mut put = |rule: Rule| match rule.direction {
            Direction::Ingress => ingress.push(rule),
            Direction::Egress => egress.push(rule),
        };
        device.rules().iter().cloned().for_each(&mut put);
        for rule in device.groups.iter().filter_map(|id| self.group(*id)).flat_map(|group| &group.rules) {
            match rule.remote {
                None => put(rule.clone()),
                Some(remote) => {
                    let set = self.member_set(remote.id());
                    let far = set.into_iter().flat_map(|set| far_ends(set, rule.family, device));
                    far.for_each(|prefix| put(rule.with_remote_prefix(prefix)));
                }
            }
        }
        let (anti_spoof_v4, anti_spoof_v6) = anti_spoof(device);
        ExpandedDevice {
            id: device.id,
            filtered: device.is_filtered(),
            ingress,
            egress,
            anti_spoof_v4,
            anti_spoof_v6,
        }
    }

    /// The reply of the legacy call that says the same.
    ///
    /// Database rules carry their group and no `stateful`; unknown keys of devices are kept.
    pub fn to_legacy(&self) -> Legacy {
        let entry = |device: &Device| {
            let mut rules = device.rules().into_owned();
            for group in device.groups.iter().filter_map(|id| self.group(*id)) {
                rules.extend(self.group_rules(group, device));
            }
            rules.sort_unstable();
            crate::LegacyDevice { device: Device { own_rules: None, ..device.clone() }, rules }
        };
        Legacy { devices: self.devices.iter().map(entry).collect() }
    }

    /// How many rules [`Info::to_legacy`] makes, at most; saturates. O(devices x rules).
    pub(crate) fn legacy_rules(&self) -> usize {
        let of_rule = |rule: &Rule| match rule.remote {
            None => 1,
            Some(remote) => self.member_set(remote.id()).map_or(0, MemberSet::len),
        };
        let of_group = |group: &Group| group.rules.iter().map(of_rule).fold(0, usize::saturating_add);
        let by_group: BTreeMap<Uuid, usize> = self.groups.iter().map(|g| (g.id, of_group(g))).collect();
        let groups = self.devices.iter().flat_map(|device| &*device.groups);
        groups.filter_map(|id| by_group.get(id)).fold(0, |sum, rules| sum.saturating_add(*rules))
    }

    fn group_rules<'a>(&'a self, group: &'a Group, device: &'a Device) -> impl Iterator<Item = Rule> + 'a {
        group.rules.iter().flat_map(move |rule| {
            let database = Rule { stateful: None, group: Some(group.id), ..rule.clone() };
            let set = rule.remote.and_then(|remote| self.member_set(remote.id()));
            let far = set.into_iter().flat_map(|set| far_ends(set, rule.family, device));
            let expanded: Vec<_> = far.map(|prefix| database.with_remote_prefix(prefix)).collect();
            let plain = rule.remote.is_none().then_some(database);
            plain.into_iter().chain(expanded)
        })
    }
}

/// The members that a rule of `device` is copied for: all but its own fixed addresses, compared as
/// text, so `10.0.0.4/32` is not an own address.
fn far_ends<'a>(
    set: &'a MemberSet,
    family: Family,
    device: &'a Device,
) -> impl Iterator<Item = ipnet::IpNet> + 'a {
    set.members(family)
        .filter(|member| !matches!(member.address, IpSpec::Host(host) if device.fixed_ips.contains(&host)))
        .map(|member| member.address.net())
}

/// The (MAC, source) pairs that `device` may send with (`_setup_spoof_filter_chain` and
/// `_build_ipv4v6_mac_ip_list` of the iptables driver): address pairs, then fixed addresses with the
/// port's MAC, each IPv6 one followed by its MAC's link-local address, once. A device without fixed
/// addresses may use any with its own MAC.
pub fn anti_spoof(device: &Device) -> (Vec<SpoofPair>, Vec<SpoofPair>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    let pairs = device.pairs.iter().map(|pair| (pair.mac, pair.address));
    let fixed = device.fixed_ips.iter().map(|&host| (device.mac, IpSpec::Host(host)));
    for (mac, address) in pairs.chain(fixed) {
        match address.family() {
            Family::V4 => v4.push((mac, Some(address))),
            Family::V6 => {
                v6.push((mac, Some(address)));
                let own = (mac, Some(IpSpec::Host(IpAddr::V6(link_local(mac)))));
                if !v6.contains(&own) {
                    v6.push(own);
                }
            }
        }
    }
    if device.fixed_ips.is_empty() {
        v4.push((device.mac, None));
        v6.push((device.mac, None));
    }
    (v4, v6)
}

impl Legacy {
    /// The filter of every device: the message has the rules, this sorts them by direction.
    pub fn expand(&self) -> impl Iterator<Item = ExpandedDevice> + '_ {
        self.devices.iter().map(|entry| {
            let (anti_spoof_v4, anti_spoof_v6) = anti_spoof(&entry.device);
            let of = |direction| entry.rules.iter().filter(move |rule| rule.direction == direction).cloned();
            ExpandedDevice {
                id: entry.device.id,
                filtered: entry.device.is_filtered(),
                ingress: of(Direction::Ingress).collect(),
                egress: of(Direction::Egress).collect(),
                anti_spoof_v4,
                anti_spoof_v6,
            }
        })
    }

    /// The compact reply that says the same: `compact().to_legacy()` has the same rules.
    ///
    /// Members are read off the expanded rules, so a group whose only member is the device itself
    /// leaves no trace. `None` if no compact reply expands to these rules, such as when two devices
    /// saw different members. O(n log n) in rules.
    pub fn compact(&self) -> Option<Info> {
        let mut groups: BTreeMap<Uuid, BTreeMap<Rule, ()>> = BTreeMap::new();
        let mut members: BTreeMap<Uuid, MemberSet> = BTreeMap::new();
        let mut info = Info::default();
        for entry in &self.devices {
            let mut device = entry.device.clone();
            let mut own = Vec::new();
            groups.extend(
                device
                    .groups
                    .iter()
                    .filter(|id| !groups.contains_key(id))
                    .map(|id| (*id, BTreeMap::new()))
                    .collect::<Vec<_>>(),
            );
            for rule in &entry.rules {
                let Some(group) = rule.group else {
                    own.push(rule.clone());
                    continue;
                };
                let mut rule = rule.clone();
                rule.group = None;
                if let Some(remote) = rule.remote {
                    let prefix = rule.remote_prefix()?;
                    let set = members.entry(remote.id()).or_insert_with(|| MemberSet::new(remote.id()));
                    set.push_bare(prefix);
                    match rule.direction {
                        Direction::Ingress => rule.source = None,
                        Direction::Egress => rule.destination = None,
                    }
                }
                groups.entry(group).or_default().insert(rule, ());
            }
            own.sort_unstable();
            let mut provider = device.provider_rules();
            provider.sort_unstable();
            device.own_rules = (own != provider).then_some(own);
            info.devices.push(device);
        }
        info.groups =
            groups.into_iter().map(|(id, rules)| Group { id, rules: rules.into_keys().collect() }).collect();
        info.members = members.into_values().collect();
        info.normalize();
        let again = info.to_legacy();
        let same = again.devices.iter().zip(&self.devices).all(|(a, b)| a.rules == b.rules);
        (same && again.devices.len() == self.devices.len()).then_some(info)
    }
}

impl MemberSet {
    /// Adds `prefix` as a bare address if it has full length.
    fn push_bare(&mut self, prefix: ipnet::IpNet) {
        let host = prefix.prefix_len() == prefix.max_prefix_len();
        let address = if host { IpSpec::Host(prefix.addr()) } else { IpSpec::Net(prefix) };
        self.push(crate::Member { address, mac: None });
    }
}

impl ExpandedDevice {
    /// The anti-spoof pairs of one family as text: MACs in upper case as netaddr prints them, except
    /// beside "any", where Neutron passes the port's own spelling through.
    pub fn spoof_texts(pairs: &[SpoofPair]) -> impl Iterator<Item = (String, Option<String>)> + '_ {
        pairs.iter().map(|(mac, address)| {
            let text = crate::neutron::mac_text(*mac);
            match address {
                Some(address) => (text.to_uppercase(), Some(address.to_string())),
                None => (text, None),
            }
        })
    }

    /// The filter as the JSON object that goes under the device's id:
    /// `{filtered, ingress, egress, anti_spoof_ipv4, anti_spoof_ipv6}`.
    pub fn to_value(&self) -> crate::Value {
        use crate::Value;
        let rules = |rules: &[Rule]| Value::Array(rules.iter().map(Rule::to_value).collect());
        let spoof = |pairs: &[SpoofPair]| {
            let pair = |(mac, address): (String, Option<String>)| {
                Value::Array([mac.into(), address.map_or(Value::Null, Value::from)].into())
            };
            Self::spoof_texts(pairs).map(pair).collect::<Value>()
        };
        crate::Object::from([
            ("filtered".into(), self.filtered.into()),
            ("ingress".into(), rules(&self.ingress)),
            ("egress".into(), rules(&self.egress)),
            ("anti_spoof_ipv4".into(), spoof(&self.anti_spoof_v4)),
            ("anti_spoof_ipv6".into(), spoof(&self.anti_spoof_v6)),
        ])
        .into()
    }
}
