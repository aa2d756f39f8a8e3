//! `lab live` between network namespaces: stations of one VLAN reach each other, others do not.
//!
//! Needs root and `ip`; without them it says so and passes, unless `REQUIRE_PEERS=1`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, helpers of tests too"
)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// alice and bob are in VLAN 10, carol is in VLAN 20; the trunk carries both.
const WEST: &str = r#"
[switch]
model = "dot1q"
[[port]]
name = "alice"
tag = 10
[[port]]
name = "bob"
tag = 10
[[port]]
name = "carol"
tag = 20
[[port]]
name = "trunk"
trunks = [10, 20]
[[port]]
name = "nobody"
tag = 10
"#;

/// dave is in VLAN 10, by the rules of Open vSwitch this time.
const EAST: &str = r#"
[switch]
model = "dot1q"
rules = "openvswitch"
[[port]]
name = "dave"
tag = 10
[[port]]
name = "trunk"
trunks = [10, 20]
"#;

#[test]
fn namespaces_of_one_vlan_reach_each_other_and_no_others() {
    let Some(net) = Net::new() else { return };
    let mut west = net.start("west", WEST, &["alice", "bob", "carol", "trunk"]);
    let mut east = net.start("east", EAST, &["dave", "trunk"]);

    assert!(net.ping("alice", "10.9.0.2", &["-c3", "-i0.1"]), "alice and bob are in VLAN 10");
    assert!(net.ping("alice", "10.9.0.4", &["-c3", "-i0.1"]), "dave is in VLAN 10, behind the trunk");
    assert!(!net.ping("alice", "10.9.0.3", &["-c2", "-i0.1", "-w1"]), "carol is in VLAN 20");
    assert!(!net.ping("carol", "10.9.0.4", &["-c2", "-i0.1", "-w1"]), "dave is in VLAN 10");
    assert!(net.ping("bob", "10.9.0.1", &["-f", "-c2000", "-w20"]), "as fast as they come back");
    net.ip(&["-n", &net.name("west"), "link", "set", "bob", "down"]);
    assert!(!net.ping("alice", "10.9.0.2", &["-c2", "-i0.1", "-w1"]), "bob's jack is down");
    net.ip(&["-n", &net.name("west"), "link", "set", "bob", "up"]);
    assert!(net.ping("alice", "10.9.0.2", &["-c3", "-i0.1", "-w5"]), "and up again");

    let summary = west.stop();
    let number = |value: &Value| value.as_f64().unwrap();
    let ports = &summary["ports"];
    assert_eq!(number(&ports["nobody"]["tx_frames"]), 0.0, "no interface, no frames");
    assert!(number(&ports["bob"]["rx_frames"]) >= 2000.0);
    let sum = ["forwarded", "filtered", "dropped"].map(|key| number(&summary[key])).iter().sum::<f64>();
    assert_eq!(number(&summary["received"]), sum);
    let stations = summary["fdb"].as_array().unwrap();
    let dave = stations.iter().find(|station| station["port"] == "trunk" && station["vlan"] == 10);
    assert!(dave.is_some(), "the tag that Linux took out of dave's frames is back: {stations:?}");
    let busiest = number(&summary["busiest"]["frames_per_second"]);
    println!("{busiest:.0} frames/s in the busiest second");
    assert!(busiest >= number(&summary["average"]["frames_per_second"]));
    assert_eq!(east.stop()["model"], "dot1q, rules of Open vSwitch");
}

/// Four hosts and two switches, each in a namespace, and cables between them.
struct Net {
    prefix: String,
}

const HOSTS: [(&str, &str); 4] = [("alice", "west"), ("bob", "west"), ("carol", "west"), ("dave", "east")];
const SWITCHES: [&str; 2] = ["west", "east"];

impl Net {
    fn new() -> Option<Self> {
        let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
        let tools = ["ip", "ping"].iter().all(|tool| Command::new(tool).arg("-V").output().is_ok());
        if !root || !tools {
            let missing = if root { "ip or ping" } else { "root" };
            assert!(std::env::var_os("REQUIRE_PEERS").is_none_or(|on| on != "1"), "{missing} not found");
            println!("skipped: {missing} not found");
            return None;
        }
        let net = Self { prefix: format!("lab{}", std::process::id()) };
        for name in SWITCHES.into_iter().chain(HOSTS.map(|(host, _)| host)) {
            net.ip(&["netns", "add", &net.name(name)]);
        }
        net.cable("west", "trunk", "east", "trunk");
        for (number, (host, switch)) in (1..).zip(HOSTS) {
            net.cable(switch, host, host, "eth0");
            let address = format!("10.9.0.{number}/24");
            net.ip(&["-n", &net.name(host), "addr", "add", &address, "dev", "eth0"]);
        }
        Some(net)
    }

    /// A pair of interfaces, each in its namespace.
    fn cable(&self, here: &str, interface: &str, there: &str, peer: &str) {
        let (here, there) = (self.name(here), self.name(there));
        let far = ["peer", "name", peer, "netns", &there];
        self.ip(&[&["-n", &here, "link", "add", interface, "type", "veth"], &far[..]].concat());
        self.ip(&["-n", &here, "link", "set", interface, "up"]);
        self.ip(&["-n", &there, "link", "set", peer, "up"]);
    }

    fn start(&self, switch: &str, config: &str, ports: &[&str]) -> Switch {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), config).unwrap();
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.name(switch), env!("CARGO_BIN_EXE_lab"), "live", "--json"])
            .args(["--duration", "60s", "--switch"])
            .arg(file.path())
            .args(ports.iter().flat_map(|port| ["--port".to_owned(), format!("{port}={port}")]))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("switching between"), "{ready}");
        Switch { child }
    }

    fn ping(&self, host: &str, to: &str, options: &[&str]) -> bool {
        let mut ping = Command::new("ip");
        ping.args(["netns", "exec", &self.name(host), "ping", "-q", "-n", "-W1"]).args(options).arg(to);
        let out = ping.output().unwrap();
        print!("{}", last_lines(&out));
        out.status.success()
    }

    fn ip(&self, args: &[&str]) {
        let out = Command::new("ip").args(args).output().unwrap();
        assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn name(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in SWITCHES.into_iter().chain(HOSTS.map(|(host, _)| host)) {
            _ = Command::new("ip").args(["netns", "del", &self.name(name)]).output();
        }
    }
}

/// A running `lab live`.
struct Switch {
    child: Child,
}

impl Switch {
    /// Asks it to end, as Ctrl-C and service managers do, and reads its summary.
    fn stop(&mut self) -> Value {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success(), "a clean stop is success");
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn last_lines(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter(|line| line.contains("loss"))
        .map(|l| format!("{l}\n"))
        .collect()
}
