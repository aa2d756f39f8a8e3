//! Internet checksums, corrected for a change of a few bytes (RFC 1624) instead of computed anew.
//!
//! An update keeps a right checksum right and a wrong one wrong: what was damaged before it came
//! to us must not look sound afterwards.

/// The checksum after `old` was replaced by `new` at `offset` in the region that it covers.
///
/// RFC 1624, equation 3: `HC' = ~(~HC + ~m + m')`. Only whether `offset` is odd matters: the words
/// of the sum are aligned to the start of the region. Bytes beyond the shorter of the two slices
/// are ignored. O(length).
///
/// ```
/// use mac_nat::checksum::adjust;
///
/// // A hardware address inside a neighbour solicitation.
/// assert_eq!(adjust(0xE5FF, 26, &[0xFA, 0x16, 0x3E, 0, 0, 1], &[0x52, 0x54, 0, 0xAA, 0, 1]), 0xCB18);
/// ```
#[inline]
pub fn adjust(checksum: u16, offset: usize, old: &[u8], new: &[u8]) -> u16 {
    let len = old.len().min(new.len());
    let (old, new) = (old.get(..len).unwrap_or_default(), new.get(..len).unwrap_or_default());
    let words = old.chunks(2).map(word).zip(new.chunks(2).map(word));
    let change = fold(words.map(|(old, new)| u64::from(!old) + u64::from(new)).sum());
    // The sum of swapped words is the swapped sum (RFC 1071, 2 B).
    let change = if offset.is_multiple_of(2) { change } else { change.swap_bytes() };
    !fold(u64::from(!checksum) + u64::from(change))
}

/// As [`adjust`], for UDP over IPv4: 0 means "no checksum" and stays, a result of 0 is sent as
/// `0xFFFF` (RFC 768).
pub fn adjust_udp(checksum: u16, offset: usize, old: &[u8], new: &[u8]) -> u16 {
    match checksum {
        0 => 0,
        _ => match adjust(checksum, offset, old, new) {
            0 => 0xFFFF,
            adjusted => adjusted,
        },
    }
}

/// The checksum of `parts`, laid end to end; every part but the last has an even length.
pub(crate) fn compute(parts: &[&[u8]]) -> u16 {
    !fold(parts.iter().flat_map(|part| part.chunks(2)).map(|bytes| u64::from(word(bytes))).sum())
}

/// Two bytes, or the last one, which stands in the upper half.
#[inline]
fn word(bytes: &[u8]) -> u16 {
    match *bytes {
        [high, low] => u16::from_be_bytes([high, low]),
        [high] => u16::from_be_bytes([high, 0]),
        _ => 0,
    }
}

#[inline]
fn fold(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: [u8; 6] = [0xFA, 0x16, 0x3E, 0, 0, 1];
    const E: [u8; 6] = [0x52, 0x54, 0, 0xAA, 0, 1];
    const W: [u8; 6] = [0x02, 0, 0, 0xC5, 0x7A, 0x11];

    /// Computed by hand and checked against frames that a Linux kernel accepted.
    #[test]
    fn known_changes_give_known_checksums() {
        assert_eq!(adjust(0xE5FF, 26, &V, &E), 0xCB18, "neighbour solicitation");
        assert_eq!(adjust(0x8373, 26, &V, &E), 0x688C, "neighbour advertisement");
        assert_eq!(adjust(0x0EFE, 10, &V, &E), 0xF416, "router solicitation");
        assert_eq!(adjust_udp(0x1234, 36, &V, &W), 0xCD75, "chaddr");
        assert_eq!(adjust_udp(0x1234, 37, &V, &W), 0x53EF, "an address at an odd offset");
        for (old, new) in [(0x1234, 0x9233), (0x1000, 0x8FFF), (0x7F00, 0xFEFF), (0x8000, 0xFFFF)] {
            assert_eq!(adjust_udp(old, 18, &[0, 0], &[0x80, 0]), new, "DHCP broadcast flag");
        }
    }

    /// One kernel adds the difference without the carry, another loses it in 32 bits: both are
    /// wrong for 127 of these values.
    #[test]
    fn setting_the_broadcast_flag_is_right_for_every_checksum() {
        for before in 1..=0xFFFF_u16 {
            let after = adjust_udp(before, 18, &[0, 0], &[0x80, 0]);
            let sum = |checksum: u16, flags: u32| (u32::from(checksum) + flags) % 0xFFFF;
            assert_eq!(sum(after, 0x8000), sum(before, 0), "{before:#06x}");
            assert_ne!(after, 0, "{before:#06x} would read as \"no checksum\"");
        }
    }

    #[test]
    fn no_checksum_stays_no_checksum() {
        assert_eq!(adjust_udp(0, 36, &V, &W), 0);
    }

    #[test]
    fn an_update_agrees_with_a_computation() {
        for offset in 0..8 {
            let mut data = *b"some bytes that are checksummed";
            let before = compute(&[&data]);
            let old: [u8; 6] = data[offset..offset + 6].try_into().unwrap();
            data[offset..offset + 6].copy_from_slice(&W);
            assert_eq!(adjust(before, offset, &old, &W), compute(&[&data]), "offset {offset}");
        }
    }
}
