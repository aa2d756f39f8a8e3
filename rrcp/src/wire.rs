//! The codec: every kind of frame behind EtherType 0x8899, untagged or behind VLAN tags.
//!
//! [`FrameView::new`] checks lengths once; after it nothing can fail. [`FrameView::message`] is
//! the meaning as a value, and [`Frame`] is that value with its addresses, ready to be emitted.
//!
//! | first byte | kind | from | source |
//! |---|---|---|---|
//! | 01 | [`Rrcp`]: hello, get, set and the replies | 18 to 32 bytes | RTL8316BP r1.2, 8.20; RTL8326 r3.1, 7.22 |
//! | 02 | [`Rep`]: echo | 15 | RTL8316BP r1.2, 8.22; RTL8326 r3.1, 7.24 |
//! | 03 | [`Probe::Classic`] | 15 | RTL8316BP r1.2, 8.21; RTL8305SB, 7.3.13 |
//! | 23 | [`Probe::Short`], [`Probe::Rldp`] | 15, 28 | tcpdump `print-realtek.c`; RTL8367C SDK `rldp.h` |
//! | 25 | [`Probe::Vector`] | 37 | frames of a TP-Link switch in nDPI `teams.pcap`, `zoom.pcap` |
//! | 04, 9x, Ax | [`CpuTag`]: not a message | 22, 18, 18 | Linux `net/dsa/tag_rtl8_4.c`, `tag_rtl4_a.c` |
//! | other | [`Unknown`]: kept, to be forwarded like any broadcast | 15 | |
//!
//! **Byte order.** The authentication key is big-endian; register address, register data, chip
//! id and vendor id are little-endian, as in the tools that work on real chips (OpenRRCP, the
//! GT873M firmware, tcpdump). Wireshark's dissector and the Go package read them the other way.
//!
//! Frames start at the destination address and end before the FCS. What follows the last field
//! is padding or an FCS, is ignored, and is zero in what we emit.

mod cpu_tag;
mod display;
mod frame;
mod message;
mod probe;
mod rep;
mod rrcp;

pub use cpu_tag::{CpuTag, CpuTagFormat};
pub use frame::{BROADCAST, Frame, FrameView, MIN_LEN};
pub use message::{Message, Unknown};
pub use probe::{Probe, Rldp, RldpRandom, Ttl, Vector, VectorId};
pub use rep::Rep;
pub use rrcp::{Access, AuthKey, ChipId, Cookie, HelloReply, Op, RegisterAddress, Rrcp, VendorId};
