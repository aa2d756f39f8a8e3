//! Simulator for Ethernet switches.
//!
//! - [`scenario`]: switches, hosts and cables in virtual time, told as a timeline;
//! - [`replay`]: captures through one switch, and what left each port into captures;
//! - [`live`]: the same switch between network interfaces;
//! - [`loops`]: loop detectors in random networks, judged against the wiring.
//!
//! The switch itself is the `switch` library, which does no I/O; [`device`] gives its ports names.
//! Input and output is in `main`, and the rest is functions that tests call.

pub mod capture;
pub mod cli;
pub mod config;
pub mod detector;
pub mod device;
mod document;
pub mod error;
#[cfg(target_os = "linux")]
pub mod live;
pub mod loops;
mod mac;
pub mod output;
pub mod replay;
pub mod report;
pub mod scenario;
mod seconds;
pub mod signals;
pub mod sim;
pub mod timeline;
