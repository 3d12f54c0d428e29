//! `Rng`: all chance in the simulated world comes out of one seed.
//!
//! It is SplitMix64: one word of state, full period, good enough to choose faults and far too
//! weak for secrets.

use std::time::Duration;

/// A generator of numbers that look random and are the same for the same seed, everywhere.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The generator of that seed. Neighbouring seeds give unrelated numbers.
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
    /// When `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "nothing is below 0");
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

    /// True with that probability: never at 0.0, always at 1.0.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are what a float between 0 and 1 can hold.
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        probability > 0.0 && ((self.bits() >> 11) as f64 * STEP) < probability
    }

    /// One of `items`.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A second generator, unrelated to what this one gives from now on.
    pub fn fork(&mut self) -> Self {
        Self::new(self.bits())
    }
}

/// Spreads every bit of `word` over all bits of the result; no two words give the same.
pub(super) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// `len` bytes of the stream that belongs to `key`, from `position` on.
///
/// A byte depends on key and position, so a byte that is lost, doubled, out of place or of
/// another stream shows at once.
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
    fn every_number_below_the_end_comes_equally_often() {
        let mut rng = Rng::new(1);
        let mut seen = [0_u32; 7];
        for _ in 0..70_000 {
            seen[rng.below(7)] += 1;
        }
        assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
    }

    #[test]
    fn chance_never_hits_at_zero_and_always_at_one() {
        let mut rng = Rng::new(2);
        assert!((0..1000).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
    }

    #[test]
    fn a_pattern_is_the_same_however_it_is_cut() {
        let whole = pattern(9, 0, 100);
        for cut in 0..=100 {
            assert_eq!([pattern(9, 0, cut), pattern(9, cut as u64, 100 - cut)].concat(), whole);
        }
        assert_ne!(pattern(10, 0, 100), whole);
    }
}
