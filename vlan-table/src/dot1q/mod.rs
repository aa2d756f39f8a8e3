//! A VLAN bridge by the book: IEEE 802.1Q classification, ingress filter and egress tagging.
//!
//! [`Bridge`] holds up to 4094 VLANs with a member and an untagged set each, and per port a PVID,
//! acceptable frame types, an ingress filter, a spanning tree state and the type of tag that the
//! port recognises. A tag of another type is payload (6.9), which is all that provider bridging
//! needs: a port that recognises service tags takes a customer's tagged frame as untagged and puts
//! its own tag around it.
//!
//! ```
//! use vlan_table::dot1q::{Bridge, Membership, PortConfig};
//! use vlan_table::{Header, PortId, PortMask, TagAction, VlanId};
//!
//! let [p0, p1, p2] = [0, 1, 2].map(|port| PortId::new(port).unwrap());
//! let ten = VlanId::new(10).unwrap();
//! let mut bridge = Bridge::<16>::new(PortMask::first(3)); // room for sixteen VLANs
//! bridge.join(ten, p0, Membership::Untagged)?;
//! bridge.join(ten, p2, Membership::Tagged)?;
//! bridge.set_port(p0, PortConfig { pvid: Some(ten), ..PortConfig::default() })?;
//!
//! let untagged = Header::read(&[0xFF; 60])?;
//! let classified = bridge.classify(p0, &untagged)?;
//! assert_eq!(classified.vlan(), Some(ten));
//! assert_eq!(classified.members, PortMask::EMPTY.with(p2));
//! assert!(matches!(bridge.egress(&classified, p2), TagAction::Push(tag) if tag.vlan() == Some(ten)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Section and table numbers are those of IEEE 802.1Q-2018.

mod bridge;
mod config;
mod manage;
mod modes;

pub use bridge::Bridge;
pub use config::{AcceptableFrames, ConfigError, Flush, Membership, PortConfig, PortState, TagType, Vlan};
