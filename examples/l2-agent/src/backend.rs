//! What the agent needs of a switch: to look at it, to change it, to be told when to look again.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::observed::Observed;
use crate::plan::Op;

/// A switch that can be observed and changed.
pub trait Backend {
    /// The whole state of the node, as fresh as the switch tells it.
    ///
    /// # Errors
    /// The switch cannot be reached; the caller keeps its state and tries again.
    fn observe(&mut self) -> anyhow::Result<&Observed>;

    /// Applies operations in order. One that fails does not keep the others from being tried.
    ///
    /// # Errors
    /// The switch cannot be reached: anything may or may not have happened.
    fn apply(&mut self, ops: &[Op]) -> anyhow::Result<Vec<Failure>>;

    /// Waits until the switch says that something changed, `also` can be read, or `timeout` has
    /// passed.
    ///
    /// # Errors
    /// The switch cannot be reached.
    fn wait(&mut self, timeout: Duration, also: Option<BorrowedFd<'_>>) -> anyhow::Result<()>;
}

/// An operation that the switch refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Index into the operations given to [`Backend::apply`].
    pub op: usize,
    /// The switch's words.
    pub why: String,
}
