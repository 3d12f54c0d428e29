//! `PeerHistory`: what the invariants remember of a peer from turn to turn.

use std::time::Duration;

use crate::connection::{Limits, WriteHalf};
use crate::event_loop::PeerSnapshot;
use crate::instant::Instant;
use crate::sim::StreamView;

/// The moments from which the deadlines of one peer count.
#[derive(Debug)]
pub(super) struct PeerHistory {
    /// When the peer was first seen.
    pub(super) opened_at: Instant,
    /// When the peer was first seen finishing, and when bytes had last moved by then.
    pub(super) finishing: Option<(Instant, Instant)>,
    /// When our FIN was first seen sent.
    pub(super) finished_at: Option<Instant>,
    /// The frame that is not complete.
    pub(super) partial_frame: Option<PartialFrame>,
    /// Since when the queue has not been empty.
    pub(super) queued_since: Option<Instant>,
    pub(super) wrote_at: Instant,
    active_at: Instant,
}

/// How long a peer may go on after its lifetime: 10 s to complete a frame, and twice the unit of the deadline.
const LIFETIME_GRACE: Duration = Duration::from_millis(10_300);

/// The longest time for a frame of which these bytes have arrived.
fn frame_time_max(peer: &PeerSnapshot, limits: &Limits) -> Duration {
    let rated = limits.min_rate.map_or(Duration::MAX, |rate| {
        Duration::from_secs(10) + Duration::from_secs(peer.input_len as u64) / rate.get()
    });
    rated.min(limits.frame_timeout)
}

/// A frame of which only the start has arrived, as seen after a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartialFrame {
    /// How long the peer was read since the frame began.
    time: Duration,
    seen_at: Instant,
    is_read: bool,
    /// How many frames came before it.
    frames_before: u64,
}

impl PartialFrame {
    /// How long the peer was read until `now`.
    pub(super) fn time_at(&self, now: Instant) -> Duration {
        if self.is_read { self.time + now.since(self.seen_at) } else { self.time }
    }
}

impl PeerHistory {
    /// The history of a peer that is first seen at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened_at: now,
            finishing: None,
            finished_at: None,
            partial_frame: None,
            queued_since: None,
            wrote_at: Instant::ORIGIN,
            active_at: now,
        }
    }

    /// Records the state after a turn. `frames` is the number of frames so far.
    pub(super) fn update(&mut self, peer: &PeerSnapshot, stream: &StreamView, now: Instant, frames: u64) {
        (self.wrote_at, self.active_at) = (stream.wrote_at, stream.active_at);
        let is_open = peer.halves.write() == WriteHalf::Open;
        if !is_open && self.finishing.is_none() {
            self.finishing = Some((now, stream.active_at));
        }
        if peer.halves.write() == WriteHalf::Finished {
            self.finished_at.get_or_insert(now);
        }
        if is_open {
            let last = self.partial_frame.filter(|frame| frame.frames_before == frames);
            self.partial_frame = (peer.input_len > 0).then(|| PartialFrame {
                time: last.map_or(Duration::ZERO, |frame| frame.time_at(now)),
                seen_at: now,
                is_read: !peer.is_paused,
                frames_before: frames,
            });
        }
        self.queued_since = (peer.output_len > 0).then(|| self.queued_since.unwrap_or(now));
    }

    /// The latest possible deadline of the peer, and its name.
    pub(super) fn deadline(&self, peer: &PeerSnapshot, limits: &Limits) -> (Instant, &'static str) {
        if let Some(at) = self.finished_at {
            return (at + limits.linger_timeout, "linger");
        }
        let (at, name) = match self.queued_since {
            Some(at) => (at.max(self.wrote_at) + limits.write_timeout, "write"),
            None => (self.active_at + limits.idle_timeout, "idle"),
        };
        let (at, name) = match self.partial_frame {
            Some(frame) if frame.is_read && peer.halves.write() == WriteHalf::Open => {
                let frame_at = frame.seen_at + frame_time_max(peer, limits).saturating_sub(frame.time);
                if frame_at < at { (frame_at, "frame") } else { (at, name) }
            }
            Some(_) | None => (at, name),
        };
        let end = self.opened_at + limits.max_lifetime + LIFETIME_GRACE;
        if peer.halves.reason().is_none() && end < at { (end, "lifetime") } else { (at, name) }
    }
}
