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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(queued: usize, from_running: bool, from_paused: bool) {
        let watermarks = Watermarks::new(2, 5);
        assert_eq!(watermarks.is_paused(false, queued), from_running, "running, {queued} queued");
        assert_eq!(watermarks.is_paused(true, queued), from_paused, "paused, {queued} queued");
    }

    #[test]
    fn between_the_lines_the_answer_stays() {
        check(0, false, false);
        check(2, false, false);
        check(3, false, true);
        check(4, false, true);
        check(5, true, true);
        check(usize::MAX, true, true);
    }

    #[test]
    #[should_panic(expected = "below")]
    fn equal_lines_are_refused() {
        let _ = Watermarks::new(1, 1);
    }

    proptest! {
        #[test]
        fn pauses_from_high_on_and_resumes_from_low_down(
            (low, high) in (0_usize..40).prop_flat_map(|low| (Just(low), low + 1..50)),
            queued in prop::collection::vec(0_usize..60, 0..200),
        ) {
            let watermarks = Watermarks::new(low, high);
            let mut paused = false;
            for queued in queued {
                let was_paused = paused;
                paused = watermarks.is_paused(was_paused, queued);
                prop_assert!(paused || queued < high);
                prop_assert!(!paused || low < queued);
                prop_assert!(paused == was_paused || queued <= low || high <= queued);
            }
        }
    }
}
