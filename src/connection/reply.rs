//! What a service says to the peer it is serving: bytes into its queue, and wishes for its end.
//!
//! It writes to no stream. A reply that repeats the input is not copied: it is remembered as a
//! [`InputRange`], a range of the buffer the input was read into, written from there, and only stored
//! if the stream does not take it.

use std::ops::Range;

use crate::buffer::{ByteQueue, Exhausted, Reserve};
use crate::codec::{Codec, Encode, Envelope, FrameError};

use super::{CloseReason, Ledger, Limits, READ_LEN_MAX, Resources, WriteHalf};

/// The end of a peer's output that still lies in the buffer its input was read into.
///
/// Whoever drives the connection writes the queue, then the quoted range, and hands back what was
/// not taken before the buffer is used again.
pub type InputRange = Range<usize>;

/// No part of the output lies in the input.
pub const NO_INPUT_RANGE: InputRange = 0..0;

/// How a service, or what it sent, wants this peer to go on; the later ones outrank the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseRequest {
    /// As before.
    GoOn,
    /// Flush, then end our direction, and go on serving; or that has been done before.
    HalfClose,
    /// Flush, then end our direction.
    Finish(CloseReason),
    /// End both directions now.
    Close(CloseReason),
}

/// Where the replies to one peer go, for the length of one callback.
pub struct Reply<'a> {
    pub(super) output: &'a mut ByteQueue,
    pub(super) reserve: &'a mut Reserve,
    pub(super) ledger: &'a mut Ledger,
    pub(super) encode: &'a dyn Encode,
    pub(super) is_bare: bool,
    pub(super) limits: &'a Limits,
    /// What may be quoted; empty when the input does not outlive the call.
    pub(super) quotable: &'a [u8],
    pub(super) input_range: InputRange,
    pub(super) queue_high: usize,
    pub(super) request: CloseRequest,
    pub(super) is_paused: bool,
    pub(super) wants_room: bool,
    pub(super) promised: u16,
}

impl Reply<'_> {
    /// Queues one frame made of these parts in a row, in the envelope of the peer's framing.
    ///
    /// All of it or nothing: a frame that does not fit closes the peer with
    /// [`CloseReason::QueueFull`] or [`CloseReason::BudgetSpent`], one that the framing cannot
    /// carry with [`CloseReason::BadReply`]. Once our direction is ending nothing is queued.
    #[inline]
    pub fn send(&mut self, parts: &[&[u8]]) {
        if self.request != CloseRequest::GoOn {
            return;
        }
        if self.is_bare {
            self.send_in(&Envelope::NONE, parts);
        } else {
            self.send_enveloped(parts);
        }
    }

    fn send_enveloped(&mut self, parts: &[&[u8]]) {
        match self.encode.envelope(parts) {
            Ok(envelope) => self.send_in(&envelope, parts),
            Err(FrameError::TooLong { .. } | FrameError::Malformed(_)) => {
                self.request = CloseRequest::Finish(CloseReason::BadReply);
            }
        }
    }

    /// Queues bytes that are framed already.
    pub(super) fn send_framed(&mut self, bytes: &[u8]) {
        if self.request == CloseRequest::GoOn {
            self.send_in(&Envelope::NONE, &[bytes]);
        }
    }

    // Always: with no envelope and a known number of parts hardly anything is left of it.
    #[inline(always)]
    fn send_in(&mut self, envelope: &Envelope, parts: &[&[u8]]) {
        let len = envelope.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        let before = self.queued();
        // The first of the two is less, and known without a look at the limits.
        if before + len > READ_LEN_MAX && before + len > self.limits.queue_len_max() {
            self.request = CloseRequest::Close(CloseReason::QueueFull);
            return;
        }
        let put = if envelope.is_empty() {
            self.put_all(parts)
        } else {
            self.put(envelope.head()).and_then(|()| self.put_all(parts)).and_then(|()| self.put(envelope.tail()))
        };
        // Counted even when the end of it found no room: the ledger says what was queued.
        let queued = match put {
            Ok(()) => len,
            Err(Exhausted) => {
                self.request = CloseRequest::Close(CloseReason::BudgetSpent);
                self.queued() - before
            }
        };
        self.ledger.bytes_queued += queued as u64;
    }

    #[inline]
    fn put_all(&mut self, parts: &[&[u8]]) -> Result<(), Exhausted> {
        parts.iter().try_for_each(|part| self.put(part))
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Exhausted> {
        if bytes.is_empty() {
            return Ok(());
        }
        match place_in(self.quotable, bytes) {
            Some(place) if self.input_range.is_empty() => self.input_range = place,
            Some(place) if self.input_range.end == place.start => self.input_range.end = place.end,
            Some(_) | None => return self.store(bytes),
        }
        Ok(())
    }

    // Apart: an echo of a whole read stores nothing.
    #[inline(never)]
    fn store(&mut self, bytes: &[u8]) -> Result<(), Exhausted> {
        self.output.push(&self.quotable[self.input_range.clone()], self.reserve)?;
        self.input_range = NO_INPUT_RANGE;
        self.output.push(bytes, self.reserve)
    }

    /// Asks for one more callback, `on_writable`, as soon as the queue has fallen to its low watermark.
    pub fn notify_writable(&mut self) {
        self.wants_room = true;
    }

    /// How many bytes may be queued until the high watermark; zero when the peer is slow.
    pub fn writable_bytes(&self) -> usize {
        self.queue_high.saturating_sub(self.queued())
    }

    /// Whether the queue is over its high watermark. An empty queue never is: no flush would end that.
    pub(super) fn is_full(&self) -> bool {
        let queued = self.queued();
        queued > 0 && queued >= self.queue_high
    }

    /// Says that an answer comes later: a peer that ended its direction is not finished before.
    ///
    /// More than 65,535 open promises close the peer with [`CloseReason::QueueFull`].
    pub fn defer_reply(&mut self) {
        match self.promised.checked_add(1) {
            Some(promised) => self.promised = promised,
            None => self.fail(CloseReason::QueueFull),
        }
    }

    /// Serve no more frames of this peer, and do not read it, until [`Self::resume`].
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Serve and read this peer again.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }

    /// Flush, then end our direction; what the peer still sends is served.
    pub fn half_close(&mut self) {
        if self.request == CloseRequest::GoOn {
            self.request = CloseRequest::HalfClose;
        }
    }

    /// Flush, then end our direction; what the peer still sends is discarded.
    pub fn finish(&mut self) {
        if !self.is_ending() {
            self.request = CloseRequest::Finish(CloseReason::Service);
        }
    }

    /// End both directions now; what is queued is thrown away.
    pub fn close(&mut self) {
        self.fail(CloseReason::Service);
    }

    /// The callback this was given to has panicked: the peer is lost, and only it.
    pub(super) fn panicked(&mut self) {
        self.ledger.panics += 1;
        self.fail(CloseReason::Panicked);
    }

    fn fail(&mut self, reason: CloseReason) {
        if !matches!(self.request, CloseRequest::Close(_)) {
            self.request = CloseRequest::Close(reason);
        }
    }

    pub(crate) fn encode(&self) -> &dyn Encode {
        self.encode
    }

    /// Bytes that wait to leave, this callback's among them.
    pub fn queued(&self) -> usize {
        self.output.len() + self.input_range.len()
    }

    /// Whether the peer was finished or closed in this callback: what is sent now goes nowhere.
    pub fn is_ending(&self) -> bool {
        match self.request {
            CloseRequest::GoOn | CloseRequest::HalfClose => false,
            CloseRequest::Finish(_) | CloseRequest::Close(_) => true,
        }
    }
}

/// What a callback left behind in its [`Reply`].
pub(super) struct ReplyOutcome {
    pub(super) request: CloseRequest,
    pub(super) is_paused: bool,
    pub(super) wants_room: bool,
    pub(super) promised: u16,
    pub(super) input_range: InputRange,
}

impl From<Reply<'_>> for ReplyOutcome {
    fn from(reply: Reply<'_>) -> Self {
        let Reply { request, is_paused, wants_room, promised, input_range, .. } = reply;
        Self { request, is_paused, wants_room, promised, input_range }
    }
}

/// How a peer stands when a callback for it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyState {
    pub(super) write: WriteHalf,
    pub(super) is_paused: bool,
}

/// A reply to one peer; `quotable` is what it may quote.
pub(super) fn reply_to<'a, C: Codec>(
    output: &'a mut ByteQueue,
    quotable: &'a [u8],
    reply_state: ReplyState,
    resources: &'a mut Resources<'_, C>,
) -> Reply<'a> {
    Reply {
        queue_high: resources.limits.queue.high().min(resources.reserve.spare_bytes()),
        limits: resources.limits,
        output,
        reserve: resources.reserve,
        ledger: resources.ledger,
        encode: resources.codec,
        is_bare: resources.codec.is_bare(),
        quotable,
        input_range: NO_INPUT_RANGE,
        request: match reply_state.write {
            WriteHalf::Open => CloseRequest::GoOn,
            WriteHalf::Finishing | WriteHalf::Finished | WriteHalf::Short => CloseRequest::HalfClose,
        },
        is_paused: reply_state.is_paused,
        wants_room: false,
        promised: 0,
    }
}

/// Where `part` lies in `whole`, if it is a piece of that very memory.
#[inline]
fn place_in(whole: &[u8], part: &[u8]) -> Option<InputRange> {
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    let fits = start <= whole.len() && part.len() <= whole.len() - start;
    fits.then(|| start..start + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_found_where_it_lies() {
        let whole = *b"abcdef";
        assert_eq!(place_in(&whole, &whole[2..4]), Some(2..4));
        assert_eq!(place_in(&whole, &whole), Some(0..6));
        assert_eq!(place_in(&whole[2..], &whole[..3]), None);
        assert_eq!(place_in(&whole[..3], &whole[2..5]), None);
    }

    #[test]
    fn equal_bytes_elsewhere_are_not_a_piece() {
        let whole = b"abcdef".to_vec();
        let other = whole.clone();
        assert_eq!(place_in(&whole, &other), None);
    }
}
