//! `Clock`: the system's monotonic clock, as instants since an origin of its own.
//!
//! Only the border reads it. All threads of one server share one origin.

use std::time;

use rustix::time::{ClockId, clock_gettime};

use crate::instant::{ClockAnchor, Instant, NANOS_PER_SECOND};

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

/// Nanoseconds since a fixed moment before the system started; they never decrease (clock_gettime(2)).
#[inline]
fn system_nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * NANOS_PER_SECOND + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_converts_to_the_time_of_the_clock() {
        let clock = Clock::new();
        let earlier = clock.now();
        let anchor = clock.anchor();
        let converted = anchor.to_loop(time::Instant::now());
        assert!(earlier <= converted && converted <= clock.now());
    }
}
