//! The same bindings as rules for data planes that exist already.
//!
//! Each exporter writes what its data plane can do, and says as data what it cannot: in general
//! ([`DataPlane::support`]) and for each binding that it had to leave out ([`Rules::left_out`]).
//! Whoever needs the rest runs [`MacNat`](crate::MacNat) itself.
//!
//! ```
//! use mac_nat::export::{Ability, DataPlane, Interfaces, Support};
//! use mac_nat::{Binding, Config, MacAddr6, Mode, Port, PortId};
//!
//! let wire: MacAddr6 = "52:54:00:aa:00:01".parse()?;
//! let port = PortId::new(1).unwrap();
//! let mut config = Config::new(Mode::Single, wire);
//! config.ports.push(Port::new(port));
//! let address: std::net::IpAddr = "203.0.113.11".parse()?;
//! config.bindings.push(Binding::fixed(address, port, "fa:16:3e:00:00:01".parse()?, wire));
//!
//! let rules = DataPlane::Ebtables.export(&config, &Interfaces::new("eth0", [(port, "tap1")]))?;
//! assert!(rules.text.contains("--ip-dst 203.0.113.11 -j dnat --to-destination fa:16:3e:00:00:01"));
//! assert_eq!(DataPlane::Ebtables.support(Ability::NeighbourDiscovery), Support::No);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ebtables;
pub mod netlink;
mod nftables;
mod openflow;
mod openflow_learn;
mod support;

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use vlan_table::PortId;

use crate::{Binding, Config, ConfigError};

pub use support::{Ability, Support};

/// Marks flows as ours, learned ones too: "macnat" in ASCII, and 16 bits that are free.
pub const COOKIE: u64 = u64::from_be_bytes(*b"macnat\0\0");

/// A program that can carry rules.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DataPlane {
    /// `ebtables`, as a shell script of commands.
    Ebtables,
    /// `nft -f`, bridge family.
    Nftables,
    /// `nft -f`, netdev family: hooks at the devices instead of the bridge.
    NftNetdev,
    /// `nft -f`, bridge family, and [rules](Rules::netlink) that only netlink can express.
    NftNetlink,
    /// `ovs-ofctl add-flows`, one flow per address.
    OpenFlow,
    /// `ovs-ofctl add-flows`, where `learn()` fills in the way back.
    OpenFlowLearn,
}

/// What the interfaces of the configuration are called in the data plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interfaces {
    uplink: String,
    ports: BTreeMap<PortId, String>,
}

impl Interfaces {
    /// Device names, or for OpenFlow port numbers.
    pub fn new<'a>(uplink: &str, ports: impl IntoIterator<Item = (PortId, &'a str)>) -> Self {
        let ports = ports.into_iter().map(|(port, name)| (port, name.to_owned()));
        Self { uplink: uplink.to_owned(), ports: ports.collect() }
    }

    fn port(&self, port: PortId) -> Result<&str, ExportError> {
        self.ports.get(&port).map(String::as_str).ok_or(ExportError::NoInterface { port })
    }
}

/// Rules for a data plane.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// What its tool reads.
    pub text: String,
    /// Rules that belong into chains of the text, in front of what they have already, and that the
    /// tool cannot express ([`DataPlane::NftNetlink`] only). Until they are there, what they would
    /// translate is dropped.
    pub netlink: Vec<netlink::Rule>,
    /// Bindings that it cannot carry: their frames are dropped.
    pub left_out: Vec<LeftOut>,
}

/// A binding without rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeftOut {
    /// The binding.
    pub binding: Binding,
    /// What the data plane lacks for it.
    pub lacks: Ability,
}

/// Why no rules were written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A configured port has no interface.
    #[error("port {port} has no interface name")]
    NoInterface {
        /// The port.
        port: PortId,
    },
}

impl DataPlane {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ebtables,
        Self::Nftables,
        Self::NftNetdev,
        Self::NftNetlink,
        Self::OpenFlow,
        Self::OpenFlowLearn,
    ];

    /// The name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ebtables => "ebtables",
            Self::Nftables => "nft",
            Self::NftNetdev => "nft-netdev",
            Self::NftNetlink => "nft-netlink",
            Self::OpenFlow => "openflow",
            Self::OpenFlowLearn => "openflow-learn",
        }
    }

    /// The rules for a configuration. O(bindings).
    ///
    /// # Errors
    /// [`ExportError`] if the configuration contradicts itself or a port has no interface.
    pub fn export(self, config: &Config, interfaces: &Interfaces) -> Result<Rules, ExportError> {
        config.check()?;
        for port in &config.ports {
            interfaces.port(port.id)?;
        }
        match self {
            Self::Ebtables => ebtables::rules(config, interfaces),
            Self::Nftables | Self::NftNetdev | Self::NftNetlink => nftables::rules(self, config, interfaces),
            Self::OpenFlow => openflow::rules(config, interfaces),
            Self::OpenFlowLearn => openflow_learn::rules(config, interfaces),
        }
    }
}

impl Rules {
    fn leave_out(&mut self, binding: &Binding, lacks: Ability) {
        self.left_out.push(LeftOut { binding: *binding, lacks });
    }
}

/// Writes a line into a string, which cannot fail.
macro_rules! line {
    ($out:expr, $($format:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($out, $($format)*);
    }};
}
use line;
