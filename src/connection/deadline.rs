//! The deadline of a connection, and what happens when it passes.
//!
//! The deadline follows from the state of the connection. Nothing is armed here: the driver asks
//! for the deadline and keeps the timer.

use crate::codec::Codec;
use crate::instant::Instant;

use super::limits::RATE_GRACE;
use super::{CloseReason, Connection, Limits, ReadHalf, Resources, WriteHalf};

/// The timeout that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// [`Limits::idle_timeout`].
    Idle,
    /// [`Limits::frame_timeout`].
    Frame,
    /// [`Limits::write_timeout`].
    Write,
    /// [`Limits::linger_timeout`].
    Linger,
    /// [`Limits::min_rate`] of a frame.
    FrameRate,
    /// [`Limits::min_rate`] of the output.
    WriteRate,
    /// [`Limits::max_lifetime`].
    Lifetime,
    /// [`Limits::handshake_timeout`].
    Handshake,
    /// The timeout of an outbound connection, which belongs to the server.
    Connect,
}

impl Deadline {
    /// The timeout in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Frame => "frame",
            Self::Write => "write",
            Self::Linger => "linger",
            Self::FrameRate => "frame-rate",
            Self::WriteRate => "write-rate",
            Self::Lifetime => "lifetime",
            Self::Handshake => "handshake",
            Self::Connect => "connect",
        }
    }
}

/// How long the peer has had for the frame at the front of its input.
///
/// The clock stands still while reading is paused, because the peer cannot complete the frame then.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameClock {
    /// While the clock runs, when it started. While it stands still, [`Instant::ORIGIN`] plus its time.
    mark: Instant,
}

impl FrameClock {
    /// A clock that runs from `now` on.
    pub(super) fn start(now: Instant) -> Self {
        Self { mark: now }
    }

    /// Keeps the time so far, while the peer cannot complete the frame.
    pub(super) fn stop(&mut self, now: Instant) {
        self.mark = Instant::ORIGIN + (now - self.mark);
    }

    /// Runs on from the time that was kept: the same calculation, since `now - (now - time)` is the time.
    pub(super) fn resume(&mut self, now: Instant) {
        self.mark = Instant::ORIGIN + (now - self.mark);
    }
}

impl<C: Codec> Connection<C> {
    /// The next deadline; [`Instant::NEVER`] once the connection is closed.
    ///
    /// It is valid until the next call that changes the connection.
    pub fn poll_deadline(&self, codec: &C, limits: &Limits) -> Instant {
        self.deadline(codec, limits).map_or(Instant::NEVER, |(at, _)| at)
    }

    /// Finishes or closes the connection if its deadline has passed.
    pub fn handle_deadline(&mut self, resources: &mut Resources<'_, C>) {
        let passed = self.deadline(resources.codec, resources.limits).filter(|(at, _)| *at <= resources.now);
        match passed.map(|(_, deadline)| deadline) {
            Some(Deadline::Idle) => self.finish(CloseReason::IdleTimeout, resources),
            Some(Deadline::Frame) => self.finish(CloseReason::FrameTimeout, resources),
            // The peer does not read, so the queue cannot be flushed first.
            Some(Deadline::Write) => self.halves.close(CloseReason::WriteTimeout),
            Some(Deadline::Linger) => self.halves.stop_lingering(),
            Some(Deadline::FrameRate) => self.finish(CloseReason::TooSlow, resources),
            Some(Deadline::WriteRate) => self.halves.close(CloseReason::TooSlow),
            // These do not depend on the state of the connection, so the driver has their deadlines.
            Some(Deadline::Lifetime | Deadline::Handshake | Deadline::Connect) | None => {}
        }
    }

    /// The earliest deadline in this state; `None` once the connection is closed.
    pub fn deadline(&self, codec: &C, limits: &Limits) -> Option<(Instant, Deadline)> {
        if self.closed().is_some() {
            return None;
        }
        // A half-close has no reason: the peer may still send replies, so it does not linger.
        let is_lingering = self.halves.write() == WriteHalf::Finished && self.halves.reason().is_some();
        if is_lingering {
            return Some((self.waiting_since + limits.linger_timeout, Deadline::Linger));
        }
        // A stream that must be shut down may have bytes of its own to write, such as a TLS alert.
        let idle_or_write = if self.output.is_empty() && !self.wants_finish() {
            (self.last_activity + limits.idle_timeout, Deadline::Idle)
        } else {
            let is_rated = limits.min_rate.is_some() && !self.output.is_empty();
            let deadline = if is_rated { Deadline::WriteRate } else { Deadline::Write };
            (self.waiting_since + limits.write_timeout, deadline)
        };
        let is_frame_due =
            !self.input.is_empty() || self.halves.read() == ReadHalf::Open && codec.expects_frame(&self.codec_state);
        if is_frame_due && !self.is_paused() {
            let frame = self.frame_deadline(limits);
            return Some(if frame.0 < idle_or_write.0 { frame } else { idle_or_write });
        }
        Some(idle_or_write)
    }

    /// Whether nothing waits in either direction, so that only the idle timeout runs.
    #[inline]
    pub fn is_idle(&self, codec: &C) -> bool {
        self.is_between_messages() && !codec.expects_frame(&self.codec_state)
    }

    fn frame_deadline(&self, limits: &Limits) -> (Instant, Deadline) {
        let rated = limits.slowest_time(self.input.len()).map(|time| RATE_GRACE.saturating_add(time));
        match rated {
            Some(rated) if rated < limits.frame_timeout => (self.frame_clock.mark + rated, Deadline::FrameRate),
            Some(_) | None => (self.frame_clock.mark + limits.frame_timeout, Deadline::Frame),
        }
    }
}
