//! A private Open vSwitch for tests, as an oracle or as the thing to be driven.
//!
//! [`PrivateOvs`] runs `ovsdb-server` and `ovs-vswitchd` in a directory of its own: nothing of an
//! Open vSwitch of the system is touched, no kernel module is needed, and dropping it ends both
//! daemons by their pid.
//!
//! With the *dummy* datapath it needs no root either, and every port is a Unix stream that carries
//! exact frames ([`exchange`](PrivateOvs::exchange)). With the *userspace* datapath it forwards
//! between real devices; [`enter_namespaces`] keeps those apart from the machine's.
//!
//! Everything panics when it fails: this is test equipment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "test equipment"
)]

mod namespaces;
mod stream;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

pub use namespaces::enter_namespaces;
use stream::Stream;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
/// The bridge whose only purpose is to tell when everything sent before has been forwarded.
const BARRIER: &str = "barrier";

/// Frames by the name of the port that they left.
pub type Frames = BTreeMap<String, Vec<Vec<u8>>>;

/// A row of `fdb/show`: OpenFlow port (`"LOCAL"` for the bridge itself), VLAN, address, static.
pub type FdbRow = (String, u16, String, bool);

/// What moves the frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Datapath {
    /// Unix streams: no root, no devices.
    Dummy,
    /// Devices of this network namespace, which can hold one such switch.
    Userspace,
}

impl Datapath {
    /// The value of a bridge's `datapath_type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dummy => "dummy",
            Self::Userspace => "netdev",
        }
    }
}

/// A running Open vSwitch.
#[derive(Debug)]
pub struct PrivateOvs {
    dir: tempfile::TempDir,
    datapath: Datapath,
    database: Child,
    daemon: Option<Child>,
    ports: BTreeMap<String, Stream>,
    barrier: Option<[Stream; 2]>,
}

impl PrivateOvs {
    /// Starts both daemons; `None`, with a line that says so, if Open vSwitch is not installed. With
    /// `REQUIRE_PEERS=1` in the environment, its absence is a failure.
    pub fn start(datapath: Datapath) -> Option<Self> {
        let found = ["ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"].iter().all(|program| {
            Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok()
        });
        if !found {
            skip("ovs-vswitchd");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("ovs").tempdir().unwrap();
        let file = dir.path().join("conf.db");
        let tool = command(dir.path(), "ovsdb-tool").arg("create").arg(&file).arg(SCHEMA).status();
        assert!(tool.unwrap().success(), "ovsdb-tool create");
        let remote = format!("--remote=punix:{}", dir.path().join("db.sock").display());
        let database = daemon(dir.path(), "ovsdb-server", &[&file.display().to_string(), &remote]);
        drop(connect(&dir.path().join("db.sock")));
        let mut ovs = Self { dir, datapath, database, daemon: None, ports: BTreeMap::new(), barrier: None };
        ovs.vsctl(&["--no-wait", "init"]);
        ovs.start_daemon();
        Some(ovs)
    }

    /// Starts the switching daemon, as after [`kill_daemon`](Self::kill_daemon).
    pub fn start_daemon(&mut self) {
        let database = format!("unix:{}", self.socket().display());
        let dummy: &[&str] = match self.datapath {
            Datapath::Dummy => &["--enable-dummy=override", "--disable-system"],
            Datapath::Userspace => &[],
        };
        let control = self.dir.path().join("ovs-vswitchd.ctl");
        let _ = std::fs::remove_file(&control);
        self.daemon = Some(daemon(self.dir.path(), "ovs-vswitchd", &[&[database.as_str()], dummy].concat()));
        drop(connect(&control));
        if self.datapath == Datapath::Dummy && self.barrier.is_none() {
            // Nothing is cached, so that every frame is translated anew: one that meets a cached flow
            // sees a station's move only at the next revalidation.
            self.vsctl(&["set", "Open_vSwitch", ".", "other_config:flow-limit=0"]);
            self.add_bridge(BARRIER, &["fail_mode=standalone"]);
            self.barrier = Some(["in", "out"].map(|name| self.connect_port(BARRIER, name, &[])));
        }
    }

    /// Ends the switching daemon; the database lives on.
    pub fn kill_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    /// The database's socket; the OpenFlow sockets stand beside it.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("db.sock")
    }

    /// Adds a bridge with these columns (`"fail_mode=secure"`).
    pub fn add_bridge(&self, bridge: &str, columns: &[&str]) {
        let kind = format!("datapath_type={}", self.datapath.name());
        self.vsctl(&[&["add-br", bridge, "--", "set", "Bridge", bridge, &kind], columns].concat());
    }

    /// Adds a port with these columns of the `Port` table (`"tag=10"`) and connects to it.
    ///
    /// Ports of a bridge get OpenFlow numbers 1, 2, ... in the order of their addition, and flooding
    /// visits them in that order.
    pub fn add_port(&mut self, bridge: &str, name: &str, columns: &[&str]) {
        let stream = self.connect_port(bridge, name, columns);
        self.ports.insert(name.into(), stream);
    }

    fn connect_port(&self, bridge: &str, name: &str, columns: &[&str]) -> Stream {
        let path = self.dir.path().join(format!("{name}.sock"));
        let socket = format!("options:pstream=punix:{}", path.display());
        let interface = ["--", "set", "Interface", name, "type=dummy", &socket];
        self.vsctl(&[&["add-port", bridge, name], columns, &interface].concat());
        Stream::new(connect(&path))
    }

    /// Runs `ovs-vsctl`; returns its output when the daemon has taken the change over.
    pub fn vsctl(&self, arguments: &[&str]) -> String {
        let database = format!("--db=unix:{}", self.socket().display());
        self.run("ovs-vsctl", &[&[database.as_str(), "--timeout=10"], arguments].concat())
    }

    /// Runs `ovs-ofctl`, for OpenFlow up to 1.4.
    pub fn ofctl(&self, arguments: &[&str]) -> String {
        self.run("ovs-ofctl", &[&["-O", "OpenFlow10,OpenFlow13,OpenFlow14"], arguments].concat())
    }

    /// Changes a flag of a port, in OpenFlow 1.0: later versions have no `no-flood`. Returns when the daemon
    /// works by it.
    pub fn mod_port(&self, bridge: &str, port: &str, change: &str) {
        self.run("ovs-ofctl", &["-O", "OpenFlow10", "mod-port", bridge, port, change]);
        // It takes the change over in the turn of its main loop after the one in which it answered.
        (0..2).for_each(|_| drop(self.appctl("version", &[])));
    }

    /// Runs any program of Open vSwitch with its directories set to this one's.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = command(self.dir.path(), program)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// One unixctl command, as `ovs-appctl` would send it (JSON-RPC 1.0).
    pub fn appctl(&self, method: &str, params: &[&str]) -> String {
        let mut control = connect(&self.dir.path().join("ovs-vswitchd.ctl"));
        let request = json!({ "id": 1, "method": method, "params": params });
        control.write_all(request.to_string().as_bytes()).unwrap();
        let mut unparsed = Vec::new();
        let reply = loop {
            if let Ok(reply) = serde_json::from_slice::<Value>(&unparsed) {
                break reply;
            }
            let mut chunk = [0; 4096];
            let read = control.read(&mut chunk).unwrap();
            assert!(read > 0, "ovs-vswitchd closed its control socket");
            unparsed.extend_from_slice(&chunk[..read]);
        };
        assert!(reply["error"].is_null(), "{method} {params:?}: {}", reply["error"]);
        reply["result"].as_str().unwrap_or_default().to_owned()
    }

    /// Sends a frame into a port and returns what left which port.
    pub fn exchange(&mut self, port: &str, frame: &[u8]) -> Frames {
        self.exchange_all(port, &[frame.to_vec()])
    }

    /// Sends frames into a port, one after the other, and returns what left which port.
    pub fn exchange_all(&mut self, port: &str, frames: &[Vec<u8>]) -> Frames {
        let stream = self.ports.get_mut(port).unwrap_or_else(|| panic!("no port {port}"));
        frames.iter().for_each(|frame| stream.send(frame));
        self.wait_for(frames.len());
        self.ports.iter_mut().filter_map(|(name, stream)| Some((name.clone(), stream.frames()?))).collect()
    }

    /// Returns when everything that was sent before has left: up to `frames` frames into one port.
    ///
    /// In every turn of its main loop the daemon reads a piece (the length, or the frame) from
    /// every port, then forwards what is whole, then writes a frame to every port. As many frames
    /// through a bridge of their own take as long, give or take a turn; one more that is sent when
    /// they have come out is certainly last.
    fn wait_for(&mut self, frames: usize) {
        let [inward, outward] = self.barrier.as_mut().expect("the dummy datapath");
        for count in [frames, 1] {
            (0..count).for_each(|_| inward.send(&[0xFF; 60]));
            let mut arrived = 0;
            while arrived < count {
                match outward.frames() {
                    Some(frames) => arrived += frames.len(),
                    None => std::thread::yield_now(),
                }
            }
        }
    }

    /// The forwarding database of a bridge, without ages.
    pub fn fdb(&self, bridge: &str) -> Vec<FdbRow> {
        let table = self.appctl("fdb/show", &[bridge]);
        let row = |line: &str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [port, vlan, mac, age] = fields[..] else { panic!("unknown row of fdb/show: {line}") };
            (port.to_owned(), vlan.parse().unwrap(), mac.to_owned(), age == "static")
        };
        let mut rows: Vec<_> = table.lines().skip(1).map(row).collect();
        rows.sort();
        rows
    }
}

impl Drop for PrivateOvs {
    fn drop(&mut self) {
        // The daemon first, then its database; `Child` knows the pid of each.
        self.kill_daemon();
        let _ = self.database.kill();
        let _ = self.database.wait();
    }
}

/// Says that a peer is missing; fails if the environment asks for all of them.
pub fn skip(peer: &str) {
    let required = std::env::var_os("REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "{peer} not found, and REQUIRE_PEERS=1");
    println!("skipped: {peer} not found");
}

/// `program` with every directory of Open vSwitch set to `dir`.
fn command(dir: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
        command.env(variable, dir);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn daemon(dir: &Path, program: &str, arguments: &[&str]) -> Child {
    let file = |kind: &str| format!("{}/{program}.{kind}", dir.display());
    command(dir, program)
        .args(arguments)
        .args([format!("--unixctl={}", file("ctl")), format!("--pidfile={}", file("pid"))])
        .args([format!("--log-file={}", file("log")), "--no-chdir".into(), "-vconsole:off".into()])
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Connects as soon as somebody listens: a socket has a name a moment before that.
fn connect(path: &Path) -> UnixStream {
    for _ in 0..1000 {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(_) => sleep(Duration::from_millis(10)),
        }
    }
    panic!("{}: nobody listens", path.display());
}
