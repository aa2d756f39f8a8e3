//! Realtek Echo Protocol: is there a switch?

use super::Cookie;
use super::message::{Head, Payload, protocol};

/// An echo request or reply.
///
/// The datasheets say that a switch returns the request unchanged but for the addresses; real
/// switches set the reply flag (OpenRRCP, whose scan works on hardware, asks for it). So a frame
/// to our own unicast address is a reply if the flag is set *or* the cookie is ours, and is never
/// answered, or two responders would play ping-pong.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Rep {
    /// Bit 7 of the second byte.
    pub reply: bool,
    /// Eight bytes that a responder is expected to return; zero if the frame ends before them.
    pub cookie: Cookie,
}

mod field {
    pub(super) const FLAGS: usize = 1;
    pub(super) const REPLY: u8 = 0x80;
}

impl Rep {
    #[inline]
    pub(super) fn parse(payload: Payload<'_>) -> Self {
        let reply = payload.byte_or_zero(field::FLAGS) & field::REPLY != 0;
        Self { reply, cookie: Cookie::parse(payload) }
    }

    #[inline]
    pub(super) fn write(&self, head: &mut Head) {
        let [c0, c1, c2, c3, c4, c5, c6, c7] = self.cookie.0;
        head[0] = protocol::REP;
        head[field::FLAGS] = if self.reply { field::REPLY } else { 0 };
        [head[10], head[11], head[12], head[13]] = [c0, c1, c2, c3];
        [head[14], head[15], head[16], head[17]] = [c4, c5, c6, c7];
    }
}
