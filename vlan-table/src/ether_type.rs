//! The EtherType registry, as far as layer 2 needs it.

use core::fmt;

/// An EtherType as it stands in a frame, in host order.
///
/// The registry is open, so this is a number with names, not an enum: a known value has one
/// spelling only. Values below `0x0600` are IEEE 802.3 lengths ([`is_length`](Self::is_length)).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EtherType(pub u16);

impl EtherType {
    /// Internet Protocol version 4.
    pub const IPV4: Self = Self(0x0800);
    /// Address Resolution Protocol (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// Wake-on-LAN magic packet.
    pub const WAKE_ON_LAN: Self = Self(0x0842);
    /// Reverse ARP (RFC 903).
    pub const RARP: Self = Self(0x8035);
    /// Customer VLAN tag (IEEE 802.1Q-2018, table 9-1).
    pub const VLAN: Self = Self(0x8100);
    /// Internet Protocol version 6.
    pub const IPV6: Self = Self(0x86DD);
    /// MAC control, such as PAUSE (IEEE 802.3, annex 31).
    pub const MAC_CONTROL: Self = Self(0x8808);
    /// LACP and other slow protocols (IEEE 802.3, annex 57A).
    pub const SLOW_PROTOCOLS: Self = Self(0x8809);
    /// PPPoE discovery stage (RFC 2516).
    pub const PPPOE_DISCOVERY: Self = Self(0x8863);
    /// PPPoE session stage (RFC 2516).
    pub const PPPOE_SESSION: Self = Self(0x8864);
    /// EAP over LAN (IEEE 802.1X).
    pub const EAPOL: Self = Self(0x888E);
    /// Realtek: RRCP, REP, loop probes and CPU tags.
    pub const REALTEK: Self = Self(0x8899);
    /// Service VLAN tag (IEEE 802.1Q-2018, table 9-1).
    pub const SERVICE_VLAN: Self = Self(0x88A8);
    /// Link Layer Discovery Protocol (IEEE 802.1AB).
    pub const LLDP: Self = Self(0x88CC);
    /// Ethernet Configuration Testing Protocol, "loopback".
    pub const ECTP: Self = Self(0x9000);
    /// Outer tag of equipment older than 802.1ad; not in any standard.
    pub const VLAN_9100: Self = Self(0x9100);

    /// Whether the number is an IEEE 802.3 length: an LLC frame follows, not a protocol.
    pub const fn is_length(self) -> bool {
        self.0 < 0x0600
    }

    /// Whether a VLAN tag follows: [`VLAN`](Self::VLAN), [`SERVICE_VLAN`](Self::SERVICE_VLAN) or
    /// [`VLAN_9100`](Self::VLAN_9100).
    pub const fn is_tag(self) -> bool {
        // Without a branch, which mixed traffic would mispredict.
        (self.0 == Self::VLAN.0) | (self.0 == Self::SERVICE_VLAN.0) | (self.0 == Self::VLAN_9100.0)
    }
}

impl From<u16> for EtherType {
    fn from(raw: u16) -> Self {
        Self(raw)
    }
}

impl From<EtherType> for u16 {
    fn from(ether_type: EtherType) -> Self {
        ether_type.0
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EtherType({:#06x})", self.0)
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}
