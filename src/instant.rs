//! `Instant`: a point in time on the clock of the driver.
//!
//! It never reads a clock. The driver reads it once a turn and passes the result down. An instant
//! has half the size of `std::time::Instant`, and every connection stores several.

use std::ops::{Add, Sub};
use std::time::Duration;

pub(crate) const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Nanoseconds since the origin of the driver's clock.
///
/// It is monotonic if the driver's clock is. All arithmetic saturates, so [`Instant::NEVER`] plus any
/// duration is [`Instant::NEVER`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub struct Instant(u64);

impl Instant {
    /// The start of the driver's clock.
    pub const ORIGIN: Self = Self(0);
    /// A deadline that never passes, 584 years after the origin.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    #[inline]
    fn add(self, duration: Duration) -> Self {
        let nanos = duration.as_secs().saturating_mul(NANOS_PER_SECOND).saturating_add(duration.subsec_nanos().into());
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// The time since `earlier`; zero if `earlier` is later.
    #[inline]
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_to_never_stays_never() {
        assert_eq!(Instant::NEVER + Duration::from_secs(1), Instant::NEVER);
        assert_eq!(Instant::ORIGIN + Duration::MAX, Instant::NEVER);
    }

    #[test]
    fn the_time_since_a_later_instant_is_zero() {
        let now = Instant::from_nanos(5);
        assert_eq!(now.since(now), Duration::ZERO);
        assert_eq!(now.since(now + Duration::from_nanos(1)), Duration::ZERO);
    }

    #[test]
    fn the_difference_of_two_instants_is_a_duration() {
        let now = Instant::from_nanos(5);
        assert_eq!((now + Duration::from_secs(2)) - now, Duration::from_secs(2));
        assert_eq!(now - (now + Duration::from_secs(2)), Duration::ZERO);
    }
}
