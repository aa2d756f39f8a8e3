//! `lab loops`: loop detectors in random networks, judged against the wiring.
//!
//! Every network is drawn from a seed: up to six switches with a strict detector, up to five bridges
//! without, cables that close loops at once or one after the other, uplinks here and there, and, if
//! asked for, a station that storms at full rate while they close. Time is virtual. A network passes
//! if every loop was broken within the probe period in force, no uplink was cut where an access port
//! could have been, nothing was blocked without a loop, and at the end exactly one port is blocked
//! for each independent cycle (and each port that leads to a loop within bridges that have no
//! detector: those can only be cut off).

mod graph;
mod network;
mod topology;
mod trial;

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Serialize;

pub use trial::{Closed, Fault, Trial};

/// What came of all networks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Networks that ran.
    pub networks: usize,
    /// Of which were free of loops to the end.
    pub without_loops: usize,
    /// Whether a station stormed.
    pub storm: bool,
    /// Loops that closed.
    pub loops: usize,
    /// Of which were broken within their probe period.
    pub broken_in_time: usize,
    /// How long loops lived where a detector saw the link come up (period 1 s).
    pub seen: Times,
    /// How long loops lived that closed between devices without a detector (period 5 s).
    pub unseen: Times,
    /// Independent cycles in all wirings at the end.
    pub cycles: usize,
    /// Ports that lead to loops within devices that have no detector.
    pub cut_offs: usize,
    /// Ports that had to be blocked at the end.
    pub needed: usize,
    /// Ports blocked at the end.
    pub blocked: usize,
    /// Blocks that were made, those that were undone again included.
    pub blocks_made: usize,
    /// Frames that arrived anywhere.
    pub frames: u64,
    /// Networks in which a rule was broken.
    pub failed: Vec<Trial>,
}

/// How long loops lived, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    /// Loops that were broken.
    pub count: usize,
    /// Half of them lived no longer.
    pub median: f64,
    /// One of a hundred lived longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Runs `count` networks, drawn from `seed` on, on as many threads as the machine has; equal
/// arguments give equal summaries. `progress` is called after each network.
pub fn run(count: usize, seed: u64, storm: bool, progress: impl Fn() + Sync) -> Summary {
    let mut rng = fastrand::Rng::with_seed(seed);
    let seeds: Vec<u64> = (0..count).map(|_| rng.u64(..)).collect();
    let (next, trials) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((number, seed)) = take(&seeds, &next) {
            let trial = trial::run(seed, storm);
            trials.lock().unwrap_or_else(PoisonError::into_inner).push((number, trial));
            progress();
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    let mut trials = trials.into_inner().unwrap_or_else(PoisonError::into_inner);
    trials.sort_by_key(|(number, _)| *number);
    Summary::of(storm, trials.into_iter().map(|(_, trial)| trial))
}

/// The network that `seed` draws, as [`Summary::failed`] names it.
pub fn run_one(seed: u64, storm: bool) -> Trial {
    trial::run(seed, storm)
}

fn take(seeds: &[u64], next: &AtomicUsize) -> Option<(usize, u64)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    seeds.get(number).map(|seed| (number, *seed))
}

impl Summary {
    fn of(storm: bool, trials: impl Iterator<Item = Trial>) -> Self {
        let mut sum = Self { storm, ..Self::default() };
        let (mut seen, mut unseen) = (Vec::new(), Vec::new());
        for trial in trials {
            sum.networks += 1;
            sum.without_loops += usize::from(trial.loops.is_empty());
            sum.loops += trial.loops.len();
            for closed in &trial.loops {
                let Some(after) = closed.broken_after else { continue };
                sum.broken_in_time += usize::from(after <= closed.period);
                if closed.period > 1.0 { unseen.push(after) } else { seen.push(after) }
            }
            sum.cycles += trial.cycles;
            sum.cut_offs += trial.cut_offs;
            sum.needed += trial.needed;
            sum.blocked += trial.blocked;
            sum.blocks_made += trial.blocks_made;
            sum.frames += trial.frames;
            if !trial.faults.is_empty() {
                sum.failed.push(trial);
            }
        }
        (sum.seen, sum.unseen) = (Times::of(seen), Times::of(unseen));
        sum
    }

    fn faults(&self, is: impl Fn(&Fault) -> bool) -> usize {
        self.failed.iter().flat_map(|trial| &trial.faults).filter(|fault| is(fault)).count()
    }
}

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get((share * times.len() as f64) as usize).or(times.last()).copied();
        let [median, p99, max] = [0.5, 0.99, 1.0].map(|share| at(share).unwrap_or_default());
        Self { count: times.len(), median, p99, max }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let storm = if self.storm { ", with a station that storms at full rate" } else { "" };
        writeln!(f, "{} networks{storm}; {} of them without a loop", self.networks, self.without_loops)?;
        writeln!(f, "loops closed             {:>7}", self.loops)?;
        writeln!(f, "  broken within a period {:>7}", self.broken_in_time)?;
        writeln!(f, "  link seen   (1 s)      {}", self.seen)?;
        writeln!(f, "  link unseen (5 s)      {}", self.unseen)?;
        let unneeded = self.faults(|fault| matches!(fault, Fault::BlockedWithoutLoop { .. }));
        writeln!(f, "blocked without a loop   {unneeded:>7}")?;
        let uplinks = self.faults(|fault| matches!(fault, Fault::UplinkCut { .. }));
        writeln!(f, "uplinks cut needlessly   {uplinks:>7}")?;
        writeln!(f, "at the end")?;
        writeln!(f, "  independent cycles     {:>7}", self.cycles)?;
        writeln!(f, "  needed blocks          {:>7}", self.needed)?;
        writeln!(f, "  blocked ports          {:>7}", self.blocked)?;
        writeln!(f, "  blocked and undone     {:>7}", self.blocks_made - self.blocked.min(self.blocks_made))?;
        writeln!(f, "frames moved             {:>7}", self.frames)?;
        write!(f, "networks with a fault    {:>7}", self.failed.len())?;
        for trial in self.failed.iter().take(10) {
            write!(f, "\n  seed {}: {:?}", trial.seed, trial.faults)?;
        }
        Ok(())
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, median, p99, max } = self;
        write!(f, "{count:>7}: median {median:.4} s, 99 % {p99:.4} s, max {max:.4} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detectors_keep_every_rule_in_random_networks() {
        for storm in [false, true] {
            let summary = run(if storm { 10 } else { 40 }, 7, storm, || {});
            assert!(summary.failed.is_empty(), "{summary}");
            assert_eq!(summary.broken_in_time, summary.loops);
            assert!(summary.loops > summary.networks / 2, "{summary}");
        }
    }

    #[test]
    fn equal_seeds_give_equal_runs() {
        let [a, b] = [(), ()].map(|()| run(6, 3, false, || {}).to_string());
        assert_eq!(a, b);
    }
}
