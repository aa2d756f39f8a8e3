//! What happened to a member set lately, so that a change need not be searched for.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use super::digest::Address;
use super::edits::{self, Edit};
use super::wire::put_count;
use crate::MemberSet;

/// Changes that are kept for each set; a delta further back replaces the whole set.
const KEPT: usize = 4096;

/// The last changes of one set, each with the version that it led to.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// Every change after this version is known.
    since: u64,
    changes: VecDeque<(u64, AnyChange)>,
    /// The last difference that was asked for: many agents ask for the same.
    last: Option<Difference>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum AnyChange {
    V4(Edit<Ipv4Addr>),
    V6(Edit<Ipv6Addr>),
}

/// What leads from an older version of a set to the current one.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    from: u64,
    /// How many edits there are.
    pub(super) count: usize,
    /// The edits, as a delta carries them.
    pub(super) edits: Vec<u8>,
}

impl Difference {
    /// The edits behind their count.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_count(out, self.count);
        out.extend_from_slice(&self.edits);
    }
}

impl History {
    /// Nothing is known about what was before `version`.
    pub(super) const fn from(version: u64) -> Self {
        Self { since: version, changes: VecDeque::new(), last: None }
    }

    pub(super) fn note(&mut self, version: u64, change: AnyChange) {
        self.last = None;
        self.changes.push_back((version, change));
        if self.changes.len() > KEPT
            && let Some((version, _)) = self.changes.pop_front()
        {
            self.since = version;
        }
    }

    /// The edits from version `from` to the current set; `None` if that is too long ago.
    pub(super) fn difference(&mut self, from: u64, set: &MemberSet) -> Option<&Difference> {
        if from < self.since {
            return None;
        }
        if self.last.as_ref().is_none_or(|last| last.from != from) {
            let changes = self.changes.iter().rev().take_while(|(version, _)| *version > from);
            let (mut v4, mut v6) = (BTreeMap::new(), BTreeMap::new());
            for (_, change) in changes {
                // Going backwards, the first seen of an address is its last change and the last seen
                // its first: together they say whether anything is left of them.
                match change {
                    AnyChange::V4(edit) => note_net(&mut v4, edit),
                    AnyChange::V6(edit) => note_net(&mut v6, edit),
                }
            }
            let mut difference = Difference { from, count: 0, edits: Vec::new() };
            put_family(&mut difference, set.v4.as_ref().map(|members| &members.addresses[..]), &v4);
            put_family(&mut difference, set.v6.as_ref().map(|members| &members.addresses[..]), &v6);
            self.last = Some(difference);
        }
        self.last.as_ref()
    }
}

/// Whether the last and the first change of an address were additions.
type Net<A> = BTreeMap<A, (bool, bool)>;

fn note_net<A: Address>(net: &mut Net<A>, edit: &Edit<A>) {
    net.entry(edit.address).or_insert((edit.add, edit.add)).1 = edit.add;
}

fn put_family<A: Address>(difference: &mut Difference, current: Option<&[A]>, net: &Net<A>) {
    // Added first and removed last, or the other way round, cancels.
    let edits: Vec<_> = net
        .iter()
        .filter(|(_, (last, first))| last == first)
        .map(|(address, (add, _))| Edit { address: *address, add: *add })
        .collect();
    let undo: Vec<_> = edits.iter().map(|edit| Edit { add: !edit.add, ..*edit }).collect();
    let mut old = current.unwrap_or_default().to_vec();
    edits::apply(&mut old, &undo);
    difference.count += edits.len();
    edits::encode(&old, &edits, &mut difference.edits);
}

impl AnyChange {
    /// Changes a set that has the family; what that adds to its digest, `None` if nothing changed.
    pub(super) fn apply(&self, set: &mut MemberSet) -> Option<u64> {
        match self {
            Self::V4(edit) => apply(&mut set.v4.as_mut()?.addresses, *edit),
            Self::V6(edit) => apply(&mut set.v6.as_mut()?.addresses, *edit),
        }
    }
}

fn apply<A: Address>(addresses: &mut Vec<A>, edit: Edit<A>) -> Option<u64> {
    if addresses.binary_search(&edit.address).is_ok() == edit.add {
        return None;
    }
    edits::apply(addresses, &[edit]);
    Some(edits::digest(&[edit]))
}
