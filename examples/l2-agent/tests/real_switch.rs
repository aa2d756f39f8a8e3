//! The agent against a real Open vSwitch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::process::Command;
use std::time::{Duration, Instant};

use l2_agent::agent::Agent;
use l2_agent::backend::Backend;
use l2_agent::desired::{Desired, MacText};
use l2_agent::ovs::OpenVSwitch;
use l2_agent::plan::Status;
use l2_agent::test_port::{Address, TestPort};
use private_ovs::{Datapath, PrivateOvs, enter_namespaces};

const PATIENCE: Duration = Duration::from_secs(10);

const NODE: &str = r#"
    bridge_mappings = "physnet1:br-ex,physnet2:br-eth1"
    tunnels = { local_ip = "127.0.0.1", remotes = ["127.0.0.2"] }
    network = [
        { id = "A", type = "flat", physical_network = "physnet1" },
        { id = "B", type = "vlan", physical_network = "physnet1", segmentation_id = 100 },
        { id = "C", type = "vxlan", segmentation_id = 42 },
    ]
    port = [
        { id = "p1", mac = "fa:16:3e:00:00:01", network = "A" },
        { id = "p2", mac = "fa:16:3e:00:00:02", network = "B" },
        { id = "p3", mac = "fa:16:3e:00:00:03", network = "C" },
    ]
"#;

fn agent(switch: &PrivateOvs) -> Agent<OpenVSwitch> {
    Agent::new(OpenVSwitch::connect(&switch.socket()).unwrap().with_bridge_option("datapath_type", "dummy"))
}

/// `ovs-vsctl` with arguments separated by blanks.
fn vsctl(switch: &PrivateOvs, arguments: &str) -> String {
    switch.vsctl(&arguments.split_whitespace().collect::<Vec<_>>())
}

fn plug(switch: &PrivateOvs, number: u8) {
    vsctl(
        switch,
        &format!(
            "add-port br-int tap{number} -- set Interface tap{number} type=dummy external-ids:iface-id=p{number} \
         external-ids:attached-mac=fa:16:3e:00:00:0{number} -- set Port tap{number} tag=4095 vlan_mode=trunk trunks=4095"
        ),
    );
}

fn node(switch: &PrivateOvs) -> Desired {
    for bridge in ["br-int", "br-ex", "br-eth1"] {
        switch.add_bridge(bridge, &["fail_mode=secure"]);
    }
    (1..=3).for_each(|number| plug(switch, number));
    toml::from_str(NODE).unwrap()
}

#[test]
fn a_bare_switch_is_wired_and_a_second_agent_finds_nothing_to_do() {
    let Some(switch) = PrivateOvs::start(Datapath::Dummy) else { return };
    let desired = node(&switch);
    let first = agent(&switch).converge(&desired, PATIENCE).unwrap();
    assert!(first.plan.is_done() && first.failing.is_empty(), "{first:#?}");
    for port in ["p1", "p2", "p3"] {
        assert_eq!(first.plan.status[port], Status::Up, "{port}");
    }
    assert_eq!(vsctl(&switch, "get Port tap2 tag"), "2");
    assert_eq!(vsctl(&switch, "get Port tap2 vlan_mode"), "[]");
    assert_eq!(vsctl(&switch, "get Port tap2 other_config:segmentation_id"), "\"100\"");
    assert_eq!(vsctl(&switch, "get Interface int-br-ex options:peer"), "phy-br-ex");

    // What the switch prints back is letter for letter what was sent, or this would differ.
    let second = agent(&switch).converge(&desired, PATIENCE).unwrap();
    assert_eq!((second.applied, &second.plan.status), (0, &first.plan.status));
}

#[test]
fn a_port_that_is_plugged_later_comes_up() {
    let Some(switch) = PrivateOvs::start(Datapath::Dummy) else { return };
    let desired = node(&switch);
    vsctl(&switch, "del-port tap1");
    let mut agent = agent(&switch);
    let before = agent.converge(&desired, PATIENCE).unwrap();
    assert_eq!(before.plan.status["p1"], Status::Down("no interface on br-int has iface-id p1".to_owned()));
    plug(&switch, 1);
    let after = agent.converge(&desired, PATIENCE).unwrap();
    assert_eq!(after.plan.status["p1"], Status::Up);
    assert_eq!(after.reports.len(), 1, "only the change is reported");
}

#[test]
fn a_restarted_switch_gets_its_flows_back() {
    let Some(mut switch) = PrivateOvs::start(Datapath::Dummy) else { return };
    let desired = node(&switch);
    let mut agent = agent(&switch);
    agent.converge(&desired, PATIENCE).unwrap();
    switch.kill_daemon();
    switch.start_daemon();
    // The new daemon opens its bridges a moment after it is there.
    let deadline = Instant::now() + PATIENCE;
    let after = loop {
        let outcome = agent.converge(&desired, PATIENCE).unwrap();
        if outcome.applied > 0 {
            break outcome;
        }
        assert!(Instant::now() < deadline, "{outcome:#?}");
        agent.backend().wait(Duration::from_millis(20), None).unwrap();
    };
    assert!(after.plan.is_done(), "{after:#?}");
    assert_eq!(after.plan.status["p1"], Status::Up);
}

#[test]
fn a_test_port_is_dead_until_it_is_bound_and_then_reaches_its_network_only() {
    if !enter_namespaces() {
        return;
    }
    let Some(switch) = PrivateOvs::start(Datapath::Userspace) else { return };
    for bridge in ["br-int", "br-ex", "br-eth1"] {
        switch.add_bridge(bridge, &["fail_mode=secure"]);
    }
    let mut desired: Desired = toml::from_str(NODE).unwrap();
    desired.ports[1].network = "A".to_owned();
    desired.tunnels = None;

    let mut database = OpenVSwitch::connect(&switch.socket()).unwrap();
    let ports: Vec<_> = (1..=3).map(test_port).collect();
    for port in &ports {
        port.create(&mut database, "br-int").unwrap();
        port.configure().unwrap();
    }
    assert!(ports[0].ping("203.0.113.2").is_err(), "a port in the dead VLAN talks");

    let mut agent = Agent::new(OpenVSwitch::connect(&switch.socket()).unwrap());
    let outcome = agent.converge(&desired, PATIENCE).unwrap();
    assert_eq!(outcome.plan.status["p1"], Status::Up);
    ports[0].ping("203.0.113.2").unwrap();
    assert!(ports[0].ping("203.0.113.3").is_err(), "networks are apart");

    for port in &ports {
        port.delete(&mut database, "br-int").unwrap();
        port.delete(&mut database, "br-int").unwrap();
    }
    assert_eq!(vsctl(&switch, "list-ports br-int"), "int-br-eth1\nint-br-ex");
}

#[test]
fn a_test_port_gets_its_address_from_a_dhcp_server_on_its_network() {
    if !enter_namespaces() || !has("dnsmasq") || !has("udhcpc") {
        return;
    }
    let Some(switch) = PrivateOvs::start(Datapath::Userspace) else { return };
    ["br-int", "br-ex", "br-eth1"].iter().for_each(|bridge| switch.add_bridge(bridge, &["fail_mode=secure"]));
    let mut desired: Desired = toml::from_str(NODE).unwrap();
    desired.ports[1].network = "A".to_owned();
    desired.tunnels = None;
    let mut database = OpenVSwitch::connect(&switch.socket()).unwrap();
    let server = test_port(1);
    let client = TestPort { address: Address::Dhcp, ..test_port(2) };
    for port in [&server, &client] {
        port.create(&mut database, "br-int").unwrap();
    }
    server.configure().unwrap();
    let mut agent = Agent::new(OpenVSwitch::connect(&switch.socket()).unwrap());
    agent.converge(&desired, PATIENCE).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let leases = format!("--dhcp-leasefile={}", dir.path().join("leases").display());
    let dnsmasq = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--pid-file="];
    let range = "--dhcp-range=203.0.113.50,203.0.113.60,255.255.255.0";
    let mut dnsmasq = Command::new("ip")
        .args(["netns", "exec", &server.namespace])
        .args(dnsmasq)
        .args(["--interface=test1", "--bind-interfaces", "--user=root", range, &leases])
        .spawn()
        .unwrap();
    let host = std::fs::read("/etc/resolv.conf").ok();
    let configured = client.configure();
    dnsmasq.kill().unwrap();
    dnsmasq.wait().unwrap();
    configured.unwrap();
    assert_eq!(std::fs::read("/etc/resolv.conf").ok(), host, "the lease is the guest's alone");
    client.ping("203.0.113.1").unwrap();
    for port in [&server, &client] {
        port.delete(&mut database, "br-int").unwrap();
    }
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: {program} not found");
        assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{program} is required");
    }
    found
}

fn test_port(number: u8) -> TestPort {
    TestPort {
        name: format!("test{number}"),
        namespace: format!("guest{number}"),
        port_id: format!("p{number}"),
        mac: MacText::try_from(format!("fa:16:3e:00:00:0{number}")).unwrap(),
        address: Address::Static(format!("203.0.113.{number}/24").parse().unwrap()),
    }
}
