//! What happens to a frame, stage by stage, in the order of IEEE 802.1Q-2018, 8.6.
//!
//! Rules and store are parameters here, so that for every pair of them the compiler makes one
//! straight path; what is rare is kept out of it.

use core::hint::black_box;
use core::time::Duration;

use fdb::storm::Class;
use fdb::{Entry, Fdb, FlushScope, Key, Kind, Learned, Store};
use rrcp::{Disposition, Hint};
use vlan_table::{DropReason, EtherType, Fid, Header, PortId, PortMask, ReservedAddresses};

use crate::rules::{Admitted, RuleSet};
use crate::{Counters, Decision, Dropped, Filtered, Guard, Outcome, Storm, storm};

/// Frames whose stations are looked for together.
const BATCH: usize = 32;
/// A database of up to so many stations is fast without being asked early.
const FITS_INTO_CACHES: usize = 1 << 15;

/// The parts of a switch that are the same under all rules and over all stores.
#[derive(Clone, Debug)]
pub(crate) struct Stages<G> {
    pub(crate) reserved: ReservedAddresses,
    pub(crate) guard: G,
    /// Ports whose link is up.
    pub(crate) up: PortMask,
    /// Ports that the guard keeps closed.
    pub(crate) blocked: PortMask,
    /// Ports that carry frames: up and not blocked.
    pub(crate) open: PortMask,
    pub(crate) storm: Storm,
    pub(crate) counters: Counters,
}

impl<G: Guard> Stages<G> {
    #[inline(always)]
    pub(crate) fn receive<R: RuleSet, S: Store>(
        &mut self,
        rules: &R,
        fdb: &mut Fdb<S>,
        now: Duration,
        port: PortId,
        frame: &[u8],
    ) -> Decision {
        if let Some((admitted, to)) = self.relay(rules, fdb, now, port, frame) {
            self.counters.count_relayed(port, to, frame.len());
            return Decision {
                outcome: Outcome::Forwarded,
                ports: PortMask::EMPTY.with(to),
                learned: Some(Learned::Refreshed),
                classified: Some(admitted.into()),
            };
        }
        self.receive_slowly(rules, fdb, now, port, frame)
    }

    /// Many frames, one after the other. Memory is asked for [`BATCH`] frames, and where the database
    /// does not fit into the caches for their stations, before the first is looked at.
    #[inline]
    pub(crate) fn receive_batch<R: RuleSet, S: Store>(
        &mut self,
        rules: &R,
        fdb: &mut Fdb<S>,
        now: Duration,
        frames: &[(PortId, &[u8])],
        mut decided: impl FnMut(usize, &Decision),
    ) {
        for (first, frames) in (0..).step_by(BATCH).zip(frames.chunks(BATCH)) {
            touch_frames(frames);
            if fdb.len() > FITS_INTO_CACHES {
                touch_stations(rules, fdb, frames);
            }
            for (number, (port, frame)) in (first..).zip(frames) {
                decided(number, &self.receive(rules, fdb, now, *port, frame));
            }
        }
    }

    /// Most frames: from one known station to another, which is elsewhere. `None`, with nothing done,
    /// for all others.
    #[inline(always)]
    fn relay<R: RuleSet, S: Store>(
        &self,
        rules: &R,
        fdb: &mut Fdb<S>,
        now: Duration,
        port: PortId,
        frame: &[u8],
    ) -> Option<(R::Admitted, PortId)> {
        let header = Header::read(frame).ok()?;
        // Probes are broadcast, so the loop detector misses nothing here.
        if header.is_group() || R::RESERVES_INDIVIDUALS || self.storm.sees_all() {
            return None;
        }
        let admitted = rules.classify(port, &header, frame).ok()?;
        if !admitted.learns() || !self.open.contains(port) {
            return None;
        }
        let source = Key::from_bits48(admitted.fid(), header.src_bits());
        let destination = Key::from_bits48(admitted.fid(), header.dst_bits());
        let reachable = admitted.reachable().intersection(self.open);
        let to = fdb.relay(now, source, port, destination)?;
        reachable.contains(to).then_some((admitted, to))
    }

    #[inline(never)]
    fn receive_slowly<R: RuleSet, S: Store>(
        &mut self,
        rules: &R,
        fdb: &mut Fdb<S>,
        now: Duration,
        port: PortId,
        frame: &[u8],
    ) -> Decision {
        let decision = self.decide(rules, fdb, now, port, frame);
        self.counters.count(port, frame.len(), decision.outcome);
        for port in decision.ports {
            self.counters.count_sent(port, frame.len());
        }
        decision
    }

    /// All stages.
    fn decide<R: RuleSet, S: Store>(
        &mut self,
        rules: &R,
        fdb: &mut Fdb<S>,
        now: Duration,
        port: PortId,
        frame: &[u8],
    ) -> Decision {
        let Ok(header) = Header::read(frame) else {
            return Decision::dropped(Dropped::Ingress(DropReason::Truncated));
        };
        let admitted = match rules.classify(port, &header, frame) {
            Ok(admitted) if self.open.contains(port) && header.ether_type() != EtherType::REALTEK => admitted,
            verdict => match self.ask_guard(fdb, now, port, frame, verdict) {
                Ok(admitted) => admitted,
                Err(decision) => return decision,
            },
        };
        let reserved = !self.reserved.relays(header.dst_bits());
        let mut learned = None;
        if admitted.learns() && !header.is_src_group() && (!reserved || R::LEARNS_FROM_RESERVED) {
            let source = Key::from_bits48(admitted.fid(), header.src_bits());
            match fdb.learn(now, source, port) {
                Ok(Learned::Refreshed) => learned = Some(Learned::Refreshed),
                Ok(news) => {
                    learned = Some(news);
                    if let Some(reason) = self.judge_source(fdb, now, port, news) {
                        let outcome = Outcome::Dropped(reason);
                        return Decision {
                            outcome,
                            ports: PortMask::EMPTY,
                            learned,
                            classified: Some(admitted.into()),
                        };
                    }
                }
                Err(_) => {}
            }
        }
        let (outcome, ports) = if reserved {
            (Outcome::Filtered(Filtered::Reserved), PortMask::EMPTY)
        } else {
            let station = match header.is_group() {
                true => None,
                false => fdb.lookup(now, Key::from_bits48(admitted.fid(), header.dst_bits())),
            };
            let class = storm::class(&header, station.is_some());
            match station {
                _ if !self.storm.passes(now, port, class, frame.len()) => self.calm(fdb, now, port, class),
                Some(entry) => self.forward(port, &admitted, entry),
                None => self.flood(&admitted),
            }
        };
        Decision { outcome, ports, learned, classified: Some(admitted.into()) }
    }

    /// A storm, or what looks like one, which the loop detector wants to know.
    #[cold]
    fn calm<S: Store>(
        &mut self,
        fdb: &mut Fdb<S>,
        now: Duration,
        port: PortId,
        class: Option<Class>,
    ) -> (Outcome, PortMask) {
        self.guard.handle_hint(now, port, Hint::Storm);
        self.follow_guard(fdb, now);
        // A filter drops nothing of no class.
        let class = class.unwrap_or(Class::UnknownUnicast);
        (Outcome::Dropped(Dropped::Storm(class)), PortMask::EMPTY)
    }

    /// To all open members of its VLAN.
    #[inline]
    fn flood(&self, admitted: &impl Admitted) -> (Outcome, PortMask) {
        let ports = admitted.members().intersection(self.open);
        match ports.is_empty() {
            true => (Outcome::Filtered(Filtered::Alone), ports),
            false => (Outcome::Forwarded, ports),
        }
    }

    /// To the port of its destination.
    #[inline]
    fn forward(&self, port: PortId, admitted: &impl Admitted, entry: Entry) -> (Outcome, PortMask) {
        let there =
            PortMask::EMPTY.with(entry.port).intersection(admitted.reachable()).intersection(self.open);
        if matches!(entry.kind, Kind::Drop | Kind::Local) || there.is_empty() {
            return (not_forwarded(port, entry), PortMask::EMPTY);
        }
        (Outcome::Forwarded, there)
    }

    /// A source that was new, moved or may not be here.
    #[inline(never)]
    fn judge_source<S: Store>(
        &mut self,
        fdb: &mut Fdb<S>,
        now: Duration,
        port: PortId,
        learned: Learned,
    ) -> Option<Dropped> {
        match learned {
            Learned::Moved { .. } => self.guard.handle_hint(now, port, Hint::StationMove),
            Learned::Bound(entry) if entry.kind == Kind::Local => {
                self.guard.handle_hint(now, port, Hint::OwnSource);
            }
            Learned::Bound(entry) if entry.kind == Kind::Drop => return Some(Dropped::Source),
            _ => return None,
        }
        self.follow_guard(fdb, now);
        None
    }

    /// Frames that do not simply go on: refused by the rules, on a closed port, or perhaps probes.
    #[cold]
    #[inline(never)]
    fn ask_guard<A: Admitted, S: Store>(
        &mut self,
        fdb: &mut Fdb<S>,
        now: Duration,
        port: PortId,
        frame: &[u8],
        verdict: Result<A, DropReason>,
    ) -> Result<A, Decision> {
        let is_probe = Header::read(frame).is_ok_and(|header| header.ether_type() == EtherType::REALTEK);
        if is_probe {
            let vlan = verdict.ok().and_then(|admitted| admitted.into().vlan());
            let disposition = self.guard.handle_frame(now, port, vlan, frame);
            self.follow_guard(fdb, now);
            let classified = verdict.ok().map(Into::into);
            let end = |outcome| Decision { classified, ..Decision::ended(outcome) };
            match (disposition, verdict) {
                (Disposition::OwnProbe, _) => return Err(end(Outcome::Filtered(Filtered::Probe))),
                (Disposition::Blocked, _) => return Err(end(Outcome::Dropped(Dropped::Blocked))),
                // It is flooded, whatever storm rages, and its source not learned: while there is a
                // loop that address is behind many ports.
                (Disposition::ForeignProbe, Ok(admitted)) if self.open.contains(port) => {
                    let (outcome, ports) = self.flood(&admitted);
                    return Err(Decision { ports, ..end(outcome) });
                }
                (Disposition::ForeignProbe | Disposition::Forward, _) => {}
            }
        }
        let admitted = verdict.map_err(|reason| Decision::dropped(Dropped::Ingress(reason)))?;
        if self.open.contains(port) {
            return Ok(admitted);
        }
        let reason = match self.blocked.contains(port) {
            true => Dropped::Blocked,
            false => Dropped::Ingress(DropReason::PortState),
        };
        Err(Decision { classified: Some(admitted.into()), ..Decision::dropped(reason) })
    }

    /// Closes and opens ports as the loop detector wants it.
    pub(crate) fn follow_guard<S: Store>(&mut self, fdb: &mut Fdb<S>, now: Duration) {
        let blocked = self.guard.blocked();
        if blocked != self.blocked {
            // What was learned while frames went round is wrong, and where a port opens stations may
            // be that were elsewhere: a topology change (IEEE 802.1Q-2018, 13.29).
            fdb.flush(now, FlushScope::ALL);
        }
        self.blocked = blocked;
        self.open = self.up.difference(blocked);
    }
}

/// Asks memory for the beginning of every frame: the waits overlap. The sum says nothing, but no load
/// can be left out for it.
#[inline]
fn touch_frames(frames: &[(PortId, &[u8])]) {
    black_box(frames.iter().fold(0, |sum, (_, frame)| sum ^ frame.first().copied().unwrap_or(0)));
}

/// Asks memory for the entries of all sources and destinations.
#[inline(never)]
fn touch_stations<R: RuleSet, S: Store>(rules: &R, fdb: &Fdb<S>, frames: &[(PortId, &[u8])]) {
    let mut headers = [None; BATCH];
    for (header, (_, frame)) in headers.iter_mut().zip(frames) {
        *header = Header::read(frame).ok();
    }
    let mut keys = [Key::from_bits48(Fid::SHARED, 0); 2 * BATCH];
    let (pairs, _) = keys.as_chunks_mut::<2>();
    for ((pair, header), (port, frame)) in pairs.iter_mut().zip(headers).zip(frames) {
        let Some(header) = header else { continue };
        if let Ok(admitted) = rules.classify(*port, &header, frame) {
            *pair = [header.src_bits(), header.dst_bits()].map(|mac| Key::from_bits48(admitted.fid(), mac));
        }
    }
    fdb.touch(keys.get(..2 * frames.len()).unwrap_or_default());
}

/// Why a frame to a known station stays.
#[cold]
fn not_forwarded(port: PortId, entry: Entry) -> Outcome {
    match entry.kind {
        Kind::Drop => Outcome::Dropped(Dropped::Destination),
        Kind::Local => Outcome::Filtered(Filtered::Local),
        _ if entry.port == port => Outcome::Filtered(Filtered::SamePort),
        _ => Outcome::Filtered(Filtered::Unreachable),
    }
}
