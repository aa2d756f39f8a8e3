//! What the database knows about a station, and how it is packed.

use core::time::Duration;

use vlan_table::PortId;

use crate::Key;

/// Where frames for a station go.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Entry {
    /// The port behind which the station is; for [`Kind::Drop`] and [`Kind::Local`] the port that
    /// management gave, which only flushes and listings look at.
    pub port: PortId,
    /// How the entry came about and what may happen to it.
    pub kind: Kind,
}

/// How an entry came about, and with it whether it ages, moves and may be evicted.
///
/// | kind | ages | moves | flushed | evicted | after |
/// |---|---|---|---|---|---|
/// | `Dynamic` | yes | yes | yes | yes | 802.1Q-2018, 8.8.3 |
/// | `Sticky` | yes | no | yes | no | Linux `sticky`: a station that must not roam |
/// | `Locked` | yes | yes | yes | yes | Linux `locked` (MAC authentication bypass): seen on a locked port |
/// | `Static` | no | no | no | no | 802.1Q-2018, 8.8.1 |
/// | `Drop` | no | no | no | no | VPP `filter`: drop frames from and to the address |
/// | `Local` | no | no | no | no | an address of the bridge itself, Linux `local` |
/// | `External` | no | yes | no | no | Linux `extern_learn`, EVPN: entered by a control plane, taken over by a station that is seen locally |
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Kind {
    /// Learned from a frame.
    Dynamic,
    /// Bound to its port while it lives.
    Sticky,
    /// Seen on a port whose stations need authentication first.
    Locked,
    /// Entered by management, for good.
    Static,
    /// Frames from and to this address are to be dropped.
    Drop,
    /// An address of the bridge itself.
    Local,
    /// Entered by a control plane.
    External,
}

impl Kind {
    /// Whether the entry dies when its station stays silent for the ageing time; such entries are
    /// what a flush removes.
    pub const fn ages(self) -> bool {
        matches!(self, Self::Dynamic | Self::Sticky | Self::Locked)
    }

    /// Whether learning the station on another port moves the entry there.
    pub const fn moves(self) -> bool {
        matches!(self, Self::Dynamic | Self::Locked | Self::External)
    }

    /// Whether a full database may give the place to another station.
    pub const fn evictable(self) -> bool {
        matches!(self, Self::Dynamic | Self::Locked)
    }
}

/// One line of a listing: a key, its entry and the time since its station was last seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// FID and MAC address.
    pub key: Key,
    /// Port and kind.
    pub entry: Entry,
    /// Time since the last sighting, a multiple of the resolution; `None` if the kind does not age.
    pub age: Option<Duration>,
}

/// A stamp: the point of time of a sighting, or of a flush; see `clock.rs`.
pub(crate) type Stamp = u16;

/// The highest stamp there is.
pub(crate) const LAST_STAMP: Stamp = (1 << Record::STAMP_BITS) - 1;

/// An entry as stores keep it: the port and 14 bits of `meta`, the class (2 bits) above the stamp (12).
///
/// A dynamic entry has class 0, so that its `meta` is its stamp: one comparison tells whether it
/// lives. Kinds that do not age share one class and have their number where others have the stamp.
/// `meta` is never 0 in a stored record, which makes 0 the mark of a free place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record {
    pub(crate) port: u16,
    pub(crate) meta: u16,
}

impl Record {
    pub(crate) const FREE: Self = Self { port: 0, meta: 0 };
    pub(crate) const STAMP_BITS: u32 = 12;
    pub(crate) const PORT_BITS: u32 = 12;
    /// The port, and above it `meta`.
    #[cfg(feature = "alloc")]
    pub(crate) const BITS: u32 = Self::PORT_BITS + Self::STAMP_BITS + 2;
    const STICKY: u16 = 1;
    const LOCKED: u16 = 2;
    const PERMANENT: u16 = 3;

    pub(crate) const fn new(entry: Entry, stamp: Stamp) -> Self {
        let (class, low) = match entry.kind {
            Kind::Dynamic => (0, stamp),
            Kind::Sticky => (Self::STICKY, stamp),
            Kind::Locked => (Self::LOCKED, stamp),
            permanent => (Self::PERMANENT, permanent as u16),
        };
        Self { port: entry.port.get(), meta: class << Self::STAMP_BITS | low }
    }

    pub(crate) const fn is_free(self) -> bool {
        self.meta == 0
    }

    pub(crate) const fn kind(self) -> Kind {
        match (self.meta >> Self::STAMP_BITS, self.low()) {
            (0, _) => Kind::Dynamic,
            (Self::STICKY, _) => Kind::Sticky,
            (Self::LOCKED, _) => Kind::Locked,
            (_, low) if low == Kind::Drop as u16 => Kind::Drop,
            (_, low) if low == Kind::Local as u16 => Kind::Local,
            (_, low) if low == Kind::External as u16 => Kind::External,
            _ => Kind::Static,
        }
    }

    /// As one number of `BITS` bits.
    #[inline(always)]
    pub(crate) const fn bits(self) -> u64 {
        self.port as u64 | (self.meta as u64) << Self::PORT_BITS
    }

    /// The record in the lowest `BITS` bits.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self { port: bits as u16 & 0xFFF, meta: (bits >> Self::PORT_BITS) as u16 & 0x3FFF }
    }

    /// When the station was last seen; `None` if the kind does not age.
    pub(crate) const fn stamp(self) -> Option<Stamp> {
        if self.meta >> Self::STAMP_BITS == Self::PERMANENT { None } else { Some(self.low()) }
    }

    #[must_use]
    #[inline(always)]
    pub(crate) const fn with_stamp(self, stamp: Stamp) -> Self {
        Self { port: self.port, meta: self.meta & !LAST_STAMP | stamp }
    }

    #[inline(always)]
    pub(crate) fn port(self) -> PortId {
        // a record is only made from a `PortId`
        PortId::new(self.port).unwrap_or(PORT_0)
    }

    pub(crate) fn entry(self) -> Entry {
        Entry { port: self.port(), kind: self.kind() }
    }

    const fn low(self) -> u16 {
        self.meta & LAST_STAMP
    }
}

/// The dynamic records that certainly live, as the numbers that [`Record::bits`] gives, with a mark in the highest
/// bit that stores may use. Stored in the way that look-ups want it.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The lowest.
    pub(crate) earliest: u64,
    /// How far above that the highest is.
    pub(crate) later: u64,
    /// The lowest with the latest stamp.
    pub(crate) latest: u64,
    /// The number of stamps, less one.
    #[cfg(feature = "alloc")]
    pub(crate) span: u64,
}

impl Window {
    pub(crate) const MARK: u64 = 1 << 63;

    /// Of the stamps `from..=to`.
    pub(crate) const fn new(from: Stamp, to: Stamp) -> Self {
        let span = (to - from) as u64;
        Self {
            earliest: Self::MARK | (from as u64) << Record::PORT_BITS,
            later: ((span + 1) << Record::PORT_BITS) - 1,
            latest: Self::MARK | (to as u64) << Record::PORT_BITS,
            #[cfg(feature = "alloc")]
            span,
        }
    }

    #[inline(always)]
    pub(crate) const fn has(self, record: Record) -> bool {
        (record.bits() | Self::MARK).wrapping_sub(self.earliest) <= self.later
    }
}

/// Worked out by the compiler: a number that is no port would not build.
const PORT_0: PortId = PortId::new(0).unwrap();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_port_and_stamp_comes_back_and_is_not_free() {
        use Kind::{Drop, Dynamic, External, Local, Locked, Static, Sticky};
        for kind in [Dynamic, Sticky, Locked, Static, Drop, Local, External] {
            for stamp in 1..=LAST_STAMP {
                let entry = Entry { port: PortId::new(stamp % PortId::CAPACITY).unwrap(), kind };
                let record = Record::new(entry, stamp);
                assert_eq!(record.entry(), entry);
                assert_eq!(record.stamp(), kind.ages().then_some(stamp));
                assert!(!record.is_free() && record.meta < 1 << 14);
            }
        }
    }
}
