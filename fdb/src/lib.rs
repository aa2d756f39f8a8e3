#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod admit;
mod clock;
mod config;
mod counters;
mod entry;
mod error;
mod events;
mod filtering;
mod flush;
mod guard;
mod key;
mod permutation;
#[cfg(all(feature = "alloc", feature = "serde"))]
mod snapshot;
pub mod store;
pub mod storm;
mod sweep;
mod table;

pub use clock::Ageing;
pub use config::{Config, WhenFull};
pub use counters::Counters;
pub use entry::{Entry, Kind, Row};
pub use error::{AgeingTooLong, Refused};
pub use events::Event;
pub use filtering::{FilteringError, FilteringTable, PortMap};
pub use flush::FlushScope;
pub use guard::MoveGuard;
pub use key::Key;
#[cfg(all(feature = "alloc", feature = "serde"))]
pub use snapshot::{RestoreError, SavedEntry, Snapshot};
#[cfg(feature = "alloc")]
pub use store::HashTable;
pub use store::{ChipIndex, DirectCam, IndexFn, SeededIndex, SetAssoc, Store};
pub use table::{Fdb, Learned};

pub use macaddr::MacAddr6;
pub use vlan_table::{Fid, PortId, PortMask};
