//! What the node shall look like: networks, ports, bridges, tunnels. Read from a file, TOML or
//! JSON, and from the file that a bus fills.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use macaddr::MacAddr6;
use secgroup_rpc::{Device, Info, Limits, Message, read_json};
use serde::Deserialize;
use vlan_table::VlanId;

use crate::bus::{self, Bus};
use crate::mapping::BridgeMappings;
use crate::translation::Translation;

/// The whole desired state of one node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// Physical network to bridge, as Neutron writes it.
    #[serde(default)]
    pub bridge_mappings: BridgeMappings,
    /// The bridge that holds every port of a guest.
    #[serde(default = "default_integration_bridge")]
    pub integration_bridge: String,
    /// The bridge that holds the tunnels; made only if there are any.
    #[serde(default = "default_tunnel_bridge")]
    pub tunnel_bridge: String,
    /// Tunnels to other nodes; none if absent.
    #[serde(default)]
    pub tunnels: Option<Tunnels>,
    /// Security groups; without them nothing is filtered.
    #[serde(default)]
    pub security: Option<Security>,
    /// A bus that knows more networks and ports, and the groups of all.
    #[serde(default)]
    pub bus: Option<Bus>,
    /// MAC translation towards a hoster; none if absent.
    #[serde(default)]
    pub translation: Option<Translation>,
    /// The networks, by their order in the file.
    #[serde(default, rename = "network")]
    pub networks: Vec<Network>,
    /// The ports, by their order in the file.
    #[serde(default, rename = "port")]
    pub ports: Vec<Port>,
}

/// Where tunnels start and end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Tunnels {
    /// This node's address.
    pub local_ip: IpAddr,
    /// The other nodes' addresses.
    #[serde(default)]
    pub remotes: Vec<IpAddr>,
}

/// Where security groups come from, and what they say.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// The reply of `security_group_info_for_devices`, as JSON or in `secgroup-rpc`'s binary form;
    /// relative to the file that names it.
    pub file: PathBuf,
    /// What becomes of a port that the reply does not have.
    #[serde(default)]
    pub unknown_ports: UnknownPorts,
    /// What the file says.
    #[serde(skip)]
    pub info: Info,
}

/// What becomes of a port that nobody said how to filter.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum UnknownPorts {
    /// It passes everything: Neutron leaves the ports of routers and DHCP servers out.
    #[default]
    Trusted,
    /// It stays dead.
    Dead,
}

/// How a port is filtered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filter<'a> {
    /// It passes everything.
    Nothing,
    /// By the groups of this device.
    Groups(&'a Device),
    /// Nobody knows, and it must not pass unfiltered.
    Unknown,
}

/// One layer-2 network.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Its UUID.
    pub id: String,
    /// How it leaves the node.
    #[serde(rename = "type")]
    pub kind: NetworkKind,
    /// The physical network, for `flat` and `vlan`.
    #[serde(default)]
    pub physical_network: Option<String>,
    /// VLAN id (`vlan`) or VNI (`vxlan`).
    #[serde(default)]
    pub segmentation_id: Option<u32>,
}

/// How a network leaves the node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
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
}

impl NetworkKind {
    /// The name in files and in the switch's database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Flat => "flat",
            Self::Vlan => "vlan",
            Self::Vxlan => "vxlan",
        }
    }
}

/// One port of a guest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its UUID, `iface-id` in the switch's database.
    pub id: String,
    /// The guest's address, `attached-mac` in the switch's database.
    pub mac: MacText,
    /// The UUID of its network.
    pub network: String,
    /// `false` keeps the port dead.
    #[serde(default = "default_true")]
    pub admin_state_up: bool,
    /// Whether it stays dead until its security groups are known; if not given, `unknown_ports` says it.
    #[serde(default)]
    pub filtered: Option<bool>,
}

/// A MAC address written `fa:16:3e:00:00:01`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct MacText(pub MacAddr6);

impl TryFrom<String> for MacText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("'{text}' is not a MAC address like fa:16:3e:00:00:01"))
    }
}

/// A network's way out, checked: what the plan works with.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Segment {
    /// Stays on the node.
    Local,
    /// Untagged through this bridge.
    Flat {
        /// The bridge of the physical network.
        bridge: String,
    },
    /// With a tag through this bridge.
    Vlan {
        /// The bridge of the physical network.
        bridge: String,
        /// The tag on the wire.
        vid: VlanId,
    },
    /// In tunnels with this network identifier.
    Vxlan {
        /// Below 2^24.
        vni: u32,
    },
}

/// Why a network cannot be wired on this node. Only its own ports stay down.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// No network of this id.
    #[error("network {0} is not known")]
    Unknown(String),
    /// A flat or VLAN network without a physical network.
    #[error("network {0} names no physical network")]
    NoPhysicalNetwork(String),
    /// The physical network has no bridge on this node.
    #[error("network {network}: physical network '{physical_network}' is not in bridge_mappings")]
    Unmapped {
        /// The network.
        network: String,
        /// What it asks for.
        physical_network: String,
    },
    /// A VLAN id or VNI that is missing or out of range.
    #[error("network {network}: segmentation id {segmentation_id:?} is not usable for type {kind}")]
    Segmentation {
        /// The network.
        network: String,
        /// The type's name.
        kind: &'static str,
        /// As given.
        segmentation_id: Option<u32>,
    },
    /// A tunnelled network on a node without tunnels.
    #[error("network {0} needs tunnels, and this node has none: set tunnels.local_ip")]
    NoTunnels(String),
}

impl Desired {
    /// Reads a file: JSON if its name ends in `.json`, TOML otherwise.
    ///
    /// # Errors
    /// Names the file and the place in it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let mut desired: Self = if is_json {
            serde_json::from_str(&text).with_context(|| path.display().to_string())?
        } else {
            toml::from_str(&text).with_context(|| path.display().to_string())?
        };
        desired.take_from_bus(path)?;
        desired.check_unique().with_context(|| path.display().to_string())?;
        if let Some(translation) = &desired.translation {
            let check = translation.flows(1, 2).map_err(anyhow::Error::msg);
            check.with_context(|| format!("{}: [translation]", path.display()))?;
        }
        if let (Some(security), None) = (&mut desired.security, &desired.bus) {
            let file = path.parent().unwrap_or(Path::new("")).join(&security.file);
            security.info = read_info(&file).with_context(|| file.display().to_string())?;
            security.file = file;
        }
        Ok(desired)
    }

    /// Networks, ports and groups that the bus knows.
    fn take_from_bus(&mut self, path: &Path) -> anyhow::Result<()> {
        let Some(bus) = &mut self.bus else { return Ok(()) };
        if self.security.is_some() {
            bail!("{}: the bus brings the groups; remove [security]", path.display());
        }
        bus.file = path.parent().unwrap_or(Path::new("")).join(&bus.file);
        let known = bus::read(&bus.file)?;
        self.networks.extend(known.networks);
        self.ports.extend(known.ports);
        self.security = Some(known.security);
        Ok(())
    }

    /// The file of security groups, if there is one of them alone.
    pub fn groups_file(&self) -> Option<&Path> {
        Some(&self.security.as_ref()?.file)
    }

    /// The file of the bus.
    pub fn bus_file(&self) -> Option<&Path> {
        Some(&self.bus.as_ref()?.file)
    }

    /// How a port is filtered.
    pub fn filter(&self, port: &Port) -> Filter<'_> {
        let Some(security) = &self.security else { return Filter::Nothing };
        let devices = &security.info.devices;
        let device = port
            .id
            .parse()
            .ok()
            .and_then(|id| devices.get(devices.binary_search_by_key(&id, |device| device.id).ok()?));
        let waits = port.filtered.unwrap_or(security.unknown_ports == UnknownPorts::Dead);
        match device {
            Some(device) if device.is_filtered() => Filter::Groups(device),
            None if waits => Filter::Unknown,
            _ => Filter::Nothing,
        }
    }

    /// The way out of a network.
    ///
    /// # Errors
    /// Why this node cannot wire it.
    pub fn segment(&self, network: &str) -> Result<Segment, NetworkError> {
        let owned = || network.to_owned();
        let found = self.networks.iter().find(|candidate| candidate.id == network);
        let found = found.ok_or_else(|| NetworkError::Unknown(owned()))?;
        let bad_id = || NetworkError::Segmentation {
            network: owned(),
            kind: found.kind.name(),
            segmentation_id: found.segmentation_id,
        };
        match found.kind {
            NetworkKind::Local => Ok(Segment::Local),
            NetworkKind::Flat => Ok(Segment::Flat { bridge: self.bridge_of(found)? }),
            NetworkKind::Vlan => {
                let vid = found.segmentation_id.and_then(|id| VlanId::new(u16::try_from(id).ok()?));
                Ok(Segment::Vlan { bridge: self.bridge_of(found)?, vid: vid.ok_or_else(bad_id)? })
            }
            NetworkKind::Vxlan => {
                let vni = found.segmentation_id.filter(|vni| *vni < 1 << 24).ok_or_else(bad_id)?;
                self.tunnels.as_ref().ok_or_else(|| NetworkError::NoTunnels(owned()))?;
                Ok(Segment::Vxlan { vni })
            }
        }
    }

    fn bridge_of(&self, network: &Network) -> Result<String, NetworkError> {
        let physical_network = network
            .physical_network
            .as_ref()
            .ok_or_else(|| NetworkError::NoPhysicalNetwork(network.id.clone()))?;
        let bridge = self.bridge_mappings.bridge(physical_network);
        bridge.map(str::to_owned).ok_or_else(|| NetworkError::Unmapped {
            network: network.id.clone(),
            physical_network: physical_network.clone(),
        })
    }

    fn check_unique(&self) -> anyhow::Result<()> {
        let ids = self.ports.iter().map(|port| ("port", &port.id));
        let mut seen = BTreeMap::new();
        for (kind, id) in ids.chain(self.networks.iter().map(|network| ("network", &network.id))) {
            if seen.insert((kind, id), ()).is_some() {
                bail!("{kind} {id} occurs twice; remove one");
            }
        }
        Ok(())
    }
}

/// A reply of `security_group_info_for_devices`, in either form.
fn read_info(file: &Path) -> anyhow::Result<Info> {
    let bytes = std::fs::read(file)?;
    let is_text = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let limits = Limits::default();
    let message = if is_text { read_json(&bytes, &limits)? } else { Message::decode(&bytes, &limits)? };
    match message {
        Message::Info(info) => Ok(info),
        other => bail!("this is {}, not a reply of security_group_info_for_devices", other.kind()),
    }
}

fn default_integration_bridge() -> String {
    "br-int".to_owned()
}

fn default_tunnel_bridge() -> String {
    "br-tun".to_owned()
}

const fn default_true() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = r#"
        bridge_mappings = "physnet1:br-ex,physnet2:br-eth1"
        [[network]]
        id = "flat"
        type = "flat"
        physical_network = "physnet1"
        [[network]]
        id = "tagged"
        type = "vlan"
        physical_network = "physnet2"
        segmentation_id = 200
        [[network]]
        id = "elsewhere"
        type = "vlan"
        physical_network = "physnet3"
        segmentation_id = 200
        [[network]]
        id = "overlay"
        type = "vxlan"
        segmentation_id = 42
        [[port]]
        id = "p1"
        mac = "fa:16:3e:00:00:01"
        network = "flat"
    "#;

    fn node() -> Desired {
        toml::from_str(NODE).unwrap()
    }

    #[test]
    fn segments_follow_the_bridge_mappings() {
        assert_eq!(node().segment("flat"), Ok(Segment::Flat { bridge: "br-ex".into() }));
        assert_eq!(
            node().segment("tagged"),
            Ok(Segment::Vlan { bridge: "br-eth1".into(), vid: VlanId::new(200).unwrap() })
        );
    }

    #[test]
    fn a_network_that_cannot_be_wired_says_why() {
        let why = |network| node().segment(network).unwrap_err().to_string();
        assert_eq!(
            why("elsewhere"),
            "network elsewhere: physical network 'physnet3' is not in bridge_mappings"
        );
        assert_eq!(
            why("overlay"),
            "network overlay needs tunnels, and this node has none: set tunnels.local_ip"
        );
        assert_eq!(why("none"), "network none is not known");
    }

    #[test]
    fn an_unusable_vlan_id_is_named() {
        let mut node = node();
        node.networks[1].segmentation_id = Some(4095);
        assert_eq!(
            node.segment("tagged").unwrap_err().to_string(),
            "network tagged: segmentation id Some(4095) is not usable for type vlan"
        );
    }

    #[test]
    fn security_groups_are_read_in_either_form_beside_the_file_that_names_them() {
        let dir = tempfile::tempdir().unwrap();
        let id = "11111111-0000-4000-8000-000000000001".parse().unwrap();
        let device = Device::new(id, macaddr::MacAddr6::from([0xFA, 0x16, 0x3E, 0, 0, 1]));
        let message = Message::Info(Info { devices: vec![device], ..Info::default() });
        let json = secgroup_rpc::to_json(&message).into_bytes();
        for (name, bytes) in [("groups.json", json), ("groups.sg", message.encode())] {
            std::fs::write(dir.path().join(name), bytes).unwrap();
            let node = dir.path().join("node.toml");
            std::fs::write(&node, format!("security = {{ file = \"{name}\" }}\n{NODE}")).unwrap();
            let desired = Desired::read(&node).unwrap();
            assert_eq!(desired.security.unwrap().info.devices[0].id, id, "{name}");
        }
        std::fs::write(dir.path().join("groups.sg"), [0xFF; 20]).unwrap();
        let error = format!("{:#}", Desired::read(&dir.path().join("node.toml")).unwrap_err());
        assert!(error.contains("groups.sg"), "{error}");
    }

    #[test]
    fn ids_that_occur_twice_are_refused() {
        let mut node = node();
        node.ports.push(node.ports[0].clone());
        assert_eq!(node.check_unique().unwrap_err().to_string(), "port p1 occurs twice; remove one");
    }
}
