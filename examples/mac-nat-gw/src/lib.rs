//! The parts of `mac-nat-gw`: everything but the command line, so that tests call what users run.

pub mod apply;
pub mod config;
pub mod gateway;
pub mod guest;
pub mod lint;
pub mod neutron;
pub mod nfnetlink;
pub mod replay;
pub mod run;
pub mod state;
pub mod status;
pub mod wire;

pub use config::Settings;
pub use lab::error::{BadInput, EXIT_BAD_INPUT};
