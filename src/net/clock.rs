//! `Clock`: the system's monotonic clock, as instants since an origin of its own.
//!
//! Only the border reads it. All threads of one server share one origin.

use std::time::{self, Duration};

use rustix::time::{ClockId, clock_gettime};

use crate::instant::{Instant, NANOS_PER_SECOND};

/// A clock; its copies show the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Nanoseconds of the system's clock, as one number: subtracting two `std` instants is slower.
    origin: u64,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn new() -> Self {
        Self { origin: system_nanos() }
    }

    #[inline]
    pub(crate) fn now(self) -> Instant {
        Instant::from_nanos(system_nanos() - self.origin)
    }

    /// One moment on this clock and on the clock of the standard library.
    pub(crate) fn anchor(self) -> ClockAnchor {
        ClockAnchor::new(self.now(), time::Instant::now())
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
                Instant::from_nanos(self.on_loop.as_nanos().saturating_sub(before))
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
        match instant.as_nanos().checked_sub(self.on_loop.as_nanos()) {
            Some(after) => self.on_std.checked_add(Duration::from_nanos(after)),
            None => self.on_std.checked_sub(self.on_loop - instant),
        }
    }
}

/// Nanoseconds since a fixed moment before the system started; they never decrease (clock_gettime(2)).
#[inline]
fn system_nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * NANOS_PER_SECOND + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_anchor_converts_to_the_time_of_the_clock() {
        let clock = Clock::new();
        let earlier = clock.now();
        let anchor = clock.anchor();
        let converted = anchor.to_loop(time::Instant::now());
        assert!(earlier <= converted && converted <= clock.now());
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
            let anchor = ClockAnchor::new(Instant::from_nanos(on_loop), time::Instant::now());
            if let Some(on_std) = anchor.to_std(Instant::from_nanos(nanos)) {
                prop_assert_eq!(anchor.to_loop(on_std), Instant::from_nanos(nanos));
            }
        }
    }
}
