//! How a port treats VLANs: the columns of Open vSwitch's `Port` table.

use core::fmt;
use core::str::FromStr;

use crate::{EtherType, TagVid, VidSet};

/// The columns `vlan_mode`, `tag`, `trunks`, `cvlans` and `protected` of a port, and the keys
/// `priority-tags` and `qinq-ethtype` of its `other_config`.
///
/// The default is a port of which nothing is configured: a trunk of all VLANs.
/// [`dot1q::Bridge::set_mode`](crate::dot1q::Bridge::set_mode) takes it too and gives the names a
/// meaning within IEEE 802.1Q.
///
/// ```
/// use vlan_table::TagVid;
/// use vlan_table::openvswitch::{PortConfig, VlanMode};
///
/// let access = PortConfig::new(VlanMode::Access, TagVid::from_raw(10));
/// let uplink = PortConfig { trunks: Some("10,20".parse()?), ..PortConfig::default() };
/// assert_eq!("native-untagged".parse(), Ok(VlanMode::NativeUntagged));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    #[cfg(feature = "alloc")]
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
    #[cfg(feature = "alloc")]
    pub(super) fn allows_cvlan(&self, vid: u16) -> bool {
        self.cvlans.as_ref().is_none_or(|cvlans| cvlans.contains(vid))
    }
}

/// The column `vlan_mode`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum VlanMode {
    /// One VLAN, without tags.
    Access,
    /// Several VLANs, with tags; a frame without tag belongs to VLAN 0.
    #[default]
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

/// A word that names nothing in this column.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected one of {expected}")]
pub struct UnknownName {
    /// The words that would have been understood.
    pub expected: &'static str,
}

impl VlanMode {
    /// The name in Open vSwitch's database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Trunk => "trunk",
            Self::NativeTagged => "native-tagged",
            Self::NativeUntagged => "native-untagged",
            Self::Dot1qTunnel => "dot1q-tunnel",
        }
    }
}

impl FromStr for VlanMode {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let all = [Self::Access, Self::Trunk, Self::NativeTagged, Self::NativeUntagged, Self::Dot1qTunnel];
        let expected = "access, trunk, native-tagged, native-untagged, dot1q-tunnel";
        all.into_iter().find(|mode| mode.name() == name).ok_or(UnknownName { expected })
    }
}

impl fmt::Display for VlanMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PriorityTags {
    /// The name in Open vSwitch's database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "no",
            Self::IfNonzero => "if-nonzero",
            Self::Always => "always",
        }
    }
}

impl FromStr for PriorityTags {
    type Err = UnknownName;

    /// `true` and `false` are the values of versions before 2.13.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "no" | "never" | "false" => Ok(Self::Never),
            "if-nonzero" | "true" => Ok(Self::IfNonzero),
            "always" => Ok(Self::Always),
            _ => Err(UnknownName { expected: "no, if-nonzero, always" }),
        }
    }
}

impl fmt::Display for PriorityTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
