//! `Rng`: the random numbers of the simulated world, all derived from one seed.
//!
//! The generator is SplitMix64: one word of state and a full period. It is good enough to choose
//! faults and far too weak for secrets.

use std::time::Duration;

use crate::trace::mix;

/// A random number generator that gives the same numbers for the same seed on every machine.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Creates a generator. Neighboring seeds give unrelated numbers.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number from 0 to `end - 1`.
    ///
    /// # Panics
    /// If `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "the range is empty");
        // The high half of the product is uniform up to end / 2^64, and needs no division.
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// A number from 1 to `last`, or 1 when `last` is less.
    pub fn up_to(&mut self, last: usize) -> usize {
        1 + self.below(last.max(1))
    }

    /// A duration from zero to `longest`, both included.
    pub fn span(&mut self, longest: Duration) -> Duration {
        let nanos = usize::try_from(longest.as_nanos()).unwrap_or(usize::MAX - 1);
        Duration::from_nanos(self.below(nanos + 1) as u64)
    }

    /// Returns true with this probability: never at 0.0, always at 1.0.
    pub fn chance(&mut self, probability: f64) -> bool {
        // An f64 between 0 and 1 holds 53 bits.
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        probability > 0.0 && ((self.bits() >> 11) as f64 * STEP) < probability
    }

    /// One of `items`.
    ///
    /// # Panics
    /// If `items` is empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Shuffles `items`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// Creates a second generator with unrelated numbers.
    pub fn fork(&mut self) -> Self {
        Self::new(self.bits())
    }
}

/// Returns `len` bytes of the pattern of `key`, from `position` on.
///
/// Each byte depends on the key and the position. So a comparison detects a byte that is lost,
/// duplicated, moved or taken from another stream.
pub fn pattern(key: u64, position: u64, len: usize) -> Vec<u8> {
    let start = (position % 8) as usize;
    let mut bytes = Vec::with_capacity(start + len + 8);
    for word in position / 8.. {
        if bytes.len() >= start + len {
            break;
        }
        bytes.extend_from_slice(&mix(mix(key).wrapping_add(word)).to_le_bytes());
    }
    bytes.truncate(start + len);
    bytes.drain(..start);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        // The first numbers of SplitMix64 for seed 1234567, as its reference implementation prints them.
        let mut rng = Rng::new(1_234_567);
        assert_eq!([rng.bits(), rng.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn all_numbers_below_the_end_are_equally_likely() {
        let mut rng = Rng::new(1);
        let mut seen = [0_u32; 7];
        for _ in 0..70_000 {
            seen[rng.below(7)] += 1;
        }
        assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
    }

    #[test]
    fn chance_is_never_true_at_zero_and_always_true_at_one() {
        let mut rng = Rng::new(2);
        assert!((0..1000).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
    }

    #[test]
    fn a_pattern_does_not_depend_on_how_it_is_split() {
        let whole = pattern(9, 0, 100);
        for cut in 0..=100 {
            assert_eq!([pattern(9, 0, cut), pattern(9, cut as u64, 100 - cut)].concat(), whole);
        }
        assert_ne!(pattern(10, 0, 100), whole);
    }
}
