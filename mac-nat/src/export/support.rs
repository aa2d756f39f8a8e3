//! What each data plane can do. Every entry was run: against a provider's port that drops foreign
//! MACs, with Linux 6.18, nftables 1.0.6, ebtables 1.8.9 and Open vSwitch 3.1.0.

use super::DataPlane;

/// Something that a translator should be able to do.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Ability {
    /// IPv4 and ARP both ways, fragments, and back in again to a neighbour.
    Ipv4,
    /// The target MAC in ARP announcements sent as a reply.
    AnnouncementTarget,
    /// IPv6 neighbour solicitations and advertisements.
    NeighbourDiscovery,
    /// Link-layer options in router solicitations, advertisements and redirects.
    RouterOptions,
    /// DHCPv4 clients.
    Dhcp,
    /// The detection of an IPv4 address that is in use outside (RFC 5227).
    ConflictDetection,
    /// Frames with VLAN tags.
    Vlan,
    /// Frames with two VLAN tags.
    TwoVlans,
    /// Learning who has an address, and noticing that it moved.
    Learning,
    /// A frame for an address whose owner has not spoken yet.
    SilentOwner,
    /// One machine with several wire MACs.
    SeveralWires,
    /// Dropping everything that is not understood.
    DropsTheRest,
}

/// Whether a data plane can do something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Support {
    /// It can.
    Yes,
    /// It can, but.
    Limited(&'static str),
    /// It cannot.
    No,
}

impl Ability {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Ipv4,
        Self::AnnouncementTarget,
        Self::NeighbourDiscovery,
        Self::RouterOptions,
        Self::Dhcp,
        Self::ConflictDetection,
        Self::Vlan,
        Self::TwoVlans,
        Self::Learning,
        Self::SilentOwner,
        Self::SeveralWires,
        Self::DropsTheRest,
    ];
}

impl DataPlane {
    /// Whether this data plane, with the rules that [`export`](Self::export) writes, can do something.
    pub const fn support(self, ability: Ability) -> Support {
        use Support::{Limited, No, Yes};
        match (self, ability) {
            (_, Ability::Ipv4) => Yes,
            (Self::Ebtables, Ability::Vlan) => Limited("outwards only"),
            (Self::Ebtables, Ability::DropsTheRest) => Limited("RARP leaks the inside MAC"),
            (Self::Ebtables, _) => No,

            (Self::Nftables, Ability::AnnouncementTarget | Ability::SeveralWires) => Yes,
            (Self::Nftables, Ability::ConflictDetection) => Limited("for ten seconds after a probe"),
            (Self::Nftables, Ability::Dhcp) => Limited("the UDP checksum is cleared, not corrected"),
            (Self::Nftables, Ability::Vlan) => Limited("IPv4 only: ARP matches see the outer tag"),
            (Self::Nftables, Ability::DropsTheRest) => Yes,
            (Self::Nftables, _) => No,

            (Self::OpenFlow, Ability::Learning | Ability::ConflictDetection) => No,
            (
                Self::OpenFlow | Self::OpenFlowLearn,
                Ability::RouterOptions | Ability::Dhcp | Ability::TwoVlans,
            ) => No,
            (Self::OpenFlow, Ability::SilentOwner) => Yes,
            (Self::OpenFlowLearn, Ability::SilentOwner) => No,
            (Self::OpenFlow | Self::OpenFlowLearn, _) => Yes,
        }
    }
}
