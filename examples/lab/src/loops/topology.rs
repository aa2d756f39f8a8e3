//! Random networks: switches with detectors, bridges without, and cables that close loops.

use core::time::Duration;

use fastrand::Rng;

/// Ports of a switch with a detector.
pub(super) const PORTS: u16 = 8;
/// Ports of a bridge without one: an RTL8305SC.
pub(super) const BRIDGE_PORTS: u16 = 5;

/// Node and port.
pub(super) type Jack = (usize, u16);

/// A network and what happens to it.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    pub(super) nodes: Vec<Kind>,
    pub(super) cables: Vec<Cable>,
    /// Where the station is that storms.
    pub(super) storm: Jack,
}

/// What stands at a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A switch with a strict detector, and its uplinks.
    Guarded { uplinks: Vec<u16> },
    /// A bridge that knows nothing of loops.
    Plain,
}

/// A cable, plugged at a time.
#[derive(Clone, Debug)]
pub(super) struct Cable {
    pub(super) ends: [Jack; 2],
    pub(super) delay: Duration,
    pub(super) plugged_at: Duration,
}

/// When the first loop may close: every detector is idle by then.
pub(super) const FIRST_LOOP: Duration = Duration::from_secs(16);

impl Topology {
    /// One to six switches with detectors and up to five bridges in a tree, cabled within the first
    /// second, and up to four more cables that are plugged later, at once or one by one.
    pub(super) fn random(rng: &mut Rng) -> Self {
        let mut network = Draft { rng, kinds: Vec::new(), used: Vec::new(), cables: Vec::new() };
        let guarded = network.rng.usize(1..=6);
        let plain = network.rng.usize(0..=5);
        let mut kinds: Vec<bool> = (0..guarded + plain).map(|node| node < guarded).collect();
        network.rng.shuffle(&mut kinds);
        for guarded in kinds {
            network.node(guarded);
        }
        network.late_cables();
        network.finish()
    }
}

struct Draft<'a> {
    rng: &'a mut Rng,
    /// Whether a node has a detector.
    kinds: Vec<bool>,
    /// Ports in use, by node.
    used: Vec<u16>,
    cables: Vec<Cable>,
}

impl Draft<'_> {
    /// Adds a node and hangs it on one before it that has a jack left.
    fn node(&mut self, guarded: bool) {
        let new = self.kinds.len();
        let parent = self.node_with_free_jacks(1);
        self.kinds.push(guarded);
        self.used.push(0);
        let plugged_at = Duration::from_millis(self.rng.u64(0..1_000));
        if let Some(parent) = parent {
            self.cable(parent, new, plugged_at);
        }
    }

    /// Cables that close loops; in one network of ten there is none.
    fn late_cables(&mut self) {
        let count = if self.rng.u8(0..10) == 0 { 0 } else { self.rng.usize(1..=4) };
        let at_once = self.rng.bool();
        let mut at = FIRST_LOOP + Duration::from_millis(self.rng.u64(0..5_000));
        for _ in 0..count {
            let Some(a) = self.node_with_free_jacks(2) else { return };
            // The other end may be the same device.
            let Some(b) = self.node_with_free_jacks(1) else { return };
            if self.free(a) > u16::from(a == b) && self.free(b) > 0 {
                self.cable(a, b, at);
            }
            if !at_once {
                at += Duration::from_millis(1_500 + self.rng.u64(0..1_500));
            }
        }
    }

    fn finish(self) -> Topology {
        let Self { rng, kinds, used, cables } = self;
        let storming = rng.usize(0..kinds.len());
        // Its station needs no jack that the drawing knows of: frames appear at the highest one.
        let storm = (storming, ports(kinds.get(storming) == Some(&true)) - 1);
        let nodes = kinds.iter().zip(&used).map(|(guarded, used)| match guarded {
            false => Kind::Plain,
            true => Kind::Guarded { uplinks: (0..*used).filter(|_| rng.u8(0..4) == 0).take(3).collect() },
        });
        Topology { nodes: nodes.collect(), cables, storm }
    }

    fn cable(&mut self, a: usize, b: usize, plugged_at: Duration) {
        let ends = [self.jack(a), self.jack(b)];
        let delay = Duration::from_nanos(self.rng.u64(100..20_000));
        self.cables.push(Cable { ends, delay, plugged_at });
    }

    /// The next jack of a node that has one.
    fn jack(&mut self, node: usize) -> Jack {
        let port = self.used.get(node).copied().unwrap_or_default();
        if let Some(used) = self.used.get_mut(node) {
            *used += 1;
        }
        (node, port)
    }

    /// Jacks left; the highest is kept for a station.
    fn free(&self, node: usize) -> u16 {
        let total = ports(self.kinds.get(node) == Some(&true)) - 1;
        total - self.used.get(node).copied().unwrap_or_default()
    }

    fn node_with_free_jacks(&mut self, count: u16) -> Option<usize> {
        let fits: Vec<_> = (0..self.kinds.len()).filter(|node| self.free(*node) >= count).collect();
        self.rng.choice(fits)
    }
}

/// Ports of a node.
pub(super) const fn ports(guarded: bool) -> u16 {
    if guarded { PORTS } else { BRIDGE_PORTS }
}
