//! Writing an [`Info`]: tables first, then devices by column, groups, and members.

use alloc::{string::ToString, vec, vec::Vec};
use core::net::IpAddr;

use macaddr::MacAddr6;

use super::{
    bits::{Writer, width},
    column, ids, macs,
    macs::Vendors,
    pool::{self, Key6},
    positions::{self, Key, Table},
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
    pool::write_v4(to, &tables.pool4.table.keys);
    pool::write_v6(to, &tables.pool6.table.keys);
    let places = Places::of(info, &tables);
    write_devices(to, info, &tables, &places);
    write_groups(to, info, &tables);
    write_members(to, info, &tables, &places);
}

/// What the rest of a message refers to by position.
struct Tables {
    groups: Vec<Uuid>,
    pool4: Pool<u32>,
    pool6: Pool<Key6>,
    vendors: Vendors,
    format: RuleFormat,
}

impl Tables {
    fn of(info: &Info) -> Self {
        let groups = group_ids(info);
        let fixed = || info.devices.iter().flat_map(|device| &*device.fixed_ips).copied();
        let named = || info.members.iter().flat_map(others).filter_map(named_host);
        let (v4, v6) = (|set| v4_keys(set), |set| v6_keys(set));
        let pool4 = Pool::of(info.members.iter().map(v4), fixed().filter_map(key4), named().filter_map(key4));
        let pool6 = Pool::of(info.members.iter().map(v6), fixed().filter_map(key6), named().filter_map(key6));
        let explicit =
            info.devices.iter().filter(|device| !has_made_address(device)).map(|device| device.mac);
        let pairs = info.devices.iter().flat_map(|device| &device.pairs).map(|pair| pair.mac);
        let members = info.members.iter().flat_map(others).filter_map(|member| member.mac);
        let vendors = Vendors::of(explicit.chain(pairs).chain(members));
        let own = info.devices.iter().filter_map(|device| device.own_rules.as_ref()).flatten();
        let mut rules = info.groups.iter().flat_map(|group| &group.rules).chain(own);
        let format = RuleFormat { groups: groups.len(), group_ids: rules.any(|rule| rule.group.is_some()) };
        Self { groups, pool4, pool6, vendors, format }
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

/// The host addresses of one family.
struct Pool<K> {
    table: Table<K>,
    /// Positions of the devices' addresses, all devices in a row.
    fixed: Vec<u64>,
}

impl<K: Key> Pool<K> {
    /// `sets` are the bare members of each group, sorted.
    fn of(
        sets: impl Iterator<Item = Vec<K>>,
        fixed: impl Iterator<Item = K> + Clone,
        named: impl Iterator<Item = K>,
    ) -> Self {
        let mut keys = Vec::new();
        let mut sizes = Vec::new();
        for set in sets {
            sizes.push(set.len());
            if keys.is_empty() {
                keys = set;
            } else {
                keys.extend(set);
            }
        }
        crate::members::sort_as_set(&mut keys);
        // A set that is the whole table is known without looking.
        let parts = sizes.into_iter().filter(|size| *size < keys.len()).sum::<usize>();
        let questions = parts + fixed.clone().count();
        let mut table = Table::of(keys, questions);
        let mut missing: Vec<K> = named.filter(|key| table.find(*key).is_none()).collect();
        let mut positions = Vec::new();
        // Members know nearly all addresses of devices, so it is worth asking before sorting them in.
        for key in fixed.clone() {
            match table.find(key) {
                Some(at) => positions.push(at),
                None => missing.push(key),
            }
        }
        if !missing.is_empty() {
            let mut keys = table.keys;
            keys.extend(missing);
            crate::members::sort_as_set(&mut keys);
            let questions = keys.len();
            table = Table::of(keys, questions);
            positions = fixed.map(|key| table.find(key).unwrap_or(0)).collect();
        }
        Self { table, fixed: positions }
    }
}

fn v4_keys(set: &MemberSet) -> Vec<u32> {
    set.v4.iter().flat_map(|members| &members.addresses).map(|address| address.to_bits()).collect()
}

fn v6_keys(set: &MemberSet) -> Vec<Key6> {
    let mut keys: Vec<_> =
        set.v6.iter().flat_map(|members| &members.addresses).copied().map(Key6::of).collect();
    crate::members::sort_as_set(&mut keys);
    keys
}

fn key4(address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(address) => Some(address.to_bits()),
        IpAddr::V6(_) => None,
    }
}

fn key6(address: IpAddr) -> Option<Key6> {
    match address {
        IpAddr::V6(address) => Some(Key6::of(address)),
        IpAddr::V4(_) => None,
    }
}

/// The address of a member that goes by position for its MAC's sake.
fn named_host(member: &Member) -> Option<IpAddr> {
    match member.address {
        IpSpec::Host(host) if member.mac.is_some() => Some(host),
        _ => None,
    }
}

/// True if the first of the device's addresses that is made from a MAC is made from its own.
fn has_made_address(device: &Device) -> bool {
    let made = device.fixed_ips.iter().find_map(|address| match address {
        IpAddr::V6(address) => Key6::of(*address).mac(),
        IpAddr::V4(_) => None,
    });
    made == Some(macs::bits_of(device.mac))
}

/// Positions of each device's groups, and of each group's local addresses.
struct Places {
    /// All devices in a row.
    groups: Vec<u64>,
    /// Per group: the addresses of its devices in the message, ascending.
    local4: Vec<Vec<u64>>,
    local6: Vec<Vec<u64>>,
}

impl Places {
    fn of(info: &Info, tables: &Tables) -> Self {
        let empty = || vec![Vec::new(); tables.groups.len()];
        let mut places = Self { groups: Vec::new(), local4: empty(), local6: empty() };
        let (mut fixed4, mut fixed6) = (&*tables.pool4.fixed, &*tables.pool6.fixed);
        let mut last = (None, 0);
        for device in &info.devices {
            let v4 = device.fixed_ips.iter().filter(|address| address.is_ipv4()).count();
            let own4 = split_off(&mut fixed4, v4);
            let own6 = split_off(&mut fixed6, device.fixed_ips.len() - v4);
            for &id in &device.groups {
                if last.0 != Some(id) {
                    last = (Some(id), tables.group(id));
                }
                places.groups.push(last.1 as u64);
                places.local4.iter_mut().skip(last.1).take(1).for_each(|local| local.extend(own4));
                places.local6.iter_mut().skip(last.1).take(1).for_each(|local| local.extend(own6));
            }
        }
        places.local4.iter_mut().for_each(|local| positions::sort(local, tables.pool4.table.len()));
        places.local6.iter_mut().for_each(|local| positions::sort(local, tables.pool6.table.len()));
        places
    }
}

/// Takes the first `count` items off.
fn split_off<'a>(items: &mut &'a [u64], count: usize) -> &'a [u64] {
    let (taken, rest) = items.split_at_checked(count).unwrap_or((*items, &[]));
    *items = rest;
    taken
}

fn write_flat(to: &mut Writer, values: &[u64], pool: usize) {
    to.fields(values.iter().copied(), width(pool));
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
    write_flat(to, &tables.pool4.fixed, tables.pool4.table.len());
    column::write(to, count(Family::V6));
    write_flat(to, &tables.pool6.fixed, tables.pool6.table.len());
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
    let expected = expected_macs(info, tables);
    let none: &[u64] = &[];
    for set in &info.members {
        let at = tables.group(set.id);
        to.bit(set.v4.is_some());
        to.bit(set.v6.is_some());
        if let Some(members) = &set.v4 {
            let all = members.addresses.len() == tables.pool4.table.len();
            let find = |address| key4(address).and_then(|key| tables.pool4.table.find(key));
            let found = locate(members, all, |address| find(address).unwrap_or(0));
            let family = FamilyTable {
                local: places.local4.get(at).map_or(none, |local| local),
                pool: tables.pool4.table.len() as u64,
                vendors: &tables.vendors,
                expected: &expected.0,
            };
            write_family(to, &found, &family);
        }
        if let Some(members) = &set.v6 {
            let all = members.addresses.len() == tables.pool6.table.len();
            let find = |address| key6(address).and_then(|key| tables.pool6.table.find(key));
            let found = locate(members, all, |address| find(address).unwrap_or(0));
            let family = FamilyTable {
                local: places.local6.get(at).map_or(none, |local| local),
                pool: tables.pool6.table.len() as u64,
                vendors: &tables.vendors,
                expected: &expected.1,
            };
            write_family(to, &found, &family);
        }
    }
}

/// What the members of one family of one group refer to.
struct FamilyTable<'a> {
    /// Positions of the group's local addresses.
    local: &'a [u64],
    /// Addresses in the table.
    pool: u64,
    vendors: &'a Vendors,
    /// The MAC that each of them leads one to expect.
    expected: &'a [Option<MacAddr6>],
}

/// The MAC that an address leads one to expect: its device's, else the one it is made from. Only
/// worked out if some member has a MAC.
type Expected = Vec<Option<MacAddr6>>;

fn expected_macs(info: &Info, tables: &Tables) -> (Expected, Expected) {
    if !info.members.iter().flat_map(others).any(|member| member.mac.is_some()) {
        return (Vec::new(), Vec::new());
    }
    let mut v4: Expected = vec![None; tables.pool4.table.len()];
    let mut v6: Expected = tables.pool6.table.keys.iter().map(|key| key.mac().map(macs::mac_of)).collect();
    let (mut at4, mut at6) = (tables.pool4.fixed.iter(), tables.pool6.fixed.iter());
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
    /// The bare addresses are the whole table, and `bare` is empty.
    all: bool,
    /// Bare addresses, ascending.
    bare: Vec<u64>,
    /// Addresses with a MAC, ascending, each address once.
    named: Vec<(u64, MacAddr6)>,
    /// Everything else, in the order of the model.
    odd: Vec<Member>,
}

/// `all` tells that the bare addresses are the whole table.
fn locate<A: Copy + Into<IpAddr>>(members: &Members<A>, all: bool, find: impl Fn(IpAddr) -> u64) -> Located {
    let mut bare = Vec::new();
    if !all {
        bare.extend(members.addresses.iter().map(|&address| find(address.into())));
        crate::members::sort_as_set(&mut bare);
    }
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
    Located { all, bare, named, odd }
}

fn write_family(to: &mut Writer, found: &Located, family: &FamilyTable<'_>) {
    if found.all {
        let as_local = family.local.len() as u64 == family.pool;
        to.bit(as_local);
        to.number(if as_local { 0 } else { family.pool });
    } else {
        write_subset(to, &found.bare, family.local, family.pool);
    }
    to.bit(!found.named.is_empty() || !found.odd.is_empty());
    if found.named.is_empty() && found.odd.is_empty() {
        return;
    }
    let named: Vec<u64> = found.named.iter().map(|(at, _)| *at).collect();
    set::write(to, &named, family.pool);
    let as_expected = |&(at, mac): &(u64, MacAddr6)| family.expected.get(at as usize) == Some(&Some(mac));
    column::write(to, found.named.iter().map(|entry| as_expected(entry).into()));
    for (_, mac) in found.named.iter().filter(|entry| !as_expected(entry)) {
        family.vendors.write(to, *mac);
    }
    to.count(found.odd.len());
    for member in &found.odd {
        rules::write_spec(to, member.address);
        to.bit(member.mac.is_some());
        if let Some(mac) = member.mac {
            family.vendors.write(to, mac);
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
