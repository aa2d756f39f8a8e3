//! Security groups and the wiring of ports from servers to agents over a message bus, and from Neutron.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc, reason = "a program lives in std")]

pub mod agent;
pub mod backoff;
pub mod bench;
pub mod bridge;
pub mod cloud;
pub mod commands;
pub mod credentials;
pub mod demo;
pub mod details;
mod frame;
pub mod hub;
pub mod input;
pub mod ledger;
pub mod neutron;
pub mod node;
pub mod oslo;
pub mod output;
pub mod rabbit;
pub mod server;
pub mod soak;
pub mod state;
pub mod transport;
pub mod wire_ledger;
pub mod wiring;
