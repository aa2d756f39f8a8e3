//! Our iptables rules beside those that Neutron's own driver made of the same replies: both loaded,
//! and compared as the kernel tells them back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use private_ovs::enter_namespaces;
use secgroup::{
    files,
    render::{Style, Target, rendered},
};
use secgroup_rpc::{Info, Message};

use crate::world::{feed, has_commands};

type Chains = BTreeMap<String, BTreeSet<String>>;

/// Fixed rules, which the recordings do not hold: jumps to the source check, DHCP and ICMPv6 for
/// which no rule is asked.
fn is_fixed(chain: &str, rule: &str) -> bool {
    let ingress =
        ["130", "135", "136"].map(|kind| format!("-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN"));
    let egress = [
        "-s 0.0.0.0/32 -d 255.255.255.255/32 -p udp -m udp --sport 68 --dport 67 -j RETURN",
        "-p udp -m udp --sport 68 --dport 67 -j RETURN",
        "-p udp -m udp --sport 67 --dport 68 -j DROP",
        "-s ::/128 -d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type 131 -j RETURN",
        "-s ::/128 -d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j RETURN",
        "-s ::/128 -d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type 143 -j RETURN",
        "-p ipv6-icmp -m icmp6 --icmpv6-type 134 -j DROP",
        "-p ipv6-icmp -j RETURN",
        "-p udp -m udp --sport 546 --dport 547 -j RETURN",
        "-p udp -m udp --sport 547 --dport 546 -j DROP",
    ];
    match chain.split_at(1) {
        ("i", _) => ingress.iter().any(|fixed| fixed == rule),
        ("o", id) => egress.contains(&rule) || rule == format!("-j s{id}"),
        _ => false,
    }
}

/// Loads `text` into a namespace of its own; the port chains as the kernel tells them.
fn loaded(text: &str, is_v6: bool) -> Option<Chains> {
    if !enter_namespaces() {
        return None;
    }
    let word = if is_v6 { "ip6tables" } else { "iptables" };
    feed(&format!("{word}-restore"), text).unwrap_or_else(|errors| panic!("{word}: {errors}"));
    let saved = feed(&format!("{word}-save -t filter"), "").unwrap();
    let mut chains = Chains::new();
    for line in saved.lines().filter_map(|line| line.strip_prefix("-A ")) {
        let (chain, rule) = line.split_once(' ').unwrap();
        chains.entry(chain.to_owned()).or_default().insert(rule.to_owned());
    }
    chains.retain(|chain, _| chain.starts_with(['i', 'o']));
    Some(chains)
}

/// What Neutron recorded for the filtered devices, for `iptables-restore`.
fn recorded(expanded: &serde_json::Value, info: &Info, is_v6: bool) -> String {
    let mut out = "*filter\n:sg-fallback - [0:0]\n".to_owned();
    let mut rules = String::new();
    for device in info.devices.iter().filter(|device| device.is_filtered()) {
        let id = device.id.to_string();
        for (kind, direction) in [("i", "ingress"), ("o", "egress")] {
            let chain = format!("{kind}{}", &id[..11]);
            let key = format!("{direction}_iptables_v{}", if is_v6 { 6 } else { 4 });
            out += &format!(":{chain} - [0:0]\n");
            for rule in expanded[&id][&key].as_array().unwrap() {
                rules += &format!("-A {chain} {}\n", plain(rule.as_str().unwrap()));
            }
        }
    }
    out + &rules + "COMMIT\n"
}

/// The rule without its comment.
fn plain(rule: &str) -> String {
    const START: &str = "-m comment --comment \"";
    let rule = rule.replace("$sg-fallback", "sg-fallback");
    match rule.split_once(START).map(|(before, rest)| (before, rest.split_once("\" "))) {
        Some((before, Some((_, after)))) => format!("{before}{after}"),
        _ => rule,
    }
}

#[test]
fn iptables_rules_are_those_of_neutrons_own_driver() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/neutron");
    if !has_commands(&["iptables-restore", "ip6tables-restore", "iptables-save", "ip6tables-save"]) {
        return;
    }
    let mut compared = 0;
    for name in ["one-port", "ten-dual-stack", "three-tier", "features"] {
        let Ok(text) = fs::read(shared.join(format!("{name}.expanded.json"))) else {
            println!("skipped: ../shared/fixtures/neutron/{name}.expanded.json not found");
            continue;
        };
        let expanded: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let reply = fs::read(shared.join(format!("{name}.compact.json"))).unwrap();
        let Message::Info(info) = files::parse(&reply).unwrap().message else { panic!("{name} is no reply") };
        for (is_v6, target) in [(false, Target::Iptables), (true, Target::Ip6tables)] {
            let style = Style { no_ipset: true, ..Style::default() };
            let Some(ours) = loaded(&rendered(&info, target, &style).unwrap(), is_v6) else { return };
            let theirs = loaded(&recorded(&expanded, &info, is_v6), is_v6).unwrap();
            assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{name}");
            for (chain, theirs) in &theirs {
                let only_theirs: Vec<_> = theirs.difference(&ours[chain]).collect();
                let more = ours[chain].difference(theirs).filter(|rule| !is_fixed(chain, rule));
                let only_ours: Vec<_> = more.collect();
                // The driver asks for known connections at a stateless port as well: there are none.
                let is_stateless = |rule: &&&String| rule.contains("RELATED,ESTABLISHED");
                let only_theirs: Vec<_> =
                    only_theirs.into_iter().filter(|rule| !is_stateless(&rule)).collect();
                assert!(
                    only_ours.is_empty() && only_theirs.is_empty(),
                    "{name} {chain}: theirs alone {only_theirs:#?}, ours alone {only_ours:#?}"
                );
                compared += theirs.len();
            }
        }
    }
    println!("{compared} rules are those of Neutron's driver");
}
