//! Talk to RRCP switches: scan, read, set, watch for loops, decode captures.

fn main() {}
