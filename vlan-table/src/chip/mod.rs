//! The VLAN table of Realtek's small switch chips, exactly: sixteen entries, port indices and
//! tag operations that act where a frame leaves.
//!
//! These chips are no IEEE 802.1Q bridges. Three things differ and matter:
//!
//! - An entry has a VID and a member mask, no valid bit and no untagged set. The *tag operation* is
//!   a property of the egress port alone, whatever the VLAN ([`TagOp`]).
//! - A port has no PVID register: its 4-bit *index* names an entry, and that entry's VID is what
//!   untagged frames get. A tag that is inserted carries the **ingress** port's PVID.
//! - The address table is keyed by MAC address alone; every [`Classified`](crate::Classified) has
//!   [`Fid::SHARED`](crate::Fid::SHARED).
//!
//! The RTL8306E, which gave every entry an untagged set as well (Realtek `rtl8306e_asicdrv.h`), is not among
//! the models: in which registers it stands is not known here. [`dot1q`](crate::dot1q) has untagged sets.
//!
//! ```
//! use vlan_table::chip::{Config, Entry, Model, Table, TagOp};
//! use vlan_table::{Header, PortId, TagAction};
//!
//! // Ports 0 and 1 are VLAN 10, port 4 is the tagged uplink.
//! let [p0, p1, p4] = [0, 1, 4].map(|port| PortId::new(port).unwrap());
//! let mut config = Config::new(Model::RTL8305SC);
//! config.vlan_enabled = true;
//! config.tag_aware = true;
//! config.entries[0] = Entry { vid: 10, members: [p0, p1, p4].into_iter().collect() };
//! config.ports[0].index = 0;
//! config.ports[1].index = 0;
//! config.ports[0].tag_op = TagOp::Remove;
//! config.ports[1].tag_op = TagOp::Remove;
//! config.ports[4].tag_op = TagOp::Insert;
//! let table = Table::new(config)?;
//!
//! let untagged = Header::read(&[0xFF; 60])?;
//! let classified = table.classify(p0, &untagged)?;
//! assert_eq!(classified.members, [p1, p4].into_iter().collect());
//! assert_eq!(table.egress(&classified, p1), TagAction::Keep);
//! assert!(matches!(table.egress(&classified, p4), TagAction::Push(tag) if tag.vid.raw() == 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod dump;
pub mod registers;
mod table;

pub use config::{
    Config, ConfigError, Entry, Model, NonPvidScope, PolicySet, PortConfig, TagOp, UnawareTags, UnknownVid,
};
pub use dump::{Dump, DumpError};
pub use table::Table;

/// What a chip fills a frame up with that became too short when its tag was removed (RTL8305SB
/// datasheet, page 47).
pub const PADDING: u8 = 0x20;
