//! `RecentConnects`: how many connections came about count_at, which tells whether more are worth beginning.
//!
//! It counts in spans and not in a window that slides: a place and a number are all it keeps.

use std::time::Duration;

use crate::instant::Instant;

/// Connections that came about count_at.
pub(super) struct RecentConnects {
    /// Longer ago is not count_at.
    span: Duration,
    /// When the first of them came.
    since: Instant,
    count: usize,
}

impl RecentConnects {
    pub(super) const fn within(span: Duration) -> Self {
        Self { span, since: Instant::ORIGIN, count: 0 }
    }

    /// One comes about now.
    pub(super) fn count_connect(&mut self, now: Instant) {
        if self.is_over(now) {
            (self.since, self.count) = (now, 0);
        }
        self.count += 1;
    }

    /// How many came in the span that is not yet over.
    pub(super) fn count_at(&self, now: Instant) -> usize {
        if self.is_over(now) { 0 } else { self.count }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.span <= now.since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_is_forgotten() {
        let second = Duration::from_secs(1);
        let at = |halves: u32| Instant::ORIGIN + second / 2 * halves;
        let mut recent_connects = RecentConnects::within(second);
        assert_eq!(recent_connects.count_at(at(10)), 0);
        recent_connects.count_connect(at(10));
        recent_connects.count_connect(at(11));
        assert_eq!([recent_connects.count_at(at(11)), recent_connects.count_at(at(12))], [2, 0]);
        recent_connects.count_connect(at(12));
        assert_eq!(recent_connects.count_at(at(13)), 1);
    }
}
