//! `Behavior`: how fast a simulated peer writes and reads, and how it ends.
//!
//! The bytes that a peer sends are not part of it.

use std::time::Duration;

use super::rng::Rng;

/// How a peer writes, reads and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behavior {
    /// The most bytes of one write.
    pub write_len_max: usize,
    /// The most bytes of one read. With 0 the peer never reads.
    pub read_len_max: usize,
    /// The longest pause between two actions.
    pub pause_max: Duration,
    /// How the peer ends.
    pub ending: PeerEnding,
}

/// When and how a peer ends its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEnding {
    /// With a FIN, once the server's FIN has arrived and everything is sent.
    FollowsServer,
    /// With a FIN, as soon as everything is sent. It reads on until the server's FIN.
    Finishes,
    /// Never ends its direction.
    Stays,
    /// With a FIN after this many bytes, even if more were to be sent. It reads on.
    FinishesAt(u64),
    /// With a reset after this many bytes.
    ResetsAt(u64),
    /// With close(2) after this many bytes. It neither sends nor reads any more.
    ClosesAt(u64),
}

impl Default for Behavior {
    /// A peer that writes and reads all it can at once, and ends after the server.
    fn default() -> Self {
        Self {
            write_len_max: usize::MAX,
            read_len_max: usize::MAX,
            pause_max: Duration::ZERO,
            ending: PeerEnding::FollowsServer,
        }
    }
}

impl Behavior {
    /// A random behavior for a peer that has about `len` bytes to send.
    pub fn drawn_from(rng: &mut Rng, len: u64) -> Self {
        let position = rng.below(usize::try_from(len).unwrap_or(usize::MAX).saturating_add(1)) as u64;
        let ending = match rng.below(10) {
            0..=2 => PeerEnding::Finishes,
            3 | 4 => PeerEnding::FollowsServer,
            5 => PeerEnding::Stays,
            6 => PeerEnding::FinishesAt(position),
            7 | 8 => PeerEnding::ResetsAt(position),
            _ => PeerEnding::ClosesAt(position),
        };
        Self {
            write_len_max: draw_len(rng),
            read_len_max: if rng.chance(0.1) { 0 } else { draw_len(rng) },
            pause_max: draw_pause(rng),
            ending,
        }
    }

    /// Whether such a peer sends everything and reads everything that is sent to it.
    pub const fn is_well_behaved(&self) -> bool {
        let sends_all = match self.ending {
            PeerEnding::FollowsServer | PeerEnding::Finishes | PeerEnding::Stays => true,
            PeerEnding::FinishesAt(_) | PeerEnding::ResetsAt(_) | PeerEnding::ClosesAt(_) => false,
        };
        sends_all && self.read_len_max > 0
    }
}

/// From one byte to everything at once. All orders of magnitude are equally likely.
fn draw_len(rng: &mut Rng) -> usize {
    if rng.chance(0.3) { usize::MAX } else { 1 << rng.below(14) }
}

/// Zero for half of the peers, else up to a minute.
fn draw_pause(rng: &mut Rng) -> Duration {
    if rng.chance(0.5) { Duration::ZERO } else { Duration::from_micros(1 << rng.below(26)) }
}
