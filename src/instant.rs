//! `Instant`: a point in time on the clock of the driver.
//!
//! It never reads a clock. The driver reads it once a turn and passes the result down. An instant
//! has half the size of `std::time::Instant`, and every connection stores several.

use std::ops::{Add, Sub};
use std::time::{self, Duration};

pub(crate) const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Nanoseconds since the origin of the driver's clock.
///
/// It is monotonic if the driver's clock is. All arithmetic saturates, so [`Instant::NEVER`] plus any
/// duration is [`Instant::NEVER`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// One moment on two clocks: the clock of the driver and that of the standard library.
///
/// It converts instants of one clock to the other. [`Reactor::clock_anchor`](crate::Reactor::clock_anchor)
/// reads both clocks. A simulated clock is not real, so a test makes an anchor by itself.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use readyloop::Reactor;
///
/// # fn main() -> std::io::Result<()> {
/// let anchor = Reactor::new()?.clock_anchor();
/// let deadline = Instant::now() + Duration::from_secs(5);
/// let on_the_loop = anchor.to_loop(deadline);
/// assert_eq!(anchor.to_std(on_the_loop), Some(deadline));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockAnchor {
    on_loop: Instant,
    on_std: time::Instant,
}

impl ClockAnchor {
    /// An anchor where the clock of the driver shows `on_loop` and that of the standard library `on_std`.
    ///
    /// The time between the two readings is the error of every conversion.
    pub const fn new(on_loop: Instant, on_std: time::Instant) -> Self {
        Self { on_loop, on_std }
    }

    /// An instant of the standard library on the clock of the driver.
    ///
    /// It saturates at [`Instant::ORIGIN`] and at [`Instant::NEVER`].
    pub fn to_loop(self, instant: time::Instant) -> Instant {
        match instant.checked_duration_since(self.on_std) {
            Some(after) => self.on_loop + after,
            None => {
                let before = self.on_std.duration_since(instant).as_nanos();
                let before = u64::try_from(before).unwrap_or(u64::MAX);
                Instant(self.on_loop.0.saturating_sub(before))
            }
        }
    }

    /// An instant of the driver on the clock of the standard library.
    ///
    /// It is `None` for [`Instant::NEVER`], and for an instant that the standard library cannot express.
    pub fn to_std(self, instant: Instant) -> Option<time::Instant> {
        if instant == Instant::NEVER {
            return None;
        }
        match instant.0.checked_sub(self.on_loop.0) {
            Some(after) => self.on_std.checked_add(Duration::from_nanos(after)),
            None => self.on_std.checked_sub(self.on_loop - instant),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn a_conversion_saturates_at_both_ends_of_the_clock() {
        let start = time::Instant::now();
        let hour = Duration::from_secs(3600);
        let anchor = ClockAnchor::new(Instant::ORIGIN + hour, start + 2 * hour);
        assert_eq!(anchor.to_loop(start + 2 * hour), Instant::ORIGIN + hour);
        assert_eq!(anchor.to_loop(start), Instant::ORIGIN);
        assert_eq!(anchor.to_std(Instant::ORIGIN), Some(start + hour));
        assert_eq!(anchor.to_std(Instant::NEVER), None);
        assert_eq!(ClockAnchor::new(Instant::NEVER, start).to_loop(start + hour), Instant::NEVER);
    }

    proptest! {
        #[test]
        fn an_instant_is_unchanged_after_both_conversions(on_loop in any::<u64>(), nanos in 0..u64::MAX) {
            let anchor = ClockAnchor::new(Instant(on_loop), time::Instant::now());
            if let Some(on_std) = anchor.to_std(Instant(nanos)) {
                prop_assert_eq!(anchor.to_loop(on_std), Instant(nanos));
            }
        }
    }
}
