//! `Distribution` and `Lengths`: random durations and message lengths.
//!
//! A random number follows from a connection and the number of a request on it. So nothing is stored for
//! it, and a repeated run draws the same numbers.

use std::fmt;
use std::time::Duration;

use crate::sim::Rng;
use crate::trace::mix;

use super::schedule::nanos;

/// A distribution of durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Always this duration.
    Constant(Duration),
    /// Any duration from the first to the second, both included, with equal probability.
    Uniform(Duration, Duration),
    /// Exponentially distributed with this mean, as the time between independent events.
    Exponential(Duration),
}

impl Distribution {
    /// The mean of all durations.
    pub fn mean(self) -> Duration {
        match self {
            Self::Constant(duration) | Self::Exponential(duration) => duration,
            Self::Uniform(min, max) => min.saturating_add(max) / 2,
        }
    }

    /// The largest duration that can be drawn; 37 times the mean for an exponential distribution.
    pub(super) fn max(self) -> Duration {
        match self {
            Self::Constant(max) | Self::Uniform(_, max) => max,
            Self::Exponential(mean) => mean.saturating_mul(37),
        }
    }

    /// A random duration.
    pub(super) fn draw(self, rng: &mut Rng) -> Duration {
        match self {
            Self::Constant(duration) => duration,
            Self::Uniform(min, max) => min + rng.span(max.saturating_sub(min)),
            Self::Exponential(mean) => {
                // From 2⁻⁵³ to 1, so the logarithm is finite.
                let part = ((rng.bits() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
                Duration::from_nanos((nanos(mean) as f64 * -part.ln()) as u64)
            }
        }
    }

    /// The random rest of a duration that began earlier.
    pub(super) fn draw_rest(self, rng: &mut Rng) -> Duration {
        match self {
            // The time that has passed has no influence on the rest.
            Self::Exponential(_) => self.draw(rng),
            Self::Constant(_) | Self::Uniform(..) => {
                let whole = self.draw(rng);
                rng.span(whole)
            }
        }
    }
}

impl fmt::Display for Distribution {
    /// Prints it as the command reads it: `10ms`, `5ms..20ms`, `exp:10ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(duration) => write!(f, "{duration:?}"),
            Self::Uniform(min, max) => write!(f, "{min:?}..{max:?}"),
            Self::Exponential(mean) => write!(f, "exp:{mean:?}"),
        }
    }
}

/// Lengths from `min` to `max`, both included, with equal probability.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl Lengths {
    /// Length of request `number` on connection `serial`.
    #[inline]
    pub(super) fn of_request(self, serial: u64, number: u64) -> usize {
        if self.min == self.max {
            return self.max;
        }
        self.min + Draw::Length.rng(serial, number).below(self.max - self.min + 1)
    }
}

/// Use of a random number. Random numbers of different uses do not depend on each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    Length,
    Think,
    Lifetime,
}

impl Draw {
    /// Random numbers for request `number` on connection `serial`.
    pub(super) fn rng(self, serial: u64, number: u64) -> Rng {
        let seed = mix(serial.wrapping_add((self as u64) << 62));
        Rng::new(mix(seed.wrapping_add(number)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn drawn(distribution: Distribution, count: u64) -> Vec<Duration> {
        (0..count).map(|number| distribution.draw(&mut Draw::Think.rng(number % 10, number / 10))).collect()
    }

    #[track_caller]
    fn assert_mean(distribution: Distribution, drawn: &[Duration]) {
        let mean = drawn.iter().sum::<Duration>().as_secs_f64() / drawn.len() as f64;
        let ratio = mean / distribution.mean().as_secs_f64();
        assert!((0.97..1.03).contains(&ratio), "{distribution} has the mean {mean} s");
    }

    #[test]
    fn the_share_of_exponential_durations_above_the_mean_is_one_in_e() {
        let distribution = Distribution::Exponential(10 * MS);
        let drawn = drawn(distribution, 20_000);
        let above = drawn.iter().filter(|duration| **duration > 10 * MS).count() as f64 / drawn.len() as f64;
        assert!((above - 1.0 / std::f64::consts::E).abs() < 0.015, "{above}");
    }

    #[test]
    fn the_rest_of_a_duration_has_the_distribution_of_one_that_began_at_any_time() {
        for (distribution, mean) in
            [(Distribution::Constant(10 * MS), 5 * MS), (Distribution::Exponential(10 * MS), 10 * MS)]
        {
            let sum: Duration = (0..20_000).map(|number| distribution.draw_rest(&mut Draw::Think.rng(number, 0))).sum();
            let ratio = sum.as_secs_f64() / 20_000.0 / mean.as_secs_f64();
            assert!((0.97..1.03).contains(&ratio), "{distribution}: {ratio}");
        }
    }

    #[test]
    fn lengths_include_both_ends_and_repeat() {
        let lengths = Lengths { min: 1, max: 3 };
        let of_connection = |serial| (0..1000).map(|number| lengths.of_request(serial, number)).collect::<Vec<_>>();
        let drawn = of_connection(7);
        let count = |len| drawn.iter().filter(|drawn| **drawn == len).count();
        assert!((1..=3).all(|len| (270..400).contains(&count(len))), "{:?}", [1, 2, 3].map(count));
        assert_eq!(drawn, of_connection(7));
        assert_ne!(drawn, of_connection(8));
        assert_eq!(Lengths { min: 5, max: 5 }.of_request(1, 2), 5);
    }

    #[test]
    fn a_distribution_is_printed_as_it_is_typed() {
        let uniform = Distribution::Uniform(5 * MS, 1500 * MS);
        let printed =
            [Distribution::Constant(10 * MS), uniform, Distribution::Exponential(10 * MS)].map(|it| it.to_string());
        assert_eq!(printed, ["10ms", "5ms..1.5s", "exp:10ms"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn durations_have_the_mean_and_stay_within_the_bounds(min in 1_u64..1 << 50, more in 0_u64..1 << 50) {
            let (min, max) = (Duration::from_nanos(min), Duration::from_nanos(min + more));
            for distribution in
                [Distribution::Constant(max), Distribution::Uniform(min, max), Distribution::Exponential(max)]
            {
                let drawn = drawn(distribution, 20_000);
                assert_mean(distribution, &drawn);
                prop_assert!(drawn.iter().all(|duration| *duration <= distribution.max()));
                if let Distribution::Uniform(..) = distribution {
                    prop_assert!(drawn.iter().all(|duration| *duration >= min));
                }
            }
        }
    }
}
