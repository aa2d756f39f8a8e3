//! Pauses between attempts: doubled up to a ceiling, blurred, and back at the start after a success.

use std::time::Duration;

/// How long to wait before the next attempt.
///
/// The blur keeps a thousand agents that lost the same broker from coming back in the same instant.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// Pauses from `first` up to `ceiling`; `seed` blurs them.
    pub fn new(first: Duration, ceiling: Duration, seed: u64) -> Self {
        Self { first, ceiling, failures: 0, random: fastrand::Rng::with_seed(seed) }
    }

    /// What connections use: 100 ms to 10 s.
    pub fn for_connections() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(10), fastrand::u64(..))
    }

    /// After a failure: between half the pause that is due and the whole.
    pub fn pause(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(20)).min(self.ceiling);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + self.random.f64() / 2.0)
    }

    /// After a success the pauses start small again.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_ceiling_and_come_down_again() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1000), 1);
        for whole in [100, 200, 400, 800, 1000, 1000, 1000] {
            let pause = backoff.pause();
            assert!((ms(whole / 2)..=ms(whole)).contains(&pause), "{pause:?} of {whole} ms");
        }
        backoff.succeeded();
        assert!(backoff.pause() <= ms(100));
    }

    #[test]
    fn a_thousand_agents_do_not_come_back_at_once() {
        let pauses = (0..1000).map(|seed| {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8), seed);
            backoff.pause().as_millis() / 50
        });
        let mut slots = [0; 21];
        pauses.for_each(|slot| slots[slot as usize] += 1);
        assert!(slots.iter().all(|agents| *agents < 200), "{slots:?}");
    }
}
