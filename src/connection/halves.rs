//! The two halves of a connection: every transition of either, and the law that couples them.
//!
//! ```text
//! read half:   Open ── peer's FIN ──▶ Ending ── the service was told, or we finish ──▶ Ended
//!                └─ finish ─▶ Discarding ────────── peer's FIN ──────────────────────▶ Ended
//!              a FIN that is not the peer's own end: Truncated, from either
//!
//! write half:  Open ── finish(reason), half_close ──▶ Finishing ── our FIN is out ──▶ Finished
//!
//! the law:     Ended and Finished is closed, for the reason given first
//! in any state, cut(reason) ends both; fall_short(reason) too, and the write half is Short
//! ```
//!
//! Only this file assigns a half. Whether reading is paused is not a state of the half: it is the
//! watermark's answer.

use super::CloseReason;

/// Peer to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadHalf {
    /// Bytes may come and are served.
    Open,
    /// Bytes may come and are thrown away, until the peer's FIN: so that our close is not a reset
    /// which destroys the tail of what we sent.
    Discarding,
    /// The peer's FIN has come, and the service has yet to be told: frames before it may be held.
    Ending,
    /// The peer's FIN has come.
    Ended,
    /// It has come where the peer had not said its end: on a stream that says it otherwise.
    Truncated,
}

impl ReadHalf {
    /// Whether nothing more comes.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Open | Self::Discarding => false,
            Self::Ending | Self::Ended | Self::Truncated => true,
        }
    }
}

/// Us to peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteHalf {
    /// Replies may be queued.
    Open,
    /// No more replies; what is queued leaves first.
    Finishing,
    /// Our FIN is out, or never will be.
    Finished,
    /// It was cut, and what was queued last is lost: whatever the reason, the peer has not had all.
    Short,
}

impl WriteHalf {
    /// Whether nothing more leaves.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Open | Self::Finishing => false,
            Self::Finished | Self::Short => true,
        }
    }
}

/// Both halves, and why they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halves {
    read: ReadHalf,
    write: WriteHalf,
    /// Known as soon as we finish; not yet while we have only half-closed.
    reason: Option<CloseReason>,
}

impl Halves {
    /// Both open.
    pub const fn new() -> Self {
        Self { read: ReadHalf::Open, write: WriteHalf::Open, reason: None }
    }

    /// The peer's half.
    pub const fn read(&self) -> ReadHalf {
        self.read
    }

    /// Our half.
    pub const fn write(&self) -> WriteHalf {
        self.write
    }

    /// Whether nobody has ended anything.
    pub const fn are_open(&self) -> bool {
        matches!((self.read, self.write), (ReadHalf::Open, WriteHalf::Open))
    }

    /// Why both end, as soon as that is known.
    pub const fn reason(&self) -> Option<CloseReason> {
        self.reason
    }

    /// The reason, once both are over.
    pub const fn closed(&self) -> Option<CloseReason> {
        if self.read.is_over() && self.write.is_over() { self.reason } else { None }
    }

    /// The peer's FIN has come.
    pub(super) fn peer_ended(&mut self) {
        self.read = match self.read {
            ReadHalf::Open | ReadHalf::Ending => ReadHalf::Ending,
            ReadHalf::Discarding | ReadHalf::Ended => ReadHalf::Ended,
            ReadHalf::Truncated => ReadHalf::Truncated,
        };
    }

    /// The service is told of the peer's end; only then can it be the end of all.
    pub(super) fn end_told(&mut self) {
        debug_assert_eq!(self.read, ReadHalf::Ending);
        self.read = ReadHalf::Ended;
    }

    /// The peer's FIN has come, but not its end.
    pub(super) fn peer_truncated(&mut self) {
        self.read = ReadHalf::Truncated;
    }

    /// We take no more input and, once what is queued has left, end our direction.
    pub(super) fn finish(&mut self, reason: CloseReason) {
        if self.reason.is_some() {
            return;
        }
        self.reason = Some(reason);
        self.half_close();
        self.read = match self.read {
            ReadHalf::Open | ReadHalf::Discarding => ReadHalf::Discarding,
            ReadHalf::Ending | ReadHalf::Ended => ReadHalf::Ended,
            ReadHalf::Truncated => ReadHalf::Truncated,
        };
    }

    /// Once what is queued has left we end our direction; what the peer sends is served as before.
    pub(super) fn half_close(&mut self) {
        if self.write == WriteHalf::Open {
            self.write = WriteHalf::Finishing;
        }
    }

    /// Our FIN is out, or will be by the drop of the stream.
    pub(super) fn finished(&mut self) {
        debug_assert_eq!(self.write, WriteHalf::Finishing);
        self.write = WriteHalf::Finished;
    }

    /// Both are over now. Once our FIN is out the peer has had everything, and the reason for
    /// which we finished stands whatever happens to the rest.
    pub(super) fn cut(&mut self, reason: CloseReason) {
        if !self.write.is_over() || self.reason.is_none() {
            self.reason = Some(reason);
        }
        self.read = ReadHalf::Ended;
        self.write = WriteHalf::Finished;
    }

    /// Both are over, and part of a reply is lost with them: be they over already, for another reason.
    pub(super) fn fall_short(&mut self, reason: CloseReason) {
        self.cut(reason);
        self.write = WriteHalf::Short;
    }

    /// The peer was given time enough to end: both are over, for the reason for which we finished.
    pub(super) fn give_up(&mut self) {
        if let Some(reason) = self.reason {
            self.cut(reason);
        }
    }
}

impl Default for Halves {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_ends_first() {
        let mut halves = Halves::new();
        halves.peer_ended();
        assert_eq!(halves.closed(), None);
        halves.finish(CloseReason::Finished);
        halves.finished();
        assert_eq!(halves.closed(), Some(CloseReason::Finished));
    }

    #[test]
    fn the_end_is_told_once_and_not_after_we_have_finished() {
        let mut halves = Halves::new();
        halves.peer_ended();
        assert_eq!(halves.read(), ReadHalf::Ending);
        halves.end_told();
        halves.peer_ended();
        assert_eq!(halves.read(), ReadHalf::Ended);

        let mut late = Halves::new();
        late.finish(CloseReason::Drained);
        late.peer_ended();
        assert_eq!(late.read(), ReadHalf::Ended);

        let mut between = Halves::new();
        between.peer_ended();
        between.finish(CloseReason::IdleTimeout);
        assert_eq!(between.read(), ReadHalf::Ended);
    }

    #[test]
    fn we_end_first_and_wait_for_the_peer() {
        let mut halves = Halves::new();
        halves.finish(CloseReason::IdleTimeout);
        assert_eq!(halves.read(), ReadHalf::Discarding);
        halves.finished();
        assert_eq!(halves.closed(), None);
        halves.peer_ended();
        assert_eq!(halves.closed(), Some(CloseReason::IdleTimeout));
    }

    #[test]
    fn a_reset_before_our_end_is_the_reason_and_after_it_is_not() {
        let mut early = Halves::new();
        early.finish(CloseReason::Drained);
        early.cut(CloseReason::Reset);
        assert_eq!(early.closed(), Some(CloseReason::Reset));

        let mut late = Halves::new();
        late.finish(CloseReason::Drained);
        late.finished();
        late.cut(CloseReason::Reset);
        assert_eq!(late.closed(), Some(CloseReason::Drained));
    }

    #[test]
    fn after_a_half_close_the_peer_still_speaks_and_its_end_is_the_outcome() {
        let mut halves = Halves::new();
        halves.half_close();
        halves.finished();
        assert_eq!((halves.read(), halves.closed()), (ReadHalf::Open, None));
        halves.peer_ended();
        assert_eq!(halves.closed(), None);
        halves.finish(CloseReason::PartialFrame);
        assert_eq!(halves.closed(), Some(CloseReason::PartialFrame));
    }

    #[test]
    fn a_reset_after_a_half_close_is_the_reason() {
        let mut halves = Halves::new();
        halves.half_close();
        halves.finished();
        halves.cut(CloseReason::Reset);
        assert_eq!(halves.closed(), Some(CloseReason::Reset));
    }

    #[test]
    fn the_first_reason_stays() {
        let mut halves = Halves::new();
        halves.finish(CloseReason::FrameTooLong);
        halves.finish(CloseReason::IdleTimeout);
        halves.cut(CloseReason::Service);
        halves.cut(CloseReason::Reset);
        assert_eq!(halves.closed(), Some(CloseReason::Service));
    }
}
