//! `vlan show` and `vlan set`: the VLAN table in words.

use std::fmt;

use anyhow::{Result, ensure};
use rrcp::client::Write;
use rrcp::registers::{
    EgressTagMode, EgressTagModes, MAX_PORTS, PvidIndices, VLAN_ENTRIES, VlanControl, VlanEntry,
};
use rrcp::wire::RegisterAddress;
use rrcp::{PortId, PortMask, VlanId};
use serde::Serialize;

use super::{numbers, ranges};
use crate::remote::Remote;

/// The VLAN table.
#[derive(Clone, Debug, Serialize)]
pub struct Vlans {
    mode: Mode,
    tagged_only: bool,
    ingress_filter: bool,
    leaks: Vec<&'static str>,
    entries: Vec<Entry>,
    ports: Vec<Port>,
}

/// What VLANs go by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// No VLANs.
    Off,
    /// By ingress port.
    PortBased,
    /// By tag (802.1Q), else by ingress port.
    Tagged,
}

#[derive(Clone, Debug, Serialize)]
struct Entry {
    index: u8,
    vid: u16,
    members: Vec<u16>,
}

#[derive(Clone, Debug, Serialize)]
struct Port {
    port: u16,
    pvid_index: u8,
    /// The VLAN id of that entry.
    pvid: u16,
    egress: &'static str,
    inserts_pvid: bool,
}

/// Reads the table; of ports the first `count`.
///
/// # Errors
/// If the switch does not answer.
pub fn show(switch: &mut impl Remote, count: u16) -> Result<Vlans> {
    let control = VlanControl(switch.read_word(RegisterAddress::VLAN_CONTROL)?);
    let inserting = switch.read_ports(RegisterAddress::INSERT_PVID)?;
    let mut vids = Vec::new();
    let mut entries = Vec::new();
    for index in 0..VLAN_ENTRIES {
        let entry = read_entry(switch, index)?;
        vids.push(entry.vid_raw);
        if !entry.is_unused() {
            entries.push(Entry { index, vid: entry.vid_raw, members: numbers(entry.members) });
        }
    }
    let mut ports = Vec::new();
    for port in PortMask::<1>::first(count.min(MAX_PORTS)) {
        let (pvids, modes) = (pvid_register(port), tag_mode_register(port));
        let pvid_index = PvidIndices(switch.read_word(pvids)?).of(port);
        ports.push(Port {
            port: port.get(),
            pvid_index,
            pvid: vids.get(usize::from(pvid_index)).copied().unwrap_or_default(),
            egress: match EgressTagModes(switch.read_word(modes)?).of(port) {
                EgressTagMode::Strip => "strip",
                EgressTagMode::TagHighPriority => "tag-high-priority",
                EgressTagMode::TagUntagged => "tag-untagged",
                EgressTagMode::Leave => "leave",
            },
            inserts_pvid: inserting.contains(port),
        });
    }
    let leaks = [
        ("unicast", control.leak_unicast()),
        ("arp", control.leak_arp()),
        ("multicast", control.leak_multicast()),
    ];
    Ok(Vlans {
        mode: match (control.vlans(), control.tag_aware()) {
            (false, _) => Mode::Off,
            (true, false) => Mode::PortBased,
            (true, true) => Mode::Tagged,
        },
        tagged_only: control.tagged_only(),
        ingress_filter: control.ingress_filter(),
        leaks: leaks.into_iter().filter_map(|(name, leaks)| leaks.then_some(name)).collect(),
        entries,
        ports,
    })
}

impl fmt::Display for Vlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.mode {
            Mode::Off => "VLANs off",
            Mode::PortBased => "VLANs by port",
            Mode::Tagged => "VLANs by tag",
        })?;
        let yes = |yes, text| if yes { text } else { "" };
        write!(f, "{}", yes(self.tagged_only, ", tagged frames only"))?;
        write!(f, "{}", yes(self.ingress_filter, ", ingress filter"))?;
        self.leaks.iter().try_for_each(|leak| write!(f, ", {leak} leaks"))?;
        writeln!(f, "\n\nindex  vid members")?;
        for Entry { index, vid, members } in &self.entries {
            writeln!(f, "{index:>5} {vid:>4} {}", ranges(members))?;
        }
        writeln!(f, "\nport pvid-index pvid egress")?;
        for Port { port, pvid_index, pvid, egress, inserts_pvid } in &self.ports {
            let inserts = yes(*inserts_pvid, ", inserts pvid");
            writeln!(f, "{port:>4} {pvid_index:>10} {pvid:>4} {egress}{inserts}")?;
        }
        Ok(())
    }
}

/// What `vlan set` changes; what is `None` or empty stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Which entry of the table.
    pub index: u8,
    /// Its VLAN id.
    pub vid: Option<VlanId>,
    /// Its members.
    pub members: Option<PortMask>,
    /// Ports whose PVID it becomes.
    pub pvid: PortMask,
    /// Ports that strip tags.
    pub strip: PortMask,
    /// Ports that leave tags as they are.
    pub leave: PortMask,
    /// What VLANs go by, from then on.
    pub mode: Option<Mode>,
}

/// Changes an entry, then what ports do with it, then the mode: so that no port is without VLAN in
/// between. Each register is read back.
///
/// # Errors
/// If the index is beyond the table, and if the switch does not answer or keeps another value.
pub fn set(switch: &mut impl Remote, change: &Change) -> Result<()> {
    ensure!(change.index < VLAN_ENTRIES, "index {} is not in 0..{VLAN_ENTRIES}", change.index);
    let old = read_entry(switch, change.index)?;
    let entry = VlanEntry {
        members: change.members.unwrap_or(old.members),
        vid_raw: change.vid.map_or(old.vid_raw, VlanId::get),
    };
    let first = RegisterAddress::vlan_entry(change.index);
    for (offset, word) in (0..).zip(entry.to_words()) {
        switch.update(first.offset(offset), word)?;
    }
    for port in change.pvid {
        let register = pvid_register(port);
        let indices = PvidIndices(switch.read_word(register)?).with(port, change.index);
        switch.update(register, indices.0)?;
    }
    for (ports, mode) in [(change.strip, EgressTagMode::Strip), (change.leave, EgressTagMode::Leave)] {
        for port in ports {
            let register = tag_mode_register(port);
            let modes = EgressTagModes(switch.read_word(register)?).with(port, mode);
            switch.update(register, modes.0)?;
        }
    }
    match change.mode {
        Some(mode) => set_mode(switch, mode),
        None => Ok(()),
    }
}

fn set_mode(switch: &mut impl Remote, mode: Mode) -> Result<()> {
    let old = VlanControl(switch.read_word(VlanControl::ADDRESS)?);
    let new = old.with_vlans(mode != Mode::Off).with_tag_aware(mode == Mode::Tagged);
    if new != old {
        // The register has seven bits.
        switch.write(Write { register: VlanControl::ADDRESS, data: new.0.into(), mask: 0x7F })?;
    }
    Ok(())
}

fn read_entry(switch: &mut impl Remote, index: u8) -> Result<VlanEntry> {
    let first = RegisterAddress::vlan_entry(index);
    let mut word = |offset| switch.read_word(first.offset(offset));
    Ok(VlanEntry::from_words([word(0)?, word(1)?, word(2)?]))
}

fn pvid_register(port: PortId) -> RegisterAddress {
    RegisterAddress::PVID_INDICES.of_port_pair(port)
}

fn tag_mode_register(port: PortId) -> RegisterAddress {
    RegisterAddress::EGRESS_TAG_MODES.offset(port.get() / EgressTagModes::PORTS)
}
