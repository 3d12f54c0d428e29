//! `RecentConnects`: the number of connections established recently.
//!
//! It counts in consecutive spans instead of a sliding window, so it stores only a time and a number.

use std::time::Duration;

use crate::instant::Instant;

pub(super) struct RecentConnects {
    span: Duration,
    /// Time of the first connect in the current span.
    begin: Instant,
    count: usize,
}

impl RecentConnects {
    pub(super) const fn new(span: Duration) -> Self {
        Self { span, begin: Instant::ORIGIN, count: 0 }
    }

    pub(super) fn record(&mut self, now: Instant) {
        if self.is_over(now) {
            (self.begin, self.count) = (now, 0);
        }
        self.count += 1;
    }

    /// Number of connects in the current span.
    pub(super) fn count_at(&self, now: Instant) -> usize {
        if self.is_over(now) { 0 } else { self.count }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.span <= now.since(self.begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connects_of_an_earlier_span_do_not_count() {
        let second = Duration::from_secs(1);
        let at = |halves: u32| Instant::ORIGIN + second / 2 * halves;
        let mut connects = RecentConnects::new(second);
        assert_eq!(connects.count_at(at(10)), 0);
        connects.record(at(10));
        connects.record(at(11));
        assert_eq!([connects.count_at(at(11)), connects.count_at(at(12))], [2, 0]);
        connects.record(at(12));
        assert_eq!(connects.count_at(at(13)), 1);
    }
}
