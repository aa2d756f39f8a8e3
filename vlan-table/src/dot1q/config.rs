//! Settings of a bridge port, and what may be wrong with a configuration.

use crate::openvswitch::PriorityTags;
use crate::{EtherType, Fid, Pcp, PortId, PortMask, VlanId};

/// Settings of a port; the default is what the standard gives a port that nobody configured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortConfig {
    /// VLAN of untagged and priority-tagged frames; without one they are discarded. The standard
    /// always has one (6.9), Linux bridges need not.
    pub pvid: Option<VlanId>,
    /// Which frames are let in.
    pub acceptable: AcceptableFrames,
    /// Whether frames of VLANs that the port is not a member of are discarded (8.6.2). Off by
    /// default: such a frame is relayed and learned, but no answer can come back.
    pub ingress_filter: bool,
    /// What the spanning tree, or the link, allows.
    pub state: PortState,
    /// Which tags are tags here.
    pub tag_type: TagType,
    /// Priority of untagged frames.
    pub default_priority: Pcp,
    /// Priority of tagged frames, by the priority in their tag (6.9.4).
    pub priority_regeneration: [Pcp; 8],
    /// Whether frames that would leave untagged carry their priority in a tag with VID 0. The standard
    /// never sends such tags; some hosts want them.
    pub priority_tags: PriorityTags,
    /// Whether a frame with a tag behind its tag is discarded. The standard looks at the outer tag only,
    /// so that who removes it exposes the inner one ("VLAN hopping" through a native VLAN).
    pub discard_double_tagged: bool,
    /// Isolated ports do not reach each other, all others do.
    pub isolated: bool,
    /// Whether source addresses are learned, as far as the state allows it.
    pub learning: bool,
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            pvid: Some(VlanId::DEFAULT),
            acceptable: AcceptableFrames::All,
            ingress_filter: false,
            state: PortState::Forwarding,
            tag_type: TagType::Customer,
            default_priority: Pcp::BEST_EFFORT,
            priority_regeneration: Pcp::ALL,
            priority_tags: PriorityTags::Never,
            discard_double_tagged: false,
            isolated: false,
            learning: true,
        }
    }
}

/// Which frames a port lets in (6.9).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum AcceptableFrames {
    /// All.
    #[default]
    All,
    /// Frames with a tag that names a VLAN; priority-tagged frames are not among them.
    OnlyTagged,
    /// Frames without a tag, or with a tag that carries a priority only.
    OnlyUntaggedAndPriority,
}

/// What a port may do with frames (8.4).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PortState {
    /// Nothing: administratively, or because the link is down.
    Disabled,
    /// Nothing, until the spanning tree says otherwise.
    Blocking,
    /// Nothing yet (802.1D-1998 only).
    Listening,
    /// Source addresses are learned, frames are not relayed.
    Learning,
    /// Everything.
    #[default]
    Forwarding,
}

/// The type of tag that a port recognises, and sends (table 9-1).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum TagType {
    /// Customer tags, TPID 0x8100.
    #[default]
    Customer,
    /// Service tags, TPID 0x88A8.
    Service,
}

impl TagType {
    /// The tag protocol identifier.
    pub const fn tpid(self) -> EtherType {
        match self {
            Self::Customer => EtherType::VLAN,
            Self::Service => EtherType::SERVICE_VLAN,
        }
    }
}

/// How frames of a VLAN leave by a member port (8.8.10).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Membership {
    /// With a tag.
    Tagged,
    /// Without a tag: the port is in the VLAN's untagged set.
    Untagged,
}

/// A VLAN, as it is configured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Vlan<const WORDS: usize = 1> {
    /// Ports that frames of the VLAN may leave by.
    pub members: PortMask<WORDS>,
    /// Those of the members that they leave by untagged.
    pub untagged: PortMask<WORDS>,
    /// The forwarding database; `None` is one of its own, with the identifier that equals the VID.
    pub fid: Option<Fid>,
}

/// Dynamic entries of the forwarding database that a change has made wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Flush {
    /// None.
    Nothing,
    /// What was learned on a port.
    Port(PortId),
    /// All of a database.
    Fid(Fid),
    /// What was learned on a port, in one database.
    PortAndFid(PortId, Fid),
}

/// A change that a bridge cannot make, or a configuration that cannot have been meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The bridge was made without this port.
    #[error("the bridge has no port {port}")]
    NoSuchPort {
        /// The port.
        port: PortId,
    },
    /// The VLAN is not configured.
    #[error("VLAN {vid} is not configured")]
    NoSuchVlan {
        /// The VLAN.
        vid: VlanId,
    },
    /// The bridge holds no more VLANs.
    #[error("VLAN {vid} would be one more than the {capacity} that the bridge can hold")]
    TableFull {
        /// The VLAN that found no room.
        vid: VlanId,
        /// The most VLANs.
        capacity: usize,
    },
    /// The VLAN is configured already.
    #[error("VLAN {vid} is configured already")]
    DuplicateVlan {
        /// The VLAN.
        vid: VlanId,
    },
    /// An untagged set is no part of the member set.
    #[error("port {port} is in the untagged set of VLAN {vid}, but no member")]
    UntaggedNotMember {
        /// The VLAN.
        vid: VlanId,
        /// The lowest port that is no member.
        port: PortId,
    },
    /// A port mode names a VLAN that IEEE 802.1Q does not have.
    #[error("port {port} names VLAN {vid}, which is not in 1..=4094")]
    VidOutOfRange {
        /// The port.
        port: PortId,
        /// The number as given; 0 if the mode needs a VLAN and has none.
        vid: u16,
    },
    /// A tunnel port selects customer VLANs, which a port-based service does not look at.
    #[error("tunnel port {port} selects customer VLANs: only the rules of Open vSwitch do that")]
    CustomerVlans {
        /// The port.
        port: PortId,
    },
    /// With ingress filtering on, every untagged frame would be discarded.
    #[error(
        "port {port} filters ingress and is no member of its PVID {vid}: it would discard all untagged frames"
    )]
    PvidNotMember {
        /// The port.
        port: PortId,
        /// Its PVID.
        vid: VlanId,
    },
}
