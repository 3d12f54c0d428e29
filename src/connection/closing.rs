//! How a connection ends: by the peer, by us, by an error or by a drain.
//!
//! The states of both halves are in `halves`. This file decides when our half may end, and why.

use crate::codec::Codec;
use crate::instant::Instant;

use super::read_pause::ReadPause;
use super::small::PeerFlags;
use super::{CloseReason, Connection, Draining, ReadHalf, Resources, Role, WriteHalf};

impl<C: Codec> Connection<C> {
    /// The peer's FIN has arrived.
    pub fn handle_end(&mut self, resources: &mut Resources<'_, C>) {
        self.last_activity = resources.now;
        self.halves.peer_ended();
        self.finish_if_done(resources);
    }

    /// The stream has ended without the end that its protocol requires, such as close_notify of TLS.
    ///
    /// Whole frames are served and answered as usual; the close reason is [`CloseReason::Truncated`].
    pub fn handle_truncated(&mut self, resources: &mut Resources<'_, C>) {
        self.last_activity = resources.now;
        self.halves.peer_truncated();
        self.finish_if_done(resources);
    }

    /// Closes the connection at once, after an error of the stream for example. Unsent output is dropped.
    pub fn handle_error(&mut self, reason: CloseReason) {
        let is_probe = reason == CloseReason::Reset && self.is_unused();
        self.halves.close(if is_probe { CloseReason::Probed } else { reason });
    }

    /// Whether the peer has connected and nothing has happened since. If it leaves then, it is a health check
    /// or a port scanner, or it looks like one.
    fn is_unused(&self) -> bool {
        let is_open = self.halves.write() == WriteHalf::Open;
        self.role == Role::Accepted && is_open && !self.flags.has(PeerFlags::MOVED_BYTES) && self.output.is_empty()
    }

    /// The layer of the stream has failed, and its announcement of that, such as a TLS alert, may still
    /// be buffered. Our direction ends after it, and input is discarded. Unsent output is dropped.
    pub fn handle_layer_error(&mut self, reason: CloseReason, resources: &mut Resources<'_, C>) {
        if self.halves.write().is_over() {
            return self.halves.close(reason);
        }
        resources.ledger.bytes_unsent += self.output.clear(resources.reserve) as u64;
        self.finish(reason, resources);
    }

    /// Closes the connection with a reset, at the service's request.
    pub fn handle_reset(&mut self) {
        self.halves.close_incomplete(CloseReason::Service);
    }

    /// Our FIN is sent, or will be when the stream is dropped.
    pub fn handle_finished(&mut self, now: Instant) {
        self.waiting_since = now;
        self.halves.finished();
        if self.read_pause == ReadPause::DiscardLimit {
            self.change_pause(ReadPause::NotPaused, now);
        }
    }

    /// The server drains: input that has arrived is still served, then this peer is finished.
    pub fn handle_drain(&mut self) {
        if self.draining == Draining::No {
            self.draining = Draining::Server;
        }
    }

    /// The lifetime is over: input that has arrived is served, then the peer is finished. A second call finishes
    /// it at once. Returns whether a second call is due later.
    pub fn handle_lifetime(&mut self, resources: &mut Resources<'_, C>) -> bool {
        let has_begun = self.draining == Draining::Lifetime;
        self.draining = Draining::Lifetime;
        if has_begun {
            self.finish(CloseReason::MaxLifetime, resources);
        }
        !has_begun
    }

    /// The drain has taken too long: queued output is still sent, but no more input is served.
    pub fn handle_drain_timeout(&mut self, resources: &mut Resources<'_, C>) {
        self.finish(CloseReason::Drained, resources);
    }

    /// The stream has nothing to read at present. A draining peer with no work left is finished.
    pub fn handle_not_readable(&mut self, resources: &mut Resources<'_, C>) {
        if self.is_paused() || self.flags.has(PeerFlags::KEEP_OPEN) {
            return;
        }
        match self.draining {
            Draining::No => {}
            Draining::Server => self.finish(CloseReason::Drained, resources),
            // There is time to complete a frame.
            Draining::Lifetime if !self.input.is_empty() => {}
            Draining::Lifetime => self.finish(CloseReason::MaxLifetime, resources),
        }
    }

    /// Whether `on_end` is due: the peer ended between two frames, and all frames are served.
    ///
    /// Returns `true` once.
    pub fn poll_end(&mut self) -> bool {
        let is_due = self.halves.read() == ReadHalf::Ending && !self.is_holding_frames() && self.input.is_empty();
        if is_due {
            self.halves.end_reported();
        }
        is_due
    }

    /// Whether the driver must shut down the write direction of the stream.
    pub fn wants_finish(&self) -> bool {
        self.halves.write() == WriteHalf::Finishing && self.output.is_empty() && self.closed().is_none()
    }

    /// The close reason, once both halves are over.
    pub fn closed(&self) -> Option<CloseReason> {
        self.halves.closed()
    }

    /// Whether the stream must be dropped with a reset, because output was lost.
    ///
    /// After a FIN the peer would take the incomplete stream for a complete one.
    pub fn wants_reset(&self) -> bool {
        match self.closed() {
            // The frame that did not fit is lost even if the queue is empty.
            Some(CloseReason::QueueFull | CloseReason::BudgetSpent) => true,
            Some(_) => self.halves.write() == WriteHalf::Incomplete || !self.output.is_empty(),
            None => false,
        }
    }

    /// Finishes a peer that has ended when no frame, no `on_end` and no deferred reply is due, unless the
    /// service keeps it open.
    ///
    /// Neither counts once our own half has ended, because nothing more can be sent.
    pub(super) fn finish_if_done(&mut self, resources: &mut Resources<'_, C>) {
        let stays_open =
            (self.owes_reply() || self.flags.has(PeerFlags::KEEP_OPEN)) && self.halves.write() == WriteHalf::Open;
        if self.is_holding_frames() || stays_open || self.halves.reason().is_some() {
            return;
        }
        match self.halves.read() {
            ReadHalf::Open | ReadHalf::Discarding => {}
            ReadHalf::Truncated => self.finish(CloseReason::Truncated, resources),
            ReadHalf::Ending | ReadHalf::Ended if !self.input.is_empty() => {
                self.finish(CloseReason::PartialFrame, resources);
            }
            // `on_end` comes first, and may still send.
            ReadHalf::Ending => {}
            ReadHalf::Ended if self.is_unused() => self.finish(CloseReason::Probed, resources),
            ReadHalf::Ended => self.finish(CloseReason::Finished, resources),
        }
    }

    pub(super) fn finish(&mut self, reason: CloseReason, resources: &mut Resources<'_, C>) {
        self.start_waiting(resources);
        if self.halves.reason().is_none() && self.halves.write() == WriteHalf::Finished {
            // Our FIN was sent by a half-close. The wait for the peer's FIN starts here.
            self.waiting_since = resources.now;
        }
        self.halves.finish(reason);
        self.change_pause(ReadPause::NotPaused, resources.now);
        resources.ledger.bytes_discarded += self.input.clear(resources.reserve) as u64;
    }

    pub(super) fn discard(&mut self, count: usize, resources: &mut Resources<'_, C>) {
        resources.ledger.bytes_discarded += count as u64;
        self.discarded = self.discarded.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if self.discarded > resources.limits.linger_bytes_max {
            match self.halves.write() {
                // Our output has not left yet, so the peer is not closed here but stops being read.
                // It ends by its write deadline or by that of the drain.
                WriteHalf::Open | WriteHalf::Finishing => self.change_pause(ReadPause::DiscardLimit, resources.now),
                WriteHalf::Finished | WriteHalf::Incomplete => self.halves.stop_lingering(),
            }
        }
    }
}
