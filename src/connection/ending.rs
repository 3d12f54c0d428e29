//! How a peer ends: what its end, ours, an error or a drain does to what is served and queued.
//!
//! The halves say when both are over; here is decided when ours may end, and for which reason.

use crate::codec::Codec;
use crate::instant::Instant;

use super::read_pause::ReadPause;
use super::{CloseReason, Connection, ReadHalf, Resources, WriteHalf};

impl<C: Codec> Connection<C> {
    /// The peer's FIN has come.
    pub fn handle_end(&mut self, resources: &mut Resources<'_, C>) {
        self.moved_at = resources.now;
        self.halves.peer_ended();
        self.couple(resources);
    }

    /// The peer's direction has ended, but not in the way in which the peer would have ended it.
    /// What came whole is served and answered as ever; the reason tells.
    pub fn handle_truncated(&mut self, resources: &mut Resources<'_, C>) {
        self.moved_at = resources.now;
        self.halves.peer_truncated();
        self.couple(resources);
    }

    /// The stream failed, or must end at once: unsent output is thrown away.
    pub fn handle_error(&mut self, reason: CloseReason) {
        self.cut(reason);
    }

    /// The service breaks with this peer, which shall see a reset.
    pub fn handle_reset(&mut self) {
        self.halves.fall_short(CloseReason::Service);
    }

    /// Our FIN is out, or will be with the drop of the stream.
    pub fn handle_finished(&mut self, now: Instant) {
        self.waiting_since = now;
        self.halves.finished();
        if self.read_pause == ReadPause::Flood {
            self.read_pause = ReadPause::Nothing;
        }
    }

    /// The server drains: what the peer has sent is still served, then this peer is finished.
    pub fn handle_drain(&mut self) {
        self.is_draining = true;
    }

    /// The drain has waited long enough: what is queued still leaves, nothing more is served.
    pub fn handle_drain_late(&mut self, resources: &mut Resources<'_, C>) {
        self.finish(CloseReason::Drained, resources);
    }

    /// A draining peer has nothing more to read now.
    pub fn handle_dry(&mut self, resources: &mut Resources<'_, C>) {
        if self.is_draining && self.read_pause == ReadPause::Nothing && self.promised == 0 {
            self.finish(CloseReason::Drained, resources);
        }
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

    /// Finishes when nothing more is to come: ended, no whole frame left, the service told,
    /// nothing promised. A promise is void once our direction has ended.
    pub(super) fn couple(&mut self, resources: &mut Resources<'_, C>) {
        let is_owing = self.promised > 0 && self.halves.write() == WriteHalf::Open;
        if self.is_held() || is_owing || self.halves.reason().is_some() {
            return;
        }
        match self.halves.read() {
            ReadHalf::Open | ReadHalf::Discarding => {}
            ReadHalf::Truncated => self.finish(CloseReason::Truncated, resources),
            ReadHalf::Ending | ReadHalf::Ended if !self.input.is_empty() => {
                self.finish(CloseReason::PartialFrame, resources);
            }
            // First the service is told, which may still have something to say.
            ReadHalf::Ending => {}
            ReadHalf::Ended => self.finish(CloseReason::Finished, resources),
        }
    }

    pub(super) fn finish(&mut self, reason: CloseReason, resources: &mut Resources<'_, C>) {
        self.start_waiting(resources.now);
        if self.halves.reason().is_none() && self.halves.write() == WriteHalf::Finished {
            // Our FIN went out with a half-close; only now do we wait for the peer's.
            self.waiting_since = resources.now;
        }
        self.halves.finish(reason);
        self.read_pause = ReadPause::Nothing;
        resources.ledger.bytes_discarded += self.input.clear(resources.reserve) as u64;
    }

    pub(super) fn cut(&mut self, reason: CloseReason) {
        self.halves.cut(reason);
    }

    pub(super) fn discard(&mut self, count: usize, resources: &mut Resources<'_, C>) {
        resources.ledger.bytes_discarded += count as u64;
        self.discarded = self.discarded.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        if self.discarded > resources.limits.linger_bytes_max {
            match self.halves.write() {
                // It does not read, and that is what ends it: its write deadline, or the drain's.
                WriteHalf::Open | WriteHalf::Finishing => self.read_pause = ReadPause::Flood,
                WriteHalf::Finished | WriteHalf::Short => self.halves.give_up(),
            }
        }
    }
}
