//! The reply of `security_group_info_for_devices`: devices, groups and members, each said once.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{Device, Direction, Family, MemberSet, Patch, PortRange, Protocol, Remote, Rule, Uuid};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// How members are written in JSON; everything else is the same in all versions.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CallVersion {
    /// 1.2: a member is an address.
    V1_2,
    /// 1.3: a member is an address and a MAC or null.
    #[default]
    V1_3,
}

/// A security group bound to one of the devices, with its rules.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Group {
    /// The group's id.
    pub id: Uuid,
    /// Its rules, sorted; may be empty.
    pub rules: Vec<Rule>,
}

/// What an agent must know to filter the packets of some devices.
///
/// All lists are sorted by id, ids are unique: see [`Info::normalize`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Info {
    /// The shape of member entries in JSON.
    pub version: CallVersion,
    /// `devices`: unknown and trusted ones are left out by the server.
    pub devices: Vec<Device>,
    /// `security_groups`: every group that a device names.
    pub groups: Vec<Group>,
    /// `sg_member_ips`: every group and address group that a rule names.
    pub members: Vec<MemberSet>,
    /// Unknown keys beside these three.
    pub patch: Patch,
}

/// The two remote-id lists of a device: `security_group_source_groups` and
/// `security_group_remote_address_groups`, as they follow from the rules of its groups.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SourceGroups {
    /// Groups, sorted, without repetition.
    pub groups: Vec<Uuid>,
    /// Address groups, sorted, without repetition.
    pub address_groups: Vec<Uuid>,
}

impl Info {
    /// Brings every list into the canonical order; an entry that repeats an id replaces the earlier
    /// one. O(n) if the order is right already.
    pub fn normalize(&mut self) {
        self.devices.iter_mut().for_each(Device::normalize);
        self.groups.iter_mut().for_each(|group| {
            if !group.rules.is_sorted() {
                group.rules.sort_unstable();
            }
        });
        self.members.iter_mut().for_each(MemberSet::normalize);
        sort_by_id(&mut self.devices, |device| device.id);
        sort_by_id(&mut self.groups, |group| group.id);
        sort_by_id(&mut self.members, |set| set.id);
    }

    /// True if every list is in the canonical order.
    pub(crate) fn is_normalized(&self) -> bool {
        self.devices.is_sorted_by(|a, b| a.id < b.id)
            && self.groups.is_sorted_by(|a, b| a.id < b.id)
            && self.members.is_sorted_by(|a, b| a.id < b.id)
            && self.devices.iter().all(Device::is_normalized)
            && self.groups.iter().all(|group| group.rules.is_sorted())
            && self.members.iter().all(MemberSet::is_normalized)
    }

    /// Drops what a filter does not need: every unknown or unused key.
    pub fn strip(&mut self) {
        self.patch.clear();
        for device in &mut self.devices {
            device.patch.clear();
            device.own_rules.iter_mut().flatten().for_each(|rule| rule.patch = None);
        }
        self.groups.iter_mut().flat_map(|group| &mut group.rules).for_each(|rule| rule.patch = None);
        self.members.iter_mut().for_each(|set| set.patch.clear());
    }

    /// The rules of group `id`; `None` if the message does not have it. O(log n).
    pub fn group(&self, id: Uuid) -> Option<&Group> {
        let at = self.groups.binary_search_by_key(&id, |group| group.id).ok()?;
        self.groups.get(at)
    }

    /// The members of the group or address group `id`. O(log n).
    pub fn member_set(&self, id: Uuid) -> Option<&MemberSet> {
        let at = self.members.binary_search_by_key(&id, |set| set.id).ok()?;
        self.members.get(at)
    }

    /// The remote groups that the rules of each group name; feed it to
    /// [`Info::source_groups`]. O(rules).
    pub(crate) fn remotes_by_group(&self) -> BTreeMap<Uuid, SourceGroups> {
        let remotes = |group: &Group| {
            let mut sources = SourceGroups::default();
            for remote in group.rules.iter().filter_map(|rule| rule.remote) {
                match remote {
                    Remote::Group(id) => sources.groups.push(id),
                    Remote::AddressGroup(id) => sources.address_groups.push(id),
                }
            }
            sources.normalize();
            (group.id, sources)
        };
        self.groups.iter().map(remotes).collect()
    }
}

impl SourceGroups {
    /// What follows for a device from the rules of its groups.
    pub(crate) fn of(device: &Device, by_group: &BTreeMap<Uuid, Self>) -> Self {
        let mut sources = Self::default();
        for found in device.groups.iter().filter_map(|id| by_group.get(id)) {
            sources.groups.extend_from_slice(&found.groups);
            sources.address_groups.extend_from_slice(&found.address_groups);
        }
        sources.normalize();
        sources
    }

    fn normalize(&mut self) {
        crate::members::sort_as_set(&mut self.groups);
        crate::members::sort_as_set(&mut self.address_groups);
    }
}

impl Device {
    /// The rules that the server adds for every port since Pike: Router Advertisements if the port
    /// has an IPv6 address, and DHCP replies to its own, the broadcast and the link-local addresses
    /// (`neutron/db/securitygroups_rpc_base.py`, `_apply_provider_rule`).
    pub fn provider_rules(&self) -> Vec<Rule> {
        provider_rules(self.fixed_ips.iter().copied()).collect()
    }
}

/// [`Device::provider_rules`] for these addresses.
pub(crate) fn provider_rules(fixed_ips: impl Iterator<Item = IpAddr> + Clone) -> impl Iterator<Item = Rule> {
    let advertisement = Rule {
        protocol: Some(Protocol::IPV6_ICMP),
        source_ports: PortRange { min: Some(134), max: None },
        ..Rule::any(Direction::Ingress, Family::V6)
    };
    let advertisement = fixed_ips.clone().any(|address| address.is_ipv6()).then_some(advertisement);
    let own4 = fixed_ips.clone().filter(IpAddr::is_ipv4).map(IpNet::from);
    let broadcast = IpNet::V4(Ipv4Net::from(Ipv4Addr::BROADCAST));
    let own6 = fixed_ips.filter(IpAddr::is_ipv6).map(IpNet::from);
    let link_local = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 0), 64));
    let rules4 = own4.chain([broadcast]).map(|to| dhcp_rule(Family::V4, to, 67, 68));
    let rules6 = own6.chain([link_local]).map(|to| dhcp_rule(Family::V6, to, 547, 546));
    advertisement.into_iter().chain(rules4).chain(rules6)
}

fn dhcp_rule(family: Family, to: IpNet, server_port: u16, client_port: u16) -> Rule {
    Rule {
        protocol: Some(Protocol::UDP),
        ports: PortRange::single(client_port),
        source_ports: PortRange::single(server_port),
        destination: Some(to),
        ..Rule::any(Direction::Ingress, family)
    }
}

fn sort_by_id<T>(items: &mut Vec<T>, id: impl Fn(&T) -> Uuid) {
    if items.is_sorted_by(|a, b| id(a) < id(b)) {
        return;
    }
    items.sort_by_key(&id);
    // Keep the last of equal ids, as a JSON object does.
    items.reverse();
    items.dedup_by_key(|item| id(item));
    items.reverse();
}
