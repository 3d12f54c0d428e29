//! The conservation law of bytes: every byte read or queued is accounted for.
//!
//! ```text
//! input    read from peers  = framed  + discarded + stored with open peers
//! output   queued for peers = written + unsent    + queued with open peers
//! ```
//!
//! Each counter changes together with its bytes, so [`Ledger::reconciles`] holds at any time.

use crate::counters::counters;

counters! {
    /// Bytes by outcome, summed over peers.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Ledger {
        /// Bytes read from peers.
        pub bytes_read: Counter = "read_bytes",
        /// Bytes read that were served as frames, including their envelopes.
        pub bytes_framed: Counter = "framed_bytes",
        /// Bytes read that were discarded: a partial or bad frame, or input after we finished.
        pub bytes_discarded: Counter = "discarded_bytes",
        /// Bytes queued for peers, including envelopes.
        pub bytes_queued: Counter = "queued_bytes",
        /// Bytes queued that the kernel took.
        pub bytes_written: Counter = "written_bytes",
        /// Bytes queued that were dropped when their peer was closed.
        pub bytes_unsent: Counter = "unsent_bytes",
        /// Whole frames passed to the service.
        pub frames: Counter = "frames",
        /// Panics of the service in a callback, or of the codec.
        pub panics: Counter = "panics",
    }
}

impl Ledger {
    /// Whether every byte is accounted for, given the bytes still stored with and queued for open peers.
    pub fn reconciles(&self, bytes_stored: u64, bytes_waiting: u64) -> bool {
        self.bytes_read == self.bytes_framed + self.bytes_discarded + bytes_stored
            && self.bytes_queued == self.bytes_written + self.bytes_unsent + bytes_waiting
    }
}
