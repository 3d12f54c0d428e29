//! Counters of one host.

use crate::connection::{CloseReason, Ledger};

/// Counters of the peers of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounters {
    /// Peers that were opened.
    pub opened: u64,
    /// Peers that were closed, by reason: `closed[reason as usize]`.
    pub closed: [u64; CloseReason::ALL.len()],
    /// Peers that we reset because bytes queued for them were dropped.
    pub resets: u64,
    /// Events for peers that were already gone.
    pub stale_events: u64,
    /// Bytes by outcome.
    pub ledger: Ledger,
}
