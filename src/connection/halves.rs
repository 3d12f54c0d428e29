//! The two halves of a connection, and every transition of either.
//!
//! ```text
//! read half:   Open ── peer's FIN ──▶ Ending ── on_end was called, or we finish ──▶ Ended
//!                └─ finish ─▶ Discarding ─────────── peer's FIN ──────────────────▶ Ended
//!              from any state: the stream ends without the peer's own end ─▶ Truncated
//!
//! write half:  Open ── finish(reason), half_close ──▶ Finishing ── our FIN is sent ──▶ Finished
//!
//! closed:      both halves are over; the first reason counts
//!              close(reason) ends both halves from any state;
//!              close_incomplete(reason) does so too and leaves the write half Incomplete
//! ```
//!
//! Only this file assigns a half. Whether reading is paused is not a state of a half: see
//! `read_pause`.

use super::CloseReason;

/// The direction from the peer to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadHalf {
    /// Input is read and served.
    Open,
    /// Input is read and discarded until the peer's FIN.
    ///
    /// Closing a socket with unread input sends a reset, which destroys the tail of our output.
    Discarding,
    /// The peer's FIN has arrived. Earlier frames may still be held, so `on_end` is not due yet.
    Ending,
    /// The peer's FIN has arrived and needs no further work.
    Ended,
    /// The stream ended without the end that its own protocol requires, such as the close_notify of TLS.
    Truncated,
}

impl ReadHalf {
    /// The state in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Discarding => "discarding",
            Self::Ending => "ending",
            Self::Ended => "ended",
            Self::Truncated => "truncated",
        }
    }

    /// Whether no more input can arrive.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Open | Self::Discarding => false,
            Self::Ending | Self::Ended | Self::Truncated => true,
        }
    }
}

/// The direction from us to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteHalf {
    /// Replies can be queued.
    Open,
    /// No reply can be queued; our FIN follows the bytes that are queued.
    Finishing,
    /// Our FIN is sent, or never will be.
    Finished,
    /// Ended with output lost. Whatever the reason is, the peer must see a reset.
    Incomplete,
}

impl WriteHalf {
    /// The state in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Finishing => "finishing",
            Self::Finished => "finished",
            Self::Incomplete => "incomplete",
        }
    }

    /// Whether no more output can leave.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Open | Self::Finishing => false,
            Self::Finished | Self::Incomplete => true,
        }
    }
}

/// Both halves and the reason why they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halves {
    read: ReadHalf,
    write: WriteHalf,
    /// Set when we finish or close. A half-close alone sets none.
    reason: Option<CloseReason>,
}

impl Halves {
    /// Both halves open.
    pub const fn new() -> Self {
        Self { read: ReadHalf::Open, write: WriteHalf::Open, reason: None }
    }

    /// The half from the peer to us.
    pub const fn read(&self) -> ReadHalf {
        self.read
    }

    /// The half from us to the peer.
    pub const fn write(&self) -> WriteHalf {
        self.write
    }

    /// Whether both halves are open.
    pub const fn are_open(&self) -> bool {
        matches!((self.read, self.write), (ReadHalf::Open, WriteHalf::Open))
    }

    /// The reason why both halves end, as soon as it is known.
    pub const fn reason(&self) -> Option<CloseReason> {
        self.reason
    }

    /// The reason, once both halves are over.
    pub const fn closed(&self) -> Option<CloseReason> {
        if self.read.is_over() && self.write.is_over() { self.reason } else { None }
    }

    /// The peer's FIN has arrived.
    pub(super) fn peer_ended(&mut self) {
        self.read = match self.read {
            ReadHalf::Open | ReadHalf::Ending => ReadHalf::Ending,
            ReadHalf::Discarding | ReadHalf::Ended => ReadHalf::Ended,
            ReadHalf::Truncated => ReadHalf::Truncated,
        };
    }

    /// The service gets `on_end`, so the read half is complete.
    pub(super) fn end_reported(&mut self) {
        debug_assert_eq!(self.read, ReadHalf::Ending);
        self.read = ReadHalf::Ended;
    }

    /// The stream has ended without the peer's own end.
    pub(super) fn peer_truncated(&mut self) {
        self.read = ReadHalf::Truncated;
    }

    /// Discards further input and sends our FIN behind the queued output.
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

    /// Sends our FIN behind the queued output; input is served as before.
    pub(super) fn half_close(&mut self) {
        if self.write == WriteHalf::Open {
            self.write = WriteHalf::Finishing;
        }
    }

    /// Our FIN is sent, or will be when the stream is dropped.
    pub(super) fn finished(&mut self) {
        debug_assert_eq!(self.write, WriteHalf::Finishing);
        self.write = WriteHalf::Finished;
    }

    /// Ends both halves at once.
    ///
    /// Once our FIN is sent, the peer has all output, so the reason for which we finished stays. After a
    /// failure of TLS no output is left, so that reason stays too.
    pub(super) fn close(&mut self, reason: CloseReason) {
        let stays = self.write.is_over() || self.reason == Some(CloseReason::BadTls);
        if !stays || self.reason.is_none() {
            self.reason = Some(reason);
        }
        self.read = ReadHalf::Ended;
        self.write = WriteHalf::Finished;
    }

    /// Ends both halves at once with output lost, even if they are over already.
    pub(super) fn close_incomplete(&mut self, reason: CloseReason) {
        self.close(reason);
        self.write = WriteHalf::Incomplete;
    }

    /// Stops waiting for the peer's FIN: both halves end for the reason for which we finished.
    pub(super) fn stop_lingering(&mut self) {
        if let Some(reason) = self.reason {
            self.close(reason);
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
    fn a_peer_that_ends_first_closes_with_our_fin() {
        let mut halves = Halves::new();
        halves.peer_ended();
        assert_eq!(halves.closed(), None);
        halves.finish(CloseReason::Finished);
        halves.finished();
        assert_eq!(halves.closed(), Some(CloseReason::Finished));
    }

    #[test]
    fn the_end_is_reported_once_and_not_after_we_finish() {
        let mut halves = Halves::new();
        halves.peer_ended();
        assert_eq!(halves.read(), ReadHalf::Ending);
        halves.end_reported();
        halves.peer_ended();
        assert_eq!(halves.read(), ReadHalf::Ended);

        let mut late = Halves::new();
        late.finish(CloseReason::Drained);
        late.peer_ended();
        assert_eq!(late.read(), ReadHalf::Ended);

        let mut ending = Halves::new();
        ending.peer_ended();
        ending.finish(CloseReason::IdleTimeout);
        assert_eq!(ending.read(), ReadHalf::Ended);
    }

    #[test]
    fn after_our_fin_we_wait_for_the_peers() {
        let mut halves = Halves::new();
        halves.finish(CloseReason::IdleTimeout);
        assert_eq!(halves.read(), ReadHalf::Discarding);
        halves.finished();
        assert_eq!(halves.closed(), None);
        halves.peer_ended();
        assert_eq!(halves.closed(), Some(CloseReason::IdleTimeout));
    }

    #[test]
    fn a_reset_is_the_reason_only_before_our_fin() {
        let mut early = Halves::new();
        early.finish(CloseReason::Drained);
        early.close(CloseReason::Reset);
        assert_eq!(early.closed(), Some(CloseReason::Reset));

        let mut late = Halves::new();
        late.finish(CloseReason::Drained);
        late.finished();
        late.close(CloseReason::Reset);
        assert_eq!(late.closed(), Some(CloseReason::Drained));
    }

    #[test]
    fn a_reset_after_a_failure_of_tls_is_not_the_reason() {
        let mut halves = Halves::new();
        halves.finish(CloseReason::BadTls);
        halves.close(CloseReason::Reset);
        assert_eq!(halves.closed(), Some(CloseReason::BadTls));
    }

    #[test]
    fn after_a_half_close_the_end_of_the_peer_decides_the_reason() {
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
        halves.close(CloseReason::Reset);
        assert_eq!(halves.closed(), Some(CloseReason::Reset));
    }

    #[test]
    fn the_first_reason_stays() {
        let mut halves = Halves::new();
        halves.finish(CloseReason::FrameTooLong);
        halves.finish(CloseReason::IdleTimeout);
        halves.close(CloseReason::Service);
        halves.close(CloseReason::Reset);
        assert_eq!(halves.closed(), Some(CloseReason::Service));
    }
}
