//! One scenario, several loop detectors.

use core::time::Duration;

use serde::Serialize;

use super::Scenario;
use crate::detector::{Alarm, Mode};
use crate::error::BadInput;
use crate::seconds;
use crate::sim::{Happening, Outcome};

/// How a scenario went with one kind of detector.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What switches had that have a detector in the scenario.
    pub detectors: Mode,
    /// Frames that arrived anywhere, probes included.
    pub frames: u64,
    /// Those that arrived at hosts, for them or not.
    pub host_frames: u64,
    /// Probes that detectors sent.
    pub probes: u64,
    /// Whether the run was cut off because it moved more frames than allowed.
    pub cut_off: bool,
    /// When it ended, in seconds.
    #[serde(with = "seconds")]
    pub ended_at: Duration,
    /// Loops that were told of.
    pub loops: usize,
    /// When the first was told of, in seconds after a cable had been plugged in, or since the start.
    #[serde(serialize_with = "seconds::some")]
    pub told_after: Option<Duration>,
    /// Ports that were blocked, one that was blocked twice counted twice.
    pub blocks: usize,
    /// Ports that were released.
    pub releases: usize,
    /// Pings that hosts sent and that were answered.
    pub pings: (u64, u64),
}

/// Runs the scenario with every kind of detector, from none to the strict one.
///
/// # Errors
/// As [`Scenario::run`].
pub fn compare(scenario: &Scenario, seed: u64) -> Result<Vec<Comparison>, BadInput> {
    let modes = [Mode::Off, Mode::Classic, Mode::Strict];
    let run = |mode| Ok(Comparison::of(mode, &scenario.run_with(Some(mode), seed)?));
    modes.into_iter().map(run).collect()
}

impl Comparison {
    fn of(detectors: Mode, run: &Outcome) -> Self {
        let alarms = || {
            run.timeline.iter().filter_map(|entry| match &entry.what {
                Happening::Alarm(report) => Some((entry.at, report)),
                _ => None,
            })
        };
        let count = |is: fn(&Alarm) -> bool| alarms().filter(|(_, report)| is(&report.alarm)).count();
        let first = alarms().find(|(_, report)| report.alarm.is_loop());
        let pings = run
            .hosts
            .iter()
            .fold((0, 0), |(sent, answered), (_, pings)| (sent + pings.sent, answered + pings.answered));
        Self {
            detectors,
            frames: run.frames,
            host_frames: run.host_frames,
            probes: run.probes,
            cut_off: run.cut_off,
            ended_at: run.ended_at,
            loops: count(Alarm::is_loop),
            told_after: first.map(|(at, report)| report.after_plug.unwrap_or(at)),
            blocks: count(Alarm::blocks),
            releases: count(|alarm| matches!(alarm, Alarm::Cleared { .. })),
            pings,
        }
    }
}
