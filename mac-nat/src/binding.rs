//! Bindings as data: what the engine works from, a snapshot keeps, and an exporter writes.

use core::time::Duration;

use ipnet::IpNet;
use macaddr::MacAddr6;
use vlan_table::PortId;

use crate::Vlans;

/// An address (or a routed block) and its owner.
///
/// `net` and `vlans` are the key: an address has one owner per VLAN, and `port` and `inside` say
/// who that is. Two machines with the same MAC on two ports are two owners.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Binding {
    /// The address as a host prefix (`/32`, `/128`), or a block that is routed to the owner. Bits
    /// beyond the prefix are ignored.
    pub net: IpNet,
    /// The VLANs in which this holds.
    #[cfg_attr(feature = "serde", serde(default))]
    pub vlans: Vlans,
    /// The owner's port.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_form::port"))]
    pub port: PortId,
    /// The MAC that the owner really uses: *V*.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_form::mac"))]
    pub inside: MacAddr6,
    /// The MAC that the provider sees: *W*.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_form::mac"))]
    pub wire: MacAddr6,
    /// How we know.
    pub origin: Origin,
    /// How much longer a learned binding lives without a frame of its owner; `None` for a static one.
    #[cfg_attr(feature = "serde", serde(default))]
    pub expires_in: Option<Duration>,
}

impl Binding {
    /// A static binding in no VLAN.
    pub fn fixed(net: impl Into<IpNet>, port: PortId, inside: MacAddr6, wire: MacAddr6) -> Self {
        let net = net.into().trunc();
        Self { net, vlans: Vlans::UNTAGGED, port, inside, wire, origin: Origin::Static, expires_in: None }
    }

    /// The same in other VLANs.
    #[must_use]
    pub fn in_vlans(mut self, vlans: Vlans) -> Self {
        self.vlans = vlans;
        self
    }

    /// Whether this is one address, not a block.
    pub fn is_host(&self) -> bool {
        self.net.prefix_len() == self.net.max_prefix_len()
    }
}

/// How a binding came to be.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Origin {
    /// Configured; never expires, and nobody else can claim it.
    Static,
    /// Seen in a frame from the owner's port.
    Learned,
}
