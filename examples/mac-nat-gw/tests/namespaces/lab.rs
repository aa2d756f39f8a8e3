//! A provider and two machines in network namespaces of their own, with a switch that accepts only
//! the MACs that it knows.
//!
//! ```text
//! router: r0 ── eth0 :hv: tap1 ── eth0 :vm1
//!                         tap2 ── eth0 :vm2
//! ```

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use pcap_file::pcap::PcapReader;

/// The NIC's own MAC.
pub(crate) const E: &str = "52:54:00:aa:00:01";
pub(crate) const ROUTER_MAC: &str = "00:07:b4:00:00:02";
/// The machines' MACs, and the provider's for them.
pub(crate) const V: [&str; 2] = ["fa:16:3e:00:00:01", "fa:16:3e:00:00:02"];
pub(crate) const W: [&str; 2] = ["02:00:00:c5:7a:11", "02:00:00:c5:7a:12"];
pub(crate) const IP: [&str; 2] = ["203.0.113.11", "203.0.113.12"];
pub(crate) const IP6: [&str; 2] = ["2001:db8:1::11", "2001:db8:1::12"];
pub(crate) const GATEWAY: &str = "198.51.100.1";
pub(crate) const ROUTER6: &str = "2001:db8:1::1";
pub(crate) const HOST: &str = "198.51.100.10";

/// Whether the commands are there and we may make namespaces; says what is missing.
///
/// # Panics
/// If something is missing and `REQUIRE_PEERS=1`.
pub(crate) fn available(commands: &[&str]) -> bool {
    let found = |command: &&&str| {
        let mut directories = std::env::split_paths("/usr/sbin:/usr/bin:/sbin:/bin");
        !directories.any(|directory| directory.join(command).exists())
    };
    let root = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("Uid:\t0"));
    let missing = commands.iter().find(found).copied().or((!root).then_some("root"));
    if let Some(missing) = missing {
        println!("skipped: {missing} not found");
        assert_ne!(std::env::var("REQUIRE_PEERS").as_deref(), Ok("1"), "{missing} not found");
    }
    missing.is_none()
}

/// The namespaces; gone when dropped, with everything that runs in them.
pub(crate) struct Lab {
    prefix: String,
    pub(crate) directory: tempfile::TempDir,
    children: Vec<Child>,
}

impl Lab {
    /// `allowed` are the MACs that the provider's switch knows.
    pub(crate) fn new(allowed: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("mg{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let lab = Self { prefix, directory: tempfile::tempdir().unwrap(), children: Vec::new() };
        lab.wire();
        lab.router(allowed);
        for i in 0..2 {
            lab.machine(i);
        }
        lab
    }

    fn wire(&self) {
        for name in ["router", "hv", "vm1", "vm2"] {
            self.ip(&["netns", "add", &self.namespace(name)]);
            self.run(name, "ip link set lo up");
        }
        let link = |a: &str, mac: &str, name: &str, b: &str, more: &[&str]| {
            let (a_ns, b_ns) = (self.namespace(a), self.namespace("hv"));
            let if_a = if a == "router" { "r0" } else { "eth0" };
            let command = [
                &["link", "add", if_a, "netns", &a_ns, "address", mac, "type", "veth", "peer", "name"][..],
                &[b, "netns", &b_ns],
                more,
            ]
            .concat();
            self.ip(&command);
            self.run(a, &format!("ethtool -K {if_a} tx off rx off tso off gso off gro off"));
            self.run("hv", &format!("ethtool -K {name} tx off rx off tso off gso off gro off"));
            self.run("hv", &format!("sysctl -qw net.ipv6.conf.{name}.disable_ipv6=1"));
            self.run("hv", &format!("ip link set {name} up"));
        };
        link("router", ROUTER_MAC, "eth0", "eth0", &["address", E]);
        link("vm1", V[0], "tap1", "tap1", &[]);
        link("vm2", V[1], "tap2", "tap2", &[]);
        self.run("hv", &format!("ip addr add {HOST}/24 dev eth0"));
    }

    fn router(&self, allowed: &[&str]) {
        self.run("router", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        self.run("router", "sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.r0.send_redirects=0");
        self.run("router", "ip link set r0 up");
        self.run("router", &format!("ip addr add {GATEWAY}/24 dev r0"));
        self.run("router", "ip -6 addr add fe80::1/64 dev r0 nodad");
        self.run("router", &format!("ip -6 addr add {ROUTER6}/64 dev r0 nodad"));
        for ip in IP {
            self.run("router", &format!("ip route add {ip}/32 dev r0"));
        }
        // What the hoster's switch port does: only its MACs come in, only frames for them go out.
        let macs = allowed.join(", ");
        let rules = self.directory.path().join("provider.nft");
        std::fs::write(
            &rules,
            format!(
                "table netdev provider {{
                   set allowed {{ type ether_addr; elements = {{ {macs} }} }}
                   counter bad {{ }}
                   chain in {{ type filter hook ingress device r0 priority 0; policy accept;
                     ether saddr != @allowed counter name bad drop
                     arp saddr ether != @allowed counter name bad drop
                   }}
                   chain out {{ type filter hook egress device r0 priority 0; policy accept;
                     ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != @allowed drop
                   }}
                 }}"
            ),
        )
        .unwrap();
        self.run("router", &format!("nft -f {}", rules.display()));
    }

    /// The way hosters want it: one address and a gateway on the link.
    fn machine(&self, i: usize) {
        let name = ["vm1", "vm2"][i];
        self.run(name, "sysctl -qw net.ipv6.conf.eth0.accept_ra=0");
        self.run(name, "ip link set eth0 up");
        self.run(name, &format!("ip addr add {}/32 dev eth0", IP[i]));
        self.run(name, &format!("ip route add {GATEWAY} dev eth0"));
        self.run(name, &format!("ip route add default via {GATEWAY} src {}", IP[i]));
        self.run(name, &format!("ip -6 addr add {}/64 dev eth0", IP6[i]));
        self.run(name, "ip -6 route add default via fe80::1 dev eth0");
    }

    /// Starts `mac-nat-gw run` in the hypervisor's namespace and waits until it answers.
    pub(crate) fn gateway(&mut self, config: &str) {
        let socket = self.directory.path().join("gw.sock");
        let path = self.directory.path().join("gw.toml");
        let text = format!("{config}\n[status]\nsocket = \"{}\"\n", socket.display());
        std::fs::write(&path, text).unwrap();
        let log = std::fs::File::create(self.directory.path().join("gw.log")).unwrap();
        let mut command = self.command("hv", &[env!("CARGO_BIN_EXE_mac-nat-gw"), "run", "--config"]);
        self.children.push(command.arg(path).stderr(log).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.status().is_none() {
            assert!(Instant::now() < deadline, "the gateway does not start: {}", self.log());
            sleep(Duration::from_millis(50));
        }
        // Duplicate address detection of the machines takes a second or two.
        sleep(Duration::from_secs(2));
    }

    /// Sends a signal to the gateway, which was started last.
    pub(crate) fn signal_gateway(&self, signal: &str) {
        let pid = self.children.last().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// Ends the gateway in order.
    pub(crate) fn stop_gateway(&mut self) {
        self.signal_gateway("TERM");
        let ended = self.children.pop().unwrap().wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.log());
    }

    /// What `mac-nat-gw status --json` says.
    pub(crate) fn status(&self) -> Option<serde_json::Value> {
        let socket = self.directory.path().join("gw.sock");
        let mut status = Command::new(env!("CARGO_BIN_EXE_mac-nat-gw"));
        let output = status.args(["status", "--json", "--socket"]).arg(socket).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("gw.log")).unwrap_or_default()
    }

    /// Records what is on the provider's wire until [`Capture::frames`].
    pub(crate) fn capture(&self) -> Capture {
        self.capture_at("router", "r0")
    }

    /// Records what an interface sends and receives.
    pub(crate) fn capture_at(&self, namespace: &str, interface: &str) -> Capture {
        let path = self.directory.path().join(format!("{namespace}.pcap"));
        let arguments =
            ["tcpdump", "-Z", "root", "--immediate-mode", "-B", "8192", "-i", interface, "-U", "-w"];
        let child = self.command(namespace, &arguments).arg(&path).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !path.exists() && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        sleep(Duration::from_millis(300));
        Capture { child, path }
    }

    /// Runs a command that must succeed.
    pub(crate) fn run(&self, namespace: &str, command: &str) {
        let output = self.try_run(namespace, command);
        assert!(output.status.success(), "{namespace}: {command}: {}", text(&output));
    }

    pub(crate) fn try_run(&self, namespace: &str, command: &str) -> Output {
        let words: Vec<&str> = command.split_whitespace().collect();
        self.command(namespace, &words).output().unwrap()
    }

    /// Runs in the background until the lab is gone.
    pub(crate) fn start(&mut self, namespace: &str, command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let child = self.command(namespace, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.children.push(child.unwrap());
    }

    /// Runs in the background until the result is dropped.
    pub(crate) fn background(&self, namespace: &str, command: &str) -> Background {
        let words: Vec<&str> = command.split_whitespace().collect();
        let child = self.command(namespace, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Background(child.unwrap())
    }

    /// Does something as a process of the namespace: its sockets and children stay there.
    pub(crate) fn within<T: Send>(&self, namespace: &str, action: impl FnOnce() -> T + Send) -> T {
        let path = Path::new("/run/netns").join(self.namespace(namespace));
        let enter_and_act = || {
            nix::sched::setns(std::fs::File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            action()
        };
        // The thread ends, so no other code ever runs in there.
        std::thread::scope(|scope| scope.spawn(enter_and_act).join().unwrap())
    }

    pub(crate) fn ping(&self, from: &str, to: &str) {
        self.run(from, &format!("ping -c 2 -i 0.2 -W 2 {to}"));
    }

    /// Everybody forgets who is where.
    pub(crate) fn forget_neighbours(&self) {
        for name in ["router", "vm1", "vm2"] {
            self.try_run(name, "ip neigh flush all");
            self.try_run(name, "ip -6 neigh flush all");
        }
    }

    /// Frames that the provider's switch refused.
    pub(crate) fn refused(&self) -> u64 {
        let output = self.try_run("router", "nft -j list counter netdev provider bad");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let counters = json["nftables"].as_array().unwrap().iter();
        counters.filter_map(|item| item["counter"]["packets"].as_u64()).sum()
    }

    fn command(&self, namespace: &str, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(namespace)]).args(words).stdin(Stdio::null());
        command
    }

    fn ip(&self, arguments: &[&str]) {
        let output = Command::new("ip").args(arguments).output().unwrap();
        assert!(output.status.success(), "ip {}: {}", arguments.join(" "), text(&output));
    }

    pub(crate) fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in ["router", "hv", "vm1", "vm2"] {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(name)]).output();
        }
    }
}

/// A recording in progress.
pub(crate) struct Capture {
    child: Child,
    path: PathBuf,
}

impl Capture {
    /// Ends the recording; its frames.
    pub(crate) fn frames(mut self) -> Vec<Vec<u8>> {
        sleep(Duration::from_millis(300));
        let _ = Command::new("kill").arg(self.child.id().to_string()).output();
        let _ = self.child.wait();
        read(&self.path)
    }

    /// The frames up to now.
    pub(crate) fn so_far(&self) -> Vec<Vec<u8>> {
        read(&self.path)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that is killed when this is dropped.
pub(crate) struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All whole frames: the last may still be being written.
fn read(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(std::fs::File::open(path).unwrap()).unwrap();
    std::iter::from_fn(|| Some(reader.next_raw_packet()?.ok()?.data.into_owned())).collect()
}

/// Frames that carry the MAC anywhere.
pub(crate) fn carrying(frames: &[Vec<u8>], mac: &str) -> usize {
    let bytes: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    frames.iter().filter(|frame| frame.windows(6).any(|window| window == bytes)).count()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
