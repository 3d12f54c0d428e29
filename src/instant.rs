//! `Instant`: a point on the clock of whoever drives the machines.
//!
//! It never reads a clock: the driver does, once a turn, and passes the result down. It is half
//! the size of `std::time::Instant`, and every connection keeps several.

use std::ops::Add;
use std::time::Duration;

pub(crate) const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Nanoseconds since the driver's own origin; monotonic as far as the driver's clock is.
///
/// All arithmetic saturates: [`Instant::NEVER`] stays the end of time however much is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// Where the driver's clock starts.
    pub const ORIGIN: Self = Self(0);
    /// A deadline that is not armed; 584 years after the origin.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    #[inline]
    fn add(self, span: Duration) -> Self {
        let nanos = span.as_secs().saturating_mul(NANOS_PER_SECOND).saturating_add(span.subsec_nanos().into());
        Self(self.0.saturating_add(nanos))
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
    fn a_clock_that_stands_still_gives_zero() {
        let now = Instant::from_nanos(5);
        assert_eq!(now.since(now), Duration::ZERO);
        assert_eq!(now.since(now + Duration::from_nanos(1)), Duration::ZERO);
    }
}
