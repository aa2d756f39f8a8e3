//! The commands as a user runs them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use secgroup_rpc::sync::Server;
use sg_bus::cloud::Cloud;
use sg_bus::state;

const CLOUD: Cloud = Cloud { ports: 40, hosts: 10, groups: 2 };

fn sg_bus(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sg-bus"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    sg_bus(arguments).output().unwrap()
}

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Running {
    Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

fn model() -> Server {
    let mut server = Server::new(1);
    CLOUD.fill(&mut server);
    server
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_agent_writes_the_filter_of_its_devices_and_follows_the_servers_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let made = run(&["cert", "localhost", "127.0.0.1", "-o", text(&at("credentials"))]);
    assert!(made.status.success(), "{made:?}");
    let mut server = model();
    state::write(&at("state.json"), &server.info()).unwrap();
    let mine: Vec<_> = CLOUD.ports_of(3);
    let lines: Vec<_> = mine.iter().map(ToString::to_string).collect();
    fs::write(at("devices"), lines.join("\n")).unwrap();

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut serve = sg_bus(&["server", "--listen", &address]);
    serve.args(["--state", text(&at("state.json")), "--credentials", text(&at("credentials"))]);
    let _serving = start(&mut serve);
    let mut follow = sg_bus(&["agent", "--connect", &address, "--name", "host-3", "--json"]);
    follow.args(["--ca", text(&at("credentials/ca.pem")), "--token", text(&at("credentials/token"))]);
    follow.args(["--devices", text(&at("devices")), "--filter", text(&at("filter.json"))]);
    let mut following = start(&mut follow);
    let mut events = BufReader::new(following.0.stdout.take().unwrap()).lines();
    let mut next_applied = || {
        let event = events.by_ref().map(Result::unwrap).find(|line| line.contains("\"applied\"")).unwrap();
        let mut filter = state::read(&at("filter.json")).unwrap();
        filter.strip();
        (event, filter)
    };
    let (event, filter) = next_applied();
    assert_eq!(filter, server.info_for(mine.iter().copied()));
    assert!(event.contains(&lines[0]), "{event}");

    server.add_member(CLOUD.group(0), CLOUD.stranger(1));
    server.add_member(CLOUD.group(1), CLOUD.stranger(2));
    state::write(&at("state.json"), &server.info()).unwrap();
    let (event, filter) = next_applied();
    assert_eq!(filter, server.info_for(mine.iter().copied()));
    assert!(event.contains("\"devices\":[]"), "only members changed: {event}");

    // A broken state file changes nothing; a mended one goes on.
    fs::write(at("state.json"), "{").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    server.remove_device(mine[0]);
    state::write(&at("state.json"), &server.info()).unwrap();
    let (_, filter) = next_applied();
    assert_eq!(filter, server.info_for(mine.iter().copied()));
    assert_eq!(filter.devices.len(), mine.len() - 1);

    // A restarted agent starts from its filter, and leaves when it is in step.
    drop(following);
    let again = follow.arg("--once").stdout(Stdio::piped()).output().unwrap();
    assert!(again.status.success(), "{again:?}");
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(said.contains("\"groups\":[]") && said.contains("\"devices\":[]"), "nothing to apply: {said}");
}

#[test]
fn without_a_server_the_old_filter_stays() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(run(&["cert", "localhost", "-o", text(&at("c"))]).status.success());
    let mine = CLOUD.ports_of(0);
    fs::write(at("devices"), mine[0].to_string()).unwrap();
    state::write(&at("filter.sg"), &model().info_for([mine[0]])).unwrap();
    let before = fs::read(at("filter.sg")).unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut follow = sg_bus(&["agent", "--connect", &format!("localhost:{}", nobody.port())]);
    follow.args(["--ca", text(&at("c/ca.pem")), "--token", text(&at("c/token")), "--name", "host-0"]);
    follow.args(["--devices", text(&at("devices")), "--filter", text(&at("filter.sg"))]);
    let mut following = start(&mut follow);
    let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.starts_with("no server:") && line.contains("the filter stays"), "{line}");
    assert_eq!(fs::read(at("filter.sg")).unwrap(), before);
}

#[test]
fn bad_input_ends_with_code_two_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("state.json"), "{\"devices\": 1}").unwrap();
    fs::write(at("devices"), "tap52b7bdbe-79").unwrap();
    let state = at("state.json");
    let devices = at("devices");
    let broker = "amqp://guest:guest@127.0.0.1:1/%2f";
    for (arguments, expected) in [
        (vec!["server", "--state", text(&state), "--amqp", broker], "state.json"),
        (vec!["agent", "--devices", text(&devices), "--amqp", broker], "`tap52b7bdbe-79`"),
        (vec!["agent", "--devices", text(&devices), "--amqp", "http://x"], "amqp://"),
        (vec!["agent", "--devices", text(&devices)], "--amqp"),
        (vec!["server", "--state", text(&state)], "--listen"),
        (vec!["agent", "--devices", text(&devices), "--amqp", broker, "--name", "a b"], "agent name"),
    ] {
        let output = run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let missing = run(&["server", "--state", text(&at("missing")), "--amqp", broker]);
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
}

#[test]
fn the_demonstration_shows_deltas_that_are_small() {
    let start = Instant::now();
    let output = run(&["demo"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.lines().filter(|line| line.ends_with("both in step")).count(), 4, "{said}");
    assert!(start.elapsed() < Duration::from_secs(120));
}

#[test]
fn an_agent_writes_ports_with_their_groups_for_l2_agent() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(run(&["cert", "localhost", "-o", text(&at("c"))]).status.success());
    let server = model();
    state::write(&at("state.sg"), &server.info()).unwrap();
    let mine = CLOUD.ports_of(3);
    let lines: Vec<_> = mine.iter().map(ToString::to_string).collect();
    fs::write(at("devices"), lines.join("\n")).unwrap();
    let network = "a0000000-0000-4000-8000-000000000001";
    let port =
        |id| format!("[[port]]\nid = \"{id}\"\nmac = \"fa:16:3e:00:00:01\"\nnetwork = \"{network}\"\n");
    let ports: String = (0..CLOUD.ports).map(|number| port(CLOUD.port(number))).collect();
    let head = format!("[[network]]\nid = \"{network}\"\ntype = \"flat\"\nphysical_network = \"physnet1\"\n");
    fs::write(at("ports.toml"), head + &ports).unwrap();

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("localhost:{free}");
    let serve = |ports: &[&str]| {
        let mut serve = sg_bus(&["server", "--listen", &address, "--state", text(&at("state.sg"))]);
        serve.args(["--credentials", text(&at("c"))]).args(ports);
        start(&mut serve)
    };
    let follow = || {
        let mut follow = sg_bus(&["agent", "--once", "--connect", &address, "--name", "host-3"]);
        follow.args(["--ca", text(&at("c/ca.pem")), "--token", text(&at("c/token"))]);
        follow.args(["--devices", text(&at("devices")), "--node", text(&at("node.json"))]);
        follow.output().unwrap()
    };
    let serving = serve(&[]);
    let ended = follow();
    assert_eq!(ended.status.code(), Some(1), "this server says nothing about wiring: {ended:?}");
    assert!(!at("node.json").exists(), "and nothing is written for it");
    drop(serving);
    let _serving = serve(&["--ports", text(&at("ports.toml"))]);
    let ended = follow();
    assert!(ended.status.success(), "{ended:?}");
    let (ports, mut groups) = sg_bus::node::read(&at("node.json")).unwrap();
    groups.strip();
    assert_eq!(groups, server.info_for(mine.iter().copied()));
    let ids: Vec<_> = ports.iter().map(|port| port.id).collect();
    let mut mine = mine;
    mine.sort_unstable();
    assert_eq!(ids, mine, "its own ports and no others");
}
