//! `LoadRun`, `RunProgress` and `Phase`: a run and its state while it lasts.

use std::io;
use std::time::Duration;

use crate::instant::Instant;

use super::record::{Record, RunEnd};

/// A run of the load generator.
pub trait LoadRun {
    /// Runs one turn, which sleeps until there is work. Returns how the run ended, once it has.
    ///
    /// # Errors
    /// The poll failed.
    fn turn(&mut self) -> io::Result<Option<RunEnd>>;

    /// Ends the run. The measurements so far stay valid.
    fn interrupt(&mut self);

    /// The first error of TLS, once: why the server cannot be measured.
    fn take_tls_error(&mut self) -> Option<io::Error>;

    /// State of the run.
    fn progress(&self) -> RunProgress;

    /// The run as plain data. Interrupts a run that has not ended.
    fn into_record(self, name: String, begun_unix_s: u64) -> Record;
}

/// State of a run, for a progress display.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// Phase of a run over connections.
///
/// ```text
/// Connecting ─all are open─▶ Sending ─time or number is reached─▶ Waiting ─all answered─▶ Ended
///     └─────────────── no connection is left · interrupted ───────────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connections are opened; no request is sent.
    Connecting,
    /// Requests are sent, first for the warm-up and then for the measurement.
    Sending,
    /// Answers are awaited until this time. Overdue planned requests may still be sent until then,
    /// and get a full timeout for their answers.
    Waiting(Instant),
    Ended(RunEnd),
}
