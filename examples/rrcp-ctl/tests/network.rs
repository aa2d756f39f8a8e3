//! The tool against the tool: `serve` in one network namespace, the client in another, over a pair
//! of virtual interfaces. Needs root and `ip`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

const TOOL: &str = env!("CARGO_BIN_EXE_rrcp-ctl");
const SWITCH: &str = "52:54:4c:01:02:03";

/// This thread in a namespace with interface `station`, and a switch in another whose ports may be
/// `port0`, which faces it, and `left` and `right`, whose other ends are `left-end` and `right-end`.
struct Lab {
    /// Keeps the switch's namespace alive; `serve` runs in it.
    switch: Child,
}

impl Lab {
    /// `None`, and a word about it, without the rights to make namespaces.
    fn new(serve: &str) -> Option<Self> {
        let possible = unshare(CloneFlags::CLONE_NEWNET).is_ok() && run("ip link set lo up").is_some();
        if !possible {
            assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "root and ip are needed");
            eprintln!("skipped: root or ip not found");
            return None;
        }
        // The shell waits until the interfaces are there, then becomes the switch.
        let script = format!("read go && exec {TOOL} {serve}");
        let mut switch = Command::new("unshare")
            .args(["-n", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = switch.id();
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        while std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap() == own {
            std::thread::yield_now();
        }
        run(&format!("ip link add station type veth peer name port0 netns {pid}")).unwrap();
        run("ip link set station up").unwrap();
        let inside = |command: &str| run(&format!("nsenter -t {pid} -n {command}")).unwrap();
        inside("ip link add left type veth peer name left-end");
        inside("ip link add right type veth peer name right-end");
        for interface in ["port0", "left", "right", "left-end", "right-end"] {
            inside(&format!("ip link set {interface} up"));
        }
        std::io::Write::write_all(&mut switch.stdin.take().unwrap(), b"go\n").unwrap();
        // The first line says that it listens.
        let mut ready = String::new();
        BufReader::new(switch.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains("is there"), "{ready}");
        Some(Self { switch })
    }

    fn inside(&self, command: &str) {
        run(&format!("nsenter -t {} -n {command}", self.switch.id())).unwrap();
    }

    fn tool(&self, arguments: &str) -> Output {
        let interface = if arguments.contains("--iface") { &[][..] } else { &["--iface", "station"] };
        Command::new(TOOL).args(interface).args(arguments.split_whitespace()).output().unwrap()
    }

    /// The JSON lines of a command that is expected to end with `code`.
    fn json(&self, code: i32, arguments: &str) -> Vec<Value> {
        let output = self.tool(&format!("--json {arguments}"));
        let (stdout, stderr) =
            (str::from_utf8(&output.stdout).unwrap(), str::from_utf8(&output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stdout}{stderr}");
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a command says on standard error when it ends with `code`.
    fn complaint(&self, code: i32, arguments: &str) -> String {
        let output = self.tool(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        _ = self.switch.kill();
        _ = self.switch.wait();
    }
}

/// Runs a command to its end; `None` if it fails.
fn run(command: &str) -> Option<()> {
    let mut words = command.split(' ');
    let status = Command::new(words.next()?).args(words).status().ok()?;
    status.success().then_some(())
}

#[test]
fn every_command_drives_the_switch_untagged_and_tagged() {
    let Some(lab) = Lab::new("serve port0") else { return };
    for vlan in ["", "--vlan 10"] {
        let scan = &lab.json(0, &format!("{vlan} scan"))[0];
        let found = json!({
            "mac": SWITCH, "downlink_port": 0, "uplink_mac": null, "uplink_port": null, "depth": 0,
            "chip": "0x000c", "vendor": "0x43424140", "key": "0x2379",
        });
        assert_eq!(scan, &json!({ "switches": [found], "echo_only": [], "dropped": 0 }));

        let pings = lab.json(0, &format!("{vlan} ping {SWITCH} -c 2"));
        assert!(pings.len() == 2 && pings.iter().all(|ping| ping["ms"].is_f64()), "{pings:?}");

        let registers = lab.json(0, &format!("{vlan} get {SWITCH} 0x0206 0x0203-0x0205"));
        let data: Vec<_> = registers.iter().map(|register| register["data"].as_u64().unwrap()).collect();
        assert_eq!(data, [0x0C, 0x5452, 0x014C, 0x0302]);

        let written = lab.json(0, &format!("{vlan} set {SWITCH} 0x0607 0xFFFF --mask 0x10"));
        assert_eq!((&written[0]["name"], &written[0]["data"]), (&json!("flood control"), &json!(0x10)));

        assert_eq!(lab.json(0, &format!("{vlan} dump {SWITCH}")).len(), 263);
        let loops = &lab.json(0, &format!("{vlan} loops {SWITCH}"))[0];
        assert_eq!(loops, &json!({ "detecting": true, "fault": false, "ports": [] }));
    }
    let counters = &lab.json(0, &format!("mib {SWITCH} --ports 2"))[0]["ports"];
    // Broadcasts are counted as received; what is for the switch itself never gets to a port.
    assert!(counters[0]["received"].as_u64().unwrap() > 0 && counters[1]["received"] == 0, "{counters}");
}

#[test]
fn vlans_and_ports_are_set_and_shown() {
    let Some(lab) = Lab::new("serve port0") else { return };
    let set = "1 --vid 10 --members 0-3,7 --pvid 1-3 --strip 1-3 --leave 7 --mode tagged";
    lab.json(0, &format!("vlan set {SWITCH} {set}"));
    let shown = &lab.json(0, &format!("vlan show {SWITCH} --ports 8"))[0];
    assert_eq!(shown["mode"], "tagged");
    assert_eq!(shown["entries"][1], json!({ "index": 1, "vid": 10, "members": [0, 1, 2, 3, 7] }));
    let port = |port, pvid_index, pvid, egress| json!({ "port": port, "pvid_index": pvid_index, "pvid": pvid, "egress": egress, "inserts_pvid": false });
    assert_eq!(shown["ports"][3], port(3, 1, 10, "strip"));
    assert_eq!(shown["ports"][7], port(7, 0, 1, "leave"));

    // Port 4 is not the one that faces us, port 0 is.
    lab.json(0, &format!("set {SWITCH} 0x0608 0x10"));
    let refused = lab.complaint(1, &format!("set {SWITCH} 0x0608 0x11"));
    assert!(refused.contains("a port that may be ours goes off"), "{refused}");
    let ports = &lab.json(0, &format!("ports {SWITCH} --ports 8"))[0]["ports"];
    assert_eq!(
        (&ports[0]["link"], &ports[0]["mbps"], &ports[0]["on"]),
        (&json!(true), &json!(100), &json!(true))
    );
    assert_eq!((&ports[4]["link"], &ports[4]["on"]), (&json!(false), &json!(false)));
}

#[test]
fn lost_and_doubled_replies_do_no_harm() {
    // Every third answer is lost, every second one comes twice.
    let Some(lab) = Lab::new("serve port0 --lose 3 --double 2") else { return };
    for (vlan, data) in [("", 0x0007), ("--vlan 4094", 0x0001)] {
        let written = lab.json(0, &format!("{vlan} set {SWITCH} 0x0300 {data:#x}"));
        assert_eq!(written[0]["data"], data);
        let registers = lab.json(0, &format!("{vlan} get {SWITCH} 0x0300 0x0203-0x0205"));
        let read: Vec<_> = registers.iter().map(|register| register["data"].as_u64().unwrap()).collect();
        assert_eq!(read, [data, 0x5452, 0x014C, 0x0302]);
    }
    let scan = &lab.json(0, "scan")[0];
    assert_eq!(scan["switches"].as_array().unwrap().len(), 1, "{scan}");
}

#[test]
fn a_key_is_changed_only_on_purpose_and_locks_others_out() {
    let Some(lab) = Lab::new("serve port0") else { return };
    let refused = lab.complaint(1, &format!("set {SWITCH} 0x0209 0xBEEF"));
    assert!(refused.contains("--dangerous") && refused.contains("new key"), "{refused}");
    lab.json(0, &format!("set {SWITCH} 0x0209 0xBEEF --dangerous"));
    let silent = lab.complaint(1, &format!("--retries 0 get {SWITCH} 0x0206"));
    assert!(silent.contains("no answer to 1 requests"), "{silent}");
    assert_eq!(lab.json(0, &format!("--key beef get {SWITCH} 0x0206"))[0]["data"], 0x0C);
    // A changed key hides the switch from hellos, not from echoes.
    assert_eq!(lab.json(0, "scan")[0], json!({ "switches": [], "echo_only": [SWITCH], "dropped": 0 }));
}

#[test]
fn a_loop_is_broken_and_reported_until_it_is_gone() {
    let Some(lab) = Lab::new("serve port0 left right") else { return };
    assert_eq!(lab.json(0, &format!("loops {SWITCH}"))[0]["ports"], json!([]));
    // Somebody joins the cables of ports 1 and 2 with a hub.
    lab.inside("ip link add hub type bridge");
    lab.inside("ip link set left-end master hub");
    lab.inside("ip link set right-end master hub");
    lab.inside("ip link set hub up");
    let watch = lab.json(0, &format!("watch {SWITCH} --interval 0.1 --count 40"));
    let (event, ports) = (&watch[0]["event"], &watch[0]["ports"]);
    assert_eq!((watch.len(), event), (1, &json!("loop")), "{watch:?}");
    assert!(*ports == json!([1]) || *ports == json!([2]), "one port of the pair: {watch:?}");
    assert_eq!(lab.json(1, &format!("loops {SWITCH}"))[0]["fault"], true);

    lab.inside("ip link set right-end nomaster");
    let looped = |_| lab.tool(&format!("loops {SWITCH}")).status.code() == Some(1);
    let patience = (0..200).inspect(|_| std::thread::sleep(Duration::from_millis(50)));
    assert!(!patience.into_iter().all(looped), "a loop that is gone is cleared");
}

#[test]
fn a_watch_tells_a_loop_its_end_and_silence_as_they_happen() {
    let Some(lab) = Lab::new("serve port0 left right") else { return };
    let mut watch = Command::new(TOOL)
        .args(["--iface", "station", "--json", "--retries", "2", "watch", "--interval", "0.1"])
        .args(["--count", "300"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    // One cable, from port 1 into port 2.
    lab.inside("ip link add hub type bridge");
    lab.inside("ip link set left-end master hub");
    lab.inside("ip link set right-end master hub");
    lab.inside("ip link set hub up");
    let found = next();
    assert_eq!((&found["event"], &found["switch"]), (&json!("loop"), &json!(SWITCH)));
    lab.inside("ip link set hub down");
    let cleared = next();
    assert_eq!((&cleared["event"], &cleared["ports"]), (&json!("cleared"), &found["ports"]));
    let switch = lab.switch.id();
    run(&format!("kill -STOP {switch}")).unwrap();
    let silent = next();
    run(&format!("kill -CONT {switch}")).unwrap();
    let answers = next();
    assert_eq!((&silent["event"], &answers["event"]), (&json!("silent"), &json!("answers")));
    let times = [&found, &cleared, &silent, &answers].map(|alarm| alarm["time"].as_f64().unwrap());
    assert!(times.is_sorted() && times[1] - times[0] >= 2.0, "three silent periods: {times:?}");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn what_is_missing_is_said() {
    let Some(lab) = Lab::new("serve port0") else { return };
    assert!(lab.complaint(3, "--iface nowhere scan").contains("`ip link` lists"));
    assert!(lab.complaint(2, "get 52:54:4c 0x0206").contains("an address looks like"));
    let nobody = lab.complaint(1, "--retries 0 get 02:00:00:00:00:99 0x0206");
    assert!(nobody.contains("reading register 0x0206: no answer"), "{nobody}");
    assert_eq!(lab.json(1, "ping 02:00:00:00:00:99 -c 1")[0]["ms"], Value::Null);
    let without = Command::new("setpriv")
        .args(["--bounding-set=-net_raw", "--inh-caps=-net_raw", TOOL, "--iface", "station", "scan"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(without.stderr).unwrap();
    assert_eq!(without.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("CAP_NET_RAW") && stderr.contains("setcap"), "{stderr}");
}
