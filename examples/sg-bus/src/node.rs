//! Ports and networks in files: what a server reads, and what an agent writes for `l2-agent`, there
//! together with the groups so that one never is without the other.
//!
//! The two lists are those of `l2-agent`'s own desired state:
//!
//! ```toml
//! [[network]]
//! id = "5b0a4f60-0000-4000-8000-000000000001"
//! type = "vlan"                  # flat, vlan, vxlan, local
//! physical_network = "physnet1"
//! segmentation_id = 100
//!
//! [[port]]
//! id = "11111111-0000-4000-8000-000000000001"
//! mac = "fa:16:3e:00:00:01"
//! network = "5b0a4f60-0000-4000-8000-000000000001"
//! addresses = ["192.0.2.11"]     # optional
//! admin_state_up = true          # unless given
//! filtered = true                # unless given: not wired before its groups are known
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use macaddr::MacAddr6;
use secgroup_rpc::{Info, Limits, Message, Uuid, read_json, to_json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::input::BadInput;
use crate::state::{read_bytes, replace};
use crate::wiring::{self, Network, text};

/// Ports and networks; a port names its network.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Lists {
    #[serde(default)]
    network: Vec<Network>,
    #[serde(default)]
    port: Vec<Port>,
}

/// Both and the groups.
#[derive(Debug, Deserialize, Serialize)]
struct Node {
    network: Vec<Network>,
    port: Vec<Port>,
    /// A reply of Neutron's compact call.
    groups: Box<RawValue>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Port {
    #[serde(with = "text")]
    id: Uuid,
    #[serde(with = "text")]
    mac: MacAddr6,
    #[serde(with = "text")]
    network: Uuid,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<IpAddr>,
    #[serde(default = "yes")]
    admin_state_up: bool,
    #[serde(default = "yes")]
    filtered: bool,
}

const fn yes() -> bool {
    true
}

/// Reads the ports that a server shall know: JSON if the name ends in `.json`, else TOML.
///
/// # Errors
/// If the file cannot be read; [`BadInput`] if it holds something else, an id twice, a port without its
/// network, or a network that nobody could wire.
pub fn read_ports(path: &Path) -> Result<Vec<wiring::Port>> {
    let text = String::from_utf8(read_bytes(path)?).map_err(anyhow::Error::new);
    let lists = text.and_then(|text| {
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        Ok(if is_json { serde_json::from_str(&text)? } else { toml::from_str::<Lists>(&text)? })
    });
    lists.and_then(join).map_err(|why| BadInput(format!("{}: {why:#}", path.display())).into())
}

fn join(lists: Lists) -> Result<Vec<wiring::Port>> {
    let mut networks = BTreeMap::new();
    for network in lists.network {
        if let Some(fault) = network.fault() {
            return Err(anyhow!("network {}: {fault}", network.id));
        }
        if let Some(first) = networks.insert(network.id, network) {
            return Err(anyhow!("network {} occurs twice; remove one", first.id));
        }
    }
    let mut ports = BTreeMap::new();
    for port in lists.port {
        let network = networks.get(&port.network).cloned();
        let network =
            network.with_context(|| format!("port {}: there is no network {}", port.id, port.network))?;
        let Port { id, mac, addresses, admin_state_up, filtered, .. } = port;
        let port = wiring::Port { id, mac, network, addresses, admin_state_up, filtered };
        if ports.insert(id, port).is_some() {
            return Err(anyhow!("port {id} occurs twice; remove one"));
        }
    }
    Ok(ports.into_values().collect())
}

/// Writes what `l2-agent` follows. The file changes in one instant. Returns what had to be left out, so
/// that those ports stay dead and no others.
///
/// # Errors
/// If it cannot be written; it is then as it was.
pub fn write<'a>(
    path: &Path,
    ports: impl Iterator<Item = &'a wiring::Port>,
    groups: Info,
) -> Result<Vec<String>> {
    let (lists, left_out) = split(ports);
    let groups = RawValue::from_string(to_json(&Message::Info(groups)))?;
    let node = Node { network: lists.network, port: lists.port, groups };
    let bytes = serde_json::to_vec_pretty(&node)?;
    replace(path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(left_out)
}

fn split<'a>(ports: impl Iterator<Item = &'a wiring::Port>) -> (Lists, Vec<String>) {
    let (mut networks, mut lists, mut left_out) = (BTreeMap::new(), Lists::default(), Vec::new());
    for port in ports {
        if let Some(fault) = port.network.fault() {
            left_out.push(format!("port {}: its network {}: {fault}", port.id, port.network.id));
            continue;
        }
        match networks.entry(port.network.id) {
            Entry::Occupied(first) if *first.get() != port.network => {
                let network = port.network.id;
                left_out.push(format!("port {}: network {network} has another segment here", port.id));
                continue;
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => _ = place.insert(port.network.clone()),
        }
        let wiring::Port { id, mac, addresses, admin_state_up, filtered, .. } = port.clone();
        let network = port.network.id;
        lists.port.push(Port { id, mac, network, addresses, admin_state_up, filtered });
    }
    lists.network = networks.into_values().collect();
    (lists, left_out)
}

/// Reads back what [`write()`] wrote, to start from it after a restart.
///
/// # Errors
/// If the file cannot be read or holds something else.
pub fn read(path: &Path) -> Result<(Vec<wiring::Port>, Info)> {
    let node: Node =
        serde_json::from_slice(&read_bytes(path)?).with_context(|| path.display().to_string())?;
    let ports = join(Lists { network: node.network, port: node.port })?;
    match read_json(node.groups.get().as_bytes(), &Limits::default())? {
        Message::Info(info) => Ok((ports, info)),
        other => Err(anyhow!("{}: `groups` is {}", path.display(), other.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Cloud;
    use crate::wiring::NetworkKind;
    use secgroup_rpc::sync::Server;
    use std::fs;

    const PORTS: &str = r#"
        [[network]]
        id = "a0000000-0000-4000-8000-000000000001"
        type = "vlan"
        physical_network = "physnet1"
        segmentation_id = 100
        [[port]]
        id = "11111111-0000-4000-8000-000000000001"
        mac = "FA:16:3E:00:00:01"
        network = "a0000000-0000-4000-8000-000000000001"
        addresses = ["192.0.2.11", "2001:db8::11"]
        [[port]]
        id = "22222222-0000-4000-8000-000000000002"
        mac = "fa:16:3e:00:00:02"
        network = "a0000000-0000-4000-8000-000000000001"
        filtered = false
    "#;

    fn ports(text: &str) -> Result<Vec<wiring::Port>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ports.toml");
        fs::write(&path, text).unwrap();
        read_ports(&path)
    }

    #[test]
    fn what_an_agent_writes_is_what_it_starts_from() {
        let ports = ports(PORTS).unwrap();
        let mut server = Server::new(1);
        Cloud { ports: 6, hosts: 2, groups: 2 }.fill(&mut server);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.json");
        assert_eq!(write(&path, ports.iter(), server.info()).unwrap(), [""; 0]);
        let (ports_back, mut groups) = read(&path).unwrap();
        groups.strip();
        assert_eq!((ports_back, groups), (ports.clone(), server.info()));
        // And its lists are a server's file, too.
        assert_eq!(read_ports(&path).unwrap(), ports);
    }

    #[test]
    fn a_port_that_cannot_be_written_is_left_out_and_no_other() {
        let mut ports = ports(PORTS).unwrap();
        let mut far = ports[1].clone();
        far.id = Uuid([0x33; 16]);
        far.network.segmentation_id = Some(200);
        let mut strange = ports[1].clone();
        strange.id = Uuid([0x44; 16]);
        strange.network.kind = NetworkKind::Other;
        ports.extend([far, strange]);
        let (lists, left_out) = split(ports.iter());
        assert_eq!((lists.network.len(), lists.port.len()), (1, 2));
        assert!(left_out[0].contains("another segment") && left_out[1].contains("type"), "{left_out:?}");
    }

    #[test]
    fn bad_files_say_what_is_wrong() {
        let twice =
            PORTS.replace("22222222-0000-4000-8000-000000000002", "11111111-0000-4000-8000-000000000001");
        for (text, expected) in [
            (PORTS.replace("segmentation_id = 100", "segmentation_id = 4095"), "no VLAN id"),
            (PORTS.replace("physical_network = \"physnet1\"", ""), "no physical network"),
            (PORTS.replacen("a0000000", "b0000000", 1), "there is no network a0000000"),
            (PORTS.replace("fa:16:3e:00:00:02", "fa:16"), "`fa:16`"),
            (PORTS.replace("\"vlan\"", "\"geneve\""), "its type is none of"),
            (twice, "occurs twice"),
        ] {
            let error = ports(&text).unwrap_err();
            assert!(error.is::<BadInput>() && error.to_string().contains(expected), "{error:#}");
        }
    }
}
