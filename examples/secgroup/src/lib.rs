//! The commands of `secgroup` as functions; `main.rs` parses arguments and turns errors into exit
//! codes.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc, reason = "a program lives in std")]
#![allow(clippy::missing_errors_doc, reason = "errors are text for people; `BadInput` marks bad input")]

pub mod bench;
pub mod check;
pub mod commands;
pub mod diff;
pub mod files;
pub mod inspect;
pub mod render;
mod reply;
