//! What the engine does, seen from outside.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests may panic, helpers too"
)]
#![allow(unused_must_use, reason = "many frames are sent for what they leave behind")]

mod captures;
mod claims;
mod corner_cases;
mod egress;
mod frames;
mod guard;
mod ingress;
mod invariants;
mod lab;
mod manage;
mod regressions;
mod silence;
