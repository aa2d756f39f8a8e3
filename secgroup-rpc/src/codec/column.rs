//! One small number per item: said once if all are equal, else at a fixed width.

use alloc::vec::Vec;

use super::{
    DecodeError,
    bits::{Reader, Writer},
};

/// Bits of a width.
const WIDTH_BITS: u32 = 6;

/// Writes a number per item; nothing if there are no items.
pub(super) fn write(to: &mut Writer, values: impl Iterator<Item = u64>) {
    let mut gathered = Gathered::default();
    values.for_each(|value| gathered.push(value));
    gathered.write(to);
}

/// A column before it is written. Numbers that are all equal, as most are, take no room.
#[derive(Clone, Debug)]
pub(super) struct Gathered<T> {
    first: Option<T>,
    /// How many are equal to the first one, up to one that differs.
    equal: usize,
    /// That one and all after it.
    rest: Vec<T>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { first: None, equal: 0, rest: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Gathered<T> {
    #[inline]
    pub(super) fn push(&mut self, value: T) {
        if self.rest.is_empty() && self.first == Some(value) {
            self.equal += 1;
        } else {
            self.push_other(value);
        }
    }

    fn push_other(&mut self, value: T) {
        if self.first.is_none() {
            (self.first, self.equal) = (Some(value), 1);
        } else {
            self.rest.push(value);
        }
    }

    #[inline]
    fn get(&self, at: usize) -> Option<T> {
        match at.checked_sub(self.equal) {
            None => self.first,
            Some(at) => self.rest.get(at).copied(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> + Clone + '_ {
        (0..self.equal + self.rest.len()).filter_map(|at| self.get(at))
    }

    /// True if there is nothing but `value`.
    pub(super) fn is_all(&self, value: T) -> bool {
        self.rest.is_empty() && self.first.is_none_or(|first| first == value)
    }
}

impl Gathered<u64> {
    /// As [`write`].
    pub(super) fn write(&self, to: &mut Writer) {
        let Some(first) = self.first else { return };
        to.bit(self.rest.is_empty());
        if self.rest.is_empty() {
            return to.number(first);
        }
        let width = 64 - self.rest.iter().fold(first, |all, value| all | value).leading_zeros();
        to.bits(width.into(), WIDTH_BITS);
        to.fields(self.iter(), width);
    }
}

impl<T: Copy + Ord> Gathered<Option<T>> {
    /// The values that there are, sorted, each once.
    pub(super) fn distinct(&self) -> Vec<T> {
        let mut distinct: Vec<T> = Vec::new();
        for value in self.first.iter().chain(&self.rest).flatten() {
            if distinct.last() != Some(value) {
                distinct.push(*value);
            }
        }
        crate::members::sort_as_set(&mut distinct);
        distinct
    }

    /// The position of each among `distinct` plus one; 0 for none.
    pub(super) fn positions(&self, distinct: &[T]) -> Gathered<u64> {
        let at = |value| distinct.binary_search(&value).map_or(0, |at| at as u64 + 1);
        let code = |value: &Option<T>| value.map_or(0, at);
        Gathered {
            first: self.first.as_ref().map(code),
            equal: self.equal,
            rest: self.rest.iter().map(code).collect(),
        }
    }
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
