//! The big table: seeded, growing, a cache line per look-up.

mod line;

use alloc::vec;
use alloc::vec::Vec;

use self::line::{DIRECTIONS, HOME, Line, Needle, PLACES, direction, record, with_record};
use super::{BATCH, NEVER, Place, Refresh, Sight, Store, sealed};
use crate::Key;
use crate::entry::{Record, Window};
use crate::flush::FlushSlot;
use crate::permutation::Permutation;

/// A hash table from 1 to about 16 million entries that grows to a bound.
///
/// **Layout.** A line is one cache line of 64 bytes with six entries: six words and six 15-bit tags.
/// The key goes through a seeded permutation; some of its bits are the number of the line, 15 more are the
/// tag, and the word holds the remaining bits beside port, kind and stamp, so nothing is stored twice
/// and nothing is left out: 10 2/3 bytes per place, 16 per entry at the load where tables grow.
/// A look-up compares the tags at once, verifies one word and takes no branch that depends on luck.
///
/// **Overflow.** An entry that finds its line full goes to one of 8 neighbours within 4 KiB; its line keeps the tag of
/// the first such entry. So an absent key costs a second line in some 5 % of
/// look-ups when the table is full, and a known one as often. If the neighbour is full too, somebody there
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
    permutation: Permutation,
    entries: u32,
    capacity: u32,
}

const FEWEST_LINES: usize = 256;
/// Tables grow beyond this many entries per line on average.
const LOAD: usize = 4;
/// Places per line in [`Place`] numbers, a power of two.
const STRIDE: u32 = 8;

/// The neighbour of a line that takes the overflow with this tag; its own inverse.
#[inline(always)]
const fn neighbour(line: usize, tag: u64) -> usize {
    line ^ direction(tag)
}

impl HashTable {
    /// An empty table for at most `capacity` entries (at least 1, at most 2^24), with room for a few
    /// hundred. `seed` must come from a random source if stations may be hostile.
    pub fn new(capacity: u32, seed: [u64; 2]) -> Self {
        Self::with_lines(FEWEST_LINES, capacity, seed)
    }

    /// Like [`HashTable::new`], with memory for all entries taken at once: it does not grow again, so
    /// no single `learn` takes long; but for stations that crowd against all odds, when any table may double once
    /// beyond what its capacity needs.
    pub fn full_size(capacity: u32, seed: [u64; 2]) -> Self {
        let lines = (capacity.clamp(1, MAX_CAPACITY) as usize).div_ceil(LOAD).next_power_of_two();
        Self::with_lines(lines.max(FEWEST_LINES), capacity, seed)
    }

    fn with_lines(lines: usize, capacity: u32, seed: [u64; 2]) -> Self {
        Self {
            lines: vec![Line::EMPTY; lines],
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
    fn needle(&self, key: Key) -> Needle {
        Needle::new(self.permutation.apply(key.bits()))
    }

    /// The number of the line of a key, and what to look for there.
    #[inline(always)]
    fn permute(&self, key: Key) -> (usize, Needle) {
        let needle = self.needle(key);
        (needle.line(self.lines.len()), needle)
    }

    /// The line of a key. There always is one.
    #[inline(always)]
    fn line(&self, needle: Needle) -> Option<&Line> {
        if self.lines.is_empty() { None } else { self.lines.get(needle.line(self.lines.len())) }
    }

    /// A hurried look at the neighbour.
    #[inline(always)]
    fn sight_aside(&self, home: usize, needle: Needle, window: Window) -> Sight {
        let number = neighbour(home, needle.tag());
        let Some(line) = self.lines.get(number) else { return Sight::ABSENT };
        let place = line.find(needle).place();
        let word = line.word(place);
        let alive = PLACES.contains(&place) && needle.is_alive(word ^ HOME, window);
        Sight { alive, doubt: 1, place: number_of(number, place), record: record(word) }
    }

    /// Search without hurry: every place where the key may be.
    #[cold]
    #[inline(never)]
    fn search(&self, key: Key) -> (Place, Record) {
        let (home, needle) = self.permute(key);
        for (number, mark) in [(home, HOME), (neighbour(home, needle.tag()), 0)] {
            let Some(line) = self.lines.get(number) else { continue };
            for (place, word) in line.entries() {
                if word != 0 && needle.fits(word, mark) && line.tag(place) == needle.tag() {
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
        if let place @ Some(_) = self.put(home, tag, word | HOME) {
            return place;
        }
        let place = self.put(neighbour(home, tag), tag, word & !HOME)?;
        self.point(home, tag);
        Some(place)
    }

    /// Notes in `home` that the neighbour has something.
    fn point(&mut self, home: usize, tag: u64) {
        if let Some(line) = self.lines.get_mut(home) {
            line.point(tag);
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
            if self.put(neighbour(number, tag), tag, word ^ HOME).is_some() {
                if word & HOME != 0 {
                    self.point(number, tag);
                }
                self.clear(number, way);
                return true;
            }
        }
        false
    }

    /// Empties a place and, if the entry was not in its own line, tells that one.
    #[inline]
    fn clear(&mut self, number: usize, place: usize) {
        let Some(line) = self.lines.get_mut(number) else { return };
        let (tag, word) = line.clear(place);
        if word & HOME == 0 {
            self.unpoint(neighbour(number, tag));
        }
    }

    /// Puts an entry into an occupied place; says where and whom it replaced.
    #[inline(always)]
    fn overwrite(
        &mut self,
        number: usize,
        place: usize,
        tag: u64,
        word: u64,
    ) -> Option<(Place, Key, Record)> {
        let line = self.lines.get_mut(number)?;
        let (old_tag, old) = (line.tag(place), line.word(place));
        line.put(place, tag, word);
        let victim = self.key(number, old_tag, old);
        if old & HOME == 0 {
            self.unpoint(neighbour(number, old_tag));
        }
        Some((number_of(number, place), victim, record(old)))
    }

    /// Notes in `home` that a neighbour has one entry less.
    #[inline(never)]
    fn unpoint(&mut self, home: usize) {
        if let Some(line) = self.lines.get_mut(home) {
            line.unpoint();
        }
        if self.lines.get(home).is_some_and(Line::is_vague)
            && let Some(last) = self.tag_elsewhere(home)
            && let Some(line) = self.lines.get_mut(home)
        {
            line.repoint(last);
        }
    }

    /// The tag of an entry of `home` that is with a neighbour.
    fn tag_elsewhere(&self, home: usize) -> Option<u64> {
        (0..DIRECTIONS).map(|tag| neighbour(home, tag)).find_map(|number| {
            let line = self.lines.get(number)?;
            let strangers = line.entries().filter(|(_, word)| *word != 0 && word & HOME == 0);
            strangers.map(|(place, _)| line.tag(place)).find(|tag| neighbour(number, *tag) == home)
        })
    }

    /// The key of an entry.
    #[inline(always)]
    fn key(&self, number: usize, tag: u64, word: u64) -> Key {
        let home = if word & HOME != 0 { number } else { neighbour(number, tag) };
        Key::from_bits(self.permutation.invert(Needle::permuted(tag, word, home)))
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
        let (tag, word) = (needle.tag(), needle.word(HOME, record));
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

/// What a line has under a key that belongs to it.
#[inline(always)]
fn glance(line: &Line, home: usize, needle: Needle, window: Window) -> Sight {
    let found = line.find(needle);
    let word = line.word(found.place());
    let alive = needle.is_alive(word, window);
    Sight { alive, doubt: found.doubt(), place: number_of(home, found.place()), record: record(word) }
}

impl sealed::Sealed for HashTable {}

impl Store for HashTable {
    const PORTS: u16 = 4096;
    const FIDS: u16 = 4096;
    const SUPPLANTS: bool = true;
    type Tally = Vec<u32>;
    type Flushes = Vec<FlushSlot>;

    fn capacity(&self) -> u32 {
        self.capacity
    }

    fn places(&self) -> u32 {
        self.lines.len() as u32 * STRIDE
    }

    #[inline(always)]
    fn glance(&self, key: Key, window: Window) -> Sight {
        let (home, needle) = self.permute(key);
        let Some(line) = self.line(needle) else { return Sight::ABSENT };
        glance(line, home, needle, window)
    }

    #[inline]
    fn sight(&self, key: Key, window: Window) -> Sight {
        let (home, needle) = self.permute(key);
        let Some(line) = self.line(needle) else { return Sight::ABSENT };
        let sight = glance(line, home, needle, window);
        if sight.is_open() { self.sight_aside(home, needle, window) } else { sight }
    }

    #[inline(always)]
    fn refresh(&mut self, key: Key, port: u16, window: Window) -> Refresh {
        let (home, needle) = self.permute(key);
        if self.lines.is_empty() {
            return Refresh { done: false, doubt: 0 };
        }
        let Some(line) = self.lines.get_mut(home) else { return Refresh { done: false, doubt: 0 } };
        let (found, fresh) = (line.find(needle), needle.fresh(port, window));
        let done = Needle::is_refreshed_by(line.word(found.place()), fresh, window);
        if done {
            line.set_word(found.place(), fresh);
        }
        Refresh { done, doubt: found.doubt() }
    }

    #[inline]
    fn sight_elsewhere(&self, key: Key, window: Window) -> Sight {
        let (home, needle) = self.permute(key);
        self.sight_aside(home, needle, window)
    }

    /// Adds up a word of each line: the sum says nothing, but no load can be left out for it.
    #[inline]
    fn touch(&self, keys: &[Key]) {
        let lines = keys.iter().filter_map(|key| self.line(self.needle(*key)));
        core::hint::black_box(lines.fold(0, |sum, line| sum ^ line.touch()));
    }

    #[inline]
    fn glance_batch(&self, keys: &[Key], window: Window, mut each: impl FnMut(usize, Sight)) {
        let mut needles = [Needle::NONE; BATCH];
        let mut sum = 0; // says nothing, but no load can be left out for it
        for (needle, key) in needles.iter_mut().zip(keys) {
            *needle = self.needle(*key);
            sum ^= self.line(*needle).map_or(0, Line::touch);
        }
        core::hint::black_box(sum);
        for (number, &needle) in needles.iter().take(keys.len()).enumerate() {
            if let Some(line) = self.line(needle) {
                each(number, glance(line, needle.line(self.lines.len()), needle, window));
            }
        }
    }

    fn find(&self, key: Key) -> (Place, Record) {
        self.search(key)
    }

    #[inline]
    fn at(&self, place: Place) -> Option<(Key, Record)> {
        let (number, place) = line_and_place(place);
        let line = self.lines.get(number).filter(|_| PLACES.contains(&place))?;
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
        let place = self.place(key, record);
        if place.is_none() && self.lines.len() < 2 * most {
            self.grow(); // a crowd against all odds
            return self.place(key, record);
        }
        place
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
            way if way < PLACES.len() => Some(number_of(home, PLACES.start + way)),
            way if way < 2 * PLACES.len() => {
                Some(number_of(neighbour(home, needle.tag()), PLACES.start + way - PLACES.len()))
            }
            _ => None,
        }
    }

    fn has_room(&self, key: Key) -> bool {
        let (home, needle) = self.permute(key);
        [home, neighbour(home, needle.tag())]
            .into_iter()
            .any(|number| self.lines.get(number).is_some_and(|line| line.free_place().is_some()))
    }

    fn oldest_rival(&self, key: Key, may: impl Fn(Record) -> bool) -> Option<Place> {
        let (home, needle) = self.permute(key);
        [home, neighbour(home, needle.tag())].into_iter().find_map(|number| {
            let oldest = self.lines.get(number)?.oldest(|record| if may(record) { 0 } else { NEVER })?;
            Some(number_of(number, oldest.place()))
        })
    }

    #[inline(always)]
    fn supplant(
        &mut self,
        key: Key,
        record: Record,
        rank: impl Fn(Record) -> u32,
    ) -> Option<(Place, Key, Record)> {
        let (home, needle) = self.permute(key);
        let (tag, word) = (needle.tag(), needle.word(HOME, record));
        let near = self.lines.get(home).and_then(|line| line.oldest(&rank));
        if let Some(oldest) = near
            && oldest.rank() == 0
        {
            return self.overwrite(home, oldest.place(), tag, word);
        }
        let number = neighbour(home, tag);
        let far = self.lines.get(number).and_then(|line| line.oldest(&rank));
        let place = match (near, far) {
            (Some(near), far) if far.is_none_or(|far| near.rank() <= far.rank()) => {
                return self.overwrite(home, near.place(), tag, word);
            }
            (_, far) => far?.place(),
        };
        let (victim, old) = self.at(number_of(number, place))?;
        self.clear(number, place);
        let place = self.put_near(home, tag, word)?; // where the victim was, if not in its own line
        Some((place, victim, old))
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
