//! Neutron's own shape of the messages, as JSON values.

#[cfg(feature = "serde")]
mod any_format;
mod push;
mod read;
mod write;

#[cfg(feature = "json")]
mod text;

#[cfg(feature = "json")]
pub use text::{read_json, read_value, to_json, write_value};

pub use push::Resource;
pub(crate) use read::owner;
pub(crate) use write::mac_text;

use crate::Value;

/// Lists of these keys are sets (Neutron builds them from sets and unordered queries).
const SET_KEYS: [&str; 8] = [
    "fixed_ips",
    "allowed_address_pairs",
    "security_groups",
    "security_group_source_groups",
    "security_group_remote_address_groups",
    "security_group_rules",
    "IPv4",
    "IPv6",
];

/// Equality of two values of `key`, blind to the order of what is a set.
fn same(key: &str, a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) if SET_KEYS.contains(&key) => {
            let (mut a, mut b): (alloc::vec::Vec<_>, alloc::vec::Vec<_>) =
                (a.iter().collect(), b.iter().collect());
            a.sort_unstable();
            b.sort_unstable();
            a == b
        }
        _ => a == b,
    }
}
