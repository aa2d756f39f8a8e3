//! A host with a veth pair per port, in a network namespace of the test's own.
//!
//! ```text
//! vm0 ── tap52b7bdbe-79 ┐
//! vm1 ── tap7b99a126-11 ┼ bridge, or the host's routing ── uplink ── far
//! ...                   ┘
//! ```

use std::{
    collections::HashSet,
    io::Write,
    os::fd::AsFd,
    process::{Command, Stdio},
    time::Duration,
};

use afpacket::{Interface, TAG_ROOM};
use private_ovs::{enter_namespaces, skip};
use secgroup::render::{Link, Style};
use secgroup_rpc::{Info, IpSpec, macaddr::MacAddr6};

use crate::probes::{Place, Probe};

/// The machine behind the uplink.
pub(crate) const FAR_MAC: MacAddr6 = MacAddr6::new(0x02, 0, 0, 0, 0xFA, 0x12);
const GATEWAY4: &str = "169.254.77.1";
const GATEWAY6: &str = "fe80::77";
/// Probes on their way at a time: no socket's buffer may overflow.
const BATCH: usize = 64;

/// The namespace, with sockets at the far ends of all pairs.
pub(crate) struct World {
    vms: Vec<Interface>,
    far: Interface,
    /// Where frames to the host itself go when it routes: of `far` and of each port.
    routers: Option<(MacAddr6, Vec<MacAddr6>)>,
}

/// Whether all commands are there; says which one is not.
pub(crate) fn has_commands(commands: &[&str]) -> bool {
    let is_there = |command: &str| {
        std::env::split_paths("/usr/sbin:/usr/bin:/sbin:/bin").any(|folder| folder.join(command).exists())
    };
    let missing = commands.iter().find(|command| !is_there(command));
    missing.inspect(|missing| skip(missing)).is_none()
}

/// Whether this kernel takes `rule` in a forward chain of an nftables family.
pub(crate) fn filter_is_loadable(family: &str, rule: &str) -> bool {
    let text = format!(
        "table {family} probe {{\n chain c {{\n type filter hook forward priority 0\n {rule}\n }}\n}}\n"
    );
    has_commands(&["nft"]) && enter_namespaces() && feed("nft -f -", &text).is_ok()
}

impl World {
    /// Moves this thread into a new namespace and wires it; `None` without the privilege.
    pub(crate) fn new(info: &Info, style: &Style) -> Option<Self> {
        if !enter_namespaces() {
            return None;
        }
        let id = |prefix: &str, id: secgroup_rpc::Uuid| format!("{prefix}{:.11}", id.to_string());
        let taps: Vec<_> = info.devices.iter().map(|device| id(&style.interface, device.id)).collect();
        let network = info.devices.iter().find_map(|device| device.network);
        let bridge = network.map_or_else(|| "br0".to_owned(), |network| id(&style.bridge, network));
        feed("sysctl -qp -", "net.ipv6.conf.default.addr_gen_mode=1\nnet.ipv6.conf.default.accept_dad=0\n")
            .unwrap();
        let mut lines = vec!["link set lo up".to_owned()];
        let pairs = taps.iter().enumerate().map(|(at, tap)| (tap.clone(), format!("vm{at}")));
        let pairs: Vec<_> = pairs.chain([("uplink".to_owned(), "far".to_owned())]).collect();
        for (near, end) in &pairs {
            lines.push(format!("link add {near} type veth peer name {end}"));
            lines.push(format!("link set dev {end} arp off up"));
            lines.push(format!("link set dev {near} up"));
        }
        match style.link {
            Link::Bridged => lines.extend(bridge_lines(info, &bridge, &pairs)),
            Link::Routed => lines.extend(route_lines(info, &taps)),
        }
        feed("ip -force -batch -", &(lines.join("\n") + "\n")).unwrap();
        if style.link == Link::Routed {
            let settings =
                "net.ipv4.ip_forward=1\nnet.ipv6.conf.all.forwarding=1\nnet.ipv4.conf.all.rp_filter=0\n";
            let each = pairs.iter().map(|(near, _)| format!("net.ipv4.conf.{near}.rp_filter=0\n"));
            feed("sysctl -qp -", &(settings.to_owned() + &each.collect::<String>())).unwrap();
        } else {
            let fdb = info
                .devices
                .iter()
                .zip(&taps)
                .map(|(device, tap)| format!("fdb replace {} dev {tap} master static\n", device.mac));
            feed("bridge -batch -", &fdb.collect::<String>()).unwrap();
        }
        let open = |name: &str| Interface::open(name).unwrap();
        let mac = |name: &String| MacAddr6::from(open(name).mac());
        Some(Self {
            vms: (0..taps.len()).map(|at| open(&format!("vm{at}"))).collect(),
            far: open("far"),
            routers: (style.link == Link::Routed)
                .then(|| (mac(&"uplink".to_owned()), taps.iter().map(mac).collect())),
        })
    }

    /// Runs a command in the namespace with `input` on its standard input.
    pub(crate) fn run(&self, command: &str, input: &str) {
        feed(command, input).unwrap_or_else(|errors| panic!("{command}: {errors}"));
    }

    /// Sends the probes and says which ones arrived where they should.
    pub(crate) fn pass(&mut self, probes: &[Probe]) -> Vec<bool> {
        let mut arrived = HashSet::new();
        for (at, batch) in probes.chunks(BATCH).enumerate() {
            let first = at * BATCH;
            for (offset, probe) in batch.iter().enumerate() {
                let frame = probe.frame((first + offset) as u32, self.next_hop(probe));
                self.socket(probe.from).send(&frame).unwrap();
            }
            // What shall pass is waited for; what shall not has been dropped when it was sent, or
            // it comes with a later batch.
            for _ in 0..200 {
                self.receive(&mut arrived);
                let is_here = |(offset, probe): (usize, &Probe)| {
                    !probe.expected || arrived.contains(&(probe.to, (first + offset) as u32))
                };
                if batch.iter().enumerate().all(is_here) {
                    break;
                }
                let sources: Vec<_> =
                    self.vms.iter().chain([&self.far]).map(|socket| socket.as_fd()).collect();
                afpacket::wait(&sources, Some(Duration::from_millis(10))).unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(50));
        self.receive(&mut arrived);
        probes.iter().enumerate().map(|(at, probe)| arrived.contains(&(probe.to, at as u32))).collect()
    }

    fn socket(&self, place: Place) -> &Interface {
        match place {
            Place::Far => &self.far,
            Place::Port(at) => &self.vms[at],
        }
    }

    /// The MAC that a frame is sent to.
    fn next_hop(&self, probe: &Probe) -> MacAddr6 {
        match (&self.routers, probe.from) {
            (None, _) => probe.destination_mac,
            (Some((up, _)), Place::Far) => *up,
            (Some((_, taps)), Place::Port(at)) => taps[at],
        }
    }

    fn receive(&self, arrived: &mut HashSet<(Place, u32)>) {
        let mut buffer = [0; 2048];
        let places = (0..self.vms.len()).map(Place::Port).chain([Place::Far]);
        for place in places {
            while let Some(frame) = self.socket(place).recv(&mut buffer, TAG_ROOM).unwrap() {
                arrived.extend(Probe::number(&buffer[frame]).map(|number| (place, number)));
            }
        }
    }
}

fn bridge_lines(info: &Info, bridge: &str, pairs: &[(String, String)]) -> Vec<String> {
    let mut lines =
        vec![format!("link add {bridge} type bridge mcast_snooping 0"), format!("link set dev {bridge} up")];
    for (near, _) in pairs {
        let flood = if near == "uplink" { "on" } else { "off" };
        lines.push(format!("link set dev {near} master {bridge}"));
        lines.push(format!("link set dev {near} type bridge_slave learning off flood {flood}"));
    }
    assert!(info.devices.len() < pairs.len());
    lines
}

/// Every address of a port is behind its tap, all else behind the uplink.
fn route_lines(info: &Info, taps: &[String]) -> Vec<String> {
    let far = FAR_MAC;
    let mut lines = vec![
        format!("route add default via {GATEWAY4} dev uplink onlink"),
        format!("neigh add {GATEWAY4} lladdr {far} dev uplink nud permanent"),
        format!("route add ::/0 via {GATEWAY6} dev uplink onlink"),
        format!("neigh add {GATEWAY6} lladdr {far} dev uplink nud permanent"),
    ];
    for (device, tap) in info.devices.iter().zip(taps) {
        for address in &device.fixed_ips {
            let net = IpSpec::Host(*address).net();
            lines.push(format!("route replace {net} dev {tap}"));
            lines.push(format!("neigh replace {address} lladdr {} dev {tap} nud permanent", device.mac));
        }
    }
    lines
}

/// Runs `command` with `input`; what it says, or what it complains about if it fails.
pub(crate) fn feed(command: &str, input: &str) -> Result<String, String> {
    let mut words = command.split(' ');
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command}: {error}"))?;
    // A command that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let done = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
}
