//! Windows to what lies behind the chip: EEPROM and PHYs. Write a command, poll until it is done.

use crate::wire::RegisterAddress;

/// Register 0217: what to do with which byte of the EEPROM, and how it went.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct EepromCommand(pub u16);

impl EepromCommand {
    /// Where the register stands.
    pub const ADDRESS: RegisterAddress = RegisterAddress::EEPROM_COMMAND;

    /// Reads `address` of EEPROM `chip` (three bits) into the high byte of 0218.
    pub const fn read(chip: u8, address: u8) -> Self {
        Self(Self::write(chip, address).0 | 1 << 11)
    }

    /// Writes the low byte of 0218 to `address` of EEPROM `chip` (three bits).
    pub const fn write(chip: u8, address: u8) -> Self {
        Self((chip as u16 & 0b111) << 8 | address as u16)
    }

    /// Which byte.
    pub const fn address(self) -> u8 {
        self.0 as u8
    }

    /// Which EEPROM on the bus.
    pub const fn chip(self) -> u8 {
        (self.0 >> 8) as u8 & 0b111
    }

    /// Whether the command reads.
    pub const fn is_read(self) -> bool {
        self.0 & 1 << 11 != 0
    }

    /// The last command is still being done.
    pub const fn busy(self) -> bool {
        self.0 & 1 << 12 != 0
    }

    /// The EEPROM did not answer.
    pub const fn failed(self) -> bool {
        self.0 & 1 << 13 != 0
    }
}

/// Register 0218: a byte to the EEPROM and a byte from it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct EepromData(pub u16);

impl EepromData {
    /// Where the register stands.
    pub const ADDRESS: RegisterAddress = RegisterAddress::EEPROM_DATA;

    /// The byte that a write command takes.
    pub const fn to_write(self) -> u8 {
        self.0 as u8
    }

    /// The byte that a read command brought.
    pub const fn read(self) -> u8 {
        (self.0 >> 8) as u8
    }
}

/// Register 0500: which register of which PHY; 0501 is the data to write, 0502 the data read.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PhyCommand(pub u16);

impl PhyCommand {
    /// Where the register stands.
    pub const ADDRESS: RegisterAddress = RegisterAddress::PHY_COMMAND;

    /// Reads `register` (five bits) of `phy` (five bits).
    pub const fn read(phy: u8, register: u8) -> Self {
        Self((phy as u16 & 0x1F) << 5 | register as u16 & 0x1F)
    }

    /// Writes `register` (five bits) of `phy` (five bits).
    pub const fn write(phy: u8, register: u8) -> Self {
        Self(Self::read(phy, register).0 | 1 << 14)
    }

    /// Which PHY.
    pub const fn phy(self) -> u8 {
        (self.0 >> 5) as u8 & 0x1F
    }

    /// Which of its registers.
    pub const fn register(self) -> u8 {
        self.0 as u8 & 0x1F
    }

    /// Whether the command writes.
    pub const fn is_write(self) -> bool {
        self.0 & 1 << 14 != 0
    }

    /// The last command is still being done.
    pub const fn busy(self) -> bool {
        self.0 & 1 << 15 != 0
    }
}
