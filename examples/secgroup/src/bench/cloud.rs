//! Replies to measure: generated in Neutron's shape, or recorded.

use std::path::Path;

use anyhow::{Context, Result};
use secgroup_rpc::{Info, Message};
use serde_json::{Map, Value, json};

use super::Request;
use crate::files::{self, BadInput};

/// How many of the lowest free addresses Neutron's allocator picks from
/// (`neutron/ipam/drivers/neutrondb_ipam/driver.py`).
const WINDOW: u32 = 1000;
/// 10.0.0.0/16, less network address, gateway and DHCP port.
const FIRST_ADDRESS: u32 = 0x0A00_0003;
/// 2026-01-15 is day 15: ports were made over the two weeks before.
const LAST_DAY: u64 = 15;

/// The reply of `security_group_info_for_devices` for `devices` of `ports` ports in one group with
/// the four default rules, with whole port dictionaries as Neutron 29 sends them. The same on every run.
pub fn generated(ports: usize, devices: usize) -> Result<Info> {
    let mut random = Random(0x5EC6);
    let (group, network, project) = (random.uuid(), random.uuid(), random.uuid());
    let mut free: Vec<u32> = (FIRST_ADDRESS..FIRST_ADDRESS + WINDOW).collect();
    let (mut members, mut entries) = (Vec::with_capacity(ports), Map::new());
    for (at, next) in (0..ports).zip(FIRST_ADDRESS + WINDOW..) {
        let pick = random.below(free.len() as u64) as usize;
        let slot = free.get_mut(pick).context("no free address")?;
        let address = std::net::Ipv4Addr::from_bits(std::mem::replace(slot, next)).to_string();
        members.push(json!([address, null]));
        if at < devices {
            let id = random.uuid();
            let port = port(&mut random, at, [&id, &group, &network, &project], &address);
            entries.insert(id, port);
        }
    }
    let rule = |direction, family| json!({"direction": direction, "ethertype": family, "stateful": true});
    let mut from_group = [rule("ingress", "IPv4"), rule("ingress", "IPv6")];
    from_group.iter_mut().for_each(|rule| rule["remote_group_id"] = json!(group));
    let mut rules = vec![rule("egress", "IPv4"), rule("egress", "IPv6")];
    rules.extend(from_group);
    let reply = json!({
        "devices": entries,
        "security_groups": {&group: rules},
        "sg_member_ips": {&group: {"IPv4": members, "IPv6": []}},
    });
    match serde_json::from_value(reply).context("the generator made no reply")? {
        Message::Info(info) => Ok(info),
        other => anyhow::bail!("the generator made {}", other.kind()),
    }
}

/// A port dictionary with the keys of ML2, port security, standard attributes and binding.
fn port(random: &mut Random, at: usize, [id, group, network, project]: [&str; 4], address: &str) -> Value {
    let suffix = random.below(1 << 24);
    let mac = format!("fa:16:3e:{:02x}:{:02x}:{:02x}", suffix >> 16, suffix >> 8 & 0xFF, suffix & 0xFF);
    let day = LAST_DAY - random.below(14);
    let (hour, minute, second) = (random.below(24), random.below(59), random.below(60));
    let time = |minute| format!("2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    json!({
        "id": id, "device": id, "name": "", "description": "",
        "network_id": network, "project_id": project, "tenant_id": project,
        "mac_address": mac, "fixed_ips": [address], "allowed_address_pairs": [],
        "admin_state_up": true, "status": "ACTIVE", "device_id": random.uuid(), "device_owner": "compute:nova",
        "standard_attr_id": 12 + 3 * at, "extra_dhcp_opts": [], "tags": [],
        "security_groups": [group],
        "binding:vnic_type": "normal", "binding:profile": {}, "binding:host_id": "compute-01",
        "binding:vif_type": "ovs",
        "binding:vif_details": {
            "connectivity": "l2", "port_filter": true, "ovs_hybrid_plug": null, "ovs_create_tap": true,
            "datapath_type": "system", "bound_drivers": {"0": "openvswitch"},
        },
        "port_security_enabled": true, "revision_number": 3 + random.below(3),
        "created_at": time(minute), "updated_at": time(minute + 1),
        "security_group_rules": [
            dhcp("IPv4", 67, 68, &format!("{address}/32")),
            dhcp("IPv4", 67, 68, "255.255.255.255/32"),
            dhcp("IPv6", 547, 546, "fe80::/64"),
        ],
        "security_group_source_groups": [group], "security_group_remote_address_groups": [],
    })
}

fn dhcp(family: &str, server: u16, client: u16, to: &str) -> Value {
    json!({
        "direction": "ingress", "ethertype": family, "protocol": "udp",
        "port_range_min": client, "port_range_max": client,
        "source_port_range_min": server, "source_port_range_max": server, "dest_ip_prefix": to,
    })
}

/// The recorded reply of this size in `folder` or its `blog` folder; `None` if there is none.
pub fn recorded(folder: &Path, ports: usize, request: Request) -> Result<Option<Info>> {
    let name = format!("blog-{ports:04}-{}.compact.json", request.name());
    let mut paths = [folder.to_owned(), folder.join("blog")]
        .into_iter()
        .flat_map(|folder| [folder.join(&name), folder.join(format!("{name}.gz"))]);
    let Some(path) = paths.find(|path| path.is_file()) else { return Ok(None) };
    match files::read(&path)?.message {
        Message::Info(info) => Ok(Some(info)),
        other => {
            let kind = other.kind();
            Err(BadInput(format!("{} holds {kind}, not a compact reply", path.display())).into())
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number below `end`; the bias of 2^-40 and less does not matter here.
    const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn uuid(&mut self) -> String {
        let bits = u128::from(self.next()) << 64 | u128::from(self.next());
        // Version 4, variant 1 (RFC 9562, 5.4).
        secgroup_rpc::Uuid::from_bits(bits & !(0xF << 76 | 3 << 62) | 4 << 76 | 2 << 62).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ports_are_members_with_their_own_addresses() {
        let info = generated(1500, 20).unwrap();
        assert_eq!((info.devices.len(), info.groups.len(), info.members.len()), (20, 1, 1));
        let set = info.members.first().unwrap();
        assert_eq!(set.len(), 1500, "addresses must differ");
        for device in &info.devices {
            assert!(device.own_rules.is_none(), "provider rules must follow from the addresses");
            assert!(device.fixed_ips.iter().all(|address| set.contains(*address)));
        }
        assert_eq!(info, generated(1500, 20).unwrap());
    }

    #[test]
    fn a_generated_message_is_as_large_as_a_recorded_one() {
        let json = secgroup_rpc::to_json(&Message::Info(generated(1000, 20).unwrap()));
        // The recorded one has 59,179 bytes.
        assert!((58_500..60_500).contains(&json.len()), "{} bytes", json.len());
    }
}
