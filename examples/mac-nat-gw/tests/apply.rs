//! `apply` and `remove` against the real programs: once is enough, and what is not ours stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(missing_docs)]

use std::process::{Command, Output};

use private_ovs::{Datapath, PrivateOvs};

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/single.toml");
const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vmac.toml");

/// The command under test, perhaps for an Open vSwitch of its own.
struct Tool<'a> {
    plane: &'a str,
    more: &'a [&'a str],
    directory: Option<String>,
}

impl Tool<'_> {
    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_mac-nat-gw"));
        tool.arg(command).arg(self.plane).args(self.more).args(arguments);
        if let Some(directory) = &self.directory {
            tool.env("OVS_RUNDIR", directory);
        }
        tool.output().unwrap()
    }

    /// What it prints when it succeeds.
    fn says(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {command} {arguments:?}: {said}", self.plane);
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The whole life of our rules; `state` is what the data plane holds.
fn comes_and_goes(tool: &Tool<'_>, state: &dyn Fn() -> String) {
    let plane = tool.plane;
    let before = state();
    assert_eq!(tool.says("remove", &["--commit"]), "nothing to do\n", "{plane}");
    assert!(tool.says("apply", &["--config", CONFIG]).contains("52:54:00:aa:00:01"), "{plane}");
    assert_eq!(state(), before, "{plane}: a dry run");
    assert_eq!(tool.says("apply", &["--config", CONFIG, "--commit"]), "done\n");
    let applied = state();
    assert_ne!(applied, before);
    assert_eq!(tool.says("apply", &["--config", CONFIG, "--commit"]), "nothing to do\n", "{plane}");
    assert_eq!(state(), applied, "{plane}: a second time");
    // Other bindings take the place of these.
    assert_eq!(tool.says("apply", &["--config", OTHER, "--commit"]), "done\n", "{plane}");
    assert_ne!(state(), applied);
    assert_eq!(tool.says("apply", &["--config", CONFIG, "--commit"]), "done\n", "{plane}");
    assert_eq!(state(), applied, "{plane}: back again");
    assert!(!tool.says("remove", &[]).is_empty());
    assert_eq!(state(), applied, "{plane}: a dry run");
    assert_eq!(tool.says("remove", &["--commit"]), "done\n", "{plane}");
    assert_eq!(state(), before, "{plane}: what was there before is there again");
}

fn shell(script: &str) -> Option<String> {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// A namespace with the interfaces of the configuration.
fn in_namespace() -> bool {
    private_ovs::enter_namespaces()
        && shell("for name in eth0 tap1 tap2; do ip link add $name type veth peer name p$name; done")
            .is_some()
}

#[test]
fn nft_tables_come_and_go_and_others_stay() {
    if !in_namespace() {
        return;
    }
    if shell("nft add table bridge other; nft add chain bridge other macnat").is_none() {
        return private_ovs::skip("nft");
    }
    for plane in ["nft", "nft-netdev", "nft-netlink"] {
        let tool = Tool { plane, more: &[], directory: None };
        comes_and_goes(&tool, &|| shell("nft list ruleset").unwrap());
    }
}

#[test]
fn rules_for_netlink_are_in_front_and_say_where_the_checksum_is() {
    if !in_namespace() {
        return;
    }
    if shell("nft list ruleset").is_none() {
        return private_ovs::skip("nft");
    }
    let tool = Tool { plane: "nft-netlink", more: &[], directory: None };
    tool.says("apply", &["--config", CONFIG, "--commit"]);
    let listing = shell("nft --debug=netlink list chain bridge macnat nd 2>&1").unwrap();
    let rules: Vec<&str> = listing.split("bridge macnat nd ").skip(1).collect();
    assert!(rules[0].contains("payload write reg 1 => 6b @ transport header"), "{listing}");
    let corrected = "csum_type 1 csum_off 2";
    assert_eq!(rules.iter().filter(|rule| rule.contains(corrected)).count(), 6, "three kinds, two machines");
    // What the export shows is what the tool shows.
    let exported = tool.says("export", &["--config", CONFIG]);
    let first = exported.split("# bridge macnat nd\n").nth(1).unwrap();
    let lines = first
        .lines()
        .take_while(|line| line.starts_with("#   ["))
        .map(|line| line.trim_start_matches('#').trim());
    let installed = rules.iter().find(|rule| lines.clone().all(|line| rule.contains(line)));
    assert!(installed.is_some(), "{first}\n{listing}");
    // A batch without its table is refused as a whole.
    shell("nft delete table bridge macnat").unwrap();
    let batch = tool.run("export", &["--config", CONFIG, "--batch"]).stdout;
    assert_eq!(batch.len() % 4, 0);
    assert_eq!(u32::from_ne_bytes(batch[..4].try_into().unwrap()), 20, "the first message begins the batch");
}

#[test]
fn ebtables_chains_come_and_go_and_others_stay() {
    if !in_namespace() {
        return;
    }
    let foreign = "ebtables -t nat -N mine; ebtables -t nat -A POSTROUTING -o eth9 -j mine; \
                   ebtables -t nat -A PREROUTING -i eth9 -p ARP -j DROP; ebtables -t filter -A FORWARD -o eth9 -j DROP";
    if shell(foreign).is_none() {
        return private_ovs::skip("ebtables");
    }
    let tool = Tool { plane: "ebtables", more: &[], directory: None };
    comes_and_goes(&tool, &|| shell("ebtables-save | grep -v ^#").unwrap());
}

#[test]
fn flows_come_and_go_and_others_stay() {
    let Some(mut ovs) = PrivateOvs::start(Datapath::Dummy) else { return };
    ovs.add_bridge("nat", &["fail_mode=secure"]);
    ["eth0", "tap1", "tap2"].iter().for_each(|name| ovs.add_port("nat", name, &[]));
    ovs.ofctl(&["add-flow", "nat", "table=9,priority=7,cookie=0x7,ip actions=drop"]);
    ovs.ofctl(&["add-flow", "nat", "priority=1,arp actions=NORMAL"]);
    let directory = ovs.socket().parent().unwrap().display().to_string();
    for plane in ["openflow", "openflow-learn"] {
        let tool = Tool { plane, more: &["--bridge", "nat"], directory: Some(directory.clone()) };
        let flows = || {
            let mut flows: Vec<String> =
                ovs.ofctl(&["--no-stats", "dump-flows", "nat"]).lines().map(str::to_owned).collect();
            flows.sort();
            flows.join("\n")
        };
        comes_and_goes(&tool, &flows);
        let without = Tool { plane, more: &[], directory: None }.run("remove", &["--commit"]);
        assert_eq!(without.status.code(), Some(2), "which bridge?");
    }
}

#[test]
fn flows_that_frames_taught_go_as_well() {
    let Some(mut ovs) = PrivateOvs::start(Datapath::Dummy) else { return };
    ovs.add_bridge("nat", &["fail_mode=secure"]);
    ["eth0", "tap1", "tap2"].iter().for_each(|name| ovs.add_port("nat", name, &[]));
    let directory = ovs.socket().parent().unwrap().display().to_string();
    let tool = Tool { plane: "openflow-learn", more: &["--bridge", "nat"], directory: Some(directory) };
    tool.says("apply", &["--config", CONFIG, "--commit"]);
    let (machine, address) = ([0xFA, 0x16, 0x3E, 0, 0, 1], [203, 0, 113, 11]);
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &machine, &address, &[0; 6], &address, &[0; 18]].concat();
    ovs.exchange("tap1", &[&[0xFF; 6][..], &machine, &[8, 6], &arp].concat());
    assert!(ovs.ofctl(&["dump-flows", "nat", "table=20"]).contains("203.0.113.11"));
    assert_eq!(tool.says("apply", &["--config", CONFIG, "--commit"]), "nothing to do\n");
    tool.says("remove", &["--commit"]);
    assert_eq!(ovs.ofctl(&["--no-stats", "dump-flows", "nat"]).lines().count(), 0);
}
