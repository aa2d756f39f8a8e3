//! What happened so far, in numbers.

/// Counters of a database since it was made.
///
/// Entries come in by `learned` and `inserted` and go out by `aged`, `flushed`, `evicted` and `removed`,
/// so at any time [`Counters::stored`] is the number of entries stored. Refreshes are not counted: they
/// are the hot path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Counters {
    /// New stations learned from frames.
    pub learned: u64,
    /// New entries made by management or a control plane.
    pub inserted: u64,
    /// Entries that went because their station was silent.
    pub aged: u64,
    /// Entries that went because of a flush.
    pub flushed: u64,
    /// Entries that went to make room for another.
    pub evicted: u64,
    /// Entries that management took away.
    pub removed: u64,
    /// Stations that changed ports.
    pub moved: u64,
    /// Frames from a station on another port than its bound entry says.
    pub roamed: u64,
    /// Sources that were no station's address, or beyond the store's ports or FIDs.
    pub invalid: u64,
    /// New stations refused by the quota of their port.
    pub over_port_quota: u64,
    /// New stations refused by the quota of their FID.
    pub over_fid_quota: u64,
    /// New stations refused because there was no place.
    pub full: u64,
    /// Moves refused because the station moves too often.
    pub held: u64,
}

impl Counters {
    /// Entries that came in and did not go out.
    pub const fn stored(&self) -> u64 {
        (self.learned + self.inserted) - (self.aged + self.flushed + self.evicted + self.removed)
    }
}
