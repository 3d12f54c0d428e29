//! `Clock`: the system's monotonic clock, as instants since an origin of its own.
//!
//! Below the border nobody reads a clock; above it, all threads of one server share one origin.

use std::time::Instant as SystemInstant;

use crate::instant::Instant;

/// A clock; its copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: SystemInstant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn new() -> Self {
        Self { origin: SystemInstant::now() }
    }

    #[inline]
    pub(crate) fn now(self) -> Instant {
        Instant::ORIGIN + self.origin.elapsed()
    }
}
