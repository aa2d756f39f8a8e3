//! Loop detection: [`ClassicDetector`] does what the chips do, [`LoopDetector`] what one would want.

mod classic;
mod config;
mod event;
mod evidence;
mod neighbours;
mod port;
mod probe;
mod queue;
mod schedule;
mod siphash;
mod strict;

pub use classic::{ClassicDetector, LoopSignal};
pub use config::{Action, Config, PortConfig, Role, Timing};
pub use event::{Counters, Event, Hint, Loop, LoopKind, Neighbour, PortStatus};
pub use probe::{PROBE_LEN, ProbeKey, Stake, StrictProbe};
pub use strict::LoopDetector;

use vlan_table::{PortId, PortOutOfRange, VlanId};

/// What the switch does with a frame that a detector looked at.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub enum Disposition {
    /// No probe, or one too many of its sender: the switch decides, as about any broadcast.
    Forward,
    /// A probe of another detector: flood it in its VLAN, before any policing; without it that
    /// detector is blind.
    ForeignProbe,
    /// An own probe: it ends here, and its source is not learned.
    OwnProbe,
    /// The port is blocked: the frame ends here, and its source is not learned.
    Blocked,
}

/// A frame to send: out of `port`, in `vlan`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Transmit {
    /// The port, blocked or not.
    pub port: PortId,
    /// Tag the frame as the port tags frames of this VLAN; `None`: send it as it is.
    pub vlan: Option<VlanId>,
}

/// A VLAN cannot be probed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VlanError {
    /// Too many VLANs.
    #[error("VLAN {vlan} does not fit, {capacity} VLANs are probed already")]
    Vlans {
        /// The VLAN as given.
        vlan: VlanId,
        /// How many VLANs can be probed.
        capacity: usize,
    },
    /// No such port.
    #[error(transparent)]
    Port(#[from] PortOutOfRange),
}
