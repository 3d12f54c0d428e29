//! [`Backoff`]: the pause between two attempts.
//!
//! A pure function of the attempt number and a seed: it reads no clock and draws no random number.

use std::time::Duration;

/// Exponential backoff with jitter: pauses double up to a cap, each shortened by up to half at random.
///
/// Without jitter, all clients of a failed server would reconnect at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
}

impl Backoff {
    /// Pauses of about `first`, twice that, four times that, and so on up to `cap`.
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap }
    }

    /// The pause after a failed attempt; the first attempt is number 0. The pause is at least half of
    /// the full value for this attempt and less than all of it, depending on `seed`.
    ///
    /// One seed for all attempts of a client is enough.
    pub fn pause(&self, attempt: u32, seed: u64) -> Duration {
        let factor = 2_u32.checked_pow(attempt).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(factor).min(self.cap);
        let half = full / 2;
        // The upper half of the mixed seed, as a fraction of 2³².
        let random = mix(seed ^ u64::from(attempt)) >> 32;
        let extra = (u128::from(random) * half.as_nanos()) >> 32;
        half + Duration::from_nanos(u64::try_from(extra).unwrap_or(u64::MAX))
    }
}

impl Default for Backoff {
    /// From 100 ms, about the time of a server restart, up to 5 s, a tolerable wait for a user.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(5))
    }
}

/// Maps similar numbers to unrelated ones: one step and the finalizer of SplitMix64 (Steele, Lea and
/// Flood, 2014).
const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_up_to_the_cap() {
        let backoff = Backoff::new(100 * MILLISECOND, 1500 * MILLISECOND);
        for (attempt, full) in [100, 200, 400, 800, 1500, 1500, 1500].into_iter().enumerate() {
            for seed in 0..1000 {
                let pause = backoff.pause(attempt as u32, seed);
                let full = full * MILLISECOND;
                assert!(full / 2 <= pause && pause < full, "{pause:?} after attempt {attempt} with seed {seed}");
            }
        }
    }

    #[test]
    fn seeds_spread_over_the_whole_range() {
        let backoff = Backoff::new(1000 * MILLISECOND, Duration::MAX);
        let mut tenths = [0; 10];
        for seed in 0..10_000 {
            let above_half = backoff.pause(0, seed) - 500 * MILLISECOND;
            tenths[(above_half.as_millis() / 50) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (900..1100).contains(count)), "{tenths:?}");
    }

    #[test]
    fn one_seed_gives_each_attempt_another_jitter() {
        let backoff = Backoff::new(MILLISECOND, MILLISECOND);
        let pauses: std::collections::HashSet<Duration> = (0..100).map(|attempt| backoff.pause(attempt, 7)).collect();
        assert!(pauses.len() > 90);
        assert_eq!(backoff.pause(3, 7), backoff.pause(3, 7));
    }

    #[test]
    fn no_attempt_number_overflows() {
        assert!(Backoff::default().pause(u32::MAX, u64::MAX) < Duration::from_secs(5));
        let endless = Backoff::new(Duration::MAX, Duration::MAX);
        assert!(endless.pause(9, 9) >= Duration::MAX / 2);
        assert_eq!(Backoff::new(Duration::ZERO, Duration::MAX).pause(1, 1), Duration::ZERO);
    }
}
