//! Loop detection: [`ClassicDetector`] does what the chips do, [`LoopDetector`] what one would want.
//!
//! # The strict detector
//!
//! A **round** sends one probe out of every port, in every VLAN that the port is to be probed in. A
//! probe that comes back is a loop, because only its sender's boot has its nonce. What a port goes
//! through:
//!
//! ```text
//!          an own probe returns,                  its turn has come, or
//!          others may cut better                  nobody else is there
//!  open ──────────────────────────▶ case ────────────────────────────────▶ blocked ◀─┐ return
//!   ▲                                │                                        │  └──────┘ renews
//!   │◀── a period without a return ──┘      k silent periods, link up,        │
//!   │◀──────────────────────────────────── probes sent, hold time over ───────┤
//!   │◀──────── release() ──────── latched ◀──── too many trips in an hour ────┘
//! ```
//!
//! ## Evidence, from strong to weak
//! 1. An own probe of a current round: may block.
//! 2. An own probe that is late, void, or was on its way when a block came into force: counted. An
//!    uplink is not blocked for one that left another port before our turn had come, either: it may
//!    have gone round in a third place meanwhile, and its first step may be cut.
//! 3. Our address in another probe: [`Event::DuplicateMac`].
//! 4. Our address in any frame, a second copy of another detector's probe (unless a blocked port sent
//!    it), a station that moves, a storm: [`Event::Suspected`], and fast probing.
//!
//! ## Which port
//! Of the port that the probe left and the one it came in at: access ports before uplinks before
//! excluded ones, then the larger [`PortConfig::priority`], then the higher number. A block accounts
//! for every loop through its port, so a hub on three ports leads to two blocks, one after the other,
//! with a new round in between.
//!
//! ## Which switch
//! Every switch on a loop sees it; one shall act. A probe tells its sender's [`Stake`], and a sender
//! ranks by priority, address, nonce. A return is acted upon at once unless a probe with a better
//! rank that claims, too, was heard within the last slot; then the round is repeated after a few
//! slots, and usually does not return any more.
//!
//! That two switches never cut one cycle twice: say both act, and the better ranked one's returned
//! probe went through the other's blocked port. It did so before that port was blocked, so the other
//! had heard it and would have given way. If it did not go through that port, its loop does not need
//! the port, and both blocks are due. The argument needs frames that are faster than a slot; where a
//! saturated loop breaks it, there is a block too many, which hears nothing and is released after
//! [`Timing::silent_periods`].
//!
//! Some wait longer before they claim, and wait on while others in the loop's direction press, for 76
//! slots at most: a self-loop with another detector behind the port (six slots: the loop is probably
//! that one's own, and our port would cut it off), and uplinks (24 slots, and six more for each
//! detector behind the uplink if the loop is there: of several on one way, the one next to the loop
//! goes first). Who waits says so every three slots, which wakes those who are idle; who has just
//! blocked a port presses at once for what else it sees, since it is next to the loops. What was
//! waited for one loop does not count for another: 24 slots without a return end a case, unless a storm
//! has raged since, which swallows most probes. A loop
//! within devices that have no detector is cut off by everyone attached to it.
//!
//! ## Time
//! A [period](Timing) is a promise; rounds start [`Timing::RESERVE_SLOTS`] slots and up to a tenth
//! earlier, and at most [`Timing::ROUNDS_PER_PERIOD`] in a fast period, whatever happens. Rounds are
//! brought forward by a link that comes up, a hint, or a case that waits; a storm, also one at a
//! blocked port, makes them 40 a period, since most are lost. One timer, the next round,
//! drives everything. Time that goes back stands still, and a jump is one step.
//!
//! ## What is bounded
//! Rounds per period; events (32) and neighbours (32, the one heard least recently makes room); probes
//! of others that pass the storm guard: 64 a second of one sender and VLAN, 512 of all.
//!
//! ## Limits
//! A link aggregate is one [`PortId`], the caller's mapping. A block closes the port in all VLANs.
//! Somebody who records our probe can replay it for [`Timing::accept`], and costs us one hold time;
//! [`Config::key`] stops those who only guess, [`Timing::confirmations`] those with one frame.
//!
//! # Sources
//! The classic behaviour: RTL8316BP r1.2, 8.21; RTL8326 r3.1, 7.23; RTL8305SB, 7.3.13. From the field:
//! a window for late probes (batman-adv), a threshold where a mistake is expensive (Dell CTP), no
//! keepalive on uplinks (Cisco, 12.2SE), one port of a pair, no block against spanning tree, a latch
//! renewed by each return (RTLPlayground, pull requests 303, 314, 456), an elected actor (Allied
//! Telesis GS910, GS920), silence of several periods (H3C, CTS).

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
