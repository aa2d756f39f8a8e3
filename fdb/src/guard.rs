//! Stations that change ports too often are held where they are.

use core::time::Duration;

use crate::Key;

/// When a station moves too often, and for how long it is then held.
///
/// A station that has moved `moves` times within `window` stays at its last port; frames that it seems
/// to send elsewhere are refused with [`Refused::Held`](crate::Refused::Held). This is the duplicate
/// detection of EVPN (RFC 7432, 15.1: 5 moves in 180 s) on one bridge.
///
/// Up to 32 moving stations are watched at a time; among more, the one whose window began first is
/// forgotten. Who fills that list with moving addresses weakens the guard, never the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MoveGuard {
    /// Moves that are allowed in a window, at least 1.
    pub moves: u16,
    /// The window, which begins with the first move.
    pub window: Duration,
    /// How long a station is held; `None`: until management removes it.
    pub recovery: Option<Duration>,
}

impl MoveGuard {
    /// 5 moves in 180 s, then held for 180 s.
    pub const DEFAULT: Self =
        Self { moves: 5, window: Duration::from_secs(180), recovery: Some(Duration::from_secs(180)) };
}

impl Default for MoveGuard {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The stations that moved lately.
#[derive(Clone, Debug)]
pub(crate) struct Movers {
    watched: [Option<Mover>; WATCHED],
}

const WATCHED: usize = 32;

#[derive(Clone, Copy, Debug)]
struct Mover {
    key: Key,
    moves: u16,
    since: Duration,
    held_until: Option<Duration>,
}

impl Movers {
    pub(crate) const fn new() -> Self {
        Self { watched: [None; WATCHED] }
    }

    /// The station moves. `Err`: it may not until then.
    pub(crate) fn moves(&mut self, guard: MoveGuard, now: Duration, key: Key) -> Result<(), Duration> {
        let fresh = Mover { key, moves: 0, since: now, held_until: None };
        let Some(place) = self.place(key) else { return Ok(()) };
        let mover = match place {
            Some(mover) if mover.key == key => mover,
            other => other.insert(fresh),
        };
        match mover.held_until {
            Some(until) if now < until => return Err(until),
            Some(_) => *mover = fresh,
            None if now.saturating_sub(mover.since) >= guard.window => *mover = fresh,
            None => {}
        }
        mover.moves += 1;
        if mover.moves >= guard.moves {
            let held = guard.recovery.and_then(|time| now.checked_add(time));
            mover.held_until = Some(held.unwrap_or(Duration::MAX));
        }
        Ok(())
    }

    pub(crate) fn forget(&mut self, key: Key) {
        for watched in &mut self.watched {
            if watched.is_some_and(|mover| mover.key == key) {
                *watched = None;
            }
        }
    }

    /// The place of `key`, else a free one, else that of the one who can be forgotten best.
    fn place(&mut self, key: Key) -> Option<&mut Option<Mover>> {
        self.watched.iter_mut().min_by_key(|place| match place {
            Some(mover) if mover.key == key => (0, false, Duration::ZERO),
            None => (1, false, Duration::ZERO),
            Some(mover) => (2, mover.held_until.is_some(), mover.since),
        })
    }
}
