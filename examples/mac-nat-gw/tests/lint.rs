//! `lint` on real listings: our own rules show what the exporters say of themselves, and rule sets as
//! people write them are found out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use mac_nat::export::{Ability, DataPlane, Interfaces, Support};
use mac_nat_gw::lint::{Format, Problem, Report, lint};
use mac_nat_gw::{EXIT_BAD_INPUT, Settings};
use private_ovs::{Datapath, PrivateOvs};

const E: &str = "52:54:00:aa:00:01";
const V1: &str = "fa:16:3e:00:00:01";
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

/// The configuration of this name, with bindings in one VLAN and in two.
fn settings(name: &str) -> Settings {
    let path = format!("{DATA}/{name}.toml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (address, vlan) in [("203.0.113.21", "10"), ("203.0.113.22", "13.10")] {
        text += &format!(
            "\n[[binding]]\naddress = \"{address}\"\nport = \"vm2\"\ninside = \"fa:16:3e:00:00:02\"\nvlan = \"{vlan}\"\n"
        );
    }
    Settings::parse(&text, Path::new(&path), |_| None).unwrap()
}

fn export(plane: DataPlane, settings: &Settings) -> String {
    let ports = settings.ports.iter().map(|port| (port.id, port.interface.as_str()));
    plane.export(&settings.engine, &Interfaces::new(&settings.uplink, ports)).unwrap().text
}

/// Runs shell commands in a network namespace of their own; their output.
fn in_namespace(script: &str) -> Option<String> {
    let links =
        ["eth0", "tap1", "tap2"].map(|name| format!("ip link add {name} type veth peer name {name}p\n"));
    let script = format!("set -e\n{}{script}", links.concat());
    let namespace = Command::new("unshare").args(["-n", "sh", "-c", &script]).stdin(Stdio::null()).output();
    let Ok(output) = namespace else {
        private_ovs::skip("unshare");
        return None;
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("not permitted") || said.contains("not found"), "{said}");
        private_ovs::skip("nft or ebtables or root");
        return None;
    }
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What the real tool lists when it has taken the rules.
fn listing(plane: DataPlane, rules: &str) -> Option<(Format, String)> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules");
    std::fs::write(&file, rules).unwrap();
    let file = file.display();
    match plane {
        DataPlane::Ebtables => {
            Some((Format::EbtablesSave, in_namespace(&format!("sh {file}\nebtables-save"))?))
        }
        DataPlane::OpenFlow | DataPlane::OpenFlowLearn => {
            Some((Format::OvsFlows, flows(&file.to_string(), &[&["--names"]]).pop()?))
        }
        _ => Some((Format::NftJson, in_namespace(&format!("nft -f {file}\nnft -j list ruleset"))?)),
    }
}

/// Listings of a private Open vSwitch with these flows, one for each set of options.
fn flows(file: &str, options: &[&[&str]]) -> Vec<String> {
    let Some(mut ovs) = PrivateOvs::start(Datapath::Dummy) else { return vec![] };
    ovs.add_bridge("nat", &["fail_mode=secure"]);
    ["eth0", "tap1", "tap2"].iter().for_each(|name| ovs.add_port("nat", name, &[]));
    ovs.ofctl(&["add-flows", "nat", file]);
    options.iter().map(|options| ovs.ofctl(&[options, &["dump-flows", "nat"][..]].concat())).collect()
}

fn abilities(report: &Report) -> BTreeSet<String> {
    report.findings.iter().map(|finding| finding.ability.clone()).collect()
}

#[test]
fn our_own_rules_lack_what_their_exporter_says_and_leak_nothing_else() {
    for name in ["single", "vmac"] {
        let settings = settings(name);
        for plane in DataPlane::ALL {
            // Which wire MAC an address has cannot be learned: all bindings are left out.
            if (plane, name) == (DataPlane::OpenFlowLearn, "vmac") {
                continue;
            }
            let Some((format, listing)) = listing(plane, &export(plane, &settings)) else { return };
            let report = lint(&listing, format, &settings, &[]).unwrap();
            // Two limits are about time, one about addresses without a binding.
            let unseen = [Ability::ConflictDetection, Ability::Learning, Ability::SilentOwner];
            // One has no IPv6 binding, the other no wire MACs to show these.
            let hidden: &[Ability] = match name {
                "vmac" => &[Ability::NeighbourDiscovery, Ability::MalformedNd, Ability::RouterOptions],
                _ => &[Ability::Vmac, Ability::SeveralWires],
            };
            let lacks = |ability: &Ability| match plane.support(*ability) {
                Support::Yes => false,
                Support::Limited(_) => !hidden.contains(ability) && !unseen.contains(ability),
                _ => !hidden.contains(ability),
            };
            let mut expected: BTreeSet<_> = Ability::ALL
                .iter()
                .filter(|ability| lacks(ability))
                .map(|ability| format!("{ability:?}"))
                .collect();
            if plane == DataPlane::NftNetlink {
                // Without its netlink part, which `apply` sends.
                expected.insert("Dhcp".into());
            }
            assert_eq!(abilities(&report), expected, "{name} {plane:?}:\n{report}");
            for finding in &report.findings {
                let leaks = matches!(finding.problem, Problem::Leak { .. });
                let known = finding.probe.contains("broken option") && plane.name().starts_with("openflow");
                assert_eq!(leaks, known, "{name} {plane:?}: {finding}");
            }
            let without_device =
                report.not_understood.iter().filter(|unknown| unknown.what.contains("device"));
            assert_eq!(without_device.count(), report.not_understood.len(), "{report}");
        }
    }
}

#[test]
fn rules_are_read_in_every_form_that_the_tools_print() {
    let settings = settings("single");
    let text = export(DataPlane::OpenFlowLearn, &settings);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let numbers: Vec<(String, String)> = [("eth0", "1"), ("tap1", "2"), ("tap2", "3")]
        .map(|(name, number)| (name.into(), number.into()))
        .into();
    let found = |text: &str, format| abilities(&lint(text, format, &settings, &numbers).unwrap());
    let expected = found(&text, Format::OvsFlows);
    for listing in
        flows(&file.path().display().to_string(), &[&["--names"], &["--no-names"], &["--no-stats"]])
    {
        assert_eq!(Format::guess(&listing), Some(Format::OvsFlows));
        assert_eq!(found(&listing, Format::OvsFlows), expected, "{listing}");
    }
    let script = export(DataPlane::Ebtables, &settings);
    assert_eq!(Format::guess(&script), Some(Format::EbtablesSave));
    if let Some((format, listing)) = listing(DataPlane::Ebtables, &script) {
        assert_eq!(found(&script, Format::EbtablesSave), found(&listing, format));
    }
}

/// Which MAC leaks where, by the name of the probe.
fn leaks(report: &Report) -> Vec<(&str, &str)> {
    let leak = |finding: &'_ mac_nat_gw::lint::Finding| match &finding.problem {
        Problem::Leak { part, mac } => Some((part.clone(), mac.clone())),
        _ => None,
    };
    let found = report.findings.iter().filter(|finding| leak(finding).is_some_and(|(_, mac)| mac == V1));
    found
        .map(|finding| match &finding.problem {
            Problem::Leak { part, .. } => (finding.probe.as_str(), part.as_str()),
            _ => unreachable!(),
        })
        .collect()
}

#[test]
fn the_rule_that_ebtables_refuses_is_named_and_without_arp_nothing_works() {
    let story = format!(
        "ebtables -t nat -A PREROUTING -i eth0 -d {E} --ip-dst 203.0.113.11 -j dnat --to-destination {V1}\n\
         ebtables -t nat -A POSTROUTING -o eth0 -j snat --to-source {E}\n"
    );
    let report = lint(&story, Format::EbtablesSave, &settings("single"), &[]).unwrap();
    assert_eq!(report.refused.len(), 1);
    assert_eq!(report.refused[0].line, 1);
    assert!(report.refused[0].what.contains("-p IPv4"), "{report}");
    assert!(leaks(&report).contains(&("ARP request for the router", "ARP sender")), "{report}");
    // The tool agrees.
    let refused = in_namespace(&format!("if {} ; then echo taken; fi 2>&1", story.lines().next().unwrap()));
    assert!(refused.is_none_or(|said| !said.contains("taken")));
}

#[test]
fn complete_ebtables_rules_still_leak_announcements_and_neighbour_discovery() {
    let rules = format!(
        "ebtables -t nat -A PREROUTING -i eth0 -d {E} -p IPv4 --ip-dst 203.0.113.11 -j dnat --to-destination {V1}\n\
         ebtables -t nat -A PREROUTING -i eth0 -d {E} -p ARP --arp-ip-dst 203.0.113.11 -j dnat --to-destination {V1}\n\
         ebtables -t nat -A POSTROUTING -o eth0 -j snat --to-source {E} --snat-arp\n"
    );
    let Some((format, listing)) = listing(DataPlane::Ebtables, &rules) else { return };
    let report = lint(&listing, format, &settings("single"), &[]).unwrap();
    let leaks = leaks(&report);
    for expected in [
        ("ARP announcement as a reply", "ARP target"),
        ("neighbour solicitation", "neighbour discovery option"),
        ("neighbour advertisement", "neighbour discovery option"),
        ("router solicitation", "neighbour discovery option"),
        ("RARP announcement", "ARP sender"),
    ] {
        assert!(leaks.contains(&expected), "{expected:?} in {report}");
    }
    assert!(abilities(&report).contains("ConflictDetection") && abilities(&report).contains("Spoofing"));
    // What works is not complained about.
    let untouched = |finding: &&mac_nat_gw::lint::Finding| finding.subject.starts_with("203.0.113.11/32 at");
    let ipv4 = report.findings.iter().filter(untouched).filter(|finding| finding.ability == "Ipv4");
    assert_eq!(ipv4.count(), 0, "{report}");
}

#[test]
fn rules_without_a_guard_let_unknown_machines_out() {
    // One rule for each machine, as for hosters with a MAC per address, and nothing behind them.
    let rules =
        format!("ebtables -t nat -A POSTROUTING -o eth0 -s {V1} -j snat --to-source {E} --snat-arp\n");
    let report = lint(&rules, Format::EbtablesSave, &settings("single"), &[]).unwrap();
    let stranger =
        report.findings.iter().find(|finding| finding.probe == "IPv4 packet with a MAC that nobody has");
    assert!(
        matches!(&stranger.unwrap().problem, Problem::Leak { part, .. } if part == "Ethernet source"),
        "{report}"
    );
}

#[test]
fn nft_that_rewrites_discovery_by_text_breaks_its_checksum() {
    let rules = format!(
        "table bridge macnat {{
           map ip2mac {{ type ipv4_addr : ether_addr; elements = {{ 203.0.113.11 : {V1} }} }}
           map ip62mac {{ type ipv6_addr : ether_addr; elements = {{ 2001:db8:1::11 : {V1} }} }}
           chain pre {{ type filter hook prerouting priority -300; policy accept;
             iifname != \"eth0\" return
             ether daddr {E} ether type arp arp operation reply arp daddr ether set arp daddr ip map @ip2mac
             ether daddr {E} ether type arp ether daddr set arp daddr ip map @ip2mac
             ether daddr {E} ether daddr set ip daddr map @ip2mac
             ether daddr {E} ether daddr set ip6 daddr map @ip62mac
           }}
           chain post {{ type filter hook postrouting priority 300; policy accept;
             oifname != \"eth0\" return
             arp operation {{ request, reply }} arp saddr ether set {E}
             icmpv6 type nd-neighbor-solicit @th,192,16 0x0101 @th,208,48 set 0x525400aa0001
             icmpv6 type nd-neighbor-advert @th,192,16 0x0201 @th,208,48 set 0x525400aa0001
             ether saddr set {E}
           }}
         }}"
    );
    let Some((format, listing)) = listing(DataPlane::Nftables, &rules) else { return };
    let report = lint(&listing, format, &settings("single"), &[]).unwrap();
    assert!(report.not_understood.is_empty(), "{report}");
    let wrong = report.findings.iter().filter(|finding| finding.problem == Problem::Checksum);
    let wrong: Vec<_> = wrong.map(|finding| finding.probe.as_str()).collect();
    assert!(
        wrong.contains(&"neighbour solicitation") && wrong.contains(&"neighbour advertisement"),
        "{report}"
    );
    let leaks = leaks(&report);
    for expected in [
        ("neighbour solicitation with a nonce first", "neighbour discovery option"),
        ("router solicitation", "neighbour discovery option"),
        ("ARP announcement as a reply", "ARP target"),
        ("ARP request in a VLAN that nobody has", "ARP sender"),
    ] {
        assert!(leaks.contains(&expected), "{expected:?} in {report}");
    }
}

#[test]
fn learning_flows_of_the_story_leak_lose_conflicts_and_forget_the_neighbours() {
    let rules = story_flows();
    let Some((format, listing)) = listing(DataPlane::OpenFlowLearn, &rules) else { return };
    let report = lint(&listing, format, &settings("single"), &[]).unwrap();
    assert!(report.not_understood.is_empty(), "{report}");
    assert!(leaks(&report).contains(&("ARP announcement as a reply", "ARP target")), "{report}");
    for ability in ["ConflictDetection", "Spoofing", "SilentOwner", "NeighbourDiscovery"] {
        assert!(abilities(&report).contains(ability), "{ability} in {report}");
    }
    // Both ways work, but machines on one side only hear each other through the provider.
    let probes: Vec<_> = report.findings.iter().map(|finding| finding.probe.as_str()).collect();
    assert!(probes.contains(&"IPv4 packet to a neighbour inside"), "{report}");
    let ipv4 = report.findings.iter().filter(|finding| finding.ability == "Ipv4");
    assert_eq!(ipv4.filter(|finding| finding.probe.starts_with("IPv4 packet")).count(), 1, "{report}");
}

/// Tables that learn the way back, as the idea was first written down.
fn story_flows() -> String {
    let learn = |kind: &str, key: &str, load: &str| {
        format!(
            "learn(table=20,idle_timeout=1200,priority=100,eth_type={kind},in_port=1,eth_dst={E},{key},\
             load:{load}[]->NXM_OF_ETH_DST[],output:NXM_OF_IN_PORT[])"
        )
    };
    format!(
        "table=0,priority=100,in_port=1,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=output:2,output:3,LOCAL\n\
         table=0,priority=90,in_port=1 actions=resubmit(,20)\n\
         table=0,priority=70,in_port=2 actions=resubmit(,10)\n\
         table=0,priority=70,in_port=3 actions=resubmit(,10)\n\
         table=10,priority=100,arp actions={},{},resubmit(,30)\n\
         table=10,priority=100,ip actions={},resubmit(,30)\n\
         table=10,priority=0 actions=drop\n\
         table=20,priority=0 actions=LOCAL\n\
         table=30,priority=100,arp actions=set_field:{E}->eth_src,set_field:{E}->arp_sha,output:1\n\
         table=30,priority=50 actions=set_field:{E}->eth_src,output:1\n",
        learn("0x800", "NXM_OF_IP_DST[]=NXM_OF_ARP_SPA[]", "NXM_NX_ARP_SHA"),
        learn("0x806", "NXM_OF_ARP_TPA[]=NXM_OF_ARP_SPA[]", "NXM_NX_ARP_SHA"),
        learn("0x800", "NXM_OF_IP_DST[]=NXM_OF_IP_SRC[]", "NXM_OF_ETH_SRC"),
    )
}

#[test]
fn open_vswitch_does_with_the_frames_what_lint_says_it_does() {
    let settings = settings("single");
    let Some(mut ovs) = PrivateOvs::start(Datapath::Dummy) else { return };
    ovs.add_bridge("nat", &["fail_mode=secure"]);
    ["eth0", "tap1", "tap2"].iter().for_each(|name| ovs.add_port("nat", name, &[]));
    for rules in
        [story_flows(), export(DataPlane::OpenFlow, &settings), export(DataPlane::OpenFlowLearn, &settings)]
    {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &rules).unwrap();
        let numbers =
            [("eth0", "1"), ("tap1", "2"), ("tap2", "3")].map(|(name, number)| (name.into(), number.into()));
        let report = lint(&rules, Format::OvsFlows, &settings, &numbers).unwrap();
        assert!(report.findings.len() > 3, "{report}");
        for finding in &report.findings {
            // Nothing of what earlier frames taught.
            ovs.ofctl(&["del-flows", "nat"]);
            ovs.ofctl(&["add-flows", "nat", &file.path().display().to_string()]);
            let mut left = private_ovs::Frames::new();
            for hop in &finding.frames {
                left = ovs.exchange(&hop.from, &bytes(&hop.frame.hex));
            }
            match (&finding.problem, &finding.got) {
                (Problem::Lost { at }, _) => assert!(!left.contains_key(at), "{finding}"),
                (_, Some(got)) => {
                    let got = bytes(&got.hex);
                    assert!(left.values().flatten().any(|frame| *frame == got), "{finding}\n{left:02x?}");
                }
                (_, None) => panic!("nothing to compare: {finding}"),
            }
        }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

#[test]
fn what_is_not_understood_is_never_taken_for_granted() {
    let rules = "table=0,priority=9,in_port=eth0,ct_state=+trk actions=drop\n\
                 table=0,priority=1 actions=encap(nsh),NORMAL\n";
    let report = lint(rules, Format::OvsFlows, &settings("single"), &[]).unwrap();
    let places: Vec<_> =
        report.not_understood.iter().map(|unknown| (unknown.line, unknown.what.as_str())).collect();
    assert_eq!(places, [(1, "ct_state=+trk"), (2, "encap(nsh)")]);
    let open = |finding: &&mac_nat_gw::lint::Finding| matches!(finding.problem, Problem::Undecided { .. });
    assert_eq!(report.findings.iter().filter(open).count(), report.findings.len());
    assert!(!report.is_clean());
}

#[test]
fn rules_cut_anywhere_are_bad_input_or_a_report() {
    let settings = settings("single");
    let text = |plane| export(plane, &settings);
    let mut samples = vec![
        (Format::EbtablesSave, text(DataPlane::Ebtables)),
        (Format::OvsFlows, story_flows()),
        (Format::OvsFlows, text(DataPlane::OpenFlowLearn)),
    ];
    samples.extend(listing(DataPlane::Nftables, &text(DataPlane::Nftables)));
    for (format, text) in samples {
        for end in (0..text.len()).step_by(97) {
            let cut = &text[..end];
            let _ = lint(cut, format, &settings, &[]).map(|report| report.to_string());
            // The same without a piece in the middle.
            let gap = [&text[..end / 2], &text[end..]].concat();
            let _ = lint(&gap, format, &settings, &[]).map(|report| report.to_string());
        }
    }
}

#[test]
fn exit_codes_say_what_was_found() {
    let run = |rules: &str, more: &[&str]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rules).unwrap();
        let config = format!("{DATA}/single.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_mac-nat-gw"));
        command.args(["lint", "--config", &config]).args(more).arg(file.path());
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run("table=0 actions=NORMAL\n", &["--json"]);
    assert_eq!(code, 1);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    let finding = &report["findings"][0];
    assert_eq!(finding["problem"]["leak"]["mac"], V1);
    assert!(finding["frames"][0]["hex"].as_str().unwrap().contains("fa163e000001"));
    assert_eq!(run("hello\n", &[]).0, i32::from(EXIT_BAD_INPUT));
    assert_eq!(run("{\"nftables\": 1}", &["--format", "nft-json"]).0, i32::from(EXIT_BAD_INPUT));
}
