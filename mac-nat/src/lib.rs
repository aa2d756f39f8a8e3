#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod binding;
pub mod checksum;
mod config;
mod engine;
mod event;
pub mod export;
mod frame;
mod guard;
#[cfg(feature = "serde")]
mod serde_form;
mod table;
mod verdict;
mod vlans;

pub use binding::{Binding, Origin};
pub use config::{
    ClientId, Config, ConfigError, Host, HostAddress, Limits, Miss, Mode, OutsideClaim, Policy, Port,
    Takeover, Timers, Treatment,
};
pub use engine::{Checksums, MacNat, Recipients, Restored, Transmit};
pub use event::{Event, Owner};
pub use guard::{Guard, Violation};
pub use ipnet::IpNet;
pub use macaddr::MacAddr6;
pub use verdict::{Counters, DropReason, Dropped, Side, Verdict};
pub use vlan_table::{PortId, VlanId};
pub use vlans::{Vlans, VlansError};
