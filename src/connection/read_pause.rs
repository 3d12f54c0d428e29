//! When input is held back: the stream is not read, or frames that have arrived are not served.
//!
//! Reading pauses while too much output is queued, and while the service pauses the peer. How much is
//! too much depends on the [`Role`]. This is independent of the halves: a paused peer can still end.

use crate::codec::Codec;
use crate::instant::Instant;

use super::{Connection, ReadHalf, Resources, Role};

/// Whether input is held back, and why.
///
/// ```text
/// NotPaused ── queue reaches high ──▶ OutputHigh ── queue falls to low ──▶ NotPaused
/// NotPaused ── the same, with frames unserved ──▶ FramesHeld ── queue falls to low ──▶ served
/// NotPaused ── the service pauses ──▶ ByService ── it resumes ──▶ FramesReady ──▶ served
/// NotPaused ── the service defers a reply ──▶ ForReply ── it answers ──▶ FramesReady ──▶ served
/// NotPaused ── linger_bytes_max discarded ──▶ DiscardLimit ── our FIN is sent ──▶ NotPaused
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPause {
    /// Input is read and served.
    NotPaused,
    /// The stream is not read, because the output queue is above its watermark.
    OutputHigh,
    /// As [`ReadPause::OutputHigh`], and whole frames may be stored, which are served first.
    FramesHeld,
    /// Whole frames may be stored and can be served at once.
    FramesReady,
    /// The service has paused this peer; [`ReadPause::FramesReady`] follows when it resumes.
    ByService,
    /// A reply comes later, so that replies keep the order of their requests. With `is_paused`,
    /// [`ReadPause::ByService`] follows the answer, else [`ReadPause::FramesReady`].
    ForReply {
        /// Whether the service has paused this peer as well.
        is_paused: bool,
    },
    /// `linger_bytes_max` was discarded and our FIN is not sent; reading resumes after our FIN.
    DiscardLimit,
}

impl ReadPause {
    /// What holds input back, in lower case with hyphens; `None` if nothing does.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::NotPaused => None,
            Self::OutputHigh | Self::FramesHeld => Some("watermark"),
            Self::FramesReady => Some("turn"),
            Self::ByService => Some("service"),
            Self::ForReply { .. } => Some("reply"),
            Self::DiscardLimit => Some("discard-limit"),
        }
    }
}

impl<C: Codec> Connection<C> {
    /// Whether the driver should read the stream, to serve the input or to discard it.
    pub fn wants_read(&self) -> bool {
        match self.halves.read() {
            ReadHalf::Open => !self.is_paused(),
            ReadHalf::Discarding => self.read_pause != ReadPause::DiscardLimit,
            ReadHalf::Ending | ReadHalf::Ended | ReadHalf::Truncated => false,
        }
    }

    /// Whether held frames can be served: the service has not paused this peer, and the output
    /// queue is low enough.
    pub fn wants_held(&self, resources: &Resources<'_, C>) -> bool {
        let may_serve = match self.read_pause {
            ReadPause::FramesHeld => !self.is_over_watermark(true, resources),
            ReadPause::FramesReady => true,
            ReadPause::NotPaused
            | ReadPause::OutputHigh
            | ReadPause::ByService
            | ReadPause::ForReply { .. }
            | ReadPause::DiscardLimit => false,
        };
        may_serve && self.closed().is_none()
    }

    /// Whether reading is paused, or frames are held back.
    pub fn is_paused(&self) -> bool {
        self.read_pause != ReadPause::NotPaused
    }

    /// Whether a reply is deferred.
    pub(super) fn owes_reply(&self) -> bool {
        matches!(self.read_pause, ReadPause::ForReply { .. })
    }

    /// Whether only the service ends the pause.
    pub fn is_held_by_service(&self) -> bool {
        matches!(self.read_pause, ReadPause::ByService | ReadPause::ForReply { .. })
    }

    /// Whether whole frames may be stored that are not served yet.
    pub(super) fn is_holding_frames(&self) -> bool {
        match self.read_pause {
            ReadPause::NotPaused | ReadPause::OutputHigh | ReadPause::DiscardLimit => false,
            ReadPause::FramesHeld | ReadPause::FramesReady | ReadPause::ByService | ReadPause::ForReply { .. } => true,
        }
    }

    /// Enters `next`. The frame clock runs only while input is read and served.
    pub(super) fn change_pause(&mut self, next: ReadPause, now: Instant) {
        let was_paused = self.is_paused();
        self.read_pause = next;
        match (was_paused, self.is_paused()) {
            (false, true) => self.frame_clock.stop(now),
            (true, false) => self.frame_clock.resume(now),
            (false, false) | (true, true) => {}
        }
    }

    /// Pauses or resumes reading by the length of the output queue.
    ///
    /// Call it after a round of callbacks and writes, when the stream takes no more or nothing is left.
    #[inline]
    pub fn apply_watermarks(&mut self, resources: &Resources<'_, C>) {
        match self.read_pause {
            ReadPause::NotPaused if self.is_over_watermark(false, resources) => {
                self.change_pause(ReadPause::OutputHigh, resources.now);
            }
            ReadPause::OutputHigh if !self.is_over_watermark(true, resources) => {
                self.change_pause(ReadPause::NotPaused, resources.now);
            }
            ReadPause::NotPaused
            | ReadPause::OutputHigh
            | ReadPause::FramesHeld
            | ReadPause::FramesReady
            | ReadPause::ByService
            | ReadPause::ForReply { .. }
            | ReadPause::DiscardLimit => {}
        }
    }

    /// Whether the output queue is above the peer's watermark, or above the memory that is spare.
    ///
    /// The second bound pauses the peers with the longest queues first, so the shared memory never
    /// runs out. An empty queue is never above: no later flush would resume the peer.
    fn is_over_watermark(&self, was_paused: bool, resources: &Resources<'_, C>) -> bool {
        let queued = self.output.len();
        let is_over = || resources.limits.reading_marks(self.role).is_paused(was_paused, queued);
        let is_scarce = || self.role == Role::Accepted && resources.reserve.spare_bytes() <= queued;
        queued > 0 && (is_scarce() || is_over())
    }
}
