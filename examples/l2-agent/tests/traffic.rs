//! What guests notice of an agent that restarts, of neighbours that come and go, and of a switch
//! that restarts: packets are counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use l2_agent::agent::Agent;
use l2_agent::desired::{Desired, MacText, Port, Security, UnknownPorts};
use l2_agent::ovs::OpenVSwitch;
use l2_agent::plan::Status;
use l2_agent::test_port::{Address, TestPort};
use private_ovs::{Datapath, PrivateOvs, enter_namespaces};
use secgroup_rpc::{Device, Direction, Family, Group, Info, Rule};

const PATIENCE: Duration = Duration::from_secs(10);
const NODE: &str = r#"
    bridge_mappings = "physnet1:br-ex"
    network = [{ id = "A", type = "flat", physical_network = "physnet1" }]
"#;

fn id(number: u8) -> String {
    format!("11111111-0000-4000-8000-0000000000{number:02x}")
}

fn mac(number: u8) -> MacText {
    MacText([0xFA, 0x16, 0x3E, 0, 0, number].into())
}

fn test_port(number: u8) -> TestPort {
    TestPort {
        name: format!("test{number}"),
        namespace: format!("guest{number}"),
        port_id: id(number),
        mac: mac(number),
        address: Address::Static(format!("203.0.113.{number}/24").parse().unwrap()),
    }
}

/// A node with guests 1 and 2, wired.
struct Node {
    switch: PrivateOvs,
    database: OpenVSwitch,
    desired: Desired,
}

impl Node {
    fn new(security: Option<Security>) -> Option<Self> {
        if !enter_namespaces() {
            return None;
        }
        let switch = PrivateOvs::start(Datapath::Userspace)?;
        ["br-int", "br-ex"].iter().for_each(|bridge| switch.add_bridge(bridge, &["fail_mode=secure"]));
        let database = OpenVSwitch::connect(&switch.socket()).unwrap();
        let mut node = Self { switch, database, desired: toml::from_str(NODE).unwrap() };
        node.desired.security = security;
        node.plug(1);
        node.plug(2);
        node.converge();
        Some(node)
    }

    fn plug(&mut self, number: u8) {
        let port = test_port(number);
        port.create(&mut self.database, "br-int").unwrap();
        port.configure().unwrap();
        let network = "A".to_owned();
        self.desired.ports.push(Port {
            id: id(number),
            mac: mac(number),
            network,
            admin_state_up: true,
            filtered: None,
        });
    }

    fn unplug(&mut self, number: u8) {
        test_port(number).delete(&mut self.database, "br-int").unwrap();
        self.desired.ports.retain(|port| port.id != id(number));
    }

    /// An agent that knows nothing brings the node to its desired state.
    fn converge(&self) -> usize {
        let mut agent = Agent::new(OpenVSwitch::connect(&self.switch.socket()).unwrap());
        let outcome = agent.converge(&self.desired, PATIENCE).unwrap();
        assert!(outcome.plan.is_done(), "{outcome:#?}");
        assert!(outcome.plan.status.values().all(|status| *status == Status::Up), "{outcome:#?}");
        outcome.applied
    }
}

/// Guests that may say and hear everything, through all tables of the filter.
fn open_groups() -> Security {
    let group = "22222222-0000-4000-8000-000000000001".parse().unwrap();
    let any = |direction| Rule::any(direction, Family::V4);
    let device = |number: u8| Device {
        fixed_ips: [format!("203.0.113.{number}").parse().unwrap()].into_iter().collect(),
        groups: [group].into_iter().collect(),
        ..Device::new(id(number).parse().unwrap(), mac(number).0)
    };
    let mut info = Info {
        devices: (1..=9).map(device).collect(),
        groups: vec![Group { id: group, rules: vec![any(Direction::Egress), any(Direction::Ingress)] }],
        ..Info::default()
    };
    info.normalize();
    Security { file: "groups".into(), unknown_ports: UnknownPorts::Dead, info }
}

/// 200 echo requests a second from guest 1 to guest 2.
fn ping(count: u32) -> Child {
    Command::new("ip")
        .args(["netns", "exec", "guest1", "ping", "-q", "-i", "0.005", "-W", "2", "-c", &count.to_string()])
        .arg("203.0.113.2")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How many of them were not answered.
fn lost(ping: Child, count: u32) -> u32 {
    let output = ping.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let received = text.split(" received").next().and_then(|head| head.split(' ').next_back());
    count - received.unwrap_or_else(|| panic!("{text}")).parse::<u32>().unwrap()
}

fn nothing_is_lost_while_others_come_and_go(security: Option<Security>) {
    let Some(mut node) = Node::new(security) else { return };
    const COUNT: u32 = 1000;
    let ping = ping(COUNT);
    for _ in 0..2 {
        for number in 3..=5 {
            node.plug(number);
            assert!(node.converge() > 0);
            assert_eq!(node.converge(), 0, "a restarted agent finds nothing to do");
        }
        for number in 3..=5 {
            node.unplug(number);
            node.converge();
        }
    }
    let lost = lost(ping, COUNT);
    println!("6 ports plugged and unplugged by 18 agents: {lost} of {COUNT} packets lost");
    assert_eq!(lost, 0);
}

#[test]
fn guests_lose_nothing_while_agents_restart_and_neighbours_come_and_go() {
    nothing_is_lost_while_others_come_and_go(None);
}

#[test]
fn filtered_guests_lose_nothing_while_agents_restart_and_neighbours_come_and_go() {
    nothing_is_lost_while_others_come_and_go(Some(open_groups()));
}

#[test]
fn a_restarted_switch_is_wired_again_and_its_orphaned_devices_are_replaced() {
    let Some(mut node) = Node::new(Some(open_groups())) else { return };
    test_port(1).ping("203.0.113.2").unwrap();
    node.switch.kill_daemon();
    node.switch.start_daemon();
    let start = Instant::now();
    node.converge();
    for number in [1, 2] {
        test_port(number).create(&mut node.database, "br-int").unwrap();
        test_port(number).configure().unwrap();
    }
    println!("restarted switch: wired after {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    node.converge();
    test_port(1).ping("203.0.113.2").unwrap();
}

#[test]
fn a_device_that_is_gone_is_told_though_the_database_still_shows_it() {
    let Some(mut node) = Node::new(None) else { return };
    let ip = |words: &str| {
        assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
    };
    ip("link add tap9 type veth peer name far9");
    let mark = format!("external_ids:iface-id={}", id(9));
    let attached = format!("external_ids:attached-mac=\"{}\"", mac(9).0);
    node.switch.vsctl(&["add-port", "br-int", "tap9", "--", "set", "Interface", "tap9", &mark, &attached]);
    node.desired.ports.push(Port {
        id: id(9),
        mac: mac(9),
        network: "A".into(),
        admin_state_up: true,
        filtered: None,
    });
    node.converge();
    ip("link delete tap9");
    assert_ne!(node.switch.vsctl(&["get", "Interface", "tap9", "ofport"]), "-1", "the database knows by now");
    let mut agent = Agent::new(OpenVSwitch::connect(&node.switch.socket()).unwrap());
    let outcome = agent.converge(&node.desired, Duration::ZERO).unwrap();
    let status = outcome.plan.status.get(&id(9)).unwrap();
    assert!(matches!(status, Status::Building(why) if why.contains("tap9 is gone")), "{status:?}");
    let others = outcome.plan.status.iter().filter(|(port, _)| **port != id(9));
    assert!(others.into_iter().all(|(_, status)| *status == Status::Up));
    // A dead descriptor keeps the switch busy until the port is gone.
    node.switch.vsctl(&["del-port", "tap9"]);
}
