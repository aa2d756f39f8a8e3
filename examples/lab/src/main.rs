//! Simulator for switches: scenarios in virtual time, capture replay, live between interfaces.

fn main() {}
