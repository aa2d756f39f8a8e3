//! What agents and servers say about wiring, as JSON.

use secgroup_rpc::Uuid;
use serde::{Deserialize, Serialize};

use super::{Port, Position};
use crate::transport::AgentName;

/// Devices of one agent.
pub(super) const MAX_DEVICES: usize = 16_384;

/// Why bytes are no message about wiring.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// Not JSON, or another message.
    #[error("wiring: {0}")]
    Json(#[from] serde_json::Error),
    /// More devices than one host has.
    #[error("wiring: {0} devices, where {MAX_DEVICES} are the most")]
    Devices(usize),
    /// A host's name is wrong.
    #[error("wiring: the host's name is none: 1 to 64 letters, digits, - _ . are")]
    Host,
}

/// What an agent says.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ToServer {
    Ask {
        nonce: u32,
        /// As the server's source may know the host.
        host: String,
        devices: Vec<Id>,
        #[serde(default)]
        up: Vec<Id>,
        holds: Option<Position>,
    },
}

/// What a server says. Answers repeat the nonce of the question.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ToAgent {
    /// Everything that concerns the devices.
    Whole { nonce: u32, at: Position, ports: Vec<Port> },
    /// Nothing was missed.
    Same { nonce: u32 },
    /// This server says nothing about wiring.
    Nothing { nonce: u32 },
    /// What is other than at the position before.
    Change { at: Position, ports: Vec<Port>, removed: Vec<Id> },
}

/// An id as text.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Id(#[serde(with = "super::text")] pub(super) Uuid);

impl ToServer {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, WiringError> {
        let message = serde_json::from_slice(bytes)?;
        let Self::Ask { devices, up, .. } = &message;
        let most = devices.len().max(up.len());
        if most > MAX_DEVICES {
            return Err(WiringError::Devices(most));
        }
        Ok(message)
    }
}

/// The bytes of a message.
pub(super) fn write(message: &impl Serialize) -> Vec<u8> {
    // Strings and numbers alone: nothing here can fail.
    serde_json::to_vec(message).unwrap_or_default()
}

/// Whether a message is about wiring; if not, it is about groups.
pub fn is_wiring(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{')
}

/// What an agent asks, for who must know about all its devices before it is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// As the agent calls its host.
    pub host: AgentName,
    /// The devices there.
    pub devices: Vec<Uuid>,
    /// Those of them that are wired, filtered and acknowledged by the switch.
    pub up: Vec<Uuid>,
}

impl Question {
    /// Reads an agent's question.
    ///
    /// # Errors
    /// [`WiringError`] if it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, WiringError> {
        let ToServer::Ask { host, devices, up, .. } = ToServer::read(bytes)?;
        let ids = |list: Vec<Id>| list.into_iter().map(|id| id.0).collect();
        let host = host.parse().map_err(|_| WiringError::Host)?;
        Ok(Self { host, devices: ids(devices), up: ids(up) })
    }
}
