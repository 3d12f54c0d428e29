//! Counters of one host.

use crate::connection::{CloseReason, Ledger};

/// Counters of the peers of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounters {
    /// Peers that were opened.
    pub opened: u64,
    /// Peers that were closed, by reason: `closed[reason as usize]`.
    closed: [u64; CloseReason::ALL.len()],
    /// Peers that we reset because bytes queued for them were dropped.
    pub resets: u64,
    /// Events for peers that were already gone.
    pub stale_events: u64,
    /// Bytes by outcome.
    pub ledger: Ledger,
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

impl std::ops::AddAssign<&Self> for HostCounters {
    fn add_assign(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed.iter_mut().zip(other.closed).for_each(|(sum, count)| *sum += count);
        self.resets += other.resets;
        self.stale_events += other.stale_events;
        self.ledger += other.ledger;
    }
}
