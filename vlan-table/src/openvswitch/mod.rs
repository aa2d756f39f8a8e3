//! The VLAN rules of Open vSwitch, as its `NORMAL` action applies them.
//!
//! Port modes, names and every corner follow `ofproto-dpif-xlate.c` and `odp-util.c` of Open
//! vSwitch 3.1, including those where it leaves IEEE 802.1Q: VLAN 0 and VLAN 4095 are ordinary
//! VLANs, priority tags pass between trunks, both TPIDs count the same, unicast to a known station
//! is not checked against the members of its VLAN, and the DEI of a tag survives only as long as
//! no copy before it needed other tags. [`dot1q`](crate::dot1q) is the bridge of the standard.

#[cfg(feature = "alloc")]
mod bridge;
mod config;
#[cfg(feature = "alloc")]
mod stack;

#[cfg(feature = "alloc")]
pub use bridge::{Bridge, Classified, Copies};
pub use config::{PortConfig, PriorityTags, UnknownName, VlanMode};

pub use crate::{TagEdit, VidSet};
