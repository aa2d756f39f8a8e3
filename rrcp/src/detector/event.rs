//! What a detector tells, and what it counts.

use core::time::Duration;

use macaddr::MacAddr6;
use vlan_table::{PortId, VlanId};

/// Something worth a log line; from [`LoopDetector::poll_event`](super::LoopDetector::poll_event).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A loop was found; said once per loop, however often its probes return.
    Looped {
        /// How the probe went.
        found: Loop,
        /// The port that is blocked from now on; `None` if the detector may only report.
        blocked: Option<PortId>,
    },
    /// Probes stopped returning; the port forwards again if it was blocked.
    Cleared {
        /// The port that was blocked, or that the loop was reported on.
        port: PortId,
        /// Since the loop was found.
        after: Duration,
    },
    /// The port tripped too often: it stays blocked until
    /// [`LoopDetector::release`](super::LoopDetector::release).
    Latched {
        /// The blocked port.
        port: PortId,
        /// Trips within the hour.
        trips: u8,
    },
    /// Something looks like a loop, without a probe that proves one; probing is fast now.
    Suspected {
        /// Where.
        port: PortId,
        /// Why.
        hint: Hint,
    },
    /// Another switch uses our address. Not a loop.
    DuplicateMac {
        /// Where its probe came in.
        port: PortId,
        /// The VLAN that it came in.
        vlan: Option<VlanId>,
    },
}

/// The way of a probe: out of one port, in at another (or the same).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Loop {
    /// The port that the probe left.
    pub tx: PortId,
    /// The port that it came back to.
    pub rx: PortId,
    /// The VLAN that it was sent in; `None` if none was named.
    pub tx_vlan: Option<VlanId>,
    /// The VLAN that it came back in; `None` if the switch knows none.
    pub rx_vlan: Option<VlanId>,
}

/// Kinds of loops.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LoopKind {
    /// Out and in at one port: a loop behind it, a loopback plug, a radio that repeats.
    SelfLoop,
    /// Out at one port, in at another.
    Pair,
    /// Back in another VLAN.
    InterVlan,
}

impl Loop {
    /// Which kind it is; a change of VLAN decides first.
    pub fn kind(&self) -> LoopKind {
        match (self.tx_vlan, self.rx_vlan) {
            (Some(tx), Some(rx)) if tx != rx => LoopKind::InterVlan,
            _ if self.tx == self.rx => LoopKind::SelfLoop,
            _ => LoopKind::Pair,
        }
    }
}

/// What looks like a loop without proving one, weakest last.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Hint {
    /// One probe of another detector came in twice.
    DuplicateProbe,
    /// A frame that is no probe came in with our source address.
    OwnSource,
    /// A station moved between ports.
    StationMove,
    /// Broadcasts beyond what the storm guard lets through.
    Storm,
}

/// What a port is, as far as loops go.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PortStatus {
    /// No link.
    Down,
    /// No probe was sent and waited for since the link came up or the suspicion began.
    Unknown,
    /// A period passed with probes sent and none returned.
    Clear,
    /// Something looks like a loop.
    Suspect,
    /// A loop, not blocked.
    Looped,
    /// Blocked until probes stop returning.
    Blocked,
    /// Blocked until an operator releases it.
    Latched,
}

/// A detector heard on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Neighbour {
    /// Source address of its probes.
    pub mac: MacAddr6,
    /// Where the last one came in.
    pub port: PortId,
    /// When the last one came in.
    pub heard_at: Duration,
    /// Probes so far.
    pub probes: u64,
    /// Whether it is a strict detector.
    pub strict: bool,
}

/// What happened, in numbers that add up: `own` is the sum of the nine fields that say so.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Rounds started; a round is one probe per port and VLAN.
    pub rounds: u64,
    /// Probes handed out.
    pub sent: u64,
    /// Own probes received.
    pub own: u64,
    /// Of `own`: led to a block or a report.
    pub acted: u64,
    /// Of `own`: evidence that waits for a turn or for a confirmation.
    pub deferred: u64,
    /// Of `own`: told once more of a loop that is blocked or reported.
    pub rearmed: u64,
    /// Of `own`: further copies of a probe that was judged.
    pub repeated: u64,
    /// Of `own`: older than the acceptance window.
    pub late: u64,
    /// Of `own`: sent before a link of theirs changed, or from a port that we do not have.
    pub void: u64,
    /// Of `own`: on their way when a block came into force.
    pub in_flight: u64,
    /// Of `own`: came in at, or left from, a monitor port.
    pub mirrored: u64,
    /// Of `own`: a port of theirs is held by spanning tree.
    pub held_by_stp: u64,
    /// Our address and nonce under a tag that our key did not make.
    pub forged: u64,
    /// Probes of others, of any form.
    pub foreign: u64,
    /// Our address in a strict probe shortly after boot: from before it.
    pub old_boot: u64,
    /// Our address in the probe of another switch.
    pub duplicate_mac: u64,
    /// Probes whose source is zero or a group address.
    pub malformed: u64,
    /// Frames that a blocked port swallowed.
    pub blocked: u64,
    /// Frames at a port that the detector does not have.
    pub unknown_port: u64,
    /// Events that found the queue full.
    pub events_lost: u64,
}
