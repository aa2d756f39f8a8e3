//! The inside ports with their shares of the tables.

use alloc::vec::Vec;

use vlan_table::PortId;

use crate::Port;

#[derive(Debug)]
pub(crate) struct PortState {
    pub(crate) config: Port,
    /// Bindings learned here.
    pub(crate) bindings: usize,
    /// MACs known here.
    pub(crate) stations: usize,
}

/// Ports by number.
#[derive(Debug)]
pub(crate) struct Ports(Vec<Option<PortState>>);

impl Ports {
    pub(crate) fn new(configs: &[Port]) -> Self {
        let len = configs.iter().map(|port| port.id.index() + 1).max().unwrap_or_default();
        let mut ports = Vec::new();
        ports.resize_with(len, || None);
        for config in configs {
            if let Some(slot) = ports.get_mut(config.id.index()) {
                *slot = Some(PortState { config: config.clone(), bindings: 0, stations: 0 });
            }
        }
        Self(ports)
    }

    #[inline]
    pub(crate) fn get(&self, id: PortId) -> Option<&PortState> {
        self.0.get(id.index())?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: PortId) -> Option<&mut PortState> {
        self.0.get_mut(id.index())?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PortState> {
        self.0.iter().flatten()
    }
}
