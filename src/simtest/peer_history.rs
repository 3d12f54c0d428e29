//! `PeerHistory`: what the invariants remember of a peer from turn to turn.

use crate::connection::{Limits, WriteHalf};
use crate::instant::Instant;
use crate::server::PeerSnapshot;
use crate::sim::StreamView;

/// The moments from which the deadlines of one peer count.
#[derive(Debug, Default)]
pub(super) struct PeerHistory {
    /// When the peer was first seen finishing, and when bytes had last moved by then.
    pub(super) finishing: Option<(Instant, Instant)>,
    /// When our FIN was first seen sent.
    pub(super) finished_at: Option<Instant>,
    /// When the current partial frame began, and how many frames came before it.
    pub(super) frame_began: Option<(Instant, u64)>,
    /// Since when the queue has not been empty.
    pub(super) queued_since: Option<Instant>,
    pub(super) wrote_at: Instant,
    active_at: Instant,
}

impl PeerHistory {
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
            let has_begun = peer.input_len > 0 && !peer.is_paused;
            self.frame_began = match self.frame_began {
                Some((at, before)) if has_begun && before == frames => Some((at, before)),
                _ => has_begun.then_some((now, frames)),
            };
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
        match self.frame_began {
            Some((began_at, _)) if peer.halves.write() == WriteHalf::Open && began_at + limits.frame_timeout < at => {
                (began_at + limits.frame_timeout, "frame")
            }
            Some(_) | None => (at, name),
        }
    }
}
