//! Runs the service's callbacks for one connection and applies what they requested.
//!
//! A whole frame is served from the buffer it was read into. Only an incomplete frame is stored.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::{Codec, FrameError};

use super::deadline::FrameClock;
use super::frames::{StopReason, serve_frames};
use super::read_pause::ReadPause;
use super::reply::{CloseRequest, ReplyOutcome};
use super::small::PeerFlags;
use super::{CloseReason, Connection, InputRange, NO_INPUT_RANGE, ReadHalf, Reply, Resources, WriteHalf};

impl<C: Codec> Connection<C> {
    /// Takes bytes that were read and passes each whole frame in them to `on_frame`.
    ///
    /// If `on_frame` breaks, the remaining frames wait for [`Self::handle_held`]. Returns the part of
    /// the replies that lies in `input`: write it after [`Self::unsent`], and pass what the stream
    /// does not take to [`Self::store`] before `input` changes.
    #[inline]
    pub fn handle_input(
        &mut self,
        input: &[u8],
        resources: &mut Resources<'_, C>,
        on_frame: impl FnMut(&[u8], &mut Reply<'_, C>) -> Result<ControlFlow<()>, FrameError>,
    ) -> InputRange {
        self.start_waiting(resources);
        self.last_activity = resources.now;
        self.flags.add(PeerFlags::MOVED_BYTES, true);
        resources.ledger.bytes_read += input.len() as u64;
        if self.halves.read() != ReadHalf::Open {
            self.discard(input.len(), resources);
            return NO_INPUT_RANGE;
        }
        if !self.input.is_empty() {
            if self.store_input(input, resources) {
                self.serve_stored(resources, on_frame);
            }
            return NO_INPUT_RANGE;
        }

        let mut outcome = self.no_request();
        let mut reply = Reply::new(self.role, &mut self.output, &mut self.codec_state, input, &mut outcome, resources);
        let (served, stop) = serve_frames(input, &mut reply, on_frame);
        self.frame_clock = FrameClock::start(resources.now);
        let input_range = self.apply(outcome, resources);
        self.store_rest(&input[served..], stop, resources);
        self.handle_stop(stop, resources);
        input_range
    }

    /// Serves frames that were held back; call it when [`Self::wants_held`].
    pub fn handle_held(
        &mut self,
        resources: &mut Resources<'_, C>,
        on_frame: impl FnMut(&[u8], &mut Reply<'_, C>) -> Result<ControlFlow<()>, FrameError>,
    ) {
        self.change_pause(ReadPause::NotPaused, resources.now);
        self.serve_stored(resources, on_frame);
    }

    /// Runs a callback without input. Its replies go to the output queue, and its panic is caught.
    pub fn handle_callback(&mut self, resources: &mut Resources<'_, C>, callback: impl FnOnce(&mut Reply<'_, C>)) {
        self.start_waiting(resources);
        let mut outcome = self.no_request();
        let mut reply = Reply::new(self.role, &mut self.output, &mut self.codec_state, &[], &mut outcome, resources);
        if catch_unwind(AssertUnwindSafe(|| callback(&mut reply))).is_err() {
            reply.panicked();
        }
        self.apply(outcome, resources);
        self.finish_if_done(resources);
    }

    /// Queues a frame that the service ordered for this peer in another callback.
    pub fn handle_order(&mut self, frame: &[u8], resources: &mut Resources<'_, C>) {
        if self.halves.write() == WriteHalf::Open {
            self.handle_callback(resources, |reply| reply.send(&[frame]));
        }
    }

    /// Queues a frame as [`Self::handle_order`] does, unless it does not fit below the high watermark.
    pub fn handle_offer(&mut self, frame: &[u8], resources: &mut Resources<'_, C>) {
        let spare = resources.limits.queue.high().min(resources.reserve.spare_bytes());
        if self.output.len().saturating_add(frame.len()) <= spare {
            self.handle_order(frame, resources);
        }
    }

    /// The deferred reply is queued, so the frames behind its request are due.
    pub fn handle_answered(&mut self, resources: &mut Resources<'_, C>) {
        if let ReadPause::ForReply { is_paused } = self.read_pause {
            let next = if is_paused { ReadPause::ByService } else { ReadPause::FramesReady };
            self.change_pause(next, resources.now);
        }
        self.finish_if_done(resources);
    }

    fn serve_stored(
        &mut self,
        resources: &mut Resources<'_, C>,
        on_frame: impl FnMut(&[u8], &mut Reply<'_, C>) -> Result<ControlFlow<()>, FrameError>,
    ) {
        self.start_waiting(resources);
        let mut outcome = self.no_request();
        let mut reply = Reply::new(self.role, &mut self.output, &mut self.codec_state, &[], &mut outcome, resources);
        let (served, stop) = serve_frames(self.input.as_slice(), &mut reply, on_frame);
        self.input.consume(served, resources.reserve);
        if served > 0 {
            self.frame_clock = FrameClock::start(resources.now);
        }
        self.apply(outcome, resources);
        self.handle_stop(stop, resources);
        self.finish_if_done(resources);
    }

    /// Stores the rest of a read for the next call, or discards it when nothing will serve it.
    fn store_rest(&mut self, rest: &[u8], stop: StopReason, resources: &mut Resources<'_, C>) {
        let is_open = self.halves.read() == ReadHalf::Open && self.closed().is_none();
        let is_needed = match stop {
            StopReason::NeedMore | StopReason::Paused | StopReason::Break => is_open,
            StopReason::Discard | StopReason::BadFrame(_) => false,
        };
        if is_needed {
            self.store_input(rest, resources);
        } else {
            resources.ledger.bytes_discarded += rest.len() as u64;
        }
    }

    /// Stores `bytes` behind the stored input, or closes the peer; returns whether they are stored.
    fn store_input(&mut self, bytes: &[u8], resources: &mut Resources<'_, C>) -> bool {
        let is_stored = self.input.push(bytes, resources.reserve).is_ok();
        if !is_stored {
            resources.ledger.bytes_discarded += bytes.len() as u64;
            self.halves.close(CloseReason::BudgetSpent);
        }
        is_stored
    }

    fn handle_stop(&mut self, stop: StopReason, resources: &mut Resources<'_, C>) {
        match stop {
            StopReason::Paused if !self.is_held_by_service() => self.change_pause(ReadPause::FramesHeld, resources.now),
            StopReason::Break if !self.is_held_by_service() => self.change_pause(ReadPause::FramesReady, resources.now),
            StopReason::NeedMore | StopReason::Paused | StopReason::Break => {}
            StopReason::Discard => self.finish(CloseReason::Finished, resources),
            StopReason::BadFrame(FrameError::TooLong { .. }) => self.finish(CloseReason::FrameTooLong, resources),
            StopReason::BadFrame(FrameError::Malformed(_)) => self.finish(CloseReason::BadFrame, resources),
        }
    }

    /// Carries out what a callback requested.
    #[inline]
    fn apply(&mut self, outcome: ReplyOutcome, resources: &mut Resources<'_, C>) -> InputRange {
        self.flags.add(PeerFlags::WRITABLE, outcome.wants_writable);
        self.flags.add(PeerFlags::KEEP_OPEN, outcome.keeps_open);
        let can_reply = self.halves.write() == WriteHalf::Open && outcome.request == CloseRequest::KeepOpen;
        if can_reply && (outcome.owes_reply || self.owes_reply()) {
            self.change_pause(ReadPause::ForReply { is_paused: outcome.is_paused }, resources.now);
        } else if outcome.is_paused {
            self.change_pause(ReadPause::ByService, resources.now);
        } else if self.is_held_by_service() {
            self.change_pause(ReadPause::FramesReady, resources.now);
        }
        match outcome.request {
            CloseRequest::KeepOpen => {}
            CloseRequest::HalfClose => self.halves.half_close(),
            CloseRequest::Finish(reason) => self.finish(reason, resources),
            CloseRequest::Close(reason) => self.halves.close(reason),
        }
        outcome.input_range
    }

    /// The outcome of a callback that changes nothing.
    fn no_request(&self) -> ReplyOutcome {
        let is_paused = matches!(self.read_pause, ReadPause::ByService | ReadPause::ForReply { is_paused: true });
        ReplyOutcome::new(self.halves.write(), is_paused)
    }
}
