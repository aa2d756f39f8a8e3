//! The VLAN rules of a switch: one of three tables, behind one face.

use vlan_table::{DropReason, Fid, Header, PortId, PortMask, Tag, TagVid, VlanId, chip, dot1q, openvswitch};

/// Which VLAN a frame belongs to, where it may go and with which tags.
#[derive(Clone, Debug)]
pub enum Rules {
    /// A chip's table: its registers, exactly.
    Chip(Box<chip::Table>),
    /// IEEE 802.1Q.
    Dot1q(Box<dot1q::Bridge>),
    /// Open vSwitch, where it differs from the standard too.
    OpenVSwitch(Box<openvswitch::Bridge>),
}

impl Rules {
    /// The ports that there are.
    pub fn ports(&self) -> PortMask {
        match self {
            Self::Chip(table) => table.config().model.port_mask(),
            Self::Dot1q(bridge) => bridge.ports(),
            Self::OpenVSwitch(bridge) => bridge.ports(),
        }
    }

    /// What fills a frame up that became too short; `None` if it may be short.
    ///
    /// Frames from virtual ports have no minimum, so Open vSwitch leaves padding to the drivers.
    pub(crate) const fn padding(&self) -> Option<u8> {
        match self {
            Self::Chip(_) => Some(chip::PADDING),
            Self::Dot1q(_) => Some(0),
            Self::OpenVSwitch(_) => None,
        }
    }
}

impl Rules {
    /// The tag that frames of `vlan` have where they leave by `port`; `None` if they leave untagged.
    pub fn tag_on(&self, port: PortId, vlan: VlanId) -> Option<Tag> {
        let tag = Tag::customer(vlan);
        match self {
            Self::Chip(table) => {
                let op = table.config().ports.get(port.index())?.tag_op;
                matches!(op, chip::TagOp::Insert | chip::TagOp::Replace).then_some(tag)
            }
            Self::Dot1q(bridge) => {
                let tpid = bridge.port(port)?.tag_type.tpid();
                (!bridge.vlan(vlan).untagged.contains(port)).then_some(Tag { tpid, ..tag })
            }
            Self::OpenVSwitch(bridge) => {
                let config = bridge.port(port)?;
                let own = config.tag == TagVid::Vlan(vlan);
                match config.vlan_mode {
                    openvswitch::VlanMode::Access | openvswitch::VlanMode::Dot1qTunnel => None,
                    openvswitch::VlanMode::NativeUntagged if own => None,
                    _ => Some(tag),
                }
            }
        }
    }
}

/// Rules as the stages use them: one type for each table.
pub(crate) trait RuleSet {
    /// What the rules say of a frame that they let in.
    type Admitted: Admitted;

    /// Whether the source of a frame to a reserved address is learned: by the standard, yes, since
    /// learning precedes the filter (802.1Q-2018, 8.6).
    const LEARNS_FROM_RESERVED: bool = true;

    /// Whether individual addresses may be reserved: by the standard none is.
    const RESERVES_INDIVIDUALS: bool = false;

    fn classify(&self, port: PortId, header: &Header, frame: &[u8]) -> Result<Self::Admitted, DropReason>;

    /// [`classify`](Self::classify) for most frames; `None` says nothing about the others.
    #[inline(always)]
    fn glance(&self, port: PortId, header: &Header, frame: &[u8]) -> Option<Self::Admitted> {
        self.classify(port, header, frame).ok()
    }
}

/// A frame that the rules let in, as the stages use it.
pub(crate) trait Admitted: Copy + Into<Classified> {
    fn members(&self) -> PortMask;
    fn reachable(&self) -> PortMask;
    fn fid(&self) -> Fid;
    fn learns(&self) -> bool;

    /// Whether its destination is looked for: always, unless Open vSwitch is told to flood a VLAN.
    #[inline]
    fn looks_up(&self) -> bool {
        true
    }
}

impl RuleSet for chip::Table {
    type Admitted = vlan_table::Classified;

    #[inline]
    fn classify(&self, port: PortId, header: &Header, _: &[u8]) -> Result<Self::Admitted, DropReason> {
        self.classify(port, header)
    }
}

impl RuleSet for dot1q::Bridge {
    type Admitted = vlan_table::Classified;

    #[inline(always)]
    fn glance(&self, port: PortId, header: &Header, _: &[u8]) -> Option<Self::Admitted> {
        self.glance(port, header)
    }

    #[inline]
    fn classify(&self, port: PortId, header: &Header, _: &[u8]) -> Result<Self::Admitted, DropReason> {
        self.classify(port, header)
    }
}

impl RuleSet for openvswitch::Bridge {
    type Admitted = openvswitch::Classified;
    const LEARNS_FROM_RESERVED: bool = false;
    const RESERVES_INDIVIDUALS: bool = true;

    #[inline]
    fn classify(&self, port: PortId, _: &Header, frame: &[u8]) -> Result<Self::Admitted, DropReason> {
        self.classify(port, frame)
    }
}

impl Admitted for vlan_table::Classified {
    #[inline]
    fn members(&self) -> PortMask {
        self.members
    }

    #[inline]
    fn reachable(&self) -> PortMask {
        self.reachable
    }

    #[inline]
    fn fid(&self) -> Fid {
        self.fid
    }

    #[inline]
    fn learns(&self) -> bool {
        self.learn
    }
}

impl Admitted for openvswitch::Classified {
    #[inline]
    fn members(&self) -> PortMask {
        self.members
    }

    #[inline]
    fn reachable(&self) -> PortMask {
        self.reachable
    }

    #[inline]
    fn fid(&self) -> Fid {
        self.fid
    }

    #[inline]
    fn learns(&self) -> bool {
        self.learn
    }

    #[inline]
    fn looks_up(&self) -> bool {
        self.learn
    }
}

/// A frame that a port let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Classified {
    /// By [`Rules::Chip`] or [`Rules::Dot1q`].
    Table(vlan_table::Classified),
    /// By [`Rules::OpenVSwitch`].
    OpenVSwitch(openvswitch::Classified),
}

impl Classified {
    /// The VLAN as the number that a tag would carry.
    pub const fn vid(&self) -> TagVid {
        match self {
            Self::Table(frame) => frame.vid(),
            Self::OpenVSwitch(frame) => frame.vid,
        }
    }

    /// The VLAN, if it is one of IEEE 802.1Q's.
    pub const fn vlan(&self) -> Option<VlanId> {
        match self.vid() {
            TagVid::Vlan(vlan) => Some(vlan),
            TagVid::Priority | TagVid::Reserved => None,
        }
    }

    /// The forwarding database.
    #[inline]
    pub const fn fid(&self) -> Fid {
        match self {
            Self::Table(frame) => frame.fid,
            Self::OpenVSwitch(frame) => frame.fid,
        }
    }
}

impl From<vlan_table::Classified> for Classified {
    #[inline]
    fn from(frame: vlan_table::Classified) -> Self {
        Self::Table(frame)
    }
}

impl From<openvswitch::Classified> for Classified {
    #[inline]
    fn from(frame: openvswitch::Classified) -> Self {
        Self::OpenVSwitch(frame)
    }
}
