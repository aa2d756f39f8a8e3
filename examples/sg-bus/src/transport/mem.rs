//! Within one process: for demonstrations, measurements and tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use secgroup_rpc::sync::AgentId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{AgentEnd, AgentName, FromAgent, FromServer, Outbox, QUEUE, ServerEnd, Transport};

/// A meeting point of one server and its agents. Whoever serves last is the server.
#[derive(Clone, Debug)]
pub struct Mem {
    server: Arc<Mutex<watch::Sender<Option<mpsc::Sender<FromAgent>>>>>,
    next: Arc<AtomicU64>,
}

impl Default for Mem {
    fn default() -> Self {
        Self { server: Arc::new(Mutex::new(watch::Sender::new(None))), next: Arc::default() }
    }
}

impl Transport for Mem {
    async fn serve(&self) -> Result<ServerEnd> {
        let (to_server, inbox) = mpsc::channel(QUEUE);
        self.server.lock().unwrap_or_else(PoisonError::into_inner).send_replace(Some(to_server));
        Ok(ServerEnd { inbox, tasks: JoinSet::new() })
    }

    async fn join(&self, _: &AgentName) -> Result<AgentEnd> {
        let servers = self.server.lock().unwrap_or_else(PoisonError::into_inner).subscribe();
        let (to_agent, inbox) = mpsc::channel(QUEUE);
        let (outbox, from_agent) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(carry(servers, Arc::clone(&self.next), to_agent, from_agent));
        Ok(AgentEnd { inbox, outbox, tasks })
    }
}

/// Connects an agent with one server after the other.
async fn carry(
    mut servers: watch::Receiver<Option<mpsc::Sender<FromAgent>>>,
    next: Arc<AtomicU64>,
    to_agent: mpsc::Sender<FromServer>,
    mut from_agent: mpsc::Receiver<Vec<u8>>,
) {
    loop {
        let is_there = |server: &Option<mpsc::Sender<_>>| server.as_ref().is_some_and(|it| !it.is_closed());
        let Ok(server) = servers.wait_for(is_there).await.map(|server| (*server).clone()) else { return };
        let Some(server) = server else { continue };
        let agent = AgentId(next.fetch_add(1, Ordering::Relaxed));
        let (outbox, mut from_server) = mpsc::channel(QUEUE);
        if to_agent.send(FromServer::Connected).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                bytes = from_agent.recv() => {
                    let Some(bytes) = bytes else { break };
                    let said = FromAgent::Said { agent, bytes, outbox: Outbox::Own(outbox.clone()) };
                    if server.send(said).await.is_err() {
                        break;
                    }
                }
                message = from_server.recv() => {
                    let Some((_, bytes)) = message else { break };
                    if to_agent.send(FromServer::Said(bytes)).await.is_err() {
                        return;
                    }
                }
                () = server.closed() => break,
            }
        }
        _ = server.send(FromAgent::Left(agent)).await;
        if to_agent.send(FromServer::Lost("the server is gone".into())).await.is_err() {
            return;
        }
    }
}
