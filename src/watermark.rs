//! `Watermarks`: when reading pauses because too much waits to leave, and when it resumes.
//!
//! Pausing is not a state of its own: whoever asks says what was answered last. Between the two
//! lines the answer stays what it was, so that a queue near one line does not make a peer flap.

/// Two lines across the length of a queue, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    low: usize,
    high: usize,
}

impl Watermarks {
    /// Pauses at `high` bytes and more; resumes at `low` and less.
    ///
    /// # Panics
    /// Unless `low` is less than `high`.
    pub const fn new(low: usize, high: usize) -> Self {
        assert!(low < high, "the low watermark must be below the high one");
        Self { low, high }
    }

    /// Where a paused reader resumes.
    pub const fn low(self) -> usize {
        self.low
    }

    /// Where a reader pauses.
    pub const fn high(self) -> usize {
        self.high
    }

    /// Whether reading is paused while `queued` bytes wait to leave.
    #[inline]
    pub const fn is_paused(self, was_paused: bool, queued: usize) -> bool {
        if was_paused { self.low < queued } else { self.high <= queued }
    }
}
