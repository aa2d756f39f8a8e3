//! What each data plane can do. Every entry was run: between a provider's port that drops foreign
//! MACs and machines, with Linux 6.18, nftables 1.0.6, ebtables 1.8.9 and Open vSwitch 3.1.0
//! (`examples/mac-nat-gw/tests/data_planes`).

use core::fmt;

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
    /// Nothing of neighbour discovery that is broken, fragmented or names a MAC twice gets out with an
    /// inside MAC.
    MalformedNd,
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
    /// A wire MAC for every machine ([`Mode::Vmac`](crate::Mode::Vmac)).
    Vmac,
    /// One machine with several wire MACs.
    SeveralWires,
    /// Keeping a machine from addresses of the host, of routers and of its neighbours.
    Spoofing,
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
    /// It cannot: such frames are dropped, or their answers do not come back.
    No,
    /// It cannot, and inside MACs get out.
    Leaks(&'static str),
}

impl Ability {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Ipv4,
        Self::AnnouncementTarget,
        Self::NeighbourDiscovery,
        Self::RouterOptions,
        Self::MalformedNd,
        Self::Dhcp,
        Self::ConflictDetection,
        Self::Vlan,
        Self::TwoVlans,
        Self::Learning,
        Self::SilentOwner,
        Self::Vmac,
        Self::SeveralWires,
        Self::Spoofing,
        Self::DropsTheRest,
    ];
}

/// In words, such as `IPv4 and ARP`.
impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4 and ARP both ways",
            Self::AnnouncementTarget => "ARP announcements sent as replies",
            Self::NeighbourDiscovery => "IPv6 neighbour discovery",
            Self::RouterOptions => "MACs in router messages",
            Self::MalformedNd => "nothing slips through in malformed or fragmented discovery",
            Self::Dhcp => "DHCPv4 clients",
            Self::ConflictDetection => "IPv4 address conflict detection",
            Self::Vlan => "one VLAN tag",
            Self::TwoVlans => "two VLAN tags",
            Self::Learning => "learning, moves, expiry",
            Self::SilentOwner => "machines that have not spoken",
            Self::Vmac => "a wire MAC per machine",
            Self::SeveralWires => "several wire MACs on one machine",
            Self::Spoofing => "addresses of others stay theirs",
            Self::DropsTheRest => "other protocols stay inside",
        })
    }
}

impl DataPlane {
    /// Whether this data plane, with the rules that [`export`](Self::export) writes, can do something.
    pub const fn support(self, ability: Ability) -> Support {
        use Support::{Leaks, Limited, No, Yes};
        match (self, ability) {
            (_, Ability::Ipv4) => Yes,
            (Self::OpenFlowLearn, Ability::SilentOwner | Ability::Vmac | Ability::SeveralWires) => No,
            (_, Ability::SilentOwner) => Limited("only with a binding: nobody asks inside"),
            (_, Ability::Vmac | Ability::SeveralWires | Ability::DropsTheRest) => Yes,
            (Self::OpenFlowLearn, Ability::Spoofing) => {
                Limited("a neighbour's address moves to whoever uses it")
            }
            (_, Ability::Spoofing) => Yes,

            (Self::Ebtables, Ability::MalformedNd) => Yes,
            (Self::Ebtables, _) => No,

            (
                Self::Nftables | Self::NftNetdev | Self::NftNetlink,
                Ability::AnnouncementTarget | Ability::MalformedNd,
            ) => Yes,
            (Self::Nftables | Self::NftNetdev | Self::NftNetlink, Ability::ConflictDetection) => {
                Limited("for ten seconds after a probe")
            }
            (Self::Nftables | Self::NftNetdev, Ability::Dhcp) => {
                Limited("the UDP checksum is cleared, not corrected")
            }
            (Self::NftNetlink, Ability::Dhcp) => Yes,
            (Self::NftNetlink, Ability::NeighbourDiscovery) => {
                Limited("messages with one option and no other header; the rest is dropped")
            }
            (Self::NftNetlink, Ability::RouterOptions) => {
                Limited("solicitations; advertisements and redirects are dropped")
            }
            (Self::Nftables | Self::NftNetdev | Self::NftNetlink, _) => No,

            (Self::OpenFlow, Ability::Learning | Ability::ConflictDetection) => No,
            (Self::OpenFlowLearn, Ability::Learning) => Limited(
                "half a second late, since learning and the datapath's cache are reconciled that often",
            ),
            (_, Ability::RouterOptions | Ability::Dhcp | Ability::TwoVlans) => No,
            (_, Ability::MalformedNd) => {
                Leaks("what stands behind an option without length, or in a later fragment")
            }
            (Self::OpenFlow | Self::OpenFlowLearn, _) => Yes,
        }
    }
}
