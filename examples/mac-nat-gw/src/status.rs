//! Counters and bindings for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use mac_nat::Binding;
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
        let named = nat.counters().iter().map(|(name, count)| (name.to_owned(), count));
        let mut counters: BTreeMap<_, _> = named.collect();
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
            writeln!(f, "{binding}")?;
        }
        Ok(())
    }
}
