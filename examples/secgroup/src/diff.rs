//! What changed between two replies, and what telling an agent would cost.

mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use secgroup_rpc::{
    CallVersion, Device, Family, Info, Member, MemberSet, Message, Remote, Rule, Uuid,
    sync::{Agent, AgentConfig, AgentId, Server},
};
use serde_json::{Map, Value};

pub use report::{json, table};

use crate::{
    commands::Profile,
    files::{self, BadInput},
    reply::info_of,
};

/// What to compare, and how to say it.
#[derive(Args, Debug)]
pub struct Options {
    /// Earlier message: a reply of either call, enveloped or not.
    #[arg(value_name = "A")]
    pub before: std::path::PathBuf,
    /// Later message.
    #[arg(value_name = "B")]
    pub after: std::path::PathBuf,
    /// What counts: everything, or what a packet filter needs.
    #[arg(long, value_enum, default_value_t = Profile::Lossless)]
    pub profile: Profile,
    /// JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What leads from one reply to another.
#[derive(Debug, Default)]
pub struct Difference {
    /// Ports.
    pub devices: Changes<Device, Vec<FieldChange>>,
    /// Groups bound to ports, with their rules.
    pub groups: Changes<secgroup_rpc::Group, RuleChange>,
    /// Who belongs to a group that a rule names.
    pub members: Changes<MemberSet, MemberChange>,
    /// The same of address groups.
    pub address_groups: Changes<MemberSet, MemberChange>,
    /// The call version, if it is another.
    pub version: Option<(CallVersion, CallVersion)>,
    /// True if unknown keys beside the three lists differ.
    pub other_keys: bool,
    /// Bytes that a sync server sends to an agent that holds the earlier state.
    pub delta: usize,
    /// Bytes of the later state as a whole, in the semantic profile.
    pub whole: usize,
}

/// What came, went and changed among items with an id.
#[derive(Debug)]
pub struct Changes<T, C> {
    /// Only in the later reply.
    pub added: Vec<T>,
    /// Only in the earlier reply.
    pub removed: Vec<T>,
    /// In both, and not equal.
    pub changed: Vec<(Uuid, C)>,
}

impl<T, C> Default for Changes<T, C> {
    fn default() -> Self {
        Self { added: Vec::new(), removed: Vec::new(), changed: Vec::new() }
    }
}

impl<T, C> Changes<T, C> {
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// A key of a device with another value; null stands for an absent key.
#[derive(Debug, Eq, PartialEq)]
pub struct FieldChange {
    /// Neutron's name of the key.
    pub key: String,
    /// Its value in the earlier reply.
    pub before: Value,
    /// Its value in the later reply.
    pub after: Value,
}

/// Rules that came and went.
#[derive(Debug, Default)]
pub struct RuleChange {
    /// Only in the later reply.
    pub added: Vec<Rule>,
    /// Only in the earlier reply.
    pub removed: Vec<Rule>,
}

/// Members that came and went.
#[derive(Debug, Default)]
pub struct MemberChange {
    /// Only in the later reply.
    pub added: Vec<Member>,
    /// Only in the earlier reply.
    pub removed: Vec<Member>,
    /// Lists that exist in one reply only, and unknown keys: no member tells of them.
    pub shape: bool,
}

impl Difference {
    /// True if nothing differs.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
            && self.groups.is_empty()
            && self.members.is_empty()
            && self.address_groups.is_empty()
            && self.version.is_none()
            && !self.other_keys
    }
}

/// Writes what changed to standard output and returns whether anything did.
pub fn diff(options: &Options) -> Result<bool> {
    if [&options.before, &options.after].iter().all(|path| path.as_os_str() == "-") {
        return Err(BadInput("only one of A and B can be standard input".into()).into());
    }
    let read = |path: &Path| -> Result<Info> {
        let message = files::read(path)?.message;
        let mut info = info_of(&message, "diff")?.into_owned();
        info.normalize();
        if options.profile == Profile::Semantic {
            info.strip();
        }
        Ok(info)
    };
    let difference = compare(&read(&options.before)?, &read(&options.after)?)?;
    let text = if options.json { json(&difference) } else { table(&difference) };
    files::write(Path::new("-"), text.as_bytes())?;
    Ok(!difference.is_empty())
}

/// What leads from `before` to `after`, both in canonical order.
pub fn compare(before: &Info, after: &Info) -> Result<Difference> {
    let is_address_group = address_groups([before, after]);
    let (mut members, mut address_groups) = (Changes::default(), Changes::default());
    let sets = changes(&before.members, &after.members, |set| set.id, compare_members);
    for set in sets.added {
        let of = if is_address_group.contains(&set.id) { &mut address_groups } else { &mut members };
        of.added.push(set);
    }
    for set in sets.removed {
        let of = if is_address_group.contains(&set.id) { &mut address_groups } else { &mut members };
        of.removed.push(set);
    }
    for (id, change) in sets.changed {
        let of = if is_address_group.contains(&id) { &mut address_groups } else { &mut members };
        of.changed.push((id, change));
    }
    Ok(Difference {
        devices: changes(&before.devices, &after.devices, |device| device.id, compare_devices),
        groups: changes(&before.groups, &after.groups, |group| group.id, compare_rules),
        members,
        address_groups,
        version: (before.version != after.version).then_some((before.version, after.version)),
        other_keys: before.patch != after.patch,
        delta: delta_size(before, after)?,
        whole: semantic(after).encode().len(),
    })
}

/// The sets that rules name as address groups.
fn address_groups(infos: [&Info; 2]) -> BTreeSet<Uuid> {
    let rules = infos.into_iter().flat_map(|info| &info.groups).flat_map(|group| &group.rules);
    let id = |rule: &Rule| match rule.remote {
        Some(Remote::AddressGroup(id)) => Some(id),
        _ => None,
    };
    rules.filter_map(id).collect()
}

fn changes<T: Clone + PartialEq, C>(
    before: &[T],
    after: &[T],
    id: impl Fn(&T) -> Uuid,
    compare: impl Fn(&T, &T) -> C,
) -> Changes<T, C> {
    let mut old: BTreeMap<Uuid, &T> = before.iter().map(|item| (id(item), item)).collect();
    let mut changes = Changes::default();
    for item in after {
        match old.remove(&id(item)) {
            None => changes.added.push(item.clone()),
            Some(was) if was != item => changes.changed.push((id(item), compare(was, item))),
            Some(_) => {}
        }
    }
    changes.removed = old.into_values().cloned().collect();
    changes
}

/// The keys of the device in Neutron's JSON that differ, less those that follow from others.
fn compare_devices(before: &Device, after: &Device) -> Vec<FieldChange> {
    let (mut old, mut new) = (keys(before), keys(after));
    for derived in ["security_group_source_groups", "security_group_remote_address_groups"] {
        old.remove(derived);
        new.remove(derived);
    }
    if before.own_rules == after.own_rules {
        old.remove("security_group_rules");
        new.remove("security_group_rules");
    }
    let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    let change = |key: String| {
        let value = |keys: &Map<String, Value>| keys.get(&key).cloned().unwrap_or_default();
        let (before, after) = (value(&old), value(&new));
        (before != after).then_some(FieldChange { before, after, key })
    };
    names.into_iter().filter_map(change).collect()
}

/// The device's object in Neutron's JSON; a message of one device writes it.
fn keys(device: &Device) -> Map<String, Value> {
    let message = Message::Info(Info { devices: vec![device.clone()], ..Info::default() });
    let mut value = serde_json::to_value(&message).unwrap_or_default();
    match value.pointer_mut(&format!("/devices/{}", device.id)).map(Value::take) {
        Some(Value::Object(keys)) => keys,
        _ => Map::new(),
    }
}

fn compare_rules(before: &secgroup_rpc::Group, after: &secgroup_rpc::Group) -> RuleChange {
    let (removed, added) = without_common(&before.rules, &after.rules);
    RuleChange { added, removed }
}

fn compare_members(before: &MemberSet, after: &MemberSet) -> MemberChange {
    let all = |set: &MemberSet| -> Vec<Member> {
        let mut all: Vec<_> = set.members(Family::V4).chain(set.members(Family::V6)).collect();
        all.sort_unstable();
        all
    };
    let (removed, added) = without_common(&all(before), &all(after));
    let lists = |set: &MemberSet| (set.v4.is_some(), set.v6.is_some());
    MemberChange { added, removed, shape: lists(before) != lists(after) || before.patch != after.patch }
}

/// What is in only one of two sorted lists; an item counts as often as it stands there.
fn without_common<T: Clone + Ord>(before: &[T], after: &[T]) -> (Vec<T>, Vec<T>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return (left, right),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => old.cmp(new),
        };
        if order.is_lt() {
            left.extend(before.next().cloned());
        } else if order.is_gt() {
            right.extend(after.next().cloned());
        } else {
            before.next();
            after.next();
        }
    }
}

fn semantic(info: &Info) -> Info {
    let mut info = info.clone();
    info.strip();
    info
}

/// What a server sends to an agent in step when `before` becomes `after`, in bytes.
fn delta_size(before: &Info, after: &Info) -> Result<usize> {
    let (me, now) = (AgentId(0), Duration::ZERO);
    let ids = before.devices.iter().chain(&after.devices).map(|device| device.id);
    let mut server = Server::new(1);
    server.replace(semantic(before));
    let mut agent = Agent::new(AgentConfig::default(), ids.clone());
    let hello = agent.poll_transmit(now).context("a new agent does not sync")?;
    server.handle(me, &hello)?;
    while let Some((_, message)) = server.poll_transmit() {
        agent.handle(now, &message)?;
    }
    let mut bytes = 0;
    server.replace(semantic(after));
    while let Some((_, message)) = server.poll_transmit() {
        bytes += message.len();
        agent.handle(now, &message)?;
    }
    ensure!(agent.info() == server.info_for(ids), "the delta does not lead to the later state");
    Ok(bytes)
}
