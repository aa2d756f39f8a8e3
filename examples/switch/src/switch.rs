//! The switch itself: stages in the order of IEEE 802.1Q-2018, 8.6, around one database.

use core::time::Duration;

use fdb::FlushScope;
use vlan_table::{NoRoom, PortId, PortMask, PortOutOfRange, ReservedAddresses, TagAction};

use crate::database::each_store;
use crate::stages::Stages;
use crate::{Copies, Copy, Counters, Database, Decision, Guard, NoGuard, Rules, Storm, Transmit};

/// A switch of up to 64 ports, without I/O and without a clock.
///
/// - [`receive`](Self::receive) every frame, then send what [`copies`](Self::copies) says.
/// - After every `receive`, and when [`poll_timeout`](Self::poll_timeout) is reached, call
///   [`handle_timeout`](Self::handle_timeout) if it is due and send what
///   [`poll_transmit`](Self::poll_transmit) writes until there is nothing left.
/// - `now` is the time since an epoch of the caller's choice, the same for all calls. Time that goes
///   back counts as standing still.
///
/// `receive` allocates nothing, but when the database grows, and takes the same few steps for any
/// number of ports, stations and VLANs.
#[derive(Clone, Debug)]
pub struct Switch<G = NoGuard> {
    pub(crate) rules: Rules,
    pub(crate) database: Database,
    stages: Stages<G>,
}

impl Switch {
    /// A switch of these parts, all links up; see the presets for the usual ones.
    pub fn new(rules: Rules, database: Database, reserved: ReservedAddresses) -> Self {
        let ports = rules.ports();
        let stages = Stages {
            reserved,
            guard: NoGuard,
            up: ports,
            blocked: PortMask::EMPTY,
            open: ports,
            storm: Storm::Off,
            counters: Counters::new(ports),
        };
        Self { rules, database, stages }
    }

    /// The same switch with a loop detector.
    pub fn with_guard<G: Guard>(self, guard: G) -> Switch<G> {
        let Self { rules, database, stages } = self;
        let Stages { reserved, guard: NoGuard, up, blocked, open, storm, counters } = stages;
        Switch { rules, database, stages: Stages { reserved, guard, up, blocked, open, storm, counters } }
    }
}

/// Goes on with the table and the store that the switch has, for each pair on its own.
macro_rules! with_parts {
    (($rules:expr, $database:expr), ($table:ident, $fdb:ident) => $body:expr) => {
        match $rules {
            Rules::Chip($table) => each_store!($database, $fdb => $body),
            Rules::Dot1q($table) => each_store!($database, $fdb => $body),
            Rules::OpenVSwitch($table) => each_store!($database, $fdb => $body),
        }
    };
}

/// Frames.
impl<G: Guard> Switch<G> {
    /// Decides about a frame that arrived on `port`, and learns from it. Frames start at the
    /// destination address and end before the FCS.
    ///
    /// O(1), and for a flooded frame a counter for each port that it leaves by.
    #[inline(never)] // nine ways in one: a loop around it is better off with a call
    pub fn receive(&mut self, now: Duration, port: PortId, frame: &[u8]) -> Decision {
        let Self { rules, database, stages } = self;
        with_parts!((rules, database), (rules, fdb) => stages.receive(&**rules, fdb, now, port, frame))
    }

    /// [`receive`](Self::receive) for many frames, each with the port that it arrived on: `decided` is
    /// told about each by its number, in their order.
    ///
    /// For the data path: it spares the beginning and the end of every call and, where the database
    /// is larger than the caches, the wait for every single station.
    pub fn receive_batch(
        &mut self,
        now: Duration,
        frames: &[(PortId, &[u8])],
        decided: impl FnMut(usize, &Decision),
    ) {
        let Self { rules, database, stages } = self;
        with_parts!((rules, database), (rules, fdb) => {
            stages.receive_batch(&**rules, fdb, now, frames, decided);
        });
    }

    /// The distinct copies of a frame about which [`receive`](Self::receive) decided: one buffer for
    /// each, whatever the number of ports.
    ///
    /// The decision stands for the configuration that it was made under.
    #[inline]
    pub fn copies<'a>(&'a self, decision: &'a Decision) -> Copies<'a> {
        Copies::new(&self.rules, decision)
    }
}

/// Time, links and the loop detector.
impl<G: Guard> Switch<G> {
    /// Says that the link of `port` came up or went down. A port that goes down forgets its
    /// stations.
    ///
    /// # Errors
    /// [`PortOutOfRange`] if there is no such port.
    pub fn set_link(&mut self, now: Duration, port: PortId, up: bool) -> Result<(), PortOutOfRange> {
        let ports = self.rules.ports();
        if !ports.contains(port) {
            return Err(PortOutOfRange { port: port.get(), capacity: ports.len() as u16 });
        }
        self.stages.up = if up { self.stages.up.with(port) } else { self.stages.up.without(port) };
        self.stages.guard.handle_link(now, port, up);
        if !up {
            self.database.flush(now, FlushScope::port(port));
        }
        self.follow_guard(now);
        Ok(())
    }

    /// Ports whose link is up.
    pub const fn links_up(&self) -> PortMask {
        self.stages.up
    }

    /// Ports that the loop detector keeps closed.
    pub const fn blocked(&self) -> PortMask {
        self.stages.blocked
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let expiry = self.database.next_expiry();
        [expiry, self.stages.guard.poll_timeout()].into_iter().flatten().min()
    }

    /// Lets time pass: stations that were silent for too long are forgotten, the loop detector works.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.database.next_expiry().is_some_and(|due| due <= now) {
            self.database.expire(now);
        }
        self.stages.guard.handle_timeout(now);
        self.follow_guard(now);
    }

    /// The next frame of the switch's own, a probe of its loop detector, written to the front of
    /// `buffer`, which must hold [`Transmit::LONGEST`] bytes. It is tagged as its port tags its VLAN.
    ///
    /// # Errors
    /// [`NoRoom`] if the buffer is too short; the frame is lost then.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Result<Option<Transmit>, NoRoom> {
        let mut probe = [0; rrcp::PROBE_LEN];
        loop {
            let Some(rrcp::Transmit { port, vlan }) = self.stages.guard.poll_transmit(&mut probe) else {
                return Ok(None);
            };
            if !self.stages.up.contains(port) {
                continue;
            }
            let tag = vlan.and_then(|vlan| self.rules.tag_on(port, vlan));
            let edit = tag.map_or(TagAction::Keep, TagAction::Push).into();
            let len =
                Copy { ports: PortMask::EMPTY.with(port), edit, padding: None }.write(&probe, buffer)?;
            self.stages.counters.count_sent(port, len);
            return Ok(Some(Transmit { port, len }));
        }
    }

    /// The loop detector.
    pub const fn guard(&self) -> &G {
        &self.stages.guard
    }

    /// The loop detector, to be configured or read. Call [`handle_timeout`](Self::handle_timeout)
    /// afterwards.
    pub const fn guard_mut(&mut self) -> &mut G {
        &mut self.stages.guard
    }

    fn follow_guard(&mut self, now: Duration) {
        let Self { database, stages, .. } = self;
        each_store!(database, fdb => stages.follow_guard(fdb, now));
    }
}

/// Configuration and state.
impl<G> Switch<G> {
    /// The VLAN rules.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The VLAN rules, to be changed. Ports neither come nor go; what was learned through rules that
    /// no longer hold wants to be flushed.
    pub const fn rules_mut(&mut self) -> &mut Rules {
        &mut self.rules
    }

    /// The forwarding database.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The forwarding database, to enter or remove stations.
    pub const fn database_mut(&mut self) -> &mut Database {
        &mut self.database
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.stages.counters
    }

    /// The counters, to be cleared.
    pub const fn counters_mut(&mut self) -> &mut Counters {
        &mut self.stages.counters
    }

    /// Storm control and its counters.
    pub const fn storm(&self) -> &Storm {
        &self.stages.storm
    }

    /// Sets storm control; it starts with nothing seen.
    pub fn set_storm(&mut self, storm: Storm) {
        self.stages.storm = storm;
    }

    /// Storm control, to be adjusted.
    pub const fn storm_mut(&mut self) -> &mut Storm {
        &mut self.stages.storm
    }

    /// Which group addresses end here.
    pub const fn set_reserved(&mut self, reserved: ReservedAddresses) {
        self.stages.reserved = reserved;
    }
}
