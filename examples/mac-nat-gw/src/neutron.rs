//! Bindings from OpenStack: which floating IP has which provider MAC, and which machine is behind
//! it.
//!
//! Reads what `openstack floating ip list -f json` and `openstack port list -f json` print. The
//! port that Neutron makes for a floating IP has the floating IP as its fixed IP: its MAC is the
//! wire MAC in mode *vmac*, once it was set to what the provider generated. The MAC behind it is
//! that of the port which the floating IP is attached to or, where a router translates addresses,
//! that of the router's gateway port (`router-mac`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use lab::error::BadInput;
use mac_nat::{Binding, Config, IpNet, MacAddr6, Mode, Port};
use serde::Deserialize;

use crate::config::{JsonSource, NeutronSettings, Settings};

/// A row of `openstack floating ip list -f json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct FloatingIp {
    /// The address.
    #[serde(rename = "Floating IP Address")]
    pub address: IpAddr,
    /// The address inside; `None` if it is attached to nothing.
    #[serde(rename = "Fixed IP Address")]
    pub fixed: Option<IpAddr>,
    /// The port that it is attached to.
    #[serde(rename = "Port")]
    pub port: Option<String>,
}

/// A row of `openstack port list -f json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct NeutronPort {
    /// UUID.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its MAC.
    #[serde(rename = "MAC Address")]
    pub mac: String,
    /// Its addresses.
    #[serde(rename = "Fixed IP Addresses", deserialize_with = "fixed_ips")]
    pub addresses: Vec<IpAddr>,
}

/// Both lists, and when they are worth another look.
#[derive(Debug)]
pub struct Neutron {
    config: Config,
    source: NeutronSettings,
    seen: Option<(Vec<FloatingIp>, Vec<NeutronPort>)>,
    stamps: Option<[SystemTime; 2]>,
}

impl Neutron {
    /// The source that the settings name, if they name one.
    pub fn new(settings: &Settings) -> Option<Self> {
        let source = settings.neutron.clone()?;
        Some(Self { config: settings.engine.clone(), source, seen: None, stamps: None })
    }

    /// Looks once, and then in a thread of its own again and again: a command may take seconds,
    /// and frames do not wait. What fails later is told to `complain`; the bindings stay.
    ///
    /// # Errors
    /// As [`look`](Self::look), the first time.
    pub fn watch(
        mut self,
        complain: impl Fn(anyhow::Error) + Send + 'static,
    ) -> Result<Receiver<Vec<Binding>>> {
        let (sender, receiver) = mpsc::channel();
        let first = self.look()?;
        std::thread::spawn(move || {
            let mut found = first;
            loop {
                // Nobody listens any more: the gateway has stopped.
                if found.is_some_and(|bindings| sender.send(bindings).is_err()) {
                    return;
                }
                std::thread::sleep(Duration::from_secs(self.source.interval.max(1)));
                found = self.look().unwrap_or_else(|error| {
                    complain(error);
                    None
                });
            }
        });
        Ok(receiver)
    }

    /// The static bindings, those of the configuration included, if they may have changed since
    /// the last look.
    ///
    /// # Errors
    /// A list that cannot be read, or that makes no sense with the configuration; the bindings
    /// that hold go on to hold.
    pub fn look(&mut self) -> Result<Option<Vec<Binding>>> {
        let stamps = [modified(&self.source.floating_ips), modified(&self.source.ports)];
        let stamps = if let [Some(a), Some(b)] = stamps { Some([a, b]) } else { None };
        if stamps.is_some() && stamps == self.stamps {
            return Ok(None);
        }
        let lists = (list(&self.source.floating_ips)?, list(&self.source.ports)?);
        if self.seen.as_ref() == Some(&lists) {
            self.stamps = stamps;
            return Ok(None);
        }
        let mut all = self.config.bindings.clone();
        all.extend(bindings(&self.config, self.source.router_mac, &lists.0, &lists.1)?);
        (self.stamps, self.seen) = (stamps, Some(lists));
        Ok(Some(all))
    }
}

/// The bindings of all floating IPs whose machine is behind a port of ours.
///
/// A machine is behind the port that lists its MAC in `macs`; with one port only, behind that one.
///
/// # Errors
/// A MAC that is none, and in mode *vmac* a floating IP without a port of its own.
pub fn bindings(
    config: &Config,
    router: Option<MacAddr6>,
    floating: &[FloatingIp],
    ports: &[NeutronPort],
) -> Result<Vec<Binding>> {
    let by_id: HashMap<&str, &NeutronPort> = ports.iter().map(|port| (port.id.as_str(), port)).collect();
    let mut bindings = Vec::new();
    for ip in floating {
        let address = ip.address;
        let Some(port) = &ip.port else { continue };
        let inside = match (router, by_id.get(port.as_str())) {
            (Some(router), _) => router,
            (None, Some(attached)) => mac(attached)?,
            (None, None) => bail!("floating IP {address}: there is no port {port} in the port list"),
        };
        let Some(ours) = port_of(config, inside) else { continue };
        let wire = match config.mode {
            Mode::Single => config.host.mac,
            Mode::Vmac => match ports.iter().find(|port| port.addresses.contains(&address)) {
                Some(own) => mac(own)?,
                None => bail!(
                    "floating IP {address}: no port in the port list has this address, so its MAC is unknown"
                ),
            },
        };
        bindings.push(Binding::fixed(IpNet::from(address), ours.id, inside, wire));
    }
    Ok(bindings)
}

fn port_of(config: &Config, mac: MacAddr6) -> Option<&Port> {
    match &config.ports[..] {
        [only] if only.macs.is_empty() => Some(only),
        ports => ports.iter().find(|port| port.macs.contains(&mac)),
    }
}

fn mac(port: &NeutronPort) -> Result<MacAddr6> {
    port.mac.parse().ok().with_context(|| format!("port {}: `{}` is no MAC address", port.id, port.mac))
}

fn list<T: serde::de::DeserializeOwned>(source: &JsonSource) -> Result<Vec<T>> {
    let (name, json) = match source {
        JsonSource::File(path) => (path.display().to_string(), read(path)?),
        JsonSource::Command(words) => (words.join(" "), output(words)?),
    };
    serde_json::from_slice(&json).map_err(|error| {
        let what = format!("line {}, column {}: {error}", error.line(), error.column());
        BadInput::new(name, what).help("wanted is what `openstack ... list -f json` prints").into()
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    Ok(std::fs::read(path).map_err(|error| BadInput::new(path.display(), error))?)
}

fn output(words: &[String]) -> Result<Vec<u8>> {
    let Some((program, arguments)) = words.split_first() else { bail!("[neutron]: an empty command") };
    let run = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = run.with_context(|| format!("cannot run `{program}`"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", words.join(" "), output.status, message.trim());
    }
    Ok(output.stdout)
}

fn modified(source: &JsonSource) -> Option<SystemTime> {
    match source {
        JsonSource::File(path) => std::fs::metadata(path).and_then(|data| data.modified()).ok(),
        JsonSource::Command(_) => None,
    }
}

/// Newer clients print a list of objects, older ones a text such as
/// `ip_address='10.0.0.3', subnet_id='...'`.
fn fixed_ips<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Objects(Vec<FixedIp>),
        Text(String),
    }
    #[derive(Deserialize)]
    struct FixedIp {
        ip_address: IpAddr,
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::Objects(objects) => objects.into_iter().map(|fixed| fixed.ip_address).collect(),
        Form::Text(text) => {
            let quoted = text.split("ip_address='").skip(1);
            quoted.filter_map(|rest| rest.split('\'').next()?.parse().ok()).collect()
        }
    })
}
