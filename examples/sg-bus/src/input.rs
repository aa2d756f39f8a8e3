//! What a user got wrong, apart from what a system did: exit code 2.

use std::fmt;

/// The input is at fault, not the system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadInput(pub String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}
