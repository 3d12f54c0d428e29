//! `Watermarks`: when reading pauses because of queued output, and when it resumes.
//!
//! Between the two marks the answer does not change, so a queue length near one mark does not pause
//! and resume a peer again and again. The caller stores the answer.

/// A low and a high mark for the length of a queue, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    low: usize,
    high: usize,
}

impl Watermarks {
    /// Reading pauses at `high` bytes or more, and resumes at `low` or less.
    ///
    /// # Panics
    /// When `low` is not less than `high`.
    pub const fn new(low: usize, high: usize) -> Self {
        assert!(low < high, "the low watermark must be below the high one");
        Self { low, high }
    }

    /// The queue length at which reading resumes.
    pub const fn low(self) -> usize {
        self.low
    }

    /// The queue length at which reading pauses.
    pub const fn high(self) -> usize {
        self.high
    }

    /// Marks that begin where these end, `bytes` apart.
    pub const fn raised_by(self, bytes: usize) -> Self {
        Self { low: self.high, high: self.high.saturating_add(bytes) }
    }

    /// Whether reading is paused at `queued` bytes, given whether it was paused before.
    #[inline]
    pub const fn is_paused(self, was_paused: bool, queued: usize) -> bool {
        if was_paused { self.low < queued } else { self.high <= queued }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(queued: usize, if_running: bool, if_paused: bool) {
        let watermarks = Watermarks::new(2, 5);
        assert_eq!(watermarks.is_paused(false, queued), if_running, "running, {queued} queued");
        assert_eq!(watermarks.is_paused(true, queued), if_paused, "paused, {queued} queued");
    }

    #[test]
    fn between_the_marks_the_answer_does_not_change() {
        check(0, false, false);
        check(2, false, false);
        check(3, false, true);
        check(4, false, true);
        check(5, true, true);
        check(usize::MAX, true, true);
    }

    #[test]
    #[should_panic(expected = "below")]
    fn equal_marks_are_refused() {
        let _ = Watermarks::new(1, 1);
    }
}
