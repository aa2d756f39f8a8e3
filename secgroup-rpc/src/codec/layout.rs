//! Where things stand in a message: found in one pass, without an allocation.
//!
//! Both readers build on this: the one that makes an owned model and the borrowed view.

use core::net::{Ipv4Addr, Ipv6Addr};

use macaddr::MacAddr6;

use super::{
    DecodeError,
    bits::{Reader, width},
    column::{Column, Flat},
    ids::Ids,
    macs::VendorTable,
    pool::{Pool4, Pool6},
    rules::{self, RuleFormat, RuleList},
    set::Set,
    texts::{self, Text},
    write_devices::name,
};
use crate::{Family, IpSpec, Member, Uuid};

type Decode<T> = Result<T, DecodeError>;

/// Takes the tables while they are passed over.
pub(super) trait Tables {
    fn device(&mut self, _id: Uuid) {}
    fn group(&mut self, _id: Uuid) {}
    /// So many addresses come next; returns their number if there may be so many.
    fn expect_addresses(&mut self, count: u64) -> Decode<usize> {
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }
    fn address4(&mut self, _address: Ipv4Addr) {}
    fn address6(&mut self, _address: Ipv6Addr) {}
}

/// The sections of a message.
#[derive(Clone, Debug)]
pub(super) struct Layout<'a> {
    pub(super) is_v1_2: bool,
    pub(super) groups: Ids<'a>,
    pub(super) vendors: VendorTable<'a>,
    pub(super) pool4: Pool4<'a>,
    pub(super) pool6: Pool6<'a>,
    pub(super) pool_sizes: (usize, usize),
    pub(super) devices: Devices<'a>,
    pub(super) group_lists: GroupLists<'a>,
}

impl<'a> Layout<'a> {
    pub(super) fn read(mut reader: Reader<'a>, tables: &mut impl Tables) -> Decode<Self> {
        let is_v1_2 = reader.bit();
        let group_ids = reader.bit();
        let device_ids = Ids::read(reader)?;
        let mut rest = device_ids.clone();
        rest.by_ref().for_each(|id| tables.device(id));
        let groups = Ids::read(rest.end()?)?;
        let mut rest = groups.clone();
        rest.by_ref().for_each(|id| tables.group(id));
        let mut reader = rest.end()?;
        let vendors = VendorTable::read(&mut reader)?;
        let pool4 = Pool4::read(reader)?;
        let (count4, reader) = pool4.clone().drain(tables)?;
        let pool6 = Pool6::read(reader)?;
        let (count6, mut reader) = pool6.clone().drain(tables)?;
        let pool_sizes = (count4, count6);
        let format = RuleFormat { groups: groups.len(), group_ids };
        let devices = Devices::read(&mut reader, device_ids, format, vendors, pool_sizes)?;
        let group_lists = GroupLists::read(reader, format)?;
        Ok(Self { is_v1_2, groups, vendors, pool4, pool6, pool_sizes, devices, group_lists })
    }
}

/// The devices, one after another.
#[derive(Clone, Debug)]
pub(super) struct Devices<'a> {
    ids: Ids<'a>,
    at: usize,
    group_counts: Column<'a>,
    groups: Flat<'a>,
    counts4: Column<'a>,
    v4: Flat<'a>,
    counts6: Column<'a>,
    v6: Flat<'a>,
    made: Column<'a>,
    macs: Reader<'a>,
    pub(super) vendors: VendorTable<'a>,
    pair_counts: Column<'a>,
    pairs: Reader<'a>,
    port_security: Column<'a>,
    /// How many distinct owners there are, and the first of them.
    pub(super) owners: (usize, Reader<'a>),
    owner: Column<'a>,
    pub(super) networks: Ids<'a>,
    network: Column<'a>,
    name_forms: Column<'a>,
    names: Reader<'a>,
    has_rules: Column<'a>,
    rules: Reader<'a>,
    format: RuleFormat,
}

/// A device with everything by position.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawDevice<'a> {
    pub(super) id: Uuid,
    pub(super) groups: Flat<'a>,
    pub(super) v4: Flat<'a>,
    pub(super) v6: Flat<'a>,
    /// `None` if the MAC is the one that an address is made from.
    pub(super) mac: Option<MacAddr6>,
    pub(super) pairs: (usize, Reader<'a>),
    pub(super) port_security: Option<bool>,
    /// 0 for none.
    pub(super) owner: usize,
    /// 0 for none.
    pub(super) network: usize,
    pub(super) name: RawName<'a>,
    /// Where its own rules are, if it has any.
    rules: Option<Reader<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum RawName<'a> {
    Id,
    Tap,
    Prefix,
    Literal(Text<'a>),
}

/// One number per device, and a flat list of as many positions below `pool`.
fn lists<'a>(reader: &mut Reader<'a>, count: usize, pool: usize) -> Decode<(Column<'a>, Flat<'a>)> {
    let counts = Column::read(reader, count)?;
    let flat = Flat { reader: *reader, width: width(pool), left: counts.sum()? };
    if flat.left > 0 && pool == 0 {
        return Err(reader.invalid("a reference into an empty table"));
    }
    if flat.width == 0 && flat.left > count {
        return Err(reader.invalid("a set with equal items"));
    }
    reader.skip(flat.left, flat.width)?;
    Ok((counts, flat))
}

impl<'a> Devices<'a> {
    fn read(
        reader: &mut Reader<'a>,
        ids: Ids<'a>,
        format: RuleFormat,
        vendors: VendorTable<'a>,
        pools: (usize, usize),
    ) -> Decode<Self> {
        let count = ids.len();
        let (group_counts, groups) = lists(reader, count, format.groups)?;
        let (counts4, v4) = lists(reader, count, pools.0)?;
        let (counts6, v6) = lists(reader, count, pools.1)?;
        let made = Column::read(reader, count)?;
        let macs = *reader;
        reader.skip(count.saturating_sub(made.sum()?), vendors.width())?;
        let pair_counts = Column::read(reader, count)?;
        let pairs = *reader;
        for _ in 0..pair_counts.sum()? {
            read_pair(reader, &vendors)?;
        }
        let port_security = Column::read(reader, count)?;
        let owners = if count > 0 { reader.count(2)? } else { 0 };
        let owners = (owners, *reader);
        for _ in 0..owners.0 {
            texts::read(reader)?;
        }
        let owner = Column::read(reader, count)?;
        let networks = if count > 0 { Ids::read(*reader)? } else { Ids::none(*reader) };
        *reader = networks.clone().end()?;
        let network = Column::read(reader, count)?;
        let name_forms = Column::read(reader, count)?;
        let names = *reader;
        for _ in name_forms.iter().filter(|form| *form == name::LITERAL) {
            texts::read(reader)?;
        }
        let has_rules = Column::read(reader, count)?;
        let rules = *reader;
        for _ in has_rules.iter().filter(|flag| *flag != 0) {
            *reader = RuleList::read(*reader, format)?.end()?;
        }
        Ok(Self {
            ids,
            at: 0,
            group_counts,
            groups,
            counts4,
            v4,
            counts6,
            v6,
            made,
            macs,
            vendors,
            pair_counts,
            pairs,
            port_security,
            owners,
            owner,
            networks,
            network,
            name_forms,
            names,
            has_rules,
            rules,
            format,
        })
    }

    /// The next device; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Decode<Option<RawDevice<'a>>> {
        match self.ids.next() {
            Some(id) => self.next_with(id).map(Some),
            None => Ok(None),
        }
    }

    /// The next device, whose id is known. The caller does not ask for more than there are.
    #[inline]
    pub(super) fn next_with(&mut self, id: Uuid) -> Decode<RawDevice<'a>> {
        let at = self.at;
        self.at += 1;
        let mac = match self.made.get(at) {
            0 => Some(self.vendors.take(&mut self.macs)),
            1 => None,
            _ => return Err(self.macs.invalid("an unknown way to give a MAC")),
        };
        let pairs = (self.pair_counts.get(at) as usize, self.pairs);
        for _ in 0..pairs.0 {
            read_pair(&mut self.pairs, &self.vendors)?;
        }
        let port_security = match self.port_security.get(at) {
            0 => None,
            1 => Some(true),
            2 => Some(false),
            _ => return Err(self.macs.invalid("an unknown port security flag")),
        };
        let name = match self.name_forms.get(at) {
            name::ID => RawName::Id,
            name::TAP => RawName::Tap,
            name::PREFIX => RawName::Prefix,
            name::LITERAL => RawName::Literal(texts::read(&mut self.names)?),
            _ => return Err(self.names.invalid("an unknown form of name")),
        };
        let rules = (self.has_rules.get(at) != 0).then_some(self.rules);
        if rules.is_some() {
            self.rules = RuleList::read(self.rules, self.format)?.end()?;
        }
        Ok(RawDevice {
            id,
            groups: self.groups.split(self.group_counts.get(at)),
            v4: self.v4.split(self.counts4.get(at)),
            v6: self.v6.split(self.counts6.get(at)),
            mac,
            pairs,
            port_security,
            owner: self.owner.get(at) as usize,
            network: self.network.get(at) as usize,
            name,
            rules,
        })
    }

    /// The device's own rules.
    pub(super) fn own_rules(&self, device: &RawDevice<'a>) -> Decode<Option<RuleList<'a>>> {
        device.rules.map(|reader| RuleList::read(reader, self.format)).transpose()
    }

    /// Groups and addresses of each device: nothing else is looked at.
    pub(super) fn places(&self) -> impl Iterator<Item = [Flat<'a>; 3]> + use<'a> {
        let (groups, counts4, counts6) = (self.group_counts, self.counts4, self.counts6);
        let (mut flat, mut v4, mut v6) = (self.groups, self.v4, self.v6);
        (self.at..self.at + self.ids.len())
            .map(move |at| [flat.split(groups.get(at)), v4.split(counts4.get(at)), v6.split(counts6.get(at))])
    }
}

/// An address pair: address or prefix, and MAC.
pub(super) fn read_pair<'a>(
    reader: &mut Reader<'a>,
    vendors: &VendorTable<'a>,
) -> Decode<(IpSpec, MacAddr6)> {
    let family = if reader.bit() { Family::V6 } else { Family::V4 };
    let address = rules::read_spec(reader, family)?;
    let mac = vendors.take(reader);
    reader.check()?;
    Ok((address, mac))
}

/// The rules of each group, one list after another.
#[derive(Clone, Debug)]
pub(super) struct GroupLists<'a> {
    presence: Column<'a>,
    at: usize,
    last: Option<RuleList<'a>>,
    reader: Reader<'a>,
    format: RuleFormat,
}

impl<'a> GroupLists<'a> {
    fn read(mut reader: Reader<'a>, format: RuleFormat) -> Decode<Self> {
        let presence = Column::read(&mut reader, format.groups)?;
        Ok(Self { presence, at: 0, last: None, reader, format })
    }

    /// The next group that has an entry: its position, its rules, and whether they are those of the
    /// group before it.
    pub(super) fn next(&mut self) -> Decode<Option<(usize, RuleList<'a>, bool)>> {
        while self.at < self.format.groups {
            let at = self.at;
            self.at += 1;
            if self.presence.get(at) == 0 {
                continue;
            }
            let same = self.last.is_some() && self.reader.bit();
            if let (true, Some(last)) = (same, self.last) {
                return Ok(Some((at, last, true)));
            }
            let list = RuleList::read(self.reader, self.format)?;
            self.reader = list.end()?;
            self.last = Some(list);
            return Ok(Some((at, list, false)));
        }
        Ok(None)
    }

    /// What follows: the members.
    pub(super) fn end(mut self) -> Decode<MemberLists<'a>> {
        while self.next()?.is_some() {}
        let presence = Column::read(&mut self.reader, self.format.groups)?;
        self.reader.check()?;
        Ok(MemberLists { presence, at: 0, groups: self.format.groups, reader: self.reader })
    }
}

/// The members of each group, one set after another.
#[derive(Clone, Debug)]
pub(super) struct MemberLists<'a> {
    presence: Column<'a>,
    at: usize,
    groups: usize,
    pub(super) reader: Reader<'a>,
}

impl MemberLists<'_> {
    /// The next group with members, and which families it has. The caller reads these with
    /// [`read_family`] before going on.
    pub(super) fn next(&mut self) -> Decode<Option<(usize, bool, bool)>> {
        while self.at < self.groups {
            let at = self.at;
            self.at += 1;
            if self.presence.get(at) != 0 {
                let families = (self.reader.bit(), self.reader.bit());
                self.reader.check()?;
                return Ok(Some((at, families.0, families.1)));
            }
        }
        Ok(None)
    }
}

/// Takes the members of one family while they are passed over.
pub(super) trait Sink {
    /// Bare addresses, as a set of positions; if `local`, of the positions where it differs from the
    /// addresses of the group's own devices. Returns the reader after the set.
    fn bare<'a>(&mut self, _local: bool, set: Set<'a>) -> Decode<Reader<'a>> {
        set.end()
    }
    /// Addresses with a MAC.
    fn named(&mut self, _named: &Named<'_>) -> Decode<()> {
        Ok(())
    }
    /// Any other member.
    fn odd(&mut self, _member: Member) {}
}

/// Addresses with a MAC.
#[derive(Clone, Debug)]
pub(super) struct Named<'a> {
    positions: Set<'a>,
    as_expected: Column<'a>,
    vendors: VendorTable<'a>,
    macs: Reader<'a>,
}

impl Named<'_> {
    pub(super) const fn len(&self) -> u64 {
        self.positions.len()
    }

    /// Positions, and MACs where they are not what the address leads one to expect.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, Option<MacAddr6>)> + '_ {
        let mut macs = self.macs;
        self.positions.clone().enumerate().map(move |(nth, at)| {
            let mac = (self.as_expected.get(nth) == 0).then(|| self.vendors.take(&mut macs));
            (at as usize, mac)
        })
    }
}

/// Reads the members of one family, and returns the reader after them.
pub(super) fn read_family<'a>(
    mut reader: Reader<'a>,
    family: Family,
    pool: usize,
    vendors: VendorTable<'a>,
    sink: &mut impl Sink,
) -> Decode<Reader<'a>> {
    let local = reader.bit();
    let mut reader = sink.bare(local, Set::read(reader, pool as u64)?)?;
    if !reader.bit() {
        return Ok(reader);
    }
    let positions = Set::read(reader, pool as u64)?;
    reader = positions.clone().end()?;
    let count = positions.len() as usize;
    let as_expected = Column::read(&mut reader, count)?;
    let macs = reader;
    reader.skip(count.saturating_sub(as_expected.sum()?), vendors.width())?;
    sink.named(&Named { positions, as_expected, vendors, macs })?;
    for _ in 0..reader.count(8)? {
        let address = rules::read_spec(&mut reader, family)?;
        let mac = reader.bit().then(|| vendors.take(&mut reader));
        reader.check()?;
        sink.odd(Member { address, mac });
    }
    Ok(reader)
}
