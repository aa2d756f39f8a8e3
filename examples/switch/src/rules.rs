//! The VLAN rules of a switch: one of three tables, behind one face.

use vlan_table::{DropReason, Fid, Header, PortId, PortMask, TagVid, VlanId, chip, dot1q, openvswitch};

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

    /// Whether the source of a frame to a reserved address is learned: by the standard, yes, since
    /// learning precedes the filter (802.1Q-2018, 8.6).
    pub(crate) const fn learns_from_reserved(&self) -> bool {
        !matches!(self, Self::OpenVSwitch(_))
    }

    #[inline]
    pub(crate) fn classify(
        &self,
        port: PortId,
        header: &Header,
        frame: &[u8],
    ) -> Result<Classified, DropReason> {
        match self {
            Self::Chip(table) => table.classify(port, header).map(Classified::Table),
            Self::Dot1q(bridge) => bridge.classify(port, header).map(Classified::Table),
            Self::OpenVSwitch(bridge) => bridge.classify(port, frame).map(Classified::OpenVSwitch),
        }
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

    /// Where the frame goes if its destination is a group or unknown.
    #[inline]
    pub const fn members(&self) -> PortMask {
        match self {
            Self::Table(frame) => frame.members,
            Self::OpenVSwitch(frame) => frame.members,
        }
    }

    /// Where the frame may go if the forwarding database names its port.
    #[inline]
    pub const fn reachable(&self) -> PortMask {
        match self {
            Self::Table(frame) => frame.reachable,
            Self::OpenVSwitch(frame) => frame.reachable,
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

    /// Whether the source may be learned.
    #[inline]
    pub const fn learn(&self) -> bool {
        match self {
            Self::Table(frame) => frame.learn,
            Self::OpenVSwitch(_) => true,
        }
    }
}
