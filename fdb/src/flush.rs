//! Flushes that take no time: a note of what was flushed when, instead of a walk over the entries.

use vlan_table::{Fid, PortId};

use crate::entry::Stamp;

/// Which ageing entries to remove; what is not named is not looked at.
///
/// ```
/// use fdb::{Fid, FlushScope, PortId};
///
/// let port = PortId::new(3).unwrap();
/// let fid = Fid::new(10).unwrap();
/// let link_went_down = FlushScope::port(port);
/// let vlan_was_deleted = FlushScope::fid(fid);
/// let port_left_vlan = FlushScope::port(port).and_fid(fid);
/// assert_eq!(FlushScope::ALL.fid, None);
/// # let _ = (link_went_down, vlan_was_deleted, port_left_vlan);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct FlushScope {
    /// Only entries on this port.
    pub port: Option<PortId>,
    /// Only entries of this FID.
    pub fid: Option<Fid>,
}

impl FlushScope {
    /// Every ageing entry.
    pub const ALL: Self = Self { port: None, fid: None };

    /// The ageing entries of a port.
    pub const fn port(port: PortId) -> Self {
        Self { port: Some(port), fid: None }
    }

    /// The ageing entries of a FID.
    pub const fn fid(fid: Fid) -> Self {
        Self { port: None, fid: Some(fid) }
    }

    /// Of those, only the entries of `fid`.
    #[must_use]
    pub const fn and_fid(mut self, fid: Fid) -> Self {
        self.fid = Some(fid);
        self
    }

    /// Not 0, and different for every scope.
    fn code(self) -> u32 {
        let port = self.port.map_or(0, |port| u32::from(port.get()) + 1);
        let fid = self.fid.map_or(0, |fid| u32::from(fid.get()) + 1);
        1 << 31 | port << 13 | fid
    }
}

/// One note: entries in the scope with a stamp below this one are gone.
#[derive(Clone, Copy, Debug)]
pub struct FlushSlot {
    code: u32,
    before: Stamp,
}

impl FlushSlot {
    pub(crate) const EMPTY: Self = Self { code: 0, before: 0 };
}

/// The notes, an open-addressed table by scope.
///
/// When it fills up the database has to be swept once, after which all notes can go. Its size grows with the
/// database, so that a flush costs a constant even then, taken over all flushes.
#[derive(Clone, Debug)]
pub(crate) struct FlushLog<T> {
    slots: T,
    used: usize,
}

impl<T: AsRef<[FlushSlot]> + AsMut<[FlushSlot]>> FlushLog<T> {
    pub(crate) fn new(slots: T) -> Self {
        Self { slots, used: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Notes a flush; `false` if there is no room.
    pub(crate) fn note(&mut self, scope: FlushScope, before: Stamp) -> bool {
        let (code, limit) = (scope.code(), self.slots.as_ref().len() / 4 * 3);
        let Some(position) = self.position(code) else { return false };
        let Some(slot) = self.slots.as_mut().get_mut(position) else { return false };
        if slot.code == 0 {
            if self.used >= limit {
                return false;
            }
            self.used += 1;
        }
        *slot = FlushSlot { code, before };
        true
    }

    /// Whether an entry with this port, FID and stamp has been flushed.
    pub(crate) fn covers(&self, port: PortId, fid: Fid, stamp: Stamp) -> bool {
        self.used != 0
            && [
                FlushScope::ALL,
                FlushScope::port(port),
                FlushScope::fid(fid),
                FlushScope::port(port).and_fid(fid),
            ]
            .into_iter()
            .filter_map(|scope| self.slots.as_ref().get(self.position(scope.code())?))
            .any(|slot| stamp < slot.before)
    }

    pub(crate) fn clear(&mut self) {
        if self.used != 0 {
            self.slots.as_mut().fill(FlushSlot::EMPTY);
            self.used = 0;
        }
    }

    /// Where `code` is or would be put. There is always a free slot, hence an end.
    fn position(&self, code: u32) -> Option<usize> {
        let slots = self.slots.as_ref();
        let start = (code.wrapping_mul(0x9E37_79B1) >> 12) as usize % slots.len().max(1);
        let (before, from) = slots.split_at_checked(start)?;
        let fits = |slot: &FlushSlot| slot.code == 0 || slot.code == code;
        match from.iter().position(fits) {
            Some(offset) => Some(start + offset),
            None => before.iter().position(fits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_its_own_code() {
        let ports = [None, PortId::new(0), PortId::new(4095)];
        let fids = [None, Fid::new(0), Fid::new(4095)];
        let codes = ports.iter().flat_map(|port| fids.map(|fid| FlushScope { port: *port, fid }.code()));
        let mut seen: alloc::vec::Vec<_> = codes.collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 9);
        assert!(seen.iter().all(|code| *code != 0));
    }

    #[test]
    fn a_full_log_says_so_and_still_knows_what_it_noted() {
        let mut log = FlushLog::new([FlushSlot::EMPTY; 16]);
        let port = |raw| PortId::new(raw).unwrap();
        for raw in 0..12 {
            assert!(log.note(FlushScope::port(port(raw)), raw + 1));
        }
        assert!(!log.note(FlushScope::port(port(12)), 13));
        assert!(log.note(FlushScope::port(port(3)), 20), "a scope that is noted already needs no room");
        assert!(log.covers(port(3), Fid::SHARED, 19) && !log.covers(port(3), Fid::SHARED, 20));
        assert!(!log.covers(port(12), Fid::SHARED, 1));
        log.clear();
        assert!(log.is_empty() && !log.covers(port(3), Fid::SHARED, 1));
    }
}
