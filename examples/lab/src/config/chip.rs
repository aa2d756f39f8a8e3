//! Switch files for Realtek's chips: registers by what they do, or as a dump.
//!
//! ```toml
//! [switch]
//! model = "rtl8305sc"
//!
//! [[vlan]]                 # entry 0 ("A") of the table, the next one is entry 1
//! vid = 10
//! members = [0, 1, 4]
//!
//! [[port]]
//! port = 4
//! index = 0                # the entry that untagged frames belong to
//! tag_op = "add"
//! ```

use core::ops::Range;
use std::fs;

use serde::Deserialize;
use switch::fdb::storm::ConsecutiveSettings;
use switch::fdb::{self, Ageing};
use switch::{Database, Rules, Storm};
use toml::Spanned;
use vlan_table::chip::registers::{Field, Image};
use vlan_table::chip::{
    Config, DumpError, Entry, Model, NonPvidScope, Table, TagOp, UnawareTags, UnknownVid,
};
use vlan_table::{PortId, PortMask};

use crate::device::Device;
use crate::document::{self, Document, Seconds};
use crate::error::BadInput;

/// The keys. What a file leaves out stays as it is after reset.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    switch: Spanned<Switch>,
    #[serde(default)]
    vlan: Vec<Spanned<Vlan>>,
    #[serde(default)]
    port: Vec<Spanned<Port>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    #[serde(rename = "model")]
    _model: String,
    /// A register dump, in place of `[[vlan]]` and `[[port]]`.
    registers: Option<Spanned<String>>,
    vlan_enabled: Option<bool>,
    tag_aware: Option<bool>,
    ingress_filter: Option<bool>,
    tagged_only: Option<bool>,
    unicast_leak: Option<bool>,
    arp_leak: Option<bool>,
    unknown_vid: Option<UnknownVidName>,
    non_pvid_scope: Option<NonPvidName>,
    unaware_tags: Option<UnawareName>,
    priority_tag_counts_as_tag: Option<bool>,
    null_vid_before_remove: Option<bool>,
    tag_ops_without_vlan: Option<bool>,
    storm_filter: Option<bool>,
    forward_reserved: Option<bool>,
    ageing: Option<Spanned<Seconds>>,
}

/// An entry of the VLAN table; their order is the entries' order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vlan {
    #[serde(deserialize_with = "document::vlan")]
    vid: vlan_table::VlanId,
    members: Vec<Spanned<u16>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Port {
    /// Which port; left out where all ports are listed in order.
    port: Option<Spanned<u8>>,
    name: Option<Spanned<String>>,
    /// The entry that frames without a VID of their own belong to, counted from 0.
    index: Option<Spanned<u8>>,
    tag_op: Option<TagOpName>,
    null_vid_replacement: Option<bool>,
    discard_non_pvid: Option<bool>,
    tx_enabled: Option<bool>,
    rx_enabled: Option<bool>,
    learning: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum UnknownVidName {
    PortBased,
    Drop,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NonPvidName {
    Tagged,
    TaggedAndUntagged,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum UnawareName {
    Payload,
    Seen,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TagOpName {
    None,
    #[serde(alias = "insert")]
    Add,
    Remove,
    #[serde(alias = "remove-add")]
    Replace,
}

/// A chip's settings, checked.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    table: Table,
    names: Vec<String>,
    storm: Storm,
    ageing: Ageing,
}

impl Setup {
    pub(super) fn of(document: &Document, model: Model, file: &File) -> Result<Self, BadInput> {
        let switch = file.switch.get_ref();
        let image = switch.registers.as_ref().map(|name| load(document, model, file, name)).transpose()?;
        let image = image.unwrap_or_else(|| Image::after_reset(model));
        let table = image.to_config(model).map_err(|e| document.fault(file.switch.span(), e))?;
        let mut draft = Draft { document, file, table, names: names(model) };
        draft.entries()?;
        draft.switch();
        draft.ports()?;
        let whole = file.switch.span();
        Ok(Self {
            table: Table::new(draft.table).map_err(|e| document.fault(whole, e))?,
            names: draft.names,
            storm: match switch.storm_filter.unwrap_or(image.read(Field::STORM_CONTROL) == 1) {
                true => Storm::consecutive(ConsecutiveSettings::RTL8305),
                false => Storm::Off,
            },
            ageing: super::ageing(document, switch.ageing.as_ref(), Ageing::REALTEK)?,
        })
    }

    pub(super) fn build(&self) -> Device {
        let config = fdb::Config { ageing: self.ageing, ..fdb::Config::REALTEK };
        let model = self.table.config().model;
        let database = match model {
            Model::RTL8306SD => Database::set_assoc(config),
            _ => Database::direct_cam(config),
        };
        let rules = Rules::Chip(Box::new(self.table.clone()));
        let reserved = self.table.config().reserved_addresses();
        let mut switch = switch::Switch::new(rules, database, reserved);
        switch.set_storm(self.storm.clone());
        Device::new(model.name, switch, self.names.clone())
    }
}

impl Default for Setup {
    /// An RTL8305SC as it comes out of reset.
    fn default() -> Self {
        let model = Model::RTL8305SC;
        let table =
            Table::new(Config::new(model)).unwrap_or_else(|e| unreachable!("reset values are valid: {e}"));
        Self { table, names: names(model), storm: Storm::Off, ageing: Ageing::REALTEK }
    }
}

/// Reads a register dump; what it does not name is as after reset.
fn load(document: &Document, model: Model, file: &File, name: &Spanned<String>) -> Result<Image, BadInput> {
    if !file.vlan.is_empty() || !file.port.is_empty() {
        return Err(document
            .fault(name.span(), "switch.registers: the dump says all that [[vlan]] and [[port]] could say")
            .help("remove them, or change the dump"));
    }
    let path = document.resolve(name.get_ref());
    let text = fs::read_to_string(&path).map_err(|e| {
        let what = format!("switch.registers: cannot read {}: {e}", path.display());
        document.fault(name.span(), what).help("the path is relative to this file")
    })?;
    Image::parse(&text, model).map_err(|e| {
        let (DumpError::Syntax { line }
        | DumpError::NoSuchRegister { line, .. }
        | DumpError::Duplicate { line, .. }) = e
        else {
            return BadInput::new(path.display(), e);
        };
        let start = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let len = text.lines().nth(line - 1).map_or(0, str::len);
        BadInput::in_text(&path, &text, start..start + len, e)
            .help("write lines such as `0.18 = 0x1c04`, with `page 1` before the registers of page 1")
    })
}

/// Ports are known by their numbers.
fn names(model: Model) -> Vec<String> {
    (0..model.ports).map(|port| port.to_string()).collect()
}

/// Settings in the making.
struct Draft<'a> {
    document: &'a Document,
    file: &'a File,
    table: Config,
    names: Vec<String>,
}

impl Draft<'_> {
    /// Entries that a file does not list are empty, so that no port can stray into one.
    fn entries(&mut self) -> Result<(), BadInput> {
        let (document, vlans) = (self.document, &self.file.vlan);
        let model = self.table.model;
        if vlans.is_empty() {
            return Ok(());
        }
        self.table.entries = Default::default();
        for (number, vlan) in vlans.iter().enumerate() {
            let too_many = number >= usize::from(model.entries);
            let Some(entry) = self.table.entries.get_mut(number).filter(|_| !too_many) else {
                let what =
                    format!("[[vlan]] {} of {}: the {} has no more", number + 1, model.entries, model.name);
                return Err(document.fault(vlan.span(), what).help("model = \"dot1q\" has room for 4094"));
            };
            let Vlan { vid, members } = vlan.get_ref();
            if let Some(first) = vlans.iter().take(number).position(|other| other.get_ref().vid == *vid) {
                let what = format!("VLAN {vid} is entry {first} already");
                return Err(document.fault(vlan.span(), what).help("list all its members in one [[vlan]]"));
            }
            *entry = Entry { vid: vid.get(), members: PortMask::EMPTY };
            for member in members {
                let port = port_id(document, model, member.span(), *member.get_ref())?;
                entry.members = entry.members.with(port);
            }
        }
        Ok(())
    }

    fn switch(&mut self) {
        let switch = self.file.switch.get_ref();
        let has_vlans = !self.file.vlan.is_empty();
        let table = &mut self.table;
        // Whoever lists VLANs wants them, tags included.
        table.vlan_enabled = switch.vlan_enabled.unwrap_or(table.vlan_enabled || has_vlans);
        table.tag_aware = switch.tag_aware.unwrap_or(table.tag_aware || has_vlans);
        set(&mut table.ingress_filter, switch.ingress_filter);
        set(&mut table.tagged_only, switch.tagged_only);
        set(&mut table.unicast_leak, switch.unicast_leak);
        set(&mut table.arp_leak, switch.arp_leak);
        set(&mut table.forward_reserved, switch.forward_reserved);
        let policies = &mut table.policies;
        set(&mut policies.unknown_vid, switch.unknown_vid.map(Into::into));
        set(&mut policies.non_pvid_scope, switch.non_pvid_scope.map(Into::into));
        set(&mut policies.unaware_tags, switch.unaware_tags.map(Into::into));
        set(&mut policies.priority_tag_counts_as_tag, switch.priority_tag_counts_as_tag);
        set(&mut policies.null_vid_before_remove, switch.null_vid_before_remove);
        set(&mut policies.tag_ops_without_vlan, switch.tag_ops_without_vlan);
    }

    fn ports(&mut self) -> Result<(), BadInput> {
        let (document, file) = (self.document, self.file);
        let model = self.table.model;
        if !file.vlan.is_empty() {
            self.index_by_membership();
        }
        let in_order = file.port.iter().all(|port| port.get_ref().port.is_none());
        if in_order && !file.port.is_empty() && file.port.len() != usize::from(model.ports) {
            let what = format!(
                "{} [[port]] tables for {} ports do not say which is which",
                file.port.len(),
                model.ports
            );
            let span = file.port.first().map(Spanned::span).unwrap_or_default();
            return Err(document
                .fault(span, what)
                .help("add `port = 0` and so on, or list all ports in order"));
        }
        let mut seen = PortMask::<1>::EMPTY;
        for (position, table) in (0..).zip(&file.port) {
            let port = table.get_ref();
            let (span, number) = match &port.port {
                Some(number) => (number.span(), *number.get_ref()),
                None if in_order => (table.span(), position),
                None => {
                    return Err(document
                        .fault(table.span(), "missing key `port`")
                        .help("say which port this is, as the other tables do"));
                }
            };
            let id = port_id(document, model, span.clone(), number.into())?;
            if seen.contains(id) {
                return Err(document.fault(span, format_args!("port {number} is set up twice")).help(
                    "one [[port]] for each port; `index` is the entry of the VLAN table, `port` the port",
                ));
            }
            seen = seen.with(id);
            self.port(usize::from(number), port)?;
        }
        Ok(())
    }

    fn port(&mut self, number: usize, port: &Port) -> Result<(), BadInput> {
        let (document, file) = (self.document, self.file);
        let entries =
            if file.vlan.is_empty() { usize::from(self.table.model.entries) } else { file.vlan.len() };
        let Some(config) = self.table.ports.get_mut(number) else { return Ok(()) };
        if let Some(index) = &port.index {
            if usize::from(*index.get_ref()) >= entries {
                let what =
                    format!("port {number}: index {} names VLAN entry {0} of {entries}", index.get_ref());
                return Err(document.fault(index.span(), what).help(
                    "`index` counts the [[vlan]] tables from 0: the entry that the port's untagged frames belong to",
                ));
            }
            config.index = *index.get_ref();
        }
        set(&mut config.tag_op, port.tag_op.map(Into::into));
        set(&mut config.null_vid_replacement, port.null_vid_replacement);
        set(&mut config.discard_non_pvid, port.discard_non_pvid);
        set(&mut config.tx_enabled, port.tx_enabled);
        set(&mut config.rx_enabled, port.rx_enabled);
        set(&mut config.learning, port.learning);
        if let Some(name) = &port.name {
            super::check_name(document, name)?;
            if self.names.contains(name.get_ref()) {
                return Err(document.fault(name.span(), format_args!("a second port `{}`", name.get_ref())));
            }
            if let Some(known) = self.names.get_mut(number) {
                known.clone_from(name.get_ref());
            }
        }
        Ok(())
    }

    /// A port that is not told otherwise belongs to the first VLAN that has it as a member.
    fn index_by_membership(&mut self) {
        for (port, config) in self.table.model.port_mask().iter().zip(&mut self.table.ports) {
            let entry = self.table.entries.iter().position(|entry| entry.members.contains(port));
            config.index = entry.unwrap_or(0) as u8;
        }
    }
}

/// Keeps what is there unless the file says something else.
fn set<T>(setting: &mut T, to: Option<T>) {
    if let Some(to) = to {
        *setting = to;
    }
}

fn port_id(document: &Document, model: Model, span: Range<usize>, number: u16) -> Result<PortId, BadInput> {
    PortId::new(number).filter(|port| model.port_mask().contains(*port)).ok_or_else(|| {
        document
            .fault(span, format_args!("the {} has no port {number}", model.name))
            .help(format_args!("its ports are 0..={}", model.ports - 1))
    })
}

impl From<UnknownVidName> for UnknownVid {
    fn from(name: UnknownVidName) -> Self {
        match name {
            UnknownVidName::PortBased => Self::PortBased,
            UnknownVidName::Drop => Self::Drop,
        }
    }
}

impl From<NonPvidName> for NonPvidScope {
    fn from(name: NonPvidName) -> Self {
        match name {
            NonPvidName::Tagged => Self::Tagged,
            NonPvidName::TaggedAndUntagged => Self::TaggedAndUntagged,
        }
    }
}

impl From<UnawareName> for UnawareTags {
    fn from(name: UnawareName) -> Self {
        match name {
            UnawareName::Payload => Self::Payload,
            UnawareName::Seen => Self::Seen,
        }
    }
}

impl From<TagOpName> for TagOp {
    fn from(name: TagOpName) -> Self {
        match name {
            TagOpName::None => Self::None,
            TagOpName::Add => Self::Insert,
            TagOpName::Remove => Self::Remove,
            TagOpName::Replace => Self::Replace,
        }
    }
}
