//! The scenarios that come with the program.

use std::path::Path;

/// The scenario that runs when none is named.
pub const DEFAULT: &str = "three-switches";

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        /// Their names; each is a file in `examples/lab/scenarios`.
        pub const NAMES: &[&str] = &[$($name),*];

        /// The text of the scenario of this name.
        pub(super) fn text(name: &Path) -> Option<&'static str> {
            match name.to_str()? {
                $($name => Some(include_str!(concat!("../../scenarios/", $name, ".toml"))),)*
                _ => None,
            }
        }
    };
}

library![
    "three-switches",
    "loop",
    "two-loops",
    "hub",
    "inter-vlan",
    "same-mac",
    "storm",
    "uplinks",
    "flapping",
];
