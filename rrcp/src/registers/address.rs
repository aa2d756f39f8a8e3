//! Where registers stand, and their names.

use crate::PortId;
use crate::wire::RegisterAddress;

impl RegisterAddress {
    /// Soft and hard reset; write-only, clears itself.
    pub const RESET: Self = Self(0x0000);
    /// Loop per port, 32 bits; clears itself.
    pub const LOOP_PORTS: Self = Self(0x0101);
    /// Trunk and loop faults.
    pub const FAULTS: Self = Self(0x0102);
    /// RRCP, REP and loop detection on or off.
    pub const PROTOCOL_CONTROL: Self = Self(0x0200);
    /// Ports 0..16 that ignore RRCP, a bit each; the next register has the others.
    pub const RRCP_IGNORED: Self = Self(0x0201);
    /// First of three: the switch's own address.
    pub const MAC: Self = Self(0x0203);
    /// Chip id, low 8 bits.
    pub const CHIP_ID: Self = Self(0x0206);
    /// Low half of the vendor id; the next register has the high half.
    pub const VENDOR_ID: Self = Self(0x0207);
    /// Authentication key.
    pub const AUTH_KEY: Self = Self(0x0209);
    /// First of thirteen: rate limits of two ports.
    pub const RATE_LIMITS: Self = Self(0x020A);
    /// EEPROM address and command.
    pub const EEPROM_COMMAND: Self = Self(0x0217);
    /// EEPROM data.
    pub const EEPROM_DATA: Self = Self(0x0218);
    /// First of six: port mirroring: on, and the masks for what is received and sent.
    pub const MIRROR: Self = Self(0x0219);
    /// Ageing, reserved addresses, unknown destinations.
    pub const BRIDGE_CONTROL: Self = Self(0x0300);
    /// Ports 0..16 that do not learn, a bit each; the next register has the others.
    pub const LEARNING_OFF: Self = Self(0x0301);
    /// Trunk groups.
    pub const TRUNK_GROUPS: Self = Self(0x0307);
    /// The other register of 32 bits below the counters.
    pub const WIDE_0309: Self = Self(0x0309);
    /// VLANs on or off, leaks, filters.
    pub const VLAN_CONTROL: Self = Self(0x030B);
    /// First of thirteen: index of the VLAN entry that is the PVID of two ports.
    pub const PVID_INDICES: Self = Self(0x030C);
    /// First of four: egress tag mode of eight ports.
    pub const EGRESS_TAG_MODES: Self = Self(0x0319);
    /// First of 96: three for each VLAN entry.
    pub const VLAN_ENTRIES: Self = Self(0x031D);
    /// Ports 0..16 that insert their PVID, a bit each; the next register has the others.
    pub const INSERT_PVID: Self = Self(0x037D);
    /// PHY address and command; write data and read data follow.
    pub const PHY_COMMAND: Self = Self(0x0500);
    /// Flow control, flooding, storm filter.
    pub const FLOOD_CONTROL: Self = Self(0x0607);
    /// Ports 0..16 that are off, a bit each; the next register has the others.
    pub const PORTS_OFF: Self = Self(0x0608);
    /// First of thirteen: link state of two ports.
    pub const LINK_STATES: Self = Self(0x0619);
    /// First of thirteen: what the counters of two ports count.
    pub const MIB_SELECT: Self = Self(0x0700);
    /// First of 78: counters of 32 bits.
    pub const MIB_COUNTERS: Self = Self(0x070D);

    /// The register `offset` behind this one, with wrap-around.
    pub const fn offset(self, offset: u16) -> Self {
        Self(self.0.wrapping_add(offset))
    }

    /// Of a row with one register for two ports (such as [`LINK_STATES`](Self::LINK_STATES)), the
    /// one that holds `port`.
    pub const fn of_port_pair(self, port: PortId) -> Self {
        self.offset(port.get() / 2)
    }

    /// The first of the three registers of VLAN entry `index`, below
    /// [`VLAN_ENTRIES`](super::VLAN_ENTRIES).
    pub const fn vlan_entry(index: u8) -> Self {
        Self::VLAN_ENTRIES.offset(index as u16 * 3)
    }

    /// The 32-bit counter of `port`, below [`MAX_PORTS`](super::MAX_PORTS).
    pub const fn counter(counter: Counter, port: PortId) -> Self {
        let row = match counter {
            Counter::Received => 0,
            Counter::Sent => 1,
            Counter::Dropped => 2,
        };
        Self::MIB_COUNTERS.offset(row * super::MAX_PORTS + port.get())
    }

    /// Whether the register has 32 bits: 0101, 0309 and the counters. All others have 16.
    pub const fn is_wide(self) -> bool {
        matches!(self.0, 0x0101 | 0x0309 | 0x070D..=0x075A)
    }

    /// What the register is called here; `None` if nothing is known about it.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x0000 => "reset",
            0x0101 => "loop ports",
            0x0102 => "faults",
            0x0200 => "protocol control",
            0x0201..=0x0202 => "RRCP ignored on ports",
            0x0203..=0x0205 => "MAC address",
            0x0206 => "chip id",
            0x0207..=0x0208 => "vendor id",
            0x0209 => "authentication key",
            0x020A..=0x0216 => "rate limits",
            0x0217 => "EEPROM command",
            0x0218 => "EEPROM data",
            0x0219..=0x021E => "port mirroring",
            0x0300 => "bridge control",
            0x0301..=0x0302 => "learning off on ports",
            0x0307 => "trunk groups",
            0x030B => "VLAN control",
            0x030C..=0x0318 => "PVID indices",
            0x0319..=0x031C => "egress tag modes",
            0x031D..=0x037C => "VLAN entry",
            0x037D..=0x037E => "insert PVID on ports",
            0x0500 => "PHY command",
            0x0501 => "PHY write data",
            0x0502 => "PHY read data",
            0x0607 => "flood control",
            0x0608..=0x0609 => "ports off",
            0x0619..=0x0625 => "link states",
            0x0700..=0x070C => "counter selection",
            0x070D..=0x0726 => "received",
            0x0727..=0x0740 => "sent",
            0x0741..=0x075A => "dropped",
            _ => return None,
        })
    }
}

/// Which of a port's three counters. They do not clear on read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Counter {
    /// Received on the port.
    Received,
    /// Sent on the port.
    Sent,
    /// Received and dropped.
    Dropped,
}
