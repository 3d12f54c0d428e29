//! `Progress`: a progress line on standard error, if that is a terminal.

use std::io::{self, IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many times the line is drawn from 0 to 100 %.
const STEPS: u64 = 1000;

/// The progress line of a sweep.
#[derive(Debug)]
pub(super) struct Progress {
    all: u64,
    is_terminal: bool,
    shown: AtomicU64,
}

impl Progress {
    pub(super) fn new(all: u64) -> Self {
        Self { all, is_terminal: stderr().is_terminal(), shown: AtomicU64::new(0) }
    }

    /// Shows the number of completed runs.
    pub(super) fn show(&self, done: u64) {
        let step = done.saturating_mul(STEPS) / self.all.max(1);
        if self.is_terminal && self.shown.swap(step, Ordering::Relaxed) != step {
            let _ = draw(&format!("{done} of {} seeds, {} %", self.all, step / (STEPS / 100)));
        }
    }

    pub(super) fn clear(&self) {
        if self.is_terminal {
            let _ = draw("");
        }
    }
}

/// Replaces the line. The callers ignore errors, because standard error may be closed.
fn draw(text: &str) -> io::Result<()> {
    write!(stderr(), "\r\x1b[K{text}")
}
