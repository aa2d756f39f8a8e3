//! What the user decides: mode, host, ports, static bindings, policies, limits and timers.
//!
//! Plain data with public fields, so that a configuration file can fill it and a rule exporter can
//! read it. [`Config::check`] says what contradicts itself.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;
use macaddr::MacAddr6;
use vlan_table::PortId;

use crate::{Binding, Vlans};

/// Everything that [`MacNat::new`](crate::MacNat::new) needs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// What the provider accepts.
    pub mode: Mode,
    /// The machine that translates.
    pub host: Host,
    /// Routers of the provider: no inside machine may claim their addresses, in any VLAN.
    pub gateways: Vec<IpAddr>,
    /// Subnet broadcast addresses beside `255.255.255.255`.
    pub broadcasts: Vec<core::net::Ipv4Addr>,
    /// The inside ports.
    pub ports: Vec<Port>,
    /// Bindings that are known from the start.
    pub bindings: Vec<Binding>,
    /// What happens when addresses are contested, and with rare kinds of frames.
    pub policy: Policy,
    /// Memory, and everybody's share of it.
    pub limits: Limits,
    /// How long things live.
    pub timers: Timers,
    /// Seeds the hash tables. Secret and random in production: then nobody can choose addresses
    /// that collide.
    pub seed: u64,
}

impl Config {
    /// The given mode for a host whose NIC has the address `mac`; no ports, no bindings, defaults.
    pub fn new(mode: Mode, mac: MacAddr6) -> Self {
        Self {
            mode,
            host: Host { mac, addresses: Vec::new() },
            gateways: Vec::new(),
            broadcasts: Vec::new(),
            ports: Vec::new(),
            bindings: Vec::new(),
            policy: Policy::default(),
            limits: Limits::default(),
            timers: Timers::default(),
            seed: 0,
        }
    }

    /// What contradicts itself.
    ///
    /// # Errors
    /// [`ConfigError`] with the first contradiction found.
    pub fn check(&self) -> Result<(), ConfigError> {
        let group = |mac: MacAddr6| mac.is_multicast() || mac.is_nil();
        if group(self.host.mac) {
            return Err(ConfigError::NotAStation { mac: self.host.mac });
        }
        for (i, port) in self.ports.iter().enumerate() {
            if self.ports.iter().take(i).any(|other| other.id == port.id) {
                return Err(ConfigError::DuplicatePort { port: port.id });
            }
            if let Some(mac) = port.wire.into_iter().chain(port.macs.iter().copied()).find(|mac| group(*mac))
            {
                return Err(ConfigError::NotAStation { mac });
            }
        }
        let mut seen = alloc::collections::BTreeSet::new();
        for binding in &self.bindings {
            self.check_binding(binding)?;
            if !seen.insert((binding.vlans, binding.net.trunc())) {
                return Err(ConfigError::DuplicateBinding { net: binding.net, vlans: binding.vlans });
            }
        }
        if self.bindings.len() > self.limits.bindings {
            return Err(ConfigError::TooManyBindings {
                given: self.bindings.len(),
                limit: self.limits.bindings,
            });
        }
        Ok(())
    }

    /// What contradicts the rest of the configuration in one binding.
    ///
    /// # Errors
    /// [`ConfigError`] with the contradiction.
    pub fn check_binding(&self, binding: &Binding) -> Result<(), ConfigError> {
        let group = |mac: &MacAddr6| mac.is_multicast() || mac.is_nil();
        if let Some(mac) = [binding.inside, binding.wire].into_iter().find(group) {
            return Err(ConfigError::NotAStation { mac });
        }
        if !self.ports.iter().any(|port| port.id == binding.port) {
            return Err(ConfigError::UnknownPort { port: binding.port, net: binding.net });
        }
        if self.mode == Mode::Single && binding.wire != self.host.mac {
            return Err(ConfigError::WireMac { net: binding.net, wire: binding.wire, host: self.host.mac });
        }
        let is_binding = |addr: &IpAddr| binding.is_host() && binding.net.addr() == *addr;
        let own = self.host.addresses.iter().filter(|own| own.vlans == binding.vlans).map(|own| own.addr);
        if let Some(addr) = own.chain(self.gateways.iter().copied()).find(is_binding) {
            return Err(ConfigError::Taken { addr });
        }
        Ok(())
    }

    /// The MACs that may leave through the uplink: the host's and every binding's and port's.
    pub fn wire_macs(&self) -> impl Iterator<Item = MacAddr6> {
        let bindings = self.bindings.iter().map(|binding| binding.wire);
        let ports = self.ports.iter().filter_map(|port| port.wire);
        core::iter::once(self.host.mac).chain(bindings).chain(ports)
    }
}

/// What the provider accepts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Mode {
    /// One MAC, the NIC's own, for every address and for the host.
    Single,
    /// One MAC per address, chosen by the provider.
    Vmac,
}

/// The machine that translates.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// The NIC's own MAC: *E*.
    pub mac: MacAddr6,
    /// Addresses that the host itself has; nobody inside may claim them. The link-local addresses
    /// formed from the wire MACs need not be listed: they always stay with the host.
    pub addresses: Vec<HostAddress>,
}

/// An address of the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HostAddress {
    /// The address.
    pub addr: IpAddr,
    /// The VLANs in which the host has it.
    pub vlans: Vlans,
}

/// A port to virtual machines.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Port {
    /// Its number, also in frames' verdicts.
    pub id: PortId,
    /// The wire MAC of addresses that have no binding (mode *vmac*; in *single* it is the host's).
    pub wire: Option<MacAddr6>,
    /// The MACs that may speak here; any if empty (port security).
    pub macs: Vec<MacAddr6>,
    /// The addresses that may be used here; any if empty (anti-spoofing). Addresses of static
    /// bindings on this port are always allowed.
    pub allowed: Vec<IpNet>,
    /// How many bindings may be learned here; [`Limits::bindings_per_port`] if `None`.
    pub quota: Option<usize>,
}

impl Port {
    /// A port where any MAC may use any address.
    pub fn new(id: PortId) -> Self {
        Self { id, wire: None, macs: Vec::new(), allowed: Vec::new(), quota: None }
    }

    /// Whether the port's lists admit this MAC.
    pub fn admits_mac(&self, mac: MacAddr6) -> bool {
        self.macs.is_empty() || self.macs.contains(&mac)
    }

    /// Whether the port's lists admit this address. Link-local addresses are always admitted
    /// unless one is listed: every machine has some, and they are of no use beyond the link.
    pub fn admits_ip(&self, ip: IpAddr) -> bool {
        let link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        self.allowed.is_empty()
            || self.allowed.iter().any(|net| net.contains(&ip))
            || link_local(ip) && !self.allowed.iter().any(|net| link_local(net.addr()))
    }
}

/// Choices where there is no single right answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields, default))]
#[non_exhaustive]
pub struct Policy {
    /// An address is claimed from another inside port.
    pub takeover: Takeover,
    /// An address of ours is claimed outside (ARP sender).
    pub outside_claim: OutsideClaim,
    /// A frame comes for an address that nobody is known to have.
    pub miss: Miss,
    /// RARP from inside, as hypervisors send it after a live migration.
    pub rarp: Treatment,
    /// Router advertisements and redirects from inside.
    pub router_messages: Treatment,
    /// Messages of DHCP servers from inside.
    pub dhcp_servers: Treatment,
    /// The client identifier (option 61) of DHCP clients in mode *vmac*.
    pub client_id: ClientId,
}

/// Who gets an address that is claimed from another inside port.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Takeover {
    /// The last who spoke. Two who both speak are stopped after
    /// [`Timers::flap_moves`]: then the first keeps it for [`Timers::flap_hold`].
    #[default]
    Accept,
    /// The first, until the binding expires.
    FirstWins,
    /// The old owner is asked; the address moves if there is no answer within [`Timers::verify`].
    Verify,
    /// Nothing is ever learned: only static bindings count.
    StaticOnly,
}

/// What happens with an outside ARP message whose sender has an address of ours.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum OutsideClaim {
    /// The owner gets a copy and can defend itself (RFC 5227), as if it stood on the wire itself.
    #[default]
    CopyToOwner,
    /// The frame is dropped: inside machines never hear of it.
    Drop,
}

/// What happens when a frame comes for an address that nobody is known to have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Miss {
    /// It is dropped.
    Drop,
    /// It is dropped, and the inside ports are asked who has the address.
    #[default]
    Ask,
    /// As `Ask`, but the first frames are kept until the answer.
    Hold,
}

/// What happens with a rare kind of frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Treatment {
    /// It is dropped.
    #[default]
    Drop,
    /// Its addresses are translated.
    Translate,
}

/// What happens with a DHCP client identifier that is the client's MAC (mode *vmac*).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ClientId {
    /// It stays: an identifier is opaque, and a lease follows the machine (RFC 2132, 9.14).
    #[default]
    Keep,
    /// It becomes the wire MAC, for servers that find the lease by it.
    Rewrite,
}

/// Memory, and everybody's share of it. All of it is allocated by
/// [`MacNat::new`](crate::MacNat::new), about 200 bytes per binding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields, default))]
#[non_exhaustive]
pub struct Limits {
    /// Bindings in all, static ones included.
    pub bindings: usize,
    /// Bindings that may be learned on one port.
    pub bindings_per_port: usize,
    /// MACs that may be learned on one port beside those that have a binding.
    pub macs_per_port: usize,
    /// Pending address probes, and as many DHCP transactions.
    pub pending: usize,
    /// Pending address probes, and as many DHCP transactions, of one port.
    pub pending_per_port: usize,
    /// Addresses that may be asked for at the same time.
    pub asks: usize,
    /// Frames that may be held at the same time ([`Miss::Hold`]).
    pub held_frames: usize,
    /// Frames that may be held for one address.
    pub held_per_address: usize,
    /// Longest frame that may be held, in bytes.
    pub held_bytes: usize,
    /// Frames of our own that may wait for [`poll_transmit`](crate::MacNat::poll_transmit).
    pub transmit_queue: usize,
    /// Events that may wait for [`poll_event`](crate::MacNat::poll_event).
    pub event_queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bindings: 4096,
            bindings_per_port: 64,
            macs_per_port: 64,
            pending: 1024,
            pending_per_port: 16,
            asks: 256,
            held_frames: 64,
            held_per_address: 3,
            held_bytes: 1522,
            transmit_queue: 256,
            event_queue: 256,
        }
    }
}

/// How long things live.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Timers {
    /// A learned binding without a frame of its owner.
    pub lifetime: Duration,
    /// How long before the end the owner is asked, three times at most.
    pub refresh_before: Duration,
    /// A pending address probe (RFC 5227: probes span up to 7 s, the answer waits 2 s).
    pub probe: Duration,
    /// A DHCP transaction.
    pub dhcp: Duration,
    /// Between two questions for one address.
    pub ask_interval: Duration,
    /// Questions for one address before we give up.
    pub ask_tries: u8,
    /// How long an address that did not answer is not asked for again.
    pub ask_pause: Duration,
    /// How long the old owner of a contested address has to answer.
    pub verify: Duration,
    /// Within this time ...
    pub flap_window: Duration,
    /// ... an address may move this often, and is then held ...
    pub flap_moves: u8,
    /// ... by its first owner for this long.
    pub flap_hold: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            lifetime: seconds(20 * 60),
            refresh_before: seconds(30),
            probe: seconds(10),
            dhcp: seconds(60),
            ask_interval: seconds(1),
            ask_tries: 3,
            ask_pause: seconds(10),
            verify: seconds(1),
            flap_window: seconds(10),
            flap_moves: 3,
            flap_hold: seconds(30),
        }
    }
}

/// Why a configuration contradicts itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A group address, or all zeros, where a station's is needed.
    #[error("{mac} is no station's address")]
    NotAStation {
        /// The address as given.
        mac: MacAddr6,
    },
    /// Two ports with one number.
    #[error("port {port} is configured twice")]
    DuplicatePort {
        /// The number.
        port: PortId,
    },
    /// A binding for a port that is not configured.
    #[error("{net} is bound to port {port}, which is not configured")]
    UnknownPort {
        /// The port.
        port: PortId,
        /// The binding's key.
        net: IpNet,
    },
    /// One key, two bindings.
    #[error("{net} ({vlans}) is bound twice")]
    DuplicateBinding {
        /// The address or block.
        net: IpNet,
        /// The VLANs.
        vlans: Vlans,
    },
    /// A wire MAC of its own in mode *single*.
    #[error("{net} has the wire MAC {wire}, but mode `single` has only the host's, {host}")]
    WireMac {
        /// The binding's key.
        net: IpNet,
        /// Its wire MAC.
        wire: MacAddr6,
        /// The host's MAC.
        host: MacAddr6,
    },
    /// An address of the host or a gateway.
    #[error("{addr} belongs to the host or to a gateway and cannot be bound")]
    Taken {
        /// The address.
        addr: IpAddr,
    },
    /// More bindings than there is room for.
    #[error("{given} bindings, the limit is {limit}")]
    TooManyBindings {
        /// How many there are.
        given: usize,
        /// How many fit.
        limit: usize,
    },
}
