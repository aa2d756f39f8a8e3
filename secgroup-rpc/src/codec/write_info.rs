//! Writing an [`Info`]: tables first, then devices by column, groups, and members.

use alloc::{string::ToString, vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use macaddr::MacAddr6;

use super::{
    bits::{Writer, width},
    column, ids, macs,
    macs::Vendors,
    pool::{self, Key6},
    rules::{self, RawRule, RuleFormat},
    set, texts,
};
use crate::{CallVersion, Device, Family, Info, IpSpec, Member, MemberSet, Members, Rule, Uuid};

/// Ways to write the name that an agent asked by.
pub(super) mod name {
    pub(crate) const ID: u64 = 0;
    /// `tap` and the first characters of the id, as interfaces are called.
    pub(crate) const TAP: u64 = 1;
    /// The first characters of the id.
    pub(crate) const PREFIX: u64 = 2;
    pub(crate) const LITERAL: u64 = 3;
    /// Length of an id's part in an interface name.
    pub(crate) const PART: usize = 11;
}

/// Writes `info`, which is in canonical order; patches are written elsewhere.
pub(super) fn write(to: &mut Writer, info: &Info) {
    let tables = Tables::of(info);
    to.bit(info.version == CallVersion::V1_2);
    to.bit(tables.format.group_ids);
    ids::write(to, info.devices.iter().map(|device| device.id));
    ids::write(to, tables.groups.iter().copied());
    tables.vendors.write_table(to);
    pool::write_v4(to, &tables.pool4);
    pool::write_v6(to, &tables.pool6);
    let places = Places::of(info, &tables);
    write_devices(to, info, &tables, &places);
    write_groups(to, info, &tables);
    write_members(to, info, &tables, &places);
}

/// What the rest of a message refers to by position.
struct Tables {
    groups: Vec<Uuid>,
    pool4: Vec<Ipv4Addr>,
    pool6: Vec<Key6>,
    index4: Index,
    vendors: Vendors,
    format: RuleFormat,
}

impl Tables {
    fn of(info: &Info) -> Self {
        let groups = group_ids(info);
        let (pool4, pool6) = pools(info);
        let explicit =
            info.devices.iter().filter(|device| !has_made_address(device)).map(|device| device.mac);
        let pairs = info.devices.iter().flat_map(|device| &device.pairs).map(|pair| pair.mac);
        let members = info.members.iter().flat_map(others).filter_map(|member| member.mac);
        let vendors = Vendors::of(explicit.chain(pairs).chain(members));
        let own = info.devices.iter().filter_map(|device| device.own_rules.as_ref()).flatten();
        let mut rules = info.groups.iter().flat_map(|group| &group.rules).chain(own);
        let format = RuleFormat { groups: groups.len(), group_ids: rules.any(|rule| rule.group.is_some()) };
        let index4 = Index::of(pool4.iter().map(|address| address.to_bits()));
        Self { groups, pool4, pool6, index4, vendors, format }
    }

    fn group(&self, id: Uuid) -> usize {
        self.groups.binary_search(&id).unwrap_or(0)
    }
}

fn others(set: &MemberSet) -> impl Iterator<Item = &Member> {
    let v4 = set.v4.iter().flat_map(|members| &members.others);
    v4.chain(set.v6.iter().flat_map(|members| &members.others))
}

/// Every id that names a group or an address group.
fn group_ids(info: &Info) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = info.groups.iter().map(|group| group.id).collect();
    ids.extend(info.members.iter().map(|set| set.id));
    ids.sort_unstable();
    ids.dedup();
    let mut unknown = Vec::new();
    let mut last = None;
    for &id in info.devices.iter().flat_map(|device| &*device.groups) {
        if last != Some(id) && ids.binary_search(&id).is_err() {
            unknown.push(id);
        }
        last = Some(id);
    }
    let own = info.devices.iter().filter_map(|device| device.own_rules.as_ref()).flatten();
    for rule in info.groups.iter().flat_map(|group| &group.rules).chain(own) {
        unknown.extend(rule.remote.map(|remote| remote.id()).filter(|id| ids.binary_search(id).is_err()));
    }
    ids.extend(unknown);
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Every host address of devices and members.
fn pools(info: &Info) -> (Vec<Ipv4Addr>, Vec<Key6>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for set in &info.members {
        v4.extend(set.v4.iter().flat_map(|members| &members.addresses));
        v6.extend(set.v6.iter().flat_map(|members| &members.addresses).copied().map(Key6::of));
    }
    let named = info.members.iter().flat_map(others).filter_map(|member| match member.address {
        IpSpec::Host(host) if member.mac.is_some() => Some(host),
        _ => None,
    });
    let fixed = info.devices.iter().flat_map(|device| &*device.fixed_ips).copied();
    let (mut more4, mut more6) = (Vec::new(), Vec::new());
    for address in fixed.chain(named) {
        match address {
            IpAddr::V4(address) => more4.push(address),
            IpAddr::V6(address) => more6.push(Key6::of(address)),
        }
    }
    (merged(v4, more4), merged(v6, more6))
}

/// Both lists as one set. The first is sorted in stretches, which a stable sort makes use of.
fn merged<T: Ord>(mut items: Vec<T>, mut more: Vec<T>) -> Vec<T> {
    more.sort_unstable();
    items.extend(more);
    items.sort();
    items.dedup();
    items
}

/// True if the first of the device's addresses that is made from a MAC is made from its own.
fn has_made_address(device: &Device) -> bool {
    let made = device.fixed_ips.iter().find_map(|address| match address {
        IpAddr::V6(address) => Key6::of(*address).mac(),
        IpAddr::V4(_) => None,
    });
    made == Some(macs::bits_of(device.mac))
}

/// Positions of each device's groups and addresses, and of each group's local addresses.
struct Places {
    /// Flat lists over all devices.
    groups: Vec<u64>,
    v4: Vec<u64>,
    v6: Vec<u64>,
    /// Per group: the addresses of its devices in the message, ascending.
    local4: Vec<Vec<u64>>,
    local6: Vec<Vec<u64>>,
}

impl Places {
    fn of(info: &Info, tables: &Tables) -> Self {
        let empty = || vec![Vec::new(); tables.groups.len()];
        let (groups, v4, v6) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Self { groups, v4, v6, local4: empty(), local6: empty() };
        let mut last = (None, 0);
        for device in &info.devices {
            let (start4, start6) = (places.v4.len(), places.v6.len());
            for address in &device.fixed_ips {
                match address {
                    IpAddr::V4(address) => places.v4.push(tables.index4.find(&tables.pool4, *address) as u64),
                    IpAddr::V6(address) => {
                        let at = tables.pool6.binary_search(&Key6::of(*address)).unwrap_or(0);
                        places.v6.push(at as u64);
                    }
                }
            }
            for &id in &device.groups {
                if last.0 != Some(id) {
                    last = (Some(id), tables.group(id));
                }
                places.groups.push(last.1 as u64);
                if let Some(local) = places.local4.get_mut(last.1) {
                    local.extend(places.v4.iter().skip(start4));
                }
                if let Some(local) = places.local6.get_mut(last.1) {
                    local.extend(places.v6.iter().skip(start6));
                }
            }
        }
        places.local4.iter_mut().chain(&mut places.local6).for_each(crate::members::sort_as_set);
        places
    }
}

/// Finds positions in a sorted list of numbers: a table by high bits, then a few steps.
pub(super) struct Index {
    first: u32,
    shift: u32,
    starts: Vec<u32>,
}

impl Index {
    pub(super) fn of(values: impl ExactSizeIterator<Item = u32> + Clone) -> Self {
        let first = values.clone().next().unwrap_or(0);
        let span = values.clone().last().unwrap_or(0) - first;
        let shift = (32 - span.leading_zeros()).saturating_sub(width(values.len().max(1)));
        let mut starts = vec![0; (span >> shift) as usize + 1];
        let mut last = None;
        for (at, value) in values.enumerate() {
            let bucket = ((value - first) >> shift) as usize;
            if last != Some(bucket) {
                last = Some(bucket);
                starts.iter_mut().skip(bucket).take(1).for_each(|start| *start = at as u32);
            }
        }
        Self { first, shift, starts }
    }

    /// The position of `address`, which is in the list.
    pub(super) fn find(&self, pool: &[Ipv4Addr], address: Ipv4Addr) -> usize {
        let bucket = (address.to_bits() - self.first) >> self.shift;
        let start = self.starts.get(bucket as usize).map_or(0, |start| *start as usize);
        let steps = pool.get(start..).unwrap_or_default().iter().take_while(|other| **other < address);
        start + steps.count()
    }
}

fn write_flat(to: &mut Writer, values: &[u64], pool: usize) {
    let width = width(pool);
    values.iter().for_each(|&value| to.bits(value, width));
}

fn write_devices(to: &mut Writer, info: &Info, tables: &Tables, places: &Places) {
    let devices = || info.devices.iter();
    if info.devices.is_empty() {
        return;
    }
    let count = |family: Family| {
        devices().map(move |device| {
            device.fixed_ips.iter().filter(|a| a.is_ipv4() == (family == Family::V4)).count() as u64
        })
    };
    column::write(to, devices().map(|device| device.groups.len() as u64));
    write_flat(to, &places.groups, tables.groups.len());
    column::write(to, count(Family::V4));
    write_flat(to, &places.v4, tables.pool4.len());
    column::write(to, count(Family::V6));
    write_flat(to, &places.v6, tables.pool6.len());
    column::write(to, devices().map(|device| has_made_address(device).into()));
    for device in devices().filter(|device| !has_made_address(device)) {
        tables.vendors.write(to, device.mac);
    }
    column::write(to, devices().map(|device| device.pairs.len() as u64));
    for pair in devices().flat_map(|device| &device.pairs) {
        to.bit(pair.address.family() == Family::V6);
        rules::write_spec(to, pair.address);
        tables.vendors.write(to, pair.mac);
    }
    column::write(to, devices().map(|device| flag_code(device.port_security)));
    write_owners(to, info);
    write_networks(to, info);
    column::write(to, devices().map(name_form));
    for device in devices().filter(|device| name_form(device) == name::LITERAL) {
        texts::write(to, device.name.as_deref().unwrap_or_default());
    }
    column::write(to, devices().map(|device| device.own_rules.is_some().into()));
    for own in devices().filter_map(|device| device.own_rules.as_ref()) {
        rules::write(to, &rules::raw_rules(own, &tables.groups, None), tables.format);
    }
}

/// Absent, true, false.
fn flag_code(flag: Option<bool>) -> u64 {
    flag.map_or(0, |flag| if flag { 1 } else { 2 })
}

/// Distinct owners in order, then which each device has; 0 is none.
fn write_owners(to: &mut Writer, info: &Info) {
    let owners = || info.devices.iter().map(|device| device.owner.as_deref());
    let mut distinct: Vec<&str> = Vec::new();
    for owner in owners().flatten() {
        if distinct.last() != Some(&owner) {
            distinct.push(owner);
        }
    }
    crate::members::sort_as_set(&mut distinct);
    to.count(distinct.len());
    distinct.iter().for_each(|text| texts::write(to, text));
    let code = |owner| distinct.binary_search(&owner).map_or(0, |at| at as u64 + 1);
    column::write(to, owners().map(|owner: Option<&str>| owner.map_or(0, code)));
}

/// Distinct networks in order, then which each device has; 0 is none.
fn write_networks(to: &mut Writer, info: &Info) {
    let networks = || info.devices.iter().map(|device| device.network);
    let mut distinct: Vec<Uuid> = Vec::new();
    for network in networks().flatten() {
        if distinct.last() != Some(&network) {
            distinct.push(network);
        }
    }
    crate::members::sort_as_set(&mut distinct);
    ids::write(to, distinct.iter().copied());
    let code = |network| distinct.binary_search(&network).map_or(0, |at| at as u64 + 1);
    column::write(to, networks().map(|network: Option<Uuid>| network.map_or(0, code)));
}

fn name_form(device: &Device) -> u64 {
    let Some(text) = device.name.as_deref() else { return name::ID };
    let id = device.id.to_string();
    let part = id.get(..name::PART).unwrap_or_default();
    if text == part {
        name::PREFIX
    } else if text.strip_prefix("tap") == Some(part) {
        name::TAP
    } else {
        name::LITERAL
    }
}

/// Which of `ids` have an entry.
fn write_presence<T>(to: &mut Writer, ids: &[Uuid], items: &[T], id: impl Fn(&T) -> Uuid) {
    let present = |wanted: &Uuid| items.binary_search_by_key(wanted, &id).is_ok();
    column::write(to, ids.iter().map(|id| present(id).into()));
}

fn write_groups(to: &mut Writer, info: &Info, tables: &Tables) {
    write_presence(to, &tables.groups, &info.groups, |group| group.id);
    let mut last: Option<Vec<RawRule>> = None;
    for group in &info.groups {
        let raw = rules::raw_rules(&group.rules, &tables.groups, Some(tables.group(group.id)));
        if let Some(last) = &last {
            to.bit(*last == raw);
        }
        if last.as_ref() != Some(&raw) {
            rules::write(to, &raw, tables.format);
        }
        last = Some(raw);
    }
}

fn write_members(to: &mut Writer, info: &Info, tables: &Tables, places: &Places) {
    write_presence(to, &tables.groups, &info.members, |set| set.id);
    let find4 = |address: Ipv4Addr| tables.index4.find(&tables.pool4, address) as u64;
    let find6 = |address: Ipv6Addr| tables.pool6.binary_search(&Key6::of(address)).unwrap_or(0) as u64;
    let expected = expected_macs(info, places, tables);
    for set in &info.members {
        let at = tables.group(set.id);
        let local = |local: &[Vec<u64>]| local.get(at).cloned().unwrap_or_default();
        to.bit(set.v4.is_some());
        to.bit(set.v6.is_some());
        if let Some(members) = &set.v4 {
            let all = members.addresses == tables.pool4;
            let found = locate(members, all, |address| match address {
                IpAddr::V4(address) => find4(address),
                IpAddr::V6(_) => 0,
            });
            let pool = tables.pool4.len() as u64;
            write_family(to, &found, &local(&places.local4), pool, &tables.vendors, |at| {
                expected.0.get(at as usize).copied().flatten()
            });
        }
        if let Some(members) = &set.v6 {
            let found = locate(members, false, |address| match address {
                IpAddr::V6(address) => find6(address),
                IpAddr::V4(_) => 0,
            });
            let pool = tables.pool6.len() as u64;
            write_family(to, &found, &local(&places.local6), pool, &tables.vendors, |at| {
                expected.1.get(at as usize).copied().flatten()
            });
        }
    }
}

/// The MAC that an address leads one to expect: its device's, else the one it is made from. Only
/// worked out if some member has a MAC.
type Expected = Vec<Option<MacAddr6>>;

fn expected_macs(info: &Info, places: &Places, tables: &Tables) -> (Expected, Expected) {
    if !info.members.iter().flat_map(others).any(|member| member.mac.is_some()) {
        return (Vec::new(), Vec::new());
    }
    let mut v4: Expected = vec![None; tables.pool4.len()];
    let mut v6: Expected = tables.pool6.iter().map(|key| key.mac().map(macs::mac_of)).collect();
    let (mut at4, mut at6) = (places.v4.iter(), places.v6.iter());
    // Of two devices with one address the first counts, so the list is filled from behind.
    let mut owned = Vec::new();
    for device in &info.devices {
        for address in &device.fixed_ips {
            let at = if address.is_ipv4() { at4.next() } else { at6.next() };
            owned.push((address.is_ipv4(), at.map_or(0, |at| *at as usize), device.mac));
        }
    }
    for (is_v4, at, mac) in owned.into_iter().rev() {
        if let Some(expected) = if is_v4 { v4.get_mut(at) } else { v6.get_mut(at) } {
            *expected = Some(mac);
        }
    }
    (v4, v6)
}

/// The members of one family by position.
struct Located {
    /// Bare addresses, ascending.
    bare: Vec<u64>,
    /// Addresses with a MAC, ascending, each address once.
    named: Vec<(u64, MacAddr6)>,
    /// Everything else, in the order of the model.
    odd: Vec<Member>,
}

/// `all` tells that the bare addresses are the whole table.
fn locate<A: Copy + Into<IpAddr>>(members: &Members<A>, all: bool, find: impl Fn(IpAddr) -> u64) -> Located {
    let mut bare: Vec<u64> = if all {
        (0..members.addresses.len() as u64).collect()
    } else {
        members.addresses.iter().map(|&address| find(address.into())).collect()
    };
    crate::members::sort_as_set(&mut bare);
    let (mut named, mut odd) = (Vec::new(), Vec::new());
    let mut last = None;
    for member in &members.others {
        match (member.address, member.mac) {
            // Members are sorted, so an address with two MACs stands twice in a row.
            (IpSpec::Host(host), Some(mac)) if last != Some(host) => {
                named.push((find(host), mac));
                last = Some(host);
            }
            _ => odd.push(*member),
        }
    }
    named.sort_unstable();
    Located { bare, named, odd }
}

fn write_family(
    to: &mut Writer,
    found: &Located,
    local: &[u64],
    pool: u64,
    vendors: &Vendors,
    expected: impl Fn(u64) -> Option<MacAddr6> + Copy,
) {
    write_subset(to, &found.bare, local, pool);
    to.bit(!found.named.is_empty() || !found.odd.is_empty());
    if found.named.is_empty() && found.odd.is_empty() {
        return;
    }
    let named: Vec<u64> = found.named.iter().map(|(at, _)| *at).collect();
    set::write(to, &named, pool);
    let as_expected = |&(at, mac): &(u64, MacAddr6)| expected(at) == Some(mac);
    column::write(to, found.named.iter().map(|entry| as_expected(entry).into()));
    for (_, mac) in found.named.iter().filter(|entry| !as_expected(entry)) {
        vendors.write(to, *mac);
    }
    to.count(found.odd.len());
    for member in &found.odd {
        rules::write_spec(to, member.address);
        to.bit(member.mac.is_some());
        if let Some(mac) = member.mac {
            vendors.write(to, mac);
        }
    }
}

/// Writes a set of positions as it is, or as its difference from what the message's devices make one
/// expect, whichever is smaller.
fn write_subset(to: &mut Writer, values: &[u64], local: &[u64], pool: u64) {
    if values == local {
        to.bit(true);
        return to.number(0);
    }
    if values.len() as u64 == pool {
        to.bit(false);
        return set::write(to, values, pool);
    }
    let difference = symmetric_difference(values, local);
    let coded = |values: &[u64]| {
        let mut trial = Writer::default();
        set::write(&mut trial, values, pool);
        trial
    };
    let (whole, change) = (coded(values), coded(&difference));
    let by_difference = !local.is_empty() && change.position() < whole.position();
    to.bit(by_difference);
    to.append(if by_difference { &change } else { &whole });
}

/// What is in exactly one of two ascending lists.
pub(super) fn symmetric_difference(a: &[u64], b: &[u64]) -> Vec<u64> {
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    let mut difference = Vec::new();
    loop {
        match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x == y => {
                a.next();
                b.next();
            }
            (Some(x), Some(y)) if x > y => difference.extend(b.next()),
            (Some(_), _) => difference.extend(a.next()),
            (None, Some(_)) => difference.extend(b.next()),
            (None, None) => return difference,
        }
    }
}

/// Rules of own lists and groups, in the order in which patches are written.
pub(super) fn all_rules(info: &Info) -> impl Iterator<Item = &Rule> {
    let own = info.devices.iter().filter_map(|device| device.own_rules.as_ref()).flatten();
    own.chain(info.groups.iter().flat_map(|group| &group.rules))
}
