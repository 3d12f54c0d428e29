//! The conservation law of bytes: every byte read or queued is accounted for.
//!
//! ```text
//! input    read from peers  = framed  + discarded + stored with open peers
//! output   queued for peers = written + unsent    + queued with open peers
//! ```
//!
//! Each counter changes together with its bytes, so [`Ledger::reconciles`] holds at any time.

/// Bytes by outcome, summed over peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Bytes read from peers.
    pub bytes_read: u64,
    /// Bytes read that were served as frames, including their envelopes.
    pub bytes_framed: u64,
    /// Bytes read that were discarded: a partial or bad frame, or input after we finished.
    pub bytes_discarded: u64,
    /// Bytes queued for peers, including envelopes.
    pub bytes_queued: u64,
    /// Bytes queued that the kernel took.
    pub bytes_written: u64,
    /// Bytes queued that were dropped when their peer was closed.
    pub bytes_unsent: u64,
    /// Whole frames passed to the service.
    pub frames: u64,
    /// Panics of the service in a callback, or of the codec.
    pub panics: u64,
}

impl Ledger {
    /// Whether every byte is accounted for, given the bytes still stored with and queued for open peers.
    pub fn reconciles(&self, bytes_stored: u64, bytes_waiting: u64) -> bool {
        self.bytes_read == self.bytes_framed + self.bytes_discarded + bytes_stored
            && self.bytes_queued == self.bytes_written + self.bytes_unsent + bytes_waiting
    }
}

impl std::ops::AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.bytes_read += other.bytes_read;
        self.bytes_framed += other.bytes_framed;
        self.bytes_discarded += other.bytes_discarded;
        self.bytes_queued += other.bytes_queued;
        self.bytes_written += other.bytes_written;
        self.bytes_unsent += other.bytes_unsent;
        self.frames += other.frames;
        self.panics += other.panics;
    }
}
