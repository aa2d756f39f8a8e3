//! Times as seconds: numbers in JSON, text in tables.

use core::time::Duration;

use serde::Serializer;

/// For `#[serde(with)]`: seconds as a number.
///
/// # Errors
/// What the serializer says.
pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

/// For `#[serde(serialize_with)]`: seconds as a number, or null.
///
/// # Errors
/// What the serializer says.
pub(crate) fn some<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, to),
        None => to.serialize_none(),
    }
}
