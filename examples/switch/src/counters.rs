//! Counters that add up: every frame received was forwarded, filtered or dropped.

use vlan_table::{PortId, PortMask};

use crate::{Dropped, Filtered, Outcome};

/// What one port counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PortCounters {
    /// Frames that arrived; `forwarded + filtered + dropped`.
    pub received: u64,
    /// Their bytes, without FCS.
    pub received_bytes: u64,
    /// Frames from here that left by at least one port.
    pub forwarded: u64,
    /// Frames from here that ended in the switch, as they should.
    pub filtered: u64,
    /// Frames from here that were discarded.
    pub dropped: u64,
    /// Copies that left by this port, and frames of the switch's own.
    pub sent: u64,
    /// Their bytes, of a copy those it was received with: tags that were added or removed do not
    /// count.
    pub sent_bytes: u64,
}

/// All counters of a switch.
#[derive(Clone, Debug)]
pub struct Counters {
    known: PortMask,
    ports: [Row; PortMask::<1>::CAPACITY as usize],
    filtered: Tally<Filtered>,
    dropped: Tally<Dropped>,
    /// Frames that were said to have arrived on a port that does not exist. No port counts them, and
    /// no other counter.
    pub no_such_port: u64,
}

/// What is counted for a port, a cache line; what can be told from it is not counted.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Row {
    received: u64,
    received_bytes: u64,
    sent: u64,
    sent_bytes: u64,
    filtered: u64,
    dropped: u64,
}

impl Counters {
    pub(crate) fn new(ports: PortMask) -> Self {
        Self {
            known: ports,
            ports: [Row::default(); PortMask::<1>::CAPACITY as usize],
            filtered: Tally::default(),
            dropped: Tally::default(),
            no_such_port: 0,
        }
    }

    /// What `port` counted; zeros for a port that does not exist.
    pub fn port(&self, port: PortId) -> PortCounters {
        self.ports.get(port.index()).copied().unwrap_or_default().into()
    }

    /// The sums over all ports.
    pub fn total(&self) -> PortCounters {
        self.ports.iter().map(|row| PortCounters::from(*row)).fold(PortCounters::default(), |sum, port| {
            PortCounters {
                received: sum.received + port.received,
                received_bytes: sum.received_bytes + port.received_bytes,
                forwarded: sum.forwarded + port.forwarded,
                filtered: sum.filtered + port.filtered,
                dropped: sum.dropped + port.dropped,
                sent: sum.sent + port.sent,
                sent_bytes: sum.sent_bytes + port.sent_bytes,
            }
        })
    }

    /// How many frames were filtered, by reason; reasons that have not occurred are left out.
    pub fn filtered(&self) -> impl Iterator<Item = (Filtered, u64)> + '_ {
        self.filtered.0.iter().copied()
    }

    /// How many frames were dropped, by reason; reasons that have not occurred are left out.
    pub fn dropped(&self) -> impl Iterator<Item = (Dropped, u64)> + '_ {
        self.dropped.0.iter().copied()
    }

    /// Starts again at zero.
    pub fn clear(&mut self) {
        *self = Self::new(self.known);
    }

    /// Counts a frame of `len` bytes from `port`.
    #[inline]
    pub(crate) fn count(&mut self, port: PortId, len: usize, outcome: Outcome) {
        let known = self.known.contains(port);
        let Some(from) = self.ports.get_mut(port.index()).filter(|_| known) else {
            self.no_such_port += 1;
            return;
        };
        from.received += 1;
        from.received_bytes += len as u64;
        match outcome {
            Outcome::Forwarded => {}
            Outcome::Filtered(reason) => {
                from.filtered += 1;
                self.filtered.count(reason);
            }
            Outcome::Dropped(reason) => {
                from.dropped += 1;
                self.dropped.count(reason);
            }
        }
    }

    /// Counts a frame of `len` bytes from `port` that leaves by `to` alone.
    #[inline]
    pub(crate) fn count_relayed(&mut self, port: PortId, to: PortId, len: usize) {
        if let Some(from) = self.ports.get_mut(port.index()) {
            from.received += 1;
            from.received_bytes += len as u64;
        }
        self.count_sent(to, len);
    }

    /// Counts a frame of `len` bytes that leaves by `port`.
    #[inline]
    pub(crate) fn count_sent(&mut self, port: PortId, len: usize) {
        if let Some(to) = self.ports.get_mut(port.index()) {
            to.sent += 1;
            to.sent_bytes += len as u64;
        }
    }
}

impl From<Row> for PortCounters {
    fn from(row: Row) -> Self {
        let Row { received, received_bytes, sent, sent_bytes, filtered, dropped } = row;
        Self {
            received,
            received_bytes,
            forwarded: received - filtered - dropped, // each of the two is counted with a frame received
            filtered,
            dropped,
            sent,
            sent_bytes,
        }
    }
}

/// Numbers of occurrences: a short list, searched only when something goes another way than usual.
#[derive(Clone, Debug)]
struct Tally<R>(Vec<(R, u64)>);

impl<R> Default for Tally<R> {
    fn default() -> Self {
        Self(Vec::with_capacity(32))
    }
}

impl<R: PartialEq> Tally<R> {
    #[inline(never)]
    fn count(&mut self, reason: R) {
        match self.0.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.0.push((reason, 1)),
        }
    }
}
