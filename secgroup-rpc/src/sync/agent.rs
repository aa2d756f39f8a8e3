//! The side that applies what concerns its devices.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::SyncError;
use super::edits::{self, AnyEdit, Decoder, Edit};
use super::message::{self, FORMAT, Head, Position, ToAgent, ToServer};
use super::state::{ItemKey, State, items_of};
use super::wire::Reader;
use crate::{Device, Group, Info, Limits, MemberSet, Uuid};

/// Deltas that came too early and wait for the one before them.
const EARLY: usize = 32;

/// Times and bounds of an agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AgentConfig {
    /// How long a missing delta may be late before it counts as lost.
    pub patience: Duration,
    /// First pause before a sync is repeated; doubled each time up to `keepalive`.
    pub retry: Duration,
    /// Silence after which the agent checks whether it missed something.
    pub keepalive: Duration,
    /// What a message may ask for.
    pub limits: Limits,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            patience: Duration::from_millis(50),
            retry: Duration::from_secs(1),
            keepalive: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }
}

/// What became of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Handled {
    /// The state is another now; these items changed, came or went.
    Applied(Vec<ItemKey>),
    /// The server confirms that nothing was missed.
    Settled,
    /// The message was applied before.
    Duplicate,
    /// The message waits for one before it, or for an answer.
    Early,
    /// The message is of another server's stream, or answers a question that is no longer open.
    Stale,
    /// The state may be wrong: a sync is due.
    OutOfStep,
}

/// What an agent counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AgentCounters {
    /// Deltas applied.
    pub deltas: u64,
    /// Heals applied.
    pub heals: u64,
    /// Syncs sent.
    pub syncs: u64,
    /// Checks sent.
    pub checks: u64,
    /// Messages ignored as duplicate or stale.
    pub ignored: u64,
    /// Messages refused: unreadable, or not leading where they promise.
    pub refused: u64,
}

/// What is known on one host, kept in step with a [`Server`](super::Server).
///
/// - Give it what the server sends: [`handle`](Self::handle).
/// - Afterwards, and when [`poll_timeout`](Self::poll_timeout) has come, send what
///   [`poll_transmit`](Self::poll_transmit) returns until it returns `None`.
///
/// Until the first heal its state is empty and [`is_synced`](Self::is_synced) is false: keep the old
/// filter. `now` is the time since an epoch of the caller's choice; time that goes back stands still.
#[derive(Clone, Debug)]
pub struct Agent {
    config: AgentConfig,
    devices: Vec<Uuid>,
    state: State,
    /// `None` before the first heal.
    stream: Option<Position>,
    early: BTreeMap<u64, Vec<u8>>,
    nonce: u8,
    asked: Asked,
    pause: Duration,
    /// When a missing delta counts as lost, an answer as overdue, or silence as suspect.
    deadline: Duration,
    counters: AgentCounters,
}

/// What the agent waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// Nothing: deltas come when they come.
    Nothing,
    /// A delta that is missing.
    Missing,
    /// A sync is to be sent.
    SyncDue,
    /// The answer to a sync.
    Heal,
    /// The answer to a check.
    Check,
}

impl Agent {
    /// An agent with these devices that holds nothing and wants to sync.
    pub fn new(config: AgentConfig, devices: impl IntoIterator<Item = Uuid>) -> Self {
        Self {
            config,
            devices: devices.into_iter().collect(),
            state: State::default(),
            stream: None,
            early: BTreeMap::new(),
            nonce: 0,
            asked: Asked::SyncDue,
            pause: config.retry,
            deadline: Duration::ZERO,
            counters: AgentCounters::default(),
        }
    }

    /// An agent that starts from what it knew before a restart.
    pub fn restore(config: AgentConfig, devices: impl IntoIterator<Item = Uuid>, info: Info) -> Self {
        let mut agent = Self::new(config, devices);
        for item in items_of(info) {
            agent.state.put(item);
        }
        agent
    }

    /// Replaces the devices; a sync tells the server.
    pub fn set_devices(&mut self, devices: impl IntoIterator<Item = Uuid>) {
        self.devices = devices.into_iter().collect();
        self.asked = Asked::SyncDue;
    }

    /// Whether the state was confirmed by a server at least once.
    pub const fn is_synced(&self) -> bool {
        self.stream.is_some()
    }

    /// Everything held, as a message. O(n).
    pub fn info(&self) -> Info {
        self.state.to_info()
    }

    /// A device. O(log n).
    pub fn device(&self, id: Uuid) -> Option<&Device> {
        self.state.device(id)
    }

    /// The rules of a group. O(log n).
    pub fn group(&self, id: Uuid) -> Option<&Group> {
        self.state.group(id)
    }

    /// The members of a group or address group. O(log n).
    pub fn member_set(&self, id: Uuid) -> Option<&MemberSet> {
        self.state.member_set(id)
    }

    /// What was counted.
    pub const fn counters(&self) -> AgentCounters {
        self.counters
    }

    /// Takes in what a server sent. It is applied as a whole or not at all.
    ///
    /// # Errors
    /// [`SyncError`] if it is unreadable or does not lead to what it promises. The state stays, and a
    /// sync is due.
    pub fn handle(&mut self, now: Duration, bytes: &[u8]) -> Result<Handled, SyncError> {
        let result = self.take(now, bytes);
        match &result {
            Ok(Handled::Duplicate | Handled::Stale) => self.counters.ignored += 1,
            Ok(_) => {}
            Err(_) => {
                self.counters.refused += 1;
                self.lose_step();
            }
        }
        result
    }

    /// When to call [`poll_transmit`](Self::poll_transmit) again, if nothing else happens.
    pub fn poll_timeout(&self) -> Duration {
        if self.asked == Asked::SyncDue { Duration::ZERO } else { self.deadline }
    }

    /// The next message to the server; `None` if nothing is due.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        let is_due = self.asked == Asked::SyncDue || now >= self.deadline;
        match self.asked {
            _ if !is_due => None,
            Asked::Nothing => Some(self.check(now)),
            Asked::SyncDue | Asked::Missing | Asked::Heal | Asked::Check => Some(self.sync(now)),
        }
    }

    fn sync(&mut self, now: Duration) -> Vec<u8> {
        // A sync that got no answer is repeated with growing pauses.
        self.pause = match self.asked {
            Asked::Heal | Asked::Check => (self.pause * 2).min(self.config.keepalive),
            _ => self.config.retry,
        };
        self.ask(now, Asked::Heal);
        self.counters.syncs += 1;
        let position = self.position();
        let (devices, items) = (self.devices.clone(), self.state.digests().collect());
        ToServer::Sync { format: FORMAT, nonce: self.nonce, position, devices, items }.encode()
    }

    fn check(&mut self, now: Duration) -> Vec<u8> {
        self.pause = self.config.retry;
        self.ask(now, Asked::Check);
        self.counters.checks += 1;
        ToServer::Check { nonce: self.nonce, position: self.position() }.encode()
    }

    fn ask(&mut self, now: Duration, what: Asked) {
        self.asked = what;
        self.nonce = self.nonce.wrapping_add(1);
        self.deadline = now.saturating_add(self.pause);
    }

    fn position(&self) -> Position {
        Position { digest: self.state.digest(), ..self.stream.unwrap_or_default() }
    }

    /// The server was heard and nothing is open: be quiet for a while.
    fn rest(&mut self, now: Duration) {
        self.asked = Asked::Nothing;
        self.deadline = now.saturating_add(self.config.keepalive);
    }

    fn lose_step(&mut self) {
        if self.asked != Asked::Heal {
            self.asked = Asked::SyncDue;
        }
    }

    fn take(&mut self, now: Duration, bytes: &[u8]) -> Result<Handled, SyncError> {
        match ToAgent::decode(bytes, &self.config.limits)? {
            ToAgent::Settled { nonce } if self.awaits(Asked::Check, nonce) => {
                self.rest(now);
                Ok(Handled::Settled)
            }
            ToAgent::Ask { nonce } if self.awaits(Asked::Check, nonce) => {
                self.asked = Asked::SyncDue;
                Ok(Handled::OutOfStep)
            }
            ToAgent::Heal { nonce, position, removed, replaced } if self.awaits(Asked::Heal, nonce) => {
                self.heal(now, position, &removed, replaced)
            }
            ToAgent::Settled { .. } | ToAgent::Ask { .. } | ToAgent::Heal { .. } => Ok(Handled::Stale),
            ToAgent::Delta { head, body } => self.delta(now, bytes, head, |agent| agent.read_delta(body)),
            ToAgent::Edit { head, body } => self.delta(now, bytes, head, |agent| agent.read_edit(body)),
        }
    }

    fn awaits(&self, what: Asked, nonce: u8) -> bool {
        self.asked == what && self.nonce == nonce
    }

    fn heal(
        &mut self,
        now: Duration,
        position: Position,
        removed: &[ItemKey],
        replaced: Info,
    ) -> Result<Handled, SyncError> {
        let change = Change { removed: removed.to_vec(), replaced, ..Change::default() };
        let mut changed = self.apply(change, |digest| digest == position.digest)?;
        self.counters.heals += 1;
        self.stream = Some(position);
        self.rest(now);
        changed.extend(self.catch_up(now));
        Ok(Handled::Applied(changed))
    }

    fn delta(
        &mut self,
        now: Duration,
        bytes: &[u8],
        head: Head,
        read: impl FnOnce(&Self) -> Result<Change, SyncError>,
    ) -> Result<Handled, SyncError> {
        let Some(stream) = self.stream.filter(|stream| stream.epoch as u16 == head.epoch) else {
            return Ok(Handled::Stale);
        };
        // The low bits say how far the number is from ours, in either direction.
        let ahead = head.seq.wrapping_sub(stream.seq as u16) as i16;
        match ahead {
            ..=0 => return Ok(Handled::Duplicate),
            1 if self.asked != Asked::Heal => {}
            _ => return Ok(self.keep_for_later(now, stream.seq + ahead as u64, bytes)),
        }
        if head.base != self.state.digest() as u16 {
            return Err(SyncError::Base);
        }
        let change = read(self)?;
        let mut changed = self.apply(change, |digest| digest as u32 == head.result)?;
        self.counters.deltas += 1;
        self.stream = Some(Position { seq: stream.seq + 1, ..stream });
        if matches!(self.asked, Asked::Nothing | Asked::Missing) {
            self.rest(now);
        }
        changed.extend(self.catch_up(now));
        Ok(Handled::Applied(changed))
    }

    /// A delta that came before its turn: the missing one may only be late.
    fn keep_for_later(&mut self, now: Duration, seq: u64, bytes: &[u8]) -> Handled {
        if self.early.len() < EARLY {
            self.early.insert(seq, bytes.to_vec());
        }
        if self.asked == Asked::Nothing {
            self.asked = Asked::Missing;
            self.deadline = now.saturating_add(self.config.patience);
        }
        Handled::Early
    }

    /// Applies what waited for the last message; what still does not fit starts the wait anew.
    fn catch_up(&mut self, now: Duration) -> Vec<ItemKey> {
        let mut changed = Vec::new();
        let reached = self.stream.map_or(0, |stream| stream.seq);
        self.early.retain(|seq, _| *seq > reached);
        if let Some(bytes) = self.early.remove(&(reached + 1)) {
            // It is tried once: a sync brings what it held if it does not fit.
            if let Ok(Handled::Applied(keys)) = self.handle(now, &bytes) {
                changed.extend(keys);
            }
        } else if !self.early.is_empty() && self.asked == Asked::Nothing {
            self.asked = Asked::Missing;
            self.deadline = now.saturating_add(self.config.patience);
        }
        changed
    }

    fn read_delta(&self, mut body: Reader<'_>) -> Result<Change, SyncError> {
        let mut change = Change::default();
        let ids = self.state.set_ids();
        for _ in 0..body.count()? {
            let index = body.count()?;
            let count = body.count()?;
            let id = *ids.get(index).ok_or_else(|| body.invalid("a set that is not there"))?;
            let mut decoder = Decoder::default();
            let mut edits = SetEdits::new(id);
            for _ in 0..count {
                edits.push(self.read_one(id, &mut decoder, &mut body)?);
            }
            change.edited.push(edits);
        }
        change.removed = message::read_removed(&mut body)?;
        change.replaced = message::read_info(&mut body, &self.config.limits)?;
        message::skip_extensions(&mut body)?;
        Ok(change)
    }

    fn read_edit(&self, mut body: Reader<'_>) -> Result<Change, SyncError> {
        let index = body.count()?;
        let id = self
            .state
            .set_ids()
            .get(index)
            .copied()
            .ok_or_else(|| body.invalid("a set that is not there"))?;
        let mut edits = SetEdits::new(id);
        edits.push(self.read_one(id, &mut Decoder::default(), &mut body)?);
        message::skip_extensions(&mut body)?;
        Ok(Change { edited: Vec::from([edits]), ..Change::default() })
    }

    fn read_one(&self, id: Uuid, decoder: &mut Decoder, body: &mut Reader<'_>) -> Result<AnyEdit, SyncError> {
        let set = self.state.member_set(id);
        let v4 = set.and_then(|set| set.v4.as_ref()).map(|members| &members.addresses[..]);
        let v6 = set.and_then(|set| set.v6.as_ref()).map(|members| &members.addresses[..]);
        decoder.next(v4.unwrap_or_default(), v6.unwrap_or_default(), body)
    }

    /// Applies a change if it leads to a digest that `promised` accepts and stays within the limits;
    /// otherwise the state is as before.
    fn apply(&mut self, change: Change, promised: impl Fn(u64) -> bool) -> Result<Vec<ItemKey>, SyncError> {
        let plain = change.removed.is_empty() && change.replaced == Info::default();
        if plain && let [edits] = &change.edited[..] {
            return self.apply_edits(edits, promised);
        }
        // Anything larger is tried on a copy.
        let mut next = self.state.clone();
        let mut changed = Vec::new();
        for edits in &change.edited {
            if next.edit(edits.id, |set| edits.apply(set)) {
                changed.push(ItemKey::members(edits.id));
            }
        }
        for key in change.removed {
            if next.remove(key) {
                changed.push(key);
            }
        }
        for item in items_of(change.replaced) {
            let key = item.key();
            if next.put(item) {
                changed.push(key);
            }
        }
        if !promised(next.digest()) {
            return Err(SyncError::Result);
        }
        self.within_limits(next.member_count())?;
        self.state = next;
        Ok(changed)
    }

    /// Edits of one set: their digest tells whether they lead where they should before they do.
    fn apply_edits(
        &mut self,
        edits: &SetEdits,
        promised: impl Fn(u64) -> bool,
    ) -> Result<Vec<ItemKey>, SyncError> {
        let key = ItemKey::members(edits.id);
        let old = self.state.item_digest(key).unwrap_or_default();
        let new = old.wrapping_add(edits.digest());
        let total =
            self.state.digest().wrapping_sub(key.contribution(old)).wrapping_add(key.contribution(new));
        if !promised(total) {
            return Err(SyncError::Result);
        }
        self.within_limits(self.state.member_count() + edits.v4.len() + edits.v6.len())?;
        if self.state.edit(edits.id, |set| edits.apply(set)) {
            Ok(Vec::from([key]))
        } else {
            Err(SyncError::Result)
        }
    }

    const fn within_limits(&self, members: usize) -> Result<(), SyncError> {
        let limit = self.config.limits.members;
        if members > limit { Err(SyncError::Limit { what: "members", limit }) } else { Ok(()) }
    }
}

/// A change, read and not yet applied.
#[derive(Debug, Default)]
struct Change {
    edited: Vec<SetEdits>,
    removed: Vec<ItemKey>,
    replaced: Info,
}

/// Edits of one set.
#[derive(Debug)]
struct SetEdits {
    id: Uuid,
    v4: Vec<Edit<core::net::Ipv4Addr>>,
    v6: Vec<Edit<core::net::Ipv6Addr>>,
}

impl SetEdits {
    const fn new(id: Uuid) -> Self {
        Self { id, v4: Vec::new(), v6: Vec::new() }
    }

    fn push(&mut self, edit: AnyEdit) {
        match edit {
            AnyEdit::V4(edit) => self.v4.push(edit),
            AnyEdit::V6(edit) => self.v6.push(edit),
        }
    }

    fn digest(&self) -> u64 {
        edits::digest(&self.v4).wrapping_add(edits::digest(&self.v6))
    }

    /// `None` if the set lacks a family that is edited; what it adds to the digest otherwise.
    fn apply(&self, set: &mut MemberSet) -> Option<u64> {
        if (!self.v4.is_empty() && set.v4.is_none()) || (!self.v6.is_empty() && set.v6.is_none()) {
            return None;
        }
        if let Some(members) = &mut set.v4 {
            edits::apply(&mut members.addresses, &self.v4);
        }
        if let Some(members) = &mut set.v6 {
            edits::apply(&mut members.addresses, &self.v6);
        }
        Some(self.digest())
    }
}
