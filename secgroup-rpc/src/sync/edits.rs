//! Edits of a set of bare addresses: what was added and removed, in the fewest bytes.

use alloc::vec::Vec;

use super::SyncError;
use super::digest::Address;
use super::wire::{Reader, put_varint};

/// One change of a set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Edit<A> {
    pub(super) address: A,
    pub(super) add: bool,
}

/// Applies edits, sorted by address, to a sorted set. Each must change something. O(n).
pub(super) fn apply<A: Address>(set: &mut Vec<A>, edits: &[Edit<A>]) {
    if let [edit] = edits {
        match (set.binary_search(&edit.address), edit.add) {
            (Err(at), true) => set.insert(at, edit.address),
            (Ok(at), false) => _ = set.remove(at),
            _ => {}
        }
        return;
    }
    let mut old = core::mem::take(set).into_iter().peekable();
    for edit in edits {
        while let Some(kept) = old.next_if(|address| *address < edit.address) {
            set.push(kept);
        }
        if edit.add {
            set.push(edit.address);
        } else {
            _ = old.next_if_eq(&edit.address);
        }
    }
    set.extend(old);
}

/// What the edits add to the digest of the set.
pub(super) fn digest<A: Address>(edits: &[Edit<A>]) -> u64 {
    edits.iter().fold(0, |sum: u64, edit| {
        let digest = edit.address.digest();
        if edit.add { sum.wrapping_add(digest) } else { sum.wrapping_sub(digest) }
    })
}

/// Writes edits of the sorted set `old`, sorted by address, each changing something. O(n).
pub(super) fn encode<A: Address>(old: &[A], edits: &[Edit<A>], out: &mut Vec<u8>) {
    let mut place = Place::default();
    for edit in edits {
        let rank = old.partition_point(|address| *address < edit.address);
        put_varint(out, ((rank - place.rank) as u64) << 2 | A::FAMILY << 1 | u64::from(edit.add));
        place.skip_to(rank, old);
        if edit.add {
            let base = place.before.map_or(0, |before| before + 1);
            put_varint(out, edit.address.to_bits() - base);
        } else {
            place.rank += 1;
        }
        place.before = Some(edit.address.to_bits());
    }
}

/// Where coding has got to in the old set.
#[derive(Default)]
struct Place {
    rank: usize,
    /// The last address passed, added or removed.
    before: Option<u128>,
}

impl Place {
    fn skip_to<A: Address>(&mut self, rank: usize, old: &[A]) {
        if rank > self.rank {
            self.before = rank.checked_sub(1).and_then(|last| old.get(last)).map(|address| address.to_bits());
            self.rank = rank;
        }
    }
}

/// Reads edits of two sets, one for each family, one edit at a time.
#[derive(Default)]
pub(super) struct Decoder {
    v4: Place,
    v6: Place,
}

/// An edit of either family.
pub(super) enum AnyEdit {
    V4(Edit<core::net::Ipv4Addr>),
    V6(Edit<core::net::Ipv6Addr>),
}

impl Decoder {
    /// The next edit of a set with these bare addresses.
    pub(super) fn next(
        &mut self,
        v4: &[core::net::Ipv4Addr],
        v6: &[core::net::Ipv6Addr],
        reader: &mut Reader<'_>,
    ) -> Result<AnyEdit, SyncError> {
        let first = reader.varint()?;
        let skip = usize::try_from(first >> 2).map_err(|_| reader.invalid("a rank beyond the set"))?;
        let add = first & 1 == 1;
        if first >> 1 & 1 == 0 {
            self.v4.next(v4, skip, add, reader).map(AnyEdit::V4)
        } else {
            self.v6.next(v6, skip, add, reader).map(AnyEdit::V6)
        }
    }
}

impl Place {
    fn next<A: Address>(
        &mut self,
        old: &[A],
        skip: usize,
        add: bool,
        reader: &mut Reader<'_>,
    ) -> Result<Edit<A>, SyncError> {
        let beyond = reader.invalid("a rank beyond the set");
        let rank = self.rank.checked_add(skip).filter(|rank| *rank <= old.len()).ok_or(beyond.clone())?;
        self.skip_to(rank, old);
        let next = old.get(rank).copied();
        let address = if add {
            let base = match self.before {
                Some(before) => before.checked_add(1),
                None => Some(0),
            };
            let distance = reader.wide_varint()?;
            let bits = base.and_then(|base| base.checked_add(distance));
            // What stands behind must stay behind, or the edit would have another rank.
            bits.and_then(A::from_bits)
                .filter(|address| next.is_none_or(|next| *address < next))
                .ok_or_else(|| reader.invalid("an address out of order"))?
        } else {
            self.rank += 1;
            next.ok_or(beyond)?
        };
        self.before = Some(address.to_bits());
        Ok(Edit { address, add })
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use core::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn addresses(bits: &BTreeSet<u8>) -> Vec<Ipv4Addr> {
        bits.iter().map(|bits| Ipv4Addr::from(u32::from(*bits))).collect()
    }

    proptest! {
        #[test]
        fn any_set_becomes_any_other(old: BTreeSet<u8>, new: BTreeSet<u8>) {
            let mut edits: Vec<_> = old.symmetric_difference(&new).map(|bits| Edit {
                address: Ipv4Addr::from(u32::from(*bits)),
                add: new.contains(bits),
            }).collect();
            edits.sort_by_key(|edit| edit.address);
            let (old, new) = (addresses(&old), addresses(&new));
            let mut out = Vec::new();
            encode(&old, &edits, &mut out);
            let (mut reader, mut decoder, mut decoded) = (Reader::new(&out), Decoder::default(), Vec::new());
            while !reader.is_empty() {
                match decoder.next(&old, &[], &mut reader).unwrap() {
                    AnyEdit::V4(edit) => decoded.push(edit),
                    AnyEdit::V6(_) => panic!("no such edit was written"),
                }
            }
            prop_assert_eq!(&decoded, &edits);
            let mut set = old;
            apply(&mut set, &decoded);
            prop_assert_eq!(set, new);
        }

        #[test]
        fn any_bytes_are_edits_that_change_something_or_an_error(old: BTreeSet<u8>, bytes: Vec<u8>) {
            let old = addresses(&old);
            let (mut reader, mut decoder, mut edits) = (Reader::new(&bytes), Decoder::default(), Vec::new());
            while !reader.is_empty() {
                match decoder.next(&old, &[], &mut reader) {
                    Ok(AnyEdit::V4(edit)) => edits.push(edit),
                    _ => break,
                }
            }
            prop_assert!(edits.is_sorted_by_key(|edit: &Edit<Ipv4Addr>| edit.address));
            let mut set = old.clone();
            apply(&mut set, &edits);
            prop_assert!(set.is_sorted_by(|a, b| a < b));
            let added = edits.iter().filter(|edit| edit.add).count();
            prop_assert_eq!(set.len() + edits.len() - added, old.len() + added);
        }
    }
}
