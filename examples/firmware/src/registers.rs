//! PHY registers behind RRCP registers 0500 to 0502.

use rrcp::device::RegisterSpace;
use rrcp::wire::RegisterAddress;
use vlan_table::chip::Model;
use vlan_table::chip::registers::Image;

/// What a station writes and reads to get at the PHY registers: the image, and the data on its way.
#[derive(Clone, Debug)]
pub struct PhyAccess {
    /// The PHY registers.
    pub image: Image,
    model: Model,
    write_data: u16,
    read_data: u16,
}

impl PhyAccess {
    /// The registers after reset.
    pub fn after_reset(model: Model) -> Self {
        Self { image: Image::after_reset(model), model, write_data: 0, read_data: 0 }
    }

    /// Control word: register in bits 4 to 0, PHY in 9 to 5, bit 14 writes. It is never busy here.
    fn control(&mut self, word: u16) {
        let (phy, register) = ((word >> 5 & 0x1F) as u8, (word & 0x1F) as u8);
        if word & 1 << 14 == 0 {
            self.read_data = self.image.mdio_read(phy, register);
        } else {
            self.image.mdio_write(self.model, phy, register, self.write_data);
        }
    }
}

const CONTROL: RegisterAddress = RegisterAddress(0x0500);
const WRITE_DATA: RegisterAddress = RegisterAddress(0x0501);
const READ_DATA: RegisterAddress = RegisterAddress(0x0502);

impl RegisterSpace for PhyAccess {
    fn read(&mut self, register: RegisterAddress) -> Option<u32> {
        match register {
            CONTROL => Some(0),
            WRITE_DATA => Some(self.write_data.into()),
            READ_DATA => Some(self.read_data.into()),
            _ => None,
        }
    }

    fn write(&mut self, register: RegisterAddress, data: u32) {
        match register {
            CONTROL => self.control(data as u16),
            WRITE_DATA => self.write_data = data as u16,
            _ => {}
        }
    }
}
