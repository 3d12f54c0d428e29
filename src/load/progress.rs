//! `RunProgress` and `Phase`: the state of a run while it lasts.

use std::time::Duration;

use crate::instant::Instant;

use super::record::RunEnd;

/// State of a run, for a progress display.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunProgress {
    /// Number of open connections.
    pub open: usize,
    /// Measured time so far; zero while connections are opened and during the warm-up.
    pub measured: Duration,
    /// Answers received in the measured time.
    pub answered: u64,
    /// Errors so far.
    pub errors: u64,
}

impl RunProgress {
    /// The state of two threads together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            measured: self.measured.max(other.measured),
            answered: self.answered + other.answered,
            errors: self.errors + other.errors,
        }
    }
}

/// Phase of a run over connections.
///
/// ```text
/// Connecting ─all are open─▶ Sending ─time or number is reached─▶ Waiting ─all answered─▶ Ended
///     └─────────────── no connection is left · interrupted ───────────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections are opened, here and on the other threads; no request is sent.
    Connecting,
    /// Requests are sent, first for the warm-up and then for the measurement.
    Sending,
    /// Answers are awaited until this time. Overdue planned requests may still be sent until then,
    /// and get a full timeout for their answers.
    Waiting(Instant),
    Ended(RunEnd),
}
