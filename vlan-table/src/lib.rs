#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod chip;
pub mod dot1q;
mod edit;
mod error;
mod ether_type;
mod fid;
pub mod frame;
pub mod openvswitch;
mod port;
mod reserved;
#[cfg(feature = "serde")]
mod serialize;
mod tag;
mod verdict;
mod vid_set;
mod vlan;

pub use edit::TagEdit;
pub use error::{FrameError, NoRoom, PortOutOfRange, VlanIdOutOfRange};
pub use ether_type::EtherType;
pub use fid::Fid;
pub use frame::{FrameMut, FrameView, Header};
pub use port::{PortId, PortMask};
pub use reserved::ReservedAddresses;
pub use tag::{Pcp, Tag, TagVid};
pub use verdict::{Classified, DropReason, TagAction};
pub use vid_set::{ParseVidSetError, VidSet};
pub use vlan::VlanId;
