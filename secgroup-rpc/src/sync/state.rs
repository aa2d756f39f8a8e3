//! Items and their digests: what a server holds for all, and an agent for its devices.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::digest::{self, hash};
use crate::{Device, Group, Info, MemberSet, Message, Uuid};

/// One of the three kinds of items that are kept in step.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ItemKind {
    /// A device.
    Device,
    /// The rules of a security group.
    Group,
    /// The members of a group or address group.
    Members,
}

impl ItemKind {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Device => 0,
            Self::Group => 1,
            Self::Members => 2,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Device),
            1 => Some(Self::Group),
            2 => Some(Self::Members),
            _ => None,
        }
    }
}

/// The name of an item.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ItemKey {
    /// What it is.
    pub kind: ItemKind,
    /// Whose it is.
    pub id: Uuid,
}

impl ItemKey {
    pub(super) const fn device(id: Uuid) -> Self {
        Self { kind: ItemKind::Device, id }
    }

    pub(super) const fn group(id: Uuid) -> Self {
        Self { kind: ItemKind::Group, id }
    }

    pub(super) const fn members(id: Uuid) -> Self {
        Self { kind: ItemKind::Members, id }
    }

    /// What an item adds to the digest of a state.
    pub(super) fn contribution(self, digest: u64) -> u64 {
        hash(&[&[self.kind.code()], &self.id.0, &digest.to_le_bytes()])
    }
}

/// An item with its content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Item {
    Device(Device),
    Group(Group),
    Members(MemberSet),
}

impl Item {
    pub(super) const fn key(&self) -> ItemKey {
        match self {
            Self::Device(device) => ItemKey::device(device.id),
            Self::Group(group) => ItemKey::group(group.id),
            Self::Members(set) => ItemKey::members(set.id),
        }
    }

    /// O(size).
    pub(super) fn digest(&self) -> u64 {
        match self {
            Self::Device(device) => alone(Info { devices: vec![device.clone()], ..Info::default() }),
            Self::Group(group) => alone(Info { groups: vec![group.clone()], ..Info::default() }),
            Self::Members(set) => digest::member_set(set),
        }
    }
}

fn alone(info: Info) -> u64 {
    hash(&[&Message::Info(info).encode()])
}

/// The items of a message, normalised, without what a filter does not need.
pub(super) fn items_of(mut info: Info) -> impl Iterator<Item = Item> {
    info.strip();
    info.normalize();
    let devices = info.devices.into_iter().map(Item::Device);
    let groups = info.groups.into_iter().map(Item::Group);
    devices.chain(groups).chain(info.members.into_iter().map(Item::Members))
}

/// A message with these items.
pub(super) fn info_of(items: impl IntoIterator<Item = Item>) -> Info {
    let mut info = Info::default();
    for item in items {
        match item {
            Item::Device(device) => info.devices.push(device),
            Item::Group(group) => info.groups.push(group),
            Item::Members(set) => info.members.push(set),
        }
    }
    info.normalize();
    info
}

/// Items by name, each with its digest, and the digest of all.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    items: BTreeMap<ItemKey, Held>,
    digest: u64,
    members: usize,
}

#[derive(Clone, Debug)]
struct Held {
    item: Item,
    digest: u64,
}

impl State {
    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }

    /// Members of all sets together.
    pub(super) const fn member_count(&self) -> usize {
        self.members
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = ItemKey> {
        self.items.keys().copied()
    }

    pub(super) fn digests(&self) -> impl Iterator<Item = (ItemKey, u64)> {
        self.items.iter().map(|(key, held)| (*key, held.digest))
    }

    pub(super) fn item_digest(&self, key: ItemKey) -> Option<u64> {
        self.items.get(&key).map(|held| held.digest)
    }

    pub(super) fn get(&self, key: ItemKey) -> Option<&Item> {
        self.items.get(&key).map(|held| &held.item)
    }

    pub(super) fn device(&self, id: Uuid) -> Option<&Device> {
        match self.get(ItemKey::device(id))? {
            Item::Device(device) => Some(device),
            _ => None,
        }
    }

    pub(super) fn group(&self, id: Uuid) -> Option<&Group> {
        match self.get(ItemKey::group(id))? {
            Item::Group(group) => Some(group),
            _ => None,
        }
    }

    pub(super) fn member_set(&self, id: Uuid) -> Option<&MemberSet> {
        match self.get(ItemKey::members(id))? {
            Item::Members(set) => Some(set),
            _ => None,
        }
    }

    /// Adds or replaces; whether anything changed.
    pub(super) fn put(&mut self, item: Item) -> bool {
        let digest = item.digest();
        let key = item.key();
        if self.item_digest(key) == Some(digest) {
            return false;
        }
        self.remove(key);
        self.digest = self.digest.wrapping_add(key.contribution(digest));
        self.members += size(&item);
        self.items.insert(key, Held { item, digest });
        true
    }

    /// Removes; whether it was there.
    pub(super) fn remove(&mut self, key: ItemKey) -> bool {
        let Some(held) = self.items.remove(&key) else { return false };
        self.digest = self.digest.wrapping_sub(key.contribution(held.digest));
        self.members -= size(&held.item);
        true
    }

    /// Changes a member set in place; `change` returns what it adds to the set's digest, or `None`
    /// if it did nothing.
    pub(super) fn edit(&mut self, id: Uuid, change: impl FnOnce(&mut MemberSet) -> Option<u64>) -> bool {
        let key = ItemKey::members(id);
        let Some(Held { item: Item::Members(set), digest }) = self.items.get_mut(&key) else { return false };
        let before = set.len();
        let Some(added) = change(set) else { return false };
        self.members = self.members - before + set.len();
        self.digest = self.digest.wrapping_sub(key.contribution(*digest));
        *digest = digest.wrapping_add(added);
        self.digest = self.digest.wrapping_add(key.contribution(*digest));
        true
    }

    /// All items as the message that they came from.
    pub(super) fn to_info(&self) -> Info {
        info_of(self.items.values().map(|held| held.item.clone()))
    }

    /// Names of the member sets, in the order in which edits count them.
    pub(super) fn set_ids(&self) -> Vec<Uuid> {
        let first = ItemKey::members(Uuid([0; 16]));
        self.items.range(first..).map(|(key, _)| key.id).collect()
    }
}

fn size(item: &Item) -> usize {
    if let Item::Members(set) = item { set.len() } else { 0 }
}
