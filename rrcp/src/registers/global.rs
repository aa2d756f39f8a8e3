//! What concerns the whole switch.

use core::time::Duration;

use macaddr::MacAddr6;

use super::flag_register;
use crate::wire::RegisterAddress;

/// What to write to register 0000.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reset {
    /// Restarts the packet engine.
    Soft,
    /// As after power-on: loads straps and EEPROM again.
    Hard,
}

impl Reset {
    /// Where the register stands.
    pub const ADDRESS: RegisterAddress = RegisterAddress::RESET;

    /// The value that asks for it.
    pub const fn to_bits(self) -> u16 {
        match self {
            Self::Soft => 1 << 0,
            Self::Hard => 1 << 1,
        }
    }

    /// What `bits` ask for; hard wins, `None` if neither.
    pub const fn from_bits(bits: u16) -> Option<Self> {
        match bits & 0b11 {
            0b00 => None,
            0b01 => Some(Self::Soft),
            _ => Some(Self::Hard),
        }
    }
}

flag_register! {
    /// Register 0102. Trunk groups follow from bit 5 (8326) or 6 (8316BP) on: a mask that takes
    /// bit 6 for a loop is wrong on an 8316BP.
    Faults at FAULTS;
    /// A trunk lost a port.
    trunk_fault, with_trunk_fault: set 1;
    /// A loop is there; register 0101 says on which ports.
    loop_fault, with_loop_fault: set 2;
}

flag_register! {
    /// Register 0200. Two bits switch off, one switches on; defaults differ per chip and strap.
    ProtocolControl at PROTOCOL_CONTROL;
    /// RRCP is answered.
    rrcp, with_rrcp: clear 0;
    /// REP is answered.
    rep, with_rep: clear 1;
    /// Probes are sent and returns of them looked for.
    loop_detection, with_loop_detection: set 2;
}

flag_register! {
    /// Register 0300.
    BridgeControl at BRIDGE_CONTROL;
    /// Addresses that were learned are forgotten after a time.
    ageing, with_ageing: clear 0;
    /// That time is 12 s, not 300 s.
    fast_ageing, with_fast_ageing: set 1;
    /// Frames to 01-80-C2-00-00-04 to 0F are dropped. BPDUs (..00) are flooded either way: spanning
    /// tree sees through these switches.
    drop_reserved, with_drop_reserved: set 2;
    /// Unicast frames to unknown addresses are dropped, not flooded.
    drop_unknown, with_drop_unknown: set 3;
}

flag_register! {
    /// Register 0607.
    FloodControl at FLOOD_CONTROL;
    /// PAUSE frames are used on full-duplex links (IEEE 802.3x).
    pause, with_pause: clear 0;
    /// Half-duplex links are held back by collisions.
    back_pressure, with_back_pressure: clear 1;
    /// A broadcast goes out everywhere or nowhere.
    strict_broadcast, with_strict_broadcast: set 2;
    /// A multicast goes out everywhere or nowhere.
    strict_multicast, with_strict_multicast: set 3;
    /// The broadcast storm filter is on: [`STORM_FILTER_BURST`] in [`STORM_FILTER_WINDOW`].
    storm_filter, with_storm_filter: clear 4;
}

/// Consecutive broadcasts of one port that the storm filter lets through; any other frame starts
/// the count anew.
pub const STORM_FILTER_BURST: u32 = 64;

/// How often the storm filter starts its count anew: a pure storm is cut to 80 frames/s.
pub const STORM_FILTER_WINDOW: Duration = Duration::from_millis(800);

/// The address in registers 0203 to 0205, low byte first.
///
/// ```
/// # use rrcp::{MacAddr6, registers::mac_from_words};
/// let factory = MacAddr6::new(0x52, 0x54, 0x4C, 0x01, 0x02, 0x03);
/// assert_eq!(mac_from_words([0x5452, 0x014C, 0x0302]), factory);
/// ```
pub const fn mac_from_words([w0, w1, w2]: [u16; 3]) -> MacAddr6 {
    let ([a, b], [c, d], [e, f]) = (w0.to_le_bytes(), w1.to_le_bytes(), w2.to_le_bytes());
    MacAddr6::new(a, b, c, d, e, f)
}

/// What registers 0203 to 0205 hold for `mac`.
pub fn mac_to_words(mac: MacAddr6) -> [u16; 3] {
    let [a, b, c, d, e, f] = mac.into_array();
    [[a, b], [c, d], [e, f]].map(u16::from_le_bytes)
}
