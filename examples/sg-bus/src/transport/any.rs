//! Whichever transport the command line names.

use anyhow::Result;

use super::amqp::Amqp;
use super::mem::Mem;
use super::tcp::Tcp;
use super::{AgentEnd, AgentName, ServerEnd, Transport};

/// One of the transports.
#[derive(Clone, Debug)]
pub enum Any {
    /// Within the process.
    Mem(Mem),
    /// TLS over TCP.
    Tcp(Tcp),
    /// Through a broker.
    Amqp(Amqp),
}

impl Transport for Any {
    async fn serve(&self) -> Result<ServerEnd> {
        match self {
            Self::Mem(mem) => mem.serve().await,
            Self::Tcp(tcp) => tcp.serve().await,
            Self::Amqp(amqp) => amqp.serve().await,
        }
    }

    async fn join(&self, name: &AgentName) -> Result<AgentEnd> {
        match self {
            Self::Mem(mem) => mem.join(name).await,
            Self::Tcp(tcp) => tcp.join(name).await,
            Self::Amqp(amqp) => amqp.join(name).await,
        }
    }
}
