//! The compact binary form. `FORMAT.md` describes it byte for byte.

mod range;
mod values;

use alloc::vec::Vec;

use crate::{Limits, Message};

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
    /// The message asks for more than [`Limits`] grants.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of: a field of [`Limits`].
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

/// The format version that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u8 = 1;

/// First byte: a set top bit (no JSON text or gzip file starts so), the version, the kind.
const MARK: u8 = 0x80;

mod kind {
    /// Any message as a JSON value.
    pub(super) const DOCUMENT: u8 = 0;
}

impl Message {
    /// The compact form of the message: equal messages have equal bytes, whatever the order of their
    /// lists was.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.push(MARK | FORMAT_VERSION << 4 | kind::DOCUMENT);
        let mut values = values::Encoder::new();
        values.value(&self.to_value());
        values.finish(&mut out);
        out
    }

    /// Reads the compact form.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Message::encode`] does not write, trailing bytes and
    /// other encodings of the same message included.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let (&first, body) = bytes.split_first().ok_or(DecodeError::Truncated { at: 0 })?;
        if first & MARK == 0 {
            return Err(DecodeError::NotAMessage { found: first });
        }
        match first >> 4 & 7 {
            FORMAT_VERSION => {}
            0 => return Err(DecodeError::NotAMessage { found: first }),
            found => return Err(DecodeError::Version { found, newest: FORMAT_VERSION }),
        }
        let mut values = values::Decoder::new(body, limits);
        let value = values.value()?;
        values.finish()?;
        let message = Self::from_value(&value).map_err(DecodeError::Content)?;
        let canonical = message.encode();
        if canonical != bytes {
            let at = canonical.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            return Err(DecodeError::NotCanonical { at });
        }
        Ok(message)
    }
}
