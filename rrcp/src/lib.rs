#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod client;
pub mod detector;
pub mod device;
mod error;
pub mod registers;
pub mod wire;

pub use detector::{
    Action, ClassicDetector, Config, Counters, Disposition, Event, Hint, Loop, LoopDetector, LoopKind,
    LoopSignal, Neighbour, PROBE_LEN, PortConfig, PortStatus, ProbeKey, Role, Stake, StrictProbe, Timing,
    Transmit, VlanError,
};
pub use error::{BufferTooSmall, ParseError};
pub use macaddr::MacAddr6;
pub use vlan_table::{EtherType, PortId, PortMask, Tag, VlanId};
pub use wire::{Frame, FrameView, Message, Probe};
