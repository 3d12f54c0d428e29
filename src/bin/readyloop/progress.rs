//! The progress line on standard error, if that is a terminal.
//!
//! The line is made by hand: the `indicatif` crate needs as much code here and brings four more crates.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::stream::write_all;

/// Time between two updates.
const PERIOD: Duration = Duration::from_millis(250);

/// The progress line. Without a terminal, its methods do nothing.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The time of the next update.
    next: Mutex<Option<Instant>>,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self { next: Mutex::new(io::stderr().is_terminal().then(Instant::now)) }
    }

    /// Whether there is a terminal for the line.
    pub(crate) fn is_shown(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Updates the line, if `PERIOD` has passed.
    pub(crate) fn update(&self, text: impl FnOnce() -> String) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if next.is_some_and(|next| next <= now) {
            *next = Some(now + PERIOD);
            draw(&text());
        }
    }

    /// Replaces the line at once; an empty text erases it.
    pub(crate) fn show(&self, text: &str) {
        if self.next.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            draw(text);
        }
    }
}

/// Returns to the first column, erases the line (ECMA-48), and writes the text.
fn draw(text: &str) {
    let line = format!("\r\x1b[K{}", text.escape_debug());
    // The progress is optional, so a terminal that does not take it is ignored.
    let _ = write_all(io::stderr(), line.as_bytes(), Some(Duration::ZERO));
}
