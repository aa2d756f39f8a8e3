//! What a database is told when it is made.

use crate::{Ageing, MoveGuard};

/// Limits and policies of a database. Everything not named is off:
///
/// ```
/// use core::time::Duration;
/// use fdb::{Ageing, Config, WhenFull};
///
/// let config = Config {
///     ageing: Ageing::after(Duration::from_secs(120)),
///     when_full: WhenFull::Fair,
///     port_quota: Some(1024),
///     ..Config::DEFAULT
/// };
/// assert_eq!(config.fid_quota, None);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Config {
    /// How long silent stations are remembered.
    pub ageing: Ageing,
    /// What a new station may do to others when there is no place for it.
    pub when_full: WhenFull,
    /// Most entries in all; at most (and if `None`, just) what the store can hold.
    pub total: Option<u32>,
    /// Most learned entries per port. Beyond it nothing new is learned there.
    pub port_quota: Option<u32>,
    /// Most learned entries per FID. Beyond it nothing new is learned there.
    pub fid_quota: Option<u32>,
    /// The address of all zeros counts as a station's, as in Open vSwitch; Linux and VPP refuse it.
    pub zero_is_station: bool,
    /// Holds stations that change ports too often.
    pub move_guard: Option<MoveGuard>,
}

impl Config {
    /// 300 s, no limit below that of the store, nobody is evicted (IEEE 802.1Q-2018, 8.8.3; as Linux and
    /// VPP do).
    pub const DEFAULT: Self = Self {
        ageing: Ageing::DEFAULT,
        when_full: WhenFull::Refuse,
        total: None,
        port_quota: None,
        fid_quota: None,
        zero_is_station: false,
        move_guard: None,
    };
    /// As Realtek's chips do without their LRU option: 200 to 300 s, nobody is evicted.
    pub const REALTEK: Self = Self { ageing: Ageing::REALTEK, ..Self::DEFAULT };
}

/// What a new station may do to others when there is no place for it. No policy touches an entry that
/// is not dynamic or locked, and expired entries always go first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum WhenFull {
    /// Nothing: it is not learned (Linux, VPP; the standard's answer, IEEE 802.1Q-2018, 8.7).
    #[default]
    Refuse,
    /// It replaces the station that was silent for longest among those where it may live
    /// (RTL8306 with its LRU bit, PHY2.22 bit 8).
    OldestInSet,
    /// It replaces the longest silent station, near its own place, of a port that has more than its share (the
    /// capacity over the number of ports with entries) and more than its own port. If there is none, its own
    /// port gives: the longest silent near, else the last that was learned there. So a port that keeps to its
    /// share never loses an entry, and one that floods addresses loses only its own. (The aim is that of
    /// Open vSwitch's `mac-learning.c`; there statics are not safe.)
    Fair,
}
