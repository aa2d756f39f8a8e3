//! JSON text: parsing within limits, and writing as Python's `json.dumps` does.

use alloc::{format, string::String, vec::Vec};
use core::{
    cell::Cell,
    fmt::{self, Write},
};

use serde::de::DeserializeSeed;

use super::any_format::Nested;
use crate::{Limits, Message, ReadError, ReadErrorKind, Value, dictionary, value::Float};

/// Reads any message of the security-group RPC from JSON text.
///
/// # Errors
/// [`ReadError`]: not JSON (with line and column), nested too deeply, or not what Neutron sends (with
/// the path of the value).
pub fn read_json(text: &[u8], limits: &Limits) -> Result<Message, ReadError> {
    let mut value = read_value(text, limits)?;
    // The envelope holds JSON as text: open it, so that one reader serves both.
    if let Value::Object(object) = &mut value
        && let Some(Value::String(inner)) = object.get("oslo.message")
    {
        let inner = read_value(inner.as_bytes(), limits).map_err(|e| e.under("oslo.message"))?;
        object.insert("oslo.message".into(), inner);
    }
    Message::from_value(&value)
}

/// Writes a message as JSON text, with the separators of Python's `json.dumps`.
pub fn to_json(message: &Message) -> String {
    let mut value = message.to_value();
    if let (Message::Envelope(_), Value::Object(object)) = (message, &mut value) {
        let text = object.get("oslo.message").map(write_value);
        object.extend(text.map(|text| ("oslo.message".into(), text.into())));
    }
    write_value(&value)
}

/// Parses JSON text.
///
/// # Errors
/// [`ReadErrorKind::Syntax`] and [`ReadErrorKind::TooDeep`].
pub fn read_value(text: &[u8], limits: &Limits) -> Result<Value, ReadError> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let too_deep = Cell::new(false);
    // serde_json itself stops at 128.
    let seed = Nested { left: limits.depth.min(127), too_deep: &too_deep };
    let value = seed.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    value.map_err(|error| {
        if too_deep.get() {
            return ReadErrorKind::TooDeep { limit: limits.depth.min(127) }.into();
        }
        let message = format!("{error}");
        let message = message.split(" at line ").next().unwrap_or_default().into();
        ReadErrorKind::Syntax { message, line: error.line(), column: error.column() }.into()
    })
}

/// Writes JSON text with `", "` and `": "` and plain ASCII, as Neutron does.
pub fn write_value(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => push(out, format_args!("{number}")),
        Value::Big(number) => push(out, format_args!("{number}")),
        // `Debug` keeps the point of `1.0`, so that a float stays one.
        Value::Float(Float(bits)) => push(out, format_args!("{:?}", f64::from_bits(*bits))),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            // Known keys in Neutron's order, then the others by name.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_cached_key(|(key, _)| dictionary::number(key).unwrap_or(usize::MAX));
            out.push('{');
            for (at, (key, item)) in sorted.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_text(out, key);
                out.push_str(": ");
                write(out, item);
            }
            out.push('}');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(char),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    push(out, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

fn push(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = out.write_fmt(text);
}
