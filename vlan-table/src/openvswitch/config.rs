//! How a port treats VLANs: the columns of Open vSwitch's `Port` table.

use core::fmt;

use crate::{EtherType, TagVid};

/// The columns `vlan_mode`, `tag`, `trunks`, `cvlans` and `protected` of a port, and the keys
/// `priority-tags` and `qinq-ethtype` of its `other_config`.
///
/// The default is a port of which nothing is configured: a trunk of all VLANs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortConfig {
    /// What kind of port it is.
    pub vlan_mode: VlanMode,
    /// The port's own VLAN; of no meaning in [`VlanMode::Trunk`].
    pub tag: TagVid,
    /// The VLANs that a trunk carries; `None` is all of them.
    pub trunks: Option<VidSet>,
    /// The customer VLANs that a tunnel takes; `None` is all of them.
    pub cvlans: Option<VidSet>,
    /// Whether frames of the port's own VLAN keep their priority in a tag with VID 0.
    pub priority_tags: PriorityTags,
    /// Frames from a protected port do not leave by another one.
    pub protected: bool,
    /// The TPID of the tags that a tunnel adds.
    pub qinq_ethtype: EtherType,
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            vlan_mode: VlanMode::Trunk,
            tag: TagVid::Priority,
            trunks: None,
            cvlans: None,
            priority_tags: PriorityTags::Never,
            protected: false,
            qinq_ethtype: EtherType::SERVICE_VLAN,
        }
    }
}

impl PortConfig {
    /// A port of `vlan_mode` whose own VLAN is `tag`.
    pub fn new(vlan_mode: VlanMode, tag: TagVid) -> Self {
        Self { vlan_mode, tag, ..Self::default() }
    }

    /// Whether a trunk or native port carries `vid`.
    ///
    /// A native port always carries its own VLAN, and VLAN 0 only if that is its own.
    pub(super) fn trunks_vlan(&self, vid: u16) -> bool {
        let listed = self.trunks.as_ref().is_none_or(|trunks| trunks.contains(vid));
        match self.vlan_mode {
            VlanMode::NativeTagged | VlanMode::NativeUntagged if self.tag != TagVid::Priority => {
                vid == self.tag.raw() || vid != 0 && listed
            }
            _ => listed,
        }
    }

    /// Whether a tunnel takes the customer VLAN `vid`.
    pub(super) fn allows_cvlan(&self, vid: u16) -> bool {
        self.cvlans.as_ref().is_none_or(|cvlans| cvlans.contains(vid))
    }
}

/// The column `vlan_mode`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum VlanMode {
    /// One VLAN, without tags.
    Access,
    /// Several VLANs, with tags; a frame without tag belongs to VLAN 0.
    Trunk,
    /// A trunk where frames without tag belong to the port's own VLAN; it leaves tagged.
    NativeTagged,
    /// A trunk where frames without tag belong to the port's own VLAN; it leaves untagged.
    NativeUntagged,
    /// Frames get the port's own VLAN as another tag in front of those that they carry.
    Dot1qTunnel,
}

/// The key `priority-tags`: when a frame that leaves without VLAN gets a tag with VID 0.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PriorityTags {
    /// Never, unless the frame came so and passes between trunks of VLAN 0.
    #[default]
    Never,
    /// If its priority is not 0.
    IfNonzero,
    /// As [`IfNonzero`](Self::IfNonzero), and where a tag was recognised even with priority 0.
    Always,
}

/// A set of VIDs, `0..=4095`.
#[derive(Clone, Eq, PartialEq)]
pub struct VidSet([u64; 64]);

impl VidSet {
    /// Whether `vid` is in the set.
    pub fn contains(&self, vid: u16) -> bool {
        self.0.get(usize::from(vid / 64)).is_some_and(|word| word >> (vid % 64) & 1 == 1)
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..4096).filter(|vid| self.contains(*vid))
    }
}

impl FromIterator<TagVid> for VidSet {
    fn from_iter<I: IntoIterator<Item = TagVid>>(vids: I) -> Self {
        let mut words = [0; 64];
        for vid in vids {
            if let Some(word) = words.get_mut(usize::from(vid.raw() / 64)) {
                *word |= 1u64 << (vid.raw() % 64);
            }
        }
        Self(words)
    }
}

impl fmt::Debug for VidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
