//! The VLAN table: 32 entries, a PVID index and an egress tag mode per port.

use super::flag_register;
use crate::{PortId, PortMask, VlanId};

/// How many VLANs the table holds.
pub const VLAN_ENTRIES: u8 = 32;

flag_register! {
    /// Register 030B.
    VlanControl at VLAN_CONTROL;
    /// VLANs are on; else every port reaches every port.
    vlans, with_vlans: set 0;
    /// Unicast frames to a known address cross VLANs.
    leak_unicast, with_leak_unicast: set 1;
    /// ARP broadcasts cross VLANs.
    leak_arp, with_leak_arp: set 2;
    /// IP multicast crosses VLANs.
    leak_multicast, with_leak_multicast: set 3;
    /// Tags in frames count (IEEE 802.1Q); else only the ingress port does.
    tag_aware, with_tag_aware: set 4;
    /// Untagged frames are dropped.
    tagged_only, with_tagged_only: set 5;
    /// Frames of a VLAN that the ingress port is not in are dropped.
    ingress_filter, with_ingress_filter: set 6;
}

/// An entry of the table: three registers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct VlanEntry {
    /// Ports in the VLAN.
    pub members: PortMask,
    /// The VLAN id, 12 bits as they stand: 0 in an entry that was never set.
    pub vid_raw: u16,
}

impl VlanEntry {
    /// The entry in its three registers. Ports from 16 on only exist on 8324 and 8326.
    pub const fn from_words([low, high, vid]: [u16; 3]) -> Self {
        let members = (high as u64) << 16 | low as u64;
        Self { members: PortMask::from_bits(members), vid_raw: vid & 0x0FFF }
    }

    /// What the three registers hold; ports from 32 on have no place and are left out.
    pub const fn to_words(self) -> [u16; 3] {
        let members = self.members.bits();
        [members as u16, (members >> 16) as u16, self.vid_raw & 0x0FFF]
    }

    /// The VLAN id, if it is a usable one.
    pub const fn vid(self) -> Option<VlanId> {
        VlanId::new(self.vid_raw)
    }

    /// Whether the entry forwards nothing.
    pub fn is_unused(self) -> bool {
        self.members.is_empty()
    }
}

/// One of registers 030C to 0318: for two ports, which entry of the table is their PVID.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PvidIndices(pub u16);

impl PvidIndices {
    /// The index of `port`, below [`VLAN_ENTRIES`]: five bits of its byte.
    pub const fn of(self, port: PortId) -> u8 {
        (self.0 >> shift(port)) as u8 & 0x1F
    }

    /// The value with the index of `port` replaced; its upper bits are ignored.
    #[must_use]
    pub const fn with(self, port: PortId, index: u8) -> Self {
        Self(self.0 & !(0x1F << shift(port)) | (index as u16 & 0x1F) << shift(port))
    }
}

/// Even ports stand in the low byte of a register, odd ones in the high byte.
const fn shift(port: PortId) -> u32 {
    if port.get().is_multiple_of(2) { 0 } else { 8 }
}

/// One of registers 0319 to 031C: the tag modes of eight ports.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct EgressTagModes(pub u16);

impl EgressTagModes {
    /// How many ports a register holds.
    pub const PORTS: u16 = 8;

    /// The mode of `port`.
    pub const fn of(self, port: PortId) -> EgressTagMode {
        match self.0 >> Self::shift(port) & 0b11 {
            0 => EgressTagMode::Strip,
            1 => EgressTagMode::TagHighPriority,
            2 => EgressTagMode::TagUntagged,
            _ => EgressTagMode::Leave,
        }
    }

    /// The value with the mode of `port` replaced.
    #[must_use]
    pub const fn with(self, port: PortId, mode: EgressTagMode) -> Self {
        Self(self.0 & !(0b11 << Self::shift(port)) | (mode as u16) << Self::shift(port))
    }

    const fn shift(port: PortId) -> u32 {
        (port.get() % Self::PORTS) as u32 * 2
    }
}

/// What happens to tags when a frame leaves. RTL8326 and 8326S cannot insert tags whatever they
/// are told (a fault of the chip that OpenRRCP documents).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum EgressTagMode {
    /// Tags are removed.
    #[default]
    Strip = 0,
    /// Untagged frames of high priority get a tag.
    TagHighPriority = 1,
    /// All untagged frames get a tag.
    TagUntagged = 2,
    /// Frames leave as they came.
    Leave = 3,
}
