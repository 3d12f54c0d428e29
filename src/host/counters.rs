//! Counters of one host.

use crate::connection::{CloseReason, Ledger};
use crate::counters::counters;

counters! {
    /// Counters of the peers of one host.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct HostCounters {
        /// Peers that were opened.
        pub opened: Counter = "connections_opened",
        /// Peers that we reset because bytes queued for them were dropped.
        pub resets: Counter = "connections_reset",
        /// Events for peers that were already gone.
        pub stale_events: Counter = "stale_events",
        by
        /// Peers that were closed, by reason.
        closed: CloseReason = "connections_closed" as "close_reason",
        with
        /// Bytes by outcome.
        pub ledger: Ledger,
    }
}

impl HostCounters {
    /// The number of peers that were closed for this reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    /// The number of peers that were closed.
    pub fn closed_total(&self) -> u64 {
        self.closed.iter().sum()
    }

    pub(crate) fn count_closed(&mut self, reason: CloseReason) {
        self.closed[reason as usize] += 1;
    }
}
