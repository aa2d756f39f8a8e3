//! Neutron's "device details": how a port is wired on a host. No I/O.
//!
//! `get_devices_details_list_and_failed_devices` of `neutron/plugins/ml2/rpc.py`. Asking sets a port to
//! BUILD; it becomes ACTIVE when it is reported up afterwards (`update_device_list`).

use macaddr::MacAddr6;
use secgroup_rpc::{Uuid, Value};

use crate::wiring::{Network, NetworkKind, Port};

/// Ports of routers, DHCP servers and the like begin so; no groups are said of them.
const TRUSTED_OWNERS: &str = "network:";

/// What Neutron says of one device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Detail {
    /// It is wired so.
    Port(Box<Port>),
    /// It is bound to another host.
    Elsewhere(Uuid),
    /// It does not exist, or no host could bind it.
    Unknown(Uuid),
}

impl Detail {
    /// Of which device.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Port(port) => port.id,
            Self::Elsewhere(id) | Self::Unknown(id) => *id,
        }
    }
}

/// Reads the answer. Devices that Neutron failed at are not in it, and such as make no sense are left out;
/// unknown keys are skipped.
pub(crate) fn read(answer: &Value) -> Option<Vec<Detail>> {
    Some(answer.get("devices")?.as_array()?.iter().filter_map(device).collect())
}

fn device(entry: &Value) -> Option<Detail> {
    let device = text(entry, "device").and_then(|id| id.parse().ok());
    if entry.get("no_active_binding") == Some(&Value::Bool(true)) {
        return device.map(Detail::Elsewhere);
    }
    if entry.get("network_id").is_none() {
        return device.map(Detail::Unknown);
    }
    Some(Detail::Port(Box::new(Port {
        id: text(entry, "port_id")?.parse().ok()?,
        mac: text(entry, "mac_address")?.parse::<MacAddr6>().ok()?,
        network: network(entry)?,
        addresses: addresses(entry)?,
        admin_state_up: entry.get("admin_state_up") != Some(&Value::Bool(false)),
        filtered: !text(entry, "device_owner").unwrap_or_default().starts_with(TRUSTED_OWNERS),
    })))
}

fn network(entry: &Value) -> Option<Network> {
    let kind = match text(entry, "network_type")? {
        "local" => NetworkKind::Local,
        "flat" => NetworkKind::Flat,
        "vlan" => NetworkKind::Vlan,
        "vxlan" => NetworkKind::Vxlan,
        _ => NetworkKind::Other,
    };
    let segmentation_id = match entry.get("segmentation_id") {
        Some(Value::Int(id)) => Some(u32::try_from(*id).ok()?),
        _ => None,
    };
    let physical_network = text(entry, "physical_network").map(Into::into);
    Some(Network { id: text(entry, "network_id")?.parse().ok()?, kind, physical_network, segmentation_id })
}

fn addresses(entry: &Value) -> Option<Vec<std::net::IpAddr>> {
    let addresses = entry.get("fixed_ips").and_then(Value::as_array).unwrap_or_default();
    addresses.iter().map(|fixed| text(fixed, "ip_address")?.parse().ok()).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.as_object()?.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secgroup_rpc::{Limits, read_value};

    /// The keys of Neutron 29's `_get_device_details`.
    const ANSWER: &str = r#"{"devices": [
        {"device": "11111111-0000-4000-8000-000000000001", "network_id": "a0000000-0000-4000-8000-000000000001",
         "port_id": "11111111-0000-4000-8000-000000000001", "mac_address": "fa:16:3e:00:00:01",
         "admin_state_up": true, "network_type": "vlan", "segmentation_id": 100,
         "physical_network": "physnet1", "mtu": 1500,
         "fixed_ips": [{"subnet_id": "b0000000-0000-4000-8000-000000000001", "ip_address": "10.1.0.5"}],
         "device_owner": "compute:nova", "allowed_address_pairs": [], "port_security_enabled": true,
         "qos_policy_id": null, "network_qos_policy_id": null, "profile": {}, "propagate_uplink_status": true},
        {"device": "22222222-0000-4000-8000-000000000002"},
        {"device": "33333333-0000-4000-8000-000000000003", "no_active_binding": true}],
        "failed_devices": ["44444444-0000-4000-8000-000000000004"]}"#;

    fn parse(text: &str) -> Option<Vec<Detail>> {
        read(&read_value(text.as_bytes(), &Limits::default()).unwrap())
    }

    #[test]
    fn devices_are_wired_elsewhere_or_unknown() {
        let details = parse(ANSWER).unwrap();
        let Detail::Port(port) = &details[0] else { panic!("{details:?}") };
        assert_eq!((port.network.kind, port.network.segmentation_id), (NetworkKind::Vlan, Some(100)));
        assert_eq!(port.addresses, ["10.1.0.5".parse::<std::net::IpAddr>().unwrap()]);
        assert!(port.filtered && port.admin_state_up);
        assert!(matches!(details[1..], [Detail::Unknown(_), Detail::Elsewhere(_)]), "{details:?}");
        let trusted = parse(&ANSWER.replace("compute:nova", "network:dhcp")).unwrap();
        assert!(matches!(&trusted[0], Detail::Port(port) if !port.filtered));
        let strange = parse(&ANSWER.replace("\"vlan\"", "\"geneve\"")).unwrap();
        assert!(matches!(&strange[0], Detail::Port(port) if port.network.kind == NetworkKind::Other));
    }

    #[test]
    fn a_senseless_device_is_left_out_and_no_other() {
        let all = parse(ANSWER).unwrap();
        for (good, bad) in [("fa:16:3e:00:00:01", "tap"), ("10.1.0.5", "10.1.0"), ("100", "-1")] {
            assert_eq!(parse(&ANSWER.replacen(good, bad, 1)).unwrap(), all[1..], "{bad}");
        }
        assert_eq!(parse(&ANSWER.replacen("\"devices\": [", "\"devices\": [7, ", 1)), Some(all));
        assert_eq!(parse("{}"), None);
    }
}
