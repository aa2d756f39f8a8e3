//! Where ports belong: network, MAC address, addresses, administrative state. The second thing that the
//! bus carries, beside security groups and over the same connections.
//!
//! # How it stays in step
//!
//! An agent *asks*: its devices and the position that it holds. The server answers with the *whole* of
//! what concerns these devices, or that nothing was missed. From then on it sends *changes*, each with a
//! position: the stream that the answer began, and a number. A change applies to the number before it and
//! to nothing else, so none is applied twice; one that is missing shows at the next, or at the ask that
//! follows some silence, and costs the whole once more. Nothing is queued for an agent: the server
//! remembers what it told last and works out the difference when there is room for a message.
//!
//! # Bytes
//!
//! JSON: a port's wiring concerns one host and changes when the port does, so ease of reading is worth more
//! here than size. A message begins with `{`, and no message about groups does.

mod agent;
mod message;
mod server;

use std::net::IpAddr;

use macaddr::MacAddr6;
use secgroup_rpc::Uuid;
use serde::{Deserialize, Serialize};

pub use agent::{Agent, AgentConfig, Handled};
pub use message::{Question, WiringError, is_wiring};
pub use server::Server;

/// A port of a host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Port {
    /// Its id.
    #[serde(with = "text")]
    pub id: Uuid,
    /// The guest's address.
    #[serde(with = "text")]
    pub mac: MacAddr6,
    /// Where it belongs.
    pub network: Network,
    /// The guest's addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// `false` keeps it dead.
    #[serde(default = "yes")]
    pub admin_state_up: bool,
    /// Whether it must not be wired before its security groups are known: all but the ports of routers,
    /// DHCP servers and the like, of which groups say nothing.
    #[serde(default = "yes")]
    pub filtered: bool,
}

/// A layer-2 network, as a port on one host meets it: on another host its segment may be another.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Network {
    /// Its id.
    #[serde(with = "text")]
    pub id: Uuid,
    /// How it leaves the host.
    #[serde(rename = "type")]
    pub kind: NetworkKind,
    /// The physical network, for flat and VLAN networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_network: Option<String>,
    /// VLAN id or VNI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segmentation_id: Option<u32>,
}

/// How a network leaves a host.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// It does not.
    Local,
    /// Untagged on a physical network.
    Flat,
    /// With a VLAN tag on a physical network.
    Vlan,
    /// In a VXLAN tunnel.
    Vxlan,
    /// In a way that this program does not know; such ports stay dead and stop no others.
    #[serde(other)]
    Other,
}

impl Network {
    /// Why nobody could wire it, if so.
    pub fn fault(&self) -> Option<&'static str> {
        let has_wire = self.physical_network.as_ref().is_some_and(|name| !name.is_empty());
        let id = self.segmentation_id;
        match self.kind {
            NetworkKind::Flat | NetworkKind::Vlan if !has_wire => Some("it names no physical network"),
            NetworkKind::Vlan if !id.is_some_and(|id| (1..=4094).contains(&id)) => {
                Some("its segmentation id is no VLAN id")
            }
            NetworkKind::Vxlan if id.is_none_or(|id| id >= 1 << 24) => Some("its segmentation id is no VNI"),
            NetworkKind::Other => Some("its type is none of local, flat, vlan and vxlan"),
            _ => None,
        }
    }
}

/// How far an agent is: the stream, and the number of the last change in it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Position {
    stream: u64,
    number: u64,
}

const fn yes() -> bool {
    true
}

/// What is written as people write it.
pub(crate) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string().to_lowercase())
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| D::Error::custom(format!("`{}`: {error}", text.escape_debug())))
    }
}

#[cfg(test)]
mod tests;
