//! Silence: what happens when nobody is known to have an address, and how bindings live and die.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::claim::{Claimant, Kind};
use super::keys::AddrKey;
use super::{Checksums, MacNat, Recipients, Transmit, emit, nanos, put};
use crate::frame::{Arp, Header};
use crate::{DropReason, Limits, Miss, Side, Takeover, Verdict};

/// A question to all inside ports that has no answer yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    tries: u8,
    given_up: bool,
}

/// A frame of our own that waits for [`MacNat::poll_transmit`].
#[derive(Debug)]
pub(super) enum Job {
    /// Ask everybody inside.
    Ask(AddrKey),
    /// Ask the known owner.
    Refresh(AddrKey),
    /// Tell the provider where the address is.
    Announce(AddrKey),
    /// An ARP message for the owner of the address that it claims.
    Copy { frame: [u8; Job::COPY_LEN], len: usize, to: Claimant },
    /// A held frame whose owner is known now.
    Release(usize),
}

impl Job {
    /// Two tags and ARP, padded.
    const COPY_LEN: usize = 68;
}

/// Frames that wait for the owner of their destination.
#[derive(Debug)]
pub(super) struct Hold {
    bytes: Box<[u8]>,
    slot_len: usize,
    per_address: usize,
    slots: Vec<Option<Held>>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    key: AddrKey,
    len: usize,
    released: bool,
}

impl Hold {
    pub(super) fn new(limits: &Limits) -> Self {
        let bytes = vec![0; limits.held_frames * limits.held_bytes].into_boxed_slice();
        let slots = vec![None; limits.held_frames];
        Self { bytes, slot_len: limits.held_bytes, per_address: limits.held_per_address, slots }
    }

    fn keep(&mut self, key: AddrKey, frame: &[u8]) -> bool {
        let same = self.slots.iter().flatten().filter(|held| held.key == key).count();
        let Some(free) = self.slots.iter().position(Option::is_none) else { return false };
        let start = free * self.slot_len;
        if same >= self.per_address || frame.len() > self.slot_len {
            return false;
        }
        put(&mut self.bytes, start, frame);
        if let Some(slot) = self.slots.get_mut(free) {
            *slot = Some(Held { key, len: frame.len(), released: false });
        }
        true
    }

    /// The next frame for this address, which is from now on to be taken.
    fn release(&mut self, key: AddrKey) -> Option<usize> {
        let waits = |slot: &Option<Held>| slot.is_some_and(|held| held.key == key && !held.released);
        let at = self.slots.iter().position(waits)?;
        if let Some(Some(held)) = self.slots.get_mut(at) {
            held.released = true;
        }
        Some(at)
    }

    /// Copies the frame out and frees its slot.
    fn take(&mut self, at: usize, out: &mut [u8]) -> Option<usize> {
        let held = self.slots.get_mut(at)?.take()?;
        let frame = self.bytes.get(at * self.slot_len..)?.get(..held.len)?;
        out.get_mut(..held.len)?.copy_from_slice(frame);
        Some(held.len)
    }

    fn discard(&mut self, key: AddrKey) -> u64 {
        let mut lost = 0;
        for slot in &mut self.slots {
            if slot.is_some_and(|held| held.key == key && !held.released) {
                *slot = None;
                lost += 1;
            }
        }
        lost
    }
}

impl MacNat {
    /// Nobody is known to have the address: asks inside, at most once per interval.
    #[cold]
    pub(super) fn miss(&mut self, now: u64, key: AddrKey, frame: &[u8]) -> Result<Verdict, DropReason> {
        let policy = &self.config.policy;
        let hopeless = policy.miss == Miss::Drop || policy.takeover == Takeover::StaticOnly;
        let hold = policy.miss == Miss::Hold;
        if hopeless || !self.ports.iter().any(|port| port.config.admits_ip(key.addr())) {
            return Err(DropReason::Unknown);
        }
        self.ask_again(now);
        let waiting = match self.asks.lookup(&key) {
            Some(ask) => {
                self.counters.ask_suppressed += 1;
                !ask.given_up
            }
            None => self.ask(now, key),
        };
        if hold && waiting && self.hold.keep(key, frame) {
            Ok(Verdict::Hold)
        } else {
            Err(DropReason::Unknown)
        }
    }

    fn ask(&mut self, now: u64, key: AddrKey) -> bool {
        let Ok(id) = self.asks.insert(key, Ask { tries: 1, given_up: false }) else {
            self.counters.ask_suppressed += 1;
            return false;
        };
        self.asks.set_deadline(id, later(now, nanos(self.config.timers.ask_interval)));
        self.job(Job::Ask(key));
        true
    }

    pub(super) fn ask_again(&mut self, now: u64) {
        let timers = self.config.timers;
        while let Some((_, id, key)) = self.asks.next_deadline().filter(|(at, ..)| *at <= now) {
            let Some(ask) = self.asks.get_mut(id) else { return };
            if ask.given_up {
                self.asks.remove(&key);
            } else if ask.tries < timers.ask_tries {
                ask.tries += 1;
                self.asks.set_deadline(id, later(now, nanos(timers.ask_interval)));
                self.job(Job::Ask(key));
            } else {
                ask.given_up = true;
                self.asks.set_deadline(id, later(now, nanos(timers.ask_pause)));
                self.counters.hold_lost += self.hold.discard(key);
            }
        }
    }

    /// Somebody has the address now: what was held for it goes out.
    pub(super) fn answered(&mut self, key: AddrKey) {
        if self.asks.remove(&key).is_some() {
            while let Some(slot) = self.hold.release(key) {
                self.job(Job::Release(slot));
            }
        }
    }

    /// Asks the owners of bindings that are about to expire, and removes those that have.
    pub(super) fn age_bindings(&mut self, now: u64) {
        let lead = nanos(self.config.timers.refresh_before);
        while let Some((_, id, key)) = self.bindings.next_deadline().filter(|(at, ..)| *at <= now) {
            let Some(expires) = self.bindings.get(id).map(|source| source.expires) else { return };
            let due = expires.saturating_sub(lead);
            if now >= expires {
                self.expire_binding(key);
            } else if now < due {
                self.bindings.set_deadline(id, due);
            } else {
                self.bindings.set_deadline(id, later(now, lead / 3).min(expires));
                self.job(Job::Refresh(key));
            }
        }
    }

    /// An outside ARP message for the inside owner of the address that it claims.
    pub(super) fn copy_conflict(&mut self, to: Claimant, arp: &Arp, message: &[u8]) {
        let mut frame = [0; Job::COPY_LEN];
        let len = message.len().clamp(arp.at + Arp::LEN, Job::COPY_LEN).min(message.len());
        put(&mut frame, 0, message.get(..len).unwrap_or_default());
        self.job(Job::Copy { frame, len, to });
    }

    pub(super) fn job(&mut self, job: Job) {
        if self.jobs.len() < self.config.limits.transmit_queue {
            self.jobs.push_back(job);
            return;
        }
        self.counters.transmit_lost += 1;
        if let Job::Release(slot) = job {
            self.hold.take(slot, &mut []);
            self.counters.hold_lost += 1;
        }
    }

    pub(super) fn next_job(&mut self) -> Option<Job> {
        self.jobs.pop_front().or_else(|| self.next_announcement())
    }

    /// Goes once through all bindings after [`MacNat::reannounce`].
    fn next_announcement(&mut self) -> Option<Job> {
        let mut index = self.announcing?;
        while index < self.bindings.indices() {
            let entry = self.bindings.by_index(index);
            index += 1;
            self.announcing = Some(index);
            if let Some((key, source)) = entry
                && source.kind != Kind::Host
                && key.is_host()
                && self.now < source.expires
            {
                return Some(Job::Announce(key));
            }
        }
        self.announcing = None;
        None
    }

    /// Writes the frame of a job; `None` if it does not fit or is pointless by now.
    pub(super) fn perform(&mut self, job: &Job, out: &mut [u8]) -> Option<Transmit> {
        let transmit = |to, len| Some(Transmit { to, len });
        match *job {
            Job::Ask(key) => {
                let len = emit::question(out, key, self.host, None)?;
                self.counters.asked += 1;
                transmit(Recipients::EveryInside, len)
            }
            Job::Refresh(key) => {
                let owner = self.bindings.lookup(&key)?.claimant()?;
                let len = emit::question(out, key, self.host, Some(owner.mac))?;
                self.counters.refreshes += 1;
                transmit(Recipients::One(Side::Inside(owner.port)), len)
            }
            Job::Announce(key) => {
                let wire = self.bindings.lookup(&key)?.wire;
                let len = emit::announcement(out, key, wire)?;
                self.counters.announced += 1;
                transmit(Recipients::One(Side::Uplink), len)
            }
            Job::Copy { ref frame, len, to } => {
                out.get_mut(..len)?.copy_from_slice(frame.get(..len)?);
                put(out, Header::DST, &to.mac);
                self.counters.conflict_copies += 1;
                transmit(Recipients::One(Side::Inside(to.port)), len)
            }
            Job::Release(slot) => self.perform_release(slot, out),
        }
    }

    /// A held frame goes the way that it would have gone, had its owner been known.
    fn perform_release(&mut self, slot: usize, out: &mut [u8]) -> Option<Transmit> {
        let verdict = match self.hold.take(slot, out) {
            Some(len) => {
                let frame = out.get_mut(..len)?;
                self.ingress(self.now, frame, Checksums::Partial).map(|verdict| (verdict, len))
            }
            None => Err(DropReason::Unknown),
        };
        match verdict {
            Ok((Verdict::Forward(side), len)) => {
                self.counters.released += 1;
                Some(Transmit { to: Recipients::One(side), len })
            }
            _ => {
                self.counters.hold_lost += 1;
                None
            }
        }
    }
}

/// A deadline that lies ahead, however short the time.
fn later(now: u64, after: u64) -> u64 {
    now.saturating_add(after.max(1))
}
