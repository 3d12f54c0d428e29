//! One peer: a value without a socket and without a clock.
//!
//! Bytes and times go in by `handle_*`, what is to be done comes out by `wants_*` and `poll_*`. The
//! reactor, a blocking thread and the simulated world drive the same value. It does no input or
//! output, calls no service by itself and allocates nothing but storage lent by the reserve.
//!
//! ```text
//!            bytes read                                frames
//! stream ──▶ handle_input ──▶ codec ──▶ (input queue) ────────▶ on_frame
//!                                                                  │ Reply
//! stream ◀── unsent + quote ◀── output queue ◀─────────────────────┘
//! ```

mod close;
mod deadline;
mod frames;
mod halves;
mod ledger;
mod limits;
mod reply;

use std::ops::ControlFlow;

use crate::buffer::{ByteQueue, Reserve};
use crate::codec::{Codec, FrameError};
use crate::instant::Instant;

pub use close::CloseReason;
pub use halves::{Halves, ReadHalf, WriteHalf};
pub use ledger::Ledger;
pub use limits::{ENVELOPE_LEN_MAX, KIB, Limits, READ_LEN_MAX};
pub use reply::{NO_QUOTE, Quote, Reply};

use frames::{Rest, give_frames};
use reply::{Heard, Stance, Wish, reply_to};

/// What a connection is lent for the length of one call: the rules, the memory, the books, the time.
pub struct Means<'a, C> {
    /// The framing of the endpoint.
    pub codec: &'a C,
    /// The limits of the endpoint.
    pub limits: &'a Limits,
    /// Where storage comes from.
    pub reserve: &'a mut Reserve,
    /// Where bytes are accounted for.
    pub ledger: &'a mut Ledger,
    /// The time of this turn.
    pub now: Instant,
}

/// The machine for one peer.
///
/// Idle it holds no storage: what is not a whole frame yet, and what the stream does not take yet,
/// are the only bytes kept.
pub struct Connection<C: Codec> {
    halves: Halves,
    hold: Hold,
    is_draining: bool,
    wants_room: bool,
    promised: u16,
    discarded: u32,
    codec: C::State,
    /// A frame that has begun; while frames are held back, whole ones too.
    input: ByteQueue,
    output: ByteQueue,
    /// When a byte last moved either way.
    moved_at: Instant,
    /// When the frame at the front of `input` began, or reading it was resumed.
    begun_at: Instant,
    /// Since when we wait for the peer: to take a byte of our output or, our FIN out, for its own.
    waiting_since: Instant,
}

/// Whether input is held back, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Nothing is: read and serve.
    Nothing,
    /// The output is over its watermark: do not read.
    Reading,
    /// Serving stopped in the middle of the input, at the watermark: whole frames may be stored;
    /// they come first.
    Frames,
    /// As [`Hold::Frames`], and nothing stands in their way any more.
    Ready,
    /// The service paused this peer; [`Hold::Ready`] once it resumes.
    Paused,
    /// Enough was discarded while our own end could not leave: read on once it is out.
    Flood,
}

impl<C: Codec> Connection<C> {
    /// A connection that was opened at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            halves: Halves::new(),
            hold: Hold::Nothing,
            is_draining: false,
            wants_room: false,
            promised: 0,
            discarded: 0,
            codec: C::State::default(),
            input: ByteQueue::new(),
            output: ByteQueue::new(),
            moved_at: now,
            begun_at: now,
            waiting_since: now,
        }
    }

    // ── In ──────────────────────────────────────────────────────────────────────────────────────

    /// Takes bytes that were read and gives each whole frame in them to `on_frame`, which may
    /// break off until the next call of [`Self::handle_held`].
    ///
    /// Returns what of the replies lies in `input` itself: write it behind [`Self::unsent`] and
    /// hand the rest to [`Self::settle`] before `input` changes.
    pub fn handle_input(
        &mut self,
        input: &[u8],
        means: &mut Means<'_, C>,
        on_frame: impl FnMut(&[u8], &mut Reply<'_>) -> ControlFlow<()>,
    ) -> Quote {
        self.moved_at = means.now;
        means.ledger.bytes_read += input.len() as u64;
        if self.halves.read() != ReadHalf::Open {
            self.discard(input.len(), means);
            return NO_QUOTE;
        }
        self.start_waiting(means.now);
        if !self.input.is_empty() {
            match self.input.push(input, means.reserve) {
                Ok(()) => self.serve_stored(means, on_frame),
                Err(_) => {
                    means.ledger.bytes_discarded += input.len() as u64;
                    self.cut(CloseReason::BudgetSpent);
                }
            }
            return NO_QUOTE;
        }

        let (codec, limits, stance) = (means.codec, means.limits, self.stance());
        let mut reply = reply_to(&mut self.output, input, stance, means);
        let (served, rest) = give_frames(codec, &mut self.codec, input, limits, &mut reply, on_frame);
        let heard = Heard::from(reply);
        let quote = self.obey(heard, means);
        self.keep(&input[served..], rest, means);
        quote
    }

    /// Serves frames that were held back; call when [`Self::wants_held`].
    pub fn handle_held(
        &mut self,
        means: &mut Means<'_, C>,
        on_frame: impl FnMut(&[u8], &mut Reply<'_>) -> ControlFlow<()>,
    ) {
        self.hold = Hold::Nothing;
        self.begun_at = means.now;
        self.serve_stored(means, on_frame);
    }

    /// The peer's FIN has come.
    pub fn handle_end(&mut self, means: &mut Means<'_, C>) {
        self.moved_at = means.now;
        self.halves.peer_ended();
        self.couple(means);
    }

    /// The peer's direction has ended, but not in the way in which the peer would have ended it.
    /// What came whole is served and answered as ever; the reason tells.
    pub fn handle_truncated(&mut self, means: &mut Means<'_, C>) {
        self.moved_at = means.now;
        self.halves.peer_truncated();
        self.couple(means);
    }

    /// The stream failed, or must end at once: unsent output is thrown away.
    pub fn handle_error(&mut self, reason: CloseReason) {
        self.cut(reason);
    }

    /// The service breaks with this peer, which shall see a reset.
    pub fn handle_reset(&mut self) {
        self.halves.fall_short(CloseReason::Service);
    }

    /// `count` bytes of the output queue were taken by the stream, and `quoted` bytes of the quote.
    pub fn handle_written(&mut self, count: usize, quoted: usize, means: &mut Means<'_, C>) {
        self.output.consume(count, means.reserve);
        means.ledger.bytes_written += (count + quoted) as u64;
        self.moved_at = means.now;
        self.waiting_since = means.now;
    }

    /// Our FIN is out, or will be with the drop of the stream.
    pub fn handle_finished(&mut self, now: Instant) {
        self.waiting_since = now;
        self.halves.finished();
        if self.hold == Hold::Flood {
            self.hold = Hold::Nothing;
        }
    }

    /// The server drains: what the peer has sent is still served, then this peer is finished.
    pub fn handle_drain(&mut self) {
        self.is_draining = true;
    }

    /// The drain has waited long enough: what is queued still leaves, nothing more is served.
    pub fn handle_drain_late(&mut self, means: &mut Means<'_, C>) {
        self.finish(CloseReason::Drained, means);
    }

    /// A draining peer has nothing more to read now.
    pub fn handle_dry(&mut self, means: &mut Means<'_, C>) {
        if self.is_draining && self.hold == Hold::Nothing && self.promised == 0 {
            self.finish(CloseReason::Drained, means);
        }
    }

    /// Serves a callback that has no input: its replies go to the output queue.
    pub fn handle_callback<R>(&mut self, means: &mut Means<'_, C>, callback: impl FnOnce(&mut Reply<'_>) -> R) -> R {
        self.start_waiting(means.now);
        let stance = self.stance();
        let mut reply = reply_to(&mut self.output, &[], stance, means);
        let result = callback(&mut reply);
        let heard = Heard::from(reply);
        self.obey(heard, means);
        self.couple(means);
        result
    }

    /// Queues bytes that another peer's service call, or a post, ordered for this one; framed already.
    pub fn handle_order(&mut self, framed: &[u8], means: &mut Means<'_, C>) {
        if self.halves.write() == WriteHalf::Open {
            self.handle_callback(means, |reply| reply.send_framed(framed));
        }
    }

    /// One promise is kept: what was owed has been queued.
    pub fn handle_promise_kept(&mut self, means: &mut Means<'_, C>) {
        self.promised = self.promised.saturating_sub(1);
        self.couple(means);
    }

    /// Ends a round of callbacks and writes: stores `rest`, what the stream did not take of a
    /// quote, before the buffer it lies in is used again, and pauses or resumes reading.
    pub fn settle(&mut self, rest: &[u8], means: &mut Means<'_, C>) {
        if self.output.push(rest, means.reserve).is_err() {
            means.ledger.bytes_unsent += rest.len() as u64;
            self.halves.fall_short(CloseReason::BudgetSpent);
        }
        self.hold_or_resume(means);
    }

    /// Gives all storage back; the last call. Unserved input and unsent output are written off.
    pub fn bury(&mut self, reserve: &mut Reserve, ledger: &mut Ledger) {
        ledger.bytes_discarded += self.input.clear(reserve) as u64;
        ledger.bytes_unsent += self.output.clear(reserve) as u64;
    }

    // ── Out ─────────────────────────────────────────────────────────────────────────────────────

    /// What waits to be written.
    pub fn unsent(&self) -> &[u8] {
        self.output.as_slice()
    }

    /// Whether a read is welcome, be it to serve or to discard.
    pub fn wants_read(&self) -> bool {
        match self.halves.read() {
            ReadHalf::Open => self.hold == Hold::Nothing,
            ReadHalf::Discarding => self.hold != Hold::Flood,
            ReadHalf::Ending | ReadHalf::Ended | ReadHalf::Truncated => false,
        }
    }

    /// Whether frames that were held back can be served now: the queue has drained, or it was not
    /// for the queue, and the service has not paused this peer.
    pub fn wants_held(&self, means: &Means<'_, C>) -> bool {
        let may_serve = match self.hold {
            Hold::Frames => !self.is_over_watermark(true, means),
            Hold::Ready => true,
            Hold::Nothing | Hold::Reading | Hold::Paused | Hold::Flood => false,
        };
        may_serve && self.closed().is_none()
    }

    /// Whether the service is to be told now that the peer has ended its direction: all that came
    /// before has been served, and it ended between two frames. Says so once.
    pub fn poll_end(&mut self) -> bool {
        let is_due = self.halves.read() == ReadHalf::Ending && !self.is_held() && self.input.is_empty();
        if is_due {
            self.halves.end_told();
        }
        is_due
    }

    /// Whether the stream's write direction is to be shut down now.
    pub fn wants_finish(&self) -> bool {
        self.halves.write() == WriteHalf::Finishing && self.output.is_empty() && self.closed().is_none()
    }

    /// Whether the service asked for room and there is some; asks once.
    pub fn poll_room(&mut self, limits: &Limits) -> bool {
        let is_due = self.is_room_due(limits);
        if is_due {
            self.wants_room = false;
        }
        is_due
    }

    /// Whether [`Self::poll_room`] would say so.
    pub fn is_room_due(&self, limits: &Limits) -> bool {
        self.wants_room
            && self.halves.write() == WriteHalf::Open
            && self.closed().is_none()
            && self.output.len() <= limits.queue.low()
    }

    /// Why it is over, once it is.
    pub fn closed(&self) -> Option<CloseReason> {
        self.halves.closed()
    }

    /// Whether dropping the stream now must be a reset: a peer shall not take a cut-off stream for a whole one.
    pub fn wants_reset(&self) -> bool {
        match self.closed() {
            // What found no room is missing, whether or not anything was queued before it.
            Some(CloseReason::QueueFull | CloseReason::BudgetSpent) => true,
            Some(_) => self.halves.write() == WriteHalf::Short || !self.output.is_empty(),
            None => false,
        }
    }

    /// Both halves.
    pub fn halves(&self) -> &Halves {
        &self.halves
    }

    /// Bytes read and not served yet.
    pub fn input_len(&self) -> usize {
        self.input.len()
    }

    /// Bytes queued and not written yet.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Whether reading is paused, or frames are held back.
    pub fn is_paused(&self) -> bool {
        self.hold != Hold::Nothing
    }

    // ── Inside ──────────────────────────────────────────────────────────────────────────────────

    fn serve_stored(
        &mut self,
        means: &mut Means<'_, C>,
        on_frame: impl FnMut(&[u8], &mut Reply<'_>) -> ControlFlow<()>,
    ) {
        self.start_waiting(means.now);
        let (codec, limits, stance) = (means.codec, means.limits, self.stance());
        let mut reply = reply_to(&mut self.output, &[], stance, means);
        let stored = self.input.as_slice();
        let (served, rest) = give_frames(codec, &mut self.codec, stored, limits, &mut reply, on_frame);
        let heard = Heard::from(reply);
        self.input.consume(served, means.reserve);
        if served > 0 {
            self.begun_at = means.now;
        }
        self.obey(heard, means);
        self.judge(rest, means);
        self.couple(means);
    }

    /// Stores what is left of a fresh read.
    fn keep(&mut self, rest: &[u8], why: Rest, means: &mut Means<'_, C>) {
        if !rest.is_empty() {
            match why {
                Rest::Begun | Rest::Held | Rest::Break
                    if self.halves.read() == ReadHalf::Open && self.closed().is_none() =>
                {
                    self.begun_at = means.now;
                    if self.input.push(rest, means.reserve).is_err() {
                        means.ledger.bytes_discarded += rest.len() as u64;
                        self.cut(CloseReason::BudgetSpent);
                    }
                }
                Rest::Begun | Rest::Held | Rest::Break | Rest::Useless | Rest::Lost(_) => {
                    means.ledger.bytes_discarded += rest.len() as u64;
                }
            }
        }
        self.judge(why, means);
    }

    /// What follows from the reason why serving stopped.
    fn judge(&mut self, why: Rest, means: &mut Means<'_, C>) {
        match why {
            Rest::Held if self.hold != Hold::Paused => self.hold = Hold::Frames,
            Rest::Break if self.hold != Hold::Paused => self.hold = Hold::Ready,
            Rest::Begun | Rest::Held | Rest::Break => {}
            Rest::Useless => self.finish(CloseReason::Finished, means),
            Rest::Lost(FrameError::TooLong { .. }) => self.finish(CloseReason::FrameTooLong, means),
            Rest::Lost(FrameError::Malformed(_)) => self.finish(CloseReason::BadFrame, means),
        }
    }

    /// Carries out what the service wished in a callback.
    fn obey(&mut self, heard: Heard, means: &mut Means<'_, C>) -> Quote {
        self.wants_room |= heard.wants_room;
        match self.promised.checked_add(heard.promised) {
            Some(promised) => self.promised = promised,
            None => self.cut(CloseReason::QueueFull),
        }
        if heard.is_paused {
            self.hold = Hold::Paused;
        } else if self.hold == Hold::Paused {
            self.hold = Hold::Ready;
        }
        match heard.wish {
            Wish::GoOn => {}
            Wish::HalfClose => self.halves.half_close(),
            Wish::Finish(reason) => self.finish(reason, means),
            Wish::Close(reason) => self.cut(reason),
        }
        heard.quote
    }

    /// Finishes when nothing more is to come: ended, no whole frame left, the service told,
    /// nothing promised. A promise is void once our direction has ended.
    fn couple(&mut self, means: &mut Means<'_, C>) {
        let is_owing = self.promised > 0 && self.halves.write() == WriteHalf::Open;
        if self.is_held() || is_owing || self.halves.reason().is_some() {
            return;
        }
        match self.halves.read() {
            ReadHalf::Open | ReadHalf::Discarding => {}
            ReadHalf::Truncated => self.finish(CloseReason::Truncated, means),
            ReadHalf::Ending | ReadHalf::Ended if !self.input.is_empty() => {
                self.finish(CloseReason::PartialFrame, means);
            }
            // First the service is told, which may still have something to say.
            ReadHalf::Ending => {}
            ReadHalf::Ended => self.finish(CloseReason::Finished, means),
        }
    }

    /// Whether whole frames may be stored that have yet to be served.
    fn is_held(&self) -> bool {
        match self.hold {
            Hold::Nothing | Hold::Reading | Hold::Flood => false,
            Hold::Frames | Hold::Ready | Hold::Paused => true,
        }
    }

    fn finish(&mut self, reason: CloseReason, means: &mut Means<'_, C>) {
        self.start_waiting(means.now);
        if self.halves.reason().is_none() && self.halves.write() == WriteHalf::Finished {
            // Our FIN went out with a half-close; only now do we wait for the peer's.
            self.waiting_since = means.now;
        }
        self.halves.finish(reason);
        self.hold = Hold::Nothing;
        means.ledger.bytes_discarded += self.input.clear(means.reserve) as u64;
    }

    fn cut(&mut self, reason: CloseReason) {
        self.halves.cut(reason);
    }

    fn discard(&mut self, count: usize, means: &mut Means<'_, C>) {
        means.ledger.bytes_discarded += count as u64;
        self.discarded = self.discarded.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if self.discarded > means.limits.linger_bytes_max {
            match self.halves.write() {
                // It does not read, and that is what ends it: its write deadline, or the drain's.
                WriteHalf::Open | WriteHalf::Finishing => self.hold = Hold::Flood,
                WriteHalf::Finished | WriteHalf::Short => self.halves.give_up(),
            }
        }
    }

    fn hold_or_resume(&mut self, means: &Means<'_, C>) {
        match self.hold {
            Hold::Nothing if self.is_over_watermark(false, means) => self.hold = Hold::Reading,
            Hold::Reading if !self.is_over_watermark(true, means) => {
                self.hold = Hold::Nothing;
                // While we did not read, the rest of a frame could not come.
                self.begun_at = means.now;
            }
            Hold::Nothing | Hold::Reading | Hold::Frames | Hold::Ready | Hold::Paused | Hold::Flood => {}
        }
    }

    /// The peer's own watermarks, and under pressure on the memory of all a lower one: nobody may
    /// hold more than what is still spare, so that the largest are paused first and the spare
    /// memory is never eaten up. A peer that holds nothing is never paused: no flush would wake it.
    fn is_over_watermark(&self, was_paused: bool, means: &Means<'_, C>) -> bool {
        let queued = self.output.len();
        queued > 0 && (queued >= means.reserve.spare_bytes() || means.limits.queue.is_paused(was_paused, queued))
    }

    fn stance(&self) -> Stance {
        Stance { write: self.halves.write(), is_paused: self.hold == Hold::Paused }
    }

    /// With nothing queued, whatever is queued next starts its wait now.
    fn start_waiting(&mut self, now: Instant) {
        if self.output.is_empty() && self.halves.write() == WriteHalf::Open {
            self.waiting_since = now;
        }
    }
}

#[cfg(test)]
mod tests;
