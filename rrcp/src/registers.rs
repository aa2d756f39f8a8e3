//! The registers of RTL8316B/BP, 8324/P and 8326/S: what a field means, not only its number.
//!
//! Registers have 16 bits; a value here is a thin wrapper of those bits, so unknown ones survive
//! a read, a change and a write. Port numbers are physical and count from 0; what a front panel
//! calls them differs from product to product.
//!
//! | register | type |
//! |---|---|
//! | 0000 | [`Reset`] |
//! | 0101 | [`loop_ports`] (32 bits) |
//! | 0102 | [`Faults`] |
//! | 0200 | [`ProtocolControl`] |
//! | 0201-2, 0608-9, 0301-2, 037D-E | [`PortHalves`]: ports that ignore RRCP, are off, do not learn, insert a PVID |
//! | 0203-5 | [`mac_from_words`] |
//! | 0206, 0207-8, 0209 | [`ChipId`](crate::wire::ChipId), [`VendorId`](crate::wire::VendorId), [`AuthKey`](crate::wire::AuthKey) |
//! | 020A+n | [`RateLimits`] of two ports |
//! | 0217, 0218 | [`EepromCommand`], [`EepromData`] |
//! | 0300 | [`BridgeControl`] |
//! | 030B | [`VlanControl`] |
//! | 030C+n, 0319+n, 031D+3m | [`PvidIndices`], [`EgressTagModes`], [`VlanEntry`] |
//! | 0500 | [`PhyCommand`] |
//! | 0607 | [`FloodControl`] |
//! | 0619+n | [`LinkStates`] of two ports |
//! | 0700+n, 070D+ | [`MIB_BYTES`], [`Counter`] |
//!
//! Sources: datasheets RTL8316BP r1.2 and RTL8326 r3.1, and OpenRRCP, which runs on these chips.
//! A switch that nobody has seen these bits on may differ: read before you write.

mod access;
mod address;
mod global;
mod port;
mod vlan;

pub use access::{EepromCommand, EepromData, PhyCommand};
pub use address::Counter;
pub use global::{BridgeControl, Faults, FloodControl, ProtocolControl, Reset, mac_from_words, mac_to_words};
pub use global::{STORM_FILTER_BURST, STORM_FILTER_WINDOW};
pub use port::{LinkState, LinkStates, MIB_BYTES, PortHalves, Rate, RateLimits, Speed, loop_ports};
pub use vlan::{EgressTagMode, EgressTagModes, PvidIndices, VLAN_ENTRIES, VlanControl, VlanEntry};

/// The most ports that a chip of this family has: 26, of RTL8326.
pub const MAX_PORTS: u16 = 26;

/// A register whose bits are flags, each true in one of the two polarities.
macro_rules! flag_register {
    (
        $(#[$outer:meta])* $name:ident at $address:ident;
        $($(#[$inner:meta])* $get:ident, $with:ident: $polarity:ident $bit:literal;)*
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub struct $name(pub u16);

        impl $name {
            /// Where the register stands.
            pub const ADDRESS: crate::wire::RegisterAddress = crate::wire::RegisterAddress::$address;

            $(
                $(#[$inner])*
                pub const fn $get(self) -> bool {
                    (self.0 & 1 << $bit != 0) == flag_register!(@ $polarity)
                }

                #[doc = concat!("The value with [`", stringify!($get), "`](Self::", stringify!($get), ") as given.")]
                #[must_use]
                pub const fn $with(self, on: bool) -> Self {
                    let others = self.0 & !(1 << $bit);
                    Self(others | ((on == flag_register!(@ $polarity)) as u16) << $bit)
                }
            )*
        }
    };
    (@ set) => { true };
    (@ clear) => { false };
}
use flag_register;

#[cfg(test)]
mod tests;
