//! One small number per item: said once if all are equal, else at a fixed width.

use super::{
    DecodeError,
    bits::{Reader, Writer},
};

/// Bits of a width.
const WIDTH_BITS: u32 = 6;

/// Writes a number per item; nothing if there are no items.
pub(super) fn write(to: &mut Writer, values: impl Iterator<Item = u64> + Clone) {
    let Some(first) = values.clone().next() else { return };
    let constant = values.clone().all(|value| value == first);
    to.bit(constant);
    if constant {
        return to.number(first);
    }
    let width = 64 - values.clone().fold(0, |all, value| all | value).leading_zeros();
    to.bits(width.into(), WIDTH_BITS);
    values.for_each(|value| to.bits(value, width));
}

/// A column in the bits; any item is found at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column<'a> {
    items: Reader<'a>,
    count: usize,
    /// 0 for a constant column.
    width: u32,
    constant: u64,
}

impl<'a> Column<'a> {
    /// Reads the head of a column of `count` numbers, and moves the reader behind it.
    pub(super) fn read(reader: &mut Reader<'a>, count: usize) -> Result<Self, DecodeError> {
        if count == 0 || reader.bit() {
            let constant = if count == 0 { 0 } else { reader.number() };
            return Ok(Self { items: *reader, count, width: 0, constant });
        }
        let width = reader.bits(WIDTH_BITS) as u32;
        let items = *reader;
        reader.skip(count, width)?;
        Ok(Self { items, count, width, constant: 0 })
    }

    /// The number of item `at`.
    #[inline]
    pub(super) fn get(&self, at: usize) -> u64 {
        if self.width == 0 {
            return self.constant;
        }
        self.items.moved(self.items.position() + at * self.width as usize).bits(self.width)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u64> + Clone + 'a {
        (0..self.count).map(move |at| self.get(at))
    }

    /// The sum, or an error if it is beyond what a message can hold.
    pub(super) fn sum(&self) -> Result<usize, DecodeError> {
        let sum = if self.width == 0 {
            self.constant.saturating_mul(self.count as u64)
        } else {
            self.iter().fold(0, u64::saturating_add)
        };
        usize::try_from(sum).map_err(|_| self.items.invalid("a sum of counts beyond the message"))
    }
}

/// Numbers of one width in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flat<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) width: u32,
    pub(super) left: usize,
}

impl<'a> Flat<'a> {
    /// The next `count` numbers; the rest stays here.
    pub(super) fn split(&mut self, count: u64) -> Self {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.left);
        let part = Self { left: count, ..*self };
        self.left -= count;
        self.reader = self.reader.moved(self.reader.position() + count * self.width as usize);
        part
    }
}

impl Iterator for Flat<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        Some(self.reader.bits(self.width) as usize)
    }
}
