//! Local VLANs: which VLAN id stands for which network on the integration bridge.
//!
//! The ids never leave the node. They survive a restart in the switch's database
//! (`Port.other_config`), so an agent that comes back keeps every port in its VLAN.

use std::collections::BTreeMap;

use vlan_table::VlanId;

/// The local VLANs in use.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LocalVlans {
    by_network: BTreeMap<String, VlanId>,
    by_vlan: BTreeMap<VlanId, String>,
}

/// All 4094 local VLANs are in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("all {} local VLANs are in use", VlanId::COUNT)]
pub struct Exhausted;

impl LocalVlans {
    /// Takes over what the switch remembers. The first claim to a VLAN, and the first VLAN of a
    /// network, stays; what contradicts it is left out and gets a new VLAN by
    /// [`assign`](Self::assign).
    pub fn restore<'a>(remembered: impl IntoIterator<Item = (&'a str, VlanId)>) -> Self {
        let mut vlans = Self::default();
        for (network, vlan) in remembered {
            if !vlans.by_network.contains_key(network) && !vlans.by_vlan.contains_key(&vlan) {
                vlans.insert(network, vlan);
            }
        }
        vlans
    }

    /// Forgets every network for which `in_use` says no.
    pub fn retain(&mut self, in_use: impl Fn(&str) -> bool) {
        self.by_network.retain(|network, _| in_use(network));
        self.by_vlan.retain(|_, network| in_use(network));
    }

    /// The local VLAN of `network`; the lowest free one if it has none yet.
    ///
    /// # Errors
    /// [`Exhausted`]: this network gets none, the others keep theirs.
    pub fn assign(&mut self, network: &str) -> Result<VlanId, Exhausted> {
        if let Some(vlan) = self.by_network.get(network) {
            return Ok(*vlan);
        }
        let vlan = VlanId::all().find(|vlan| !self.by_vlan.contains_key(vlan)).ok_or(Exhausted)?;
        self.insert(network, vlan);
        Ok(vlan)
    }

    /// Network and local VLAN of all that are in use, by VLAN.
    pub fn iter(&self) -> impl Iterator<Item = (&str, VlanId)> {
        self.by_vlan.iter().map(|(vlan, network)| (network.as_str(), *vlan))
    }

    fn insert(&mut self, network: &str, vlan: VlanId) {
        self.by_network.insert(network.to_owned(), vlan);
        self.by_vlan.insert(vlan, network.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vlan(raw: u16) -> VlanId {
        VlanId::new(raw).unwrap()
    }

    #[test]
    fn a_network_keeps_the_vlan_that_the_switch_remembers() {
        let mut vlans = LocalVlans::restore([("b", vlan(7)), ("a", vlan(1))]);
        assert_eq!(vlans.assign("b"), Ok(vlan(7)));
        assert_eq!(vlans.assign("c"), Ok(vlan(2)));
    }

    #[test]
    fn the_first_claim_to_a_vlan_stays_and_the_second_gets_another() {
        let mut vlans = LocalVlans::restore([("a", vlan(1)), ("b", vlan(1)), ("a", vlan(5))]);
        assert_eq!(vlans.assign("a"), Ok(vlan(1)));
        assert_eq!(vlans.assign("b"), Ok(vlan(2)));
    }

    #[test]
    fn a_forgotten_network_frees_its_vlan() {
        let mut vlans = LocalVlans::restore([("a", vlan(1)), ("b", vlan(2))]);
        vlans.retain(|network| network != "a");
        assert_eq!(vlans.assign("c"), Ok(vlan(1)));
    }

    #[test]
    fn exhaustion_hits_the_new_network_alone() {
        let names: Vec<_> = (0..VlanId::COUNT).map(|number| format!("n{number}")).collect();
        let mut vlans = LocalVlans::restore(names.iter().map(String::as_str).zip(VlanId::all()));
        assert_eq!(vlans.assign("one too many"), Err(Exhausted));
        assert_eq!(vlans.assign("n0"), Ok(vlan(1)));
    }
}
