//! The side that knows everything and tells each agent what concerns it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

use super::SyncError;
use super::edits::Edit;
use super::history::{AnyChange, History};
use super::message::{self, FORMAT, Head, Position, ToServer};
use super::state::{Item, ItemKey, ItemKind, State, info_of, items_of};
use super::wire::put_count;
use crate::{Device, Group, Info, IpSpec, Member, MemberSet, Rule, Uuid};

/// Who an agent is; the caller's number, such as that of a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AgentId(pub u64);

/// The model, and how far each agent is.
///
/// - Change it with `set_*`, `add_member`, `remove_*`, [`replace`](Self::replace).
/// - Give it what agents send: [`handle`](Self::handle).
/// - Then send what [`poll_transmit`](Self::poll_transmit) returns until it returns `None`. Not
///   calling it for a while is how changes coalesce.
///
/// ```
/// use core::time::Duration;
/// use secgroup_rpc::sync::{Agent, AgentConfig, AgentId, Server};
/// use secgroup_rpc::{Device, IpSpec, Member, Uuid};
///
/// let (port, now) = (Uuid([1; 16]), Duration::ZERO);
/// let mut server = Server::new(7);
/// server.set_device(Device::new(port, "fa:16:3e:00:00:01".parse()?));
///
/// let mut agent = Agent::new(AgentConfig::default(), [port]);
/// server.handle(AgentId(0), &agent.poll_transmit(now).expect("a new agent syncs"))?;
/// let (_, heal) = server.poll_transmit().expect("an answer");
/// agent.handle(now, &heal)?;
/// assert_eq!(agent.info(), server.info_for([port]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Server {
    epoch: u32,
    state: State,
    /// Of every item that ever changed; the clock is the newest.
    versions: BTreeMap<ItemKey, u64>,
    histories: BTreeMap<Uuid, History>,
    clock: u64,
    agents: BTreeMap<AgentId, Session>,
    watchers: BTreeMap<ItemKey, BTreeSet<AgentId>>,
    /// Agents that may have to be told something.
    waiting: BTreeSet<AgentId>,
    counters: ServerCounters,
}

/// What a server wrote.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ServerCounters {
    /// Heals.
    pub heals: u64,
    /// Deltas, single edits included.
    pub deltas: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Times that an agent waited and nothing was left to tell it: changes had cancelled.
    pub cancelled: u64,
}

/// How far one agent is.
#[derive(Clone, Debug, Default)]
struct Session {
    devices: BTreeSet<Uuid>,
    /// The items that concern it, there or not.
    watched: BTreeSet<ItemKey>,
    /// What the agent holds, as far as it was told.
    sent: BTreeMap<ItemKey, Sent>,
    digest: u64,
    seq: u64,
    /// Items that changed since.
    dirty: BTreeSet<ItemKey>,
    /// Devices or rules changed: other items may concern it now.
    interest_is_stale: bool,
    answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    version: u64,
    digest: u64,
}

#[derive(Clone, Debug)]
enum Answer {
    Heal { nonce: u8, held: BTreeMap<ItemKey, u64> },
    Settled { nonce: u8 },
    Ask { nonce: u8 },
}

/// The model.
impl Server {
    /// A server that knows nothing. `epoch` tells its streams from those of others and from its own
    /// before a restart: take a random number.
    pub fn new(epoch: u32) -> Self {
        Self {
            epoch,
            state: State::default(),
            versions: BTreeMap::new(),
            histories: BTreeMap::new(),
            clock: 0,
            agents: BTreeMap::new(),
            watchers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            counters: ServerCounters::default(),
        }
    }

    /// Adds or replaces a device. What a filter does not need is dropped. O(log n).
    pub fn set_device(&mut self, device: Device) {
        self.put(Info { devices: Vec::from([device]), ..Info::default() });
    }

    /// Removes a device; an unknown one is no error.
    pub fn remove_device(&mut self, id: Uuid) {
        self.remove(ItemKey::device(id));
    }

    /// Replaces the rules of a group. O(rules).
    pub fn set_rules(&mut self, group: Uuid, rules: Vec<Rule>) {
        self.put(Info { groups: Vec::from([Group { id: group, rules }]), ..Info::default() });
    }

    /// Removes a group and its members.
    pub fn remove_group(&mut self, id: Uuid) {
        self.remove(ItemKey::group(id));
        self.remove_members(id);
    }

    /// Replaces all members of a group or address group. O(n); agents are still told the difference
    /// only, if [`add_member`](Self::add_member) and [`remove_member`](Self::remove_member) could.
    pub fn set_members(&mut self, set: MemberSet) {
        let mut set = MemberSet { patch: crate::Patch::new(), ..set };
        set.normalize();
        let differences = self.state.member_set(set.id).and_then(|old| bare_differences(old, &set));
        match differences {
            Some(changes) => changes.into_iter().for_each(|change| self.edit(set.id, change)),
            None => self.put_item(Item::Members(set)),
        }
    }

    /// Removes a member set; an unknown one is no error.
    pub fn remove_members(&mut self, id: Uuid) {
        self.remove(ItemKey::members(id));
        self.histories.remove(&id);
    }

    /// Adds a member; the set is made if there is none. O(n) to insert, O(1) in what it costs to
    /// tell.
    pub fn add_member(&mut self, id: Uuid, member: Member) {
        self.change_member(id, member, true);
    }

    /// Removes a member; an unknown one is no error.
    pub fn remove_member(&mut self, id: Uuid, member: Member) {
        self.change_member(id, member, false);
    }

    /// Makes the whole model equal to `info`; what is equal already costs agents nothing. O(n).
    pub fn replace(&mut self, info: Info) {
        let items: Vec<_> = items_of(info).collect();
        let kept: BTreeSet<_> = items.iter().map(Item::key).collect();
        let gone: Vec<_> = self.state.keys().filter(|key| !kept.contains(key)).collect();
        gone.into_iter().for_each(|key| self.remove(key));
        for item in items {
            match item {
                Item::Members(set) => self.set_members(set),
                item => self.put_item(item),
            }
        }
    }

    /// The whole model.
    pub fn info(&self) -> Info {
        self.state.to_info()
    }

    /// What concerns an agent with these devices. O(items).
    pub fn info_for(&self, devices: impl IntoIterator<Item = Uuid>) -> Info {
        let keys = self.closure(&devices.into_iter().collect());
        info_of(keys.into_iter().filter_map(|key| self.state.get(key).cloned()))
    }

    /// What was written.
    pub const fn counters(&self) -> ServerCounters {
        self.counters
    }

    fn put(&mut self, info: Info) {
        for item in items_of(info) {
            self.put_item(item);
        }
    }

    fn put_item(&mut self, item: Item) {
        let key = item.key();
        if self.state.put(item) {
            let version = self.changed(key);
            if key.kind == ItemKind::Members {
                self.histories.insert(key.id, History::from(version));
            }
        }
    }

    fn remove(&mut self, key: ItemKey) {
        if self.state.remove(key) {
            self.changed(key);
        }
    }

    fn change_member(&mut self, id: Uuid, member: Member, add: bool) {
        let bare = match member {
            Member { address: IpSpec::Host(address), mac: None } => Some(address),
            _ => None,
        };
        let family_is_there = |address: IpAddr| {
            let set = self.state.member_set(id);
            set.is_some_and(|set| if address.is_ipv4() { set.v4.is_some() } else { set.v6.is_some() })
        };
        match bare.filter(|address| family_is_there(*address)) {
            Some(IpAddr::V4(address)) => self.edit(id, AnyChange::V4(Edit { address, add })),
            Some(IpAddr::V6(address)) => self.edit(id, AnyChange::V6(Edit { address, add })),
            None => {
                let mut set = self.state.member_set(id).cloned().unwrap_or_else(|| MemberSet::new(id));
                if add {
                    set.push(member);
                } else {
                    set.remove(member);
                }
                set.normalize();
                self.put_item(Item::Members(set));
            }
        }
    }

    /// A change of a bare address in a family that the set has.
    fn edit(&mut self, id: Uuid, change: AnyChange) {
        if self.state.edit(id, |set| change.apply(set)) {
            let version = self.changed(ItemKey::members(id));
            let history = self.histories.entry(id).or_insert_with(|| History::from(version - 1));
            history.note(version, change);
        }
    }

    /// Gives the item a new version and marks it for everyone whom it concerns.
    fn changed(&mut self, key: ItemKey) -> u64 {
        self.clock += 1;
        self.versions.insert(key, self.clock);
        for agent in self.watchers.get(&key).into_iter().flatten() {
            if let Some(session) = self.agents.get_mut(agent) {
                session.dirty.insert(key);
                session.interest_is_stale |= key.kind != ItemKind::Members;
                self.waiting.insert(*agent);
            }
        }
        self.clock
    }

    /// The items that concern an agent with these devices, there or not.
    fn closure(&self, devices: &BTreeSet<Uuid>) -> BTreeSet<ItemKey> {
        let mut keys: BTreeSet<_> = devices.iter().map(|id| ItemKey::device(*id)).collect();
        let found = devices.iter().filter_map(|id| self.state.device(*id));
        let groups: BTreeSet<_> = found.flat_map(|device| device.groups.iter().copied()).collect();
        for id in groups {
            keys.insert(ItemKey::group(id));
            let rules = self.state.group(id).into_iter().flat_map(|group| &group.rules);
            keys.extend(rules.filter_map(|rule| rule.remote).map(|remote| ItemKey::members(remote.id())));
        }
        keys
    }
}

/// Agents.
impl Server {
    /// Takes in what an agent sent.
    ///
    /// # Errors
    /// [`SyncError`] if it is no message of an agent; nothing happens then.
    pub fn handle(&mut self, agent: AgentId, bytes: &[u8]) -> Result<(), SyncError> {
        let answer = match ToServer::decode(bytes)? {
            ToServer::Sync { format: 0, .. } => return Err(SyncError::Version { found: 0, newest: FORMAT }),
            ToServer::Sync { nonce, devices, items, .. } => {
                self.watch(agent, devices.into_iter().collect());
                Answer::Heal { nonce, held: items.into_iter().collect() }
            }
            ToServer::Check { nonce, position } => {
                let session = self.agents.get(&agent);
                let known = session.map(|session| Position {
                    epoch: self.epoch,
                    seq: session.seq,
                    digest: session.digest,
                });
                if known == Some(position) { Answer::Settled { nonce } } else { Answer::Ask { nonce } }
            }
        };
        self.agents.entry(agent).or_default().answer = Some(answer);
        self.waiting.insert(agent);
        Ok(())
    }

    /// Forgets an agent, such as one whose connection is gone. It may come back with a sync.
    pub fn forget(&mut self, agent: AgentId) {
        self.watch(agent, BTreeSet::new());
        self.agents.remove(&agent);
        self.waiting.remove(&agent);
    }

    /// The next message to send, and to whom. Call it until it returns `None`.
    pub fn poll_transmit(&mut self) -> Option<(AgentId, Vec<u8>)> {
        while let Some(agent) = self.waiting.pop_first() {
            let answer = self.agents.get_mut(&agent).and_then(|session| session.answer.take());
            let message = match answer {
                Some(Answer::Heal { nonce, held }) => {
                    self.counters.heals += 1;
                    self.heal(agent, nonce, &held)
                }
                // What changed meanwhile comes after.
                Some(Answer::Settled { nonce }) => {
                    self.waiting.insert(agent);
                    return Some((agent, message::settled(nonce)));
                }
                Some(Answer::Ask { nonce }) => return Some((agent, message::ask(nonce))),
                None => self.delta(agent),
            };
            if let Some(message) = message {
                self.counters.bytes += message.len() as u64;
                return Some((agent, message));
            }
        }
        None
    }

    /// What differs from what the agent says it holds; from here on the stream goes on.
    fn heal(&mut self, agent: AgentId, nonce: u8, held: &BTreeMap<ItemKey, u64>) -> Option<Vec<u8>> {
        let keys = self.closure(&self.agents.get(&agent)?.devices);
        let there: BTreeMap<_, _> =
            keys.iter().filter_map(|key| Some((*key, self.state.item_digest(*key)?))).collect();
        let removed: Vec<_> = held.keys().filter(|key| !there.contains_key(key)).copied().collect();
        let differing = there.iter().filter(|(key, digest)| held.get(key) != Some(digest));
        let replaced = info_of(differing.filter_map(|(key, _)| self.state.get(*key).cloned()));
        let sent: BTreeMap<_, _> = there
            .iter()
            .map(|(key, digest)| (*key, Sent { version: self.version(*key), digest: *digest }))
            .collect();
        let digest = total(&sent);
        self.watch_items(agent, keys);
        let session = self.agents.get_mut(&agent)?;
        (session.sent, session.digest, session.seq) = (sent, digest, session.seq + 1);
        (session.dirty, session.interest_is_stale) = (BTreeSet::new(), false);
        let position = Position { epoch: self.epoch, seq: session.seq, digest };
        Some(message::heal(nonce, &position, &removed, replaced))
    }

    /// What changed since the agent was last told; `None` if that comes to nothing.
    fn delta(&mut self, agent: AgentId) -> Option<Vec<u8>> {
        if self.agents.get(&agent)?.interest_is_stale {
            self.refresh_interest(agent);
        }
        let change = self.collect(agent)?;
        if change.is_empty() {
            self.counters.cancelled += 1;
            return None;
        }
        let session = self.agents.get_mut(&agent)?;
        let before = core::mem::replace(&mut session.digest, total(&session.sent));
        session.seq += 1;
        let after = Position { epoch: self.epoch, seq: session.seq, digest: session.digest };
        self.counters.deltas += 1;
        Some(change.encode(Head::new(before, after)))
    }

    /// Works out the change for an agent and notes it as sent.
    fn collect(&mut self, agent: AgentId) -> Option<Change> {
        let session = self.agents.get_mut(&agent)?;
        let (mut change, mut replaced) = (Change::default(), Vec::new());
        let set_ids: Vec<_> =
            session.sent.keys().filter(|key| key.kind == ItemKind::Members).map(|key| key.id).collect();
        for key in core::mem::take(&mut session.dirty) {
            let now = self.state.item_digest(key).filter(|_| session.watched.contains(&key));
            let version = self.versions.get(&key).copied().unwrap_or_default();
            let was = session.sent.get(&key).copied();
            match (was, now) {
                (None, None) => continue,
                (Some(_), None) => {
                    change.removed.push(key);
                    session.sent.remove(&key);
                    continue;
                }
                (Some(was), Some(now)) if was.digest == now => {}
                (was, Some(_)) => {
                    let edits = was.zip(set_ids.binary_search(&key.id).ok()).and_then(|(was, index)| {
                        let set = self.state.member_set(key.id).filter(|_| key.kind == ItemKind::Members)?;
                        let difference = self.histories.get_mut(&key.id)?.difference(was.version, set)?;
                        // Past some point the whole set is shorter: an address costs about a byte in it.
                        (difference.edits.len() <= 16 + set.len()).then(|| (index, difference.clone()))
                    });
                    match edits {
                        Some(edits) => change.edited.push(edits),
                        None => replaced.extend(self.state.get(key).cloned()),
                    }
                }
            }
            session.sent.insert(key, Sent { version, digest: now.unwrap_or_default() });
        }
        change.replaced = info_of(replaced);
        Some(change)
    }

    fn refresh_interest(&mut self, agent: AgentId) {
        let Some(session) = self.agents.get_mut(&agent) else { return };
        session.interest_is_stale = false;
        let held: BTreeSet<_> = session.sent.keys().copied().collect();
        let keys =
            self.closure(&self.agents.get(&agent).map(|session| session.devices.clone()).unwrap_or_default());
        if let Some(session) = self.agents.get_mut(&agent) {
            session.dirty.extend(held.symmetric_difference(&keys));
        }
        self.watch_items(agent, keys);
    }

    /// The agent has these devices from now on.
    fn watch(&mut self, agent: AgentId, devices: BTreeSet<Uuid>) {
        let keys = self.closure(&devices);
        self.agents.entry(agent).or_default().devices = devices;
        self.watch_items(agent, keys);
    }

    fn watch_items(&mut self, agent: AgentId, keys: BTreeSet<ItemKey>) {
        let Some(session) = self.agents.get_mut(&agent) else { return };
        for key in session.watched.difference(&keys) {
            if let Some(agents) = self.watchers.get_mut(key) {
                agents.remove(&agent);
                if agents.is_empty() {
                    self.watchers.remove(key);
                }
            }
        }
        for key in keys.difference(&session.watched) {
            self.watchers.entry(*key).or_default().insert(agent);
        }
        session.watched = keys;
    }

    fn version(&self, key: ItemKey) -> u64 {
        self.versions.get(&key).copied().unwrap_or_default()
    }
}

/// What a delta says.
#[derive(Debug, Default)]
struct Change {
    /// Index of the set among the agent's, and its edits.
    edited: Vec<(usize, super::history::Difference)>,
    removed: Vec<ItemKey>,
    replaced: Info,
}

impl Change {
    fn is_empty(&self) -> bool {
        self.edited.is_empty() && self.removed.is_empty() && self.replaced == Info::default()
    }

    fn encode(self, head: Head) -> Vec<u8> {
        if let ([(index, difference)], []) = (&self.edited[..], &self.removed[..])
            && difference.count == 1
            && self.replaced == Info::default()
        {
            let mut out = message::edit(head);
            put_count(&mut out, *index);
            out.extend_from_slice(&difference.edits);
            return out;
        }
        let mut out = message::delta(head);
        put_count(&mut out, self.edited.len());
        for (index, difference) in &self.edited {
            put_count(&mut out, *index);
            difference.put(&mut out);
        }
        message::put_removed(&mut out, &self.removed);
        message::put_info(&mut out, self.replaced);
        out
    }
}

fn total(sent: &BTreeMap<ItemKey, Sent>) -> u64 {
    sent.iter().fold(0, |sum: u64, (key, sent)| sum.wrapping_add(key.contribution(sent.digest)))
}

/// The changes between two sets; `None` if more than bare addresses differ.
fn bare_differences(old: &MemberSet, new: &MemberSet) -> Option<Vec<AnyChange>> {
    let mut changes = Vec::new();
    match (&old.v4, &new.v4) {
        (None, None) => {}
        (Some(old), Some(new)) if old.others == new.others => {
            let edits = differences(&old.addresses, &new.addresses);
            changes.extend(edits.into_iter().map(AnyChange::V4));
        }
        _ => return None,
    }
    match (&old.v6, &new.v6) {
        (None, None) => {}
        (Some(old), Some(new)) if old.others == new.others => {
            let edits = differences(&old.addresses, &new.addresses);
            changes.extend(edits.into_iter().map(AnyChange::V6));
        }
        _ => return None,
    }
    Some(changes)
}

/// What leads from one sorted set to another.
fn differences<A: Copy + Ord>(old: &[A], new: &[A]) -> Vec<Edit<A>> {
    let gone = old.iter().filter(|address| new.binary_search(address).is_err());
    let come = new.iter().filter(|address| old.binary_search(address).is_err());
    let gone = gone.map(|address| Edit { address: *address, add: false });
    gone.chain(come.map(|address| Edit { address: *address, add: true })).collect()
}
