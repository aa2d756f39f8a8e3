//! Ports, networks and groups from a bus: one file that `sg-bus agent --node` writes, so that a port never
//! comes without its groups.
//!
//! Unknown fields are skipped, and what cannot be read of one port or network stops no other.

use std::path::{Path, PathBuf};

use anyhow::Context;
use secgroup_rpc::{Limits, Message, read_json};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::desired::{MacText, Network, NetworkKind, Port, Security, UnknownPorts};

/// Largest file that is read.
const MAX_FILE: u64 = 256 << 20;

/// Where a bus puts what it knows of this node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    /// What `sg-bus agent --node` writes; relative to the file that names it.
    pub file: PathBuf,
}

/// The bus has not written anything yet: wait for it, since what is wired must stay until it has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{} is not there yet; `sg-bus agent --node` writes it after a server's first answer", .0.display())]
pub struct NotYet(pub PathBuf);

/// What the file says.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) networks: Vec<Network>,
    pub(crate) ports: Vec<Port>,
    pub(crate) security: Security,
}

#[derive(Deserialize)]
struct BusFile {
    network: Vec<Value>,
    port: Vec<Value>,
    groups: Box<RawValue>,
}

#[derive(Deserialize)]
struct BusNetwork {
    id: String,
    #[serde(rename = "type")]
    kind: NetworkKind,
    physical_network: Option<String>,
    segmentation_id: Option<u32>,
}

#[derive(Deserialize)]
struct BusPort {
    id: String,
    mac: MacText,
    network: String,
    #[serde(default = "yes")]
    admin_state_up: bool,
    #[serde(default = "yes")]
    filtered: bool,
}

const fn yes() -> bool {
    true
}

impl From<BusNetwork> for Network {
    fn from(BusNetwork { id, kind, physical_network, segmentation_id }: BusNetwork) -> Self {
        Self { id, kind, physical_network, segmentation_id }
    }
}

impl From<BusPort> for Port {
    fn from(BusPort { id, mac, network, admin_state_up, filtered }: BusPort) -> Self {
        Self { id, mac, network, admin_state_up, filtered: Some(filtered) }
    }
}

/// Reads the bus's file.
pub(crate) fn read(file: &Path) -> anyhow::Result<Known> {
    if std::fs::metadata(file).is_ok_and(|found| found.len() > MAX_FILE) {
        anyhow::bail!("{} has more than {MAX_FILE} bytes", file.display());
    }
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(NotYet(file.into()).into()),
        read => read.with_context(|| format!("cannot read {}", file.display()))?,
    };
    parse(&text, file).with_context(|| file.display().to_string())
}

fn parse(text: &str, file: &Path) -> anyhow::Result<Known> {
    let BusFile { network, port, groups } = serde_json::from_str(text)?;
    let info = match read_json(groups.get().as_bytes(), &Limits::default()).context("groups")? {
        Message::Info(info) => info,
        other => anyhow::bail!("groups: this is {}", other.kind()),
    };
    let networks = usable::<BusNetwork>(network, "network").map(Into::into).collect();
    let ports = usable::<BusPort>(port, "port").map(Into::into).collect();
    let security = Security { file: file.into(), unknown_ports: UnknownPorts::Trusted, info };
    Ok(Known { networks, ports, security })
}

fn usable<T: DeserializeOwned>(list: Vec<Value>, what: &str) -> impl Iterator<Item = T> {
    list.into_iter().filter_map(move |value| {
        let id = value.get("id").map(ToString::to_string).unwrap_or_default();
        let read = serde_json::from_value(value);
        read.inspect_err(|error| eprintln!("l2-agent: {what} {id} from the bus is left out: {error}")).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{Desired, Filter};

    const FILE: &str = r#"{
        "new": 1,
        "network": [
            {"id": "n", "type": "vlan", "physical_network": "physnet1", "segmentation_id": 100, "mtu": 1500},
            {"id": "far", "type": "geneve", "segmentation_id": 5}
        ],
        "port": [
            {"id": "11111111-0000-4000-8000-000000000001", "mac": "fa:16:3e:00:00:01", "network": "n"},
            {"id": "22222222-0000-4000-8000-000000000002", "mac": "nonsense", "network": "n"},
            {"id": "33333333-0000-4000-8000-000000000003", "mac": "fa:16:3e:00:00:03", "network": "far",
             "filtered": false, "addresses": ["192.0.2.3"]}
        ],
        "groups": {"devices": {}, "security_groups": {}, "sg_member_ips": {}}
    }"#;

    fn node(file: Option<&str>, text: &str) -> anyhow::Result<Desired> {
        let dir = tempfile::tempdir().unwrap();
        if let Some(file) = file {
            std::fs::write(dir.path().join("bus.json"), file).unwrap();
        }
        let node = dir.path().join("node.toml");
        std::fs::write(&node, text).unwrap();
        Desired::read(&node)
    }

    #[test]
    fn what_cannot_be_read_stops_no_other() {
        let desired = node(Some(FILE), "bus = { file = \"bus.json\" }").unwrap();
        assert_eq!(desired.networks.iter().map(|network| network.id.as_str()).collect::<Vec<_>>(), ["n"]);
        let ports: Vec<_> = desired.ports.iter().map(|port| &port.id[..8]).collect();
        assert_eq!(ports, ["11111111", "33333333"]);
    }

    #[test]
    fn a_port_whose_groups_are_not_known_yet_does_not_pass_unfiltered() {
        let desired = node(Some(FILE), "bus = { file = \"bus.json\" }").unwrap();
        let filters: Vec<_> = desired.ports.iter().map(|port| desired.filter(port)).collect();
        assert_eq!(filters, [Filter::Unknown, Filter::Nothing]);
    }

    #[test]
    fn a_bus_that_wrote_nothing_yet_is_waited_for_and_damage_is_named() {
        let error = node(None, "bus = { file = \"bus.json\" }").unwrap_err();
        assert!(error.is::<NotYet>(), "{error:#}");
        for damage in ["", "{", "{\"network\": [], \"port\": []}", &FILE.replace("sg_member_ips", "?")] {
            let error = node(Some(damage), "bus = { file = \"bus.json\" }").unwrap_err();
            assert!(!error.is::<NotYet>() && format!("{error:#}").contains("bus.json"), "{error:#}");
        }
    }

    #[test]
    fn groups_come_from_one_place_only() {
        let text = "bus = { file = \"bus.json\" }\nsecurity = { file = \"groups.json\" }";
        let error = node(Some(FILE), text).unwrap_err();
        assert!(format!("{error:#}").contains("remove [security]"), "{error:#}");
    }
}
