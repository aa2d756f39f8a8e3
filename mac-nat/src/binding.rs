//! Bindings as data: what the engine works from, a snapshot keeps, and an exporter writes.

use core::fmt;
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

/// Such as `203.0.113.11/32 at port 1, fa:16:3e:00:00:01 seen as 52:54:00:aa:00:01, static`.
impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.net)?;
        if self.vlans != Vlans::UNTAGGED {
            write!(f, " in VLAN {}", self.vlans)?;
        }
        let (inside, wire) = (LowerCase(self.inside), LowerCase(self.wire));
        write!(f, " at port {}, {inside} seen as {wire}, ", self.port)?;
        match self.expires_in {
            Some(left) => write!(f, "learned, {} s left", left.as_secs()),
            None => f.write_str("static"),
        }
    }
}

/// A MAC as every tool of the field prints it.
pub(crate) struct LowerCase(pub(crate) MacAddr6);

impl fmt::Display for LowerCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0.into_array();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
