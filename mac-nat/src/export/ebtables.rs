//! `ebtables`: IPv4 and ARP by rewriting addresses of frames; no payloads, so no IPv6.
//!
//! What no rule translates is dropped: an ARP target cannot be written, so announcements that carry
//! the inside MAC there do not leave.

use alloc::collections::BTreeSet;
use core::net::IpAddr;

use super::{Ability, ExportError, Interfaces, Rules, line};
use crate::binding::LowerCase;
use crate::{Config, MacAddr6, Vlans};

pub(super) fn rules(config: &Config, interfaces: &Interfaces) -> Result<Rules, ExportError> {
    let uplink = &interfaces.uplink;
    let mut rules = Rules::default();
    let text = &mut rules.text;
    let mut left_out = Rules::default();
    for (chain, policy) in [("macnat-from", "RETURN"), ("macnat-in", "RETURN"), ("macnat-out", "DROP")] {
        line!(text, "ebtables -t nat -N {chain} -P {policy}");
    }
    for own in distinct(config.wire_macs()) {
        // Only the host has these, and its frames come through no port.
        line!(text, "ebtables -t nat -A macnat-from -s {own} -j DROP");
        line!(text, "ebtables -t nat -A macnat-out -s {own} -j RETURN");
    }
    for inside in distinct(config.bindings.iter().map(|binding| binding.inside)) {
        line!(text, "ebtables -t nat -A macnat-out -p ARP --arp-mac-dst {inside} -j DROP");
    }
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
        let from = |fields| alloc::format!("ebtables -t nat -A macnat-out -s {inside} {fields}");
        let arp = alloc::format!("-j snat --to-source {wire} --snat-arp");
        line!(text, "{} --ip-src {net} -j snat --to-source {wire}", from("-p IPv4"));
        line!(text, "{} --arp-ip-src {net} {arp}", from("-p ARP"));
        line!(text, "{} --arp-ip-src 0.0.0.0 --arp-ip-dst {net} {arp}", from("-p ARP"));
    }
    line!(text, "ebtables -t nat -A PREROUTING ! -i {uplink} -j macnat-from");
    line!(text, "ebtables -t nat -A PREROUTING -i {uplink} -j macnat-in");
    line!(text, "ebtables -t nat -A POSTROUTING -o {uplink} -j macnat-out");
    rules.left_out = left_out.left_out;
    Ok(rules)
}

fn distinct(macs: impl Iterator<Item = MacAddr6>) -> impl Iterator<Item = LowerCase> {
    let macs: BTreeSet<_> = macs.map(MacAddr6::into_array).collect();
    macs.into_iter().map(|mac| LowerCase(mac.into()))
}
