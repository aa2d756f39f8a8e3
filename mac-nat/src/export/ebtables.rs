//! `ebtables`: IPv4 and ARP by rewriting addresses of frames; no payloads, so no IPv6.

use core::net::IpAddr;

use super::{Ability, ExportError, Interfaces, Rules, line};
use crate::binding::LowerCase;
use crate::{Config, Mode, Vlans};

pub(super) fn rules(config: &Config, interfaces: &Interfaces) -> Result<Rules, ExportError> {
    let (uplink, host) = (&interfaces.uplink, LowerCase(config.host.mac));
    let mut rules = Rules::default();
    let text = &mut rules.text;
    line!(text, "ebtables -t nat -N macnat-in -P RETURN");
    line!(text, "ebtables -t nat -N macnat-out -P RETURN");
    let mut left_out = Rules::default();
    for binding in &config.bindings {
        let (net, inside, wire) = (binding.net, LowerCase(binding.inside), LowerCase(binding.wire));
        if binding.vlans != Vlans::UNTAGGED {
            left_out.leave_out(binding, Ability::Vlan);
            continue;
        }
        let IpAddr::V4(_) = net.addr() else {
            left_out.leave_out(binding, Ability::NeighbourDiscovery);
            continue;
        };
        // The tool wants host addresses without a prefix length.
        let net: &dyn core::fmt::Display = if binding.is_host() { &net.addr() } else { &net };
        for (protocol, field) in [("IPv4", "--ip-dst"), ("ARP", "--arp-ip-dst")] {
            line!(
                text,
                "ebtables -t nat -A macnat-in -d {wire} -p {protocol} {field} {net} -j dnat --to-destination {inside}"
            );
        }
        if config.mode == Mode::Vmac {
            line!(text, "ebtables -t nat -A macnat-out -s {inside} -j snat --to-source {wire} --snat-arp");
        }
    }
    // What no rule has translated leaves with the host's MAC, whoever sent it.
    line!(text, "ebtables -t nat -A macnat-out -j snat --to-source {host} --snat-arp");
    line!(text, "ebtables -t nat -A PREROUTING -i {uplink} -j macnat-in");
    line!(text, "ebtables -t nat -A POSTROUTING -o {uplink} -j macnat-out");
    rules.left_out = left_out.left_out;
    Ok(rules)
}
