//! From a server's files over the bus to a wired node: server, TLS, agent, `l2-agent`, and frames through
//! the simulated and the real switch.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod node;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use l2_agent::agent::Agent;
use l2_agent::backend::Backend;
use l2_agent::desired::Desired;
use l2_agent::ovs::OpenVSwitch;
use l2_agent::plan::Status;
use l2_agent::sim::SimSwitch;
use l2_agent::watch::Watched;
use node::Node;
use private_ovs::{Datapath, PrivateOvs};
use secgroup_rpc::{Device, Info};
use sg_bus::commands::{self, AgentOptions};
use sg_bus::credentials::{Made, Token, acceptor, connector};
use sg_bus::state;
use sg_bus::transport::any::Any;
use sg_bus::transport::tcp::{Side, Tcp};

/// Long enough for a busy machine; what is awaited comes much sooner.
const PATIENCE: Duration = Duration::from_secs(60);
const NODE: &str = r#"
    bridge_mappings = "physnet1:br-ex,physnet2:br-eth1"
    bus = { file = "bus.json" }
"#;
const BRIDGES: [&str; 3] = ["br-int", "br-ex", "br-eth1"];
const NICS: [(&str, &str); 2] = [("br-ex", "nic1"), ("br-eth1", "nic2")];
const GUESTS: [&str; 3] = ["vm1", "vm2", "vm3"];

/// Guest 1 in VLAN `vlan` of the first physical network, guest 3 untagged on the second; guest 2, if it is
/// there at all, beside guest 1, and only with its groups.
fn ports(vlan: u16, with_second: bool) -> String {
    let port = |number: u8, network: char, filtered: bool| {
        format!(
            "[[port]]\nid = \"{}\"\nmac = \"{}\"\nnetwork = \"{}\"\nfiltered = {filtered}\n",
            id(number),
            mac(number),
            network_id(network)
        )
    };
    let second = if with_second { port(2, 'a', true) } else { String::new() };
    format!(
        "[[network]]\nid = \"{}\"\ntype = \"vlan\"\nphysical_network = \"physnet1\"\nsegmentation_id = {vlan}\n\
         [[network]]\nid = \"{}\"\ntype = \"flat\"\nphysical_network = \"physnet2\"\n{}{}{second}",
        network_id('a'),
        network_id('b'),
        port(1, 'a', false),
        port(3, 'b', false),
    )
}

fn id(number: u8) -> String {
    format!("{number}{number}{number}{number}{number}{number}{number}{number}-0000-4000-8000-000000000001")
}

fn network_id(letter: char) -> String {
    format!("{letter}0000000-0000-4000-8000-000000000001")
}

fn mac(number: u8) -> String {
    format!("fa:16:3e:00:00:0{number}")
}

/// Which guests hear a broadcast from outside, untagged or in a VLAN.
fn hears(node: &mut impl Node, nic: &str, vlan: Option<u16>) -> Vec<String> {
    let mut frame = [[0xFF; 6], [2, 0, 0, 0, 0, 0xEE]].concat();
    if let Some(vlan) = vlan {
        frame.extend([0x81, 0x00]);
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend([0x88, 0xB5]);
    frame.resize(64, 0);
    node.send(nic, &frame).into_keys().filter(|port| port.starts_with("vm")).collect()
}

fn simulated() -> Agent<SimSwitch> {
    let mut switch = SimSwitch::new();
    BRIDGES.iter().for_each(|bridge| switch.add_bridge(bridge));
    NICS.iter().for_each(|(bridge, nic)| switch.plug(bridge, nic, &[]).unwrap());
    for (number, port) in (1..).zip(GUESTS) {
        switch.plug("br-int", port, &[("iface-id", &id(number)), ("attached-mac", &mac(number))]).unwrap();
    }
    Agent::new(switch)
}

fn real() -> Option<(PrivateOvs, Agent<OpenVSwitch>)> {
    let mut ovs = PrivateOvs::start(Datapath::Dummy)?;
    BRIDGES.iter().for_each(|bridge| ovs.add_bridge(bridge, &["fail_mode=secure"]));
    NICS.iter().for_each(|(bridge, nic)| ovs.add_port(bridge, nic, &[]));
    for (number, port) in (1..).zip(GUESTS) {
        ovs.add_port("br-int", port, &["tag=4095", "vlan_mode=trunk", "trunks=4095"]);
        let id = format!("external_ids:iface-id={}", id(number));
        let mac = format!("external_ids:attached-mac=\"{}\"", mac(number));
        ovs.vsctl(&["set", "Interface", port, &id, &mac]);
    }
    let agent = Agent::new(OpenVSwitch::connect(&ovs.socket()).unwrap());
    Some((ovs, agent))
}

/// A server with its files, and an agent that follows it for the node.
struct Bus {
    folder: tempfile::TempDir,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Bus {
    fn start() -> Self {
        let mut bus = Self { folder: tempfile::tempdir().unwrap(), tasks: Vec::new() };
        let devices: Vec<_> = (1..=3).map(id).collect();
        bus.write("devices", &devices.join("\n"));
        bus.write("node.toml", NODE);
        bus.write("ports.toml", &ports(100, true));
        state::write(&bus.at("state.sg"), &Info::default()).unwrap();
        let made = Made::new(&["localhost".into()]).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let way = |side| {
            let addresses = vec![format!("localhost:{}", free.port())];
            Any::Tcp(Tcp { addresses, token: Token::new(&made.token).unwrap(), side })
        };
        let here = way(Side::Server(acceptor(made.certificate.as_bytes(), made.key.as_bytes()).unwrap()));
        let there = way(Side::Agent(connector(made.authority.as_bytes()).unwrap(), None));
        let (groups, ports) = (bus.at("state.sg"), bus.at("ports.toml"));
        bus.tasks.push(tokio::spawn(async move {
            commands::serve(&here, &groups, Some(&ports)).await.unwrap();
        }));
        let options = AgentOptions {
            name: "node-1".parse().unwrap(),
            devices: bus.at("devices"),
            filter: None,
            node: Some(bus.at("bus.json")),
            up: None,
            keepalive: Duration::from_secs(1),
            json: true,
            once: false,
        };
        bus.tasks.push(tokio::spawn(async move { commands::follow(&there, &options).await.unwrap() }));
        bus
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// In one instant, as editors do.
    fn write(&self, name: &str, text: &str) {
        state::replace(&self.at(name), text.as_bytes()).unwrap();
    }
}

/// Follows the node's files until what they say is right and done.
fn follow<B: Backend>(
    agent: &mut Agent<B>,
    watched: &mut Watched,
    is_right: impl Fn(&Desired) -> bool,
) -> Vec<(String, Status)> {
    let start = Instant::now();
    loop {
        watched.refresh().unwrap();
        let outcome = agent.converge(watched.state(), Duration::from_secs(10)).unwrap();
        if is_right(watched.state()) && outcome.plan.is_done() {
            assert_eq!(outcome.failing, []);
            return outcome.plan.status.into_iter().collect();
        }
        assert!(start.elapsed() < PATIENCE, "{:#?}\n{outcome:#?}", watched.state());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn first(node: &Path) -> Watched {
    let start = Instant::now();
    loop {
        match Watched::read(node) {
            Ok(watched) => return watched,
            // Nothing is wired and nothing cleared before the bus has spoken.
            Err(error) => {
                assert!(error.is::<l2_agent::bus::NotYet>() && start.elapsed() < PATIENCE, "{error:#}")
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn vlan_is(vlan: u32) -> impl Fn(&Desired) -> bool {
    move |desired| desired.networks.iter().any(|network| network.segmentation_id == Some(vlan))
}

const ALL: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_from_the_bus_are_wired_moved_and_unwired() {
    let bus = Bus::start();
    let mut simulated = simulated();
    let mut real = real();
    let mut watched = first(&bus.at("node.toml"));

    let dead = Status::Down("no security groups are known for it, and it must not pass unfiltered".into());
    let expected = vec![(id(1), Status::Up), (id(2), dead), (id(3), Status::Up)];
    assert_eq!(follow(&mut simulated, &mut watched, vlan_is(100)), expected);
    let before = |node: &mut dyn FnMut(&str, Option<u16>) -> Vec<String>| {
        assert_eq!(node("nic1", Some(100)), ["vm1"]);
        assert_eq!(node("nic1", Some(200)), ALL);
        assert_eq!(node("nic2", None), ["vm3"]);
    };
    before(&mut |nic, vlan| hears(simulated.backend(), nic, vlan));
    if let Some((ovs, agent)) = &mut real {
        assert_eq!(follow(agent, &mut watched, vlan_is(100)), expected);
        before(&mut |nic, vlan| hears(ovs, nic, vlan));
    }

    // The network moves to another VLAN, and guest 3's port is taken away.
    let text = ports(200, true);
    let (head, third) = text.split_once(&format!("[[port]]\nid = \"{}\"", id(3))).unwrap();
    bus.write("ports.toml", &format!("{head}[[port]]{}", third.split_once("[[port]]").unwrap().1));
    let moved = |desired: &Desired| vlan_is(200)(desired) && desired.ports.len() == 2;
    assert_eq!(follow(&mut simulated, &mut watched, moved), expected[..2]);
    let after = |node: &mut dyn FnMut(&str, Option<u16>) -> Vec<String>| {
        assert_eq!(node("nic1", Some(100)), ALL);
        assert_eq!(node("nic1", Some(200)), ["vm1"]);
        assert_eq!(node("nic2", None), ALL);
    };
    after(&mut |nic, vlan| hears(simulated.backend(), nic, vlan));
    let Some((mut ovs, mut agent)) = real else { return };
    assert_eq!(follow(&mut agent, &mut watched, moved), expected[..2]);
    after(&mut |nic, vlan| hears(&mut ovs, nic, vlan));

    // Guest 2's groups become known: now it is wired, and admits nothing.
    let device = Device::new(id(2).parse().unwrap(), mac(2).parse().unwrap());
    state::write(&bus.at("state.sg"), &Info { devices: vec![device], ..Info::default() }).unwrap();
    let known =
        |desired: &Desired| desired.security.as_ref().is_some_and(|known| !known.info.devices.is_empty());
    let status = follow(&mut agent, &mut watched, known);
    assert_eq!(status, [(id(1), Status::Up), (id(2), Status::Up)]);
    assert_eq!(hears(&mut ovs, "nic1", Some(200)), ["vm1"]);
}
