//! MAC translation on the way to a hoster's wire, for floating IPs behind MACs that nobody here
//! chose: the static OpenFlow rules of `mac-nat`, on a bridge of their own.
//!
//! ```text
//! br-int ── br-ex ── patch-wire | patch-inside ── br-ovh ── uplink
//! ```

use std::collections::BTreeSet;

use ipnet::IpNet;
use mac_nat::export::{DataPlane, Interfaces};
use mac_nat::{Binding, Config, MacAddr6, Mode, PortId};
use serde::Deserialize;

use crate::desired::MacText;
use crate::flow::Flow;

/// What is translated, and where.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Translation {
    /// The bridge that translates. The operator makes it and plugs the uplink.
    pub bridge: String,
    /// The port of that bridge towards the hoster.
    pub uplink: String,
    /// The bridge of a physical network whose wire this is.
    pub external: String,
    /// Whether the hoster knows one MAC or one per address.
    pub mode: Mode,
    /// The uplink's own MAC.
    pub mac: MacText,
    /// Who is behind which address.
    #[serde(default, rename = "binding")]
    pub bindings: Vec<Floating>,
}

/// One address, or a routed block.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Floating {
    /// The address or block.
    pub address: AddressText,
    /// The MAC of the guest.
    pub inside: MacText,
    /// The MAC that the hoster chose; the uplink's own unless given.
    #[serde(default)]
    pub wire: Option<MacText>,
}

/// An address with or without prefix length.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct AddressText(pub IpNet);

impl TryFrom<String> for AddressText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let host = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        let net = text.parse().or_else(|_| host());
        net.map(Self).map_err(|_| format!("'{text}' is not an address like 203.0.113.11 or a block"))
    }
}

/// The one port of the translating bridge that guests are behind.
const INSIDE: PortId = PortId::new(1).unwrap();

impl Translation {
    /// The whole table of the bridge for these OpenFlow ports, and the bindings that flows cannot
    /// carry.
    ///
    /// # Errors
    /// The configuration contradicts itself; says how.
    pub fn flows(&self, uplink: u16, inside: u16) -> Result<(BTreeSet<Flow>, Vec<String>), String> {
        let (uplink, inside) = (uplink.to_string(), inside.to_string());
        let interfaces = Interfaces::new(&uplink, [(INSIDE, inside.as_str())]);
        let rules =
            DataPlane::OpenFlow.export(&self.config(), &interfaces).map_err(|error| error.to_string())?;
        let flows = rules.text.lines().map(|line| line.parse::<Flow>().map(|flow| flow.canonical()));
        let left_out = rules.left_out.iter().map(|left| {
            format!("translation of {} is left out: OpenFlow lacks {:?}", left.binding.net, left.lacks)
        });
        Ok((flows.collect::<Result<_, _>>().map_err(|error| error.to_string())?, left_out.collect()))
    }

    fn config(&self) -> Config {
        let own: MacAddr6 = self.mac.0;
        let mut config = Config::new(self.mode, own);
        config.ports.push(mac_nat::Port::new(INSIDE));
        config.bindings.extend(self.bindings.iter().map(|floating| {
            let wire: MacAddr6 = floating.wire.map_or(own, |wire| wire.0);
            Binding::fixed(floating.address.0, INSIDE, floating.inside.0, wire)
        }));
        config
    }
}
