//! Writing an [`Info`]: tables first, then devices by column, groups, and members.

use alloc::{vec, vec::Vec};
use core::net::IpAddr;

use macaddr::MacAddr6;

use super::{
    bits::Writer,
    column, ids, macs,
    macs::Vendors,
    pool::{self, Key6},
    positions::{self, Key, Table},
    rules::{self, RawRule, RuleFormat},
    set,
    write_devices::Columns,
};
use crate::{CallVersion, Info, IpSpec, Member, MemberSet, Members, Rule, Uuid};

/// Writes `info`, which is in canonical order; patches are written elsewhere.
pub(super) fn write(to: &mut Writer, info: &Info) {
    let devices = Columns::of(&info.devices);
    let tables = Tables::of(info, &devices);
    to.bit(info.version == CallVersion::V1_2);
    to.bit(tables.format.group_ids);
    ids::write(to, info.devices.iter().map(|device| device.id));
    ids::write(to, tables.groups.table.keys.iter().map(|&bits| Uuid::from_bits(bits)));
    tables.vendors.write_table(to);
    pool::write_v4(to, &tables.pool4.table.keys);
    pool::write_v6(to, &tables.pool6.table.keys);
    devices.write(to, info, &tables);
    write_groups(to, info, &tables);
    write_members(to, info, &tables, &Local::of(&devices, &tables));
}

/// What the rest of a message refers to by position.
pub(super) struct Tables {
    pub(super) groups: Pool<u128>,
    pub(super) pool4: Pool<u32>,
    pub(super) pool6: Pool<Key6>,
    pub(super) vendors: Vendors,
    pub(super) format: RuleFormat,
}

impl Tables {
    fn of(info: &Info, devices: &Columns<'_>) -> Self {
        let own = info.devices.iter().filter_map(|device| device.own_rules.as_ref()).flatten();
        let rules = info.groups.iter().flat_map(|group| &group.rules).chain(own);
        let remotes = rules.clone().filter_map(|rule| Some(rule.remote?.id().bits()));
        let ids = |ids: &mut dyn Iterator<Item = Uuid>| ids.map(Uuid::bits).collect();
        let named_ids = [
            ids(&mut info.groups.iter().map(|group| group.id)),
            ids(&mut info.members.iter().map(|set| set.id)),
        ];
        let named = || info.members.iter().flat_map(others).filter_map(named_host);
        let pairs = info.devices.iter().flat_map(|device| &device.pairs).map(|pair| pair.mac);
        let members = info.members.iter().flat_map(others).filter_map(|member| member.mac);
        let more_macs = pairs.chain(members).map(macs::bits_of);
        let groups = Pool::of(named_ids.into_iter(), &devices.groups, remotes);
        let group_ids = rules.clone().any(|rule| rule.group.is_some());
        let format = RuleFormat { groups: groups.table.len(), group_ids };
        Self {
            groups,
            pool4: Pool::of(info.members.iter().map(v4_keys), &devices.v4, named().filter_map(key4)),
            pool6: Pool::of(info.members.iter().map(v6_keys), &devices.v6, named().filter_map(key6)),
            vendors: Vendors::of(devices.macs.iter().copied().chain(more_macs)),
            format,
        }
    }

    fn group(&self, id: Uuid) -> usize {
        self.groups.table.find(id.bits()).map_or(0, |at| at as usize)
    }
}

fn others(set: &MemberSet) -> impl Iterator<Item = &Member> {
    let v4 = set.v4.iter().flat_map(|members| &members.others);
    v4.chain(set.v6.iter().flat_map(|members| &members.others))
}

/// The host addresses of one family, or the ids of groups.
pub(super) struct Pool<K> {
    pub(super) table: Table<K>,
    /// Positions of those that the devices name, all devices in a row.
    pub(super) of_devices: Vec<u64>,
}

impl<K: Key> Pool<K> {
    /// `sets` are sorted and hold nearly all that the devices name; `named` is what else there is.
    fn of(sets: impl Iterator<Item = Vec<K>>, of_devices: &[K], named: impl Iterator<Item = K>) -> Self {
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
        let questions = parts + of_devices.len();
        let mut table = Table::of(keys, questions);
        let mut missing: Vec<K> = named.filter(|key| table.find(*key).is_none()).collect();
        let mut positions = Vec::new();
        // It is worth asking before sorting them in.
        for &key in of_devices {
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
            positions = of_devices.iter().map(|&key| table.find(key).unwrap_or(0)).collect();
        }
        Self { table, of_devices: positions }
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

/// Per group: the positions of its devices' addresses in the message, ascending.
struct Local {
    v4: Vec<Vec<u64>>,
    v6: Vec<Vec<u64>>,
}

impl Local {
    fn of(devices: &Columns<'_>, tables: &Tables) -> Self {
        let empty = || vec![Vec::new(); tables.groups.table.len()];
        let mut local = Self { v4: empty(), v6: empty() };
        if let ([v4], [v6], true) = (&mut *local.v4, &mut *local.v6, devices.group_counts.is_all(1)) {
            // All devices are in the one group there is.
            v4.clone_from(&tables.pool4.of_devices);
            v6.clone_from(&tables.pool6.of_devices);
            return local.sorted(tables);
        }
        let mut groups = &*tables.groups.of_devices;
        let (mut v4, mut v6) = (&*tables.pool4.of_devices, &*tables.pool6.of_devices);
        let counts = devices.counts4.iter().zip(devices.counts6.iter());
        for (count, (count4, count6)) in devices.group_counts.iter().zip(counts) {
            let (own4, own6) = (split_off(&mut v4, count4), split_off(&mut v6, count6));
            for &group in split_off(&mut groups, count) {
                local.v4.iter_mut().skip(group as usize).take(1).for_each(|local| local.extend(own4));
                local.v6.iter_mut().skip(group as usize).take(1).for_each(|local| local.extend(own6));
            }
        }
        local.sorted(tables)
    }

    fn sorted(mut self, tables: &Tables) -> Self {
        self.v4.iter_mut().for_each(|local| positions::sort(local, tables.pool4.table.len()));
        self.v6.iter_mut().for_each(|local| positions::sort(local, tables.pool6.table.len()));
        self
    }
}

/// Takes the first `count` items off.
fn split_off<'a>(items: &mut &'a [u64], count: u64) -> &'a [u64] {
    let (taken, rest) = items.split_at_checked(count as usize).unwrap_or((*items, &[]));
    *items = rest;
    taken
}

/// Which of the groups have an entry; `entries` are in their order.
fn write_presence(to: &mut Writer, tables: &Tables, entries: impl Iterator<Item = Uuid> + Clone) {
    let mut entries = entries.peekable();
    let ids = tables.groups.table.keys.iter();
    column::write(to, ids.map(|&id| entries.next_if(|entry| entry.bits() == id).is_some().into()));
}

fn write_groups(to: &mut Writer, info: &Info, tables: &Tables) {
    write_presence(to, tables, info.groups.iter().map(|group| group.id));
    let mut last: Option<Vec<RawRule>> = None;
    for group in &info.groups {
        let raw = rules::raw_rules(&group.rules, &tables.groups.table, Some(tables.group(group.id)));
        if let Some(last) = &last {
            to.bit(*last == raw);
        }
        if last.as_ref() != Some(&raw) {
            rules::write(to, &raw, tables.format);
        }
        last = Some(raw);
    }
}

fn write_members(to: &mut Writer, info: &Info, tables: &Tables, local: &Local) {
    write_presence(to, tables, info.members.iter().map(|set| set.id));
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
                local: local.v4.get(at).map_or(none, |local| local),
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
                local: local.v6.get(at).map_or(none, |local| local),
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
    let (mut at4, mut at6) = (tables.pool4.of_devices.iter(), tables.pool6.of_devices.iter());
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
