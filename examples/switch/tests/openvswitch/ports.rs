//! Port settings, as `ovs-vsctl` takes them and as our rules do.

use switch::vlan_table::openvswitch::{PortConfig, PriorityTags, VidSet, VlanMode};
use switch::vlan_table::{EtherType, TagVid};

/// The settings that columns such as `tag=10` and `other_config:priority-tags=always` describe.
pub(crate) fn config(columns: &[String]) -> PortConfig {
    let mut config = PortConfig::default();
    let mut mode = None;
    for column in columns {
        let (key, value) = column.split_once('=').unwrap();
        match key.trim_start_matches("other_config:") {
            "vlan_mode" => mode = Some(value),
            "tag" => config.tag = vid(value),
            "trunks" => config.trunks = Some(vids(value)),
            "cvlans" => config.cvlans = Some(vids(value)),
            "protected" => config.protected = value == "true",
            "priority-tags" => {
                config.priority_tags = match value {
                    "never" => PriorityTags::Never,
                    "if-nonzero" => PriorityTags::IfNonzero,
                    "always" => PriorityTags::Always,
                    _ => panic!("{column}"),
                }
            }
            "qinq-ethtype" if value == "802.1q" => config.qinq_ethtype = EtherType::VLAN,
            "qinq-ethtype" => config.qinq_ethtype = EtherType::SERVICE_VLAN,
            _ => panic!("{column}"),
        }
    }
    let tagged = columns.iter().any(|column| column.starts_with("tag="));
    config.vlan_mode = match mode {
        Some("access") => VlanMode::Access,
        Some("native-tagged") => VlanMode::NativeTagged,
        Some("native-untagged") => VlanMode::NativeUntagged,
        Some("dot1q-tunnel") => VlanMode::Dot1qTunnel,
        None if tagged => VlanMode::Access,
        Some("trunk") | None => VlanMode::Trunk,
        Some(other) => panic!("vlan_mode={other}"),
    };
    config
}

fn vid(value: &str) -> TagVid {
    TagVid::from_raw(value.parse().unwrap())
}

fn vids(value: &str) -> VidSet {
    value.split(',').map(vid).collect()
}
