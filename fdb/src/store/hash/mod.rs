//! The big table: seeded, growing, a cache line per look-up.

mod line;

use alloc::vec;
use alloc::vec::Vec;

use self::line::{ASIDE, Line, Needle, WAYS, direction, record, with_record};
use super::{BATCH, Place, Sight, Store, sealed};
use crate::Key;
use crate::entry::Record;
use crate::flush::FlushSlot;
use crate::permutation::Permutation;

/// A hash table from 1 to about 16 million entries that grows to a bound.
///
/// **Layout.** A line is one cache line of 64 bytes with six entries: six words and six 16-bit tags.
/// The key goes through a seeded permutation; its upper bits are the number of the line, 15 more are the
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

const FEWEST_LINES: usize = 256;
/// Tables grow beyond this many entries per line on average.
const LOAD: usize = 4;
/// Places per line in [`Place`] numbers, a power of two.
const STRIDE: u32 = 8;

/// The neighbour of a line that takes the overflow with this tag; its own inverse. The eight directions
/// are the edges of a hypercube of 256 lines, so that a crowd can spread.
#[inline(always)]
const fn neighbour(line: usize, tag: u64) -> usize {
    line ^ 1 << direction(tag)
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
        self.entries == 0 && self.lines.iter().all(Line::is_pristine)
    }

    #[inline(always)]
    fn permute(&self, key: Key) -> (usize, Needle) {
        let permuted = self.permutation.apply(key.bits());
        ((permuted.0 >> self.shift) as usize, Needle::new(permuted))
    }

    /// A hurried look at the neighbour.
    fn sight_aside(&self, home: usize, needle: Needle, from: u16, span: u16) -> Sight {
        let number = neighbour(home, needle.tag());
        let Some(line) = self.lines.get(number) else { return Sight::ABSENT };
        let place = line.place_of(needle.tag());
        let word = line.word(place);
        let alive = place < WAYS && needle.is_alive(word, ASIDE, from, span);
        Sight { alive, doubt: true, place: number_of(number, place), record: record(word) }
    }

    /// Search without hurry: every place where the key may be.
    #[cold]
    #[inline(never)]
    fn search(&self, key: Key) -> (Place, Record) {
        let (home, needle) = self.permute(key);
        for (number, aside) in [(home, 0), (neighbour(home, needle.tag()), ASIDE)] {
            let Some(line) = self.lines.get(number) else { continue };
            for (place, word) in line.entries() {
                if word != 0 && needle.fits(word, aside) && line.tag(place) == needle.tag() {
                    return (number_of(number, place), record(word));
                }
            }
        }
        (0, Record::FREE)
    }

    /// Puts an entry into a free place of a line.
    #[inline]
    fn put(&mut self, number: usize, tag: u64, word: u64) -> Option<Place> {
        let line = self.lines.get_mut(number)?;
        let place = line.free_place()?;
        line.put(place, tag, word);
        Some(number_of(number, place))
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
            line.point_to_neighbour(tag);
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
        let (tag, word) = line.clear(way);
        if word & ASIDE != 0 {
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
            home.forget_neighbour(tag);
        }
    }

    /// The key of an entry.
    #[inline]
    fn key(&self, number: usize, tag: u64, word: u64) -> Key {
        let home = if word & ASIDE == 0 { number } else { neighbour(number, tag) };
        Key::from_bits(self.permutation.invert(Needle::permuted(tag, word, home, self.shift)))
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
const fn number_of(line: usize, place: usize) -> Place {
    line as u32 * STRIDE + place as u32
}

#[inline]
const fn line_and_place(place: Place) -> (usize, usize) {
    ((place / STRIDE) as usize, (place % STRIDE) as usize)
}

/// What a line has under a key that belongs to it; `doubt` if there may be something that this does not see.
#[inline(always)]
fn glance(line: &Line, home: usize, needle: Needle, from: u16, span: u16) -> Sight {
    let place = line.place_of(needle.tag());
    let word = line.word(place);
    let alive = needle.is_alive(word, 0, from, span);
    let doubt = (place < WAYS) | line.may_have_neighbour(needle.tag());
    Sight { alive, doubt, place: number_of(home, place), record: record(word) }
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
    fn glance(&self, key: Key, from: u16, span: u16) -> Sight {
        let (home, needle) = self.permute(key);
        let Some(line) = self.lines.get(home) else { return Sight::ABSENT };
        glance(line, home, needle, from, span)
    }

    #[inline]
    fn sight(&self, key: Key, from: u16, span: u16) -> Sight {
        let (home, needle) = self.permute(key);
        let Some(line) = self.lines.get(home) else { return Sight::ABSENT };
        let sight = glance(line, home, needle, from, span);
        if sight.alive || !line.may_have_neighbour(needle.tag()) {
            return sight;
        }
        self.sight_aside(home, needle, from, span)
    }

    #[inline(always)]
    fn refresh(&mut self, key: Key, seen: Record, from: u16, span: u16) -> bool {
        let (home, needle) = self.permute(key);
        let Some(line) = self.lines.get_mut(home) else { return false };
        let place = line.place_of(needle.tag());
        let alive = needle.is_alive_on(line.word(place), seen.port, from, span);
        if alive {
            line.set_word(place, needle.word(seen));
        }
        alive
    }

    /// Adds up a word of each line: the sum says nothing, but no load can be left out for it.
    #[inline]
    fn touch(&self, keys: &[Key]) {
        let lines = keys.iter().filter_map(|key| self.lines.get(self.permute(*key).0));
        core::hint::black_box(lines.fold(0, |sum, line| sum ^ line.touch()));
    }

    #[inline]
    fn glance_batch(&self, keys: &[Key], from: u16, span: u16, mut each: impl FnMut(usize, Sight)) {
        let mut needles = [(0, Needle::NONE); BATCH];
        let mut sum = 0; // says nothing, but no load can be left out for it
        for (needle, key) in needles.iter_mut().zip(keys) {
            *needle = self.permute(*key);
            sum ^= self.lines.get(needle.0).map_or(0, Line::touch);
        }
        core::hint::black_box(sum);
        for (number, &(home, needle)) in needles.iter().take(keys.len()).enumerate() {
            if let Some(line) = self.lines.get(home) {
                each(number, glance(line, home, needle, from, span));
            }
        }
    }

    fn find(&self, key: Key) -> (Place, Record) {
        self.search(key)
    }

    #[inline]
    fn at(&self, place: Place) -> Option<(Key, Record)> {
        let (number, place) = line_and_place(place);
        let line = self.lines.get(number).filter(|_| place < WAYS)?;
        let word = line.word(place);
        (word != 0).then(|| (self.key(number, line.tag(place), word), record(word)))
    }

    #[inline(always)]
    fn set(&mut self, place: Place, record: Record) {
        let (number, place) = line_and_place(place);
        if let Some(line) = self.lines.get_mut(number) {
            line.set_word(place, with_record(line.word(place), record));
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
        let (line, place) = line_and_place(place);
        self.clear(line, place);
        self.entries -= 1;
    }

    #[inline]
    fn rival(&self, key: Key, number: u32) -> Option<Place> {
        let (home, needle) = self.permute(key);
        match number as usize {
            way if way < WAYS => Some(number_of(home, way)),
            way if way < 2 * WAYS => Some(number_of(neighbour(home, needle.tag()), way - WAYS)),
            _ => None,
        }
    }

    fn oldest_rival(&self, key: Key, may: impl Fn(Record) -> bool) -> Option<Place> {
        let (home, needle) = self.permute(key);
        [home, neighbour(home, needle.tag())].into_iter().find_map(|number| {
            let place = self.lines.get(number)?.oldest(&may)?;
            Some(number_of(number, place))
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
        let place = line.oldest(&may)?;
        let (old, tag) = (line.word(place), line.tag(place));
        let victim = self.key(home, tag, old);
        self.lines.get_mut(home)?.put(place, needle.tag(), needle.word(record));
        if old & ASIDE != 0 {
            self.mend(home, tag);
        }
        Some((number_of(home, place), victim, line::record(old)))
    }

    fn sweep(
        &mut self,
        mut quick: impl FnMut(Record) -> bool,
        mut judge: impl FnMut(Key, Record) -> Option<Record>,
    ) {
        for number in 0..self.lines.len() {
            let Some(line) = self.lines.get(number).copied() else { continue };
            for (place, word) in line.entries() {
                if word == 0 || quick(record(word)) {
                    continue;
                }
                match judge(self.key(number, line.tag(place), word), record(word)) {
                    Some(kept) => self.set(number_of(number, place), kept),
                    None => self.remove(number_of(number, place)),
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
