//! What happened to the peers of a host, counted.

use crate::connection::{CloseReason, Ledger};

/// What happened to the peers of a host, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounters {
    /// Peers that were opened.
    pub opened: u64,
    /// Peers that were closed, by reason: `closed[reason as usize]`.
    pub closed: [u64; CloseReason::ALL.len()],
    /// Peers whose stream was reset by us, since bytes queued for them were thrown away.
    pub resets: u64,
    /// Facts that named a peer which had gone.
    pub stale_facts: u64,
    /// Where the bytes went.
    pub ledger: Ledger,
}
