//! Settings of a chip, as registers hold them, and what may be wrong with them.

use crate::{PortId, PortMask, ReservedAddresses};

/// A chip of the family: how many ports and entries it has.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Model {
    /// As printed on the package.
    pub name: &'static str,
    /// Ports, counted from 0; at most nine.
    pub ports: u8,
    /// Entries of the VLAN table, counted from 0; at most sixteen.
    pub entries: u8,
}

impl Model {
    /// Five ports, five entries (RTL8305SB datasheet, 7.3.9).
    pub const RTL8305SB: Self = Self { name: "RTL8305SB", ports: 5, entries: 5 };
    /// Five ports, sixteen entries (FreeBSD `rlswitch.c`, Realtek `rtl8305sc.h`).
    pub const RTL8305SC: Self = Self { name: "RTL8305SC", ports: 5, entries: 16 };
    /// Six ports, sixteen entries (Realtek `Rtl8306_AsicDrv.c`, OpenWrt `rtl8306.c`).
    pub const RTL8306SD: Self = Self { name: "RTL8306SD", ports: 6, entries: 16 };
    /// Nine ports, nine entries (RTL8309SB datasheet, 8.3).
    pub const RTL8309SB: Self = Self { name: "RTL8309SB", ports: 9, entries: 9 };
    /// All of them.
    pub const ALL: [Self; 4] = [Self::RTL8305SB, Self::RTL8305SC, Self::RTL8306SD, Self::RTL8309SB];

    /// The model of this name, such as `"rtl8305sc"`, in whatever case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name.eq_ignore_ascii_case(name))
    }

    /// The ports as a set.
    pub const fn port_mask(self) -> PortMask {
        PortMask::first(self.ports as u16)
    }
}

/// An entry of the VLAN table. There is no valid bit: entries exist, whatever they hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Entry {
    /// VID, `0..=4095`; vendor code takes 0 for "free", the hardware does not.
    pub vid: u16,
    /// Ports that a frame of this VLAN may leave by.
    pub members: PortMask,
}

/// What an egress port does to tags; the register code is the value.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum TagOp {
    /// Code 00: tagged frames lose their tag, and every frame gets a tag with the ingress PVID.
    Replace = 0b00,
    /// Code 01: tagged frames lose their tag.
    Remove = 0b01,
    /// Code 10: untagged frames get a tag with the ingress PVID.
    Insert = 0b10,
    /// Code 11, the reset value: frames leave as they came.
    #[default]
    None = 0b11,
}

impl TagOp {
    /// The operation of the low two bits of `code`.
    pub const fn from_code(code: u16) -> Self {
        match code & 0b11 {
            0b00 => Self::Replace,
            0b01 => Self::Remove,
            0b10 => Self::Insert,
            _ => Self::None,
        }
    }
}

/// Settings of a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortConfig {
    /// The table entry for frames without a usable VID, counted from 0.
    pub index: u8,
    /// What happens to tags of frames that leave here.
    pub tag_op: TagOp,
    /// Frames that leave here under [`TagOp::Insert`] with a priority tag get the ingress PVID in it.
    pub null_vid_replacement: bool,
    /// Frames that arrive here with another VID than the port's are discarded.
    pub discard_non_pvid: bool,
    /// Frames may leave here.
    pub tx_enabled: bool,
    /// Frames may arrive here.
    pub rx_enabled: bool,
    /// Source addresses of frames that arrive here are learned.
    pub learning: bool,
}

/// Behaviour that the sources leave open or contradict each other about.
///
/// The default is what the documents of the closest relatives say; `Config::policies` changes it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PolicySet {
    /// A tagged frame whose VID no entry has.
    pub unknown_vid: UnknownVid,
    /// Whether a priority-tagged frame passes where only tagged frames are admitted. IEEE 802.1Q says
    /// no, the chip's documents nothing.
    pub priority_tag_counts_as_tag: bool,
    /// What [`PortConfig::discard_non_pvid`] discards.
    pub non_pvid_scope: NonPvidScope,
    /// Whether null-VID replacement also acts on a priority-tagged frame that [`TagOp::Remove`] would
    /// strip (KTI KSD-800M manual), instead of only under [`TagOp::Insert`].
    pub null_vid_before_remove: bool,
    /// What tag operations see of tags while the chip is not tag-aware.
    pub unaware_tags: UnawareTags,
    /// Whether tag operations act while VLANs are disabled.
    pub tag_ops_without_vlan: bool,
}

/// What becomes of a tagged frame whose VID no entry has.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum UnknownVid {
    /// It belongs to the entry of its ingress port, like an untagged one (RTL8309SB datasheet, 8.3.2).
    #[default]
    PortBased,
    /// It is discarded (KTI KSD-800M manual, 3.2.2.1).
    Drop,
}

/// What "discard non-PVID" discards; the RTL8309SB datasheet says both.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum NonPvidScope {
    /// Frames with a VID other than the port's (register table).
    #[default]
    Tagged,
    /// Those, and frames without a VID (section 8.3.5).
    TaggedAndUntagged,
}

/// What tag operations see of a tag while the chip is not tag-aware.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum UnawareTags {
    /// Nothing: it is payload, so a tag is inserted in front of it and none is removed.
    #[default]
    Payload,
    /// The tag: awareness is about classification only.
    Seen,
}

/// All settings of a chip. Fields are named by what they do; registers are often active-low.
///
/// [`Config::new`] is the chip after reset, [`Table::new`](super::Table::new) checks it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// The chip.
    pub model: Model,
    /// VLANs are in force; else every port reaches every other (PHY0.18 bit 8, inverted).
    pub vlan_enabled: bool,
    /// Tagged frames are classified by their VID (PHY0.16 bit 10, inverted).
    pub tag_aware: bool,
    /// Frames whose ingress port is no member of their VLAN are discarded (PHY0.16 bit 9, inverted).
    pub ingress_filter: bool,
    /// Untagged frames are discarded (PHY0.16 bit 8, inverted).
    pub tagged_only: bool,
    /// A unicast frame whose destination is known leaves its VLAN for it (PHY0.18 bit 11, inverted).
    pub unicast_leak: bool,
    /// Broadcast ARP goes to all ports (PHY0.18 bit 10, inverted).
    pub arp_leak: bool,
    /// Frames to reserved group addresses are forwarded (PHY0.18 bit 12); see
    /// [`reserved_addresses`](Self::reserved_addresses).
    pub forward_reserved: bool,
    /// The VLAN table; entries from `model.entries` on are unused.
    pub entries: [Entry; Config::MAX_ENTRIES],
    /// The ports; those from `model.ports` on are unused.
    pub ports: [PortConfig; Config::MAX_PORTS],
    /// Disputed behaviour.
    pub policies: PolicySet,
}

impl Config {
    /// Entries of the largest table in the family.
    pub const MAX_ENTRIES: usize = 16;
    /// Ports of the largest chip in the family.
    pub const MAX_PORTS: usize = 9;

    /// The chip after reset without straps or EEPROM: VLANs off, and the vendor's table ready for the
    /// moment they are switched on.
    ///
    /// Entry `i` has VID `i` and the members `{i mod n, n}`, all ports when `i mod (n + 1) = n`, where
    /// `n` is the last port; port `p` has index `p`. So the last port is an uplink of all others, which
    /// do not reach each other (RTL8305SB datasheet, page 45; Realtek `Rtl8306_AsicDrv.c`).
    pub fn new(model: Model) -> Self {
        let uplink = u16::from(model.ports.saturating_sub(1));
        let mut config = Self {
            model,
            vlan_enabled: false,
            tag_aware: false,
            ingress_filter: false,
            tagged_only: false,
            unicast_leak: false,
            arp_leak: false,
            forward_reserved: true,
            entries: [Entry::default(); Self::MAX_ENTRIES],
            ports: [PortConfig::default(); Self::MAX_PORTS],
            policies: PolicySet::default(),
        };
        for (vid, entry) in (0..u16::from(model.entries)).zip(&mut config.entries) {
            let port = vid % u16::from(model.ports.max(1));
            let bits = if port == uplink { model.port_mask().bits() } else { 1 << port | 1 << uplink };
            *entry = Entry { vid, members: PortMask::from_bits(bits) };
        }
        for (index, port) in (0..model.ports).zip(&mut config.ports) {
            port.index = index;
        }
        config
    }
}

impl Config {
    /// The settings of a port; `None` beyond the model's last.
    pub(super) fn port(&self, port: PortId) -> Option<&PortConfig> {
        self.ports.get(port.index()).filter(|_| port.index() < usize::from(self.model.ports))
    }

    /// The VID of the entry that the port's index names.
    pub fn pvid(&self, port: &PortConfig) -> u16 {
        self.entries.get(usize::from(port.index)).map_or(0, |entry| entry.vid)
    }

    /// Whether a frame without a usable VID, priority-tagged if `tagged`, gets past the switches.
    pub(super) fn admits_without_vid(&self, port: &PortConfig, tagged: bool) -> bool {
        let counts_as_tagged = tagged && self.policies.priority_tag_counts_as_tag;
        let foreign =
            port.discard_non_pvid && self.policies.non_pvid_scope == NonPvidScope::TaggedAndUntagged;
        !self.vlan_enabled || (!self.tagged_only || counts_as_tagged) && !foreign
    }

    pub(super) fn has_vid(&self, vid: u16) -> bool {
        self.entries.iter().take(self.model.entries.into()).any(|entry| entry.vid == vid)
    }

    /// Looks for settings that the model cannot hold; [`Table::new`](super::Table::new) does it too.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Self { model, .. } = self;
        for (port, settings) in (0..model.ports).zip(&self.ports) {
            if settings.index >= model.entries {
                let (index, entries) = (settings.index, model.entries);
                return Err(ConfigError::IndexOutOfRange { port, index, entries });
            }
        }
        for (number, entry) in (0..model.entries).zip(&self.entries) {
            if entry.vid > 4095 {
                return Err(ConfigError::VidOutOfRange { entry: number, vid: entry.vid });
            }
            if let Some(port) = entry.members.difference(model.port_mask()).iter().next() {
                let (port, ports) = (port.get(), model.ports);
                return Err(ConfigError::MemberOutOfRange { entry: number, port, ports });
            }
        }
        Ok(())
    }

    /// Which reserved group addresses pass.
    pub const fn reserved_addresses(&self) -> ReservedAddresses {
        if self.forward_reserved { ReservedAddresses::RealtekForward } else { ReservedAddresses::RealtekDrop }
    }
}

impl Default for PortConfig {
    /// Index 0, no tag operation, everything enabled.
    fn default() -> Self {
        Self {
            index: 0,
            tag_op: TagOp::None,
            null_vid_replacement: false,
            discard_non_pvid: false,
            tx_enabled: true,
            rx_enabled: true,
            learning: true,
        }
    }
}

/// Settings that no chip of this model can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A port's index names an entry that the table does not have.
    #[error("port {port} names VLAN entry {index} of {entries}")]
    IndexOutOfRange {
        /// The port.
        port: u8,
        /// Its index.
        index: u8,
        /// Entries of the model; the highest index is one less.
        entries: u8,
    },
    /// A VID does not fit into twelve bits.
    #[error("VLAN entry {entry} has VID {vid}, the highest is 4095")]
    VidOutOfRange {
        /// The entry, counted from 0.
        entry: u8,
        /// Its VID.
        vid: u16,
    },
    /// A member is no port of the chip.
    #[error("VLAN entry {entry} has member port {port} of {ports}")]
    MemberOutOfRange {
        /// The entry, counted from 0.
        entry: u8,
        /// The lowest port that does not exist.
        port: u16,
        /// Ports of the model; the highest is one less.
        ports: u8,
    },
}
