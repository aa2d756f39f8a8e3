//! Switch files for the 802.1Q bridge, with Open vSwitch's names for what a port is.
//!
//! ```toml
//! [switch]
//! model = "dot1q"
//! rules = "802.1q"         # or "openvswitch"
//! ageing = 300
//!
//! [[port]]
//! name = "p0"
//! tag = 10                 # an access port
//!
//! [[port]]
//! name = "up"
//! vlan_mode = "native-untagged"
//! tag = 1
//! trunks = [10, "20-29"]
//! ```

use core::ops::Range;

use serde::Deserialize;
use switch::fdb::storm::{Class, Rate, StormControl};
use switch::fdb::{Ageing, Config};
use switch::{Database, Rules, Storm};
use toml::Spanned;
use vlan_table::openvswitch::{self, PortConfig, PriorityTags, UnknownName, VidSet, VlanMode};
use vlan_table::{EtherType, PortMask, ReservedAddresses, TagVid, dot1q};

use crate::device::Device;
use crate::document::{Document, Seconds};
use crate::error::BadInput;

/// The keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    switch: Switch,
    /// What each port may flood, in frames per second.
    #[serde(default)]
    storm: Rates,
    #[serde(default)]
    port: Vec<Spanned<Port>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    broadcast: Option<u32>,
    multicast: Option<u32>,
    unknown_unicast: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    #[serde(rename = "model")]
    _model: String,
    #[serde(default)]
    rules: RulesName,
    /// How many tags the bridge looks at; 0 is no limit.
    vlan_limit: Option<usize>,
    ageing: Option<Spanned<Seconds>>,
    fdb_size: Option<Spanned<u32>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
enum RulesName {
    #[default]
    #[serde(rename = "802.1q", alias = "802.1Q", alias = "dot1q")]
    Standard,
    #[serde(rename = "openvswitch", alias = "ovs")]
    OpenVSwitch,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Port {
    name: Spanned<String>,
    vlan_mode: Option<Spanned<String>>,
    tag: Option<Spanned<i64>>,
    trunks: Option<Spanned<Vec<Spanned<Vids>>>>,
    cvlans: Option<Spanned<Vec<Spanned<Vids>>>>,
    qinq_ethtype: Option<QinqName>,
    priority_tags: Option<Spanned<PriorityTagsName>>,
    #[serde(default)]
    protected: bool,
}

/// A VID, or a range such as `"20-29"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Vids {
    One(i64),
    Range(String),
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum QinqName {
    #[serde(rename = "802.1ad")]
    Service,
    #[serde(rename = "802.1q")]
    Customer,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PriorityTagsName {
    Flag(bool),
    Name(String),
}

/// A bridge's settings, checked.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    rules: Rules,
    names: Vec<String>,
    storm: Storm,
    ageing: Ageing,
    fdb_size: u32,
}

impl Setup {
    pub(super) fn of(document: &Document, whole: Range<usize>, file: &File) -> Result<Self, BadInput> {
        check(document, whole, file)?;
        let mut names = Vec::new();
        let mut modes = Vec::new();
        for table in &file.port {
            let name = &table.get_ref().name;
            super::check_name(document, name)?;
            if names.contains(name.get_ref()) {
                return Err(document
                    .fault(name.span(), format_args!("port.name: a second port `{}`", name.get_ref()))
                    .help("every port has a name of its own"));
            }
            names.push(name.get_ref().clone());
            modes.push(Mode { document, rules: file.switch.rules, table }.read()?);
        }
        let vlan_limit = file.switch.vlan_limit.unwrap_or(1);
        let rules = match file.switch.rules {
            RulesName::Standard => Rules::Dot1q(standard(document, file, &modes)?),
            RulesName::OpenVSwitch => Rules::OpenVSwitch(openvswitch(&modes, vlan_limit)),
        };
        let ageing = super::ageing(document, file.switch.ageing.as_ref(), Ageing::DEFAULT)?;
        let fdb_size = file.switch.fdb_size.as_ref().map_or(FDB_SIZE, |size| *size.get_ref());
        Ok(Self { rules, storm: file.storm.control(names.len()), names, ageing, fdb_size })
    }

    pub(super) fn build(&self) -> Device {
        let config = Config { ageing: self.ageing, ..Config::DEFAULT };
        let database = Database::hashed(self.fdb_size, SEED, config);
        let (model, reserved) = match self.rules {
            Rules::OpenVSwitch(_) => ("dot1q, rules of Open vSwitch", ReservedAddresses::OpenVSwitch),
            _ => ("dot1q", ReservedAddresses::CustomerBridge),
        };
        let mut switch = switch::Switch::new(self.rules.clone(), database, reserved);
        switch.set_storm(self.storm.clone());
        Device::new(model, switch, self.names.clone())
    }
}

impl Rates {
    /// The same rates for every port; nothing if the file names none.
    fn control(self, ports: usize) -> Storm {
        let rates = [self.broadcast, self.multicast, self.unknown_unicast];
        if rates == [None; 3] {
            return Storm::Off;
        }
        let mut control = Box::new(StormControl::new());
        for port in PortMask::<1>::first(ports as u16) {
            for (class, rate) in Class::ALL.into_iter().zip(rates) {
                control.limit(port, class, rate.map(|rate| Rate::frames(rate.into())));
            }
        }
        Storm::Rates(control)
    }
}

/// What is wrong with the file as a whole.
fn check(document: &Document, whole: Range<usize>, file: &File) -> Result<(), BadInput> {
    if let Some(size) = file.switch.fdb_size.as_ref().filter(|size| !FDB_SIZES.contains(size.get_ref())) {
        let what = format!("switch.fdb_size: room for {} stations", size.get_ref());
        return Err(document.fault(size.span(), what).help("use 1..=16777216"));
    }
    if file.port.is_empty() {
        return Err(document
            .fault(whole, "the switch has no ports")
            .help("add some: [[port]] with name = \"p0\", and tag = 10 for an access port of VLAN 10"));
    }
    match file.port.get(usize::from(PortMask::<1>::CAPACITY)) {
        Some(port) => Err(document.fault(port.span(), "one port more than the 64 that the switch can have")),
        None => Ok(()),
    }
}

/// A bridge by IEEE 802.1Q.
fn standard(document: &Document, file: &File, modes: &[PortConfig]) -> Result<Box<dot1q::Bridge>, BadInput> {
    let ports = PortMask::first(modes.len() as u16);
    let mut bridge = Box::new(dot1q::Bridge::new(ports));
    for ((port, mode), table) in ports.iter().zip(modes).zip(&file.port) {
        bridge.set_mode(port, mode).map_err(|e| document.fault(table.span(), e))?;
    }
    Ok(bridge)
}

/// A bridge that does what Open vSwitch does.
fn openvswitch(modes: &[PortConfig], vlan_limit: usize) -> Box<openvswitch::Bridge> {
    let count = modes.len() as u16;
    // Open vSwitch reads 0 as "no limit", which comes to two.
    let mut bridge = openvswitch::Bridge::new(count, if vlan_limit == 0 { 2 } else { vlan_limit });
    for (port, mode) in PortMask::<1>::first(count).iter().zip(modes) {
        _ = bridge.set_port(port, mode.clone()); // the bridge was made with these ports
    }
    Box::new(bridge)
}

/// A port's table on its way to a mode.
struct Mode<'a> {
    document: &'a Document,
    rules: RulesName,
    table: &'a Spanned<Port>,
}

impl Mode<'_> {
    fn read(&self) -> Result<PortConfig, BadInput> {
        let port = self.table.get_ref();
        let mut mode =
            PortConfig { vlan_mode: self.vlan_mode()?, protected: port.protected, ..PortConfig::default() };
        match (mode.vlan_mode, &port.tag) {
            (VlanMode::Trunk, None) => {}
            (VlanMode::Trunk, Some(tag)) => {
                return Err(self
                    .document
                    .fault(tag.span(), "port.tag: a trunk has no VLAN of its own")
                    .help(
                        "vlan_mode = \"native-tagged\" or \"native-untagged\" takes untagged frames into it",
                    ));
            }
            (_, Some(tag)) => {
                mode.tag = TagVid::from_raw(self.vid("port.tag", tag.span(), *tag.get_ref())?)
            }
            (vlan_mode, None) => {
                let what = format!("missing key `tag`: vlan_mode {vlan_mode} needs a VLAN");
                return Err(self
                    .document
                    .fault(self.table.span(), what)
                    .help("add the VLAN of its untagged frames, such as tag = 10"));
            }
        }
        mode.trunks = self.vids("port.trunks", port.trunks.as_ref())?;
        mode.cvlans = self.vids("port.cvlans", port.cvlans.as_ref())?;
        if let Some(QinqName::Customer) = port.qinq_ethtype {
            mode.qinq_ethtype = EtherType::VLAN;
        }
        if let Some(name) = &port.priority_tags {
            mode.priority_tags = priority_tags(self.document, name)?;
        }
        Ok(mode)
    }

    /// Without a mode, a port with a tag is an access port and any other a trunk.
    fn vlan_mode(&self) -> Result<VlanMode, BadInput> {
        let Port { vlan_mode, tag, trunks, .. } = self.table.get_ref();
        match (vlan_mode, tag, trunks) {
            (Some(name), ..) => name.get_ref().parse().map_err(|e: UnknownName| {
                let what = format!("port.vlan_mode: there is no mode `{}`", name.get_ref());
                self.document.fault(name.span(), what).help(e)
            }),
            (None, Some(_), Some(trunks)) => Err(self
                .document
                .fault(trunks.span(), "port.trunks: beside a `tag`, they leave open what the port is")
                .help(
                    "add vlan_mode = \"native-untagged\" or \"native-tagged\"; an access port has no trunks",
                )),
            (None, Some(_), None) => Ok(VlanMode::Access),
            (None, None, _) => Ok(VlanMode::Trunk),
        }
    }

    /// An empty list is like none: all VLANs.
    fn vids(
        &self,
        key: &str,
        list: Option<&Spanned<Vec<Spanned<Vids>>>>,
    ) -> Result<Option<VidSet>, BadInput> {
        let mut set = VidSet::EMPTY;
        for item in list.into_iter().flat_map(Spanned::get_ref) {
            match item.get_ref() {
                Vids::One(vid) => set = set.with(self.vid(key, item.span(), *vid)?),
                Vids::Range(text) => {
                    let range: VidSet = text.parse().map_err(|_| {
                        self.document
                            .fault(item.span(), format_args!("{key}: `{text}` is no range of VLANs"))
                            .help("write it as \"20-29\"")
                    })?;
                    for vid in range.iter() {
                        set = set.with(self.vid(key, item.span(), vid.into())?);
                    }
                }
            }
        }
        Ok(Some(set).filter(|set| !set.is_empty()))
    }

    /// Open vSwitch has a VLAN 0, the standard does not.
    fn vid(&self, key: &str, span: Range<usize>, raw: i64) -> Result<u16, BadInput> {
        let lowest = if self.rules == RulesName::OpenVSwitch { 0 } else { 1 };
        u16::try_from(raw).ok().filter(|vid| (lowest..=4094).contains(vid)).ok_or_else(|| {
            self.document
                .fault(span, format_args!("{key}: VLAN id {raw} is not in {lowest}..=4094"))
                .help("IEEE 802.1Q reserves 0 (no VLAN) and 4095")
        })
    }
}

/// Stations that there is room for unless the file says otherwise; Open vSwitch's default.
const FDB_SIZE: u32 = 8192;
const FDB_SIZES: core::ops::RangeInclusive<u32> = 1..=1 << 24;
/// A simulator has no enemies, and equal runs shall be equal.
const SEED: [u64; 2] = [1, 2];

fn priority_tags(document: &Document, name: &Spanned<PriorityTagsName>) -> Result<PriorityTags, BadInput> {
    match name.get_ref() {
        PriorityTagsName::Flag(true) => Ok(PriorityTags::IfNonzero),
        PriorityTagsName::Flag(false) => Ok(PriorityTags::Never),
        PriorityTagsName::Name(text) => text.parse().map_err(|e| {
            document
                .fault(name.span(), format_args!("port.priority_tags: `{text}` means nothing here"))
                .help(e)
        }),
    }
}
