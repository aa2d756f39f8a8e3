//! Security-group information over a message bus: server, agent, bench.

fn main() {}
