//! `get`, `set`, `dump`: registers as numbers, with their names.

use std::fmt;

use anyhow::Result;
use rrcp::client::Write;
use rrcp::wire::RegisterAddress;
use serde::Serialize;

use crate::remote::Remote;

/// A register and its value.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Value {
    /// Its address in hexadecimal.
    pub register: String,
    /// What it is called, if that is known.
    pub name: Option<&'static str>,
    /// Its value.
    pub data: u32,
    #[serde(skip)]
    wide: bool,
}

impl Value {
    fn new(register: RegisterAddress, data: u32) -> Self {
        Self { register: register.to_string(), name: register.name(), data, wide: register.is_wide() }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { register, data, .. } = self;
        let name = self.name.unwrap_or("?");
        if self.wide {
            writeln!(f, "{register} {name:<22} {data:#010x} {data}")
        } else {
            writeln!(f, "{register} {name:<22} {data:#06x} {data}")
        }
    }
}

/// Reads a register.
///
/// # Errors
/// If the switch does not answer.
pub fn get(switch: &mut impl Remote, register: RegisterAddress) -> Result<Value> {
    Ok(Value::new(register, switch.read(register)?))
}

/// Writes the bits of `mask` in a register and leaves the others as they are; returns what it reads
/// then, as far as it can be read.
///
/// # Errors
/// If that is dangerous, if the switch does not answer or keeps another value.
pub fn set(
    switch: &mut impl Remote,
    register: RegisterAddress,
    data: u32,
    mask: Option<u32>,
) -> Result<Option<Value>> {
    let all = if register.is_wide() { u32::MAX } else { 0xFFFF };
    let mask = mask.unwrap_or(all) & all;
    let others = if mask == all { 0 } else { switch.read(register)? & !mask };
    let write = Write { register, data: data & mask | others, mask };
    Ok(switch.write(write)?.map(|data| Value::new(register, data)))
}

/// The registers that have a name and can be read: what `dump` reads.
pub fn readable() -> impl ExactSizeIterator<Item = RegisterAddress> {
    let named = (1..=u16::MAX).map(RegisterAddress).filter(|register| register.name().is_some());
    named.collect::<Vec<_>>().into_iter()
}
