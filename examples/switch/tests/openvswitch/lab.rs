//! A private Open vSwitch as an oracle: exact frames in, exact frames out.
//!
//! [`Lab`] runs `ovsdb-server` and `ovs-vswitchd` with the *dummy* datapath in a directory of its
//! own: no root, no kernel module, nothing of an Open vSwitch of the system is touched. Every port
//! is a Unix stream that carries a big-endian length and a frame; control goes over the daemon's
//! unixctl socket, which speaks JSON-RPC 1.0. Dropping the lab ends both daemons by their pid.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const BRIDGE: &str = "br0";

/// Frames by the name of the port that they left.
pub(crate) type Output = BTreeMap<String, Vec<Vec<u8>>>;

/// A row of `fdb/show`: OpenFlow port (`"LOCAL"` for the bridge itself), VLAN, address, static.
pub(crate) type FdbRow = (String, u16, String, bool);

/// A running Open vSwitch with one bridge.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
    daemons: Vec<Child>,
    control: UnixStream,
    unparsed: Vec<u8>,
    ports: BTreeMap<String, Stream>,
    barrier: (Stream, Stream),
}

/// Our end of a port.
struct Stream {
    socket: UnixStream,
    received: Vec<u8>,
}

impl Lab {
    /// Starts the daemons and the bridge; `None`, with a line that says so, if Open vSwitch is not
    /// installed. With `REQUIRE_PEERS=1` in the environment, its absence is a failure.
    pub(crate) fn start() -> Option<Self> {
        let found = ["ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"].iter().all(|program| {
            Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok()
        });
        if !found {
            let required = std::env::var_os("REQUIRE_PEERS").is_some_and(|value| value == "1");
            assert!(!required, "ovs-vswitchd not found, and REQUIRE_PEERS=1");
            println!("skipped: ovs-vswitchd not found");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("ovs").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let tool = command(dir.path(), "ovsdb-tool").arg("create").arg(at("conf.db")).arg(SCHEMA).status();
        assert!(tool.unwrap().success(), "ovsdb-tool create");
        let remote = format!("--remote=punix:{}", at("db.sock").display());
        let mut daemons =
            vec![daemon(dir.path(), "ovsdb-server", &[&at("conf.db").display().to_string(), &remote])];
        drop(connect(&at("db.sock")));
        vsctl(dir.path(), &["--no-wait", "init"]);
        let database = format!("unix:{}", at("db.sock").display());
        daemons.push(daemon(
            dir.path(),
            "ovs-vswitchd",
            &[&database, "--enable-dummy=override", "--disable-system"],
        ));
        let control = connect(&at("ovs-vswitchd.ctl"));
        for bridge in [BRIDGE, "barrier"] {
            let columns = ["datapath_type=dummy", "fail_mode=standalone"];
            vsctl(dir.path(), &[&["add-br", bridge, "--", "set", "Bridge", bridge], &columns[..]].concat());
        }
        // Nothing is cached, so that every frame is translated anew: one that meets a cached flow sees
        // a station's move only at the next revalidation.
        vsctl(dir.path(), &["set", "Open_vSwitch", ".", "other_config:flow-limit=0"]);
        let barrier =
            (add_port(dir.path(), "barrier", "in", 1, &[]), add_port(dir.path(), "barrier", "out", 2, &[]));
        Some(Self { dir, daemons, control, unparsed: Vec::new(), ports: BTreeMap::new(), barrier })
    }

    /// Runs `ovs-vsctl`; returns when the daemon has taken the change over.
    pub(crate) fn vsctl(&self, arguments: &[&str]) {
        vsctl(self.dir.path(), arguments);
    }

    /// Adds a port with these columns of the `Port` table (`"tag=10"`) and connects to it.
    ///
    /// Ports get OpenFlow numbers 1, 2, ... in the order of their addition, and flooding visits
    /// them in that order.
    pub(crate) fn add_port(&mut self, name: &str, columns: &[String]) {
        let stream = add_port(self.dir.path(), BRIDGE, name, self.ports.len() + 1, columns);
        self.ports.insert(name.into(), stream);
    }

    /// One unixctl command, as `ovs-appctl` would send it.
    pub(crate) fn appctl(&mut self, method: &str, params: &[&str]) -> String {
        let request = json!({ "id": 1, "method": method, "params": params });
        self.control.write_all(request.to_string().as_bytes()).unwrap();
        let reply = loop {
            let mut values = serde_json::Deserializer::from_slice(&self.unparsed).into_iter::<Value>();
            if let Some(Ok(reply)) = values.next() {
                let used = values.byte_offset();
                self.unparsed.drain(..used);
                break reply;
            }
            let mut chunk = [0; 4096];
            let read = self.control.read(&mut chunk).unwrap();
            assert!(read > 0, "ovs-vswitchd closed its control socket");
            self.unparsed.extend_from_slice(&chunk[..read]);
        };
        assert!(reply["error"].is_null(), "{method} {params:?}: {}", reply["error"]);
        reply["result"].as_str().unwrap_or_default().to_owned()
    }

    /// Sends frames into a port, one after the other, and returns what left which port.
    pub(crate) fn exchange(&mut self, port: &str, frames: &[Vec<u8>]) -> Output {
        for frame in frames {
            self.ports.get_mut(port).unwrap().send(frame);
        }
        self.barrier(frames.len());
        self.ports.iter_mut().filter_map(|(name, stream)| Some((name.clone(), stream.frames()?))).collect()
    }

    /// Returns when everything that was sent before has left: up to `frames` frames into one port.
    ///
    /// In every turn of its main loop the daemon reads a piece (the length, or the frame) from
    /// every port, then forwards what is whole, then writes a frame to every port. As many frames
    /// through a bridge of their own take as long, give or take a turn; one more that is sent when
    /// they have come out is certainly last.
    fn barrier(&mut self, frames: usize) {
        for count in [frames, 1] {
            (0..count).for_each(|_| self.barrier.0.send(&[0xFF; 60]));
            let mut arrived = 0;
            while arrived < count {
                match self.barrier.1.frames() {
                    Some(frames) => arrived += frames.len(),
                    None => std::thread::yield_now(),
                }
            }
        }
    }

    /// The forwarding database, without ages.
    pub(crate) fn fdb(&mut self) -> Vec<FdbRow> {
        let table = self.appctl("fdb/show", &[BRIDGE]);
        let mut rows: Vec<_> = table
            .lines()
            .skip(1)
            .map(|line| {
                let fields: Vec<_> = line.split_whitespace().collect();
                let [port, vlan, mac, age] = fields[..] else { panic!("unknown row of fdb/show: {line}") };
                (port.to_owned(), vlan.parse().unwrap(), mac.to_owned(), age == "static")
            })
            .collect();
        rows.sort();
        rows
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The daemon first, then its database; `Child` knows the pid of each.
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Stream {
    fn send(&mut self, frame: &[u8]) {
        let mut message = u16::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
        message.extend_from_slice(frame);
        self.socket.write_all(&message).unwrap();
    }

    /// The whole frames that have arrived; `None` if there are none.
    fn frames(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut chunk = [0; 65_536];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => panic!("ovs-vswitchd closed a port"),
                Ok(read) => self.received.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("reading from a port: {error}"),
            }
        }
        let mut frames = Vec::new();
        while let Some((length, rest)) = self.received.split_first_chunk() {
            let Some(frame) = rest.get(..usize::from(u16::from_be_bytes(*length))) else { break };
            frames.push(frame.to_vec());
            self.received.drain(..2 + frames.last().map_or(0, Vec::len));
        }
        (!frames.is_empty()).then_some(frames)
    }
}

fn add_port(dir: &Path, bridge: &str, name: &str, number: usize, columns: &[String]) -> Stream {
    let path = dir.join(format!("{name}.sock"));
    let (number, stream) =
        (format!("ofport_request={number}"), format!("options:pstream=punix:{}", path.display()));
    let mut arguments = vec!["add-port", bridge, name];
    arguments.extend(columns.iter().map(String::as_str));
    arguments.extend(["--", "set", "Interface", name, "type=dummy", &number, &stream]);
    vsctl(dir, &arguments);
    let socket = connect(&path);
    socket.set_nonblocking(true).unwrap();
    Stream { socket, received: Vec::new() }
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

fn vsctl(dir: &Path, arguments: &[&str]) {
    let database = format!("--db=unix:{}/db.sock", dir.display());
    let output = command(dir, "ovs-vsctl")
        .args([&database, "--retry", "--timeout=30"])
        .args(arguments)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ovs-vsctl {arguments:?}: {said}");
}

/// Connects; a daemon has to make its socket first, and then to listen. Half a minute is the limit.
fn connect(path: &Path) -> UnixStream {
    let attempt = |_| {
        let stream = UnixStream::connect(path).ok();
        if stream.is_none() {
            sleep(Duration::from_millis(10));
        }
        stream
    };
    (0..3000).find_map(attempt).unwrap_or_else(|| panic!("nobody listens at {}", path.display()))
}
