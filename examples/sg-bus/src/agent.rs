//! An agent that runs: the sans-IO agents between their transport and whoever applies what they hold.

use std::time::Duration;

use anyhow::Result;
use secgroup_rpc::Uuid;
use secgroup_rpc::sync::{Agent, Handled, ItemKey};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::transport::{AgentEnd, FromServer};
use crate::wiring::{self, is_wiring};

/// What became of an agent's state.
#[derive(Debug)]
pub enum Event {
    /// A server can be reached.
    Connected,
    /// No server can be reached; what is applied stays.
    Lost(String),
    /// These items of the filter changed, came or went; at the first sync possibly none.
    Applied(Vec<ItemKey>),
    /// The wiring of these ports changed, came or went; at the first answer possibly none.
    Wired(Vec<Uuid>),
    /// The server says nothing about wiring.
    NoWiring,
    /// A message was refused as a whole; what is applied stays, and a sync is due.
    Refused(String),
}

/// What an agent holds: the groups of its devices and, if it cares, their wiring.
#[derive(Debug)]
pub struct Held {
    /// Groups.
    pub groups: Agent,
    /// Wiring.
    pub wiring: Option<wiring::Agent>,
    /// Devices that are up; may change at any time.
    pub up: watch::Receiver<Vec<Uuid>>,
}

/// Runs an agent of groups alone until the transport or `on_event` ends. `devices` may change at any time.
///
/// # Errors
/// What `on_event` returns.
pub async fn run(
    groups: Agent,
    end: AgentEnd,
    devices: watch::Receiver<Vec<Uuid>>,
    mut on_event: impl FnMut(&Agent, Event) -> Result<()>,
) -> Result<()> {
    run_with_wiring(Held::of_groups(groups), end, devices, |held, event| on_event(&held.groups, event)).await
}

/// Runs an agent of groups and wiring.
///
/// # Errors
/// What `on_event` returns.
pub async fn run_with_wiring(
    mut held: Held,
    mut end: AgentEnd,
    mut devices: watch::Receiver<Vec<Uuid>>,
    mut on_event: impl FnMut(&Held, Event) -> Result<()>,
) -> Result<()> {
    let epoch = Instant::now();
    let mut connected = false;
    let mut up = held.up.clone();
    loop {
        if connected {
            while let Some(bytes) = held.poll_transmit(epoch.elapsed()) {
                // A full queue is as good as a lost message: the agents repeat themselves.
                _ = end.outbox.try_send(bytes);
            }
        }
        let due = epoch + held.poll_timeout();
        tokio::select! {
            arrival = end.inbox.recv() => match arrival {
                None => return Ok(()),
                Some(FromServer::Connected) => {
                    connected = true;
                    held.resync(&devices);
                    on_event(&held, Event::Connected)?;
                }
                Some(FromServer::Lost(why)) => {
                    connected = false;
                    on_event(&held, Event::Lost(why))?;
                }
                Some(FromServer::Said(bytes)) => {
                    let event = held.take(epoch.elapsed(), &bytes);
                    event.map_or(Ok(()), |event| on_event(&held, event))?;
                }
            },
            Ok(()) = devices.changed() => held.resync(&devices),
            Ok(()) = up.changed() => held.tell_up(),
            () = sleep_until(due), if connected => {}
        }
    }
}

impl Held {
    /// An agent that does not care for wiring.
    pub fn of_groups(groups: Agent) -> Self {
        Self { groups, wiring: None, up: watch::channel(Vec::new()).1 }
    }

    /// Whether a server answered at least once about everything.
    pub fn is_synced(&self) -> bool {
        self.groups.is_synced() && self.wiring.as_ref().is_none_or(wiring::Agent::is_synced)
    }

    fn poll_transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.groups.poll_transmit(now).or_else(|| self.wiring.as_mut()?.poll_transmit(now))
    }

    fn poll_timeout(&self) -> Duration {
        let groups = self.groups.poll_timeout();
        self.wiring.as_ref().map_or(groups, |wiring| wiring.poll_timeout().min(groups))
    }

    fn resync(&mut self, devices: &watch::Receiver<Vec<Uuid>>) {
        let devices = devices.borrow();
        self.groups.set_devices(devices.iter().copied());
        if let Some(wiring) = &mut self.wiring {
            wiring.set_devices(devices.iter().copied());
        }
    }

    fn tell_up(&mut self) {
        if let Some(wiring) = &mut self.wiring {
            wiring.set_up(self.up.borrow().iter().copied());
        }
    }

    fn take(&mut self, now: Duration, bytes: &[u8]) -> Option<Event> {
        if is_wiring(bytes) { self.take_wiring(now, bytes) } else { self.take_groups(now, bytes) }
    }

    fn take_groups(&mut self, now: Duration, bytes: &[u8]) -> Option<Event> {
        let was_synced = self.groups.is_synced();
        match self.groups.handle(now, bytes) {
            Ok(Handled::Applied(changed)) => {
                (!changed.is_empty() || !was_synced).then_some(Event::Applied(changed))
            }
            Ok(_) => None,
            Err(error) => Some(Event::Refused(error.to_string())),
        }
    }

    fn take_wiring(&mut self, now: Duration, bytes: &[u8]) -> Option<Event> {
        let wiring = self.wiring.as_mut()?;
        let was_synced = wiring.is_synced();
        match wiring.handle(now, bytes) {
            Ok(wiring::Handled::Applied(changed)) => {
                (!changed.is_empty() || !was_synced).then_some(Event::Wired(changed))
            }
            Ok(wiring::Handled::Nothing) => Some(Event::NoWiring),
            Ok(_) => None,
            Err(error) => Some(Event::Refused(error.to_string())),
        }
    }
}
