//! Between machines without a broker: TLS 1.3 over TCP, one connection for each agent.
//!
//! The server shows a certificate that must bear the name by which the agent knows it; the agent then
//! says its name and the shared token, and nothing else is read before they are right.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use secgroup_rpc::sync::AgentId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{
    AgentEnd, AgentName, FromAgent, FromServer, MAX_ANSWER, MAX_REQUEST, Outbox, QUEUE, ServerEnd, Transport,
};
use crate::backoff::Backoff;
use crate::credentials::Token;
use crate::frame;
use crate::input::BadInput;

const PROTOCOL: &str = "sg-bus 1";
const WELCOME: &[u8] = b"welcome";
/// Longest introduction: protocol, name and token.
const MAX_HELLO: usize = 512;
/// Longest answer to it.
const MAX_WELCOME: usize = 64;
/// How long an introduction or one write may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an answer may take: a bridge may have to ask Neutron first.
const ANSWER: Duration = Duration::from_secs(60);
/// How long an agent may say nothing. It checks much more often.
const SILENCE: Duration = Duration::from_secs(300);
/// Connections that have not introduced themselves yet.
const STRANGERS: usize = 256;
/// Connections in all.
const MAX_AGENTS: usize = 1 << 16;

/// TLS over TCP, either side of it.
#[derive(Clone)]
pub struct Tcp {
    /// Where the server listens; for agents, servers to try in turn: `host:port`.
    pub addresses: Vec<String>,
    /// What agents must know.
    pub token: Token,
    /// Certificate and key, or whom to trust.
    pub side: Side,
}

/// What each side has of TLS.
#[derive(Clone)]
pub enum Side {
    /// A server's certificate and key.
    Server(TlsAcceptor),
    /// The authorities that an agent trusts; and the name that the certificate must bear, if it is not
    /// the host that it connects to.
    Agent(TlsConnector, Option<String>),
}

impl Transport for Tcp {
    async fn serve(&self) -> Result<ServerEnd> {
        let Side::Server(tls) = &self.side else { bail!("an agent's credentials cannot serve") };
        let address = self.addresses.first().context("no address to listen at")?;
        let socket =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        Ok(serve_on(socket, tls.clone(), self.token.clone()))
    }

    async fn join(&self, name: &AgentName) -> Result<AgentEnd> {
        let Side::Agent(tls, expected) = &self.side else { bail!("a server's credentials cannot join") };
        let mut servers = Vec::new();
        for address in &self.addresses {
            let (host, _) = address.rsplit_once(':').with_context(|| format!("`{address}` lacks a port"))?;
            let name = expected.as_deref().unwrap_or_else(|| host.trim_matches(['[', ']']));
            let name = ServerName::try_from(name.to_owned())
                .map_err(|_| BadInput(format!("`{name}` is no name that a certificate can bear")))?;
            servers.push((address.clone(), name));
        }
        if servers.is_empty() {
            bail!(BadInput("no server to connect to".into()));
        }
        let hello = format!("{PROTOCOL}\n{name}\n{}", self.token.as_str());
        let (to_agent, inbox) = mpsc::channel(QUEUE);
        let (outbox, from_agent) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_joining(servers, tls.clone(), hello, to_agent, from_agent));
        Ok(AgentEnd { inbox, outbox, tasks })
    }
}

/// Serves on a socket that listens already.
pub fn serve_on(socket: TcpListener, tls: TlsAcceptor, token: Token) -> ServerEnd {
    let (to_server, inbox) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(socket, tls, token, to_server));
    ServerEnd { inbox, tasks }
}

async fn accept(socket: TcpListener, tls: TlsAcceptor, token: Token, to_server: mpsc::Sender<FromAgent>) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    // Dropped with this task, it ends all connections.
    let mut connections = JoinSet::new();
    for number in 0.. {
        while connections.try_join_next().is_some() || connections.len() >= MAX_AGENTS {
            if connections.len() >= MAX_AGENTS {
                connections.join_next().await;
            }
        }
        let Ok(stranger) = Arc::clone(&strangers).acquire_owned().await else { return };
        let stream = tokio::select! {
            () = to_server.closed() => return,
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Such as too many open files: others must close theirs first.
                Err(error) => {
                    eprintln!("sg-bus server: cannot accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (tls, token, to_server) = (tls.clone(), token.clone(), to_server.clone());
        connections.spawn(async move {
            let peer = stream.peer_addr();
            let introduced = timeout(PATIENCE, introduce(stream, &tls, &token)).await;
            drop(stranger);
            let ended = match introduced {
                Ok(Ok(stream)) => attend(stream, AgentId(number), &to_server).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Err(anyhow::anyhow!("no introduction within {PATIENCE:?}")),
            };
            if let (Err(error), Ok(peer)) = (ended, peer) {
                eprintln!("sg-bus server: {peer}: {error:#}");
            }
        });
    }
}

/// TLS, then name and token.
async fn introduce(
    stream: TcpStream,
    tls: &TlsAcceptor,
    token: &Token,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>> {
    stream.set_nodelay(true)?;
    let mut stream = tls.accept(stream).await.context("TLS")?;
    let hello = frame::read(&mut stream, MAX_HELLO).await?.context("it says nothing")?;
    let refusal = match parse_hello(&hello) {
        Some((name, said)) if name.parse::<AgentName>().is_ok() => {
            if token.is(said) {
                frame::write(&mut stream, WELCOME).await?;
                return Ok(stream);
            }
            "wrong token"
        }
        _ => "no introduction of sg-bus 1",
    };
    frame::write(&mut stream, refusal.as_bytes()).await?;
    bail!(refusal)
}

fn parse_hello(hello: &[u8]) -> Option<(&str, &str)> {
    let mut lines = std::str::from_utf8(hello).ok()?.split('\n');
    let hello = (lines.next()?, lines.next()?, lines.next()?);
    (hello.0 == PROTOCOL).then_some((hello.1, hello.2))
}

/// Carries messages both ways until either side ends.
async fn attend(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    agent: AgentId,
    to_server: &mpsc::Sender<FromAgent>,
) -> Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (outbox, mut from_server) = mpsc::channel(QUEUE);
    let reading = async {
        loop {
            let read = timeout(SILENCE, frame::read(&mut reader, MAX_REQUEST)).await;
            let Some(bytes) = read.context("it says nothing")?? else { return Ok(()) };
            let said = FromAgent::Said { agent, bytes, outbox: Outbox::Own(outbox.clone()) };
            to_server.send(said).await.ok().context("the server ended")?;
        }
    };
    let writing = async {
        while let Some((_, bytes)) = from_server.recv().await {
            timeout(PATIENCE, frame::write(&mut writer, &bytes)).await.context("it does not read")??;
        }
        Ok(())
    };
    let ended = tokio::select! { ended = reading => ended, ended = writing => ended };
    _ = to_server.send(FromAgent::Left(agent)).await;
    ended
}

async fn keep_joining(
    servers: Vec<(String, ServerName<'static>)>,
    tls: TlsConnector,
    hello: String,
    to_agent: mpsc::Sender<FromServer>,
    mut from_agent: mpsc::Receiver<Vec<u8>>,
) {
    let mut backoff = Backoff::for_connections();
    for (address, name) in servers.iter().cycle() {
        let joined = async {
            let connecting = timeout(PATIENCE, connect(address, name, &tls, &hello)).await;
            let stream = connecting.context("no answer")??;
            backoff.succeeded();
            carry(stream, &to_agent, &mut from_agent).await
        };
        let Err(error) = joined.await else { return };
        if to_agent.send(FromServer::Lost(format!("{address}: {error:#}"))).await.is_err() {
            return;
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

async fn connect(
    address: &str,
    name: &ServerName<'static>,
    tls: &TlsConnector,
    hello: &str,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream = tls.connect(name.clone(), stream).await.context("TLS")?;
    frame::write(&mut stream, hello.as_bytes()).await?;
    let answer = frame::read(&mut stream, MAX_WELCOME).await?.context("the server hung up")?;
    if answer != WELCOME {
        bail!("refused: {}", String::from_utf8_lossy(&answer).escape_debug());
    }
    Ok(stream)
}

/// Carries messages both ways; ends well only if the agent ended.
async fn carry(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    to_agent: &mpsc::Sender<FromServer>,
    from_agent: &mut mpsc::Receiver<Vec<u8>>,
) -> Result<()> {
    while from_agent.try_recv().is_ok() {}
    if to_agent.send(FromServer::Connected).await.is_err() {
        return Ok(());
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    // Since when an answer is due: everything that an agent says has one.
    let (asked, waiting) = watch::channel(None);
    let reading = async {
        loop {
            let bytes = frame::read(&mut reader, MAX_ANSWER).await?.context("the server hung up")?;
            asked.send_replace(None);
            if to_agent.send(FromServer::Said(bytes)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        while let Some(bytes) = from_agent.recv().await {
            timeout(PATIENCE, frame::write(&mut writer, &bytes))
                .await
                .context("the server does not read")??;
            asked.send_modify(|since| _ = since.get_or_insert_with(Instant::now));
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
        () = overdue(waiting) => bail!("no answer within {ANSWER:?}"),
    }
}

/// Returns when an answer is overdue.
async fn overdue(mut waiting: watch::Receiver<Option<Instant>>) {
    loop {
        let since = *waiting.borrow_and_update();
        let deadline = since.map(|since| since + ANSWER);
        tokio::select! {
            changed = waiting.changed() => if changed.is_err() { return },
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return,
        }
    }
}

impl std::fmt::Debug for Tcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tcp").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "Server",
            Self::Agent(..) => "Agent",
        })
    }
}
