//! When input is held back: the stream is not read, or frames that came are not served.
//!
//! The output's watermarks hold a peer that does not take its replies; a service holds whom it
//! pauses. Held is not a state of either half: a peer that is held can still end.

use crate::codec::Codec;

use super::{Connection, ReadHalf, Resources};

/// Whether input is held back, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadPause {
    /// Nothing is: read and serve.
    Nothing,
    /// The output is over its watermark: do not read.
    Reading,
    /// Serving stopped in the middle of the input, at the watermark: whole frames may be stored;
    /// they come first.
    Frames,
    /// As [`ReadPause::Frames`], and nothing stands in their way any more.
    Ready,
    /// The service paused this peer; [`ReadPause::Ready`] once it resumes.
    Paused,
    /// Enough was discarded while our own end could not leave: read on once it is out.
    Flood,
}

impl<C: Codec> Connection<C> {
    /// Whether a read is welcome, be it to serve or to discard.
    pub fn wants_read(&self) -> bool {
        match self.halves.read() {
            ReadHalf::Open => self.read_pause == ReadPause::Nothing,
            ReadHalf::Discarding => self.read_pause != ReadPause::Flood,
            ReadHalf::Ending | ReadHalf::Ended | ReadHalf::Truncated => false,
        }
    }

    /// Whether frames that were held back can be served now: the queue has drained, or it was not
    /// for the queue, and the service has not paused this peer.
    pub fn wants_held(&self, resources: &Resources<'_, C>) -> bool {
        let may_serve = match self.read_pause {
            ReadPause::Frames => !self.is_over_watermark(true, resources),
            ReadPause::Ready => true,
            ReadPause::Nothing | ReadPause::Reading | ReadPause::Paused | ReadPause::Flood => false,
        };
        may_serve && self.closed().is_none()
    }

    /// Whether reading is paused, or frames are held back.
    pub fn is_paused(&self) -> bool {
        self.read_pause != ReadPause::Nothing
    }

    /// Whether whole frames may be stored that have yet to be served.
    pub(super) fn is_held(&self) -> bool {
        match self.read_pause {
            ReadPause::Nothing | ReadPause::Reading | ReadPause::Flood => false,
            ReadPause::Frames | ReadPause::Ready | ReadPause::Paused => true,
        }
    }

    /// Ends a round of callbacks and writes, when the stream takes no more or nothing is left:
    /// pauses or resumes reading.
    #[inline]
    pub fn settle(&mut self, resources: &Resources<'_, C>) {
        match self.read_pause {
            ReadPause::Nothing if self.is_over_watermark(false, resources) => self.read_pause = ReadPause::Reading,
            ReadPause::Reading if !self.is_over_watermark(true, resources) => {
                self.read_pause = ReadPause::Nothing;
                // While we did not read, the rest of a frame could not come.
                self.begun_at = resources.now;
            }
            ReadPause::Nothing
            | ReadPause::Reading
            | ReadPause::Frames
            | ReadPause::Ready
            | ReadPause::Paused
            | ReadPause::Flood => {}
        }
    }

    /// The peer's own watermarks, and under pressure on the memory of all a lower one: nobody may
    /// hold more than what is still spare, so that the largest are paused first and the spare
    /// memory is never eaten up. A peer that holds nothing is never paused: no flush would wake it.
    fn is_over_watermark(&self, was_paused: bool, resources: &Resources<'_, C>) -> bool {
        let queued = self.output.len();
        queued > 0
            && (queued >= resources.reserve.spare_bytes() || resources.limits.queue.is_paused(was_paused, queued))
    }
}
