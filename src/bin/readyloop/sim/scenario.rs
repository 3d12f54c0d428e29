//! `Scenario`: short runs by hand, each of which shows one idea.
//!
//! The runs are in `scenarios`. Each is the same every time, since nothing in it is drawn at random.

#[cfg(test)]
mod tests;

use std::io;

use clap::ValueEnum;
use readyloop::run_log::RunLog;

use super::scenarios;

/// A run that shows one idea.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// A peer that does not read pauses the reading from it
    Backpressure,
    /// A peer ends its direction and still receives all replies
    HalfClose,
    /// One event announces bytes that are read much later
    LostEdge,
    /// Descriptors run out while connections wait
    Emfile,
    /// A peer that sends without end does not delay another one
    Starvation,
    /// The kernel takes a part of a reply
    PartialWrite,
    /// Frames arrive in pieces, and several at once
    PartialRead,
    /// Slow peers reach their deadlines
    Deadline,
    /// A peer resets its connection
    Reset,
    /// Another thread ends the sleep of the loop
    WakeUp,
    /// The server ends without losing a reply
    Drain,
}

impl Scenario {
    /// Runs the scenario.
    ///
    /// # Errors
    /// A bug: the simulated poll does not fail.
    pub(crate) fn run(self) -> io::Result<RunLog> {
        match self {
            Self::Backpressure => scenarios::backpressure(),
            Self::HalfClose => scenarios::half_close(),
            Self::LostEdge => scenarios::lost_edge(),
            Self::Emfile => scenarios::emfile(),
            Self::Starvation => scenarios::starvation(),
            Self::PartialWrite => scenarios::partial_write(),
            Self::PartialRead => scenarios::partial_read(),
            Self::Deadline => scenarios::deadline(),
            Self::Reset => scenarios::reset(),
            Self::WakeUp => scenarios::wake_up(),
            Self::Drain => scenarios::drain(),
        }
    }
}
