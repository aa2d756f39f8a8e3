//! The big table: seeded, growing, a cache line per look-up.

use alloc::vec;
use alloc::vec::Vec;

use super::{Place, Store, sealed};
use crate::Key;
use crate::entry::Record;
use crate::flush::FlushSlot;
use crate::permutation::{Permutation, Permuted};

/// A hash table from 1 to about 16 million entries that grows to a bound.
///
/// **Layout.** A line is one cache line of 64 bytes with six entries: six words and six 16-bit tags.
/// The key goes through a seeded permutation; its upper bits are the number of the line, 16 more are the
/// tag, and the word holds the remaining bits beside port, kind and stamp, so nothing is stored twice
/// and nothing is left out: 10 2/3 bytes per place, 16 per entry at the load where tables grow.
/// A look-up compares the tags at once, verifies one word and takes no branch that depends on luck.
///
/// **Overflow.** An entry that finds its line full goes to one of 16 neighbours within the same
/// KiB; a 16-bit filter in the line, exact at all times, says which. So an absent key costs a second line
/// in about 1 % of look-ups. If the neighbour is full too, somebody there moves on.
///
/// **Attacks.** Who does not know the seed cannot choose addresses that meet in a line. Take the
/// seed from a random source and keep it.
///
/// ```
/// use fdb::{Config, Fdb, HashTable};
///
/// let seed = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344]; // from a random source
/// let fdb = Fdb::new(HashTable::new(1 << 20, seed), Config::DEFAULT);
/// assert_eq!(fdb.capacity(), 1 << 20);
/// ```
#[derive(Clone)]
pub struct HashTable {
    lines: Vec<Line>,
    /// `64 - log2(lines)`: a permuted key shifted by this is the number of its line.
    shift: u32,
    permutation: Permutation,
    entries: u32,
    capacity: u32,
}

/// Six entries in a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line {
    words: [u64; WAYS],
    /// Lane `w` is the tag of word `w`; lane [`FILTER`] says which neighbours hold entries of this line.
    lanes: [u16; 8],
}

const WAYS: usize = 6;
const FILTER: usize = WAYS;
const FEWEST_LINES: usize = 256;
/// Tables grow beyond this many entries per line on average.
const LOAD: usize = 4;
/// Places per line in [`Place`] numbers, a power of two.
const STRIDE: u32 = 8;

impl Line {
    const EMPTY: Self = Self { words: [0; WAYS], lanes: [0; 8] };
}

/// A permuted key as a line wants it: rotated so that the tag is in the lowest 16 bits.
///
/// | bits | of the rotated key | of a word |
/// |---|---|---|
/// | 0..=14 | tag | class and stamp of the record |
/// | 15 | tag | set: this is not the line of the key but a neighbour |
/// | 16..=31 | key | key |
/// | 32..=43 | top bits, implied by the line, and padding | port |
/// | 44..=63 | key | key |
#[derive(Clone, Copy)]
struct Needle(u64);

const ROTATE: u32 = 24;
const KEY: u64 = 0xFFFF_F000_FFFF_0000;
const ASIDE: u64 = 1 << 15;
const META: u64 = ASIDE - 1;
const PORT_SHIFT: u32 = 32;
const PORT: u64 = 0xFFF;

impl Needle {
    #[inline]
    const fn new(permuted: Permuted) -> Self {
        Self(permuted.0.rotate_right(ROTATE))
    }

    #[inline]
    const fn tag(self) -> u16 {
        self.0 as u16
    }

    /// The word of a record under this key.
    #[inline]
    const fn word(self, record: Record, aside: u64) -> u64 {
        self.0 & KEY | (record.port as u64) << PORT_SHIFT | record.meta as u64 | aside
    }

    /// Whether a word with the same tag is that of this key.
    #[inline]
    const fn fits(self, word: u64, aside: u64) -> bool {
        word & (KEY | ASIDE) == self.0 & KEY | aside
    }
}

#[inline]
const fn record(word: u64) -> Record {
    Record { port: (word >> PORT_SHIFT & PORT) as u16, meta: (word & META) as u16 }
}

/// The neighbour of a line that takes the overflow with this tag; its own inverse.
#[inline]
const fn neighbour(line: usize, tag: u16) -> usize {
    line ^ (direction(tag) as usize + 1)
}

#[inline]
const fn direction(tag: u16) -> u16 {
    tag & 15
}

impl HashTable {
    /// An empty table for at most `capacity` entries (at least 1, at most 2^24), with room for a few
    /// hundred. `seed` must come from a random source if stations may be hostile.
    pub fn new(capacity: u32, seed: [u64; 2]) -> Self {
        Self::with_lines(FEWEST_LINES, capacity, seed)
    }

    /// Like [`HashTable::new`], with memory for all entries taken at once: it never grows again, so
    /// no single `learn` takes long.
    pub fn full_size(capacity: u32, seed: [u64; 2]) -> Self {
        let lines = (capacity.clamp(1, MAX_CAPACITY) as usize).div_ceil(LOAD).next_power_of_two();
        Self::with_lines(lines.max(FEWEST_LINES), capacity, seed)
    }

    fn with_lines(lines: usize, capacity: u32, seed: [u64; 2]) -> Self {
        Self {
            lines: vec![Line::EMPTY; lines],
            shift: 64 - lines.trailing_zeros(),
            permutation: Permutation::new(seed),
            entries: 0,
            capacity: capacity.clamp(1, MAX_CAPACITY),
        }
    }

    /// Memory that entries take at present, in bytes.
    pub fn memory(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    #[inline]
    fn permute(&self, key: Key) -> (usize, Needle) {
        let permuted = self.permutation.apply(key.bits());
        ((permuted.0 >> self.shift) as usize, Needle::new(permuted))
    }

    /// Search without hurry: every place where the key may be.
    #[cold]
    #[inline(never)]
    fn search(&self, home: usize, needle: Needle) -> (Place, Record) {
        for (line, aside) in [(home, 0), (neighbour(home, needle.tag()), ASIDE)] {
            let Some(Line { words, lanes }) = self.lines.get(line) else { continue };
            for (way, (word, lane)) in words.iter().zip(lanes).enumerate() {
                if *lane == needle.tag() && needle.fits(*word, aside) && *word != 0 {
                    return (place(line, way), record(*word));
                }
            }
        }
        (0, Record::FREE)
    }

    /// Puts an entry into a free place of `line`.
    #[inline]
    fn put(&mut self, line: usize, needle_tag: u16, new: u64) -> bool {
        let Some(Line { words, lanes }) = self.lines.get_mut(line) else { return false };
        for (word, lane) in words.iter_mut().zip(lanes) {
            if *word == 0 {
                (*word, *lane) = (new, needle_tag);
                return true;
            }
        }
        false
    }

    /// Puts an entry into its line or the neighbour.
    #[inline]
    fn put_near(&mut self, home: usize, tag: u16, word: u64) -> bool {
        if self.put(home, tag, word & !ASIDE) {
            return true;
        }
        if !self.put(neighbour(home, tag), tag, word | ASIDE) {
            return false;
        }
        if let Some(line) = self.lines.get_mut(home) {
            line.lanes[FILTER] |= 1 << direction(tag);
        }
        true
    }

    /// Makes room in `line`: moves one of its entries to the other line where it may be.
    fn make_room(&mut self, line: usize) -> bool {
        let Some(Line { words, lanes }) = self.lines.get(line).copied() else { return false };
        for (way, (word, tag)) in words.into_iter().zip(lanes).enumerate() {
            let other = neighbour(line, tag);
            if self.put(other, tag, word ^ ASIDE) {
                if word & ASIDE == 0
                    && let Some(line) = self.lines.get_mut(line)
                {
                    line.lanes[FILTER] |= 1 << direction(tag);
                }
                self.clear(line, way);
                return true;
            }
        }
        false
    }

    /// Empties a place and, if the entry was not in its own line, mends the filter there.
    #[inline]
    fn clear(&mut self, line: usize, way: usize) {
        let Some(Line { words, lanes }) = self.lines.get_mut(line) else { return };
        let (Some(word), Some(tag)) = (words.get_mut(way), lanes.get(way)) else { return };
        let (old, tag) = (core::mem::take(word), *tag);
        if old & ASIDE != 0 {
            self.mend(line, tag);
        }
    }

    /// Takes the direction of `tag` out of the filter of its home if no other entry in `line` needs it.
    #[inline(never)]
    fn mend(&mut self, line: usize, tag: u16) {
        let needed = self.lines.get(line).is_some_and(|Line { words, lanes }| {
            words
                .iter()
                .zip(lanes)
                .any(|(word, lane)| word & ASIDE != 0 && direction(*lane) == direction(tag))
        });
        if !needed && let Some(home) = self.lines.get_mut(neighbour(line, tag)) {
            home.lanes[FILTER] &= !(1 << direction(tag));
        }
    }

    /// The key of an entry in `line`.
    fn key(&self, line: usize, tag: u16, word: u64) -> Key {
        let home = if word & ASIDE == 0 { line } else { neighbour(line, tag) };
        let implied = (1u64 << self.shift).wrapping_sub(1);
        let rotated = (word & KEY | u64::from(tag)).rotate_left(ROTATE);
        let permuted = rotated & implied & !0xF | (home as u64) << self.shift;
        Key::from_bits(self.permutation.invert(Permuted(permuted)))
    }

    /// Twice as many lines.
    #[cold]
    fn grow(&mut self) {
        let mut bigger = self.lines.len() * 2;
        while !self.rehash(bigger) {
            bigger *= 2;
        }
    }

    /// Moves everything to a table of `lines` lines; `false` if some entry found no place there.
    fn rehash(&mut self, lines: usize) -> bool {
        let mut bigger = Self {
            lines: vec![Line::EMPTY; lines],
            shift: 64 - lines.trailing_zeros(),
            permutation: self.permutation,
            entries: 0,
            capacity: self.capacity,
        };
        for place in 0..self.places() {
            if let Some((key, record)) = self.at(place)
                && !bigger.place(key, record)
            {
                return false;
            }
        }
        *self = bigger;
        true
    }

    #[inline]
    fn place(&mut self, key: Key, record: Record) -> bool {
        let (home, needle) = self.permute(key);
        let (tag, word) = (needle.tag(), needle.word(record, 0));
        let placed = self.put_near(home, tag, word) || self.place_by_moving(home, tag, word);
        self.entries += u32::from(placed);
        placed
    }

    #[cold]
    #[inline(never)]
    fn place_by_moving(&mut self, home: usize, tag: u16, word: u64) -> bool {
        (self.make_room(home) || self.make_room(neighbour(home, tag))) && self.put_near(home, tag, word)
    }
}

const MAX_CAPACITY: u32 = 1 << 24;

#[inline]
const fn place(line: usize, way: usize) -> Place {
    line as u32 * STRIDE + way as u32
}

#[inline]
const fn line_and_way(place: Place) -> (usize, usize) {
    ((place / STRIDE) as usize, (place % STRIDE) as usize)
}

/// Which lanes hold `tag`: byte `w` of the result is all ones or all zeros.
///
/// Written so that compilers make it one comparison of eight lanes and one narrowing.
#[inline]
fn matches(lanes: &[u16; 8], tag: u16) -> u64 {
    let equal = lanes.map(|lane| if lane == tag { 0xFF } else { 0u8 });
    u64::from_le_bytes(equal) & 0x0000_FFFF_FFFF_FFFF
}

impl sealed::Sealed for HashTable {}

impl Store for HashTable {
    const WAYS: u32 = WAYS as u32;
    const PORTS: u16 = 4096;
    const FIDS: u16 = 4096;
    type Tally = Vec<u32>;
    type Flushes = Vec<FlushSlot>;

    fn capacity(&self) -> u32 {
        self.capacity
    }

    fn places(&self) -> u32 {
        self.lines.len() as u32 * STRIDE
    }

    #[inline]
    fn find(&self, key: Key) -> (Place, Record) {
        let (home, needle) = self.permute(key);
        let Some(line) = self.lines.get(home) else { return (0, Record::FREE) };
        let equal = matches(&line.lanes, needle.tag());
        let way = ((equal | 1 << 40).trailing_zeros() / 8) as usize; // the last way if none is equal
        let word = line.words.get(way).copied().unwrap_or(0);
        let fits = needle.fits(word, 0) & (equal != 0);
        let elsewhere = line.lanes[FILTER] >> direction(needle.tag()) & 1 != 0;
        if !fits & ((equal != 0) | elsewhere) {
            return self.search(home, needle);
        }
        (place(home, way), if fits { record(word) } else { Record::FREE })
    }

    #[inline]
    fn at(&self, place: Place) -> Option<(Key, Record)> {
        let (line, way) = line_and_way(place);
        let Line { words, lanes } = self.lines.get(line)?;
        let (word, tag) = (*words.get(way)?, *lanes.get(way)?);
        (word != 0).then(|| (self.key(line, tag, word), record(word)))
    }

    #[inline]
    fn set(&mut self, place: Place, record: Record) {
        let (line, way) = line_and_way(place);
        if let Some(word) = self.lines.get_mut(line).and_then(|line| line.words.get_mut(way)) {
            *word = *word & (KEY | ASIDE) | u64::from(record.port) << PORT_SHIFT | u64::from(record.meta);
        }
    }

    #[inline]
    fn insert(&mut self, key: Key, record: Record) -> bool {
        let most = (self.capacity as usize).div_ceil(LOAD);
        if self.entries as usize >= self.lines.len() * LOAD && self.lines.len() < most {
            self.grow();
        }
        self.place(key, record)
    }

    #[inline]
    fn remove(&mut self, place: Place) {
        let (line, way) = line_and_way(place);
        self.clear(line, way);
        self.entries -= 1;
    }

    #[inline]
    fn rival(&self, key: Key, number: u32) -> Option<Place> {
        let (home, needle) = self.permute(key);
        match number as usize {
            way if way < WAYS => Some(place(home, way)),
            way if way < 2 * WAYS => Some(place(neighbour(home, needle.tag()), way - WAYS)),
            _ => None,
        }
    }

    fn sweep(
        &mut self,
        mut quick: impl FnMut(Record) -> bool,
        mut judge: impl FnMut(Key, Record) -> Option<Record>,
    ) {
        for line in 0..self.lines.len() {
            let Some(Line { words, lanes }) = self.lines.get(line).copied() else { continue };
            for (way, (word, tag)) in words.into_iter().zip(lanes).enumerate() {
                if word == 0 || quick(record(word)) {
                    continue;
                }
                match judge(self.key(line, tag, word), record(word)) {
                    Some(kept) => self.set(place(line, way), kept),
                    None => self.remove(place(line, way)),
                }
            }
        }
    }

    fn tally(&self) -> Vec<u32> {
        Vec::new()
    }

    fn flushes(&self) -> Vec<FlushSlot> {
        vec![FlushSlot::EMPTY; (self.capacity as usize / 64).next_power_of_two().max(64)]
    }
}

impl core::fmt::Debug for HashTable {
    /// Without the entries, which are many, and the seed, which is secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { lines, entries, capacity, .. } = self;
        f.debug_struct("HashTable")
            .field("lines", &lines.len())
            .field("entries", entries)
            .field("capacity", capacity)
            .finish_non_exhaustive()
    }
}
