//! The conservation ledger: where every byte went.
//!
//! ```text
//! in      read from peers   = framed  + discarded + stored with peers that live
//! out     queued for peers  = written + unsent    + queued with peers that live
//! ```
//!
//! Entries are made where the thing happens; [`Ledger::reconciles`] holds at every moment.

/// Bytes by where they went, summed over peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Read from peers.
    pub bytes_read: u64,
    /// Of these: given to the service as frames, envelopes counted in.
    pub bytes_framed: u64,
    /// Of these: thrown away, since the peer ended inside a frame, broke a rule, or we had finished.
    pub bytes_discarded: u64,
    /// Queued for peers, envelopes counted in.
    pub bytes_queued: u64,
    /// Of these: taken by the kernel.
    pub bytes_written: u64,
    /// Of these: thrown away when the peer was closed before it took them.
    pub bytes_unsent: u64,
    /// Whole frames given to the service.
    pub frames: u64,
    /// Callbacks of the service, and looks of the codec, that panicked.
    pub panics: u64,
}

impl Ledger {
    /// Whether the books balance, with these bytes still stored with and queued for living peers.
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
