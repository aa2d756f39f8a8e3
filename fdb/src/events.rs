//! What changed, for whoever keeps a copy: a bounded queue that melts news of one station together.

use vlan_table::PortId;

use crate::{Entry, FlushScope, Key};

/// A change of the database.
///
/// Applied in order to a copy, events give the content of the database (ages aside), unless
/// [`Event::Overflow`] says that some are missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A station is known that was not.
    Appeared {
        /// Its key.
        key: Key,
        /// Its entry.
        entry: Entry,
    },
    /// A station changed ports.
    Moved {
        /// Its key.
        key: Key,
        /// Where it was.
        from: PortId,
        /// Its entry now.
        entry: Entry,
    },
    /// An entry is of another kind now.
    Changed {
        /// Its key.
        key: Key,
        /// Its entry now.
        entry: Entry,
    },
    /// A station is known no more, because it was silent, had to make room or was removed.
    Gone {
        /// Its key.
        key: Key,
        /// Its entry until then.
        entry: Entry,
    },
    /// All ageing entries in the scope are known no more. No other event tells of them.
    Flushed(FlushScope),
    /// Events are missing here: list the database again.
    Overflow {
        /// How many.
        lost: u32,
    },
}

/// News of one key, or of a flush.
#[derive(Clone, Copy, Debug)]
enum News {
    Station { key: Key, before: Option<Entry>, after: Option<Entry> },
    Flush(FlushScope),
}

/// The queue. What happens to a station whose news was not fetched yet changes that news, so the
/// last state is never lost, and a flapping station takes one place. A flush keeps before and after apart.
#[derive(Clone, Debug)]
pub(crate) struct EventQueue<const N: usize> {
    ring: [Option<News>; N],
    /// By a hash of the key, the number of the latest news of a station.
    latest: [u32; N],
    /// Number of the first news not fetched, of the next to come, and of the first after the last flush.
    first: u32,
    next: u32,
    after_flush: u32,
    lost: u32,
}

impl<const N: usize> EventQueue<N> {
    pub(crate) const fn new() -> Self {
        Self { ring: [None; N], latest: [0; N], first: 0, next: 0, after_flush: 0, lost: 0 }
    }

    /// What is known under `key` changed; `None`: nothing.
    #[inline]
    pub(crate) fn station(&mut self, key: Key, before: Option<Entry>, after: Option<Entry>) {
        if N != 0 {
            self.note(key, before, after);
        }
    }

    pub(crate) fn flush(&mut self, scope: FlushScope) {
        if N != 0 && self.push(News::Flush(scope)).is_some() {
            self.after_flush = self.next;
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Event> {
        while self.first != self.next {
            let news = self.slot(self.first).and_then(Option::take);
            self.first = self.first.wrapping_add(1);
            match news {
                Some(News::Flush(scope)) => return Some(Event::Flushed(scope)),
                Some(News::Station { key, before, after }) => match (before, after) {
                    (None, Some(entry)) => return Some(Event::Appeared { key, entry }),
                    (Some(entry), None) => return Some(Event::Gone { key, entry }),
                    (Some(Entry { port: from, .. }), Some(entry)) if from != entry.port => {
                        return Some(Event::Moved { key, from, entry });
                    }
                    (Some(old), Some(entry)) if old != entry => return Some(Event::Changed { key, entry }),
                    _ => {} // back where it was
                },
                None => {}
            }
        }
        match core::mem::take(&mut self.lost) {
            0 => None,
            lost => Some(Event::Overflow { lost }),
        }
    }

    fn note(&mut self, key: Key, before: Option<Entry>, after: Option<Entry>) {
        let hash = (key.bits().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % N;
        let number = self.latest.get(hash).copied().unwrap_or(0);
        let is_open = number.wrapping_sub(self.after_flush) < self.next.wrapping_sub(self.after_flush)
            && number.wrapping_sub(self.first) < self.next.wrapping_sub(self.first);
        if is_open
            && let Some(Some(News::Station { key: known, after: last, .. })) = self.slot(number)
            && *known == key
        {
            *last = after;
            return;
        }
        if let Some(number) = self.push(News::Station { key, before, after })
            && let Some(latest) = self.latest.get_mut(hash)
        {
            *latest = number;
        }
    }

    /// The number of what was pushed. After a loss everything is lost until all is fetched.
    fn push(&mut self, news: News) -> Option<u32> {
        if self.lost != 0 || self.next.wrapping_sub(self.first) as usize >= N {
            self.lost = self.lost.saturating_add(1);
            return None;
        }
        let number = self.next;
        *self.slot(number)? = Some(news);
        self.next = number.wrapping_add(1);
        Some(number)
    }

    fn slot(&mut self, number: u32) -> Option<&mut Option<News>> {
        self.ring.get_mut(number as usize % N.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fid, Kind, MacAddr6};

    fn key(host: u8) -> Key {
        Key::new(Fid::SHARED, MacAddr6::new(2, 0, 0, 0, 0, host))
    }

    fn on(raw: u16) -> Option<Entry> {
        Some(Entry { port: PortId::new(raw).unwrap(), kind: Kind::Dynamic })
    }

    #[test]
    fn a_flapping_station_takes_one_place_and_keeps_its_oldest_and_latest_port() {
        let mut queue = EventQueue::<4>::new();
        for raw in 0..100 {
            queue.station(key(1), on(raw), on(raw + 1));
        }
        let (from, entry) = (PortId::new(0).unwrap(), on(100).unwrap());
        assert_eq!(queue.poll(), Some(Event::Moved { key: key(1), from, entry }));
        assert_eq!(queue.poll(), None);
    }

    #[test]
    fn who_came_and_went_is_not_worth_a_word() {
        let mut queue = EventQueue::<4>::new();
        queue.station(key(1), None, on(3));
        queue.station(key(1), on(3), None);
        assert_eq!(queue.poll(), None);
    }

    #[test]
    fn a_flush_separates_before_from_after() {
        let mut queue = EventQueue::<4>::new();
        let three = on(3).unwrap();
        queue.station(key(1), None, on(3));
        queue.flush(FlushScope::port(three.port));
        queue.station(key(1), None, on(3));
        let appeared = Some(Event::Appeared { key: key(1), entry: three });
        assert_eq!(queue.poll(), appeared);
        assert_eq!(queue.poll(), Some(Event::Flushed(FlushScope::port(three.port))));
        assert_eq!(queue.poll(), appeared);
        assert_eq!(queue.poll(), None);
    }

    #[test]
    fn an_overflow_is_marked_where_events_are_missing() {
        let mut queue = EventQueue::<2>::new();
        for host in 0..5 {
            queue.station(key(host), None, on(1));
        }
        let polled: [_; 4] = core::array::from_fn(|_| queue.poll());
        let appeared = |host| Some(Event::Appeared { key: key(host), entry: on(1).unwrap() });
        assert_eq!(polled, [appeared(0), appeared(1), Some(Event::Overflow { lost: 3 }), None]);
        queue.station(key(9), None, on(1));
        assert_eq!(queue.poll(), appeared(9));
    }

    #[test]
    fn a_queue_without_places_costs_and_says_nothing() {
        let mut queue = EventQueue::<0>::new();
        queue.station(key(1), None, on(1));
        queue.flush(FlushScope::ALL);
        assert_eq!(queue.poll(), None);
    }
}
