//! `nft`, bridge family: IPv4, ARP and DHCP. The tool cannot correct the checksum behind a changed
//! neighbour discovery option, so IPv6 is dropped.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Ability, ExportError, Interfaces, Rules, line};
use crate::binding::LowerCase;
use crate::{Binding, Config, MacAddr6, Mode, Vlans};

/// Probes that may be pending; each costs the kernel some hundred bytes.
const PROBES: u32 = 1024;

pub(super) fn rules(config: &Config, interfaces: &Interfaces) -> Result<Rules, ExportError> {
    let mut rules = Rules::default();
    let mut bindings = Vec::new();
    for binding in &config.bindings {
        match (binding.net.addr(), binding.vlans == Vlans::UNTAGGED) {
            (_, false) => rules.leave_out(binding, Ability::Vlan),
            (IpAddr::V6(_), _) => rules.leave_out(binding, Ability::NeighbourDiscovery),
            (IpAddr::V4(_), _) => bindings.push(binding),
        }
    }
    let text = &mut rules.text;
    line!(text, "table bridge macnat");
    line!(text, "delete table bridge macnat");
    line!(text, "table bridge macnat {{");
    sets(text, config, &bindings);
    inward(text, config, interfaces, &bindings);
    outward(text, config, interfaces, &bindings);
    line!(text, "}}");
    Ok(rules)
}

fn sets(text: &mut String, config: &Config, bindings: &[&Binding]) {
    let own: BTreeSet<_> = config.wire_macs().map(MacAddr6::into_array).collect();
    let inside: BTreeSet<_> = bindings.iter().map(|binding| binding.inside.into_array()).collect();
    line!(text, "\tset own {{ type ether_addr; {}}}", elements(own.into_iter().map(mac)));
    line!(text, "\tset inside {{ type ether_addr; {}}}", elements(inside.into_iter().map(mac)));
    let map = |to: fn(&Binding) -> MacAddr6| {
        elements(bindings.iter().map(|binding| format!("{} : {}", binding.net, LowerCase(to(binding)))))
    };
    line!(
        text,
        "\tmap ip2inside {{ type ipv4_addr : ether_addr; flags interval; {}}}",
        map(|binding| binding.inside)
    );
    line!(
        text,
        "\tmap ip2wire {{ type ipv4_addr : ether_addr; flags interval; {}}}",
        map(|binding| binding.wire)
    );
    line!(
        text,
        "\tmap probe {{ type ipv4_addr : ether_addr; flags dynamic,timeout; timeout 10s; size {PROBES}; }}"
    );
}

/// From the uplink. An answer to a probe names nobody: who asked is remembered.
fn inward(text: &mut String, config: &Config, interfaces: &Interfaces, bindings: &[&Binding]) {
    line!(text, "\tchain pre {{");
    line!(text, "\t\ttype filter hook prerouting priority -300;");
    line!(text, "\t\tiifname \"{}\" jump inward", interfaces.uplink);
    line!(
        text,
        "\t\tiifname != \"{}\" arp operation request arp saddr ip 0.0.0.0 update @probe {{ arp daddr ip : arp saddr ether }}",
        interfaces.uplink
    );
    line!(text, "\t}}");
    line!(text, "\tchain inward {{");
    line!(text, "\t\tether daddr != @own return");
    line!(text, "\t\tarp daddr ip 0.0.0.0 ether daddr set arp saddr ip map @probe accept");
    line!(text, "\t\tarp operation reply arp daddr ether set arp daddr ip map @ip2inside");
    line!(text, "\t\tether daddr set arp daddr ip map @ip2inside");
    if config.mode == Mode::Vmac {
        for binding in owners(bindings) {
            // To an address that is only being leased: the wire MAC alone says whose it is.
            let (wire, inside, hex) =
                (LowerCase(binding.wire), LowerCase(binding.inside), hex(binding.inside));
            line!(
                text,
                "\t\tether daddr {wire} udp sport 67 udp dport 68 @th,288,48 set {hex} udp checksum set 0 ether daddr set {inside}"
            );
        }
    }
    line!(text, "\t\tether daddr set ip daddr map @ip2inside");
    line!(text, "\t}}");
}

/// To the uplink; the last three rules are the guard.
fn outward(text: &mut String, config: &Config, interfaces: &Interfaces, bindings: &[&Binding]) {
    line!(text, "\tchain post {{");
    line!(text, "\t\ttype filter hook postrouting priority 300;");
    line!(text, "\t\toifname != \"{}\" return", interfaces.uplink);
    match config.mode {
        Mode::Single => {
            let wire = LowerCase(config.host.mac);
            line!(text, "\t\tarp operation {{ request, reply }} arp saddr ether set {wire}");
            line!(text, "\t\tarp daddr ether @inside arp daddr ether set {wire}");
            line!(
                text,
                "\t\tip saddr 0.0.0.0 udp sport 68 udp dport 67 @th,144,16 set 0x8000 udp checksum set 0"
            );
            line!(text, "\t\tether saddr set {wire}");
        }
        Mode::Vmac => {
            line!(text, "\t\tarp saddr ip 0.0.0.0 arp saddr ether set arp daddr ip map @ip2wire");
            line!(text, "\t\tarp saddr ip 0.0.0.0 ether saddr set arp daddr ip map @ip2wire");
            line!(text, "\t\tarp saddr ether set arp saddr ip map @ip2wire");
            line!(text, "\t\tether saddr set arp saddr ip map @ip2wire");
            line!(text, "\t\tether saddr set ip saddr map @ip2wire");
            for binding in owners(bindings) {
                let (wire, inside, hex) =
                    (LowerCase(binding.wire), LowerCase(binding.inside), hex(binding.wire));
                line!(text, "\t\tarp daddr ether {inside} arp daddr ether set {wire}");
                line!(
                    text,
                    "\t\tether saddr {inside} udp sport 68 udp dport 67 @th,288,48 set {hex} udp checksum set 0"
                );
                line!(text, "\t\tether saddr {inside} ether saddr set {wire}");
            }
        }
    }
    line!(text, "\t\tether saddr != @own drop");
    line!(text, "\t\tarp saddr ether != @own drop");
    line!(text, "\t\tether type != {{ ip, arp }} drop");
    line!(text, "\t}}");
}

/// One binding for each inside MAC: its wire MAC serves frames that name no address.
fn owners<'a>(bindings: &'a [&'a Binding]) -> impl Iterator<Item = &'a Binding> {
    let mut seen = BTreeSet::new();
    bindings.iter().copied().filter(move |binding| seen.insert(binding.inside.into_array()))
}

fn elements(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { String::new() } else { format!("elements = {{ {} }} ", items.join(", ")) }
}

fn mac(bytes: [u8; 6]) -> String {
    format!("{}", LowerCase(bytes.into()))
}

fn hex(mac: MacAddr6) -> String {
    let [a, b, c, d, e, f] = mac.into_array();
    format!("0x{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}
