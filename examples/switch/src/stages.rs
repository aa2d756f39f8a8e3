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

/// The key of no station.
const NOBODY: Key = Key::from_bits48(Fid::SHARED, 0);

/// What there is to do for a frame from one known station to another.
#[derive(Clone, Copy, Debug)]
struct Errand {
    source: Key,
    destination: Key,
    /// Ports that it may leave by, if they are open.
    reach: PortMask,
}

impl Errand {
    /// The frame is not of this kind.
    const NONE: Self = Self { source: NOBODY, destination: NOBODY, reach: PortMask::EMPTY };
}

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
        if let Some((admitted, errand)) = self.candidate(rules, port, frame)
            && let Some(to) = self.relay(errand, fdb, now, port, frame.len())
        {
            return relayed(Some(admitted), to);
        }
        self.receive_slowly(rules, fdb, now, port, frame)
    }

    /// Many frames, one after the other. Memory is asked for [`BATCH`] frames before the first is looked
    /// at.
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
                self.receive_from_afar(rules, fdb, now, first, frames, &mut decided);
                continue;
            }
            for (number, (port, frame)) in (first..).zip(frames) {
                match self.candidate(rules, *port, frame) {
                    Some((admitted, errand)) => match self.relay(errand, fdb, now, *port, frame.len()) {
                        // A call of its own: it can leave out what nobody asks of the decision.
                        Some(to) => decided(number, &relayed(Some(admitted), to)),
                        None => decided(number, &self.receive_slowly(rules, fdb, now, *port, frame)),
                    },
                    None => decided(number, &self.receive_slowly(rules, fdb, now, *port, frame)),
                }
            }
        }
    }

    /// The same where the database does not fit into the caches: all frames are classified and memory is
    /// asked for all stations, before the first station is looked for.
    #[inline]
    fn receive_from_afar<R: RuleSet, S: Store>(
        &mut self,
        rules: &R,
        fdb: &mut Fdb<S>,
        now: Duration,
        first: usize,
        frames: &[(PortId, &[u8])],
        decided: &mut impl FnMut(usize, &Decision),
    ) {
        let mut errands = [Errand::NONE; BATCH];
        for ((port, frame), errand) in frames.iter().zip(&mut errands) {
            *errand = self.candidate(rules, *port, frame).map_or(Errand::NONE, |(_, errand)| errand);
        }
        touch_stations(fdb, &errands);
        for ((number, (port, frame)), errand) in (first..).zip(frames).zip(&errands) {
            match self.relay(*errand, fdb, now, *port, frame.len()) {
                Some(to) => {
                    let admitted = self.candidate(rules, *port, frame).map(|(admitted, _)| admitted);
                    decided(number, &relayed(admitted, to));
                }
                None => decided(number, &self.receive_slowly(rules, fdb, now, *port, frame)),
            }
        }
    }

    /// What may be most frames: from one known station to another. `None` for all others.
    #[inline(always)]
    fn candidate<R: RuleSet>(&self, rules: &R, port: PortId, frame: &[u8]) -> Option<(R::Admitted, Errand)> {
        let header = Header::read(frame).ok()?;
        // Probes are broadcast, so the loop detector misses nothing here.
        if header.is_group() || R::RESERVES_INDIVIDUALS || self.storm.sees_all() {
            return None;
        }
        let admitted = rules.glance(port, &header, frame)?;
        let source = Key::from_bits48(admitted.fid(), header.src_bits());
        let destination = Key::from_bits48(admitted.fid(), header.dst_bits());
        let reach = admitted.reachable();
        admitted.learns().then_some((admitted, Errand { source, destination, reach }))
    }

    /// Where a candidate goes. `None`, with nothing done, unless both stations are known and not behind
    /// one port.
    #[inline(always)]
    fn relay<S: Store>(
        &mut self,
        Errand { source, destination, reach }: Errand,
        fdb: &mut Fdb<S>,
        now: Duration,
        port: PortId,
        len: usize,
    ) -> Option<PortId> {
        let reach = reach.intersection(self.open);
        if reach.is_empty() || !self.open.contains(port) {
            return None;
        }
        let to = fdb.relay(now, source, port, destination)?;
        if !reach.contains(to) {
            return None;
        }
        self.counters.count_relayed(port, to, len);
        Some(to)
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
            let station = match header.is_group() || !admitted.looks_up() {
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
            true => {
                self.watch_blocked(fdb, now, port, frame);
                Dropped::Blocked
            }
            false => Dropped::Ingress(DropReason::PortState),
        };
        Err(Decision { classified: Some(admitted.into()), ..Decision::dropped(reason) })
    }

    /// A storm behind a blocked port harms nobody, but drowns the probes whose silence opens the port.
    fn watch_blocked<S: Store>(&mut self, fdb: &mut Fdb<S>, now: Duration, port: PortId, frame: &[u8]) {
        let class = Header::read(frame).ok().and_then(|header| storm::class(&header, false));
        if !self.storm.passes(now, port, class, frame.len()) {
            self.guard.handle_hint(now, port, Hint::Storm);
            self.follow_guard(fdb, now);
        }
    }

    /// Closes and opens ports as the loop detector wants it.
    pub(crate) fn follow_guard<S: Store>(&mut self, fdb: &mut Fdb<S>, now: Duration) {
        let blocked = self.guard.blocked();
        if blocked != self.blocked {
            // What was learned while frames went round is wrong, and where a port opens stations may
            // be that were elsewhere. Spanning tree forgets them, too, though not behind the port that
            // changed (`fdbFlush`, IEEE 802.1D-2004, 17.19.7); here that port was in the loop.
            fdb.flush(now, FlushScope::ALL);
        }
        self.blocked = blocked;
        self.open = self.up.difference(blocked);
    }
}

/// What was decided about a frame from one known station to another.
#[inline(always)]
fn relayed(admitted: Option<impl Admitted>, to: PortId) -> Decision {
    Decision {
        outcome: Outcome::Forwarded,
        ports: PortMask::EMPTY.with(to),
        learned: Some(Learned::Refreshed),
        classified: admitted.map(Into::into),
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
fn touch_stations<S: Store>(fdb: &Fdb<S>, errands: &[Errand; BATCH]) {
    let mut keys = [NOBODY; 2 * BATCH];
    for (keys, errand) in keys.as_chunks_mut::<2>().0.iter_mut().zip(errands) {
        *keys = [errand.source, errand.destination];
    }
    fdb.touch(&keys);
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
