//! Reading an owned [`Info`].

use alloc::{
    borrow::Cow,
    boxed::Box,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use macaddr::MacAddr6;

use super::{
    DecodeError,
    bits::Reader,
    layout::{self, Devices, Layout, RawDevice, RawName, Sink, Tables},
    macs,
    pool::Key6,
    positions,
    rules::RuleList,
    set::Set,
    texts,
    write_devices::name,
    write_info::symmetric_difference,
};
use crate::{
    AddressPair, CallVersion, Device, Family, Group, Info, IpSpec, Limits, Member, MemberSet, Members, Rule,
    Uuid,
};

type Decode<T> = Result<T, DecodeError>;
/// The MAC that each address of a pool leads one to expect.
type Expected = Vec<Option<MacAddr6>>;

/// Reads a message without its patches, and returns the bytes after it.
pub(super) fn read<'a>(reader: Reader<'a>, limits: &Limits) -> Decode<(Info, &'a [u8])> {
    let mut owned = Owned { limits: *limits, ..Owned::default() };
    let layout = Layout::read(reader, &mut owned)?;
    let version = if layout.is_v1_2 { CallVersion::V1_2 } else { CallVersion::V1_3 };
    let mut info = Info { version, ..Info::default() };
    info.devices = owned.devices(layout.devices.clone())?;
    let mut lists = layout.group_lists.clone();
    while let Some((at, list, _)) = lists.next()? {
        let id = owned.group_id(at, list.reader)?;
        info.groups.push(Group { id, rules: owned.rules(list, Some(id))? });
    }
    let (members, rest) = owned.members(&layout, lists.end()?)?;
    info.members = members;
    Ok((info, rest.rest()?))
}

/// Room made for addresses before they are read, whatever their count says.
const RESERVE: usize = 1 << 12;

/// The tables of a message, and what the limits still allow.
#[derive(Default)]
struct Owned {
    /// Of devices.
    ids: Vec<Uuid>,
    groups: Vec<Uuid>,
    pool4: Vec<Ipv4Addr>,
    pool6: Vec<Ipv6Addr>,
    limits: Limits,
    members: usize,
    rules: usize,
}

impl Tables for Owned {
    fn device(&mut self, id: Uuid) {
        self.ids.push(id);
    }

    fn group(&mut self, id: Uuid) {
        self.groups.push(id);
    }

    fn expect_addresses(&mut self, count: u64) -> Decode<usize> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.spend_members(count)?;
        // Which family it is shows later; an unused reserve costs next to nothing.
        self.pool4.reserve(count.min(RESERVE));
        Ok(count)
    }

    #[inline]
    fn address4(&mut self, address: Ipv4Addr) {
        self.pool4.push(address);
    }

    #[inline]
    fn address6(&mut self, address: Ipv6Addr) {
        self.pool6.push(address);
    }
}

impl Owned {
    fn spend_members(&mut self, count: usize) -> Decode<()> {
        self.members = self.members.saturating_add(count);
        if self.members > self.limits.members {
            return Err(DecodeError::Limit { what: "members", limit: self.limits.members });
        }
        Ok(())
    }

    fn group_id(&self, at: usize, reader: Reader<'_>) -> Decode<Uuid> {
        self.groups.get(at).copied().ok_or_else(|| reader.invalid("a reference to no group"))
    }

    fn rules(&mut self, mut list: RuleList<'_>, own: Option<Uuid>) -> Decode<Vec<Rule>> {
        self.rules = self.rules.saturating_add(list.len());
        if self.rules > self.limits.rules {
            return Err(DecodeError::Limit { what: "rules", limit: self.limits.rules });
        }
        let mut rules = Vec::with_capacity(list.len());
        while let Some(raw) = list.next()? {
            let rule = raw.rule(own, |at| self.groups.get(at).copied());
            rules.push(rule.ok_or_else(|| list.reader.invalid("a reference to no group"))?);
        }
        if !rules.is_sorted() {
            rules.sort_unstable();
        }
        Ok(rules)
    }

    fn devices(&mut self, mut raw: Devices<'_>) -> Decode<Vec<Device>> {
        let mut owners = Vec::new();
        let (count, mut reader) = raw.owners;
        for _ in 0..count {
            owners.push(crate::neutron::owner(&texts::read(&mut reader)?.to_box()?));
        }
        let networks: Vec<Uuid> = raw.networks.clone().collect();
        let ids = core::mem::take(&mut self.ids);
        let mut devices: Vec<_> = ids.into_iter().map(|id| Device::new(id, MacAddr6::nil())).collect();
        for device in &mut devices {
            let found = raw.next_with(device.id)?;
            self.fill(device, &found, &raw, &owners, &networks)?;
        }
        Ok(devices)
    }

    /// Fills in what `raw` says of a device.
    fn fill(
        &mut self,
        device: &mut Device,
        raw: &RawDevice<'_>,
        devices: &Devices<'_>,
        owners: &[Cow<'static, str>],
        networks: &[Uuid],
    ) -> Decode<()> {
        let beyond = || raw.v4.reader.invalid("a reference beyond its table");
        for at in raw.groups {
            device.groups.push(self.group_id(at, raw.groups.reader)?);
        }
        for at in raw.v4 {
            device.fixed_ips.push(IpAddr::V4(*self.pool4.get(at).ok_or_else(beyond)?));
        }
        for at in raw.v6 {
            device.fixed_ips.push(IpAddr::V6(*self.pool6.get(at).ok_or_else(beyond)?));
        }
        // The pool orders IPv6 addresses by block, a device by number.
        device.fixed_ips.sort_as_set();
        device.mac = match raw.mac {
            Some(mac) => mac,
            None => made_from(&device.fixed_ips).ok_or_else(beyond)?,
        };
        let (count, mut pairs) = raw.pairs;
        for _ in 0..count {
            let (address, mac) = layout::read_pair(&mut pairs, &devices.vendors)?;
            device.pairs.push(AddressPair { address, mac });
        }
        device.port_security = raw.port_security;
        if raw.owner > 0 {
            device.owner = Some(owners.get(raw.owner - 1).ok_or_else(beyond)?.clone());
        }
        if raw.network > 0 {
            device.network = Some(*networks.get(raw.network - 1).ok_or_else(beyond)?);
        }
        device.name = owned_name(raw)?;
        if let Some(list) = devices.own_rules(raw)? {
            device.own_rules = Some(self.rules(list, None)?);
        }
        Ok(())
    }

    fn members<'a>(
        &mut self,
        layout: &Layout<'a>,
        mut lists: layout::MemberLists<'a>,
    ) -> Decode<(Vec<MemberSet>, Reader<'a>)> {
        let mut sets = Vec::new();
        let mut local = None;
        let mut expected = None;
        while let Some((at, has_v4, has_v6)) = lists.next()? {
            let mut set = MemberSet::new(self.group_id(at, lists.reader)?);
            for (family, present) in [(Family::V4, has_v4), (Family::V6, has_v6)] {
                if !present {
                    continue;
                }
                let pool = if family == Family::V4 { layout.pool_sizes.0 } else { layout.pool_sizes.1 };
                let mut taken = Taken { limit: self.limits.members, ..Taken::default() };
                lists.reader = layout::read_family(lists.reader, family, pool, layout.vendors, &mut taken)?;
                if taken.local {
                    let local = match &mut local {
                        None => {
                            local.insert(Local::of(&layout.devices, self.groups.len(), layout.pool_sizes))
                        }
                        Some(local) => local,
                    };
                    let local = local.of_group(at, family);
                    // Most often the difference is empty, and there are no other addresses.
                    taken.all = taken.bare.is_empty() && local.len() == pool;
                    if !taken.all {
                        taken.bare = symmetric_difference(&taken.bare, local);
                    }
                }
                let bare = if taken.all { pool } else { taken.bare.len() };
                self.spend_members(bare + taken.named.len() + taken.odd.len())?;
                if !taken.named.is_empty() && expected.is_none() {
                    expected = Some(self.expected_macs(&layout.devices)?);
                }
                let (v4, v6) = expected.as_ref().map_or((&[][..], &[][..]), |(v4, v6)| (v4, v6));
                match family {
                    Family::V4 => set.v4 = Some(self.family(taken, &self.pool4, v4, lists.reader)?),
                    Family::V6 => {
                        let mut members = self.family(taken, &self.pool6, v6, lists.reader)?;
                        // The pool orders them by block.
                        crate::members::sort_as_set(&mut members.addresses);
                        set.v6 = Some(members);
                    }
                }
            }
            sets.push(set);
        }
        Ok((sets, lists.reader))
    }

    fn family<A: Copy + Ord + Into<IpAddr>>(
        &self,
        taken: Taken,
        pool: &[A],
        expected: &[Option<MacAddr6>],
        reader: Reader<'_>,
    ) -> Decode<Members<A>> {
        let beyond = || reader.invalid("a reference beyond its table");
        let mut members = Members::default();
        if taken.all {
            members.addresses.extend_from_slice(pool);
        } else {
            let found = taken.bare.iter().map(|&at| pool.get(at as usize).copied());
            members.addresses = found.collect::<Option<Vec<A>>>().ok_or_else(beyond)?;
        }
        for (at, mac) in taken.named {
            let host: IpAddr = (*pool.get(at).ok_or_else(beyond)?).into();
            let mac = mac.or_else(|| expected.get(at).copied().flatten());
            let mac = Some(mac.ok_or_else(beyond)?);
            members.others.push(Member { address: IpSpec::Host(host), mac });
        }
        members.others.extend(taken.odd);
        crate::members::sort_as_set(&mut members.others);
        Ok(members)
    }

    /// The MAC that each address of the pools leads one to expect.
    fn expected_macs(&self, devices: &Devices<'_>) -> Decode<(Expected, Expected)> {
        let mut v4 = vec![None; self.pool4.len()];
        let made = |address: &Ipv6Addr| Key6::of(*address).mac().map(macs::mac_of);
        let mut v6: Vec<_> = self.pool6.iter().map(made).collect();
        let mut owned6 = vec![false; v6.len()];
        let mut devices = devices.clone();
        while let Some(device) = devices.next()? {
            let addresses: Vec<IpAddr> =
                device.v6.filter_map(|at| self.pool6.get(at)).map(|&address| address.into()).collect();
            let Some(mac) = device.mac.or_else(|| made_from(&addresses)) else { continue };
            for at in device.v4 {
                if let Some(expected @ None) = v4.get_mut(at) {
                    *expected = Some(mac);
                }
            }
            for at in device.v6 {
                if let (Some(expected), Some(owned @ false)) = (v6.get_mut(at), owned6.get_mut(at)) {
                    (*expected, *owned) = (Some(mac), true);
                }
            }
        }
        Ok((v4, v6))
    }
}

/// The MAC that the first address made from one is made from.
fn made_from(addresses: &[IpAddr]) -> Option<MacAddr6> {
    let mut sorted = addresses.iter().filter_map(|address| match address {
        IpAddr::V6(address) => Some((*address, Key6::of(*address).mac()?)),
        IpAddr::V4(_) => None,
    });
    let first = sorted.by_ref().next()?;
    let first = sorted.fold(first, |first, other| if other.0 < first.0 { other } else { first });
    Some(macs::mac_of(first.1))
}

fn owned_name(raw: &RawDevice<'_>) -> Decode<Option<Box<str>>> {
    let part = || raw.id.to_string().get(..name::PART).map(String::from).unwrap_or_default();
    Ok(match raw.name {
        RawName::Id => None,
        RawName::Tap => Some((String::from("tap") + &part()).into()),
        RawName::Prefix => Some(part().into()),
        RawName::Literal(text) => Some(text.to_box()?),
    })
}

/// One family of one set, by position.
#[derive(Default)]
struct Taken {
    limit: usize,
    local: bool,
    /// Bare is every address of the pool, and the list stays empty.
    all: bool,
    bare: Vec<u64>,
    /// With the MAC, unless it is as expected.
    named: Vec<(usize, Option<MacAddr6>)>,
    odd: Vec<Member>,
}

impl Taken {
    fn within_limit(&self, count: u64) -> Decode<usize> {
        match usize::try_from(count) {
            Ok(count) if count <= self.limit => Ok(count),
            _ => Err(DecodeError::Limit { what: "members", limit: self.limit }),
        }
    }
}

impl Sink for Taken {
    fn bare<'a>(&mut self, local: bool, set: Set<'a>) -> Decode<Reader<'a>> {
        // The count is no larger than the pool, which exists.
        let count = self.within_limit(set.len())?;
        self.local = local;
        self.all = !local && set.is_all();
        if self.all {
            return set.end();
        }
        self.bare.reserve_exact(count);
        set.drain(|at| self.bare.push(at))
    }

    fn named(&mut self, named: &layout::Named<'_>) -> Decode<()> {
        self.within_limit(named.len())?;
        self.named.extend(named.iter());
        Ok(())
    }

    fn odd(&mut self, member: Member) {
        self.odd.push(member);
    }
}

/// Per group: positions of its devices' addresses, ascending.
struct Local {
    v4: Vec<Vec<u64>>,
    v6: Vec<Vec<u64>>,
}

impl Local {
    fn of_group(&self, group: usize, family: Family) -> &[u64] {
        let lists = if family == Family::V4 { &self.v4 } else { &self.v6 };
        lists.get(group).map(Vec::as_slice).unwrap_or_default()
    }

    fn of(devices: &Devices<'_>, groups: usize, pools: (usize, usize)) -> Self {
        let mut local = Self { v4: vec![Vec::new(); groups], v6: vec![Vec::new(); groups] };
        for [groups, v4, v6] in devices.places() {
            for group in groups {
                if let Some(list) = local.v4.get_mut(group) {
                    list.extend(v4.map(|at| at as u64));
                }
                if let Some(list) = local.v6.get_mut(group) {
                    list.extend(v6.map(|at| at as u64));
                }
            }
        }
        local.v4.iter_mut().for_each(|list| positions::sort(list, pools.0));
        local.v6.iter_mut().for_each(|list| positions::sort(list, pools.1));
        local
    }
}
