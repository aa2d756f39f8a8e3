//! The loop: observe, plan, apply, until nothing is left; then wait for a change.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::desired::Desired;
use crate::plan::{Op, Plan, Planner, Status};

/// First pause after an operation that failed; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Rounds of observing and applying before the loop looks at other things again.
const ROUNDS: usize = 20;
/// Between two looks at a switch that says nothing.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// One node's agent over a backend.
#[derive(Debug)]
pub struct Agent<B> {
    backend: B,
    planner: Planner,
    /// What to leave alone until when, and why; by object.
    pauses: BTreeMap<String, Pause>,
    reported: BTreeMap<String, Status>,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    length: Duration,
    why: String,
}

/// How a port's status changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// The desired port's id.
    pub port: String,
    /// How it stands now; `None` if it is no longer desired.
    pub status: Option<Status>,
}

/// What a run to rest came to.
#[derive(Debug)]
pub struct Outcome {
    /// The last plan: empty if everything is as it shall be.
    pub plan: Plan,
    /// Changes of status since the last report.
    pub reports: Vec<Report>,
    /// Objects that wait after a failure: name and the switch's words.
    pub failing: Vec<(String, String)>,
    /// How many operations were applied.
    pub applied: usize,
}

impl<B: Backend> Agent<B> {
    /// An agent that knows nothing yet.
    pub fn new(backend: B) -> Self {
        Self { backend, planner: Planner::default(), pauses: BTreeMap::new(), reported: BTreeMap::new() }
    }

    /// The switch.
    pub fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    /// Brings the node as near to `desired` as it goes, waiting at most `patience` for the switch.
    ///
    /// # Errors
    /// The switch cannot be reached. Nothing is lost: the next call starts from what is there.
    pub fn converge(&mut self, desired: &Desired, patience: Duration) -> anyhow::Result<Outcome> {
        let deadline = Instant::now() + patience;
        let (mut applied, mut rounds) = (0, 0);
        loop {
            let plan = self.planner.plan(desired, self.backend.observe()?);
            let now = Instant::now();
            let due: Vec<_> = plan.ops.iter().filter(|op| !self.is_paused(op, now)).cloned().collect();
            let over = if due.is_empty() { is_settled(&plan) || now >= deadline } else { rounds == ROUNDS };
            if over {
                return Ok(self.outcome(plan, applied));
            }
            if due.is_empty() {
                self.backend.wait(deadline.saturating_duration_since(now).min(LONGEST_WAIT), None)?;
                continue;
            }
            rounds += 1;
            applied += due.len();
            let failures = self.backend.apply(&due)?;
            self.note(&due, &failures.into_iter().map(|failure| (failure.op, failure.why)).collect());
        }
    }

    fn outcome(&mut self, plan: Plan, applied: usize) -> Outcome {
        let reports = self.report(&plan.status);
        let failing = self.pauses.iter().map(|(object, pause)| (object.clone(), pause.why.clone())).collect();
        Outcome { plan, reports, failing, applied }
    }

    /// Only what changed is reported; a port that went through another state is seen in it first.
    fn report(&mut self, status: &BTreeMap<String, Status>) -> Vec<Report> {
        let gone = self.reported.keys().filter(|port| !status.contains_key(*port));
        let mut reports: Vec<_> = gone.map(|port| Report { port: port.clone(), status: None }).collect();
        for (port, status) in status {
            if self.reported.get(port) != Some(status) {
                reports.push(Report { port: port.clone(), status: Some(status.clone()) });
            }
        }
        self.reported.clone_from(status);
        reports
    }

    fn is_paused(&self, op: &Op, now: Instant) -> bool {
        self.pauses.get(object(op)).is_some_and(|pause| now < pause.until)
    }

    fn note(&mut self, tried: &[Op], failures: &BTreeMap<usize, String>) {
        for (index, op) in tried.iter().enumerate() {
            let Some(why) = failures.get(&index) else {
                self.pauses.remove(object(op));
                continue;
            };
            let length = self
                .pauses
                .get(object(op))
                .map_or(FIRST_PAUSE, |pause| (pause.length * 2).min(LONGEST_PAUSE));
            let pause = Pause { until: Instant::now() + length, length, why: why.clone() };
            self.pauses.insert(object(op).to_owned(), pause);
        }
    }
}

/// Whether waiting would change nothing: no operation is left, and no port waits for the switch.
fn is_settled(plan: &Plan) -> bool {
    plan.is_done() && !plan.status.values().any(|status| matches!(status, Status::Building(_)))
}

/// The bridge or port that an operation is about.
fn object(op: &Op) -> &str {
    match op {
        Op::AddBridge { bridge } | Op::SecureBridge { bridge } | Op::ChangeFlows { bridge, .. } => bridge,
        Op::AddPort { port, .. } | Op::SetPeer { port, .. } | Op::Wire { port, .. } => port,
    }
}
