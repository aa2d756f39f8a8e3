//! `nft`, families bridge and netdev: IPv4, ARP and DHCP.
//!
//! The tool cannot correct the checksum behind a changed neighbour discovery option. Its text
//! therefore drops IPv6; with [`netlink`](super::netlink) rules in the chain `nd`, which the tool
//! cannot express, it carries IPv6, too, and without them drops neighbour discovery only.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Ability, DataPlane, ExportError, Interfaces, Rules, line, netlink};
use crate::binding::LowerCase;
use crate::{Binding, Config, MacAddr6, Mode, Vlans};

/// Probes that may be pending; each costs the kernel some hundred bytes.
const PROBES: u32 = 1024;

pub(super) fn rules(
    plane: DataPlane,
    config: &Config,
    interfaces: &Interfaces,
) -> Result<Rules, ExportError> {
    let mut rules = Rules::default();
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for binding in &config.bindings {
        match (binding.net.addr(), binding.vlans == Vlans::UNTAGGED) {
            (_, false) => rules.leave_out(binding, Ability::Vlan),
            (IpAddr::V6(_), _) if plane == DataPlane::NftNetlink => v6.push(binding),
            (IpAddr::V6(_), _) => rules.leave_out(binding, Ability::NeighbourDiscovery),
            (IpAddr::V4(_), _) => v4.push(binding),
        }
    }
    let writer = Writer { plane, config, interfaces, v4, v6 };
    writer.table(&mut rules.text)?;
    if plane == DataPlane::NftNetlink {
        rules.netlink = netlink::rules(config.mode, &writer.defaults().copied().collect::<Vec<_>>());
    }
    Ok(rules)
}

struct Writer<'a> {
    plane: DataPlane,
    config: &'a Config,
    interfaces: &'a Interfaces,
    v4: Vec<&'a Binding>,
    v6: Vec<&'a Binding>,
}

impl Writer<'_> {
    fn table(&self, text: &mut String) -> Result<(), ExportError> {
        let family = if self.plane == DataPlane::NftNetdev { "netdev" } else { "bridge" };
        line!(text, "table {family} macnat");
        line!(text, "delete table {family} macnat");
        line!(text, "table {family} macnat {{");
        self.sets(text)?;
        self.hooks(text)?;
        self.inside(text);
        self.inward(text);
        self.outward(text);
        if self.plane == DataPlane::NftNetlink {
            discovery(text);
            for chain in [netlink::DHCP_OUT, netlink::DHCP_IN] {
                line!(text, "\tchain {chain} {{");
                line!(text, "\t\tdrop");
                line!(text, "\t}}");
            }
        }
        line!(text, "}}");
        Ok(())
    }

    fn sets(&self, text: &mut String) -> Result<(), ExportError> {
        let own: BTreeSet<_> = self.config.wire_macs().map(MacAddr6::into_array).collect();
        let all = || self.v4.iter().chain(&self.v6);
        let inside: BTreeSet<_> = all().map(|binding| binding.inside.into_array()).collect();
        line!(text, "\tset own {{ type ether_addr; {}}}", elements(own.into_iter().map(mac)));
        line!(text, "\tset inside {{ type ether_addr; {}}}", elements(inside.into_iter().map(mac)));
        let mut stations = BTreeSet::new();
        for binding in all() {
            stations.insert(format!(
                "\"{}\" . {}",
                self.interfaces.port(binding.port)?,
                LowerCase(binding.inside)
            ));
        }
        line!(text, "\tset stations {{ type ifname . ether_addr; {}}}", elements(stations.into_iter()));
        for (bindings, address, suffix) in [(&self.v4, "ipv4_addr", ""), (&self.v6, "ipv6_addr", "6")] {
            if bindings.is_empty() && suffix == "6" {
                continue;
            }
            let owners =
                bindings.iter().map(|binding| format!("{} . {}", LowerCase(binding.inside), binding.net));
            line!(
                text,
                "\tset owners{suffix} {{ type ether_addr . {address}; flags interval; {}}}",
                elements(owners)
            );
            let map = |to: fn(&Binding) -> MacAddr6| {
                elements(
                    bindings.iter().map(|binding| format!("{} : {}", binding.net, LowerCase(to(binding)))),
                )
            };
            for (name, macs) in
                [("inside", map(|binding| binding.inside)), ("wire", map(|binding| binding.wire))]
            {
                line!(
                    text,
                    "\tmap ip{suffix}2{name} {{ type {address} : ether_addr; flags interval; {macs}}}"
                );
            }
        }
        line!(
            text,
            "\tmap probe {{ type ipv4_addr : ether_addr; flags dynamic,timeout; timeout 10s; size {PROBES}; }}"
        );
        Ok(())
    }

    /// Where the chains hang.
    fn hooks(&self, text: &mut String) -> Result<(), ExportError> {
        let uplink = &self.interfaces.uplink;
        if self.plane != DataPlane::NftNetdev {
            line!(text, "\tchain pre {{");
            line!(text, "\t\ttype filter hook prerouting priority -300;");
            line!(text, "\t\tiifname \"{uplink}\" goto inward");
            line!(text, "\t\tgoto from");
            line!(text, "\t}}");
            line!(text, "\tchain post {{");
            line!(text, "\t\ttype filter hook postrouting priority 300;");
            line!(text, "\t\toifname \"{uplink}\" goto outward");
            line!(text, "\t}}");
            return Ok(());
        }
        let ports = self.config.ports.iter().map(|port| self.interfaces.port(port.id));
        let ports: Vec<&str> = ports.collect::<Result<_, _>>()?;
        for (at, port) in (1..).zip(ports) {
            line!(text, "\tchain port{at} {{");
            line!(text, "\t\ttype filter hook ingress device \"{port}\" priority -300;");
            // Said twice, since listings of nft leave out the device.
            line!(text, "\t\tiifname \"{port}\" goto from");
            line!(text, "\t}}");
        }
        for (name, hook, side, priority, chain) in
            [("pre", "ingress", "iifname", -300, "inward"), ("post", "egress", "oifname", 300, "outward")]
        {
            line!(text, "\tchain {name} {{");
            line!(text, "\t\ttype filter hook {hook} device \"{uplink}\" priority {priority};");
            line!(text, "\t\t{side} \"{uplink}\" goto {chain}");
            line!(text, "\t}}");
        }
        Ok(())
    }

    /// From a machine: it has its own MAC, and who probes is remembered.
    fn inside(&self, text: &mut String) {
        line!(text, "\tchain from {{");
        line!(text, "\t\tether saddr @own drop");
        line!(text, "\t\tether saddr @inside iifname . ether saddr != @stations drop");
        line!(
            text,
            "\t\tarp operation request arp saddr ip 0.0.0.0 update @probe {{ arp daddr ip : arp saddr ether }}"
        );
        line!(text, "\t}}");
    }

    /// From the uplink. An answer to a probe names nobody: who asked is remembered.
    fn inward(&self, text: &mut String) {
        line!(text, "\tchain inward {{");
        line!(text, "\t\tether daddr != @own return");
        line!(text, "\t\tarp daddr ip 0.0.0.0 ether daddr set arp saddr ip map @probe accept");
        line!(text, "\t\tarp operation reply arp daddr ether set arp daddr ip map @ip2inside");
        line!(text, "\t\tether daddr set arp daddr ip map @ip2inside");
        if self.config.mode == Mode::Vmac && self.plane == DataPlane::NftNetlink {
            line!(text, "\t\tudp sport 67 udp dport 68 jump {}", netlink::DHCP_IN);
        } else if self.config.mode == Mode::Vmac {
            for binding in self.defaults() {
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
        if !self.v6.is_empty() {
            line!(text, "\t\tether daddr set ip6 daddr map @ip62inside");
        }
        line!(text, "\t}}");
    }

    /// To the uplink; the last three rules are the guard.
    fn outward(&self, text: &mut String) {
        let known = if self.v6.is_empty() { "ip, arp" } else { "ip, ip6, arp" };
        line!(text, "\tchain outward {{");
        // The host's own.
        line!(text, "\t\tether saddr @own return");
        line!(text, "\t\tarp saddr ip != 0.0.0.0 ether saddr . arp saddr ip != @owners drop");
        line!(text, "\t\tip saddr != 0.0.0.0 ether saddr . ip saddr != @owners drop");
        if !self.v6.is_empty() {
            line!(text, "\t\tip6 saddr != :: ether saddr . ip6 saddr != @owners6 drop");
            line!(text, "\t\tmeta protocol ip6 jump nd");
        }
        match self.config.mode {
            Mode::Single => self.one_wire(text),
            Mode::Vmac => self.several_wires(text),
        }
        line!(text, "\t\tether saddr != @own drop");
        line!(text, "\t\tarp saddr ether != @own drop");
        line!(text, "\t\tether type != {{ {known} }} drop");
        line!(text, "\t}}");
    }

    fn one_wire(&self, text: &mut String) {
        let wire = LowerCase(self.config.host.mac);
        line!(text, "\t\tarp operation {{ request, reply }} arp saddr ether set {wire}");
        line!(text, "\t\tarp daddr ether @inside arp daddr ether set {wire}");
        let request = "ip saddr 0.0.0.0 udp sport 68 udp dport 67";
        match self.plane {
            DataPlane::NftNetlink => line!(text, "\t\t{request} jump {}", netlink::DHCP_OUT),
            _ => line!(text, "\t\t{request} @th,144,16 set 0x8000 udp checksum set 0"),
        }
        line!(text, "\t\tether saddr set {wire}");
    }

    fn several_wires(&self, text: &mut String) {
        line!(text, "\t\tarp saddr ip 0.0.0.0 arp saddr ether set arp daddr ip map @ip2wire");
        line!(text, "\t\tarp saddr ip 0.0.0.0 ether saddr set arp daddr ip map @ip2wire");
        line!(text, "\t\tarp saddr ether set arp saddr ip map @ip2wire");
        line!(text, "\t\tether saddr set arp saddr ip map @ip2wire");
        line!(text, "\t\tether saddr set ip saddr map @ip2wire");
        if !self.v6.is_empty() {
            line!(text, "\t\tether saddr set ip6 saddr map @ip62wire");
        }
        // An announcement names itself a second time.
        line!(text, "\t\tarp daddr ether @inside arp daddr ether set arp daddr ip map @ip2wire");
        if self.plane == DataPlane::NftNetlink {
            line!(text, "\t\tudp sport 68 udp dport 67 jump {}", netlink::DHCP_OUT);
        }
        for binding in self.defaults() {
            let (wire, inside, hex) = (LowerCase(binding.wire), LowerCase(binding.inside), hex(binding.wire));
            line!(text, "\t\tarp daddr ether {inside} arp daddr ether set {wire}");
            if self.plane != DataPlane::NftNetlink {
                line!(
                    text,
                    "\t\tether saddr {inside} udp sport 68 udp dport 67 @th,288,48 set {hex} udp checksum set 0"
                );
            }
            line!(text, "\t\tether saddr {inside} ether saddr set {wire}");
        }
    }

    /// One binding for each inside MAC: its wire MAC serves frames that name no address.
    fn defaults(&self) -> impl Iterator<Item = &Binding> {
        let mut seen = BTreeSet::new();
        let all = self.v4.iter().chain(&self.v6).copied();
        all.filter(move |binding| seen.insert(binding.inside.into_array()))
    }
}

/// What of neighbour discovery carries no link-layer address; rules that rewrite one stand before.
fn discovery(text: &mut String) {
    line!(text, "\tchain nd {{");
    line!(text, "\t\tmeta l4proto != ipv6-icmp return");
    line!(text, "\t\ticmpv6 type < 133 return");
    line!(text, "\t\ticmpv6 type > 137 return");
    for (kind, bare) in [("nd-router-solicit", 8), ("nd-neighbor-solicit", 24), ("nd-neighbor-advert", 24)] {
        line!(text, "\t\ticmpv6 type {kind} ip6 length {bare} return");
    }
    // A nonce (RFC 7527) and nothing else.
    line!(text, "\t\ticmpv6 type nd-neighbor-solicit ip6 length 32 @th,192,16 0x0e01 return");
    line!(text, "\t\tdrop");
    line!(text, "\t}}");
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
