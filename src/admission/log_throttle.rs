//! `LogThrottle`: says the same thing at most once a second, and then how often it would have.

use std::time::Duration;

use crate::instant::Instant;

/// Between two lines of one kind: a log that fills a disk is an outage of its own.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps one kind of log line rare.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogThrottle {
    next_at: Instant,
    held_back: u64,
}

impl LogThrottle {
    /// Whether to say it now; then with how many times it was not said.
    pub(crate) fn permit(&mut self, now: Instant) -> Option<u64> {
        if now < self.next_at {
            self.held_back += 1;
            return None;
        }
        self.next_at = now + EVERY;
        Some(std::mem::take(&mut self.held_back))
    }
}

/// What to put behind a line that stands for others too.
pub(crate) fn repeated_suffix(held_back: u64) -> String {
    if held_back == 0 { String::new() } else { format!(" ({held_back} times more)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_in_a_second_are_one_line_and_a_count() {
        let mut log_throttle = LogThrottle::default();
        assert_eq!(log_throttle.permit(Instant::ORIGIN), Some(0));
        for _ in 0..1000 {
            assert_eq!(log_throttle.permit(Instant::ORIGIN + EVERY / 2), None);
        }
        assert_eq!(log_throttle.permit(Instant::ORIGIN + EVERY), Some(1000));
        assert_eq!(log_throttle.permit(Instant::ORIGIN + EVERY * 2), Some(0));
    }
}
