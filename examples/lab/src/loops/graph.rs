//! What the cables say: cycles, and how many blocks they need.
//!
//! Detectors are judged against this, which knows nothing of probes: it looks at the wiring as a
//! whole, as no switch can.

use super::topology::{Jack, Kind};

/// Cables between nodes; some jacks may be blocked.
#[derive(Clone, Debug)]
pub(super) struct Graph<'a> {
    pub(super) nodes: &'a [Kind],
    pub(super) edges: Vec<[Jack; 2]>,
}

/// How many blocks a network needs, and where they must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Needed {
    /// Jacks to loops within plain bridges: nothing but cutting them off helps.
    pub(super) cut_off: Vec<Jack>,
    /// Independent cycles in the rest: one block each, anywhere on the cycle.
    pub(super) cycles: usize,
}

impl Graph<'_> {
    /// Whether no frame of a switch with a detector can go round.
    pub(super) fn is_safe(&self) -> bool {
        let parts = Parts::new(self.nodes.len(), self.edges.iter().copied());
        let cyclic = parts.cyclic(self.edges.iter().copied());
        (0..self.nodes.len()).all(|node| !self.is_guarded(node) || !cyclic.contains(&parts.of(node)))
    }

    /// Independent cycles in all.
    pub(super) fn cycles(&self) -> usize {
        let parts = Parts::new(self.nodes.len(), self.edges.iter().copied());
        self.edges.len() + parts.count() - self.nodes.len()
    }

    /// Blocks that this wiring needs.
    pub(super) fn needed(&self) -> Needed {
        let plain =
            self.edges.iter().copied().filter(|edge| edge.iter().all(|(node, _)| !self.is_guarded(*node)));
        let islands = Parts::new(self.nodes.len(), plain.clone());
        let looped = islands.cyclic(plain);
        let in_loop = |node: usize| !self.is_guarded(node) && looped.contains(&islands.of(node));
        let touches = |edge: &[Jack; 2]| edge.iter().any(|(node, _)| in_loop(*node));
        let guarded_ends =
            |edge: &[Jack; 2]| edge.iter().copied().filter(|(node, _)| self.is_guarded(*node)).collect();
        let cut_off =
            self.edges.iter().filter(|edge| touches(edge)).flat_map(|edge| -> Vec<_> { guarded_ends(edge) });
        let rest: Vec<_> = self.edges.iter().copied().filter(|edge| !touches(edge)).collect();
        let cycles = Graph { nodes: self.nodes, edges: rest }.cycles();
        Needed { cut_off: cut_off.collect(), cycles }
    }

    /// Whether an uplink had to go: `uplink` lies on a cycle of this wiring, or leads to one within
    /// plain bridges, on which no access port of any detector is.
    pub(super) fn needs_uplink(&self, uplink: Jack) -> bool {
        let is_access = |(node, port): &Jack| match self.nodes.get(*node) {
            Some(Kind::Guarded { uplinks }) => !uplinks.contains(port),
            _ => false,
        };
        let spare =
            self.edges.iter().copied().filter(|edge| edge.contains(&uplink) || !edge.iter().any(is_access));
        let edges: Vec<_> = spare.collect();
        let Some(own) = edges.iter().position(|edge| edge.contains(&uplink) && !edge.iter().any(is_access))
        else {
            return false; // its cable ends in an access port
        };
        let mut others = edges.clone();
        let [(a, _), (b, _)] = others.swap_remove(own);
        let parts = Parts::new(self.nodes.len(), others.iter().copied());
        if parts.of(a) == parts.of(b) {
            return true;
        }
        // A loop of plain bridges behind the uplink.
        let beyond = if a == uplink.0 { b } else { a };
        let cyclic = parts.cyclic(others.iter().copied());
        cyclic.contains(&parts.of(beyond))
    }

    /// Whether nodes that are connected in `whole` are connected here, as far as they may be.
    pub(super) fn connects_like(&self, whole: &Self) -> bool {
        let here = Parts::new(self.nodes.len(), self.edges.iter().copied());
        let there = Parts::new(self.nodes.len(), whole.edges.iter().copied());
        here.count() == there.count()
    }

    /// Without the cables that end at one of `jacks`.
    pub(super) fn without(&self, jacks: &[Jack]) -> Self {
        let open = self.edges.iter().copied().filter(|edge| !edge.iter().any(|jack| jacks.contains(jack)));
        Self { nodes: self.nodes, edges: open.collect() }
    }

    fn is_guarded(&self, node: usize) -> bool {
        matches!(self.nodes.get(node), Some(Kind::Guarded { .. }))
    }
}

/// Connected parts, by union and find.
struct Parts(Vec<usize>);

impl Parts {
    fn new(nodes: usize, edges: impl Iterator<Item = [Jack; 2]>) -> Self {
        let mut parts = Self((0..nodes).collect());
        for [(a, _), (b, _)] in edges {
            let (from, to) = (parts.of(a), parts.of(b));
            if let Some(root) = parts.0.get_mut(from) {
                *root = to;
            }
        }
        parts
    }

    /// The part of a node, named by one of its nodes.
    fn of(&self, node: usize) -> usize {
        match self.0.get(node) {
            Some(parent) if *parent != node => self.of(*parent),
            _ => node,
        }
    }

    fn count(&self) -> usize {
        (0..self.0.len()).filter(|node| self.of(*node) == *node).count()
    }

    /// The parts that hold a cycle of `edges`: those with as many edges as nodes, or more.
    fn cyclic(&self, edges: impl Iterator<Item = [Jack; 2]>) -> Vec<usize> {
        let mut surplus = vec![0_isize; self.0.len()];
        let mut add = |part: usize, by| {
            if let Some(surplus) = surplus.get_mut(part) {
                *surplus += by;
            }
        };
        (0..self.0.len()).for_each(|node| add(self.of(node), -1));
        edges.for_each(|[(a, _), _]| add(self.of(a), 1));
        (0..self.0.len()).filter(|part| surplus.get(*part).is_some_and(|surplus| *surplus >= 0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(uplinks: &[u16]) -> Kind {
        Kind::Guarded { uplinks: uplinks.to_vec() }
    }

    #[test]
    fn a_ring_needs_one_block_and_is_safe_without_any_of_its_cables() {
        let nodes = [guarded(&[]), guarded(&[]), Kind::Plain];
        let edges = vec![[(0, 1), (1, 0)], [(1, 1), (2, 0)], [(2, 1), (0, 0)]];
        let ring = Graph { nodes: &nodes, edges };
        assert_eq!(ring.needed(), Needed { cut_off: vec![], cycles: 1 });
        assert!(!ring.is_safe());
        for jack in [(0, 1), (1, 1), (0, 0)] {
            let open = ring.without(&[jack]);
            assert!(open.is_safe() && open.connects_like(&ring));
        }
        let both = ring.without(&[(0, 0), (0, 1)]);
        assert!(both.is_safe() && !both.connects_like(&ring));
    }

    #[test]
    fn a_loop_of_plain_bridges_is_cut_off_at_every_jack_that_leads_there() {
        let nodes = [guarded(&[]), guarded(&[]), Kind::Plain];
        let edges = vec![[(0, 0), (2, 0)], [(1, 0), (2, 1)], [(2, 2), (2, 3)], [(0, 1), (1, 1)]];
        let graph = Graph { nodes: &nodes, edges };
        assert_eq!(graph.needed(), Needed { cut_off: vec![(0, 0), (1, 0)], cycles: 0 });
        assert!(!graph.without(&[(0, 0)]).is_safe());
        assert!(graph.without(&[(0, 0), (1, 0)]).is_safe());
    }

    #[test]
    fn an_uplink_is_needed_only_where_no_access_port_is_on_the_cycle() {
        let edges = || vec![[(0, 0), (1, 0)], [(0, 1), (1, 1)]];
        let uplinks_only = [guarded(&[0, 1]), guarded(&[0, 1])];
        assert!(Graph { nodes: &uplinks_only, edges: edges() }.needs_uplink((0, 1)));
        let with_access = [guarded(&[0, 1]), guarded(&[0])];
        assert!(!Graph { nodes: &with_access, edges: edges() }.needs_uplink((0, 1)));
        let looped_bridge = [guarded(&[0]), Kind::Plain];
        let behind = vec![[(0, 0), (1, 0)], [(1, 1), (1, 2)]];
        assert!(Graph { nodes: &looped_bridge, edges: behind }.needs_uplink((0, 0)));
    }
}
