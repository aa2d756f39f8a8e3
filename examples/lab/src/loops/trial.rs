//! One network from power-on to its end, and what the detectors made of it.

use core::time::Duration;

use fastrand::Rng;
use rrcp::{Event, Timing};
use serde::Serialize;

use super::graph::Graph;
use super::network::Network;
use super::topology::{Cable, FIRST_LOOP, Jack, Kind, Topology};

/// Time after the last loop is broken in which blocks that were too many are gone.
const AFTERMATH: Duration = Duration::from_secs(8);
/// How long the station storms, from shortly before each loop closes.
const STORM: Duration = Duration::from_millis(1_200);
const STORM_AHEAD: Duration = Duration::from_millis(50);

/// What came of a network.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trial {
    /// Draws the network again.
    pub seed: u64,
    /// Devices in it.
    pub switches: usize,
    /// Of which have a detector.
    pub detectors: usize,
    /// Loops that closed, and how each was broken.
    pub loops: Vec<Closed>,
    /// Independent cycles in the wiring at the end.
    pub cycles: usize,
    /// Ports to loops within devices that have no detector, at the end.
    pub cut_offs: usize,
    /// Ports that had to be blocked at the end.
    pub needed: usize,
    /// Ports blocked at the end.
    pub blocked: usize,
    /// Blocks that were made, those that were undone again included.
    pub blocks_made: usize,
    /// Frames that arrived anywhere.
    pub frames: u64,
    /// Probes sent.
    pub probes: u64,
    /// The cables, and when they were plugged.
    pub wiring: Vec<String>,
    /// What detectors said about loops.
    pub history: Vec<String>,
    /// Rules that were broken.
    pub faults: Vec<Fault>,
}

/// A loop that closed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Closed {
    /// When its cable was plugged, in seconds.
    pub at: f64,
    /// How long frames could go round, in seconds; `None`: to the end.
    pub broken_after: Option<f64>,
    /// The probe period in force, in seconds: 1 where a detector saw the link come up, else 5.
    pub period: f64,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A loop lived longer than a probe period.
    LoopOutlivedPeriod {
        /// How long, in seconds; `None`: to the end.
        seconds: Option<f64>,
    },
    /// A port was blocked while there was no loop anywhere.
    BlockedWithoutLoop {
        /// Switch and port.
        jack: (usize, u16),
    },
    /// An uplink was blocked although an access port could have been.
    UplinkCut {
        /// Switch and port.
        jack: (usize, u16),
    },
    /// At the end more, or fewer, ports are blocked than the wiring needs.
    WrongNumberOfBlocks {
        /// Ports blocked.
        blocked: usize,
        /// Ports that had to be.
        needed: usize,
    },
    /// At the end devices are cut off that no loop is to blame for.
    Disconnected,
}

/// Runs the network that `seed` draws.
pub(super) fn run(seed: u64, storm: bool) -> Trial {
    let mut rng = Rng::with_seed(seed);
    let topology = Topology::random(&mut rng);
    let mut run = Run {
        network: Network::new(&topology, rng.u64(..)),
        plugged: Vec::new(),
        unsafe_since: Vec::new(),
        trial: Trial {
            seed,
            switches: topology.nodes.len(),
            detectors: topology.nodes.iter().filter(|kind| **kind != Kind::Plain).count(),
            wiring: topology.cables.iter().map(|cable| cable_text(&topology, cable)).collect(),
            ..Trial::default()
        },
        topology: &topology,
    };
    run.go(storm);
    run.trial
}

/// `0.2u - 3.1 at 16.500 s`: `u` marks an uplink, `b` a bridge without a detector.
fn cable_text(topology: &Topology, cable: &Cable) -> String {
    let jack = |(node, port): Jack| match topology.nodes.get(node) {
        Some(Kind::Guarded { uplinks }) if uplinks.contains(&port) => format!("{node}.{port}u"),
        Some(Kind::Guarded { .. }) => format!("{node}.{port}"),
        _ => format!("{node}.{port}b"),
    };
    let [a, b] = cable.ends.map(jack);
    format!("{a} - {b} at {:.3} s", cable.plugged_at.as_secs_f64())
}

struct Run<'a> {
    topology: &'a Topology,
    network: Network,
    plugged: Vec<[Jack; 2]>,
    /// Loops of the trial that still live.
    unsafe_since: Vec<usize>,
    trial: Trial,
}

impl Run<'_> {
    fn go(&mut self, storm: bool) {
        let mut order: Vec<(usize, &Cable)> = self.topology.cables.iter().enumerate().collect();
        order.sort_by_key(|(_, cable)| cable.plugged_at);
        let mut stormed = Duration::ZERO;
        for (number, cable) in order {
            if storm && cable.plugged_at >= FIRST_LOOP && stormed < cable.plugged_at {
                self.advance(cable.plugged_at - STORM_AHEAD);
                self.network.storm(self.topology.storm, cable.plugged_at + STORM);
                stormed = cable.plugged_at + STORM;
            }
            self.advance(cable.plugged_at);
            self.network.plug(number);
            self.plugged.push(cable.ends);
            self.look();
            if !self.graph().is_safe() {
                self.unsafe_since.push(self.trial.loops.len());
                let seen =
                    cable.ends.iter().any(|(node, _)| self.topology.nodes.get(*node) != Some(&Kind::Plain));
                let period = if seen { Timing::DEFAULT.fast } else { Timing::DEFAULT.idle };
                let at = cable.plugged_at.as_secs_f64();
                self.trial.loops.push(Closed { at, broken_after: None, period: period.as_secs_f64() });
            }
            self.look();
        }
        let last = self.topology.cables.iter().map(|cable| cable.plugged_at).max().unwrap_or_default();
        let last = last.max(FIRST_LOOP);
        while !self.unsafe_since.is_empty() && self.network.now < last + Timing::DEFAULT.idle {
            self.advance(self.network.now + Timing::DEFAULT.slot);
        }
        self.advance(self.network.now.max(last) + AFTERMATH);
        self.judge_end();
    }

    fn advance(&mut self, until: Duration) {
        while self.network.step(until).is_some() {
            if !self.network.told.is_empty() {
                self.look();
            }
        }
        self.network.now = until;
    }

    /// The wiring, without blocked ports.
    fn graph(&self) -> Graph<'_> {
        self.whole().without(&self.network.blocked())
    }

    fn whole(&self) -> Graph<'_> {
        Graph { nodes: &self.topology.nodes, edges: self.plugged.clone() }
    }

    /// Judges what detectors just did.
    fn look(&mut self) {
        for (at, node, event) in core::mem::take(&mut self.network.told) {
            match event {
                Event::Looped { found, blocked: Some(port) } => {
                    let (tx, rx) = (found.tx, found.rx);
                    self.note(at, format_args!("{node}.{tx} -> {node}.{rx}: {node}.{port} is blocked"));
                    self.judge_block((node, port.get()));
                }
                Event::Cleared { port, .. } => self.note(at, format_args!("{node}.{port} is released")),
                _ => {}
            }
        }
        if !self.unsafe_since.is_empty() && self.graph().is_safe() {
            let now = self.network.now.as_secs_f64();
            for number in core::mem::take(&mut self.unsafe_since) {
                if let Some(closed) = self.trial.loops.get_mut(number) {
                    closed.broken_after = Some(now - closed.at);
                }
            }
        }
    }

    fn note(&mut self, at: Duration, what: core::fmt::Arguments<'_>) {
        self.trial.history.push(format!("{:.6} s: {what}", at.as_secs_f64()));
    }

    fn judge_block(&mut self, jack: Jack) {
        self.trial.blocks_made += 1;
        let whole = self.whole();
        let mut others = self.network.blocked();
        others.retain(|blocked| *blocked != jack);
        let before = whole.without(&others);
        let mut faults = Vec::new();
        if whole.cycles() == 0 {
            faults.push(Fault::BlockedWithoutLoop { jack });
        }
        let is_uplink = match self.topology.nodes.get(jack.0) {
            Some(Kind::Guarded { uplinks }) => uplinks.contains(&jack.1),
            _ => false,
        };
        if is_uplink && !before.needs_uplink(jack) {
            faults.push(Fault::UplinkCut { jack });
        }
        self.trial.faults.extend(faults);
    }

    fn judge_end(&mut self) {
        let (whole, blocked) = (self.whole(), self.network.blocked());
        let needed = whole.needed();
        let mut faults = Vec::new();
        for closed in &self.trial.loops {
            if closed.broken_after.is_none_or(|after| after > closed.period) {
                faults.push(Fault::LoopOutlivedPeriod { seconds: closed.broken_after });
            }
        }
        let count = needed.cut_off.len() + needed.cycles;
        if blocked.len() != count {
            faults.push(Fault::WrongNumberOfBlocks { blocked: blocked.len(), needed: count });
        }
        if !whole.without(&blocked).connects_like(&whole.without(&needed.cut_off)) {
            faults.push(Fault::Disconnected);
        }
        let (cycles, frames, probes) = (whole.cycles(), self.network.frames, self.network.probes);
        let trial = &mut self.trial;
        (trial.cycles, trial.cut_offs) = (cycles, needed.cut_off.len());
        (trial.needed, trial.blocked) = (count, blocked.len());
        (trial.frames, trial.probes) = (frames, probes);
        trial.faults.extend(faults);
    }
}
