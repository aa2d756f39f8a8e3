//! What stands around the rules: interfaces, and who is behind them.

use std::collections::BTreeMap;

use mac_nat::{MacAddr6, Side};

use super::packets::ROUTER;
use crate::Settings;

/// The host's own interface, as OpenFlow calls it.
const LOCAL: &str = "LOCAL";

/// Interfaces by side, and the stations that a bridge would know.
#[derive(Clone, Debug)]
pub(crate) struct World {
    names: Vec<(Side, String)>,
    /// OpenFlow numbers of interfaces.
    numbers: BTreeMap<String, String>,
    pub(crate) stations: BTreeMap<u128, Side>,
}

impl World {
    pub(crate) fn new(settings: &Settings, numbers: &BTreeMap<String, String>) -> Self {
        let mut names = vec![(Side::Uplink, settings.uplink.clone())];
        names.extend(settings.ports.iter().map(|port| (Side::Inside(port.id), port.interface.clone())));
        names.push((Side::Host, LOCAL.into()));
        let mut stations = BTreeMap::from([(number(ROUTER.into()), Side::Uplink)]);
        let config = &settings.engine;
        for port in &config.ports {
            stations.extend(port.macs.iter().map(|mac| (number(*mac), Side::Inside(port.id))));
        }
        let owners = config.bindings.iter();
        stations.extend(owners.map(|binding| (number(binding.inside), Side::Inside(binding.port))));
        stations.insert(number(config.host.mac), Side::Host);
        Self { names, numbers: numbers.clone(), stations }
    }

    pub(crate) fn sides(&self) -> impl Iterator<Item = Side> + '_ {
        self.names.iter().map(|(side, _)| *side)
    }

    pub(crate) fn name(&self, side: Side) -> &str {
        self.names.iter().find(|(known, _)| *known == side).map_or("", |(_, name)| name.as_str())
    }

    pub(crate) fn side(&self, name: &str) -> Option<Side> {
        self.names.iter().find(|(_, known)| known == name).map(|(side, _)| *side)
    }

    /// The interface of a name or number in OpenFlow.
    pub(crate) fn openflow<'a>(&'a self, port: &'a str) -> Option<&'a str> {
        let port = port.trim_matches('"');
        match port {
            "LOCAL" | "local" | "65534" => Some(LOCAL),
            _ => {
                let name = self.numbers.get(port).map_or(port, String::as_str);
                self.names.iter().find(|(_, known)| known == name).map(|(_, name)| name.as_str())
            }
        }
    }
}

/// A MAC as a value of a field.
pub(crate) fn number(mac: MacAddr6) -> u128 {
    mac.into_array().iter().fold(0, |value, byte| value << 8 | u128::from(*byte))
}
