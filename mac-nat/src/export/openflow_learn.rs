//! OpenFlow where outgoing frames teach the way back: `learn()` in table 10 fills table 20, table 30
//! rewrites, table 15 keeps inside traffic inside. Bindings need not be known.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::openflow::{mark, outputs, to_ourselves, unreadable_discovery, with_others};
use super::{Ability, COOKIE, ExportError, Interfaces, Rules, line};
use crate::binding::LowerCase;
use crate::{Config, Mode};

/// Any group address.
const GROUP: &str = "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00";

pub(super) fn rules(config: &Config, interfaces: &Interfaces) -> Result<Rules, ExportError> {
    let mut rules = Rules::default();
    if config.mode == Mode::Vmac {
        // Which wire MAC belongs to an address cannot be learned; the static form carries it.
        config.bindings.iter().for_each(|binding| rules.leave_out(binding, Ability::SeveralWires));
    }
    let (text, uplink, wire) = (&mut rules.text, &interfaces.uplink, LowerCase(config.host.mac));
    let ports: Vec<_> = config.ports.iter().map(|port| interfaces.port(port.id)).collect::<Result<_, _>>()?;
    let all = outputs(&ports);

    line!(text, "priority=210,in_port={uplink},dl_src={wire} actions=drop");
    line!(text, "priority=100,in_port={uplink},{GROUP} actions={all}LOCAL");
    line!(text, "priority=90,in_port={uplink},dl_dst={wire} actions=resubmit(,20)");
    line!(text, "priority=10,in_port={uplink} actions=drop");
    line!(text, "priority=10,in_port=LOCAL actions=output:{uplink}");
    for (port, others) in with_others(&ports) {
        // A machine must not borrow the host's MAC.
        line!(text, "priority=75,in_port={port},dl_src={wire} actions=drop");
        to_ourselves(text, config, port);
        line!(text, "priority=72,in_port={port},{GROUP} actions={others}LOCAL,resubmit(,5)");
        line!(text, "priority=70,in_port={port} actions=resubmit(,15)");
    }
    line!(text, "table=15,priority=0 actions=resubmit(,5)");
    guard(text, config);
    learn(text, &wire, config);
    rewrite(text, uplink, &wire);
    mark(text);
    Ok(rules)
}

/// Table 5: nobody inside may claim the host's or the router's address.
fn guard(text: &mut String, config: &Config) {
    let taken = config.host.addresses.iter().map(|own| own.addr).chain(config.gateways.iter().copied());
    for address in taken {
        match address {
            IpAddr::V4(address) => {
                line!(text, "table=5,priority=100,arp,arp_spa={address} actions=drop");
                line!(text, "table=5,priority=100,ip,nw_src={address} actions=drop");
            }
            IpAddr::V6(address) => {
                line!(text, "table=5,priority=100,ipv6,ipv6_src={address} actions=drop");
                line!(text, "table=5,priority=100,icmp6,icmp_type=136,nd_target={address} actions=drop");
            }
        }
    }
    unreadable_discovery(text, "table=5,priority=110");
    line!(text, "table=5,priority=0 actions=resubmit(,10)");
}

/// Table 10. A hard timeout with learning anew follows the owner; an idle timeout would be refreshed by
/// whoever calls a dead machine.
fn learn(text: &mut String, wire: &LowerCase, config: &Config) {
    let lifetime = config.timers.lifetime.as_secs().clamp(1, u64::from(u16::MAX));
    let probe = config.timers.probe.as_secs().clamp(1, u64::from(u16::MAX));
    let limit = config.limits.bindings;
    let way_back = |kind: &str, key: &str, rest: &str| {
        format!(
            "learn(cookie={COOKIE:#x},table=20,hard_timeout={lifetime},priority=100,limit={limit},eth_type={kind},eth_dst={wire},\
             NXM_OF_VLAN_TCI[0..12],{key},{rest},output:NXM_OF_IN_PORT[])"
        )
    };
    let inside = format!(
        "learn(cookie={COOKIE:#x},table=15,hard_timeout={lifetime},priority=100,limit={limit},NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])"
    );
    let from_arp = "load:NXM_NX_ARP_SHA[]->NXM_OF_ETH_DST[]";
    let from_eth = "load:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]";
    line!(
        text,
        "table=10,priority=110,arp,arp_spa=0.0.0.0 actions=learn(cookie={COOKIE:#x},table=20,hard_timeout={probe},priority=90,limit={limit},\
         eth_type=0x806,eth_dst={wire},NXM_OF_VLAN_TCI[0..12],NXM_OF_ARP_SPA[]=NXM_OF_ARP_TPA[],{from_arp},\
         load:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],output:NXM_OF_IN_PORT[]),resubmit(,30)"
    );
    line!(
        text,
        "table=10,priority=100,arp actions={inside},{},{},resubmit(,30)",
        way_back("0x800", "NXM_OF_IP_DST[]=NXM_OF_ARP_SPA[]", from_arp),
        way_back(
            "0x806",
            "NXM_OF_ARP_TPA[]=NXM_OF_ARP_SPA[]",
            &format!("{from_arp},load:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]")
        )
    );
    line!(text, "table=10,priority=110,ip,nw_src=0.0.0.0 actions=resubmit(,30)");
    line!(
        text,
        "table=10,priority=100,ip actions={inside},{},resubmit(,30)",
        way_back("0x800", "NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]", from_eth)
    );
    line!(text, "table=10,priority=120,ipv6,ipv6_src=:: actions=resubmit(,30)");
    line!(
        text,
        "table=10,priority=115,icmp6,icmp_type=136 actions={inside},{},resubmit(,30)",
        way_back("0x86dd", "NXM_NX_IPV6_DST[]=NXM_NX_ND_TARGET[]", from_eth)
    );
    line!(
        text,
        "table=10,priority=100,ipv6 actions={inside},{},resubmit(,30)",
        way_back("0x86dd", "NXM_NX_IPV6_DST[]=NXM_NX_IPV6_SRC[]", from_eth)
    );
    line!(text, "table=10,priority=0 actions=drop");
    // Nobody has the address, as far as we know: it is for the host.
    line!(text, "table=20,priority=0 actions=LOCAL");
}

/// Table 30.
fn rewrite(text: &mut String, uplink: &str, wire: &LowerCase) {
    let arp = format!("set_field:{wire}->eth_src,set_field:{wire}->arp_sha");
    line!(
        text,
        "table=30,priority=120,arp,arp_op=2,dl_dst=ff:ff:ff:ff:ff:ff actions={arp},set_field:{wire}->arp_tha,output:{uplink}"
    );
    line!(text, "table=30,priority=100,arp actions={arp},output:{uplink}");
    for (kind, field) in [(135, "nd_sll"), (136, "nd_tll")] {
        line!(
            text,
            "table=30,priority=100,icmp6,icmp_type={kind} actions=set_field:{wire}->eth_src,set_field:{wire}->{field},output:{uplink}"
        );
    }
    line!(text, "table=30,priority=50 actions=set_field:{wire}->eth_src,output:{uplink}");
}
