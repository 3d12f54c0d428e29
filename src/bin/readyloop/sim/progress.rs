//! `Progress`: how far a sweep has come, on a line of its own, for somebody who looks at it.
//!
//! On a terminal only: nothing of it is in a file or a pipe.

use std::io::{self, IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};

/// The line is drawn again when so many parts in a thousand are done.
const STEPS: u64 = 1000;

/// A line that is drawn over and over.
#[derive(Debug)]
pub(super) struct Progress {
    all: u64,
    is_seen: bool,
    shown: AtomicU64,
}

impl Progress {
    pub(super) fn new(all: u64) -> Self {
        Self { all, is_seen: stderr().is_terminal(), shown: AtomicU64::new(0) }
    }

    /// So many are done.
    pub(super) fn show(&self, done: u64) {
        let step = done.saturating_mul(STEPS) / self.all.max(1);
        if self.is_seen && self.shown.swap(step, Ordering::Relaxed) != step {
            let _ = draw(&format!("{done} of {} seeds, {} %", self.all, step / (STEPS / 100)));
        }
    }

    /// Leaves the line empty.
    pub(super) fn clear(&self) {
        if self.is_seen {
            let _ = draw("");
        }
    }
}

/// Over what stood in the line. Nobody is left to tell when standard error is closed.
fn draw(text: &str) -> io::Result<()> {
    write!(stderr(), "\r\x1b[K{text}")
}
