//! Names in a scenario turned into switches, hosts and cables.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use toml::Spanned;
use vlan_table::PortId;

use super::schema::{self, File};
use crate::config::SwitchFile;
use crate::detector::{self, Mode};
use crate::device::Device;
use crate::document::Document;
use crate::error::BadInput;
use crate::mac::{self, Mac};
use crate::sim::{Cable, End, Host, Node, Quality};

/// The network before anything happens.
pub(super) struct Wiring {
    pub(super) switches: Vec<Node>,
    pub(super) hosts: Vec<Host>,
    pub(super) cables: Vec<Cable>,
}

impl Wiring {
    /// `detectors` is what the switches that have a loop detector get instead.
    pub(super) fn new(
        document: &Document,
        file: &File,
        configs: &BTreeMap<String, SwitchFile>,
        detectors: Option<Mode>,
        random: &mut fastrand::Rng,
    ) -> Result<Self, BadInput> {
        let mut wiring = Self { switches: Vec::new(), hosts: Vec::new(), cables: Vec::new() };
        for (number, switch) in (1..).zip(&file.switch) {
            let mut node = wiring.new_switch(document, switch, configs)?;
            if let Some(detector) = &switch.detector {
                let setup = new_detector(document, detector, &node.device, number, random.u64(..))?;
                let mode = detectors.unwrap_or(setup.mode);
                node.device.set_detector(detector::Setup { mode, ..setup }.build());
            }
            wiring.switches.push(node);
        }
        for cable in &file.cable {
            let cable = wiring.new_cable(document, cable)?;
            wiring.cables.push(cable);
        }
        for (number, host) in (1..).zip(&file.host) {
            wiring.add_host(document, number, host)?;
        }
        Ok(wiring)
    }

    /// The host of this name.
    pub(super) fn host(&self, document: &Document, name: &Spanned<String>) -> Result<usize, BadInput> {
        let names = || self.hosts.iter().map(|host| host.name.as_str());
        find(document, "host", name, names)
    }

    /// The address of the host of this name.
    pub(super) fn mac(&self, document: &Document, name: &Spanned<String>) -> Result<Mac, BadInput> {
        let host = self.host(document, name)?;
        Ok(self.hosts.get(host).map(|host| host.mac).unwrap_or_default())
    }

    /// The cable of this name; a host's cable has the host's name.
    pub(super) fn cable(&self, document: &Document, name: &Spanned<String>) -> Result<usize, BadInput> {
        find(document, "cable", name, || self.cables.iter().map(|cable| cable.name.as_str()))
    }

    /// The jack that `switch.port` names.
    pub(super) fn jack(
        &self,
        document: &Document,
        jack: &Spanned<String>,
    ) -> Result<(usize, PortId), BadInput> {
        let Some((switch, port)) = jack.get_ref().split_once('.') else {
            return Err(document
                .fault(jack.span(), format_args!("`{}` is not a jack", jack.get_ref()))
                .help("write it as `switch.port`"));
        };
        let named = Spanned::new(jack.span(), switch.to_owned());
        let number =
            find(document, "switch", &named, || self.switches.iter().map(|node| node.name.as_str()))?;
        let device = self.switches.get(number).map(|node| &node.device);
        match device.and_then(|device| device.port(port)) {
            Some(port) => Ok((number, port)),
            None => {
                let known: Vec<_> = device.into_iter().flat_map(|device| device.names()).collect();
                Err(document
                    .fault(jack.span(), format_args!("switch `{switch}` has no port `{port}`"))
                    .help(format_args!("its ports are: {}", known.join(", "))))
            }
        }
    }

    fn new_switch(
        &self,
        document: &Document,
        switch: &schema::Switch,
        configs: &BTreeMap<String, SwitchFile>,
    ) -> Result<Node, BadInput> {
        let name = switch.name.get_ref();
        if self.switches.iter().any(|node| node.name == *name) {
            return Err(document.fault(switch.name.span(), format_args!("a second switch `{name}`")));
        }
        if name.contains('.') {
            return Err(document
                .fault(switch.name.span(), "a dot in a switch's name: it ends the name in `switch.port`"));
        }
        let device = match &switch.config {
            None => SwitchFile::default().build(),
            Some(config) => match configs.get(config.get_ref()) {
                Some(file) => file.build(),
                None if Path::new(config.get_ref()).extension().is_some() => {
                    SwitchFile::read(&document.resolve(config.get_ref()))?.build()
                }
                None => {
                    return Err(document
                        .fault(config.span(), format_args!("there is no [config.{}]", config.get_ref()))
                        .help("add it, or give the path of a switch file"));
                }
            },
        };
        Ok(Node::new(name.clone(), device))
    }

    fn new_cable(&self, document: &Document, cable: &schema::Cable) -> Result<Cable, BadInput> {
        let [a, b] = &cable.ends;
        let ends = [self.free_jack(document, a)?, self.free_jack(document, b)?];
        if ends.first() == ends.last() {
            return Err(document.fault(b.span(), "both ends in the same jack"));
        }
        let name = match &cable.name {
            Some(name) if self.cables.iter().any(|cable| cable.name == *name.get_ref()) => {
                return Err(document.fault(name.span(), format_args!("a second cable `{}`", name.get_ref())));
            }
            Some(name) => name.get_ref().clone(),
            None => format!("{}-{}", a.get_ref(), b.get_ref()),
        };
        let schema::Cable { delay, mbit, queue, loss, .. } = *cable;
        Ok(Cable::new(name, ends, cable.plugged, Quality { delay, mbit, queue, loss }))
    }

    fn add_host(&mut self, document: &Document, number: u8, host: &schema::Host) -> Result<(), BadInput> {
        let name = host.name.get_ref();
        if self.hosts.iter().any(|host| host.name == *name) {
            return Err(document.fault(host.name.span(), format_args!("a second host `{name}`")));
        }
        let jack = self.free_jack(document, &host.port)?;
        let mac = match &host.mac {
            None => [2, 0, 0, 0, 0, number],
            Some(text) => individual(document, text)?,
        };
        let ip = host.ip.unwrap_or(Ipv4Addr::new(10, 0, 0, number));
        let end = End::Host(self.hosts.len());
        self.hosts.push(Host::new(name, mac, ip, host.vlan));
        self.cables.push(Cable::new(name.clone(), [jack, end], true, Quality::default()));
        Ok(())
    }

    fn free_jack(&self, document: &Document, jack: &Spanned<String>) -> Result<End, BadInput> {
        let (switch, port) = self.jack(document, jack)?;
        let end = End::Switch(switch, port);
        match self.cables.iter().find(|cable| cable.ends.contains(&end)) {
            None => Ok(end),
            Some(cable) => {
                let what = format!("`{}` is taken by the cable `{}`", jack.get_ref(), cable.name);
                Err(document.fault(jack.span(), what).help("a jack takes one plug"))
            }
        }
    }
}

/// A loop detector for `device`.
fn new_detector(
    document: &Document,
    detector: &Spanned<schema::Detector>,
    device: &Device,
    number: u8,
    nonce: u64,
) -> Result<detector::Setup, BadInput> {
    let schema::Detector { mode, mac, uplinks, vlans } = detector.get_ref();
    if vlans.len() > detector::Setup::MOST_VLANS {
        let what = format!("{} VLANs are too many to probe", vlans.len());
        let help = format!("a detector probes in {} at most", detector::Setup::MOST_VLANS);
        return Err(document.fault(detector.span(), what).help(help));
    }
    let port = |name: &Spanned<String>| {
        device.port(name.get_ref()).ok_or_else(|| {
            let known: Vec<_> = device.names().collect();
            document
                .fault(name.span(), format_args!("the switch has no port `{}`", name.get_ref()))
                .help(format_args!("its ports are: {}", known.join(", ")))
        })
    };
    Ok(detector::Setup {
        mode: *mode,
        mac: match mac {
            None => [2, 0, 0, 0, 1, number],
            Some(text) => individual(document, text)?,
        },
        nonce,
        uplinks: uplinks.iter().map(port).collect::<Result<_, _>>()?,
        vlans: vlans.iter().map(|vlan| (*vlan, device.members(*vlan))).collect(),
    })
}

/// The address of one station.
fn individual(document: &Document, text: &Spanned<String>) -> Result<Mac, BadInput> {
    let mac = mac::parse(text.get_ref()).filter(|mac| mac.first().is_some_and(|first| first & 1 == 0));
    mac.ok_or_else(|| {
        document
            .fault(text.span(), format_args!("`{}` is no host's address", text.get_ref()))
            .help("write it as 02:00:00:00:00:01; the first byte must be even")
    })
}

fn find<'a, I: Iterator<Item = &'a str>>(
    document: &Document,
    kind: &str,
    name: &Spanned<String>,
    names: impl Fn() -> I,
) -> Result<usize, BadInput> {
    names().position(|known| known == name.get_ref()).ok_or_else(|| {
        let known = names().collect::<Vec<_>>().join(", ");
        document
            .fault(name.span(), format_args!("there is no {kind} `{}`", name.get_ref()))
            .help(format_args!("there is: {known}"))
    })
}
