//! `LogThrottle`: at most one log line of a kind per second.

use std::time::Duration;

use crate::instant::Instant;

use super::Count;

/// The least time between two lines of one kind, so that a repeated error cannot fill a disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// Limits the rate of one kind of log line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogThrottle {
    next_at: Instant,
    suppressed: u64,
}

impl LogThrottle {
    /// Whether to log the line: if so, with the number of lines suppressed since the last one.
    pub(crate) fn permit(&mut self, now: Instant) -> Option<u64> {
        if now < self.next_at {
            self.suppressed += 1;
            return None;
        }
        self.next_at = now + INTERVAL;
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// The end of a log line that also stands for `suppressed` others; empty if there are none.
pub(crate) fn repeated_suffix(suppressed: u64) -> String {
    if suppressed == 0 { String::new() } else { format!(" (repeated {})", Count(suppressed, "time")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_lines_in_a_second_become_one_line_and_a_count() {
        let mut log_throttle = LogThrottle::default();
        assert_eq!(log_throttle.permit(Instant::ORIGIN), Some(0));
        for _ in 0..1000 {
            assert_eq!(log_throttle.permit(Instant::ORIGIN + INTERVAL / 2), None);
        }
        assert_eq!(log_throttle.permit(Instant::ORIGIN + INTERVAL), Some(1000));
        assert_eq!(log_throttle.permit(Instant::ORIGIN + INTERVAL * 2), Some(0));
    }
}
