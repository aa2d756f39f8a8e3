//! JSON values without their text: what a message carries beyond the fields this crate knows.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};

/// A JSON object. Keys are unique and their order means nothing (RFC 8259, 4).
pub type Object = BTreeMap<String, Value>;

/// Any JSON value; equal values have equal meaning, and floats compare by their bits.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer that fits 64 bits with a sign.
    Int(i64),
    /// An integer above [`i64::MAX`].
    Big(u64),
    /// Any other number.
    Float(Float),
    /// Text.
    String(Box<str>),
    /// An array, in order.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

/// A finite 64-bit float as its bits, so that values have a total order.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Float(pub u64);

impl Value {
    /// The name of the type, for error messages: `"null"`, `"boolean"`, `"number"` and so on.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) | Self::Big(_) | Self::Float(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items of an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members of an object.
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The member `key` of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Int(number.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl From<Object> for Value {
    fn from(members: Object) -> Self {
        Self::Object(members)
    }
}

/// How an object differs from what the model alone would write: members to put in place, and
/// (`None`) members to leave out. Empty for messages without unknown keys.
pub type Patch = BTreeMap<String, Option<Value>>;

/// The patch that turns `written` into `source`; `same` decides whether two values of a key agree.
#[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "only readers compare"))]
pub(crate) fn diff(source: &Object, written: &Object, same: impl Fn(&str, &Value, &Value) -> bool) -> Patch {
    let differing = source
        .iter()
        .filter(|(key, value)| written.get(key.as_str()).is_none_or(|ours| !same(key, ours, value)));
    let missing = written.keys().filter(|key| !source.contains_key(key.as_str()));
    let put = differing.map(|(key, value)| (key.clone(), Some(value.clone())));
    put.chain(missing.map(|key| (key.clone(), None))).collect()
}

/// Applies a patch made by [`diff`].
pub(crate) fn apply(object: &mut Object, patch: &Patch) {
    for (key, value) in patch {
        match value {
            Some(value) => object.insert(key.clone(), value.clone()),
            None => object.remove(key),
        };
    }
}
