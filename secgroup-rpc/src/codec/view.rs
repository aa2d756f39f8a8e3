//! Reading a message where it lies: nothing is allocated, and every answer comes from the bytes.

use core::net::IpAddr;

use macaddr::MacAddr6;

use super::{
    Decode, DecodeError,
    bits::Reader,
    kind,
    layout::{self, Layout, MemberLists, Named, RawDevice, Sink, Tables},
    pool::Key6,
    rules::RuleList,
    set::Set,
};
use crate::{
    Family, IpSpec, Limits, Member, Packet, Rule, Uuid, Verdict, info::provider_rules, packet::covers,
};

/// A compact reply, borrowed.
///
/// [`View::new`] walks through the message once and allocates nothing; after that no question can
/// fail. Questions take time in proportion to the message, not to what it expands to.
///
/// ```
/// use secgroup_rpc::{Info, Limits, MemberSet, View};
///
/// let mut set = MemberSet::new("4be03db0-dc25-44bd-b940-67edfe175330".parse()?);
/// set.v4.get_or_insert_default().addresses = vec![[10, 0, 0, 4].into(), [10, 0, 0, 9].into()];
/// let bytes = Info { members: vec![set.clone()], ..Info::default() }.encode();
///
/// let view = View::new(&bytes, &Limits::default())?;
/// assert!(view.is_member(set.id, "10.0.0.9".parse()?));
/// assert!(!view.is_member(set.id, "10.0.0.8".parse()?));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct View<'a> {
    layout: Layout<'a>,
    members: MemberLists<'a>,
}

/// Counts what would be built, against the limits.
struct Budget {
    members: usize,
    limits: Limits,
}

impl Budget {
    fn spend(&mut self, count: u64) -> Decode<usize> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.members = self.members.saturating_add(count);
        if self.members > self.limits.members {
            return Err(DecodeError::Limit { what: "members", limit: self.limits.members });
        }
        Ok(count)
    }
}

impl Tables for Budget {
    fn expect_addresses(&mut self, count: u64) -> Decode<usize> {
        self.spend(count)
    }
}

impl Sink for Budget {
    fn bare<'a>(&mut self, _local: bool, set: Set<'a>) -> Decode<Reader<'a>> {
        self.spend(set.len())?;
        set.end()
    }
}

impl<'a> View<'a> {
    /// Checks that the message can be read to its end.
    ///
    /// Whether it is the canonical encoding is not checked: that takes an owned copy.
    ///
    /// # Errors
    /// [`DecodeError`] as for [`Info::decode`](crate::Info::decode), and for messages of another kind.
    pub fn new(bytes: &'a [u8], limits: &Limits) -> Decode<Self> {
        let (kind, _) = super::split_kind(bytes)?;
        if !matches!(kind, kind::INFO | kind::INFO_PATCHED) {
            return Err(DecodeError::Invalid { what: "a message of another kind", at: 0 });
        }
        let mut budget = Budget { members: 0, limits: *limits };
        let layout = Layout::read(Reader::new(bytes, 8), &mut budget)?;
        let mut devices = layout.devices.clone();
        while let Some(device) = devices.next()? {
            check_references(device, &layout)?;
        }
        let members = layout.group_lists.clone().end()?;
        let mut rest = members.clone();
        while let Some((_, v4, v6)) = rest.next()? {
            for (family, present) in [(Family::V4, v4), (Family::V6, v6)] {
                if present {
                    let pool = pool_size(&layout, family);
                    rest.reader =
                        layout::read_family(rest.reader, family, pool, layout.vendors, &mut budget)?;
                }
            }
        }
        let patches = rest.reader.rest()?;
        if kind == kind::INFO && !patches.is_empty() {
            let at = bytes.len() - patches.len();
            return Err(DecodeError::Invalid { what: "trailing bytes", at });
        }
        Ok(Self { layout, members })
    }

    /// The devices, in order of id.
    pub fn devices(&self) -> impl Iterator<Item = DeviceView<'a>> + '_ {
        let mut devices = self.layout.devices.clone();
        core::iter::from_fn(move || devices.next().ok().flatten())
            .map(|raw| DeviceView { raw, layout: self.layout.clone() })
    }

    /// The groups bound to devices, in order of id.
    pub fn groups(&self) -> impl Iterator<Item = GroupView<'a>> + '_ {
        let mut lists = self.layout.group_lists.clone();
        core::iter::from_fn(move || lists.next().ok().flatten())
            .filter_map(|(at, list, _)| Some((self.group_id(at)?, list)))
            .map(|(id, list)| GroupView {
                id,
                rules: Rules { list, own: Some(id), layout: self.layout.clone() },
            })
    }

    /// The rules of group `id`; `None` if the message does not have it. O(groups).
    pub fn rules(&self, id: Uuid) -> Option<Rules<'a>> {
        self.groups().find(|group| group.id == id).map(|group| group.rules)
    }

    /// True if `address` is a member of the group or address group `id`, or lies in a member prefix.
    /// O(message).
    pub fn is_member(&self, id: Uuid, address: IpAddr) -> bool {
        self.group_at(id).is_some_and(|at| self.contains(at, address, false))
    }

    /// Calls `visit` for every member of one family of the set `id`, each once, in no given order.
    ///
    /// O(message), and O(addresses x devices) for a set that is coded as what the message's own
    /// devices make one expect.
    pub fn for_each_member(&self, id: Uuid, family: Family, visit: impl FnMut(Member)) {
        if let Some(group) = self.group_at(id) {
            let pool = addresses(&self.layout, family);
            let mut visitor = Visitor { view: self, group, family, pool, at: 0, local: false, visit };
            self.find(group, family, &mut visitor);
        }
    }

    /// Would `packet` pass the filter of `device`? As [`Info::check`](crate::Info::check).
    pub fn check(&self, device: Uuid, packet: &Packet) -> Verdict {
        let Some(device) = self.devices().find(|found| found.id() == device) else {
            return Verdict::UnknownDevice;
        };
        if !device.is_filtered() {
            return Verdict::Unfiltered;
        }
        if let Some(verdict) = packet.fixed_verdict() {
            return verdict;
        }
        let own = device.fixed_ips().any(|address| address == packet.far());
        let matches = |rule: &Rule| {
            rule.matches(packet, |id| {
                self.group_at(id).is_some_and(|at| self.contains(at, packet.far(), own))
            })
        };
        let own_rules = self.layout.devices.own_rules(&device.raw).ok().flatten();
        let from_own = match own_rules {
            Some(list) => Rules { list, own: None, layout: self.layout.clone() }.find(matches),
            None => provider_rules(device.fixed_ips()).find(matches),
        };
        let mut groups = self.groups().filter(|group| device.groups().any(|id| id == group.id));
        let rule = from_own.or_else(|| groups.find_map(|group| group.rules.clone().find(matches)));
        rule.map_or(Verdict::Denied, Verdict::Allowed)
    }

    fn group_id(&self, at: usize) -> Option<Uuid> {
        self.layout.groups.clone().nth(at)
    }

    fn group_at(&self, id: Uuid) -> Option<usize> {
        self.layout.groups.clone().position(|group| group == id)
    }

    fn contains(&self, group: usize, address: IpAddr, own: bool) -> bool {
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        let wanted = addresses(&self.layout, family).position(|other| other == address);
        let mut finder = Finder {
            wanted,
            far: address,
            own,
            local: false,
            in_bits: false,
            is_named: false,
            covered: false,
        };
        if self.find(group, family, &mut finder).is_none() {
            return false;
        }
        let is_local = || wanted.is_some_and(|at| self.is_local(group, family, at));
        let bare = finder.in_bits != (finder.local && is_local());
        finder.covered || !own && (bare || finder.is_named)
    }

    /// Runs `sink` over one family of a set; `None` if there is none.
    fn find(&self, group: usize, family: Family, sink: &mut impl Sink) -> Option<()> {
        let mut lists = self.members.clone();
        while let Some((at, v4, v6)) = lists.next().ok()? {
            for (found, present) in [(Family::V4, v4), (Family::V6, v6)] {
                if !present {
                    continue;
                }
                let (pool, vendors) = (pool_size(&self.layout, found), self.layout.vendors);
                if at == group && found == family {
                    return layout::read_family(lists.reader, found, pool, vendors, sink).ok().map(drop);
                }
                lists.reader = layout::read_family(lists.reader, found, pool, vendors, &mut Skip).ok()?;
            }
        }
        None
    }

    /// True if a device of the message that is in `group` has the address at `at`.
    fn is_local(&self, group: usize, family: Family, at: usize) -> bool {
        let mut devices = self.layout.devices.clone();
        while let Ok(Some(device)) = devices.next() {
            let mut addresses = if family == Family::V4 { device.v4 } else { device.v6 };
            let mut groups = device.groups;
            if groups.any(|found| found == group) && addresses.any(|found| found == at) {
                return true;
            }
        }
        false
    }
}

fn pool_size(layout: &Layout<'_>, family: Family) -> usize {
    match family {
        Family::V4 => layout.pool_sizes.0,
        Family::V6 => layout.pool_sizes.1,
    }
}

/// No reference of `device` may point beyond its table.
fn check_references(device: RawDevice<'_>, layout: &Layout<'_>) -> Decode<()> {
    let mut lists = [
        (device.groups, layout.groups.len()),
        (device.v4, layout.pool_sizes.0),
        (device.v6, layout.pool_sizes.1),
    ];
    let within = lists.iter_mut().all(|(list, table)| list.all(|at| at < *table));
    let tables = device.owner <= layout.devices.owners.0 && device.network <= layout.devices.networks.len();
    if within && tables {
        return Ok(());
    }
    Err(device.groups.reader.invalid("a reference beyond its table"))
}

/// The addresses of one family, in order of position.
fn addresses<'a>(layout: &Layout<'a>, family: Family) -> impl Iterator<Item = IpAddr> + use<'a> {
    let v4 = (family == Family::V4).then(|| layout.pool4.clone());
    let v6 = (family == Family::V6).then(|| layout.pool6.clone());
    v4.into_iter().flatten().chain(v6.into_iter().flatten())
}

/// The MAC of the first device with the address, else the one that the address is made from.
fn expected_mac(layout: &Layout<'_>, family: Family, at: usize, address: IpAddr) -> Option<MacAddr6> {
    let mut devices = layout.devices.clone();
    while let Ok(Some(raw)) = devices.next() {
        let mut addresses = if family == Family::V4 { raw.v4 } else { raw.v6 };
        if addresses.any(|found| found == at) {
            return Some(DeviceView { raw, layout: layout.clone() }.mac());
        }
    }
    made_from(address)
}

fn made_from(address: IpAddr) -> Option<MacAddr6> {
    match address {
        IpAddr::V6(address) => Key6::of(address).mac().map(super::macs::mac_of),
        IpAddr::V4(_) => None,
    }
}

/// Passes over members.
struct Skip;

impl Sink for Skip {}

/// Gives every member to `visit` while passing over them.
struct Visitor<'v, 'a, P, F> {
    view: &'v View<'a>,
    group: usize,
    family: Family,
    /// Addresses from position `at` on.
    pool: P,
    at: usize,
    local: bool,
    visit: F,
}

impl<P: Iterator<Item = IpAddr>, F: FnMut(Member)> Visitor<'_, '_, P, F> {
    /// Passes over positions below `end`, which are not in the bits.
    fn pass(&mut self, end: usize) {
        while self.at < end {
            let Some(address) = self.pool.next() else { return };
            if self.local && self.view.is_local(self.group, self.family, self.at) {
                (self.visit)(Member { address: IpSpec::Host(address), mac: None });
            }
            self.at += 1;
        }
    }
}

impl<P: Iterator<Item = IpAddr>, F: FnMut(Member)> Visitor<'_, '_, P, F> {
    /// Takes the position `at`, which is in the bits.
    fn position(&mut self, at: usize) {
        self.pass(at);
        let Some(address) = self.pool.next() else { return };
        self.at += 1;
        if !(self.local && self.view.is_local(self.group, self.family, at)) {
            (self.visit)(Member { address: IpSpec::Host(address), mac: None });
        }
    }
}

impl<P: Iterator<Item = IpAddr>, F: FnMut(Member)> Sink for Visitor<'_, '_, P, F> {
    fn bare<'b>(&mut self, local: bool, set: Set<'b>) -> Decode<Reader<'b>> {
        self.local = local;
        let reader = set.drain(|at| self.position(at as usize))?;
        if local {
            self.pass(usize::MAX);
        }
        Ok(reader)
    }

    fn named(&mut self, named: &Named<'_>) -> Decode<()> {
        let layout = &self.view.layout;
        let mut pool = addresses(layout, self.family).enumerate();
        for (at, mac) in named.iter() {
            if let Some((_, address)) = pool.find(|(position, _)| *position == at) {
                let mac = mac.or_else(|| expected_mac(layout, self.family, at, address));
                (self.visit)(Member { address: IpSpec::Host(address), mac });
            }
        }
        Ok(())
    }

    fn odd(&mut self, member: Member) {
        (self.visit)(member);
    }
}

/// Looks for one position, and for prefixes that cover an address.
struct Finder {
    wanted: Option<usize>,
    far: IpAddr,
    /// `far` is the asking device's own.
    own: bool,
    local: bool,
    in_bits: bool,
    is_named: bool,
    covered: bool,
}

impl Sink for Finder {
    fn bare<'b>(&mut self, local: bool, set: Set<'b>) -> Decode<Reader<'b>> {
        self.local = local;
        let wanted = self.wanted.map(|at| at as u64);
        set.drain(|at| self.in_bits |= wanted == Some(at))
    }

    fn named(&mut self, named: &Named<'_>) -> Decode<()> {
        self.is_named = named.iter().any(|(at, _)| self.wanted == Some(at));
        Ok(())
    }

    fn odd(&mut self, member: Member) {
        self.covered |= covers(&member, self.far, self.own);
    }
}

/// A device, borrowed.
#[derive(Clone, Debug)]
pub struct DeviceView<'a> {
    raw: RawDevice<'a>,
    layout: Layout<'a>,
}

impl DeviceView<'_> {
    /// `id`
    pub const fn id(&self) -> Uuid {
        self.raw.id
    }

    /// `mac_address`
    pub fn mac(&self) -> MacAddr6 {
        let made =
            || self.fixed_ips().filter(|address| made_from(*address).is_some()).min().and_then(made_from);
        self.raw.mac.or_else(made).unwrap_or_default()
    }

    /// `fixed_ips`, IPv4 first. O(addresses) each.
    pub fn fixed_ips(&self) -> impl Iterator<Item = IpAddr> + Clone + '_ {
        let v4 = self.raw.v4.filter_map(|at| addresses(&self.layout, Family::V4).nth(at));
        let v6 = self.raw.v6.filter_map(|at| addresses(&self.layout, Family::V6).nth(at));
        v4.chain(v6)
    }

    /// `security_groups`, in order of id.
    pub fn groups(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.raw.groups.filter_map(|at| self.layout.groups.clone().nth(at))
    }

    /// False if the port passes everything.
    pub const fn is_filtered(&self) -> bool {
        !matches!(self.raw.port_security, Some(false))
    }
}

/// A group with its rules, borrowed.
#[derive(Clone, Debug)]
pub struct GroupView<'a> {
    /// The group's id.
    pub id: Uuid,
    /// Its rules.
    pub rules: Rules<'a>,
}

/// Rules in the order of their coding; none of them allocates.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    list: RuleList<'a>,
    own: Option<Uuid>,
    layout: Layout<'a>,
}

impl Iterator for Rules<'_> {
    type Item = Rule;

    fn next(&mut self) -> Option<Rule> {
        let raw = self.list.next().ok()??;
        raw.rule(self.own, |at| self.layout.groups.clone().nth(at))
    }
}
