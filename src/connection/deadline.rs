//! Which deadline is armed in which state, and what follows when it passes.
//!
//! A deadline is a pure function of the machine: nothing is armed here, the driver asks.

use crate::codec::Codec;
use crate::instant::Instant;

use super::{CloseReason, Connection, Limits, Resources, WriteHalf};

/// What we wait for, with an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    Idle,
    Frame,
    Write,
    Linger,
}

impl<C: Codec> Connection<C> {
    /// The next instant at which [`Self::handle_deadline`] has something to do, unless bytes move first.
    pub fn poll_deadline(&self, limits: &Limits) -> Instant {
        self.deadline(limits).map_or(Instant::NEVER, |(at, _)| at)
    }

    /// A deadline may have passed: ends the peer if one has.
    pub fn handle_deadline(&mut self, resources: &mut Resources<'_, C>) {
        match self.deadline(resources.limits) {
            Some((at, deadline)) if at <= resources.now => match deadline {
                Deadline::Idle => self.finish(CloseReason::IdleTimeout, resources),
                Deadline::Frame => self.finish(CloseReason::FrameTimeout, resources),
                // What is queued cannot leave, so waiting for it to leave is no use.
                Deadline::Write => self.cut(CloseReason::WriteTimeout),
                Deadline::Linger => self.halves.give_up(),
            },
            Some(_) | None => {}
        }
    }

    /// The earliest deadline that is armed in this state.
    fn deadline(&self, limits: &Limits) -> Option<(Instant, Deadline)> {
        if self.closed().is_some() {
            return None;
        }
        // After a mere half-close we wait for replies, not for the end alone.
        let is_ending = self.halves.reason().is_some();
        if self.halves.write() == WriteHalf::Finished && is_ending {
            return Some((self.waiting_since + limits.linger_timeout, Deadline::Linger));
        }
        // A stream that is to be shut down may have something of its own to write first.
        let quiet = if self.output.is_empty() && !self.wants_finish() {
            (self.moved_at + limits.idle_timeout, Deadline::Idle)
        } else {
            (self.waiting_since + limits.write_timeout, Deadline::Write)
        };
        if !self.input.is_empty() && !self.is_paused() {
            let begun = (self.begun_at + limits.frame_timeout, Deadline::Frame);
            return Some(if begun.0 < quiet.0 { begun } else { quiet });
        }
        Some(quiet)
    }
}
