//! Encode, decode, expand, inspect and measure Neutron security-group messages.

fn main() {}
