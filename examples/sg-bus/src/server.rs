//! A server that runs: a hub between its transport and whoever changes the model.

use std::time::Duration;

use secgroup_rpc::sync::Server;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::hub::{Hub, HubCounters, Waiting};
use crate::transport::{FromAgent, QUEUE, ServerEnd};
use crate::wiring;

/// How long changes gather before they are told.
pub const LINGER: Duration = Duration::from_millis(5);

type Job = Box<dyn FnOnce(&mut Hub) + Send>;

/// Access to a running server. When all handles are gone it ends.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    jobs: mpsc::Sender<Job>,
}

/// The server ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server ended")]
pub struct Ended;

impl ServerHandle {
    /// Changes or asks the model of groups.
    ///
    /// # Errors
    /// [`Ended`] if the server is not there any more.
    pub async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        self.with_hub(|hub| job(hub.models().0)).await
    }

    /// Changes or asks both models: agents are told of groups and wiring together.
    ///
    /// # Errors
    /// [`Ended`] if the server is not there any more.
    pub async fn with_both<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Server, &mut wiring::Server) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        self.with_hub(|hub| {
            let (groups, wiring) = hub.models();
            job(groups, wiring)
        })
        .await
    }

    /// What happened so far, and how many agents there are.
    ///
    /// # Errors
    /// [`Ended`] if the server is not there any more.
    pub async fn counters(&self) -> Result<(HubCounters, usize), Ended> {
        self.with_hub(|hub| (hub.counters(), hub.agents())).await
    }

    async fn with_hub<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Hub) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(|hub| _ = answer.send(job(hub)));
        self.jobs.send(job).await.map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }
}

/// Starts a server of groups alone on this end of a transport. Aborting the task is a server killed.
pub fn start(groups: Server, end: ServerEnd) -> (ServerHandle, JoinHandle<()>) {
    start_with_wiring(groups, wiring::Server::silent(), end)
}

/// Starts a server of groups and wiring.
pub fn start_with_wiring(
    groups: Server,
    wiring: wiring::Server,
    end: ServerEnd,
) -> (ServerHandle, JoinHandle<()>) {
    let (jobs, inbox) = mpsc::channel(QUEUE);
    (ServerHandle { jobs }, tokio::spawn(run(Hub::new(groups, wiring), end, inbox)))
}

async fn run(mut hub: Hub, mut end: ServerEnd, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting: Option<Waiting> = None;
    // When to tell what has gathered.
    let mut flush_at: Option<Instant> = None;
    loop {
        tokio::select! {
            job = jobs.recv() => {
                let Some(job) = job else { return };
                job(&mut hub);
                flush_at.get_or_insert_with(|| Instant::now() + LINGER);
            }
            arrival = end.inbox.recv() => {
                let Some(arrival) = arrival else { return };
                take(&mut hub, arrival);
                flush_at.get_or_insert_with(|| Instant::now() + LINGER);
            }
            () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() && waiting.is_none() => {
                flush_at = None;
                waiting = hub.flush();
            }
            sent = send(&waiting), if waiting.is_some() => {
                if let Some(Waiting { agent, .. }) = waiting.take().filter(|_| !sent) {
                    hub.give_up(agent);
                }
                flush_at = Some(Instant::now());
            }
        }
    }
}

fn take(hub: &mut Hub, arrival: FromAgent) {
    let said = if let FromAgent::Said { agent, .. } = &arrival { agent.0 } else { 0 };
    if let Err(error) = hub.take(arrival) {
        eprintln!("sg-bus server: agent {said} sent no message: {error}");
    }
}

/// Waits for room; whether there was any.
async fn send(waiting: &Option<Waiting>) -> bool {
    let Some(Waiting { agent, bytes, outbox }) = waiting else { return true };
    match outbox.reserve().await {
        Ok(permit) => {
            permit.send((*agent, bytes.clone()));
            true
        }
        Err(_) => false,
    }
}
