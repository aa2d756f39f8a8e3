//! The big table: seeded, growing, a cache line per look-up.

use alloc::vec;
use alloc::vec::Vec;

use super::{BATCH, Place, Sight, Store, sealed};
use crate::Key;
use crate::entry::{LAST_STAMP, Record};
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
/// **Overflow.** An entry that finds its line full goes to one of 8 neighbours within 16 KiB; a filter
/// in the line, exact at all times, says which. So an absent key costs a second line in about 2 % of
/// look-ups, and a known one in 5 % when the table is full. If the neighbour is full too, somebody there
/// moves on.
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
///
/// Words 0..=5 are entries. Words 6 and 7 hold their tags in the lower three 16-bit lanes: lane `l` of word
/// `6 + t` belongs to entry `2 * l + t`. The highest bit of both is set, which no entry in its own line has;
/// below it word 6 has the filter that says which neighbours hold entries of this line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u64; 8]);

const WAYS: usize = 6;
const TAGS: usize = 6;
const FILTER_SHIFT: u32 = 48;
const FEWEST_LINES: usize = 256;
/// Tables grow beyond this many entries per line on average.
const LOAD: usize = 4;
/// Places per line in [`Place`] numbers, a power of two.
const STRIDE: u32 = 8;

/// Highest bit of each lane.
const HIGH: u64 = 0x8000_8000_8000_8000;
/// One in each lane.
const ONES: u64 = 0x0001_0001_0001_0001;

impl Line {
    const EMPTY: Self = Self([0, 0, 0, 0, 0, 0, ASIDE, ASIDE]);

    /// The lowest entry with this tag, or 6 if there is none.
    ///
    /// Tags and lanes are below 0x8000, so `0x8000 - (lane ^ tag)` has its highest bit set just
    /// if they are equal, and no lane borrows from the next. The two results are woven together so that
    /// byte `n` stands for entry `n`.
    #[inline(always)]
    fn way(&self, tag: u64) -> usize {
        let [.., even, odd] = self.0;
        let wanted = tag * ONES;
        let even = HIGH.wrapping_sub(even ^ wanted) & HIGH;
        let odd = HIGH.wrapping_sub(odd ^ wanted) & HIGH;
        const NONE: u64 = 1 << (8 * TAGS + 7);
        ((even >> 8 | odd | NONE).trailing_zeros() / 8) as usize & 7
    }

    /// What this line, number `number`, has under a key: the entry whose key bits, place bit, class and stamp
    /// are right, all of which one comparison tells.
    #[inline(always)]
    fn sight(&self, number: usize, needle: Needle, from: u64, span: u16) -> Sight {
        let way = self.way(needle.tag());
        let word = turned(self.0.get(way & 7).copied().unwrap_or(0)); // `way & 7` is in range: no branch is left
        let rest = (word & !(PORT << PORT_SHIFT)).wrapping_sub((needle.0 & KEY) + from);
        let record = Record { port: (word >> PORT_SHIFT & PORT) as u16, meta: (word & META) as u16 };
        Sight { alive: rest <= u64::from(span), doubt: way < WAYS, place: place(number, way), record }
    }

    fn tag(&self, way: usize) -> u64 {
        let tags = self.0.get(TAGS + way % 2).copied().unwrap_or(0);
        tags >> (way / 2 * 16) & TAG
    }

    #[inline]
    fn put(&mut self, way: usize, tag: u64, new: u64) {
        if let Some(word) = self.0.get_mut(way) {
            *word = new;
        }
        if let Some(tags) = self.0.get_mut(TAGS + way % 2) {
            let shift = way / 2 * 16;
            *tags = *tags & !(TAG << shift) | tag << shift;
        }
    }

    /// The longest silent entry that `may` go: only dynamic and locked ones are asked for.
    #[inline]
    fn oldest(&self, may: impl Fn(Record) -> bool) -> Option<usize> {
        let mut oldest = (u16::MAX, 0);
        for (way, word) in self.entries() {
            let record = record(word);
            let stamp = record.meta & LAST_STAMP;
            if stamp < oldest.0 && record.meta != 0 && record.is_evictable() && may(record) {
                oldest = (stamp, way);
            }
        }
        (oldest.0 != u16::MAX).then_some(oldest.1)
    }

    fn free_way(&self) -> Option<usize> {
        self.0.iter().take(WAYS).position(|word| *word == 0)
    }

    #[inline(always)]
    fn may_have_neighbour(&self, tag: u64) -> u64 {
        self.0[TAGS] >> (FILTER_SHIFT + direction(tag)) & 1
    }

    fn entries(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.0.iter().copied().take(WAYS).enumerate()
    }
}

/// A permuted key as a line wants it: rotated so that the tag is in the lowest 15 bits. Words are
/// stored [`META_SHIFT`] further to the right, where class and stamp take the place of the tag.
///
/// | bits of the rotated key | content | in a word |
/// |---|---|---|
/// | 0..=14 | tag | stamp (12), class (2), and whether this is a neighbour of the line of the key |
/// | 15..=31 | key | key |
/// | 32..=43 | top bits, implied by the line, and padding | port |
/// | 44..=63 | key | key |
#[derive(Clone, Copy)]
struct Needle(u64);

const ROTATE: u32 = 40;
const META_SHIFT: u32 = 15;
const KEY: u64 = 0xFFFF_F000_FFFF_8000;
const TAG: u64 = 0x7FFF;
const META: u64 = 0x3FFF;
const PORT_SHIFT: u32 = 32;
const PORT: u64 = 0xFFF;
/// The entry is not in its own line, as a bit of a stored word.
const ASIDE: u64 = 1 << 63;
/// The same as a bit of a word that was turned to fit a needle.
const ASIDE_TURNED: u64 = 1 << 14;

impl Needle {
    #[inline(always)]
    const fn new(permuted: Permuted) -> Self {
        Self(permuted.0.rotate_left(ROTATE))
    }

    #[inline(always)]
    const fn tag(self) -> u64 {
        self.0 & TAG
    }

    /// The word of a record under this key.
    #[inline]
    const fn word(self, record: Record) -> u64 {
        stored(self.0 & KEY | turned_record(record))
    }

    /// Whether a word with the same tag is that of this key.
    #[inline]
    const fn fits(self, word: u64, aside: u64) -> bool {
        turned(word) & (KEY | ASIDE_TURNED) == self.0 & KEY | if aside != 0 { ASIDE_TURNED } else { 0 }
    }
}

#[inline(always)]
const fn turned(word: u64) -> u64 {
    word.rotate_left(META_SHIFT)
}

#[inline(always)]
const fn stored(turned: u64) -> u64 {
    turned.rotate_right(META_SHIFT)
}

#[inline]
const fn turned_record(record: Record) -> u64 {
    (record.port as u64) << PORT_SHIFT | record.meta as u64
}

#[inline(always)]
const fn record(word: u64) -> Record {
    let word = turned(word);
    Record { port: (word >> PORT_SHIFT & PORT) as u16, meta: (word & META) as u16 }
}

/// The neighbour of a line that takes the overflow with this tag; its own inverse. The eight directions
/// are the edges of a hypercube of 256 lines, so that a crowd can spread.
#[inline(always)]
const fn neighbour(line: usize, tag: u64) -> usize {
    line ^ 1 << direction(tag)
}

#[inline(always)]
const fn direction(tag: u64) -> u32 {
    tag as u32 % 8
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

    /// The line that a key belongs to: below `memory() / 64`, and as good as random.
    pub fn line_of(&self, key: Key) -> usize {
        self.permute(key).0
    }

    /// Whether nothing is stored and no trace of former entries is left.
    pub fn is_pristine(&self) -> bool {
        self.entries == 0
            && self.lines.iter().all(|Line([words @ .., even, odd])| {
                words.iter().all(|word| *word == 0) && (even | odd) >> FILTER_SHIFT == ASIDE >> FILTER_SHIFT
            })
    }

    #[inline(always)]
    fn permute(&self, key: Key) -> (usize, Needle) {
        let permuted = self.permutation.apply(key.bits());
        ((permuted.0 >> self.shift) as usize, Needle::new(permuted))
    }

    /// A hurried look at the neighbour, after the line itself had nothing alive.
    #[inline(never)]
    fn sight_aside(&self, home: usize, needle: Needle, from: u16, span: u16) -> Sight {
        let number = neighbour(home, needle.tag());
        let Some(line) = self.lines.get(number) else { return Sight::ABSENT };
        let sight = line.sight(number, needle, u64::from(from) | ASIDE_TURNED, span);
        Sight { doubt: true, ..sight }
    }

    /// Search without hurry: every place where the key may be.
    #[cold]
    #[inline(never)]
    fn search(&self, key: Key) -> (Place, Record) {
        let (home, needle) = self.permute(key);
        for (number, aside) in [(home, 0), (neighbour(home, needle.tag()), ASIDE)] {
            let Some(line) = self.lines.get(number) else { continue };
            for (way, word) in line.entries() {
                if word != 0 && needle.fits(word, aside) && line.tag(way) == needle.tag() {
                    return (place(number, way), record(word));
                }
            }
        }
        (0, Record::FREE)
    }

    /// Puts an entry into a free place of a line.
    #[inline]
    fn put(&mut self, number: usize, tag: u64, word: u64) -> Option<Place> {
        let line = self.lines.get_mut(number)?;
        let way = line.free_way()?;
        line.put(way, tag, word);
        Some(place(number, way))
    }

    /// Puts an entry into its line or the neighbour.
    #[inline]
    fn put_near(&mut self, home: usize, tag: u64, word: u64) -> Option<Place> {
        if let place @ Some(_) = self.put(home, tag, word & !ASIDE) {
            return place;
        }
        let place = self.put(neighbour(home, tag), tag, word | ASIDE)?;
        self.point(home, tag);
        Some(place)
    }

    /// Says in the filter of `home` that the neighbour has something.
    fn point(&mut self, home: usize, tag: u64) {
        if let Some(line) = self.lines.get_mut(home) {
            line.0[TAGS] |= 1 << (FILTER_SHIFT + direction(tag));
        }
    }

    /// Makes room in a line: moves one of its entries to the other line where it may be, if need be
    /// after making room there.
    fn make_room(&mut self, number: usize, depth: u32) -> bool {
        let Some(line) = self.lines.get(number).copied() else { return false };
        if depth > 0 {
            return self.make_room(number, 0)
                || line.entries().any(|(way, _)| {
                    let other = neighbour(number, line.tag(way));
                    self.make_room(other, depth - 1) && self.make_room(number, 0)
                });
        }
        for (way, word) in line.entries() {
            let tag = line.tag(way);
            if self.put(neighbour(number, tag), tag, word ^ ASIDE).is_some() {
                if word & ASIDE == 0 {
                    self.point(number, tag);
                }
                self.clear(number, way);
                return true;
            }
        }
        false
    }

    /// Empties a place and, if the entry was not in its own line, mends the filter there.
    #[inline]
    fn clear(&mut self, number: usize, way: usize) {
        let Some(line) = self.lines.get_mut(number) else { return };
        let Some(word) = line.0.get_mut(way) else { return };
        if core::mem::take(word) & ASIDE != 0 {
            let tag = line.tag(way);
            self.mend(number, tag);
        }
    }

    /// Takes the direction of `tag` out of the filter of its home if no other entry in this line needs it.
    #[inline(never)]
    fn mend(&mut self, number: usize, tag: u64) {
        let same_home =
            |line: &Line, way, word| word & ASIDE != 0 && direction(line.tag(way)) == direction(tag);
        let needed = self
            .lines
            .get(number)
            .is_some_and(|line| line.entries().any(|(way, word)| same_home(line, way, word)));
        if !needed && let Some(home) = self.lines.get_mut(neighbour(number, tag)) {
            home.0[TAGS] &= !(1 << (FILTER_SHIFT + direction(tag)));
        }
    }

    /// The key of an entry.
    #[inline]
    fn key(&self, number: usize, tag: u64, word: u64) -> Key {
        let home = if word & ASIDE == 0 { number } else { neighbour(number, tag) };
        let implied = (1u64 << self.shift).wrapping_sub(1);
        let permuted = (turned(word) & KEY | tag).rotate_right(ROTATE);
        let permuted = permuted & implied & !0xF | (home as u64) << self.shift;
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
                && bigger.place(key, record).is_none()
            {
                return false;
            }
        }
        *self = bigger;
        true
    }

    #[inline]
    fn place(&mut self, key: Key, record: Record) -> Option<Place> {
        let (home, needle) = self.permute(key);
        let (tag, word) = (needle.tag(), needle.word(record));
        let place = self.put_near(home, tag, word).or_else(|| self.place_by_moving(home, tag, word))?;
        self.entries += 1;
        Some(place)
    }

    #[cold]
    #[inline(never)]
    fn place_by_moving(&mut self, home: usize, tag: u64, word: u64) -> Option<Place> {
        let moved = self.make_room(home, 2) || self.make_room(neighbour(home, tag), 2);
        if moved { self.put_near(home, tag, word) } else { None }
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

impl sealed::Sealed for HashTable {}

impl Store for HashTable {
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

    #[inline(always)]
    fn sight(&self, key: Key, from: u16, span: u16) -> Sight {
        let (home, needle) = self.permute(key);
        let Some(line) = self.lines.get(home) else { return Sight::ABSENT };
        let sight = line.sight(home, needle, u64::from(from), span);
        if sight.alive || line.may_have_neighbour(needle.tag()) == 0 {
            return sight;
        }
        self.sight_aside(home, needle, from, span)
    }

    /// Adds up a word of each line: the sum says nothing, but no load can be left out for it.
    #[inline]
    fn touch(&self, keys: &[Key]) {
        let lines = keys.iter().filter_map(|key| self.lines.get(self.permute(*key).0));
        core::hint::black_box(lines.fold(0, |sum, line| sum ^ line.0[TAGS]));
    }

    #[inline]
    fn sight_batch(&self, keys: &[Key], from: u16, span: u16) -> [Sight; BATCH] {
        let mut needles = [(0, Needle(0)); BATCH];
        let mut sum = 0; // says nothing, but no load can be left out for it
        for (needle, key) in needles.iter_mut().zip(keys) {
            *needle = self.permute(*key);
            sum ^= self.lines.get(needle.0).map_or(0, |line| line.0[TAGS]);
        }
        core::hint::black_box(sum);
        let mut sights = [Sight::ABSENT; BATCH];
        for ((sight, (home, needle)), _) in sights.iter_mut().zip(needles).zip(keys) {
            if let Some(line) = self.lines.get(home) {
                *sight = line.sight(home, needle, u64::from(from), span);
                sight.doubt |= line.may_have_neighbour(needle.tag()) != 0;
            }
        }
        sights
    }

    fn find(&self, key: Key) -> (Place, Record) {
        self.search(key)
    }

    #[inline]
    fn at(&self, place: Place) -> Option<(Key, Record)> {
        let (number, way) = line_and_way(place);
        let line = self.lines.get(number)?;
        let word = *line.0.get(way).filter(|_| way < WAYS)?;
        (word != 0).then(|| (self.key(number, line.tag(way), word), record(word)))
    }

    #[inline(always)]
    fn set(&mut self, place: Place, record: Record) {
        let (number, way) = line_and_way(place);
        if let Some(line) = self.lines.get_mut(number)
            && let Some(word) = line.0.get_mut(way)
        {
            *word = stored(turned(*word) & (KEY | ASIDE_TURNED) | turned_record(record));
        }
    }

    #[inline]
    fn insert(&mut self, key: Key, record: Record) -> Option<Place> {
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

    fn oldest_rival(&self, key: Key, may: impl Fn(Record) -> bool) -> Option<Place> {
        let (home, needle) = self.permute(key);
        [home, neighbour(home, needle.tag())].into_iter().find_map(|number| {
            let way = self.lines.get(number)?.oldest(&may)?;
            Some(place(number, way))
        })
    }

    #[inline]
    fn supplant(
        &mut self,
        key: Key,
        record: Record,
        may: impl Fn(Record) -> bool,
    ) -> Option<(Place, Key, Record)> {
        let (home, needle) = self.permute(key);
        let line = self.lines.get(home)?;
        let way = line.oldest(&may)?;
        let (old, tag) = (*line.0.get(way)?, line.tag(way));
        let victim = self.key(home, tag, old);
        self.lines.get_mut(home)?.put(way, needle.tag(), needle.word(record));
        if old & ASIDE != 0 {
            self.mend(home, tag);
        }
        Some((place(home, way), victim, self::record(old)))
    }

    fn sweep(
        &mut self,
        mut quick: impl FnMut(Record) -> bool,
        mut judge: impl FnMut(Key, Record) -> Option<Record>,
    ) {
        for number in 0..self.lines.len() {
            let Some(line) = self.lines.get(number).copied() else { continue };
            for (way, word) in line.entries() {
                if word == 0 || quick(record(word)) {
                    continue;
                }
                match judge(self.key(number, line.tag(way), word), record(word)) {
                    Some(kept) => self.set(place(number, way), kept),
                    None => self.remove(place(number, way)),
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
