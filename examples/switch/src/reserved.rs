//! Group addresses that end at a bridge.

/// Which of the addresses 01-80-C2-00-00-00 to -0F are relayed all the same, and whether others
/// end here too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReservedAddresses {
    /// Bit `n` stands for 01-80-C2-00-00-0n.
    relayed: u16,
    /// Whether addresses of Cisco's and Extreme's protocols end here.
    proprietary: bool,
    /// Whether the source of a frame that ends here is learned.
    learned: bool,
}

impl ReservedAddresses {
    /// A customer bridge relays none of the sixteen (IEEE 802.1Q-2018, table 8-1); their sources are
    /// learned, since learning precedes the filter (8.6).
    pub const CUSTOMER_BRIDGE: Self = Self { relayed: 0, proprietary: false, learned: true };

    /// A provider bridge relays -00, -0B, -0C, -0D and -0F (IEEE 802.1Q-2018, table 8-2).
    pub const PROVIDER_BRIDGE: Self = Self { relayed: 0xB801, ..Self::CUSTOMER_BRIDGE };

    /// Realtek's small chips flood -00, so spanning trees run through them, drop -01 and -02, and
    /// drop the others unless `EnForward` is set (RTL8305SB datasheet, 7.3.10).
    pub const fn realtek(forward: bool) -> Self {
        Self { relayed: if forward { 0xFFF9 } else { 0x0001 }, ..Self::CUSTOMER_BRIDGE }
    }

    /// All of them end, with some of Cisco's and Extreme's, and nothing is learned from such frames
    /// (`eth_addr_is_reserved` in Open vSwitch's `packets.c`).
    pub const OPEN_VSWITCH: Self = Self { relayed: 0, proprietary: true, learned: false };

    /// Every address is relayed; `forward-bpdu` of Open vSwitch.
    pub const NONE: Self = Self { relayed: 0xFFFF, proprietary: false, learned: true };

    /// Whether a frame to `dst` (first byte highest) ends here.
    #[inline]
    pub(crate) const fn end(&self, dst: u64) -> bool {
        if dst & !0xF == 0x0180_C200_0000 {
            return self.relayed >> (dst & 0xF) & 1 == 0;
        }
        self.proprietary && is_proprietary(dst)
    }

    /// Whether the source of a frame that ends here is learned.
    pub(crate) const fn are_learned_from(&self) -> bool {
        self.learned
    }
}

const fn is_proprietary(dst: u64) -> bool {
    matches!(
        dst,
        0x00E0_2B00_0000 | 0x00E0_2B00_0004 | 0x00E0_2B00_0006 // Extreme: EDP, EAPS
        | 0x0100_0C00_0000 // Cisco: ISL
        | 0x0100_0CCC_CCCC | 0x0100_0CCC_CCCD // CDP and relatives, PVST+
        | 0x0100_0CCD_CDCD // uplink fast
        | 0x0100_0CCC_CCC0..=0x0100_0CCC_CCC7 // CFM
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_bridge_ends_its_own_addresses() {
        let ended = |set: ReservedAddresses| {
            (0..16).filter(move |n| set.end(0x0180_C200_0000 + n)).collect::<Vec<_>>()
        };
        assert_eq!(ended(ReservedAddresses::CUSTOMER_BRIDGE), (0..16).collect::<Vec<_>>());
        assert_eq!(ended(ReservedAddresses::PROVIDER_BRIDGE), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14]);
        assert_eq!(ended(ReservedAddresses::realtek(true)), [1, 2]);
        assert_eq!(ended(ReservedAddresses::realtek(false)), (1..16).collect::<Vec<_>>());
        assert_eq!(ended(ReservedAddresses::NONE), []);
    }

    #[test]
    fn the_address_after_the_last_is_ordinary() {
        for set in [ReservedAddresses::CUSTOMER_BRIDGE, ReservedAddresses::OPEN_VSWITCH] {
            assert!(!set.end(0x0180_C200_0010) && !set.end(0xFFFF_FFFF_FFFF));
        }
        assert!(ReservedAddresses::OPEN_VSWITCH.end(0x0100_0CCC_CCCC));
        assert!(!ReservedAddresses::CUSTOMER_BRIDGE.end(0x0100_0CCC_CCCC));
    }
}
