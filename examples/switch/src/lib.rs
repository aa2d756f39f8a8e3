#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod configure;
mod counters;
mod database;
mod decision;
mod guard;
mod presets;
pub mod registers;
mod rules;
mod stages;
mod storm;
mod switch;

pub use configure::ConfigError;
pub use counters::{Counters, PortCounters};
pub use database::Database;
pub use decision::{Copies, Copy, Decision, Dropped, Filtered, Outcome};
pub use guard::{Guard, NoGuard, Transmit};
pub use rules::{Classified, Rules};
pub use storm::Storm;
pub use switch::Switch;
pub use {fdb, vlan_table};
