//! A bounded queue of events.

use super::event::Event;

/// Events that wait for the caller; more than one input can cause, so a caller that drains after
/// every input loses none.
const CAPACITY: usize = 32;

#[derive(Clone, Debug)]
pub(super) struct Events {
    ring: [Option<Event>; CAPACITY],
    head: usize,
    len: usize,
}

impl Events {
    pub(super) const fn new() -> Self {
        Self { ring: [None; CAPACITY], head: 0, len: 0 }
    }

    /// Whether there was room.
    #[must_use]
    pub(super) fn push(&mut self, event: Event) -> bool {
        let at = (self.head + self.len) % CAPACITY;
        match self.ring.get_mut(at) {
            Some(slot) if self.len < CAPACITY => {
                *slot = Some(event);
                self.len += 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.ring.get_mut(self.head)?.take()?;
        self.head = (self.head + 1) % CAPACITY;
        self.len -= 1;
        Some(event)
    }
}
