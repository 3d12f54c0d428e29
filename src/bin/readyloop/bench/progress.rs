//! The progress line of a run on standard error, if that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use readyloop::load::RunProgress;

use super::figures::{counted, grouped, rate};

/// Time between two updates.
const PERIOD: Duration = Duration::from_millis(250);

/// Return to the first column and erase the line (ECMA-48).
const ERASE_LINE: &str = "\r\x1b[K";

/// The progress line. Without a terminal, its methods do nothing.
pub(super) struct Progress {
    next: Option<Instant>,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self { next: io::stderr().is_terminal().then(Instant::now) }
    }

    /// Updates the line, if `PERIOD` has passed.
    pub(super) fn show(&mut self, progress: impl FnOnce() -> RunProgress) {
        let Some(next) = self.next.filter(|next| *next <= Instant::now()) else { return };
        self.next = Some(next + PERIOD);
        write(&format!("{ERASE_LINE}{}", line(&progress())));
    }

    pub(super) fn end(self) {
        if self.next.is_some() {
            write(ERASE_LINE);
        }
    }
}

fn write(text: &str) {
    // The progress is optional, so a write error is ignored.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn line(progress: &RunProgress) -> String {
    let RunProgress { open, measured, answered, errors } = progress;
    let open = counted(*open as u64, "connection");
    let seconds = measured.as_secs_f64();
    let state = if measured.is_zero() {
        "warming up".to_owned()
    } else {
        format!("{seconds:.1} s   {}   {}", counted(*answered, "request"), rate(*answered as f64 / seconds))
    };
    format!("{open}   {state}   errors {}", grouped(*errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shows_the_state_of_the_run() {
        let progress = RunProgress { open: 19_000, measured: Duration::ZERO, answered: 0, errors: 2 };
        assert_eq!(line(&progress), "19,000 connections   warming up   errors 2");
        let progress = RunProgress { open: 1, measured: Duration::from_secs(2), answered: 4_000, errors: 0 };
        assert_eq!(line(&progress), "1 connection   2.0 s   4,000 requests   2.0 k/s   errors 0");
    }
}
