#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod codec;
mod device;
mod dictionary;
mod error;
mod expand;
mod id;
mod info;
mod legacy;
mod limits;
mod list;
mod members;
mod message;
mod neutron;
mod packet;
mod protocol;
mod rule;
pub mod sync;
mod value;

pub use codec::{DecodeError, DeviceView, FORMAT_VERSION, GroupView, Rules, View};
pub use device::{AddressPair, Device, IpSpec, link_local};
pub use error::{ReadError, ReadErrorKind};
pub use expand::{ExpandedDevice, SpoofPair, anti_spoof};
pub use id::{Uuid, UuidError};
pub use info::{CallVersion, Group, Info, SourceGroups};
pub use legacy::{Legacy, LegacyDevice};
pub use limits::Limits;
pub use list::List;
pub use members::{Member, MemberSet, Members};
pub use message::{Envelope, Message, Notice, Payload, Push, Request, VersionedObject};
pub use neutron::Resource;
#[cfg(feature = "json")]
pub use neutron::{read_json, read_value, to_json, write_value};
pub use packet::{Packet, Verdict};
pub use protocol::{Protocol, UnknownProtocol};
pub use rule::{Direction, Family, PortRange, Remote, Rule};
pub use value::{Float, Object, Patch, Value};

pub use ipnet;
pub use macaddr;
