//! A set of flows that is made of parts, so that one can be exchanged without a look at the others.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::flow::{Flow, differences};

/// Flows by part, and all together.
#[derive(Debug)]
pub(super) struct Parts<K> {
    parts: BTreeMap<K, Vec<Flow>>,
    /// Every flow, with the number of parts that have it.
    all: BTreeMap<Flow, usize>,
}

impl<K: Ord> Default for Parts<K> {
    fn default() -> Self {
        Self { parts: BTreeMap::new(), all: BTreeMap::new() }
    }
}

impl<K: Copy + Ord> Parts<K> {
    /// Makes these the flows of a part. O(flows of the part), and O(log n) for each that comes or
    /// goes; one that stays is the same copy as before.
    pub(super) fn set(&mut self, part: K, mut flows: Vec<Flow>) {
        flows.sort_unstable();
        flows.dedup();
        let known = self.parts.entry(part).or_default();
        let (gone, new) = differences(&*known, &flows);
        for flow in &gone {
            if let Entry::Occupied(mut owners) = self.all.entry(flow.clone()) {
                *owners.get_mut() -= 1;
                if *owners.get() == 0 {
                    owners.remove();
                }
            }
        }
        for flow in &new {
            *self.all.entry(flow.clone()).or_default() += 1;
        }
        known.retain(|flow| gone.binary_search(flow).is_err());
        known.extend(new);
        known.sort_unstable();
    }

    /// Takes out the parts for which `keep` says no.
    pub(super) fn retain(&mut self, keep: impl Fn(K) -> bool) {
        let parts: Vec<_> = self.parts.keys().copied().filter(|part| !keep(*part)).collect();
        for part in parts {
            self.set(part, Vec::new());
            self.parts.remove(&part);
        }
    }

    /// Every flow once, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.all.keys()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// All exchanges of three flows between two parts.
    #[test]
    fn the_whole_is_the_union_of_the_parts() {
        let flows = |bits: u8| -> Vec<_> {
            (0..3).filter(|bit| bits >> bit & 1 == 1).map(|bit| Flow::new(bit, 0, "", "drop")).collect()
        };
        for steps in 0..1 << 12_u32 {
            let mut parts = Parts::default();
            let mut model = [0_u8; 2];
            for step in 0..4 {
                let bits = (steps >> (3 * step) & 7) as u8;
                parts.set(step % 2, flows(bits));
                model[step % 2] = bits;
                let union: BTreeSet<_> = flows(model[0] | model[1]).into_iter().collect();
                assert!(parts.iter().eq(&union), "{steps:#o}");
            }
            parts.retain(|part| part == 1);
            assert!(parts.iter().eq(&flows(model[1])), "{steps:#o}");
        }
    }
}
