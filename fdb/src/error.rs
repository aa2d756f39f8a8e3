//! Why something was not done, with the numbers a person needs.

use core::time::Duration;

use vlan_table::{Fid, PortId};

use crate::Key;

/// Why a station was not learned or an entry not made. The frame itself may still be forwarded
/// (IEEE 802.1Q-2018, 8.7; RFC 4188, `dot1dTpLearnedEntryDiscards`).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A group address or all zeros: no station has it (IEEE 802.1Q-2018, 8.7).
    #[error("{key} is no station's address")]
    NotAStation {
        /// The key as given.
        key: Key,
    },
    /// The store has no such port.
    #[error("port {port} is not in 0..{ports}")]
    PortOutOfRange {
        /// The port as given.
        port: PortId,
        /// How many ports the store tells apart.
        ports: u16,
    },
    /// The store has no such FID.
    #[error("FID {fid} is not in 0..{fids}")]
    FidOutOfRange {
        /// The FID as given.
        fid: Fid,
        /// How many FIDs the store tells apart.
        fids: u16,
    },
    /// The port has as many entries as it may.
    #[error("port {port} has its {limit} entries")]
    PortQuota {
        /// The port of the frame.
        port: PortId,
        /// [`Config::port_quota`](crate::Config::port_quota).
        limit: u32,
    },
    /// The FID has as many entries as it may.
    #[error("FID {fid} has its {limit} entries")]
    FidQuota {
        /// The FID of the frame.
        fid: Fid,
        /// [`Config::fid_quota`](crate::Config::fid_quota).
        limit: u32,
    },
    /// All places are taken, and the policy evicts nobody for this station.
    #[error("all {limit} entries are in use")]
    Full {
        /// Entries that the database may hold.
        limit: u32,
    },
    /// The places where this address may live are taken, and the policy evicts nobody there.
    #[error("the {places} places for {key} are in use")]
    SetFull {
        /// The key as given.
        key: Key,
        /// How many places there are for it.
        places: u32,
    },
    /// The station changed ports too often and stays where it is for a while.
    #[error("the station moves too often and is held until {until:?}")]
    Held {
        /// When it may move again, on the caller's time line.
        until: Duration,
    },
}

/// An ageing time longer than the database can count.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an ageing time of {asked:?} is beyond {longest:?}, 1024 ticks of this database")]
pub struct AgeingTooLong {
    /// The time as given.
    pub asked: Duration,
    /// The longest time that can be set.
    pub longest: Duration,
}
