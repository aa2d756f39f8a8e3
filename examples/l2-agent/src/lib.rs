//! A level-triggered layer-2 agent: from a node's desired state to bridges, VLANs and flows.
//!
//! [`desired`] and [`observed`] are plain data, [`plan`](plan::plan) is a pure function between
//! them; a backend observes and applies.

pub mod agent;
pub mod backend;
pub mod bus;
pub mod desired;
mod filter;
pub mod flow;
pub mod local_vlan;
pub mod mapping;
pub mod observed;
pub mod ovs;
pub mod plan;
pub mod sim;
pub mod test_port;
pub mod translation;
pub mod watch;
