//! `Reply`: sends frames to the peer that the service is serving, and takes its requests.
//!
//! It writes to no stream. A reply that repeats the input is not copied: its [`InputRange`] is
//! written straight from the read buffer, and is stored only if the stream does not take it.

use std::ops::Range;

use crate::buffer::{ByteQueue, Exhausted, Reserve};
use crate::codec::{Codec, Envelope, FrameError};

use super::{CloseReason, Ledger, Limits, Resources, Role, WriteHalf};

/// The end of a peer's output that still lies in the buffer its input was read into.
///
/// The driver writes the output queue and then this range, and stores what the stream did not take
/// before it uses the buffer again.
pub type InputRange = Range<usize>;

/// No part of the output lies in the input.
pub const NO_INPUT_RANGE: InputRange = 0..0;

/// How the connection continues after a callback. A later variant overrides an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseRequest {
    /// No request: the connection stays open.
    KeepOpen,
    /// Flush, end our direction, and serve further input; also when that has happened before.
    HalfClose,
    /// Flush, then end our direction.
    Finish(CloseReason),
    /// End both directions at once.
    Close(CloseReason),
}

/// Sends frames to one peer and controls its connection, for the length of one callback.
pub struct Reply<'a, C: Codec> {
    pub(super) output: &'a mut ByteQueue,
    pub(super) codec_state: &'a mut C::State,
    pub(super) reserve: &'a mut Reserve,
    pub(super) ledger: &'a mut Ledger,
    pub(super) codec: &'a C,
    pub(super) limits: &'a Limits,
    /// The read buffer that `input_range` refers to; empty when the input does not outlive the call.
    pub(super) input: &'a [u8],
    /// The source of the output stops at this length of the queue.
    pub(super) queue_high: usize,
    /// No more input is served at this length of the queue.
    pub(super) pause_len: usize,
    role: Role,
    pub(super) outcome: &'a mut ReplyOutcome,
}

/// What a callback requested.
pub(super) struct ReplyOutcome {
    pub(super) request: CloseRequest,
    pub(super) is_paused: bool,
    /// A reply was deferred, so that no further frame is delivered.
    pub(super) owes_reply: bool,
    pub(super) keeps_open: bool,
    pub(super) wants_writable: bool,
    pub(super) input_range: InputRange,
}

impl ReplyOutcome {
    /// The outcome of a callback that requests nothing.
    pub(super) fn new(write: WriteHalf, is_paused: bool) -> Self {
        Self {
            request: match write {
                WriteHalf::Open => CloseRequest::KeepOpen,
                WriteHalf::Finishing | WriteHalf::Finished | WriteHalf::Incomplete => CloseRequest::HalfClose,
            },
            is_paused,
            owes_reply: false,
            keeps_open: false,
            wants_writable: false,
            input_range: NO_INPUT_RANGE,
        }
    }
}

impl<'a, C: Codec> Reply<'a, C> {
    /// A reply that may refer to ranges of `input`.
    pub(super) fn new(
        role: Role,
        output: &'a mut ByteQueue,
        codec_state: &'a mut C::State,
        input: &'a [u8],
        outcome: &'a mut ReplyOutcome,
        resources: &'a mut Resources<'_, C>,
    ) -> Self {
        let queue_high = resources.limits.queue.high().min(resources.reserve.spare_bytes());
        Self {
            queue_high,
            pause_len: match role {
                Role::Accepted => queue_high,
                Role::Connected => resources.limits.reading_marks(Role::Connected).high(),
            },
            role,
            limits: resources.limits,
            output,
            codec_state,
            reserve: resources.reserve,
            ledger: resources.ledger,
            codec: resources.codec,
            input,
            outcome,
        }
    }

    /// The same reply for a shorter time.
    #[inline]
    pub(crate) fn reborrow(&mut self) -> Reply<'_, C> {
        Reply {
            output: self.output,
            codec_state: self.codec_state,
            reserve: self.reserve,
            ledger: self.ledger,
            codec: self.codec,
            limits: self.limits,
            input: self.input,
            queue_high: self.queue_high,
            pause_len: self.pause_len,
            role: self.role,
            outcome: self.outcome,
        }
    }

    /// The codec of the endpoint.
    pub fn codec(&self) -> &'a C {
        self.codec
    }

    /// The state of the codec. A change applies to the frames that follow, in both directions.
    pub fn codec_state(&mut self) -> &mut C::State {
        self.codec_state
    }

    /// Queues one frame made of these parts in a row, in the envelope of the peer's framing.
    ///
    /// A frame is queued whole or not at all. One that does not fit closes the peer with
    /// [`CloseReason::QueueFull`] or [`CloseReason::BudgetSpent`]; one that the framing cannot carry
    /// finishes it with [`CloseReason::BadReply`]. Nothing is queued once our direction is ending.
    #[inline]
    pub fn send(&mut self, parts: &[&[u8]]) {
        if self.outcome.request != CloseRequest::KeepOpen {
            return;
        }
        match self.codec.envelope(self.codec_state, parts) {
            Ok(envelope) => self.enqueue(&envelope, parts),
            Err(FrameError::TooLong { .. } | FrameError::Malformed(_)) => {
                self.outcome.request = CloseRequest::Finish(CloseReason::BadReply);
            }
        }
    }

    #[inline]
    fn enqueue(&mut self, envelope: &Envelope, parts: &[&[u8]]) {
        let len = envelope.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        let before = self.queued();
        if before.saturating_add(len) > self.limits.queue_len_max(self.role) {
            self.outcome.request = CloseRequest::Close(CloseReason::QueueFull);
            return;
        }
        let appended = self
            .append(envelope.head())
            .and_then(|()| parts.iter().try_for_each(|part| self.append(part)))
            .and_then(|()| self.append(envelope.tail()));
        if appended == Err(Exhausted) {
            self.outcome.request = CloseRequest::Close(CloseReason::BudgetSpent);
        }
        // An incomplete frame counts too: its bytes are in the queue until the peer is closed.
        self.ledger.bytes_queued += (self.queued() - before) as u64;
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Result<(), Exhausted> {
        if bytes.is_empty() {
            return Ok(());
        }
        let range = self.outcome.input_range.clone();
        match range_within(self.input, bytes) {
            Some(found) if range.is_empty() => self.outcome.input_range = found,
            Some(found) if range.end == found.start => self.outcome.input_range.end = found.end,
            // The range is the end of the output, so it is copied before other bytes.
            Some(_) | None => {
                self.output.push(&self.input[range], self.reserve)?;
                self.outcome.input_range = NO_INPUT_RANGE;
                self.output.push(bytes, self.reserve)?;
            }
        }
        Ok(())
    }

    /// Requests one `on_writable` callback when the queue falls to its low watermark.
    pub fn notify_writable(&mut self) {
        self.outcome.wants_writable = true;
    }

    /// The number of bytes that can be queued below the high watermark; zero when the peer is slow.
    pub fn writable_bytes(&self) -> usize {
        self.queue_high.saturating_sub(self.queued())
    }

    /// Whether the queue is so long that input is held back.
    ///
    /// An empty queue never is, even with no memory left: no later flush would end that state.
    pub(super) fn is_full(&self) -> bool {
        let queued = self.queued();
        queued > 0 && queued >= self.pause_len
    }

    /// Announces a reply that comes later. No further frame of the peer is served until then, and the
    /// peer stays open when it ends its direction.
    pub fn defer_reply(&mut self) {
        self.outcome.owes_reply = true;
    }

    /// Keeps the peer open after it has ended its direction, until it is finished or closed.
    pub fn keep_open(&mut self) {
        self.outcome.keeps_open = true;
    }

    /// Stops reading and serving this peer until [`Self::resume`].
    pub fn pause(&mut self) {
        self.outcome.is_paused = true;
    }

    /// Reads and serves this peer again.
    pub fn resume(&mut self) {
        self.outcome.is_paused = false;
    }

    /// Flushes, then ends our direction; further input is served.
    pub fn half_close(&mut self) {
        if self.outcome.request == CloseRequest::KeepOpen {
            self.outcome.request = CloseRequest::HalfClose;
        }
    }

    /// Flushes, then ends our direction; further input is discarded.
    pub fn finish(&mut self) {
        if !self.is_ending() {
            self.outcome.request = CloseRequest::Finish(CloseReason::Service);
        }
    }

    /// Ends both directions at once; queued output is dropped.
    pub fn close(&mut self) {
        self.fail(CloseReason::Service);
    }

    /// Closes the peer because the callback panicked.
    pub(super) fn panicked(&mut self) {
        self.ledger.panics += 1;
        self.fail(CloseReason::Panicked);
    }

    fn fail(&mut self, reason: CloseReason) {
        if !matches!(self.outcome.request, CloseRequest::Close(_)) {
            self.outcome.request = CloseRequest::Close(reason);
        }
    }

    /// The number of bytes queued for the peer, including those of this callback.
    pub fn queued(&self) -> usize {
        self.output.len() + self.outcome.input_range.len()
    }

    /// Whether this callback has finished or closed the peer, so that frames are no longer sent.
    pub fn is_ending(&self) -> bool {
        match self.outcome.request {
            CloseRequest::KeepOpen | CloseRequest::HalfClose => false,
            CloseRequest::Finish(_) | CloseRequest::Close(_) => true,
        }
    }
}

/// Where `part` lies in `whole`, if it is a slice of that memory.
#[inline]
fn range_within(whole: &[u8], part: &[u8]) -> Option<InputRange> {
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    let is_inside = start <= whole.len() && part.len() <= whole.len() - start;
    is_inside.then(|| start..start + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_part_of_the_input_itself_is_found() {
        let whole = *b"abcdef";
        let copy = whole;
        assert_eq!(range_within(&whole, &whole[2..4]), Some(2..4));
        assert_eq!(range_within(&whole, &whole), Some(0..6));
        assert_eq!(range_within(&whole[2..], &whole[..3]), None);
        assert_eq!(range_within(&whole[..3], &whole[2..5]), None);
        assert_eq!(range_within(&whole, &copy), None, "equal bytes elsewhere");
    }
}
