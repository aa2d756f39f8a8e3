//! OpenFlow, one flow per address and kind of frame. Open vSwitch corrects the checksums itself.
//!
//! Table 0 sorts by port and keeps inside traffic inside, table 1 translates what leaves.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Ability, COOKIE, ExportError, Interfaces, Rules, line};
use crate::binding::LowerCase;
use crate::{Binding, Config, MacAddr6, Vlans};

/// Before everything that belongs to a binding.
const FIRST: u16 = 4000;
/// Solicitations and advertisements.
const DISCOVERY: u16 = 2000;
/// Everything else of a binding.
const PLAIN: u16 = 1000;
/// Any group address.
const GROUP: &str = "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00";

pub(super) fn rules(config: &Config, interfaces: &Interfaces) -> Result<Rules, ExportError> {
    let mut rules = Rules::default();
    sort_by_port(&mut rules.text, config, interfaces)?;
    for binding in &config.bindings {
        let Some(vlan) = vlan_match(binding.vlans) else {
            rules.leave_out(binding, Ability::TwoVlans);
            continue;
        };
        let flows =
            Flows { binding, vlan: &vlan, uplink: &interfaces.uplink, port: interfaces.port(binding.port)? };
        match binding.net.addr() {
            IpAddr::V4(_) => flows.v4(&mut rules.text),
            IpAddr::V6(_) => flows.v6(&mut rules.text),
        }
    }
    mark(&mut rules.text);
    Ok(rules)
}

/// Makes every flow one of ours. Addresses of one machine share some: they come once.
pub(super) fn mark(text: &mut String) {
    let mut seen = BTreeSet::new();
    let flows = text.lines().filter(|flow| seen.insert(*flow));
    *text = flows.map(|flow| format!("cookie={COOKIE:#x},{flow}\n")).collect();
}

/// Table 0, for any way of finding owners in the tables behind.
pub(super) fn sort_by_port(
    text: &mut String,
    config: &Config,
    interfaces: &Interfaces,
) -> Result<(), ExportError> {
    let uplink = &interfaces.uplink;
    let ports: Vec<_> = config.ports.iter().map(|port| interfaces.port(port.id)).collect::<Result<_, _>>()?;
    let all = outputs(&ports);
    let wires: BTreeSet<_> = config.wire_macs().map(MacAddr6::into_array).collect();
    for wire in wires.into_iter().map(|wire| LowerCase(wire.into())) {
        // Our own frame, reflected.
        line!(text, "priority={FIRST},in_port={uplink},dl_src={wire} actions=drop");
        // DHCP servers send answers for everybody to one MAC.
        line!(
            text,
            "priority=3900,in_port={uplink},ip,dl_dst={wire},nw_dst=255.255.255.255 actions=set_field:ff:ff:ff:ff:ff:ff->eth_dst,{all}LOCAL"
        );
    }
    line!(text, "priority=3800,in_port={uplink},{GROUP} actions={all}LOCAL");
    line!(text, "priority=10,in_port={uplink} actions=LOCAL");
    line!(text, "priority=10,in_port=LOCAL actions=output:{uplink}");
    for (port, others) in with_others(&ports) {
        to_ourselves(text, config, port);
        line!(text, "priority=100,in_port={port},{GROUP} actions={others}LOCAL,resubmit(,1)");
        line!(text, "priority=50,in_port={port} actions=resubmit(,1)");
    }
    line!(text, "table=1,priority=0 actions=drop");
    unreadable_discovery(text, &format!("table=1,priority={FIRST}"));
    // Behind those that speak of an address of their own.
    for kind in [135, 136] {
        line!(text, "table=1,priority=1900,icmp6,icmp_type={kind} actions=drop");
    }
    Ok(())
}

/// Each port with the actions that send a frame to all others.
pub(super) fn with_others<'a>(ports: &[&'a str]) -> impl Iterator<Item = (&'a str, String)> {
    ports.iter().enumerate().map(|(at, port)| {
        let (before, behind) = (ports.iter().take(at), ports.iter().skip(at + 1));
        (*port, outputs(before.chain(behind)))
    })
}

/// The actions that send a frame to all of `ports`.
pub(super) fn outputs<'a>(ports: impl IntoIterator<Item = &'a &'a str>) -> String {
    ports.into_iter().map(|port| format!("output:{port},")).collect()
}

/// What a machine says to neighbours only, to the host, or to a MAC that the provider has for us.
pub(super) fn to_ourselves(text: &mut String, config: &Config, port: &str) {
    let host = LowerCase(config.host.mac);
    let wires: BTreeSet<_> = config.wire_macs().map(MacAddr6::into_array).collect();
    line!(text, "priority=110,in_port={port},dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0 actions=drop");
    line!(text, "priority=95,in_port={port},dl_dst={host} actions=LOCAL");
    for wire in wires.into_iter().map(MacAddr6::from).filter(|wire| *wire != config.host.mac) {
        line!(text, "priority=95,in_port={port},dl_dst={} actions=drop", LowerCase(wire));
    }
}

/// What Open vSwitch cannot rewrite: kinds whose options are no fields, and messages with broken
/// options or the same one twice, whose target it then reads as zero.
pub(super) fn unreadable_discovery(text: &mut String, place: &str) {
    for kind in [133, 134, 137] {
        line!(text, "{place},icmp6,icmp_type={kind} actions=drop");
    }
    for kind in [135, 136] {
        line!(text, "{place},icmp6,icmp_type={kind},nd_target=:: actions=drop");
    }
}

/// What restricts a flow to these VLANs; `None` beyond one tag.
pub(super) fn vlan_match(vlans: Vlans) -> Option<String> {
    let mut vids = vlans.iter();
    match (vids.next(), vids.next()) {
        // Nor a tag that only carries a priority.
        (None, _) => Some("vlan_tci=0x0000/0x0fff".into()),
        (Some(vid), None) => Some(format!("dl_vlan={vid}")),
        (Some(_), Some(_)) => None,
    }
}

struct Flows<'a> {
    binding: &'a Binding,
    vlan: &'a str,
    uplink: &'a str,
    port: &'a str,
}

impl Flows<'_> {
    fn v4(&self, text: &mut String) {
        let Self { binding, vlan, uplink, port } = self;
        let (net, inside, wire) = (binding.net, LowerCase(binding.inside), LowerCase(binding.wire));
        let rank = rank(PLAIN, binding);
        let inward = format!("in_port={uplink},{vlan}");
        // A reply names its receiver; in a request the field means nothing and stays.
        line!(
            text,
            "priority={},{inward},arp,dl_dst={wire},arp_tpa={net},arp_op=2 actions=set_field:{inside}->eth_dst,set_field:{inside}->arp_tha,output:{port}",
            rank + 1
        );
        line!(
            text,
            "priority={rank},{inward},arp,dl_dst={wire},arp_tpa={net} actions=set_field:{inside}->eth_dst,output:{port}"
        );
        line!(
            text,
            "priority={rank},{inward},ip,dl_dst={wire},nw_dst={net} actions=set_field:{inside}->eth_dst,output:{port}"
        );
        self.stays_inside(text);
        let from = format!("table=1,priority={},in_port={port},{vlan}", rank + 1);
        let translate = format!("set_field:{wire}->eth_src,set_field:{wire}->arp_sha");
        // An announcement as a reply carries the inside MAC a third time.
        line!(
            text,
            "table=1,priority={},in_port={port},{vlan},arp,dl_src={inside},arp_spa={net},arp_sha={inside},arp_tha={inside} actions={translate},set_field:{wire}->arp_tha,output:{uplink}",
            rank + 2
        );
        line!(
            text,
            "{from},arp,dl_src={inside},arp_spa={net},arp_sha={inside} actions={translate},output:{uplink}"
        );
        line!(
            text,
            "{from},arp,dl_src={inside},arp_spa=0.0.0.0,arp_tpa={net},arp_sha={inside} actions={translate},output:{uplink}"
        );
        line!(
            text,
            "{from},ip,dl_src={inside},nw_src={net} actions=set_field:{wire}->eth_src,output:{uplink}"
        );
        // Not from the owner, whoever has the block around.
        for of_others in [format!("arp,arp_spa={net}"), format!("ip,nw_src={net}")] {
            line!(text, "table=1,priority={rank},{vlan},{of_others} actions=drop");
        }
    }

    fn v6(&self, text: &mut String) {
        let Self { binding, vlan, uplink, port } = self;
        let (net, inside, wire) = (binding.net, LowerCase(binding.inside), LowerCase(binding.wire));
        let (rank, discovery) = (rank(PLAIN, binding), rank(DISCOVERY, binding));
        line!(
            text,
            "priority={rank},in_port={uplink},{vlan},ipv6,dl_dst={wire},ipv6_dst={net} actions=set_field:{inside}->eth_dst,output:{port}"
        );
        self.stays_inside(text);
        let from = format!("in_port={port},{vlan}");
        let discovering = format!("table=1,priority={},{from},icmp6,dl_src={inside}", discovery + 1);
        line!(
            text,
            "{discovering},icmp_type=135,ipv6_src={net} actions=set_field:{wire}->eth_src,set_field:{wire}->nd_sll,output:{uplink}"
        );
        line!(
            text,
            "{discovering},icmp_type=135,ipv6_src=::,nd_target={net} actions=set_field:{wire}->eth_src,output:{uplink}"
        );
        line!(
            text,
            "{discovering},icmp_type=136,nd_target={net} actions=set_field:{wire}->eth_src,set_field:{wire}->nd_tll,output:{uplink}"
        );
        line!(
            text,
            "table=1,priority={},{from},ipv6,dl_src={inside},ipv6_src={net} actions=set_field:{wire}->eth_src,output:{uplink}",
            rank + 1
        );
        // Not from the owner, whoever has the block around.
        for of_others in [format!("icmp_type=135,ipv6_src={net}"), format!("icmp_type=136,nd_target={net}")] {
            line!(text, "table=1,priority={discovery},{vlan},icmp6,{of_others} actions=drop");
        }
        line!(text, "table=1,priority={rank},{vlan},ipv6,ipv6_src={net} actions=drop");
    }

    /// Machines on one side see each other's real MACs, and nobody outside does.
    fn stays_inside(&self, text: &mut String) {
        let Self { binding, vlan, uplink, port } = self;
        let inside = LowerCase(binding.inside);
        line!(text, "priority=120,in_port={uplink},dl_dst={inside} actions=drop");
        line!(text, "priority=90,{vlan},dl_dst={inside} actions=output:{port}");
        line!(text, "priority=85,dl_dst={inside} actions=drop");
    }
}

/// The longest prefix wins, as it does in the engine; three flows fit between two lengths.
fn rank(class: u16, binding: &Binding) -> u16 {
    class + 4 * u16::from(binding.net.prefix_len())
}
