//! A level-triggered layer-2 agent for Open vSwitch and the simulated switch.

fn main() {}
