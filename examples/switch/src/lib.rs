#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod counters;
mod database;
mod decision;
mod guard;
mod presets;
mod reserved;
mod rules;
mod switch;

pub use counters::{Counters, PortCounters};
pub use database::Database;
pub use decision::{Copies, Copy, Decision, Dropped, Filtered, Outcome};
pub use guard::{Guard, NoGuard};
pub use reserved::ReservedAddresses;
pub use rules::{Classified, Rules};
pub use switch::Switch;
pub use {fdb, vlan_table};
