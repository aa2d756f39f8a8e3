//! A five-port switch as firmware would drive it: the chip's VLAN table, its address table, its loop
//! detector, and RRCP to reach its registers over the wire. No allocator, no operating system.
//!
//! The registers are the truth: what arrives over RRCP as a PHY access is written into the register
//! image, and the VLAN table is compiled anew from it.
#![no_std]

mod registers;
mod switch;

pub use registers::PhyAccess;
pub use switch::{FRAME_LEN, Fate, PORTS, Switch};
