//! `ebtables`: IPv4 and ARP by rewriting addresses of frames; no payloads, so no IPv6. What names an
//! inside MAC where it cannot be rewritten is dropped.

use alloc::collections::BTreeSet;

use alloc::format;
use alloc::string::String;
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
    // An announcement sent as a reply names its sender a second time, as the target.
    let inside: BTreeSet<_> = config.bindings.iter().map(|binding| binding.inside.into_array()).collect();
    for inside in inside.into_iter().map(|inside| LowerCase(inside.into())) {
        line!(text, "ebtables -t nat -A macnat-out -p ARP --arp-mac-dst {inside} -j DROP");
    }
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
            snat(text, &format!("-s {inside} "), &wire);
        }
    }
    // What no rule has translated leaves with the host's MAC, whoever sent it.
    snat(text, "", &host);
    // IPv6, RARP and everything else name MACs in places that no rule reaches.
    line!(text, "ebtables -t nat -A macnat-out ! -s {host} -j DROP");
    line!(text, "ebtables -t nat -A PREROUTING -i {uplink} -j macnat-in");
    line!(text, "ebtables -t nat -A POSTROUTING -o {uplink} -j macnat-out");
    rules.left_out = left_out.left_out;
    Ok(rules)
}

/// The translation of frames from a machine, or from anybody.
fn snat(text: &mut String, from: &str, wire: &LowerCase) {
    line!(text, "ebtables -t nat -A macnat-out -p IPv4 {from}-j snat --to-source {wire}");
    line!(text, "ebtables -t nat -A macnat-out -p ARP {from}-j snat --to-source {wire} --snat-arp");
}
