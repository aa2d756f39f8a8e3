//! One cache line of the table: six entries, their tags and a filter.

use crate::entry::{LAST_STAMP, Record};
use crate::permutation::Permuted;

/// Six entries in a cache line.
///
/// Words 0..=5 are entries, 0 if free. Words 6 and 7 hold their tags in the lower three 16-bit lanes: lane `l` of
/// word `6 + t` belongs to entry `2 * l + t`. The highest bit of both is set, which no entry in its own line has;
/// below it word 6 has the filter that says which neighbours hold entries of this line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Line([u64; 8]);

/// Entries of a line.
pub(super) const WAYS: usize = 6;
const TAGS: usize = 6;
const FILTER_SHIFT: u32 = 48;

/// Highest bit of each lane.
const HIGH: u64 = 0x8000_8000_8000_8000;
/// One in each lane.
const ONES: u64 = 0x0001_0001_0001_0001;

impl Line {
    pub(super) const EMPTY: Self = Self([0, 0, 0, 0, 0, 0, ASIDE, ASIDE]);

    /// The lowest entry with this tag, or 6 if there is none.
    ///
    /// Tags and lanes are below 0x8000, so `0x8000 - (lane ^ tag)` has its highest bit set just
    /// if they are equal, and no lane borrows from the next. The two results are woven together so that
    /// byte `n` stands for entry `n`.
    #[inline(always)]
    pub(super) fn place_of(&self, tag: u64) -> usize {
        const NONE: u64 = 1 << (8 * TAGS + 7);
        let [.., even, odd] = self.0;
        let wanted = tag * ONES;
        let even = HIGH.wrapping_sub(even ^ wanted) & HIGH;
        let odd = HIGH.wrapping_sub(odd ^ wanted) & HIGH;
        ((even >> 8 | odd | NONE).trailing_zeros() / 8) as usize
    }

    /// Whether no trace of former entries is left.
    pub(super) fn is_pristine(&self) -> bool {
        let Self([words @ .., even, odd]) = self;
        words.iter().all(|word| *word == 0) && (even | odd) >> FILTER_SHIFT == ASIDE >> FILTER_SHIFT
    }

    /// The word in a place that [`Line::place_of`] gave.
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
        let tags = self.0.get(TAGS + place % 2).copied().unwrap_or(0);
        tags >> (place / 2 % 4 * 16) & TAG
    }

    #[inline]
    pub(super) fn put(&mut self, place: usize, tag: u64, word: u64) {
        self.set_word(place, word);
        if let Some(tags) = self.0.get_mut(TAGS + place % 2) {
            let shift = place / 2 % 4 * 16;
            *tags = *tags & !(TAG << shift) | tag << shift;
        }
    }

    /// Frees a place; returns what was there.
    #[inline]
    pub(super) fn clear(&mut self, place: usize) -> (u64, u64) {
        let old = (self.tag(place), self.word(place));
        self.set_word(place, 0);
        old
    }

    /// The longest silent entry that `may` go: only dynamic and locked ones are asked for.
    #[inline]
    pub(super) fn oldest(&self, may: impl Fn(Record) -> bool) -> Option<usize> {
        const NOBODY: u16 = u16::MAX;
        let mut oldest = NOBODY; // stamp and place
        for (place, word) in self.entries() {
            let record = record(word);
            let age = (record.meta & LAST_STAMP) << 3 | place as u16;
            let may = (record.meta != 0) & record.is_evictable() && may(record);
            oldest = oldest.min(if may { age } else { NOBODY });
        }
        (oldest != NOBODY).then_some(usize::from(oldest & 7))
    }

    #[inline]
    pub(super) fn free_place(&self) -> Option<usize> {
        self.entries().find(|(_, word)| *word == 0).map(|(place, _)| place)
    }

    /// Whether the neighbour in the direction of this tag has entries of this line.
    #[inline(always)]
    pub(super) fn may_have_neighbour(&self, tag: u64) -> bool {
        self.0[TAGS] >> (FILTER_SHIFT + direction(tag)) & 1 != 0
    }

    pub(super) fn point_to_neighbour(&mut self, tag: u64) {
        self.0[TAGS] |= 1 << (FILTER_SHIFT + direction(tag));
    }

    pub(super) fn forget_neighbour(&mut self, tag: u64) {
        self.0[TAGS] &= !(1 << (FILTER_SHIFT + direction(tag)));
    }

    /// Places and words, free ones too.
    #[inline(always)]
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.0.iter().copied().take(WAYS).enumerate()
    }

    /// Reads one word: brings the line into the cache.
    #[inline(always)]
    pub(super) fn touch(&self) -> u64 {
        self.0[TAGS]
    }
}

/// A permuted key as a line wants it: rotated so that the tag is on top.
///
/// | bits | content of the rotated key | of a word |
/// |---|---|---|
/// | 0..=16 | key | key |
/// | 17..=28 | number of the line (its first eight bits), zeros | port |
/// | 29..=48 | key | key |
/// | 49..=63 | tag | stamp (12), class (2), and whether this is a neighbour of the line of the key |
///
/// So one subtraction tells whether a word is under a key, in its own line, dynamic and seen lately enough:
/// then the difference is that of the stamps, with zeros below.
#[derive(Clone, Copy)]
pub(super) struct Needle(u64);

const ROTATE: u32 = 25;
const KEY: u64 = 0x0001_FFFF_E001_FFFF;
const TAG: u64 = 0x7FFF;
const PORT: u64 = 0xFFF;
const PORT_SHIFT: u32 = 17;
const META: u64 = 0x3FFF;
const META_SHIFT: u32 = 49;
/// The entry is not in its own line.
pub(super) const ASIDE: u64 = 1 << 63;

impl Needle {
    pub(super) const NONE: Self = Self(0);

    #[inline(always)]
    pub(super) const fn new(permuted: Permuted) -> Self {
        Self(permuted.0.rotate_left(ROTATE))
    }

    #[inline(always)]
    pub(super) const fn tag(self) -> u64 {
        self.0 >> META_SHIFT
    }

    #[inline(always)]
    const fn key(self) -> u64 {
        self.0 & KEY
    }

    /// The word of a record under this key.
    #[inline(always)]
    pub(super) const fn word(self, record: Record) -> u64 {
        self.key() | bits(record)
    }

    /// Whether a word with the same tag is that of this key.
    #[inline]
    pub(super) const fn fits(self, word: u64, aside: u64) -> bool {
        word & (KEY | ASIDE) == self.key() | aside
    }

    /// Whether a word is that of this key, and dynamic with a stamp in `from..=from + span`.
    #[inline(always)]
    pub(super) fn is_alive(self, word: u64, aside: u64, from: u16, span: u16) -> bool {
        let earliest = self.key() | aside | u64::from(from) << META_SHIFT;
        let later = (word & !(PORT << PORT_SHIFT)).wrapping_sub(earliest);
        later.rotate_right(META_SHIFT) <= u64::from(span)
    }

    /// Whether, beyond that, the port is that of `record` (in its own line).
    #[inline(always)]
    pub(super) fn is_alive_on(self, word: u64, port: u16, from: u16, span: u16) -> bool {
        let earliest = self.word(Record { port, meta: from });
        word.wrapping_sub(earliest).rotate_right(META_SHIFT) <= u64::from(span)
    }

    /// The permuted key of a word that belongs to the line `home`, whose bits start at `shift`.
    #[inline]
    pub(super) const fn permuted(tag: u64, word: u64, home: usize, shift: u32) -> Permuted {
        let rotated = word & KEY | tag << META_SHIFT;
        Permuted(rotated.rotate_right(ROTATE) | (home as u64) << shift)
    }
}

#[inline(always)]
const fn bits(record: Record) -> u64 {
    (record.port as u64) << PORT_SHIFT | (record.meta as u64) << META_SHIFT
}

#[inline(always)]
pub(super) const fn record(word: u64) -> Record {
    Record { port: (word >> PORT_SHIFT & PORT) as u16, meta: (word >> META_SHIFT & META) as u16 }
}

/// The word with another record.
#[inline(always)]
pub(super) const fn with_record(word: u64, record: Record) -> u64 {
    word & (KEY | ASIDE) | bits(record)
}

/// One of eight.
#[inline(always)]
pub(super) const fn direction(tag: u64) -> u32 {
    tag as u32 % 8
}
