//! Who else probes: a bounded table of senders.

use core::time::Duration;

use macaddr::MacAddr6;
use vlan_table::{PortId, VlanId};

use super::event::Neighbour;
use super::probe::{Rank, Stake, StrictProbe};
use super::schedule::at_or_after;

/// Senders that are remembered; the one heard least recently makes room.
const CAPACITY: usize = 32;
/// Probes of one sender and VLAN, and of all, that are flooded ahead of the storm guard in a second. A
/// sound detector's stay below, or detectors would drive each other on; what goes round, or is made up
/// to pass the guard, does not.
const FLOODED_OF_ONE: u16 = 64;
const FLOODED_OF_ALL: u16 = 512;

/// What hearing a strict probe told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// Not heard before.
    New,
    /// The same round in the same VLAN a second time: two ways lead here, or one goes round.
    Twice,
    /// Known already.
    Again,
}

#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    entries: [Option<Entry>; CAPACITY],
    flooded: Allowance,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    seen: Neighbour,
    flooded: Allowance,
    strict: Option<Strict>,
}

/// What is known of a strict sender's last round.
#[derive(Clone, Copy, Debug)]
struct Strict {
    rank: Rank,
    stake: Stake,
    sequence: u32,
    /// When the round was first heard, and where: that way leads to the sender.
    since: Duration,
    port: PortId,
    /// VLANs in which it was heard, as a small Bloom filter: a false hit costs a round of probes.
    vlans: u64,
    /// The most VLANs that a round of this sender was heard in.
    most_vlans: u16,
    /// Whether [`Heard::Twice`] was said for the round.
    told: bool,
}

/// Counts up to a bound, anew every second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    since: Duration,
    used: u16,
}

impl Allowance {
    /// Whether one more is within the bound.
    pub(super) fn take(&mut self, now: Duration, bound: u16) -> bool {
        if now.saturating_sub(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, used: 0 };
        }
        let left = self.used < bound;
        self.used += u16::from(left);
        left
    }
}

impl Neighbours {
    pub(super) fn new() -> Self {
        Self { entries: [None; CAPACITY], flooded: Allowance::default() }
    }

    /// Whether a probe of `mac`, just heard, may be flooded ahead of the storm guard.
    pub(super) fn may_flood(&mut self, now: Duration, mac: MacAddr6) -> bool {
        let entry = self.entries.iter_mut().flatten().find(|entry| entry.seen.mac == mac);
        let bound = |entry: &Entry| FLOODED_OF_ONE * entry.strict.map_or(1, |strict| strict.most_vlans);
        entry.is_some_and(|entry| entry.flooded.take(now, bound(entry)))
            && self.flooded.take(now, FLOODED_OF_ALL)
    }

    /// Counts a probe that is not strict, from `mac`.
    pub(super) fn hear_plain(&mut self, now: Duration, mac: MacAddr6, port: PortId) {
        self.entry(now, port, mac, None);
    }

    /// Counts a strict probe. Copies whose way is not `open` to other frames are no second way.
    pub(super) fn hear(
        &mut self,
        now: Duration,
        probe: &StrictProbe,
        port: PortId,
        vlan: Option<VlanId>,
        open: bool,
    ) -> Heard {
        let fresh = Strict {
            rank: probe.rank(),
            stake: probe.stake,
            sequence: probe.sequence,
            since: now,
            port,
            vlans: 0,
            most_vlans: 1,
            told: false,
        };
        let Some(Entry { strict: Some(strict), .. }) = self.entry(now, port, probe.mac, Some(fresh)) else {
            return Heard::New;
        };
        let vlan_bit = 1 << (vlan.map_or(0, VlanId::get) % 64);
        if strict.sequence != probe.sequence {
            if at_or_after(strict.sequence, probe.sequence) {
                return Heard::Again; // an old round that still goes round
            }
            *strict = Strict { most_vlans: strict.most_vlans, ..fresh };
        }
        strict.stake = strict.stake.max(probe.stake);
        if !open {
            return Heard::New;
        }
        if strict.vlans & vlan_bit == 0 {
            strict.vlans |= vlan_bit;
            strict.most_vlans = strict.most_vlans.max(strict.vlans.count_ones() as u16);
            return Heard::New;
        }
        if core::mem::replace(&mut strict.told, true) { Heard::Again } else { Heard::Twice }
    }

    /// How many detectors that rank before `own` claimed since `since`.
    pub(super) fn ahead_of(&self, own: Rank, since: Duration) -> u32 {
        let strict = self.entries.iter().flatten().filter_map(|entry| entry.strict);
        let ahead = |other: &Strict| other.stake >= Stake::Claims && other.rank < own && other.since >= since;
        strict.filter(ahead).count() as u32
    }

    /// How many detectors that block were heard on `port` since `since`.
    pub(super) fn blockers_behind(&self, port: PortId, since: Duration) -> u32 {
        let behind = |entry: &&Entry| {
            let strict = entry.strict.filter(|strict| strict.port == port && strict.since >= since);
            strict.is_some_and(|strict| strict.stake > Stake::Listens)
        };
        self.entries.iter().flatten().filter(behind).count() as u32
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Neighbour> + '_ {
        self.entries.iter().flatten().map(|entry| entry.seen)
    }

    /// The entry of a sender, made in the place of the one heard least recently if there is none.
    fn entry(
        &mut self,
        now: Duration,
        port: PortId,
        mac: MacAddr6,
        strict: Option<Strict>,
    ) -> Option<&mut Entry> {
        let rank = strict.map(|strict| strict.rank);
        let known = |entry: &Entry| entry.seen.mac == mac && entry.strict.map(|strict| strict.rank) == rank;
        let slots = || self.entries.iter().enumerate();
        let (place, _) = slots()
            .find(|(_, slot)| slot.as_ref().is_some_and(known))
            .or_else(|| slots().min_by_key(|(_, slot)| slot.map(|entry| entry.seen.heard_at)))?;
        let slot = self.entries.get_mut(place)?;
        if !slot.as_ref().is_some_and(known) {
            let seen = Neighbour { mac, port, heard_at: now, probes: 0, strict: strict.is_some() };
            *slot = Some(Entry { seen, flooded: Allowance::default(), strict });
        }
        let entry = slot.as_mut()?;
        entry.seen =
            Neighbour { port, heard_at: now, probes: entry.seen.probes.saturating_add(1), ..entry.seen };
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn probe(last_byte: u8, sequence: u32) -> StrictProbe {
        StrictProbe {
            mac: MacAddr6::new(2, 0, 0, 0, 0, last_byte),
            nonce: 7,
            priority: 0x8000,
            sequence,
            port: PortId::new(1).unwrap(),
            vlan: None,
            stake: Stake::Claims,
        }
    }

    fn port(raw: u16) -> PortId {
        PortId::new(raw).unwrap()
    }

    #[test]
    fn a_second_copy_is_told_once_per_round_and_vlan() {
        let mut table = Neighbours::new();
        let mut hear = |sequence, vlan, forwards| {
            table.hear(MS, &probe(1, sequence), port(0), VlanId::new(vlan), forwards)
        };
        assert_eq!(hear(1, 10, true), Heard::New);
        assert_eq!(hear(1, 20, true), Heard::New);
        assert_eq!(hear(1, 10, false), Heard::New, "a blocked port is no second way");
        assert_eq!(hear(1, 10, true), Heard::Twice);
        assert_eq!(hear(1, 10, true), Heard::Again);
        assert_eq!(hear(2, 10, true), Heard::New);
        assert_eq!(hear(1, 10, true), Heard::Again, "an old round");
        assert_eq!(table.iter().map(|seen| seen.probes).collect::<alloc::vec::Vec<_>>(), [7]);
    }

    #[test]
    fn only_senders_of_a_lower_rank_that_claim_with_a_fresh_round_are_ahead() {
        let mut table = Neighbours::new();
        table.hear(10 * MS, &probe(1, 1), port(0), None, true);
        table.hear(20 * MS, &StrictProbe { stake: Stake::Waits, ..probe(2, 1) }, port(0), None, true);
        table.hear(30 * MS, &probe(9, 1), port(0), None, true);
        table.hear(40 * MS, &probe(1, 1), port(0), None, true); // goes round: no fresh round
        let own = probe(5, 1).rank();
        assert_eq!(table.ahead_of(own, 10 * MS), 1);
        assert_eq!(table.ahead_of(own, 11 * MS), 0);
        assert_eq!(table.blockers_behind(port(0), 30 * MS), 1);
        assert_eq!(table.blockers_behind(port(0), 10 * MS), 3);
        assert_eq!(table.blockers_behind(port(1), 10 * MS), 0);
    }

    #[test]
    fn a_flood_of_senders_evicts_those_heard_least_recently() {
        let mut table = Neighbours::new();
        for last_byte in 0..100 {
            table.hear_plain(u32::from(last_byte) * MS, probe(last_byte, 0).mac, port(0));
        }
        let kept: alloc::vec::Vec<_> = table.iter().map(|seen| seen.mac.into_array()[5]).collect();
        assert_eq!(kept.len(), CAPACITY);
        assert!(kept.iter().all(|last_byte| usize::from(*last_byte) >= 100 - CAPACITY));
    }
}
