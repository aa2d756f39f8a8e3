//! Group addresses that a bridge keeps to itself.

/// Which destinations a bridge does not relay, whatever its tables say.
///
/// The standard's reserved addresses are `01:80:C2:00:00:00` to `01:80:C2:00:00:0F` (IEEE
/// 802.1Q-2018, tables 8-1 and 8-2); which of them count depends on the kind of bridge.
///
/// ```
/// use vlan_table::ReservedAddresses;
///
/// let stp = 0x0180_C200_0000;
/// assert!(!ReservedAddresses::CustomerBridge.relays(stp));
/// assert!(ReservedAddresses::ServiceBridge.relays(stp), "a customer's spanning tree passes through");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReservedAddresses {
    /// A C-VLAN component relays none of the sixteen (table 8-1).
    #[default]
    CustomerBridge,
    /// An S-VLAN component relays `-00`, `-0B`, `-0C`, `-0D` and `-0F`, which are its customers' (table
    /// 8-2; Linux has the same set as mask 0xB801).
    ServiceBridge,
    /// Open vSwitch without `forward-bpdu`: none of the sixteen, and the addresses of Cisco's and
    /// Extreme's protocols (`lib/packets.c`, `eth_addr_is_reserved`).
    OpenVSwitch,
    /// Realtek's chips with EnForward set: all but `-01` and `-02` (RTL8305SB datasheet, 7.3.10).
    RealtekForward,
    /// Realtek's chips with EnForward clear: of the sixteen only `-00`.
    RealtekDrop,
    /// A hub, or Open vSwitch with `forward-bpdu`: everything is relayed.
    RelayAll,
}

impl ReservedAddresses {
    /// Whether a frame to `dst`, as a number with the first byte highest, is relayed. O(1).
    #[inline]
    pub fn relays(self, dst: u64) -> bool {
        // Individual addresses come first since they are the most frames; Extreme's are individual too.
        if dst & !0xF == 0x0180_C200_0000 {
            return self.relayed_of_sixteen() >> (dst & 0xF) & 1 == 1;
        }
        self != Self::OpenVSwitch || !is_vendor_protocol(dst)
    }

    /// Bit `n` stands for `01:80:C2:00:00:0n`.
    const fn relayed_of_sixteen(self) -> u16 {
        match self {
            Self::CustomerBridge | Self::OpenVSwitch => 0,
            Self::ServiceBridge => 0xB801,
            Self::RealtekForward => !0b110,
            Self::RealtekDrop => 1,
            Self::RelayAll => u16::MAX,
        }
    }
}

/// Protocols of Extreme (EDP, EAPS) and Cisco (ISL, CDP and others, PVST+, FlexLink, CFM).
const fn is_vendor_protocol(dst: u64) -> bool {
    matches!(
        dst,
        0x00E0_2B00_0000
            | 0x00E0_2B00_0004
            | 0x00E0_2B00_0006
            | 0x0100_0C00_0000
            | 0x0100_0CCC_CCCC
            | 0x0100_0CCC_CCCD
            | 0x0100_0CCD_CDCD
            | 0x0100_0CCC_CCC0..=0x0100_0CCC_CCC7
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(who: ReservedAddresses) -> u16 {
        (0..16).filter(|n| who.relays(0x0180_C200_0000 + n)).fold(0, |mask, n| mask | 1 << n)
    }

    #[test]
    fn each_kind_of_bridge_keeps_its_own_share_of_the_sixteen() {
        assert_eq!(relayed(ReservedAddresses::CustomerBridge), 0);
        assert_eq!(relayed(ReservedAddresses::ServiceBridge), 1 | 1 << 0xB | 1 << 0xC | 1 << 0xD | 1 << 0xF);
        assert_eq!(relayed(ReservedAddresses::OpenVSwitch), 0);
        assert_eq!(relayed(ReservedAddresses::RealtekForward), 0xFFF9);
        assert_eq!(relayed(ReservedAddresses::RealtekDrop), 1);
        assert_eq!(relayed(ReservedAddresses::RelayAll), 0xFFFF);
    }

    #[test]
    fn the_neighbours_of_the_sixteen_are_ordinary() {
        for dst in [0x0180_C1FF_FFFF, 0x0180_C200_0010, 0x0080_C200_0000, u64::MAX >> 16] {
            assert!(
                ReservedAddresses::CustomerBridge.relays(dst) && ReservedAddresses::OpenVSwitch.relays(dst)
            );
        }
    }

    #[test]
    fn vendor_protocols_are_reserved_for_open_vswitch_only() {
        for dst in [0x00E0_2B00_0004, 0x0100_0CCC_CCCC, 0x0100_0CCC_CCC5] {
            assert!(!ReservedAddresses::OpenVSwitch.relays(dst));
            assert!(ReservedAddresses::CustomerBridge.relays(dst));
        }
    }
}
