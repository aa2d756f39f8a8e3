#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod error;
mod ether_type;
pub mod frame;
mod port;
mod tag;
mod vlan;

pub use error::{FrameError, NoRoom, PortOutOfRange, VlanIdOutOfRange};
pub use ether_type::EtherType;
pub use frame::{FrameMut, FrameView};
pub use port::{PortId, PortMask};
pub use tag::{Pcp, Tag, TagVid};
pub use vlan::VlanId;
