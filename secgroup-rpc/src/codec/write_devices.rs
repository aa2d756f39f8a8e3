//! Writing devices: gathered by column in one pass, since ports are much alike.

use alloc::{string::ToString, vec::Vec};
use core::net::IpAddr;

use super::{
    bits::{Writer, width},
    column::Gathered,
    ids, macs,
    pool::Key6,
    rules, texts,
    write_info::Tables,
};
use crate::{Device, Family, Info, Uuid};

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

/// The devices of a message by column.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) group_counts: Gathered<u64>,
    pub(super) groups: Vec<u128>,
    pub(super) counts4: Gathered<u64>,
    pub(super) v4: Vec<u32>,
    pub(super) counts6: Gathered<u64>,
    pub(super) v6: Vec<Key6>,
    made: Gathered<u64>,
    /// Of devices whose MAC is not that of an address.
    pub(super) macs: Vec<u64>,
    pair_counts: Gathered<u64>,
    port_security: Gathered<u64>,
    owners: Gathered<Option<&'a str>>,
    networks: Gathered<Option<Uuid>>,
    names: Gathered<u64>,
    own_rules: Gathered<u64>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(devices: &'a [Device]) -> Self {
        let mut columns = Self::default();
        columns.macs.reserve(devices.len());
        columns.groups.reserve(devices.len());
        devices.iter().for_each(|device| columns.push(device));
        columns
    }

    #[inline]
    fn push(&mut self, device: &'a Device) {
        self.group_counts.push(device.groups.len() as u64);
        self.groups.extend(device.groups.iter().map(|id| id.bits()));
        let mut made = None;
        let before = (self.v4.len(), self.v6.len());
        for address in &device.fixed_ips {
            match address {
                IpAddr::V4(address) => self.v4.push(address.to_bits()),
                IpAddr::V6(address) => {
                    let key = Key6::of(*address);
                    made = made.or_else(|| key.mac());
                    self.v6.push(key);
                }
            }
        }
        self.counts4.push((self.v4.len() - before.0) as u64);
        self.counts6.push((self.v6.len() - before.1) as u64);
        // Only the lowest address that is made from a MAC counts.
        let mac = macs::bits_of(device.mac);
        let is_made = made == Some(mac);
        self.made.push(is_made.into());
        if !is_made {
            self.macs.push(mac);
        }
        self.pair_counts.push(device.pairs.len() as u64);
        self.port_security.push(flag_code(device.port_security));
        self.owners.push(device.owner.as_deref());
        self.networks.push(device.network);
        self.names.push(name_form(device));
        self.own_rules.push(device.own_rules.is_some().into());
    }

    /// Writes the devices of `info`, of which these are the columns.
    pub(super) fn write(&self, to: &mut Writer, info: &Info, tables: &Tables) {
        if info.devices.is_empty() {
            return;
        }
        self.group_counts.write(to);
        write_flat(to, &tables.groups.of_devices, tables.groups.table.len());
        self.counts4.write(to);
        write_flat(to, &tables.pool4.of_devices, tables.pool4.table.len());
        self.counts6.write(to);
        write_flat(to, &tables.pool6.of_devices, tables.pool6.table.len());
        self.made.write(to);
        tables.vendors.write_all(to, &self.macs);
        self.pair_counts.write(to);
        if !self.pair_counts.is_all(0) {
            for pair in info.devices.iter().flat_map(|device| &device.pairs) {
                to.bit(pair.address.family() == Family::V6);
                rules::write_spec(to, pair.address);
                tables.vendors.write(to, pair.mac);
            }
        }
        self.port_security.write(to);
        self.write_owners(to);
        self.write_networks(to);
        self.names.write(to);
        if !self.names.is_all(name::ID) {
            for device in info.devices.iter().filter(|device| name_form(device) == name::LITERAL) {
                texts::write(to, device.name.as_deref().unwrap_or_default());
            }
        }
        self.own_rules.write(to);
        if !self.own_rules.is_all(0) {
            for own in info.devices.iter().filter_map(|device| device.own_rules.as_ref()) {
                rules::write(to, &rules::raw_rules(own, &tables.groups.table, None), tables.format);
            }
        }
    }

    /// Distinct owners in order, then which each device has; 0 is none.
    fn write_owners(&self, to: &mut Writer) {
        let distinct = self.owners.distinct();
        to.count(distinct.len());
        distinct.iter().for_each(|text| texts::write(to, text));
        self.owners.positions(&distinct).write(to);
    }

    /// Distinct networks in order, then which each device has; 0 is none.
    fn write_networks(&self, to: &mut Writer) {
        let distinct = self.networks.distinct();
        ids::write(to, distinct.iter().copied());
        self.networks.positions(&distinct).write(to);
    }
}

fn write_flat(to: &mut Writer, positions: &[u64], table: usize) {
    to.fields(positions.iter().copied(), width(table));
}

/// Absent, true, false.
fn flag_code(flag: Option<bool>) -> u64 {
    flag.map_or(0, |flag| if flag { 1 } else { 2 })
}

#[inline]
fn name_form(device: &Device) -> u64 {
    device.name.as_deref().map_or(name::ID, |text| text_form(text, device))
}

fn text_form(text: &str, device: &Device) -> u64 {
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
