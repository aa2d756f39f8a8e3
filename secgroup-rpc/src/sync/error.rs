//! What can be wrong with a message of the synchronisation.

use crate::DecodeError;

/// Why a message was not taken. Nothing of it was applied.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The message ends inside a field.
    #[error("the message ends early, at byte {at}")]
    Truncated {
        /// Where more was needed, in bytes from the start.
        at: usize,
    },
    /// The first byte is not that of a message in this direction.
    #[error("byte 0 is {found:#04x}: not a message in this direction")]
    Kind {
        /// The first byte.
        found: u8,
    },
    /// Written in a newer format than this program reads.
    #[error("format version {found}, this program reads up to {newest}")]
    Version {
        /// The version of the message.
        found: u8,
        /// The newest version known here.
        newest: u8,
    },
    /// A field holds what no sender writes.
    #[error("{what} at byte {at}")]
    Invalid {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the start.
        at: usize,
    },
    /// The items inside are not readable.
    #[error("the items inside: {0}")]
    Items(#[from] DecodeError),
    /// The message would make the state larger than [`Limits`](crate::Limits) grants.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there would be too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The message belongs to another state than the one held.
    #[error("the message changes another state than the one held")]
    Base,
    /// The message does not lead to the state that it promises.
    #[error("the message does not lead to the digest that it promises")]
    Result,
}
