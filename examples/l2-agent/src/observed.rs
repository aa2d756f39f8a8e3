//! What the node looks like: bridges, their ports and flows, as a backend found them.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::Flow;

/// The whole observed state of one node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Observed {
    /// Bridges by name.
    pub bridges: BTreeMap<String, Bridge>,
}

/// One bridge.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bridge {
    /// Whether it forwards nothing without flows (`fail_mode=secure`).
    pub secure: bool,
    /// Ports by name.
    pub ports: BTreeMap<String, Port>,
    /// Flows, without those that the switch learned itself.
    pub flows: BTreeSet<Flow>,
}

/// One port of a bridge, with its one interface.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Port {
    /// OpenFlow port number; `None` until the switch has opened the device.
    pub ofport: Option<u16>,
    /// Why the switch could not open the device.
    pub error: Option<String>,
    /// `internal`, `patch`, `vxlan`, or empty for a system device.
    pub kind: String,
    /// Interface options, such as `peer`.
    pub options: BTreeMap<String, String>,
    /// Interface marks of whoever plugged it, such as `iface-id`.
    pub external_ids: BTreeMap<String, String>,
    /// The VLAN of the port.
    pub wiring: Wiring,
}

impl Port {
    /// The port's UUID on the server, if this is a guest's.
    pub fn iface_id(&self) -> Option<&str> {
        self.external_ids.get("iface-id").map(String::as_str)
    }
}

/// The VLAN settings of a port and what the agent noted beside them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wiring {
    /// `tag`; 4095 is the dead VLAN.
    pub tag: Option<u16>,
    /// `vlan_mode`.
    pub vlan_mode: Option<String>,
    /// `trunks`; empty means all.
    pub trunks: BTreeSet<u16>,
    /// Network of the port, as the switch's database remembers it across restarts.
    pub other_config: BTreeMap<String, String>,
}

/// The VLAN of ports that must not talk.
pub const DEAD_VLAN: u16 = 4095;

impl Wiring {
    /// A port that neither sends nor hears anything.
    ///
    /// The tag alone would not do: an access port's frames carry no tag inside the pipeline, so
    /// the flow that drops VLAN 4095 would never see them. As a trunk of 4095 alone the port
    /// accepts only frames that carry 4095, and those are dropped.
    pub fn dead() -> Self {
        Self {
            tag: Some(DEAD_VLAN),
            vlan_mode: Some("trunk".to_owned()),
            trunks: BTreeSet::from([DEAD_VLAN]),
            other_config: BTreeMap::new(),
        }
    }

    /// Whether the port is kept from talking, whatever is noted beside.
    pub fn is_dead(&self) -> bool {
        let dead = Self::dead();
        (self.tag, &self.vlan_mode, &self.trunks) == (dead.tag, &dead.vlan_mode, &dead.trunks)
    }
}
