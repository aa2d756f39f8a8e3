//! Through RabbitMQ: requests and answers in queues, changes through a topic exchange.
//!
//! ```text
//! agents --> queue sg.requests (quorum; any server takes a request) --> servers
//! agents --> queue sg.server.<id> (of the server that answered last) --> that server
//! server --> exchange sg.changes (topic; key: the agent) --> queue sg.agent.<name>.<id> --> agent
//! ```
//!
//! An agent sends its first sync to whichever server is free and then stays with the one that answered.
//! When that one is gone its queue is, too: the broker returns the next message, and the agent turns
//! to the common queue again. Likewise a message to an agent whose queue is gone comes back, and the
//! server forgets that agent. Every message is published with confirms; a queue that is full drops its
//! oldest, which costs that agent a sync and the server nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures_lite::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind, PublisherConfirm,
};
use secgroup_rpc::sync::AgentId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{
    AgentEnd, AgentName, FromAgent, FromServer, MAX_ANSWER, MAX_REQUEST, Outbox, QUEUE, ServerEnd, Transport,
};
use crate::backoff::Backoff;
use crate::input::BadInput;

const REQUESTS: &str = "sg.requests";
const CHANGES: &str = "sg.changes";
/// Messages that the broker keeps for one agent before it drops the oldest.
const AGENT_BACKLOG: i64 = 1024;
/// Requests that wait for a server; a stale one is answered in vain.
const REQUEST_BACKLOG: i64 = 65_536;
const REQUEST_LIFETIME_MS: i64 = 30_000;
/// Deliveries that are not acknowledged yet.
const PREFETCH: u16 = 64;
const HEARTBEAT_SECONDS: u16 = 10;
/// How long a connection attempt or a confirmation may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Agents that a server talks to at most.
const MAX_AGENTS: usize = 1 << 17;

/// A broker.
#[derive(Clone, Debug)]
pub struct Amqp {
    uri: AMQPUri,
    backlog: i64,
}

impl Amqp {
    /// The broker at `amqp://user:password@host:port/vhost`.
    ///
    /// # Errors
    /// [`BadInput`] for any other text.
    pub fn new(uri: &str) -> Result<Self> {
        Ok(Self { uri: parse_uri(uri)?, backlog: AGENT_BACKLOG })
    }

    /// Has the broker keep this many messages for an agent before it drops the oldest; 1,024 otherwise.
    #[must_use]
    pub fn with_backlog(self, messages: u16) -> Self {
        Self { backlog: messages.into(), ..self }
    }
}

/// Reads a broker's address; heartbeats are on.
pub(crate) fn parse_uri(uri: &str) -> Result<AMQPUri> {
    let mut uri: AMQPUri = uri
        .parse()
        // Not the text itself: it may hold a password.
        .map_err(|error| BadInput(format!("not amqp://user:password@host:port/vhost: {error}")))?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    Ok(uri)
}

/// A connection within a bounded time.
pub(crate) async fn connect(uri: &AMQPUri, who: &str) -> Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name(who.into());
    let (host, port) = (&uri.authority.host, uri.authority.port);
    let connected = timeout(PATIENCE, Connection::connect_uri(uri.clone(), properties)).await;
    let connected = connected.map_err(|_| anyhow!("no answer within {PATIENCE:?}"));
    connected.and_then(|connected| Ok(connected?)).with_context(|| format!("broker at {host}:{port}"))
}

impl Transport for Amqp {
    async fn serve(&self) -> Result<ServerEnd> {
        let (to_server, inbox) = mpsc::channel(QUEUE);
        let (outbox, from_server) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_serving(self.uri.clone(), to_server, outbox, from_server));
        Ok(ServerEnd { inbox, tasks })
    }

    async fn join(&self, name: &AgentName) -> Result<AgentEnd> {
        let (to_agent, inbox) = mpsc::channel(QUEUE);
        let (outbox, from_agent) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_joining(self.clone(), name.clone(), to_agent, from_agent));
        Ok(AgentEnd { inbox, outbox, tasks })
    }
}

/// Agents by the name of their queue.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<ShortString, AgentId>,
    queues: HashMap<AgentId, ShortString>,
    next: u64,
}

impl Names {
    /// The number of an agent; `None` if there are too many.
    fn number(&mut self, queue: &ShortString) -> Option<AgentId> {
        if let Some(agent) = self.numbers.get(queue) {
            return Some(*agent);
        }
        if self.numbers.len() >= MAX_AGENTS {
            return None;
        }
        let agent = AgentId(self.next);
        self.next += 1;
        self.numbers.insert(queue.clone(), agent);
        self.queues.insert(agent, queue.clone());
        Some(agent)
    }

    fn forget(&mut self, agent: AgentId) {
        if let Some(queue) = self.queues.remove(&agent) {
            self.numbers.remove(&queue);
        }
    }
}

async fn keep_serving(
    uri: AMQPUri,
    to_server: mpsc::Sender<FromAgent>,
    outbox: mpsc::Sender<(AgentId, Vec<u8>)>,
    mut from_server: mpsc::Receiver<(AgentId, Vec<u8>)>,
) {
    let mut backoff = Backoff::for_connections();
    while !to_server.is_closed() {
        let names = Arc::default();
        let serving = async {
            let own = ServerChannel::open(&uri).await?;
            backoff.succeeded();
            own.run(&names, &to_server, &outbox, &mut from_server).await
        };
        let error = serving.await.err();
        // Whoever was told something may not have got it.
        let agents: Vec<_> = lock(&names).queues.keys().copied().collect();
        for agent in agents {
            if to_server.send(FromAgent::Left(agent)).await.is_err() {
                return;
            }
        }
        while from_server.try_recv().is_ok() {}
        if let Some(error) = error {
            eprintln!("sg-bus server: {error:#}; trying again");
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// A server's channel with its queues.
struct ServerChannel {
    // Dropping it would close the channel.
    _connection: Connection,
    channel: Channel,
    requests: Consumer,
    own: Consumer,
    own_name: ShortString,
}

impl ServerChannel {
    async fn open(uri: &AMQPUri) -> Result<Self> {
        let connection = connect(uri, "sg-bus server").await?;
        declare_requests(&connection).await?;
        let channel = open_channel(&connection).await?;
        let own_name: ShortString = format!("sg.server.{:016x}", fastrand::u64(..)).into();
        declare_own(&channel, own_name.clone(), REQUEST_BACKLOG).await?;
        let requests = consume(&channel, REQUESTS.into()).await?;
        let own = consume(&channel, own_name.clone()).await?;
        Ok(Self { _connection: connection, channel, requests, own, own_name })
    }

    async fn run(
        mut self,
        names: &Arc<Mutex<Names>>,
        to_server: &mpsc::Sender<FromAgent>,
        outbox: &mpsc::Sender<(AgentId, Vec<u8>)>,
        from_server: &mut mpsc::Receiver<(AgentId, Vec<u8>)>,
    ) -> Result<()> {
        let (confirm, confirms) = mpsc::channel(QUEUE);
        let mut judge = tokio::spawn(watch_confirms(confirms, Arc::clone(names), to_server.clone()));
        let properties = BasicProperties::default().with_reply_to(self.own_name.clone());
        loop {
            tokio::select! {
                delivery = self.requests.next() => self.take(delivery, names, to_server, outbox).await?,
                delivery = self.own.next() => self.take(delivery, names, to_server, outbox).await?,
                message = from_server.recv() => {
                    let Some((agent, bytes)) = message else { return Ok(()) };
                    let Some(queue) = lock(names).queues.get(&agent).cloned() else { continue };
                    let published = publish(&self.channel, CHANGES, queue, &bytes, properties.clone()).await?;
                    confirm.send((agent, published)).await.ok().context("confirmations ended")?;
                }
                ended = &mut judge => return ended.context("confirmations")?,
                () = to_server.closed() => return Ok(()),
            }
        }
    }

    async fn take(
        &self,
        delivery: Option<lapin::Result<Delivery>>,
        names: &Mutex<Names>,
        to_server: &mpsc::Sender<FromAgent>,
        outbox: &mpsc::Sender<(AgentId, Vec<u8>)>,
    ) -> Result<()> {
        let delivery = delivery.context("the broker ended the subscription")??;
        let sender = delivery.properties.reply_to().as_ref().filter(|queue| is_agent_queue(queue));
        let agent = sender.and_then(|queue| lock(names).number(queue));
        if let Some(agent) = agent.filter(|_| delivery.data.len() <= MAX_REQUEST) {
            let outbox = Outbox::Shared(outbox.clone());
            let said = FromAgent::Said { agent, bytes: delivery.data, outbox };
            to_server.send(said).await.ok().context("the server ended")?;
        }
        delivery.acker.ack(BasicAckOptions::default()).await?;
        Ok(())
    }
}

/// Who lost a message is forgotten: its queue is gone or refuses.
async fn watch_confirms(
    mut confirms: mpsc::Receiver<(AgentId, PublisherConfirm)>,
    names: Arc<Mutex<Names>>,
    to_server: mpsc::Sender<FromAgent>,
) -> Result<()> {
    while let Some((agent, published)) = confirms.recv().await {
        if !arrived(published).await? {
            lock(&names).forget(agent);
            to_server.send(FromAgent::Left(agent)).await.ok().context("the server ended")?;
        }
    }
    Ok(())
}

async fn keep_joining(
    broker: Amqp,
    name: AgentName,
    to_agent: mpsc::Sender<FromServer>,
    mut from_agent: mpsc::Receiver<Vec<u8>>,
) {
    let mut backoff = Backoff::for_connections();
    loop {
        let joined = async {
            let channel = AgentChannel::open(&broker, &name).await?;
            backoff.succeeded();
            channel.run(&to_agent, &mut from_agent).await
        };
        let Err(error) = joined.await else { return };
        if to_agent.send(FromServer::Lost(format!("{error:#}"))).await.is_err() {
            return;
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// An agent's channel with its queue.
struct AgentChannel {
    _connection: Connection,
    channel: Channel,
    own: Consumer,
    own_name: ShortString,
    /// The queue of the server that answered last.
    server: Option<ShortString>,
}

impl AgentChannel {
    async fn open(broker: &Amqp, name: &AgentName) -> Result<Self> {
        let connection = connect(&broker.uri, &format!("sg-bus agent {name}")).await?;
        declare_requests(&connection).await?;
        let channel = open_channel(&connection).await?;
        // A new queue each time: the broker may not have noticed yet that the old connection is dead.
        let own_name: ShortString = format!("sg.agent.{name}.{:016x}", fastrand::u64(..)).into();
        declare_own(&channel, own_name.clone(), broker.backlog).await?;
        let bind = QueueBindOptions::default();
        channel
            .queue_bind(own_name.clone(), CHANGES.into(), own_name.clone(), bind, FieldTable::default())
            .await?;
        let own = consume(&channel, own_name.clone()).await?;
        Ok(Self { _connection: connection, channel, own, own_name, server: None })
    }

    /// Ends well if the agent ended.
    async fn run(
        mut self,
        to_agent: &mpsc::Sender<FromServer>,
        from_agent: &mut mpsc::Receiver<Vec<u8>>,
    ) -> Result<()> {
        while from_agent.try_recv().is_ok() {}
        if to_agent.send(FromServer::Connected).await.is_err() {
            return Ok(());
        }
        loop {
            tokio::select! {
                delivery = self.own.next() => {
                    let delivery = delivery.context("the broker ended the subscription")??;
                    if let Some(server) = delivery.properties.reply_to() {
                        self.server = Some(server.clone());
                    }
                    let fits = delivery.data.len() <= MAX_ANSWER;
                    if fits && to_agent.send(FromServer::Said(delivery.data)).await.is_err() {
                        return Ok(());
                    }
                    delivery.acker.ack(BasicAckOptions::default()).await?;
                }
                bytes = from_agent.recv() => {
                    let Some(bytes) = bytes else { return Ok(()) };
                    self.send(&bytes).await?;
                }
            }
        }
    }

    /// To the server that knows us, or to whichever is there.
    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let properties = BasicProperties::default().with_reply_to(self.own_name.clone());
        if let Some(server) = &self.server {
            let published = publish(&self.channel, "", server.clone(), bytes, properties.clone()).await?;
            if arrived(published).await? {
                return Ok(());
            }
            self.server = None;
        }
        let published = publish(&self.channel, "", REQUESTS.into(), bytes, properties).await?;
        // A request that the broker refuses is repeated by the agent, with growing pauses.
        arrived(published).await.map(drop)
    }
}

fn is_agent_queue(name: &ShortString) -> bool {
    name.as_str().starts_with("sg.agent.")
}

async fn open_channel(connection: &Connection) -> Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(CHANGES.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    Ok(channel)
}

/// A quorum queue survives the loss of a broker of the cluster; where it is refused, a durable one
/// must do. Each attempt has its own channel, since a refusal closes it.
async fn declare_requests(connection: &Connection) -> Result<()> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(REQUEST_BACKLOG));
    arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(REQUEST_LIFETIME_MS));
    let mut quorum = arguments.clone();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let channel = connection.create_channel().await?;
    if channel.queue_declare(REQUESTS.into(), durable, quorum).await.is_ok() {
        return Ok(());
    }
    let channel = connection.create_channel().await?;
    channel.queue_declare(REQUESTS.into(), durable, arguments).await.context("queue sg.requests")?;
    Ok(())
}

/// A bounded queue that goes when its connection goes.
async fn declare_own(channel: &Channel, name: ShortString, backlog: i64) -> Result<()> {
    let exclusive = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(backlog));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    channel.queue_declare(name, exclusive, arguments).await?;
    Ok(())
}

async fn consume(channel: &Channel, queue: ShortString) -> Result<Consumer> {
    let options = BasicConsumeOptions::default();
    Ok(channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?)
}

async fn publish(
    channel: &Channel,
    exchange: &str,
    key: ShortString,
    bytes: &[u8],
    properties: BasicProperties,
) -> Result<PublisherConfirm> {
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    Ok(channel.basic_publish(exchange.into(), key, mandatory, bytes, properties).await?)
}

/// Waits for the broker's word; whether the message found a queue.
async fn arrived(published: PublisherConfirm) -> Result<bool> {
    let confirmation = timeout(PATIENCE, published).await.context("the broker confirms nothing")??;
    Ok(confirmation.is_ack() && confirmation.take_message().is_none())
}

fn lock(names: &Mutex<Names>) -> std::sync::MutexGuard<'_, Names> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}
