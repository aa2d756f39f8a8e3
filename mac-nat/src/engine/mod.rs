//! The engine: frames in, verdicts out, and a few frames of its own.
//!
//! `egress` and `ingress` hold the rules for the two directions, `shortcut` serves most frames, `claim` decides who owns an
//! address, `stations` knows MACs, `ask` deals with silence, `emit` writes frames.

mod ask;
mod claim;
mod egress;
mod emit;
mod ingress;
mod keys;
mod manage;
mod pending;
mod ports;
mod shortcut;
mod stations;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use vlan_table::PortId;

use self::ask::{Ask, Hold, Job};
use self::claim::{Contest, Kind, Source};
use self::keys::{AddrKey, DhcpKey, MacKey};
pub use self::manage::Restored;
use self::pending::Pending;
use self::ports::Ports;
use self::stations::Role;
use crate::frame::Mac;
use crate::table::Table;
use crate::{Config, ConfigError, Counters, DropReason, Event, Mode, Side, Verdict};

/// Translates between inside machines and a provider that accepts only its own MACs.
///
/// # How to drive it
///
/// - **In**: [`translate`](Self::translate) for every frame, [`handle_timeout`](Self::handle_timeout)
///   when the time of [`poll_timeout`](Self::poll_timeout) has come, and commands
///   ([`bind`](Self::bind), [`unbind`](Self::unbind), [`flush_port`](Self::flush_port),
///   [`reannounce`](Self::reannounce)).
/// - **Out**, after every input: [`poll_transmit`](Self::poll_transmit) and
///   [`poll_event`](Self::poll_event) until they return `None`, then `poll_timeout`.
///
/// `now` is the time since any epoch of the caller's; a time before an earlier one counts as that
/// earlier one. Late calls of `handle_timeout` cost memory, never correctness: an expired binding
/// is not used, whether it has been cleaned up or not.
///
/// All memory is allocated in [`new`](Self::new); a frame never allocates.
///
/// ```
/// use core::time::Duration;
/// use mac_nat::{Binding, Config, DropReason, MacAddr6, MacNat, Mode, Port, PortId, Side, Verdict};
///
/// let nic = MacAddr6::new(0x52, 0x54, 0, 0xAA, 0, 1);
/// let vm = MacAddr6::new(0xFA, 0x16, 0x3E, 0, 0, 1);
/// let port = PortId::new(1).unwrap();
/// let mut config = Config::new(Mode::Single, nic);
/// config.ports.push(Port::new(port));
/// config.bindings.push(Binding::fixed("203.0.113.11".parse::<std::net::IpAddr>()?, port, vm, nic));
/// let mut nat = MacNat::new(config)?;
///
/// // The router asks who has 203.0.113.11; the machine behind port 1 answers.
/// let router = [0x00, 0x07, 0xB4, 0, 0, 2];
/// let mut frame = [&router[..], vm.as_bytes(), &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], vm.as_bytes(),
///     &[203, 0, 113, 11], &router, &[198, 51, 100, 1]].concat();
/// let verdict = nat.translate(Duration::ZERO, Side::Inside(port), &mut frame);
/// assert_eq!(verdict, Verdict::Forward(Side::Uplink));
/// assert_eq!((&frame[6..12], &frame[22..28]), (nic.as_bytes(), nic.as_bytes()));
///
/// // What is not understood stays inside.
/// let mut lldp = [&[0x01, 0x80, 0xC2, 0, 0, 0x0E], vm.as_bytes(), &[0x88, 0xCC, 2, 7]].concat();
/// let verdict = nat.translate(Duration::ZERO, Side::Inside(port), &mut lldp);
/// assert_eq!(verdict, Verdict::Drop(DropReason::LinkLocal));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MacNat {
    /// Without its bindings and ports, which live in the tables.
    config: Config,
    host: Mac,
    /// Nanoseconds, like all times inside: the one timer that the frame path needs.
    lifetime: u64,
    now: u64,
    ports: Ports,
    bindings: Table<AddrKey, Source>,
    /// By the index of the binding: what only contested bindings need.
    contests: Vec<Contest>,
    /// Prefix lengths of routed blocks with how many there are, longest first.
    blocks: Vec<(u8, u32)>,
    macs: Table<MacKey, Role>,
    /// The last MAC that was looked up there in vain: nearly always the router's.
    stranger: MacKey,
    probes: Pending<AddrKey>,
    leases: Pending<DhcpKey>,
    asks: Table<AddrKey, Ask>,
    hold: Hold,
    jobs: VecDeque<Job>,
    /// The next binding to announce, by its index.
    announcing: Option<usize>,
    events: VecDeque<Event>,
    counters: Counters,
}

/// Whether the checksum of a frame is there or the NIC will fill it in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Checksums {
    /// As on the wire.
    #[default]
    Complete,
    /// Only the sum of the pseudo header stands in the field (virtio `NEEDS_CSUM`, Linux
    /// `CHECKSUM_PARTIAL`). Translation never changes that sum, so the field stays as it is.
    Partial,
}

/// Who shall get a frame of the engine's own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Recipients {
    /// One side.
    One(Side),
    /// Every inside port.
    EveryInside,
}

/// A frame of the engine's own: the first `len` bytes of the caller's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Transmit {
    /// Who shall get it.
    pub to: Recipients,
    /// Its length in bytes.
    pub len: usize,
}

impl MacNat {
    /// Allocates everything.
    ///
    /// # Errors
    /// [`ConfigError`] if the configuration contradicts itself.
    pub fn new(mut config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let bindings = core::mem::take(&mut config.bindings);
        let (limits, seed) = (config.limits, config.seed);
        let macs = 3 * limits.bindings + config.ports.len() + 1;
        let mut nat = Self {
            host: config.host.mac.into_array(),
            lifetime: nanos(config.timers.lifetime),
            now: 0,
            ports: Ports::new(&config.ports),
            bindings: Table::new(limits.bindings + config.host.addresses.len(), seed),
            contests: Vec::with_capacity(limits.bindings + config.host.addresses.len()),
            blocks: Vec::new(),
            macs: Table::new(macs, seed),
            stranger: MacKey::NONE,
            probes: Pending::new(limits.pending, limits.pending_per_port, seed),
            leases: Pending::new(limits.pending, limits.pending_per_port, seed),
            asks: Table::new(limits.asks, seed),
            hold: Hold::new(&limits),
            jobs: VecDeque::with_capacity(limits.transmit_queue),
            announcing: None,
            events: VecDeque::with_capacity(limits.event_queue),
            counters: Counters::default(),
            config,
        };
        nat.contests.resize(limits.bindings + nat.config.host.addresses.len(), Contest::default());
        nat.learn_wires(&bindings);
        nat.install(&bindings);
        Ok(nat)
    }

    /// Decides about one frame and translates it in place. Its length and tags never change; a
    /// frame that is dropped keeps all its bytes.
    ///
    /// A frame that is flooded from inside goes to the uplink translated, and to the other inside
    /// ports and the host as it was, so the caller keeps group frames from inside:
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use mac_nat::{MacNat, Side, Verdict};
    /// # let send = |side: &str, frame: &[u8]| {};
    /// # fn step(nat: &mut MacNat, now: Duration, from: Side, frame: &mut [u8], send: impl Fn(&str, &[u8])) {
    /// let before = frame.first().is_some_and(|byte| byte & 1 == 1).then(|| frame.to_vec());
    /// match nat.translate(now, from, frame) {
    ///     Verdict::Forward(side) => send(&side.to_string(), frame),
    ///     Verdict::Flood => match (from, before) {
    ///         (Side::Inside(_), Some(before)) => {
    ///             send("uplink", frame);
    ///             send("host and the other ports", &before);
    ///         }
    ///         _ => send("all other sides", frame),
    ///     },
    ///     Verdict::Hold | Verdict::Drop(_) => {}
    /// }
    /// # }
    /// ```
    ///
    /// O(1): a look-up of each MAC and one of the address, and one more per length of routed blocks
    /// where only those match.
    pub fn translate(&mut self, now: Duration, from: Side, frame: &mut [u8]) -> Verdict {
        let time = self.at(now);
        match self.shortcut(time, from, frame) {
            Some(verdict) => verdict,
            None => self.translate_with(now, from, frame, Checksums::Complete),
        }
    }

    /// As [`translate`](Self::translate), for frames of drivers that leave checksums to the NIC.
    pub fn translate_with(
        &mut self,
        now: Duration,
        from: Side,
        frame: &mut [u8],
        checksums: Checksums,
    ) -> Verdict {
        let now = self.at(now);
        let verdict = match from {
            Side::Inside(port) => self.egress(now, port, frame, checksums),
            Side::Uplink => self.ingress(now, frame, checksums),
            Side::Host => self.host_frame(now, frame),
        };
        let verdict = verdict.unwrap_or_else(Verdict::Drop);
        self.counters.count(verdict);
        verdict
    }

    /// Does what is due: expires, refreshes, asks again.
    pub fn handle_timeout(&mut self, now: Duration) {
        let now = self.at(now);
        self.age_bindings(now);
        self.age_stations(now);
        self.probes.expire(now);
        self.leases.expire(now);
        self.ask_again(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next, on the time line of
    /// `now`; `None` if nothing is waiting. The time may turn out early, since frames push
    /// deadlines back without telling.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let times = [
            self.bindings.next_deadline().map(|(at, ..)| at),
            self.macs.next_deadline().map(|(at, ..)| at),
            self.probes.next_deadline(),
            self.leases.next_deadline(),
            self.asks.next_deadline().map(|(at, ..)| at),
        ];
        times.into_iter().flatten().min().map(Duration::from_nanos)
    }

    /// The next frame that the engine sends by itself, written to `out`.
    ///
    /// `out` should have room for [`Limits::held_bytes`](crate::Limits::held_bytes); a frame that
    /// does not fit is lost and counted.
    pub fn poll_transmit(&mut self, out: &mut [u8]) -> Option<Transmit> {
        while let Some(job) = self.next_job() {
            match self.perform(&job, out) {
                Some(transmit) => return Some(transmit),
                None => self.counters.transmit_lost += 1,
            }
        }
        None
    }

    /// The next thing that happened. Of the same thing twice in a row, once is told.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Sums since the start.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The time in nanoseconds, never going back.
    fn at(&mut self, now: Duration) -> u64 {
        self.now = self.now.max(nanos(now));
        self.now
    }

    /// A frame of the host's own: nothing to translate, but nothing foreign either.
    fn host_frame(&mut self, now: u64, frame: &[u8]) -> Result<Verdict, DropReason> {
        let header = crate::frame::Header::new(frame)?;
        if header.is_link_local() {
            return Err(DropReason::LinkLocal);
        }
        if header.is_group() {
            return if header.src == self.host { Ok(Verdict::Flood) } else { Err(DropReason::Guard) };
        }
        match self.inside_station(now, header.dst) {
            Some(port) => Ok(Verdict::Forward(Side::Inside(port))),
            None if header.src == self.host => Ok(Verdict::Forward(Side::Uplink)),
            None => Err(DropReason::Guard),
        }
    }

    fn event(&mut self, event: Event) {
        let room = self.events.len() < self.config.limits.event_queue;
        if self.events.back() == Some(&event) {
            return;
        }
        if room {
            self.events.push_back(event);
        } else {
            self.counters.events_lost += 1;
        }
    }

    fn is_single(&self) -> bool {
        self.config.mode == Mode::Single
    }

    /// The binding of an address: its own, or that of the longest block that it is in.
    #[inline]
    fn resolve(&self, now: u64, key: AddrKey) -> Option<Source> {
        match self.bindings.lookup(&key).filter(|source| now < source.expires) {
            Some(source) => Some(*source),
            None if self.blocks.is_empty() => None,
            None => self.block(key),
        }
    }

    #[cold]
    fn block(&self, key: AddrKey) -> Option<Source> {
        self.blocks.iter().find_map(|(len, _)| self.bindings.lookup(&key.masked(*len)).copied())
    }

    /// The MAC that the provider shall see for a machine without a binding for its address.
    fn default_wire(&self, port: PortId, mac: Mac) -> Result<Mac, DropReason> {
        if self.is_single() {
            return Ok(self.host);
        }
        let of_port = self.ports.get(port).and_then(|port| port.config.wire).map(|wire| wire.into_array());
        of_port.or_else(|| self.wire_of_station(port, mac)).ok_or(DropReason::NoWireMac)
    }
}

/// Nanoseconds since the caller's epoch; enough for 584 years.
#[inline]
fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()))
}

/// Writes a field; the parser has checked that it is there.
fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(field) = frame.get_mut(at..at + bytes.len()) {
        field.copy_from_slice(bytes);
    }
}

fn is_static(kind: Kind) -> bool {
    matches!(kind, Kind::Static)
}
