//! MAC addresses: a table of vendors, then three bytes each.

use alloc::vec::Vec;

use macaddr::MacAddr6;

use super::{
    DecodeError,
    bits::{Reader, Writer, width},
    pool::BASE_VENDOR,
};

/// The address as a number, first byte highest.
pub(super) fn bits_of(mac: MacAddr6) -> u64 {
    let [a, b, c, d, e, f] = mac.into_array();
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// The address of [`bits_of`].
pub(super) fn mac_of(bits: u64) -> MacAddr6 {
    let [_, _, bytes @ ..] = bits.to_be_bytes();
    MacAddr6::from(bytes)
}

/// The vendors of a message being written.
#[derive(Debug, Default)]
pub(super) struct Vendors(Vec<u32>);

impl Vendors {
    /// The vendors of `macs`, given as numbers.
    pub(super) fn of(macs: impl Iterator<Item = u64>) -> Self {
        let mut vendors: Vec<u32> = Vec::new();
        for vendor in macs.map(|mac| (mac >> 24) as u32) {
            if vendors.last() != Some(&vendor) {
                vendors.push(vendor);
            }
        }
        vendors.sort_unstable();
        vendors.dedup();
        Self(vendors)
    }

    pub(super) fn write_table(&self, to: &mut Writer) {
        to.count(self.0.len());
        if let [only] = *self.0 {
            to.bit(only == BASE_VENDOR);
            if only == BASE_VENDOR {
                return;
            }
        }
        self.0.iter().for_each(|&vendor| to.bits(vendor.into(), 24));
    }

    /// Writes addresses given as numbers.
    pub(super) fn write_all(&self, to: &mut Writer, macs: &[u64]) {
        if self.0.len() == 1 {
            return to.fields(macs.iter().map(|bits| bits & 0xFF_FFFF), 24);
        }
        macs.iter().for_each(|&bits| self.write_bits(to, bits));
    }

    pub(super) fn write(&self, to: &mut Writer, mac: MacAddr6) {
        self.write_bits(to, bits_of(mac));
    }

    fn write_bits(&self, to: &mut Writer, bits: u64) {
        if self.0.len() > 1 {
            let at = self.0.binary_search(&((bits >> 24) as u32)).unwrap_or(0);
            to.bits(at as u64, width(self.0.len()));
        }
        to.bits(bits & 0xFF_FFFF, 24);
    }
}

/// The vendors of a message being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct VendorTable<'a> {
    count: usize,
    /// `None` for the one default vendor.
    table: Option<Reader<'a>>,
}

impl<'a> VendorTable<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.count(1)?;
        if count == 1 && reader.bit() {
            return Ok(Self { count, table: None });
        }
        let table = *reader;
        reader.skip(count, 24)?;
        Ok(Self { count, table: Some(table) })
    }

    /// Bits of one address.
    pub(super) const fn width(&self) -> u32 {
        width(self.count) + 24
    }

    pub(super) fn take(&self, reader: &mut Reader<'_>) -> MacAddr6 {
        let at = reader.bits(width(self.count)) as usize;
        let low = reader.bits(24);
        let vendor = match self.table {
            None => u64::from(BASE_VENDOR),
            Some(table) if at < self.count => table.moved(table.position() + at * 24).bits(24),
            Some(_) => 0,
        };
        mac_of(vendor << 24 | low)
    }
}
