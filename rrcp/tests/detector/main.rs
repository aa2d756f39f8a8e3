//! The strict loop detector against simulated wires, in virtual time.

// Helpers of tests may panic, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod corner_cases;
mod latch;
mod network;
mod patience;
mod sim;
