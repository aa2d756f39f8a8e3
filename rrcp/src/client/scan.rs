//! What a scan has seen, so that nothing is reported twice.

use macaddr::MacAddr6;

use super::Ignored;
use crate::wire::{AuthKey, HelloReply};

/// A switch and one link above it, as its hello reply says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Switch {
    /// Its address.
    pub mac: MacAddr6,
    /// The key in its reply: the one it expects.
    pub key: AuthKey,
    /// The rest of its reply.
    pub reply: HelloReply,
}

/// Different answers to a scan, in the order they came.
#[derive(Clone, Debug)]
pub(super) struct Seen<const N: usize> {
    /// The first `len` are taken.
    answers: [Answer; N],
    len: usize,
    dropped: u64,
}

/// What makes an answer different: both ends of a link, or the address behind an echo.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    Link { mac: MacAddr6, downlink_port: u8, uplink_mac: MacAddr6, uplink_port: u8 },
    Echo(MacAddr6),
}

impl From<&Switch> for Answer {
    fn from(Switch { mac, reply, .. }: &Switch) -> Self {
        let HelloReply { downlink_port, uplink_port, uplink_mac, .. } = *reply;
        Self::Link { mac: *mac, downlink_port, uplink_mac, uplink_port }
    }
}

impl<const N: usize> Seen<N> {
    pub(super) const EMPTY: Self = Self { answers: [Answer::Echo(MacAddr6::nil()); N], len: 0, dropped: 0 };

    /// Remembers the answer if it is new. O(`N`).
    pub(super) fn insert(&mut self, answer: Answer) -> Result<(), Ignored> {
        if self.answers.iter().take(self.len).any(|seen| *seen == answer) {
            return Err(Ignored::Known);
        }
        let Some(place) = self.answers.get_mut(self.len) else {
            self.dropped += 1;
            return Err(Ignored::TableFull);
        };
        *place = answer;
        self.len += 1;
        Ok(())
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}
