//! Numbers and ids in bytes.

use alloc::vec::Vec;

use super::SyncError;
use crate::Uuid;

/// Reads a message from the front; remembers how far it got.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], SyncError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).ok_or(SyncError::Truncated { at: self.bytes.len() })?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], SyncError> {
        let short = SyncError::Truncated { at: self.bytes.len() };
        self.bytes(N)?.try_into().map_err(|_| short)
    }

    pub(super) fn u8(&mut self) -> Result<u8, SyncError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, SyncError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, SyncError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, SyncError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, SyncError> {
        self.array().map(Uuid)
    }

    pub(super) fn varint(&mut self) -> Result<u64, SyncError> {
        u64::try_from(self.wide_varint()?).map_err(|_| self.invalid("a number beyond 64 bits"))
    }

    /// A distance between IPv6 addresses may need more than 64 bits.
    pub(super) fn wide_varint(&mut self) -> Result<u128, SyncError> {
        let mut value = 0u128;
        for shift in (0..=126).step_by(7) {
            let byte = self.u8()?;
            let bits = u128::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.invalid("a number of too many bytes"))
    }

    /// How many of something follow. Never sizes an allocation: the bytes for them must come.
    pub(super) fn count(&mut self) -> Result<usize, SyncError> {
        let count = self.varint()?;
        usize::try_from(count).map_err(|_| self.invalid("a count beyond all memory"))
    }

    pub(super) const fn invalid(&self, what: &'static str) -> SyncError {
        SyncError::Invalid { what, at: self.at }
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, value: impl Into<u128>) {
    let mut left = value.into();
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_varint(out, count as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_round_trip() {
        for value in (0..128).flat_map(|bit| [1u128 << bit, (1 << bit) - 1]).chain([u128::MAX]) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.wide_varint(), Ok(value));
            assert!(reader.is_empty());
            for cut in 0..out.len() {
                assert_eq!(Reader::new(&out[..cut]).wide_varint(), Err(SyncError::Truncated { at: cut }));
            }
        }
    }

    #[test]
    fn a_number_that_does_not_end_is_refused() {
        assert!(matches!(Reader::new(&[0x80; 64]).wide_varint(), Err(SyncError::Invalid { .. })));
        assert!(matches!(Reader::new(&[0xFF; 64]).varint(), Err(SyncError::Invalid { .. })));
    }
}
