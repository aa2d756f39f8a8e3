//! Why bytes cannot be decoded.

/// Why bytes are not a message of the compact form.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No bytes at all, or the message ends inside a field.
    #[error("the message ends early, at byte {at}")]
    Truncated {
        /// Where more was needed, in bytes from the start.
        at: usize,
    },
    /// The first byte is not that of a message.
    #[error("byte 0 is {found:#04x}: not a compact security-group message")]
    NotAMessage {
        /// The first byte.
        found: u8,
    },
    /// Written by a newer program.
    #[error("format version {found}, this program reads up to {newest}")]
    Version {
        /// The version of the message.
        found: u8,
        /// The newest version known here.
        newest: u8,
    },
    /// A field holds what no encoder writes.
    #[error("{what} near byte {at}")]
    Invalid {
        /// What is wrong.
        what: &'static str,
        /// Where reading had got to, in bytes from the start.
        at: usize,
    },
    /// The message asks for more than [`Limits`](crate::Limits) grants.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of: a field of [`Limits`](crate::Limits).
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The message says something in another way than the one canonical encoding.
    #[error("not the canonical encoding, from byte {at} on")]
    NotCanonical {
        /// The first byte that differs from the canonical encoding.
        at: usize,
    },
    /// The content is no message of the security-group RPC.
    #[error("{0}")]
    Content(crate::ReadError),
}
