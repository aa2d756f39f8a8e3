//! A switch whose registers can be read and written, wherever it is.

use anyhow::Result;
use rrcp::PortMask;
use rrcp::client::Write;
use rrcp::registers::PortHalves;
use rrcp::wire::RegisterAddress;

/// One switch. Commands are written against this, so that tests need no network.
pub trait Remote {
    /// Reads a register.
    ///
    /// # Errors
    /// [`rrcp::client::Failure`] if the switch does not answer.
    fn read(&mut self, register: RegisterAddress) -> Result<u32>;

    /// Writes a register and reads it back; returns what it reads, `None` if it clears itself.
    ///
    /// # Errors
    /// [`rrcp::client::StartError`] if that is dangerous and not consented to,
    /// [`rrcp::client::Failure`] if the switch does not answer or keeps another value.
    fn write(&mut self, write: Write) -> Result<Option<u32>>;

    /// Reads a register of 16 bits.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_word(&mut self, register: RegisterAddress) -> Result<u16> {
        Ok(self.read(register)? as u16)
    }

    /// Reads a set of ports in two registers.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_ports(&mut self, low: RegisterAddress) -> Result<PortMask> {
        let halves = PortHalves { low: self.read_word(low)?, high: self.read_word(low.offset(1))? };
        Ok(halves.ports())
    }

    /// Writes a register of 16 bits if it holds something else.
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`write`](Self::write).
    fn update(&mut self, register: RegisterAddress, word: u16) -> Result<()> {
        if self.read_word(register)? != word {
            self.write(Write::new(register, word))?;
        }
        Ok(())
    }
}
