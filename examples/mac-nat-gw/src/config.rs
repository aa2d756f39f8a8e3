//! The configuration file: TOML in, the engine's plain data out; errors name file, line and key.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::error::BadInput;
use mac_nat::{
    Binding, Config, HostAddress, IpNet, Limits, MacAddr6, Mode, Policy, Port, PortId, Timers, Vlans,
};
use serde::Deserialize;
use toml::Spanned;

/// What a configuration file says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For the engine.
    pub engine: Config,
    /// The interface to the provider.
    pub uplink: String,
    /// The interface to the host's own network stack, if it is not on the uplink itself.
    pub host: Option<String>,
    /// The inside ports by name, with their interfaces.
    pub ports: Vec<NamedPort>,
    /// Interfaces that do not exist yet: TAP devices that we make.
    pub taps: Vec<String>,
    /// Where `status` asks.
    pub status_socket: Option<PathBuf>,
    /// Where learned bindings survive a restart.
    pub state_file: Option<PathBuf>,
    /// Where further bindings come from.
    pub neutron: Option<NeutronSettings>,
}

/// An inside port as the file calls it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedPort {
    /// Its number for the engine: 1 for the first of the file.
    pub id: PortId,
    /// Its name.
    pub name: String,
    /// Its interface, the name unless the file says otherwise.
    pub interface: String,
}

/// `[neutron]`: floating IPs and ports of OpenStack.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NeutronSettings {
    /// `openstack floating ip list -f json`.
    pub floating_ips: JsonSource,
    /// `openstack port list -f json`.
    pub ports: JsonSource,
    /// The MAC of the router's gateway port, if a router stands between the floating IPs and the
    /// machines; else the MACs of the machines' own ports count.
    #[serde(default, deserialize_with = "optional_mac")]
    pub router_mac: Option<MacAddr6>,
    /// Between two looks, in seconds.
    #[serde(default = "ten")]
    pub interval: u64,
}

/// A file, or a command that prints it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum JsonSource {
    /// Read when it changes; relative to the directory of the configuration.
    File(PathBuf),
    /// Program and arguments, run at every look.
    Command(Vec<String>),
}

impl Settings {
    /// Reads a file. `uplink_mac` gives the MAC of the uplink interface if the file does not say
    /// it.
    ///
    /// # Errors
    /// [`BadInput`] with line and key of the first mistake.
    pub fn read(path: &Path, uplink_mac: impl FnOnce(&str) -> Option<MacAddr6>) -> Result<Self, BadInput> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            BadInput::new(path.display(), error).help("`mac-nat-gw run --help` shows a configuration")
        })?;
        Self::parse(&text, path, uplink_mac)
    }

    /// As [`read`](Self::read), from text; `path` is for messages and relative paths.
    ///
    /// # Errors
    /// [`BadInput`] with line and key of the first mistake.
    pub fn parse(
        text: &str,
        path: &Path,
        uplink_mac: impl FnOnce(&str) -> Option<MacAddr6>,
    ) -> Result<Self, BadInput> {
        let place = |span: Option<Range<usize>>, problem: String| match span {
            Some(span) => match key_of(text, span.start) {
                Some(key) => BadInput::in_text(path, text, span, format_args!("{key}: {problem}")),
                None => BadInput::in_text(path, text, span, problem),
            },
            None => BadInput::new(path.display(), problem),
        };
        let file: File =
            toml::from_str(text).map_err(|error| place(error.span(), error.message().to_owned()))?;
        let mut settings = file.settings(uplink_mac).map_err(|(span, problem)| place(span, problem))?;
        if let Some(neutron) = &mut settings.neutron {
            let directory = path.parent().unwrap_or(Path::new(""));
            for source in [&mut neutron.floating_ips, &mut neutron.ports] {
                if let JsonSource::File(file) = source {
                    *file = directory.join(&*file);
                }
            }
        }
        Ok(settings)
    }

    /// The port of this name.
    pub fn port(&self, name: &str) -> Option<&NamedPort> {
        self.ports.iter().find(|port| port.name == name)
    }
}

/// A mistake at a place in the file.
type Mistake = (Option<Range<usize>>, String);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    mode: Mode,
    uplink: Uplink,
    #[serde(default)]
    host: HostTable,
    #[serde(default)]
    gateways: Vec<IpAddr>,
    #[serde(default)]
    broadcasts: Vec<Ipv4Addr>,
    #[serde(default, rename = "port")]
    ports: Vec<PortTable>,
    #[serde(default, rename = "binding")]
    bindings: Vec<BindingTable>,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    timers: TimerTable,
    #[serde(default)]
    status: StatusTable,
    #[serde(default)]
    state: StateTable,
    neutron: Option<NeutronSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Uplink {
    interface: Spanned<String>,
    #[serde(default)]
    tap: bool,
    mac: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostTable {
    interface: Option<String>,
    #[serde(default)]
    tap: bool,
    #[serde(default)]
    addresses: Vec<IpAddr>,
    #[serde(default)]
    vlan: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PortTable {
    name: Spanned<String>,
    interface: Option<String>,
    #[serde(default)]
    tap: bool,
    wire: Option<Spanned<String>>,
    #[serde(default)]
    macs: Vec<Spanned<String>>,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    quota: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BindingTable {
    address: Spanned<String>,
    port: Spanned<String>,
    inside: Spanned<String>,
    wire: Option<Spanned<String>>,
    vlan: Option<Spanned<String>>,
}

/// In seconds.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct TimerTable {
    lifetime: Option<f64>,
    refresh_before: Option<f64>,
    probe: Option<f64>,
    dhcp: Option<f64>,
    ask_interval: Option<f64>,
    ask_tries: Option<u8>,
    ask_pause: Option<f64>,
    verify: Option<f64>,
    flap_window: Option<f64>,
    flap_moves: Option<u8>,
    flap_hold: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusTable {
    socket: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateTable {
    file: Option<PathBuf>,
}

fn optional_mac<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<MacAddr6>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mistake = || serde::de::Error::custom(format_args!("`{text}` is no MAC address"));
    text.parse().map(Some).map_err(|_| mistake())
}

fn ten() -> u64 {
    10
}

impl File {
    fn settings(self, uplink_mac: impl FnOnce(&str) -> Option<MacAddr6>) -> Result<Settings, Mistake> {
        let mac = match &self.uplink.mac {
            Some(mac) => mac_address(mac)?,
            None => uplink_mac(self.uplink.interface.get_ref()).ok_or((
                Some(self.uplink.interface.span()),
                "there is no such interface here to take the MAC from; write `mac = \"...\"` beside it"
                    .into(),
            ))?,
        };
        let mut engine = Config::new(self.mode, mac);
        let vlans = self.host.vlan.as_ref().map_or(Ok(Vlans::UNTAGGED), vlans)?;
        engine.host.addresses =
            self.host.addresses.iter().map(|addr| HostAddress { addr: *addr, vlans }).collect();
        engine.gateways = self.gateways;
        engine.broadcasts = self.broadcasts;
        engine.policy = self.policy;
        engine.limits = self.limits;
        engine.timers = self.timers.timers()?;
        let mut ports = Vec::<NamedPort>::new();
        for (number, table) in (1_u16..).zip(&self.ports) {
            let name = table.name.get_ref().clone();
            let span = Some(table.name.span());
            let Some(id) = PortId::new(number) else { return Err((span, "too many ports".into())) };
            if ports.iter().any(|port| port.name == name) || ["uplink", "host"].contains(&name.as_str()) {
                return Err((span, format!("the name `{name}` is taken")));
            }
            engine.ports.push(table.port(id)?);
            let interface = table.interface.clone().unwrap_or_else(|| name.clone());
            ports.push(NamedPort { id, name, interface });
        }
        for table in &self.bindings {
            let binding = table.binding(&ports, &engine)?;
            let at = Some(table.address.span());
            engine.check_binding(&binding).map_err(|error| (at.clone(), error.to_string()))?;
            engine.bindings.push(binding);
            // One at a time, so that the mistake is in this one.
            engine.check().map_err(|error| (at, error.to_string()))?;
        }
        engine.check().map_err(|error| (None, error.to_string()))?;
        let tapped = ports.iter().zip(&self.ports).filter(|(_, table)| table.tap);
        let mut taps: Vec<String> = tapped.map(|(port, _)| port.interface.clone()).collect();
        taps.extend(self.uplink.tap.then(|| self.uplink.interface.get_ref().clone()));
        taps.extend(self.host.interface.clone().filter(|_| self.host.tap));
        Ok(Settings {
            engine,
            uplink: self.uplink.interface.into_inner(),
            host: self.host.interface,
            ports,
            taps,
            status_socket: self.status.socket,
            state_file: self.state.file,
            neutron: self.neutron,
        })
    }
}

impl PortTable {
    fn port(&self, id: PortId) -> Result<Port, Mistake> {
        let mut port = Port::new(id);
        port.wire = self.wire.as_ref().map(mac_address).transpose()?;
        port.macs = self.macs.iter().map(mac_address).collect::<Result<_, _>>()?;
        port.allowed = self.allow.iter().map(net).collect::<Result<_, _>>()?;
        port.quota = self.quota;
        Ok(port)
    }
}

impl BindingTable {
    fn binding(&self, ports: &[NamedPort], engine: &Config) -> Result<Binding, Mistake> {
        let name = self.port.get_ref();
        let Some(port) = ports.iter().find(|port| port.name == *name) else {
            let known: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
            let problem = format!("there is no port `{name}`, only {}", known.join(", "));
            return Err((Some(self.port.span()), problem));
        };
        let of_port = || engine.ports.iter().find(|known| known.id == port.id).and_then(|port| port.wire);
        let wire = match &self.wire {
            Some(wire) => mac_address(wire)?,
            None if engine.mode == Mode::Single => engine.host.mac,
            None => of_port()
                .ok_or((Some(self.address.span()), "mode `vmac` needs `wire`, here or at the port".into()))?,
        };
        let vlans = self.vlan.as_ref().map_or(Ok(Vlans::UNTAGGED), vlans)?;
        Ok(Binding::fixed(net(&self.address)?, port.id, mac_address(&self.inside)?, wire).in_vlans(vlans))
    }
}

impl TimerTable {
    fn timers(&self) -> Result<Timers, Mistake> {
        let mut timers = Timers::default();
        let durations = [
            (&mut timers.lifetime, self.lifetime),
            (&mut timers.refresh_before, self.refresh_before),
            (&mut timers.probe, self.probe),
            (&mut timers.dhcp, self.dhcp),
            (&mut timers.ask_interval, self.ask_interval),
            (&mut timers.ask_pause, self.ask_pause),
            (&mut timers.verify, self.verify),
            (&mut timers.flap_window, self.flap_window),
            (&mut timers.flap_hold, self.flap_hold),
        ];
        for (timer, seconds) in durations {
            if let Some(seconds) = seconds {
                *timer = Duration::try_from_secs_f64(seconds)
                    .map_err(|error| (None, format!("[timers]: {seconds} seconds: {error}")))?;
            }
        }
        timers.ask_tries = self.ask_tries.unwrap_or(timers.ask_tries);
        timers.flap_moves = self.flap_moves.unwrap_or(timers.flap_moves);
        Ok(timers)
    }
}

fn mac_address(text: &Spanned<String>) -> Result<MacAddr6, Mistake> {
    let mistake = || (Some(text.span()), format!("`{}` is no MAC address", text.get_ref()));
    text.get_ref().parse().map_err(|_| mistake())
}

/// An address is a prefix of full length.
fn net(text: &Spanned<String>) -> Result<IpNet, Mistake> {
    let mistake = || (Some(text.span()), format!("`{}` is no address and no prefix", text.get_ref()));
    let text = text.get_ref();
    let address = text.parse::<IpAddr>().map(IpNet::from).ok();
    address.or_else(|| text.parse().ok()).map(|net| net.trunc()).ok_or_else(mistake)
}

fn vlans(text: &Spanned<String>) -> Result<Vlans, Mistake> {
    text.get_ref().parse().map_err(|error: mac_nat::VlansError| (Some(text.span()), error.to_string()))
}

/// The key whose value stands at `at`, with the table that it is in.
fn key_of(text: &str, at: usize) -> Option<String> {
    let line_end = text.get(at..)?.find('\n').map_or(text.len(), |end| at + end);
    let mut lines = text.get(..line_end)?.lines().rev().map(str::trim);
    let is_header = |line: &&str| line.starts_with('[') && line.ends_with(']') && !line.contains(['"', ',']);
    // A value may span lines: the key is on the nearest line above that has one.
    let mut key = None;
    let header = loop {
        match lines.next() {
            Some(line) if is_header(&line) => break Some(line.trim_matches(['[', ']', ' '])),
            Some(line) => key = key.or_else(|| line.split_once('=').map(|(key, _)| key.trim())),
            None => break None,
        }
    };
    match (header, key) {
        (Some(table), Some(key)) => Some(format!("{table}.{key}")),
        (table, key) => table.or(key).map(str::to_owned),
    }
}
