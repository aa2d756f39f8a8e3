//! Register images as text: what a person copies out of a console, and what a tool prints.

use core::fmt;

use super::Model;
use super::registers::Image;

/// Why text is no register dump; lines are counted from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// A line is neither `page N`, nor `PHY.REGISTER = VALUE`, nor empty, nor a `#` comment.
    #[error("line {line} is neither `page N` nor `PHY.REGISTER = VALUE`")]
    Syntax {
        /// The line.
        line: usize,
    },
    /// There is no such page or register.
    #[error("line {line}: no register {phy}.{register} on page {page}")]
    NoSuchRegister {
        /// The line.
        line: usize,
        /// The page.
        page: u8,
        /// The PHY address.
        phy: u8,
        /// The register number.
        register: u8,
    },
    /// A register is given twice.
    #[error("line {line}: register {phy}.{register} of page {page} is given twice")]
    Duplicate {
        /// The second of the two lines.
        line: usize,
        /// The page.
        page: u8,
        /// The PHY address.
        phy: u8,
        /// The register number.
        register: u8,
    },
}

impl Image {
    /// Reads a dump: lines `PHY.REGISTER = VALUE` (`=` may be missing, values are decimal or `0x`
    /// hexadecimal), pages started by `page N`, comments from `#` to the end of the line. Registers that
    /// are not named have their [reset value](Image::after_reset).
    ///
    /// ```
    /// use vlan_table::chip::registers::Image;
    /// use vlan_table::chip::Model;
    ///
    /// let text = "0.18 = 0x1c04  # VLANs on\npage 1\n0.27 = 100  # entry F";
    /// let config = Image::parse(text, Model::RTL8305SC)?.to_config(Model::RTL8305SC)?;
    /// assert!(config.vlan_enabled);
    /// assert_eq!(config.entries[5].vid, 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DumpError`] names the line.
    pub fn parse(text: &str, model: Model) -> Result<Self, DumpError> {
        let mut image = Self::after_reset(model);
        let mut seen = Self::ZERO;
        let mut page = 0;
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            if let Some(number) = content.strip_prefix("page ") {
                page = number.trim().parse().map_err(|_| DumpError::Syntax { line })?;
                continue;
            }
            let (phy, register, value) = assignment(content).ok_or(DumpError::Syntax { line })?;
            if !image.set(page, phy, register, value) {
                return Err(DumpError::NoSuchRegister { line, page, phy, register });
            }
            if seen.get(page, phy, register) == Some(1) {
                return Err(DumpError::Duplicate { line, page, phy, register });
            }
            seen.set(page, phy, register, 1);
        }
        Ok(image)
    }

    /// The registers that a VLAN configuration of `model` touches, as text that
    /// [`parse`](Self::parse) reads.
    pub const fn dump(&self, model: Model) -> Dump<'_> {
        Dump { image: self, model }
    }
}

fn assignment(line: &str) -> Option<(u8, u8, u16)> {
    let (register, value) = line.split_once(['=', ' ', '\t'])?;
    let (phy, register) = register.trim().split_once('.')?;
    let value = value.trim_start_matches(['=', ' ', '\t']);
    let value = match value.strip_prefix("0x").or(value.strip_prefix("0X")) {
        Some(digits) => u16::from_str_radix(digits, 16).ok()?,
        None => value.parse().ok()?,
    };
    Some((phy.parse().ok()?, register.parse().ok()?, value))
}

/// Writes a register image as text; see [`Image::dump`].
#[derive(Clone, Copy, Debug)]
pub struct Dump<'a> {
    image: &'a Image,
    model: Model,
}

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}, registers as PHY.REGISTER", self.model.name)?;
        let reset = Image::after_reset(self.model);
        for (page, registers) in [(0, &[16, 18, 22, 24, 25][..]), (1, &[26, 27, 28, 29, 30, 31])] {
            writeln!(f, "page {page}")?;
            for (phy, register) in
                (0..Image::PHYS as u8).flat_map(|phy| registers.iter().map(move |r| (phy, *r)))
            {
                let [value, usual] = [self.image, &reset].map(|image| image.get(page, phy, register));
                // A register that is 0 and always was is most likely none.
                if let Some(value) = value.filter(|value| *value != 0 || usual != Some(0)) {
                    writeln!(f, "{phy}.{register} = {value:#06x}")?;
                }
            }
        }
        Ok(())
    }
}
