//! One cache line of the table: six entries and their tags.

use crate::entry::{LAST_STAMP, Record, Window};
use crate::permutation::Permuted;
use crate::store::NEVER;

/// Six entries in a cache line.
///
/// Words 2..=7 are entries, 0 if free. Words 0 and 1 hold tags in 16-bit lanes: lane `l` of word `w` belongs to
/// entry `2 * l + w`. All tags are complemented and have 15 bits, so that an equal one, and no other, becomes
/// 0x8000 by an exclusive or and a one. Lane 0 is for entries of this line that had to go to a neighbour:
/// that of word 0 is the tag of the first of them, that of word 1 their number, its highest bit set when there is one that
/// word 0 does not tell of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(align(64))]
pub(super) struct Line([u64; 8]);

/// Places of entries in a line.
pub(super) const PLACES: core::ops::Range<usize> = 2..8;

const TAG: u64 = 0x7FFF;
const LANE: usize = 16;
/// One in each lane.
const ONES: u64 = 0x0001_0001_0001_0001;
/// Highest bit of each lane.
const HIGH: u64 = 0x8000_8000_8000_8000;
/// In word 1: more entries are elsewhere than the one that word 0 tells of.
const MORE: u64 = 0x8000;

/// Where in a line a tag was found.
#[derive(Clone, Copy)]
pub(super) struct Found(u32);

impl Found {
    /// The place; 0 or 1, where no entry is, if there is none with this tag.
    #[inline(always)]
    pub(super) const fn place(self) -> usize {
        (self.0 & 0x38) as usize / 8 // the mask changes nothing, but saves a check
    }

    /// 0 if the key certainly is not in the table.
    #[inline(always)]
    pub(super) const fn doubt(self) -> u32 {
        self.0
    }
}

/// An entry that may go: its rank, the time that it was last seen, its place.
#[derive(Clone, Copy)]
pub(super) struct Oldest(u32);

const RANK_SHIFT: u32 = Record::STAMP_BITS + 3;
const AGE: u32 = (1 << RANK_SHIFT) - 1;

impl Oldest {
    #[inline(always)]
    pub(super) const fn rank(self) -> u32 {
        self.0 >> RANK_SHIFT
    }

    #[inline(always)]
    pub(super) const fn place(self) -> usize {
        self.0 as usize & 7
    }
}

impl Line {
    pub(super) const EMPTY: Self = Self([0; 8]);

    /// Looks for a tag: all lanes at once, the highest entry counts. Byte `n` of the combined result stands for
    /// place `n`.
    #[inline(always)]
    pub(super) fn find(&self, needle: Needle) -> Found {
        let [even, odd, ..] = self.0;
        let wanted = needle.tag().wrapping_mul(ONES);
        let even = (even ^ wanted).wrapping_add(ONES) & HIGH;
        let odd = (odd ^ wanted).wrapping_add(ONES - 1) & HIGH; // of lane 0 only `MORE` counts
        Found((even >> 8 | odd | 1).ilog2())
    }

    /// Whether no trace of former entries is left.
    pub(super) fn is_pristine(&self) -> bool {
        *self == Self::EMPTY
    }

    /// The word in a place, `0..8`.
    #[inline(always)]
    pub(super) fn word(&self, place: usize) -> u64 {
        self.0.get(place & 7).copied().unwrap_or(0) // `place & 7` is in range: no branch is left
    }

    #[inline(always)]
    pub(super) fn set_word(&mut self, place: usize, word: u64) {
        if let Some(old) = self.0.get_mut(place & 7) {
            *old = word;
        }
    }

    #[inline(always)]
    pub(super) fn tag(&self, place: usize) -> u64 {
        !(self.word(place % 2) >> (place / 2 * LANE)) & TAG
    }

    #[inline(always)]
    fn set_tag(&mut self, place: usize, tag: u64) {
        let shift = place / 2 * LANE;
        self.set_word(place % 2, self.word(place % 2) & !(TAG << shift) | (tag ^ TAG) << shift);
    }

    #[inline(always)]
    pub(super) fn put(&mut self, place: usize, tag: u64, word: u64) {
        self.set_word(place, word);
        self.set_tag(place, tag);
    }

    /// Frees a place; returns what was there.
    #[inline]
    pub(super) fn clear(&mut self, place: usize) -> (u64, u64) {
        let old = (self.tag(place), self.word(place));
        self.put(place, TAG, 0);
        old
    }

    /// The longest silent of the entries that `rank` lowest: only dynamic and locked ones count.
    ///
    /// The lower bit of the class is set in all others, and a free place is made the oldest of them, so that one
    /// number orders all six.
    #[inline(always)]
    pub(super) fn oldest(&self, rank: impl Fn(Record) -> u32) -> Option<Oldest> {
        let mut oldest = u32::MAX;
        for (place, word) in self.entries() {
            let silence = ((word >> Record::PORT_BITS) as u32 & SILENCE).wrapping_sub(1);
            let rank = rank(record(word)) | (NEVER * u32::from(silence >= LAST_STAMP.into()));
            oldest = oldest.min(rank << RANK_SHIFT | (silence << 3 | place as u32) & AGE);
        }
        (oldest < NEVER << RANK_SHIFT).then_some(Oldest(oldest))
    }

    #[inline]
    pub(super) fn free_place(&self) -> Option<usize> {
        self.entries().find(|(_, word)| *word == 0).map(|(place, _)| place)
    }

    /// Notes that an entry with this tag went to a neighbour.
    pub(super) fn point(&mut self, tag: u64) {
        let [even, odd, ..] = &mut self.0;
        if *odd & TAG == 0 {
            *even = *even & !TAG | tag ^ TAG;
        } else {
            *odd |= MORE;
        }
        *odd += 1;
    }

    /// Notes that an entry is with a neighbour no more. Which one is left is not known then: see
    /// [`Line::is_vague`].
    pub(super) fn unpoint(&mut self) {
        let [even, odd, ..] = &mut self.0;
        *odd -= 1;
        if *odd & TAG == 0 {
            *odd &= !MORE;
            *even &= !TAG;
        }
    }

    /// Whether one entry is with a neighbour, and its tag should be given to [`Line::repoint`].
    pub(super) fn is_vague(&self) -> bool {
        let [_, odd, ..] = self.0;
        odd & (MORE | TAG) == MORE | 1
    }

    /// Says which entry is the only one with a neighbour.
    pub(super) fn repoint(&mut self, tag: u64) {
        let [even, odd, ..] = &mut self.0;
        *even = *even & !TAG | tag ^ TAG;
        *odd &= !MORE;
    }

    /// Places and words, free ones too.
    #[inline(always)]
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.0.iter().copied().enumerate().skip(PLACES.start)
    }

    /// Reads one word: brings the line into the cache.
    #[inline(always)]
    pub(super) fn touch(&self) -> u64 {
        let [tags, ..] = self.0;
        tags
    }
}

/// A permuted key as a line wants it.
///
/// | bits | content of the permuted key | of a word |
/// |---|---|---|
/// | 0..=2 | zeros | port |
/// | 3..=17 | tag | port and stamp |
/// | 18..=25 | follow from the number of the line | stamp (12 bits) and class (2) |
/// | 26..=62 | the rest | the same |
/// | 63 | | set if the entry is in its own line |
///
/// So one subtraction tells whether a word is under a key, in its own line, dynamic and seen lately enough:
/// then the difference is that of the stamps, with the port below.
#[derive(Clone, Copy)]
pub(super) struct Needle(Permuted);

const TAG_SHIFT: u32 = 3;
const RECORD: u64 = (1 << Record::BITS) - 1;
const KEY: u64 = !RECORD & !HOME;
/// The entry is in its own line. Words of tags never have it.
pub(super) const HOME: u64 = Window::MARK;
/// Of the stamp and class those bits by which an evictable record is smaller than others.
const SILENCE: u32 = 1 << Record::STAMP_BITS | LAST_STAMP as u32;

impl Needle {
    pub(super) const NONE: Self = Self(Permuted(0));

    #[inline(always)]
    pub(super) const fn new(permuted: Permuted) -> Self {
        Self(permuted)
    }

    /// The number of its line among `lines`, a power of two.
    #[inline(always)]
    pub(super) const fn line(self, lines: usize) -> usize {
        self.0.bucket(lines)
    }

    #[inline(always)]
    pub(super) const fn tag(self) -> u64 {
        self.0.0 >> TAG_SHIFT & TAG
    }

    #[inline(always)]
    const fn key(self) -> u64 {
        self.0.0 & KEY
    }

    /// The word of a record under this key; `HOME` or 0 for `home`.
    #[inline(always)]
    pub(super) const fn word(self, home: u64, record: Record) -> u64 {
        self.key() | home | record.bits()
    }

    /// Whether a word with the same tag is that of this key.
    #[inline]
    pub(super) const fn fits(self, word: u64, home: u64) -> bool {
        word & !RECORD == self.key() | home
    }

    /// Whether a word is that of this key in its own line, and dynamic with a stamp in the window.
    #[inline(always)]
    pub(super) const fn is_alive(self, word: u64, window: Window) -> bool {
        word.wrapping_sub(self.key() | window.earliest) <= window.later
    }

    /// The word of this key in its own line, on a port and seen now.
    #[inline(always)]
    pub(super) const fn fresh(self, port: u16, window: Window) -> u64 {
        self.key() | window.latest | port as u64
    }

    /// Whether a word is like a fresh one but for its stamp, which is in the window.
    #[inline(always)]
    pub(super) const fn is_refreshed_by(word: u64, fresh: u64, window: Window) -> bool {
        fresh.wrapping_sub(word).rotate_right(Record::PORT_BITS) <= window.span
    }

    /// The permuted key of a word that belongs to the line `home`.
    #[inline]
    pub(super) const fn permuted(tag: u64, word: u64, home: usize) -> Permuted {
        Permuted(word & KEY | tag << TAG_SHIFT).with_bucket(home)
    }
}

#[inline(always)]
pub(super) const fn record(word: u64) -> Record {
    Record::from_bits(word)
}

/// The word with another record.
#[inline(always)]
pub(super) const fn with_record(word: u64, record: Record) -> u64 {
    word & !RECORD | record.bits()
}

/// How many neighbours a line has: one for each of the lowest tags.
pub(super) const DIRECTIONS: u64 = 8;

/// What the numbers of a line and of its neighbour that takes the overflow with this tag differ in. Eight
/// directions in which a crowd can spread, all within 4 KiB.
#[inline(always)]
pub(super) const fn direction(tag: u64) -> usize {
    const STEPS: u64 = 0x3807_2010_0804_0201;
    (STEPS >> (tag % DIRECTIONS * 8)) as usize & 0x3F
}
