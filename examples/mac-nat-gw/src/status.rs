//! Counters and bindings for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use mac_nat::{Binding, Counters};
use serde::{Deserialize, Serialize};

use crate::gateway::Gateway;

/// The state of a gateway at one time.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Status {
    /// Since the start, in seconds.
    pub uptime_s: f64,
    /// Sums by name.
    pub counters: BTreeMap<String, u64>,
    /// Frames dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// The bindings, by address.
    pub bindings: Vec<Binding>,
}

impl Status {
    /// The state of `gateway` at `now`.
    pub fn of(gateway: &Gateway, now: Duration) -> Self {
        let nat = gateway.nat();
        let mut bindings: Vec<Binding> = nat.bindings(now).collect();
        bindings.sort_by_key(|binding| (binding.vlans, binding.net));
        let mut counters = named(nat.counters());
        counters.insert("stopped_by_guard".into(), gateway.guarded());
        let dropped = nat.counters().dropped.iter().map(|(reason, count)| (reason.name().into(), count));
        Self { uptime_s: now.as_secs_f64(), counters, dropped: dropped.collect(), bindings }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "up {:.0} s", self.uptime_s)?;
        for (name, count) in self.counters.iter().filter(|(_, count)| **count > 0) {
            writeln!(f, "{name:<20} {count}")?;
        }
        for (reason, count) in &self.dropped {
            writeln!(f, "dropped: {reason:<11} {count}")?;
        }
        for binding in &self.bindings {
            let Binding { net, vlans, port, inside, wire, .. } = binding;
            write!(f, "{net} ({vlans}) port {port}: {inside} seen as {wire}")?;
            match binding.expires_in {
                Some(left) => writeln!(f, ", learned, {} s left", left.as_secs())?,
                None => writeln!(f, ", static")?,
            }
        }
        Ok(())
    }
}

/// The counters by name.
fn named(counters: &Counters) -> BTreeMap<String, u64> {
    [
        ("frames", counters.frames),
        ("to_uplink", counters.to_uplink),
        ("to_host", counters.to_host),
        ("to_inside", counters.to_inside),
        ("flooded", counters.flooded),
        ("held", counters.held),
        ("dropped", counters.dropped.total()),
        ("learned", counters.learned),
        ("moved", counters.moved),
        ("expired", counters.expired),
        ("refused_by_port", counters.refused_by_port),
        ("refused_by_table", counters.refused_by_table),
        ("refused_pending", counters.refused_pending),
        ("asked", counters.asked),
        ("ask_suppressed", counters.ask_suppressed),
        ("refreshes", counters.refreshes),
        ("announced", counters.announced),
        ("conflict_copies", counters.conflict_copies),
        ("released", counters.released),
        ("hold_lost", counters.hold_lost),
        ("transmit_lost", counters.transmit_lost),
        ("events_lost", counters.events_lost),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}
