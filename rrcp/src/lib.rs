#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod error;
pub mod registers;
pub mod wire;

pub use error::{BufferTooSmall, ParseError};
pub use macaddr::MacAddr6;
pub use vlan_table::{EtherType, PortId, PortMask, Tag, VlanId};
pub use wire::{Frame, FrameView, Message, Probe};
