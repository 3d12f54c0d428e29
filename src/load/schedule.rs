//! `RateSchedule`: planned times at a constant rate.

use std::time::Duration;

use crate::instant::Instant;

/// `span` in whole nanoseconds, or the largest number if it does not fit.
pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Planned times at a constant rate.
///
/// Each time is computed from the first one, so that rounding errors do not add up.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateSchedule {
    begin: Instant,
    rate: f64,
}

impl RateSchedule {
    pub(super) fn new(begin: Instant, rate: f64) -> Self {
        Self { begin, rate }
    }

    /// Planned time of event `number`; the first is number 0.
    #[inline]
    pub(super) fn planned(&self, number: u64) -> Instant {
        // Exact for a hundred days: the 53 bits of an `f64` hold that many nanoseconds.
        self.begin + Duration::from_nanos((number as f64 * 1e9 / self.rate) as u64)
    }

    /// Number of events that are planned in the first `span`.
    pub(super) fn count_in(&self, span: Duration) -> u64 {
        // The factor corrects rounding: ten seconds at 0.1 per second are exactly one event.
        (span.as_secs_f64() * self.rate * (1.0 - 1e-12)).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planned_times_do_not_drift() {
        let schedule = RateSchedule::new(Instant::ORIGIN, 3.0);
        assert_eq!(schedule.planned(3_000_000), Instant::ORIGIN + Duration::from_secs(1_000_000));
        assert_eq!(schedule.count_in(Duration::from_secs(10)), 30);
        assert_eq!(schedule.planned(0), Instant::ORIGIN);
    }
}
