//! A thousand ports on a real Open vSwitch: what it takes from cold, after a restart of the agent,
//! and for one port. The figures are printed, `--nocapture` shows them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use l2_agent::agent::{Agent, Outcome};
use l2_agent::desired::{Desired, Port, Security, UnknownPorts};
use l2_agent::ovs::OpenVSwitch;
use l2_agent::plan::Status;
use private_ovs::{Datapath, PrivateOvs};
use secgroup_rpc::{
    Device, Direction, Family, Group, Info, MemberSet, Members, Message, Protocol, Remote, Rule,
};
use serde_json::json;

const PORTS: u16 = 1000;
/// Figures are for release builds; otherwise this only shows that it works.
const CHANGES: usize = if cfg!(debug_assertions) { 1 } else { 20 };
const PATIENCE: Duration = Duration::from_secs(60);
const NODE: &str = r#"
    bridge_mappings = "physnet1:br-ex"
    network = [
        { id = "A", type = "flat", physical_network = "physnet1" },
        { id = "B", type = "vlan", physical_network = "physnet1", segmentation_id = 100 },
    ]
"#;

fn id(number: u16) -> String {
    format!("11111111-0000-4000-8000-00000000{number:04x}")
}

fn mac(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [0xFA, 0x16, 0x3E, 0, high, low]
}

fn port(number: u16) -> Port {
    let network = if number.is_multiple_of(2) { "A" } else { "B" };
    let mac = macaddr::MacAddr6::from(mac(number)).to_string().try_into().unwrap();
    Port { id: id(number), mac, network: network.to_owned(), admin_state_up: true, filtered: None }
}

fn plug(ovs: &PrivateOvs, numbers: impl Iterator<Item = u16>) {
    let mut arguments = Vec::new();
    for number in numbers {
        let name = format!("tap{number}");
        let mac = macaddr::MacAddr6::from(mac(number));
        let words = format!(
            "-- add-port br-int {name} -- set Interface {name} type=dummy external-ids:iface-id={} \
             external-ids:attached-mac=\"{mac}\" -- set Port {name} tag=4095 vlan_mode=trunk trunks=4095",
            id(number)
        );
        arguments.extend(words.split_whitespace().map(str::to_owned));
    }
    ovs.vsctl(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

/// One group whose members may talk to each other; everybody may come in by ssh.
fn security(ports: u16) -> Security {
    let group = "22222222-0000-4000-8000-000000000001".parse().unwrap();
    let any = |direction| Rule::any(direction, Family::V4);
    let ssh = Rule { protocol: Some(Protocol::TCP), ..any(Direction::Ingress) };
    let ssh = Rule { ports: secgroup_rpc::PortRange::single(22), ..ssh };
    let members = Rule { remote: Some(Remote::Group(group)), ..any(Direction::Ingress) };
    let addresses: Vec<_> =
        (0..ports).map(|number| Ipv4Addr::from(0x0A00_0000 + u32::from(number))).collect();
    let mut info = Info {
        devices: (0..ports)
            .map(|number| Device {
                fixed_ips: [addresses[usize::from(number)].into()].into_iter().collect(),
                groups: [group].into_iter().collect(),
                ..Device::new(id(number).parse().unwrap(), mac(number).into())
            })
            .collect(),
        groups: vec![Group { id: group, rules: vec![any(Direction::Egress), ssh, members] }],
        members: vec![MemberSet {
            v4: Some(Members { addresses, others: Vec::new() }),
            ..MemberSet::new(group)
        }],
        ..Info::default()
    };
    info.normalize();
    Security { file: "groups".into(), unknown_ports: UnknownPorts::Trusted, info }
}

/// Waits until the daemon has taken over what the database says: with a thousand ports it needs
/// longer for one than the agent does.
fn settle(ovs: &PrivateOvs) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mark = format!("external_ids:mark={}", COUNT.fetch_add(1, Ordering::Relaxed));
    ovs.vsctl(&["set", "Open_vSwitch", ".", &mark]);
}

/// Runs to rest and checks that everything is up.
fn converge(agent: &mut Agent<OpenVSwitch>, desired: &Desired) -> (Duration, Outcome) {
    let start = Instant::now();
    let outcome = agent.converge(desired, PATIENCE).unwrap();
    let took = start.elapsed();
    assert!(outcome.plan.is_done() && outcome.failing.is_empty(), "{:#?}", outcome.failing);
    assert!(outcome.plan.status.values().all(|status| *status == Status::Up));
    (took, outcome)
}

/// Wall time and the part of it in which this process ran; the rest it waited for Open vSwitch, and
/// for a processor that others used.
struct Times(Vec<(Duration, Duration)>);

fn own_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

impl Times {
    fn measure(&mut self, work: impl FnOnce()) {
        let (start, own) = (Instant::now(), own_time());
        work();
        self.0.push((start.elapsed(), own_time() - own));
    }

    fn print(mut self, what: &str) {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        self.0.sort();
        let (median, worst) = (self.0[self.0.len() / 2].0, self.0[self.0.len() - 1].0);
        let mut own: Vec<_> = self.0.iter().map(|(_, own)| *own).collect();
        own.sort();
        println!(
            "{what:<40} median {:>7.1} ms, worst {:>7.1} ms, own processor time {:>6.1} ms",
            ms(median),
            ms(worst),
            ms(own[own.len() / 2])
        );
    }
}

/// A switch with a thousand guests' ports, plugged and dead.
fn plugged_node() -> Option<PrivateOvs> {
    let ovs = PrivateOvs::start(Datapath::Dummy)?;
    ["br-int", "br-ex"].iter().for_each(|bridge| ovs.add_bridge(bridge, &["fail_mode=secure"]));
    plug(&ovs, 0..PORTS);
    Some(ovs)
}

fn node(ports: u16, filtered: bool) -> Desired {
    let mut desired: Desired = toml::from_str(NODE).unwrap();
    desired.ports = (0..ports).map(port).collect();
    desired.security = filtered.then(|| security(ports));
    desired
}

fn a_thousand_ports(kind: &str, filtered: bool) {
    let Some(ovs) = plugged_node() else { return };
    let (few, more) = (node(PORTS, filtered), node(PORTS + 1, filtered));
    let connect = || Agent::new(OpenVSwitch::connect(&ovs.socket()).unwrap());

    let mut agent = connect();
    let mut times = Times(Vec::new());
    times.measure(|| assert!(converge(&mut agent, &few).1.applied > 0));
    times.print(&format!("{kind}: {PORTS} ports from cold"));
    let mut times = Times(Vec::new());
    for _ in 0..CHANGES.div_ceil(4) {
        times.measure(|| assert_eq!(converge(&mut connect(), &few).1.applied, 0));
    }
    times.print(&format!("{kind}: an agent that knows nothing"));

    let (mut plugged, mut unplugged) = (Times(Vec::new()), Times(Vec::new()));
    for _ in 0..CHANGES {
        plug(&ovs, PORTS..=PORTS);
        settle(&ovs);
        plugged.measure(|| {
            let (_, one) = converge(&mut agent, &more);
            assert_eq!(one.reports.len(), 1, "nobody else's port is reported");
        });
        settle(&ovs);
        unplugged.measure(|| assert_eq!(converge(&mut agent, &few).1.reports.len(), 1));
        ovs.vsctl(&["del-port", &format!("tap{PORTS}")]);
    }
    plugged.print(&format!("{kind}: one port more"));
    unplugged.print(&format!("{kind}: one port less"));
}

/// `l2-agent run` on files, and what it reports.
struct Command {
    process: Child,
    reports: mpsc::Receiver<String>,
    dir: tempfile::TempDir,
}

impl Command {
    fn start(ovs: &PrivateOvs, node: &Desired) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), node);
        let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_l2-agent"))
            .args(["run", "--json", "--desired"])
            .arg(dir.path().join("node.json"))
            .arg("--ovs")
            .arg(ovs.socket())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, reports) = mpsc::channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, reports, dir }
    }

    /// Waits for these words in one report.
    fn await_report(&self, words: [&str; 2]) {
        loop {
            let report = self.reports.recv_timeout(PATIENCE).unwrap();
            if words.iter().all(|word| report.contains(word)) {
                return;
            }
        }
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Replaces the files in one step each, groups first.
fn write(dir: &Path, node: &Desired) {
    let replace = |name: &str, bytes: &[u8]| {
        let new = dir.join(format!("{name}.new"));
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, dir.join(name)).unwrap();
    };
    let mut text: serde_json::Value =
        serde_json::to_value(toml::from_str::<toml::Table>(NODE).unwrap()).unwrap();
    if let Some(security) = &node.security {
        replace("groups.sg", &Message::Info(security.info.clone()).encode());
        text["security"] = json!({ "file": "groups.sg" });
    }
    let mac = |port: &Port| port.mac.0.to_string();
    let ports = node.ports.iter().map(|it| json!({ "id": it.id, "mac": mac(it), "network": it.network }));
    text["port"] = ports.collect();
    replace("node.json", text.to_string().as_bytes());
}

fn the_command_follows_its_files(kind: &str, filtered: bool) {
    let Some(ovs) = plugged_node() else { return };
    let (few, more) = (node(PORTS, filtered), node(PORTS + 1, filtered));
    let command = Command::start(&ovs, &few);
    (0..PORTS).for_each(|_| command.await_report(["\"up\"", ""]));
    let mut times = Times(Vec::new());
    for _ in 0..CHANGES {
        plug(&ovs, PORTS..=PORTS);
        settle(&ovs);
        write(command.dir.path(), &more);
        times.measure(|| command.await_report([&id(PORTS), "\"up\""]));
        write(command.dir.path(), &few);
        command.await_report([&id(PORTS), "\"gone\""]);
        ovs.vsctl(&["del-port", &format!("tap{PORTS}")]);
    }
    times.print(&format!("{kind}: from file to report"));
}

#[test]
fn a_thousand_ports_are_wired() {
    a_thousand_ports("unfiltered", false);
}

#[test]
fn a_thousand_filtered_ports_are_wired() {
    a_thousand_ports("filtered", true);
}

#[test]
fn a_port_that_is_written_into_the_file_is_wired() {
    the_command_follows_its_files("unfiltered", false);
}

#[test]
fn a_filtered_port_that_is_written_into_the_file_is_wired() {
    the_command_follows_its_files("filtered", true);
}
