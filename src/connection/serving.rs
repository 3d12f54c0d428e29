//! From the bytes of a peer to the service, and what the service wished back into the machine.
//!
//! What is no whole frame yet is stored; a frame that is whole is served from where it lies.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::{Codec, FrameError};

use super::frames::{StopReason, give_frames};
use super::read_pause::ReadPause;
use super::reply::{CloseRequest, ReplyOutcome, ReplyState, reply_to};
use super::{CloseReason, Connection, InputRange, NO_INPUT_RANGE, ReadHalf, Reply, Resources, WriteHalf};

impl<C: Codec> Connection<C> {
    /// Takes bytes that were read and gives each whole frame in them to `on_frame`, which may
    /// break off until the next call of [`Self::handle_held`].
    ///
    /// Returns what of the replies lies in `input` itself: write it behind [`Self::unsent`] and
    /// hand the rest to [`Self::store`] before `input` changes.
    #[inline(always)]
    pub fn handle_input(
        &mut self,
        input: &[u8],
        resources: &mut Resources<'_, C>,
        on_frame: impl FnMut(&[u8], &mut Reply<'_>) -> ControlFlow<()>,
    ) -> InputRange {
        self.moved_at = resources.now;
        resources.ledger.bytes_read += input.len() as u64;
        if self.halves.read() != ReadHalf::Open {
            self.discard(input.len(), resources);
            return NO_INPUT_RANGE;
        }
        self.start_waiting(resources.now);
        if !self.input.is_empty() {
            match self.input.push(input, resources.reserve) {
                Ok(()) => self.serve_stored(resources, on_frame),
                Err(_) => {
                    resources.ledger.bytes_discarded += input.len() as u64;
                    self.cut(CloseReason::BudgetSpent);
                }
            }
            return NO_INPUT_RANGE;
        }

        let (codec, limits, reply_state) = (resources.codec, resources.limits, self.reply_state());
        let mut reply = reply_to(&mut self.output, input, reply_state, resources);
        let (served, rest) = give_frames(codec, &mut self.codec, input, limits, &mut reply, on_frame);
        let outcome = ReplyOutcome::from(reply);
        let input_range = self.apply(outcome, resources);
        let left = &input[served..];
        if !left.is_empty() || rest != StopReason::Begun {
            self.keep(left, rest, resources);
        }
        input_range
    }

    /// Serves frames that were held back; call when [`Self::wants_held`].
    pub fn handle_held(
        &mut self,
        resources: &mut Resources<'_, C>,
        on_frame: impl FnMut(&[u8], &mut Reply<'_>) -> ControlFlow<()>,
    ) {
        self.read_pause = ReadPause::Nothing;
        self.begun_at = resources.now;
        self.serve_stored(resources, on_frame);
    }

    /// Serves a callback that has no input: its replies go to the output queue. A panic of it ends here.
    pub fn handle_callback(&mut self, resources: &mut Resources<'_, C>, callback: impl FnOnce(&mut Reply<'_>)) {
        self.start_waiting(resources.now);
        let reply_state = self.reply_state();
        let mut reply = reply_to(&mut self.output, &[], reply_state, resources);
        if catch_unwind(AssertUnwindSafe(|| callback(&mut reply))).is_err() {
            reply.panicked();
        }
        let outcome = ReplyOutcome::from(reply);
        self.apply(outcome, resources);
        self.couple(resources);
    }

    /// Queues bytes that another peer's service call, or a post, ordered for this one; framed already.
    pub fn handle_order(&mut self, framed: &[u8], resources: &mut Resources<'_, C>) {
        if self.halves.write() == WriteHalf::Open {
            self.handle_callback(resources, |reply| reply.send_framed(framed));
        }
    }

    /// One promise is kept: what was owed has been queued.
    pub fn handle_promise_kept(&mut self, resources: &mut Resources<'_, C>) {
        self.promised = self.promised.saturating_sub(1);
        self.couple(resources);
    }

    fn serve_stored(
        &mut self,
        resources: &mut Resources<'_, C>,
        on_frame: impl FnMut(&[u8], &mut Reply<'_>) -> ControlFlow<()>,
    ) {
        self.start_waiting(resources.now);
        let (codec, limits, reply_state) = (resources.codec, resources.limits, self.reply_state());
        let mut reply = reply_to(&mut self.output, &[], reply_state, resources);
        let stored = self.input.as_slice();
        let (served, rest) = give_frames(codec, &mut self.codec, stored, limits, &mut reply, on_frame);
        let outcome = ReplyOutcome::from(reply);
        self.input.consume(served, resources.reserve);
        if served > 0 {
            self.begun_at = resources.now;
        }
        self.apply(outcome, resources);
        self.judge(rest, resources);
        self.couple(resources);
    }

    /// Stores what is left of a fresh read.
    fn keep(&mut self, rest: &[u8], why: StopReason, resources: &mut Resources<'_, C>) {
        if !rest.is_empty() {
            match why {
                StopReason::Begun | StopReason::Held | StopReason::Break
                    if self.halves.read() == ReadHalf::Open && self.closed().is_none() =>
                {
                    self.begun_at = resources.now;
                    if self.input.push(rest, resources.reserve).is_err() {
                        resources.ledger.bytes_discarded += rest.len() as u64;
                        self.cut(CloseReason::BudgetSpent);
                    }
                }
                StopReason::Begun
                | StopReason::Held
                | StopReason::Break
                | StopReason::Discard
                | StopReason::Lost(_) => {
                    resources.ledger.bytes_discarded += rest.len() as u64;
                }
            }
        }
        self.judge(why, resources);
    }

    /// What follows from the reason why serving stopped.
    fn judge(&mut self, why: StopReason, resources: &mut Resources<'_, C>) {
        match why {
            StopReason::Held if self.read_pause != ReadPause::Paused => self.read_pause = ReadPause::Frames,
            StopReason::Break if self.read_pause != ReadPause::Paused => self.read_pause = ReadPause::Ready,
            StopReason::Begun | StopReason::Held | StopReason::Break => {}
            StopReason::Discard => self.finish(CloseReason::Finished, resources),
            StopReason::Lost(FrameError::TooLong { .. }) => self.finish(CloseReason::FrameTooLong, resources),
            StopReason::Lost(FrameError::Malformed(_)) => self.finish(CloseReason::BadFrame, resources),
        }
    }

    /// Carries out what the service wished in a callback.
    #[inline(always)]
    fn apply(&mut self, outcome: ReplyOutcome, resources: &mut Resources<'_, C>) -> InputRange {
        self.wants_room |= outcome.wants_room;
        match self.promised.checked_add(outcome.promised) {
            Some(promised) => self.promised = promised,
            None => self.cut(CloseReason::QueueFull),
        }
        if outcome.is_paused {
            self.read_pause = ReadPause::Paused;
        } else if self.read_pause == ReadPause::Paused {
            self.read_pause = ReadPause::Ready;
        }
        match outcome.request {
            CloseRequest::GoOn => {}
            CloseRequest::HalfClose => self.halves.half_close(),
            CloseRequest::Finish(reason) => self.finish(reason, resources),
            CloseRequest::Close(reason) => self.cut(reason),
        }
        outcome.input_range
    }

    fn reply_state(&self) -> ReplyState {
        ReplyState { write: self.halves.write(), is_paused: self.read_pause == ReadPause::Paused }
    }
}
