//! What can be wrong with a message, and where.

use alloc::{format, string::String};
use core::fmt;

/// A JSON value that is not what Neutron sends, with the path to it.
///
/// Paths look like `devices.4be03db0-….fixed_ips[1]`; the empty path is the whole message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadError {
    /// Where the value is.
    pub path: String,
    /// What is wrong with it.
    pub kind: ReadErrorKind,
}

/// What is wrong with a value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// Not JSON.
    #[error("{message} (line {line}, column {column})")]
    Syntax {
        /// The parser's words.
        message: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1; 0 if the line is empty.
        column: usize,
    },
    /// Arrays and objects nested deeper than [`Limits::depth`](crate::Limits::depth).
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Another JSON type than the field has.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What the field must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A key that every object of this kind has.
    #[error("key {key:?} is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// Text that is not of the form that the field asks for.
    #[error("{text:?} is not {expected}")]
    Text {
        /// What the field must be, such as `"a UUID"`.
        expected: &'static str,
        /// The text, cut to 64 characters.
        text: String,
    },
    /// A number beyond what the field can hold.
    #[error("{value} is not in {min}..={max}")]
    Range {
        /// The number, as written.
        value: i64,
        /// Lowest value allowed.
        min: i64,
        /// Highest value allowed.
        max: i64,
    },
    /// `port_range_min` above `port_range_max`.
    #[error("port range {min}..{max} is reversed")]
    ReversedPorts {
        /// `port_range_min`
        min: u16,
        /// `port_range_max`
        max: u16,
    },
    /// An address or prefix of the other IP version than its list or rule.
    #[error("{address} is not {family}")]
    Family {
        /// The address as text.
        address: String,
        /// The family that the place asks for.
        family: &'static str,
    },
    /// A rule with both a remote group and a remote address group.
    #[error("a rule cannot name both a remote group and a remote address group")]
    TwoRemotes,
    /// The id inside a device is not the key that it stands under.
    #[error("id {id} differs from the key")]
    IdMismatch {
        /// The inner id.
        id: crate::Uuid,
    },
    /// No message of the security-group RPC.
    #[error("neither a reply, a request, a notice nor a push of Neutron's security-group RPC")]
    Unrecognised,
}

impl ReadError {
    pub(crate) fn new(kind: ReadErrorKind) -> Self {
        Self { path: String::new(), kind }
    }

    /// The same error seen from one object further out.
    pub(crate) fn under(mut self, key: impl fmt::Display) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{key}{dot}{}", self.path);
        self
    }

    /// The same error seen from the array around it.
    pub(crate) fn at_index(self, index: usize) -> Self {
        self.under(format_args!("[{index}]"))
    }
}

impl From<ReadErrorKind> for ReadError {
    fn from(kind: ReadErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { self.kind.fmt(f) } else { write!(f, "{}: {}", self.path, self.kind) }
    }
}

impl core::error::Error for ReadError {}
