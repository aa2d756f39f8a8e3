//! An agent that runs: the sans-IO agent between its transport and whoever applies the filter.

use std::time::Duration;

use anyhow::Result;
use secgroup_rpc::sync::{Agent, Handled, ItemKey};
use secgroup_rpc::{Uuid, sync::SyncError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::transport::{AgentEnd, FromServer};

/// What became of an agent's state.
#[derive(Debug)]
pub enum Event {
    /// A server can be reached.
    Connected,
    /// No server can be reached; the filter stays.
    Lost(String),
    /// These items changed, came or went; at the first sync possibly none.
    Applied(Vec<ItemKey>),
    /// A message was refused as a whole; the filter stays, and a sync is due.
    Refused(SyncError),
}

/// Runs until the transport or `on_event` ends. `devices` may change at any time.
///
/// # Errors
/// What `on_event` returns.
pub async fn run(
    mut agent: Agent,
    mut end: AgentEnd,
    mut devices: watch::Receiver<Vec<Uuid>>,
    mut on_event: impl FnMut(&Agent, Event) -> Result<()>,
) -> Result<()> {
    let epoch = Instant::now();
    let mut connected = false;
    loop {
        if connected {
            while let Some(bytes) = agent.poll_transmit(epoch.elapsed()) {
                // A full queue is as good as a lost message: the agent repeats itself.
                _ = end.outbox.try_send(bytes);
            }
        }
        let due = epoch + agent.poll_timeout();
        tokio::select! {
            arrival = end.inbox.recv() => match arrival {
                None => return Ok(()),
                Some(FromServer::Connected) => {
                    connected = true;
                    resync(&mut agent, &devices);
                    on_event(&agent, Event::Connected)?;
                }
                Some(FromServer::Lost(why)) => {
                    connected = false;
                    on_event(&agent, Event::Lost(why))?;
                }
                Some(FromServer::Said(bytes)) => {
                    let event = take(&mut agent, epoch.elapsed(), &bytes);
                    event.map_or(Ok(()), |event| on_event(&agent, event))?;
                }
            },
            Ok(()) = devices.changed() => resync(&mut agent, &devices),
            () = sleep_until(due), if connected => {}
        }
    }
}

fn resync(agent: &mut Agent, devices: &watch::Receiver<Vec<Uuid>>) {
    agent.set_devices(devices.borrow().iter().copied());
}

fn take(agent: &mut Agent, now: Duration, bytes: &[u8]) -> Option<Event> {
    let was_synced = agent.is_synced();
    match agent.handle(now, bytes) {
        Ok(Handled::Applied(changed)) => {
            (!changed.is_empty() || !was_synced).then_some(Event::Applied(changed))
        }
        Ok(_) => None,
        Err(error) => Some(Event::Refused(error)),
    }
}
