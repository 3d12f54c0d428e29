//! The progress line of a run on standard error, if that is a terminal.
//!
//! The line is made by hand: the `indicatif` crate needs as much code here, because a run has no number of
//! steps, and it brings four more crates.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use readyloop::load::RunProgress;

use crate::quantity::{Unit, counted, grouped};
use crate::stream::write_all;

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
    // The progress is optional, so a terminal that does not take it is ignored.
    let _ = write_all(io::stderr(), text.as_bytes(), Some(Duration::ZERO));
}

fn line(progress: &RunProgress) -> String {
    let RunProgress { open, measured, answered, errors } = progress;
    let open = counted(*open as u64, "connection");
    let seconds = measured.as_secs_f64();
    let state = if measured.is_zero() {
        "warming up".to_owned()
    } else {
        format!("{seconds:.1} s   {}   {}", counted(*answered, "request"), Unit::Rate.print(*answered as f64 / seconds))
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
        assert_eq!(line(&progress), "1 connection   2.0 s   4,000 requests   2.00 k/s   errors 0");
    }
}
