//! What a client says: events, failures, and what became of each frame.

use core::time::Duration;

use macaddr::MacAddr6;

use super::{Danger, Switch};
use crate::wire::RegisterAddress;

/// Why an operation was not started.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another operation is under way.
    #[error("another operation is under way")]
    Busy,
    /// Switches answer only what is sent to their own address.
    #[error("{mac} is not the address of one switch")]
    NotUnicast {
        /// The address as given.
        mac: MacAddr6,
    },
    /// The set may cut the switch off, and nobody agreed to that.
    #[error("setting register {register} is dangerous: {danger}")]
    Dangerous {
        /// The register that should be set.
        register: RegisterAddress,
        /// What may happen.
        danger: Danger,
    },
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Scan: a switch that was not seen before, or a further link of it.
    Found(Switch),
    /// Scan: something that answers echoes; it may or may not answer hellos as well.
    EchoFound(MacAddr6),
    /// Scan: the last round is over.
    ScanDone {
        /// Different answers, hello replies and echoes.
        answers: usize,
        /// New answers that were not reported, because the table was full.
        dropped: u64,
    },
    /// Ping: it is there.
    Pong {
        /// Time from the request that was sent last.
        round_trip: Duration,
    },
    /// Get: a register was read.
    Value {
        /// Which register.
        register: RegisterAddress,
        /// Its value.
        data: u32,
        /// Requests that it took.
        sends: u16,
    },
    /// Set: the register reads back as written.
    Written {
        /// Which register.
        register: RegisterAddress,
        /// What it reads now.
        data: u32,
        /// Attempts that it took.
        attempts: u16,
    },
    /// Set: sent, but not to be verified, since the register clears itself.
    Unverified {
        /// Which register.
        register: RegisterAddress,
    },
    /// Ping, get, set: it did not work.
    Failed(Failure),
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody answered: no such switch, a wrong key, RRCP switched off, or a port that ignores it.
    #[error("no answer to {sends} requests")]
    NoAnswer {
        /// Requests that were sent.
        sends: u16,
    },
    /// The switch answers, but the register is not as written.
    #[error(
        "register {register} reads {read:#x} after {attempts} attempts to write {wrote:#x} (mask {mask:#x})"
    )]
    Mismatch {
        /// Which register.
        register: RegisterAddress,
        /// The value that was sent.
        wrote: u32,
        /// The value that was read.
        read: u32,
        /// The bits that were compared.
        mask: u32,
        /// Attempts that were made.
        attempts: u16,
    },
}

/// What became of a received frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It belongs to the operation under way.
    Accepted,
    /// It changed nothing.
    Ignored(Ignored),
}

/// Why a received frame changed nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ignored {
    /// Another protocol, or cut.
    NotRealtek,
    /// A kind that is no answer: a request, a probe, a CPU tag.
    NoAnswer,
    /// Not to our own address.
    OtherDestination,
    /// Not in the VLAN that we ask in.
    OtherVlan,
    /// Not from the switch that was asked, or from a group address.
    OtherSource,
    /// With another key.
    OtherKey,
    /// About another register.
    OtherRegister,
    /// With another cookie: a late answer, or one to somebody else's question.
    OtherCookie,
    /// Scan: known already.
    Known,
    /// Scan: new, but the table is full.
    TableFull,
    /// Nothing was asked that this could answer: a late or doubled reply.
    Unasked,
}

impl Ignored {
    /// How many reasons there are.
    pub const COUNT: usize = Self::Unasked as usize + 1;
}

/// What happened to received frames: every frame is in exactly one number.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Frames that belonged to an operation.
    pub accepted: u64,
    ignored: [u64; Ignored::COUNT],
}

impl Counters {
    pub(super) const ZERO: Self = Self { accepted: 0, ignored: [0; Ignored::COUNT] };

    /// Frames that were ignored for this reason.
    pub fn ignored(&self, reason: Ignored) -> u64 {
        self.ignored.get(reason as usize).copied().unwrap_or_default()
    }

    /// Frames that were ignored.
    pub fn ignored_total(&self) -> u64 {
        self.ignored.iter().sum()
    }

    pub(super) fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted += 1,
            Verdict::Ignored(reason) => {
                if let Some(count) = self.ignored.get_mut(reason as usize) {
                    *count += 1;
                }
            }
        }
    }
}
