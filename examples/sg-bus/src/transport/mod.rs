//! How messages travel between servers and agents: one trait, three ways.
//!
//! A transport owns its sockets, reconnects, and hands whole messages to and from bounded queues. It
//! may lose messages, since the streams heal themselves; it must not reorder or invent them.

pub mod amqp;
pub mod any;
pub mod mem;
pub mod tcp;

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use secgroup_rpc::sync::AgentId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::input::BadInput;

/// Messages that may wait between two tasks.
pub const QUEUE: usize = 256;
/// Longest message from an agent: a sync with a hundred thousand items.
pub const MAX_REQUEST: usize = 4 << 20;
/// Longest message to an agent: a heal with millions of members.
pub const MAX_ANSWER: usize = 64 << 20;

/// A way for messages.
pub trait Transport: Send + Sync {
    /// A server's end.
    ///
    /// # Errors
    /// If the place to listen at cannot be had. A broker that is away is none: it may come.
    fn serve(&self) -> impl Future<Output = Result<ServerEnd>> + Send;

    /// An agent's end; connects and reconnects by itself.
    ///
    /// # Errors
    /// If what was configured can never work.
    fn join(&self, name: &AgentName) -> impl Future<Output = Result<AgentEnd>> + Send;
}

/// What a server's transport delivers; dropped, it ends its connections.
#[derive(Debug)]
pub struct ServerEnd {
    /// From all agents.
    pub inbox: mpsc::Receiver<FromAgent>,
    /// The tasks that move the messages.
    pub tasks: JoinSet<()>,
}

/// Something from or about an agent.
#[derive(Debug)]
pub enum FromAgent {
    /// A message, and where answers go.
    Said {
        /// The agent, as long as its connection lasts.
        agent: AgentId,
        /// The message.
        bytes: Vec<u8>,
        /// The way back.
        outbox: Outbox,
    },
    /// It is gone, or messages to it were lost.
    Left(AgentId),
}

/// A bounded queue towards agents.
#[derive(Clone, Debug)]
pub enum Outbox {
    /// Of one agent. If it is full the agent is too slow, and is given up until it asks again.
    Own(mpsc::Sender<(AgentId, Vec<u8>)>),
    /// Of all agents behind one broker. If it is full the server waits, and changes coalesce.
    Shared(mpsc::Sender<(AgentId, Vec<u8>)>),
}

/// What an agent's transport delivers; dropped, it ends its connection.
#[derive(Debug)]
pub struct AgentEnd {
    /// From the server.
    pub inbox: mpsc::Receiver<FromServer>,
    /// To the server. What is put here without a connection is lost.
    pub outbox: mpsc::Sender<Vec<u8>>,
    /// The tasks that move the messages.
    pub tasks: JoinSet<()>,
}

/// Something from or about the server.
#[derive(Debug)]
pub enum FromServer {
    /// A connection was made: time to sync.
    Connected,
    /// A message.
    Said(Vec<u8>),
    /// There is no connection any more; the reason. Another is being made.
    Lost(String),
}

/// How an agent is called: 1 to 64 letters, digits, `-`, `_` and `.`, such as a host name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AgentName(String);

impl AgentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentName {
    type Err = BadInput;

    fn from_str(text: &str) -> Result<Self, BadInput> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text.into()))
        } else {
            Err(BadInput(format!("`{text}` is no agent name: 1 to 64 letters, digits, - _ . are")))
        }
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
