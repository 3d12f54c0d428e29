//! From the bytes of a peer to the service, and what the service wished back into the machine.
//!
//! What is no whole frame yet is stored; a frame that is whole is served from where it lies.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::{Codec, FrameError};

use super::frames::{Rest, give_frames};
use super::hold::Hold;
use super::reply::{Heard, Stance, Wish, reply_to};
use super::{CloseReason, Connection, Means, NO_QUOTE, Quote, ReadHalf, Reply, WriteHalf};

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
        let left = &input[served..];
        if !left.is_empty() || rest != Rest::Begun {
            self.keep(left, rest, means);
        }
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

    /// Serves a callback that has no input: its replies go to the output queue. A panic of it ends here.
    pub fn handle_callback(&mut self, means: &mut Means<'_, C>, callback: impl FnOnce(&mut Reply<'_>)) {
        self.start_waiting(means.now);
        let stance = self.stance();
        let mut reply = reply_to(&mut self.output, &[], stance, means);
        if catch_unwind(AssertUnwindSafe(|| callback(&mut reply))).is_err() {
            reply.panicked();
        }
        let heard = Heard::from(reply);
        self.obey(heard, means);
        self.couple(means);
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
    #[inline(always)]
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

    fn stance(&self) -> Stance {
        Stance { write: self.halves.write(), is_paused: self.hold == Hold::Paused }
    }
}
