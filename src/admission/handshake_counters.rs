//! Counters of handshakes of accepted connections.

use crate::connection::CloseReason;
use crate::counters::counters;

counters! {
    /// Handshakes of accepted connections by outcome. Those in progress have none yet.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct HandshakeCounters {
        /// Handshakes that began.
        pub begun: Counter = "handshakes_begun",
        /// Handshakes that were completed.
        pub completed: Counter = "handshakes_completed",
        by
        /// Handshakes that failed, by reason.
        failed: CloseReason = "handshakes_failed" as "close_reason",
    }
}

impl HandshakeCounters {
    /// The number of handshakes that failed for this reason.
    pub fn failed(&self, reason: CloseReason) -> u64 {
        self.failed[reason as usize]
    }

    /// The number of handshakes that failed.
    pub fn failed_total(&self) -> u64 {
        self.failed.iter().sum()
    }

    pub(crate) fn count_failed(&mut self, reason: CloseReason) {
        self.failed[reason as usize] += 1;
    }
}
