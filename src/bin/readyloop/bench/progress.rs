//! The progress of a run: one line on standard error that changes, for those who watch a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use readyloop::load::RunProgress;

use super::figures::{grouped, rate};

/// As often as one can read it.
const PERIOD: Duration = Duration::from_millis(250);

/// Back to the first column, and away with what stands there (ECMA-48).
const WIPE: &str = "\r\x1b[K";

/// Shows how a run stands; on anything but a terminal nothing.
pub(super) struct Progress {
    next: Option<Instant>,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self { next: io::stderr().is_terminal().then(Instant::now) }
    }

    /// Shows it, if it is time.
    pub(super) fn show(&mut self, progress: impl FnOnce() -> RunProgress) {
        let Some(next) = self.next.filter(|next| *next <= Instant::now()) else { return };
        self.next = Some(next + PERIOD);
        write(&format!("{WIPE}{}", line(&progress())));
    }

    /// Wipes it away.
    pub(super) fn end(self) {
        if self.next.is_some() {
            write(WIPE);
        }
    }
}

fn write(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn line(progress: &RunProgress) -> String {
    let RunProgress { open, measured, answered, errors } = progress;
    let open = grouped(*open as u64);
    let seconds = measured.as_secs_f64();
    let state = if measured.is_zero() {
        "warming up".to_owned()
    } else {
        format!("{seconds:.1} s   {} requests   {}", grouped(*answered), rate(*answered as f64 / seconds))
    };
    format!("{open} connections   {state}   errors {errors}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let progress = RunProgress { open: 19_000, measured: Duration::ZERO, answered: 0, errors: 2 };
        assert_eq!(line(&progress), "19 000 connections   warming up   errors 2");
        let progress = RunProgress { open: 1, measured: Duration::from_secs(2), answered: 4_000, errors: 0 };
        assert_eq!(line(&progress), "1 connections   2.0 s   4 000 requests   2.0 k/s   errors 0");
    }
}
