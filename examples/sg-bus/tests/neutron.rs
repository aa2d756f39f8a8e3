//! Against a real Neutron: its ML2 plugin and RPC callback on one side of RabbitMQ, the bridge on the
//! other, agents behind the bridge.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod common;

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use common::{PATIENCE, Watched, missing, rabbit, watched};
use secgroup_rpc::{Info, Limits, Message, Uuid, read_json};
use serde_json::{Value, json};
use sg_bus::commands::{self, AgentOptions};
use sg_bus::neutron::Neutron;
use sg_bus::node;
use sg_bus::rabbit::Rabbit;
use sg_bus::transport::{Transport, mem::Mem};
use sg_bus::wiring::NetworkKind;
use sg_bus::{bridge, server};
use tokio::time::{Instant, sleep};

/// Longer than the test: what arrives came by notices.
const NEVER: Duration = Duration::from_secs(3600);

/// The server in `peers/neutron_server.py`.
struct Peer {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Peer {
    fn start(rabbit: &Rabbit) -> Option<Self> {
        let Some(python) = python_with_neutron() else {
            missing("neutron");
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/neutron_server.py");
        let mut child = Command::new(python)
            .args([script, &rabbit.uri().replace("amqp://", "rabbit://").replace("/%2f", "//")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut peer = Self { child, commands, answers };
        assert_eq!(peer.answer(), "ready");
        Some(peer)
    }

    fn run(&mut self, command: &Value) -> Value {
        writeln!(self.commands, "{command}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let line = self.answers.next().unwrap().unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer.get("error"), None, "{answer}");
        answer["ok"].clone()
    }

    fn id(&mut self, command: &Value) -> String {
        self.run(command).as_str().unwrap().to_owned()
    }

    fn port(&mut self, network: &str, groups: &[&str]) -> Uuid {
        let port = self.run(&json!({"do": "port", "network": network, "groups": groups}));
        assert_eq!(port["vif"], "ovs", "bound, so that its updates are announced");
        port["id"].as_str().unwrap().parse().unwrap()
    }

    /// What Neutron answers for these devices, as a filter needs it.
    fn info(&mut self, devices: &[Uuid]) -> Info {
        let devices: Vec<_> = devices.iter().map(ToString::to_string).collect();
        let text = self.run(&json!({"do": "info", "devices": devices})).to_string();
        let Message::Info(mut info) = read_json(text.as_bytes(), &Limits::default()).unwrap() else {
            panic!()
        };
        info.strip();
        info.normalize();
        info
    }

    /// Waits until the agent holds what Neutron answers.
    async fn agrees(&mut self, agent: &mut Watched, devices: &[Uuid]) {
        let mut expected = self.info(devices);
        expected.version = agent.state.borrow().version;
        agent.reaches(&expected).await;
    }
}

fn python_with_neutron() -> Option<String> {
    let named = std::env::var("NEUTRON_PYTHON").ok();
    let mut candidates = named.into_iter().chain(["python3".to_owned()]);
    candidates.find(|python| {
        let mut import = Command::new(python);
        import.args(["-W", "ignore", "-c", "import neutron, oslo_messaging"]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_behind_the_bridge_hold_what_neutron_says_after_every_kind_of_change() {
    let Some(rabbit) = rabbit().await else { return };
    let Some(mut neutron) = Peer::start(&rabbit) else { return };
    let network = neutron.id(&json!({"do": "network", "cidrs": ["10.1.0.0/16", "2001:db8:1::/64"]}));
    let [web, app] = ["web", "app"].map(|name| neutron.id(&json!({"do": "group", "name": name})));
    neutron.id(&json!({"do": "rule", "group": web, "protocol": "tcp", "port_range_min": 80,
        "port_range_max": 80, "remote_group_id": app}));
    neutron.id(&json!({"do": "rule", "group": app, "ethertype": "IPv6", "remote_group_id": web}));
    let first = [neutron.port(&network, &[&web]), neutron.port(&network, &[&web, &app])];
    let second = [neutron.port(&network, &[&app])];

    let mem = Mem::default();
    let client = Neutron::new(&rabbit.uri()).unwrap();
    let (server, _task) = bridge::start(client, mem.serve().await.unwrap(), NEVER);
    let mut one = watched(&mem, "one", first.to_vec()).await;
    let mut two = watched(&mem, "two", second.to_vec()).await;
    neutron.agrees(&mut one, &first).await;
    neutron.agrees(&mut two, &second).await;
    let heals = server.with(|server| server.counters().heals).await.unwrap();

    // A member comes on a host that is none of ours, and goes.
    let far = neutron.port(&network, &[&app]);
    neutron.agrees(&mut one, &first).await;
    neutron.run(&json!({"do": "drop_port", "port": far.to_string()}));
    neutron.agrees(&mut one, &first).await;
    // A rule comes and goes.
    let rule = neutron.id(&json!({"do": "rule", "group": web, "protocol": "udp", "port_range_min": 53,
        "port_range_max": 53, "remote_ip_prefix": "10.9.8.7/24"}));
    neutron.agrees(&mut one, &first).await;
    neutron.run(&json!({"do": "drop_rule", "rule": rule}));
    neutron.agrees(&mut one, &first).await;
    // A port moves into another group, and gets an address pair.
    neutron.run(&json!({"do": "change_port", "port": second[0].to_string(), "security_groups": [web]}));
    neutron.agrees(&mut two, &second).await;
    neutron.run(&json!({"do": "change_port", "port": first[0].to_string(),
        "allowed_address_pairs": [{"ip_address": "10.1.99.0/24"}]}));
    neutron.agrees(&mut one, &first).await;
    // And one of ours is deleted.
    neutron.run(&json!({"do": "drop_port", "port": first[1].to_string()}));
    neutron.agrees(&mut one, &first).await;

    assert_eq!(server.with(|server| server.counters().heals).await.unwrap(), heals, "all came as deltas");
    one.applied_nothing_twice();
    two.applied_nothing_twice();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_in_a_group_of_many_agents_costs_neutron_one_question() {
    let Some(rabbit) = rabbit().await else { return };
    let Some(mut neutron) = Peer::start(&rabbit) else { return };
    let network = neutron.id(&json!({"do": "network", "cidrs": ["10.1.0.0/16"]}));
    let group = neutron.id(&json!({"do": "group", "name": "all"}));
    neutron.id(&json!({"do": "rule", "group": group, "remote_group_id": group}));
    let ports: Vec<_> = (0..10).map(|_| neutron.port(&network, &[&group])).collect();

    let mem = Mem::default();
    let client = Neutron::new(&rabbit.uri()).unwrap();
    let (_server, _task) = bridge::start(client, mem.serve().await.unwrap(), NEVER);
    let mut agents = Vec::new();
    for port in &ports {
        agents.push(watched(&mem, "agent", vec![*port]).await);
    }
    for (agent, port) in agents.iter_mut().zip(&ports) {
        neutron.agrees(agent, &[*port]).await;
    }
    // Whatever was still open is answered before we count.
    sleep(Duration::from_millis(500)).await;
    let calls = neutron.run(&json!({"do": "calls"})).as_u64().unwrap();
    neutron.port(&network, &[&group]);
    for (agent, port) in agents.iter_mut().zip(&ports) {
        neutron.agrees(agent, &[*port]).await;
    }
    let calls = neutron.run(&json!({"do": "calls"})).as_u64().unwrap() - calls;
    // Creating and binding a port announces its group up to twice.
    assert!((1..=3).contains(&calls), "{calls} calls, where each of 10 agents would have made its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_stay_while_the_broker_is_away_and_follow_when_it_is_back() {
    let Some(mut rabbit) = rabbit().await else { return };
    let Some(mut neutron) = Peer::start(&rabbit) else { return };
    let network = neutron.id(&json!({"do": "network", "cidrs": ["10.1.0.0/16"]}));
    let group = neutron.id(&json!({"do": "group", "name": "all"}));
    neutron.id(&json!({"do": "rule", "group": group, "remote_group_id": group}));
    let port = neutron.port(&network, &[&group]);
    let mem = Mem::default();
    let client = Neutron::new(&rabbit.uri()).unwrap();
    let (_server, _task) = bridge::start(client, mem.serve().await.unwrap(), NEVER);
    let mut agent = watched(&mem, "agent", vec![port]).await;
    neutron.agrees(&mut agent, &[port]).await;
    let before = agent.state.borrow().clone();

    rabbit.kill();
    sleep(server::LINGER * 20).await;
    assert_eq!(*agent.state.borrow(), before);
    rabbit.start_broker().await.unwrap();
    // Neutron's notice may be lost while both sides reconnect: the bridge asks about everything then.
    neutron.port(&network, &[&group]);
    let start = Instant::now();
    neutron.agrees(&mut agent, &[port]).await;
    assert!(start.elapsed() < PATIENCE);
    agent.applied_nothing_twice();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_give_neutrons_state_with_a_bridge_and_without() {
    let Some(rabbit) = rabbit().await else { return };
    let Some(mut neutron) = Peer::start(&rabbit) else { return };
    let network = neutron.id(&json!({"do": "network", "cidrs": ["10.1.0.0/16"]}));
    let group = neutron.id(&json!({"do": "group", "name": "all"}));
    neutron.id(&json!({"do": "rule", "group": group, "remote_group_id": group}));
    let ports = [neutron.port(&network, &[&group]), neutron.port(&network, &[&group])];
    let expected = neutron.info(&ports);
    let folder = tempfile::tempdir().unwrap();
    let devices = folder.path().join("devices");
    std::fs::write(&devices, format!("{}\n{}\n", ports[0], ports[1])).unwrap();

    let sg_bus = || Command::new(env!("CARGO_BIN_EXE_sg-bus"));
    let uri = rabbit.uri();
    let mut bridge = sg_bus().args(["bridge", "--neutron", &uri, "--amqp", &uri]).spawn().unwrap();
    for way in ["--amqp", "--neutron"] {
        let filter = folder.path().join(format!("filter{way}.json"));
        let mut agent = sg_bus();
        agent.args(["agent", "--once", "--name", "host", way, &uri]);
        agent.arg("--devices").arg(&devices).arg("--filter").arg(&filter);
        let ended = agent.output().unwrap();
        assert!(ended.status.success(), "{way}: {ended:?}");
        let mut applied = sg_bus::state::read(&filter).unwrap();
        applied.strip();
        assert_eq!(applied, expected, "{way}");
    }
    bridge.kill().unwrap();
    bridge.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_are_wired_as_neutron_says_and_active_when_the_host_says_that_they_are_up() {
    let Some(rabbit) = rabbit().await else { return };
    let Some(mut neutron) = Peer::start(&rabbit) else { return };
    let tagged = neutron.id(&json!({"do": "provider_network", "network_type": "vlan",
        "physical_network": "physnet1", "segmentation_id": 100}));
    let flat = neutron.id(&json!({"do": "provider_network", "network_type": "flat",
        "physical_network": "physnet2"}));
    let ports = [neutron.port(&tagged, &[]), neutron.port(&flat, &[])];

    let mem = Mem::default();
    let client = Neutron::new(&rabbit.uri()).unwrap();
    // Neutron has no notice for the VLAN of a network: it is asked again every three seconds.
    let often = Duration::from_millis(250);
    let (server, _task) = bridge::start(client, mem.serve().await.unwrap(), often);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("devices"), format!("{}\n{}\n", ports[0], ports[1])).unwrap();
    let options = AgentOptions {
        name: "compute-01".parse().unwrap(),
        devices: at("devices"),
        filter: None,
        node: Some(at("node.json")),
        up: Some(at("up")),
        keepalive: Duration::from_secs(3600),
        json: true,
        once: false,
    };
    let following = tokio::spawn(async move { commands::follow(&mem, &options).await.unwrap() });
    let wired = |port: Uuid| {
        let (ports, _) = node::read(&at("node.json")).ok()?;
        let network = ports.into_iter().find(|found| found.id == port)?.network;
        Some((network.kind, network.segmentation_id))
    };
    until("both are wired", || wired(ports[0]).is_some() && wired(ports[1]).is_some()).await;
    assert_eq!(wired(ports[0]), Some((NetworkKind::Vlan, Some(100))));
    assert_eq!(wired(ports[1]), Some((NetworkKind::Flat, None)));
    let mut status = |port: Uuid| neutron.id(&json!({"do": "status", "port": port.to_string()}));
    assert_eq!(status(ports[0]), "BUILD", "asked for, not up");

    // The host says that they are up, and that one is not any more.
    std::fs::write(at("up"), format!("{}\n{}\n", ports[0], ports[1])).unwrap();
    until("both are up", || status(ports[0]) == "ACTIVE" && status(ports[1]) == "ACTIVE").await;
    std::fs::write(at("up"), format!("{}\n", ports[0])).unwrap();
    until("one is down", || status(ports[1]) == "DOWN").await;
    assert_eq!(status(ports[0]), "ACTIVE");

    // A report is no news: it makes nobody ask again.
    let mut calls = || neutron.run(&json!({"do": "details_calls"})).as_u64().unwrap();
    let before = calls();
    sleep(Duration::from_secs(1)).await;
    assert!(calls() - before <= 2, "the regular ones at most");

    // A network moves to another VLAN: its port is wired anew, and reported anew.
    neutron.run(&json!({"do": "change_network", "network": tagged, "segmentation_id": 200}));
    until("it moved", || wired(ports[0]) == Some((NetworkKind::Vlan, Some(200)))).await;
    let mut status = |port: Uuid| neutron.id(&json!({"do": "status", "port": port.to_string()}));
    until("it is up again", || status(ports[0]) == "ACTIVE").await;
    // And one is deleted.
    neutron.run(&json!({"do": "drop_port", "port": ports[1].to_string()}));
    until("it is gone", || wired(ports[1]).is_none()).await;
    assert!(wired(ports[0]).is_some());
    following.abort();
    drop(server);
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not before {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
