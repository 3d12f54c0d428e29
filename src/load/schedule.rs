//! `RateSchedule`: planned times at a constant rate.

use std::time::Duration;

use crate::instant::Instant;

use super::share::Share;

/// `span` in whole nanoseconds, or the largest number if it does not fit.
pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Planned times at a constant rate, of all events or of one share of them.
///
/// Each time is computed from the first one, so that rounding errors do not add up.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateSchedule {
    begin: Instant,
    rate: f64,
    share: Share,
}

impl RateSchedule {
    pub(super) fn new(begin: Instant, rate: f64) -> Self {
        Self { begin, rate, share: Share::WHOLE }
    }

    /// The events of one share, with numbers of their own.
    pub(super) fn of_share(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// A schedule from about `now` on, and the number of the event that is planned for the end of the warm-up.
    pub(super) fn with_warm_up(now: Instant, warm_up: Duration, rate: f64) -> (Self, u64) {
        let number = (warm_up.as_secs_f64() * rate) as u64;
        let before = Self::new(Instant::ORIGIN, rate).planned(number).since(Instant::ORIGIN);
        (Self::new(now + warm_up.saturating_sub(before), rate), number)
    }

    /// Planned time of event `number`; the first is number 0.
    #[inline]
    pub(super) fn planned(&self, number: u64) -> Instant {
        // Exact for a hundred days: the 53 bits of an `f64` hold that many nanoseconds.
        self.begin + Duration::from_nanos((self.share.number_in_run(number) as f64 * 1e9 / self.rate) as u64)
    }

    /// The next event at or after number `next` of every `step`th one. Events before number `first` are dropped
    /// once that one is due, so that a backlog of the warm-up does not take the measured time.
    #[inline]
    pub(super) fn without_overdue(&self, next: u64, step: u64, first: u64, now: Instant) -> u64 {
        if first <= next || now < self.planned(first) { next } else { next + (first - next).next_multiple_of(step) }
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

    #[test]
    fn overdue_events_of_the_warm_up_are_dropped() {
        let schedule = RateSchedule::new(Instant::ORIGIN, 1.0);
        let at = |second| Instant::ORIGIN + Duration::from_secs(second);
        assert_eq!([9, 10].map(|now| schedule.without_overdue(2, 3, 10, at(now))), [2, 11]);
        assert_eq!([4, 10, 13].map(|next| schedule.without_overdue(next, 3, 10, at(10))), [10, 10, 13]);
    }

    #[test]
    fn an_event_is_planned_for_the_end_of_the_warm_up() {
        let second = Duration::from_secs(1);
        for (warm_up, rate, number) in [(0, 0.5, 0), (1, 0.5, 0), (3, 0.5, 1), (1, 1000.0, 1000), (7, 0.25, 1)] {
            let (schedule, first) = RateSchedule::with_warm_up(Instant::ORIGIN + second, warm_up * second, rate);
            assert_eq!((first, schedule.planned(first)), (number, Instant::ORIGIN + (warm_up + 1) * second));
        }
    }
}
