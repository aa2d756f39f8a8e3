//! Sets of numbers below a bound, near their entropy.
//!
//! `n` of `u` numbers carry log2 C(u, n) bits. Four codings come close in different places, and the
//! writer takes the smallest: gaps (Golomb-Rice with a power of two, quotients apart from
//! remainders) for sparse sets, gaps of what is *not* in the set for dense ones, a bitmap in between,
//! and runs for ranges.

use alloc::vec::Vec;

use super::{
    DecodeError,
    bits::{Reader, Writer},
};

/// Numbers of the codings, in two bits.
mod mode {
    pub(super) const GAPS: u64 = 0;
    pub(super) const HOLES: u64 = 1;
    pub(super) const BITMAP: u64 = 2;
    pub(super) const RUNS: u64 = 3;
}

/// Bits of a Rice parameter.
const K_BITS: u32 = 6;

/// Writes the set `values`, which ascends strictly and lies below `universe`.
pub(super) fn write(to: &mut Writer, values: &[u64], universe: u64) {
    to.number(values.len() as u64);
    write_gaps(to, &gaps_of(values), universe);
}

/// Distances between neighbours, less one; the first from zero.
fn gaps_of(values: &[u64]) -> Vec<u64> {
    let mut gaps = Vec::with_capacity(values.len());
    gaps.extend(values.first());
    gaps.extend(values.iter().zip(values.iter().skip(1)).map(|(a, b)| b - a - 1));
    gaps
}

/// Writes a set whose size the reader knows, by its gaps: what lies before the first number, and
/// between each and the next.
pub(super) fn write_gaps(to: &mut Writer, gaps: &[u64], universe: u64) {
    let Some(plan) = Plan::of(gaps, universe) else { return };
    to.bits(plan.mode, 2);
    match plan.mode {
        mode::GAPS | mode::HOLES => plan.rice.write(to, plan.holes.as_deref().unwrap_or(gaps)),
        mode::BITMAP => write_bitmap(to, gaps, universe),
        _ => write_runs(to, gaps),
    }
}

/// The bits that [`write_gaps`] takes.
pub(super) fn cost(gaps: &[u64], universe: u64) -> u64 {
    Plan::of(gaps, universe).map_or(0, |plan| plan.cost + 2)
}

/// The smallest coding of a set.
struct Plan {
    mode: u64,
    /// Without the two bits of the mode.
    cost: u64,
    rice: Rice,
    /// The gaps of what is not in the set, if these are written.
    holes: Option<Vec<u64>>,
}

impl Plan {
    /// `None` if there is nothing to write: the count says it all.
    fn of(gaps: &[u64], universe: u64) -> Option<Self> {
        let count = gaps.len() as u64;
        if count == 0 || count == universe {
            return None;
        }
        let rice = Rice::best(gaps, universe);
        let mut plan = Self { mode: mode::GAPS, cost: rice.cost, rice, holes: None };
        if universe < plan.cost {
            (plan.mode, plan.cost) = (mode::BITMAP, universe);
        }
        let runs = gaps.iter().skip(1).fold(1, |runs, gap| runs + u64::from(*gap != 0));
        if universe < 3 * count && holes_cost_at_least(gaps, runs, universe) < plan.cost {
            let holes = gaps_of_holes(gaps, universe);
            let rice = Rice::best(&holes, universe);
            if rice.cost < plan.cost {
                plan = Self { mode: mode::HOLES, cost: rice.cost, rice, holes: Some(holes) };
            }
        }
        // A run takes eight bits at least; so most sets are done with quickly.
        if runs * 8 < plan.cost {
            let cost = runs_cost(gaps);
            if cost < plan.cost {
                (plan.mode, plan.cost) = (mode::RUNS, cost);
            }
        }
        Some(plan)
    }
}

/// The holes between so many runs cost no less than this, which is quicker to find out.
fn holes_cost_at_least(gaps: &[u64], runs: u64, universe: u64) -> u64 {
    let holes = universe - gaps.len() as u64;
    let low = low_k(holes, universe);
    // A run after the last hole costs nothing.
    let last_run = 1 + gaps.iter().rev().take_while(|gap| **gap == 0).count();
    let before_holes = (gaps.len() - last_run.min(gaps.len())) as u64;
    let cost = |k: u32| {
        // Each run's quotient is rounded down.
        let quotients = before_holes.saturating_sub(runs * ((1 << k) - 1)) >> k;
        u64::from(K_BITS) + holes * u64::from(k + 1) + quotients
    };
    cost(low).min(cost(low + 1))
}

/// The gaps of the numbers below `universe` that are not in the set: how many of the set come before
/// each of them.
fn gaps_of_holes(gaps: &[u64], universe: u64) -> Vec<u64> {
    let mut holes = Vec::with_capacity(universe as usize - gaps.len());
    let mut run = 0;
    let tail = universe - gaps.len() as u64 - gaps.iter().sum::<u64>();
    for &gap in gaps.iter().chain([&tail]) {
        if gap > 0 {
            holes.push(run);
            holes.resize(holes.len() + gap as usize - 1, 0);
            run = 0;
        }
        run += 1;
    }
    holes
}

/// Golomb-Rice coding with remainders of `k` bits; `cost` counts all bits.
struct Rice {
    k: u32,
    cost: u64,
}

impl Rice {
    /// The cheapest parameter of the two around the theoretical one.
    fn best(gaps: &[u64], universe: u64) -> Self {
        let count = gaps.len() as u64;
        let low = low_k(count, universe);
        let (at_low, at_high) = gaps
            .iter()
            .fold((0, 0), |(at_low, at_high), gap| (at_low + (gap >> low), at_high + (gap >> low >> 1)));
        let cost = |k: u32, quotients: u64| u64::from(K_BITS) + count * u64::from(k + 1) + quotients;
        let (low, high) =
            (Self { k: low, cost: cost(low, at_low) }, Self { k: low + 1, cost: cost(low + 1, at_high) });
        if high.cost < low.cost { high } else { low }
    }

    fn write(&self, to: &mut Writer, gaps: &[u64]) {
        to.bits(self.k.into(), K_BITS);
        let mask = (1 << self.k) - 1;
        to.fields(gaps.iter().map(|gap| gap & mask), self.k);
        to.unaries(gaps.iter().map(|gap| gap >> self.k));
    }
}

/// The lower of the two parameters that come into question: the best divisor is ln 2 times the mean gap
/// (Gallager and van Voorhis, 1975).
fn low_k(count: u64, universe: u64) -> u32 {
    let mean = universe.checked_div(count).unwrap_or(0);
    (((u128::from(mean) * 177) >> 8) as u64).checked_ilog2().unwrap_or(0)
}

fn write_bitmap(to: &mut Writer, gaps: &[u64], universe: u64) {
    let (mut base, mut word, mut next) = (0, 0, 0);
    for gap in gaps {
        let value = next + gap;
        next = value + 1;
        while value - base >= 64 {
            to.bits(word, 64);
            (base, word) = (base + 64, 0);
        }
        word |= 1 << (value - base);
    }
    while universe - base > 64 {
        to.bits(word, 64);
        (base, word) = (base + 64, 0);
    }
    to.bits(word, (universe - base) as u32);
}

/// Maximal runs: distance of the first number from the earliest possible one, and length less one.
fn runs_of(gaps: &[u64]) -> impl Iterator<Item = (u64, u64)> + '_ {
    let mut is_first = true;
    gaps.chunk_by(|_, gap| *gap == 0).filter_map(move |run| {
        // Two runs have a number between them.
        let skipped = u64::from(!core::mem::take(&mut is_first));
        Some((run.first()? - skipped, run.len() as u64 - 1))
    })
}

fn runs_cost(gaps: &[u64]) -> u64 {
    runs_of(gaps).map(|(skipped, more)| number_bits(skipped) + number_bits(more)).sum()
}

/// The bits of [`Writer::number`].
pub(super) const fn number_bits(value: u64) -> u64 {
    let bits = 64 - (value | 1).leading_zeros() as u64;
    bits.div_ceil(3) * 4
}

/// Runs until the count of the set is reached, so their number need not be said.
fn write_runs(to: &mut Writer, gaps: &[u64]) {
    for (skipped, more) in runs_of(gaps) {
        to.number(skipped);
        to.number(more);
    }
}

/// A set in the bits: an iterator over its numbers, ascending.
#[derive(Clone, Debug)]
pub(super) struct Set<'a> {
    /// Numbers not given out yet.
    left: u64,
    universe: u64,
    state: State<'a>,
}

#[derive(Clone, Debug)]
enum State<'a> {
    /// Every number from `next` on.
    All {
        next: u64,
        reader: Reader<'a>,
    },
    Gaps(Gaps<'a>),
    /// Everything from `next` on but the numbers of `holes`; `hole` is the nearest.
    Holes {
        next: u64,
        hole: u64,
        holes: Gaps<'a>,
        holes_left: u64,
    },
    Bitmap {
        next: u64,
        word: u64,
        reader: Reader<'a>,
    },
    Runs {
        next: u64,
        run_left: u64,
        reader: Reader<'a>,
    },
}

/// Rice-coded gaps: remainders by position, quotients one after another.
#[derive(Clone, Debug)]
struct Gaps<'a> {
    k: u32,
    remainders: usize,
    next: u64,
    quotients: Reader<'a>,
}

impl<'a> Gaps<'a> {
    fn read(reader: &mut Reader<'a>, count: u64) -> Result<Self, DecodeError> {
        let k = reader.bits(K_BITS) as u32;
        let remainders = reader.position();
        // Every gap takes a remainder and at least one bit of quotient.
        reader.expect(count.saturating_mul(u64::from(k) + 1))?;
        let quotients = reader.moved(remainders + count as usize * k as usize);
        Ok(Self { k, remainders, next: 0, quotients })
    }

    #[inline]
    fn take(&mut self) -> u64 {
        let quotient = self.quotients.unary();
        let remainder = if self.k > 56 {
            self.quotients.moved(self.remainders).bits(self.k)
        } else {
            self.quotients.peek_at(self.remainders) & ((1 << self.k) - 1)
        };
        self.remainders += self.k as usize;
        let value = self.next.saturating_add(quotient << self.k | remainder);
        self.next = value.saturating_add(1);
        value
    }

    /// Gives `count` numbers to `put`, and returns the reader after them.
    #[inline]
    fn drain(mut self, count: u64, mut put: impl FnMut(u64)) -> Result<Reader<'a>, DecodeError> {
        let mut reader = self.quotients;
        let start = reader.position();
        // No sum can overflow in small sets, and all but sets of IPv6 suffixes are small.
        if self.k + usize::BITS - reader.end().leading_zeros() > 54 {
            for _ in 0..count {
                put(self.take());
                self.quotients.check()?;
            }
            return Ok(self.quotients);
        }
        let mask = (1 << self.k) - 1;
        let mut base = start & !7;
        let mut word = reader.word_at(base) & u64::MAX << (start & 7);
        let mut remainders = 0;
        for nth in 0..count {
            while word == 0 {
                base += 64;
                if base >= reader.end() {
                    return Err(DecodeError::Truncated { at: reader.end() / 8 });
                }
                word = reader.word_at(base);
            }
            let at = base + word.trailing_zeros() as usize;
            word &= word - 1;
            remainders += reader.peek_at(self.remainders) & mask;
            self.remainders += self.k as usize;
            // The zeros so far are the quotients so far.
            let quotients = (at - start) as u64 - nth;
            put(self.next + (quotients << self.k) + remainders + nth);
            reader = reader.moved(at + 1);
        }
        Ok(reader)
    }
}

impl<'a> Set<'a> {
    /// Reads the head of a set below `universe`. Its numbers are found by iterating; when that is
    /// done, [`Set::end`] is the reader after it.
    pub(super) fn read(mut reader: Reader<'a>, universe: u64) -> Result<Self, DecodeError> {
        let count = reader.number();
        Self::read_counted(reader, count, universe)
    }

    /// Reads the head of a set of `count` numbers.
    pub(super) fn read_counted(
        mut reader: Reader<'a>,
        count: u64,
        universe: u64,
    ) -> Result<Self, DecodeError> {
        if count > universe {
            return Err(reader.invalid("a set larger than its universe"));
        }
        reader.check()?;
        if count == 0 || count == universe {
            return Ok(Self { left: count, universe, state: State::All { next: 0, reader } });
        }
        let state = match reader.bits(2) {
            mode::GAPS => State::Gaps(Gaps::read(&mut reader, count)?),
            mode::HOLES => {
                let mut holes = Gaps::read(&mut reader, universe - count)?;
                let hole = holes.take();
                State::Holes { next: 0, hole, holes, holes_left: universe - count - 1 }
            }
            mode::BITMAP => {
                reader.expect(universe)?;
                State::Bitmap { next: 0, word: 0, reader }
            }
            _ => State::Runs { next: 0, run_left: 0, reader },
        };
        Ok(Self { left: count, universe, state })
    }

    /// How many numbers are still to come.
    pub(super) const fn len(&self) -> u64 {
        self.left
    }

    /// True if every number of the universe is still to come.
    pub(super) const fn is_all(&self) -> bool {
        self.left == self.universe
    }

    /// The reader after the set; skips the numbers not yet given out.
    pub(super) fn end(self) -> Result<Reader<'a>, DecodeError> {
        self.drain(|_| ())
    }

    /// Gives the numbers not yet given out to `put`, and returns the reader after the set. After an
    /// error some of what was put may lie beyond the universe.
    #[inline]
    pub(super) fn drain(mut self, mut put: impl FnMut(u64)) -> Result<Reader<'a>, DecodeError> {
        let (left, universe) = (self.left, self.universe);
        let mut last = 0;
        let mut put = |value| {
            last = value;
            put(value);
        };
        let reader = match self.state {
            State::All { next, reader } => {
                (next..next + left).for_each(put);
                return Ok(reader);
            }
            State::Gaps(gaps) => gaps.drain(left, put)?,
            State::Holes { mut next, hole, holes, holes_left } => {
                let mut given = 0;
                let mut until = |hole: u64| {
                    let range = next..hole.min(universe);
                    given += range.end.saturating_sub(range.start);
                    range.for_each(&mut put);
                    next = hole.saturating_add(1);
                };
                until(hole);
                let reader = holes.drain(holes_left, &mut until)?;
                until(universe);
                // More are left over if some hole lies beyond the universe.
                if given != left {
                    return Err(reader.invalid("a set beyond its universe"));
                }
                reader
            }
            State::Bitmap { .. } | State::Runs { .. } => {
                for _ in 0..left {
                    match self.next() {
                        Some(value) if value < universe => put(value),
                        _ => return Err(self.reader().invalid("a set beyond its universe")),
                    }
                }
                self.after_words()
            }
        };
        if last >= universe {
            return Err(reader.invalid("a set beyond its universe"));
        }
        reader.check()?;
        Ok(reader)
    }

    /// The reader after a bitmap, which ends with its universe and not with the last number.
    fn after_words(self) -> Reader<'a> {
        let universe = self.universe;
        let State::Bitmap { next, mut reader, .. } = self.state else { return self.reader() };
        for base in (next.div_ceil(64) * 64..universe).step_by(64) {
            reader.bits((universe - base).min(64) as u32);
        }
        reader
    }

    fn reader(&self) -> Reader<'a> {
        match &self.state {
            State::All { reader, .. } | State::Bitmap { reader, .. } | State::Runs { reader, .. } => *reader,
            State::Gaps(gaps) | State::Holes { holes: gaps, .. } => gaps.quotients,
        }
    }
}

impl Iterator for Set<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.state {
            State::All { next, .. } => {
                *next += 1;
                Some(*next - 1)
            }
            State::Gaps(gaps) => gaps.quotients.check().is_ok().then(|| gaps.take()),
            State::Holes { next, hole, holes, holes_left } => {
                while *next == *hole {
                    *next += 1;
                    if *holes_left == 0 {
                        *hole = u64::MAX;
                    } else {
                        *holes_left -= 1;
                        *hole = holes.take();
                    }
                }
                *next += 1;
                Some(*next - 1)
            }
            State::Bitmap { next, word, reader } => {
                while *word == 0 {
                    let base = next.div_ceil(64) * 64;
                    let size = self.universe.checked_sub(base).filter(|&size| size > 0)?.min(64);
                    *word = reader.bits(size as u32);
                    // `next` marks the word: its base plus one.
                    *next = base + 1;
                }
                let base = (*next - 1) / 64 * 64;
                let value = base + u64::from(word.trailing_zeros());
                *word &= *word - 1;
                Some(value)
            }
            State::Runs { next, run_left, reader } => {
                if *run_left == 0 {
                    *next = next.saturating_add(reader.number());
                    *run_left = reader.number().saturating_add(1);
                    if reader.check().is_err() {
                        return None;
                    }
                }
                *run_left -= 1;
                let value = *next;
                // After a run comes a number that is not in the set.
                *next = next.saturating_add(if *run_left == 0 { 2 } else { 1 });
                Some(value)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::btree_set, prelude::*};

    fn round_trip(values: &[u64], universe: u64) -> usize {
        let mut writer = Writer::default();
        writer.bits(5, 3);
        write(&mut writer, values, universe);
        let end = writer.position();
        writer.bits(9, 4);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes, 0);
        reader.bits(3);
        let set = Set::read(reader, universe).unwrap();
        assert_eq!(set.len(), values.len() as u64);
        assert_eq!(set.clone().collect::<Vec<_>>(), values);
        for taken in [0, values.len() / 2, values.len()] {
            let mut rest = set.clone();
            rest.by_ref().take(taken).for_each(drop);
            let mut after = rest.end().unwrap();
            assert_eq!((after.position(), after.bits(4)), (end, 9), "{taken} taken");
        }
        end - 3
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(values in btree_set(0..600u64, 0..400), spare in 0..100u64) {
            let values: Vec<_> = values.into_iter().collect();
            round_trip(&values, values.last().map_or(0, |last| last + 1) + spare);
        }

        #[test]
        fn sparse_sets_of_any_size_survive(values in btree_set(any::<u64>(), 0..20)) {
            let values: Vec<_> = values.into_iter().filter(|&value| value < u64::MAX - 1).collect();
            round_trip(&values, u64::MAX);
        }
    }

    #[test]
    fn every_small_set_survives() {
        for universe in 0..=10 {
            for pattern in 0..1u64 << universe {
                let values: Vec<_> = (0..universe).filter(|bit| pattern >> bit & 1 == 1).collect();
                round_trip(&values, universe);
            }
        }
    }

    #[test]
    fn holes_are_only_passed_over_where_they_would_lose() {
        for universe in 1..=13 {
            for pattern in 1..(1u64 << universe) - 1 {
                let values: Vec<_> = (0..universe).filter(|bit| pattern >> bit & 1 == 1).collect();
                let gaps = gaps_of(&values);
                let runs = 1 + gaps.iter().skip(1).filter(|gap| **gap > 0).count() as u64;
                let cost = Rice::best(&gaps_of_holes(&gaps, universe), universe).cost;
                assert!(holes_cost_at_least(&gaps, runs, universe) <= cost, "{values:?} of {universe}");
            }
        }
    }

    #[test]
    fn ranges_cost_a_few_bytes() {
        let values: Vec<_> = (100..350).chain(600..850).collect();
        assert!(round_trip(&values, 65536) <= 80);
    }

    /// The entropy of `n` of `u` numbers, in bits.
    fn entropy(u: u64, n: u64) -> f64 {
        (0..n).map(|i| ((u - i) as f64 / (n - i) as f64).log2()).sum()
    }

    #[test]
    fn random_sets_come_near_their_entropy() {
        let mut seed = 1u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 48
        };
        for (count, most) in [(100, 1.05), (200, 1.03), (1000, 1.03), (10_000, 1.03)] {
            let mut values = alloc::collections::BTreeSet::new();
            while values.len() < count {
                values.insert(random());
            }
            let values: Vec<_> = values.into_iter().collect();
            let (bits, bound) = (round_trip(&values, 65536) as f64, entropy(65536, count as u64));
            assert!(bits <= bound * most, "{count}: {bits} bits, {bound:.0} needed");
        }
    }
}
