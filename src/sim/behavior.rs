//! `Behavior`: how a simulated peer goes about what it has to do.
//!
//! What it sends is not here: whoever connects it says that.

use std::time::Duration;

use super::rng::Rng;

/// How a peer writes, reads and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behavior {
    /// The most bytes it writes at once.
    pub write_len_max: usize,
    /// The most bytes it reads at once; 0: it does not read.
    pub read_len_max: usize,
    /// The longest it waits between two acts.
    pub pause_max: Duration,
    /// How it ends.
    pub ending: Ending,
}

/// When and how a peer ends its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Once the server has ended its own, and all is sent.
    FollowsServer,
    /// As soon as all is sent; it reads on to the server's end.
    Finishes,
    /// Never, whatever the server does.
    Stays,
    /// After that many bytes, whatever it still wanted to send; it reads on.
    FinishesAt(u64),
    /// After that many bytes, with a reset.
    ResetsAt(u64),
    /// After that many bytes, with close(2): it neither sends nor reads any more.
    ClosesAt(u64),
}

impl Default for Behavior {
    /// An attentive peer: writes and reads all it can at once, and ends after the server did.
    fn default() -> Self {
        Self {
            write_len_max: usize::MAX,
            read_len_max: usize::MAX,
            pause_max: Duration::ZERO,
            ending: Ending::FollowsServer,
        }
    }
}

impl Behavior {
    /// Any habits: for a peer that has about `len` bytes to send.
    pub fn drawn_from(rng: &mut Rng, len: u64) -> Self {
        let somewhere = rng.below(usize::try_from(len).unwrap_or(usize::MAX).saturating_add(1)) as u64;
        let ending = match rng.below(10) {
            0..=2 => Ending::Finishes,
            3 | 4 => Ending::FollowsServer,
            5 => Ending::Stays,
            6 => Ending::FinishesAt(somewhere),
            7 | 8 => Ending::ResetsAt(somewhere),
            _ => Ending::ClosesAt(somewhere),
        };
        Self {
            write_len_max: drawn_len(rng),
            read_len_max: if rng.chance(0.1) { 0 } else { drawn_len(rng) },
            pause_max: drawn_pause(rng),
            ending,
        }
    }

    /// Whether a peer of these habits gets everything that is sent to it, and sends everything.
    pub const fn is_patient(&self) -> bool {
        let is_whole = match self.ending {
            Ending::FollowsServer | Ending::Finishes | Ending::Stays => true,
            Ending::FinishesAt(_) | Ending::ResetsAt(_) | Ending::ClosesAt(_) => false,
        };
        is_whole && self.read_len_max > 0
    }
}

/// From one byte to all at once; small and large are equally likely.
fn drawn_len(rng: &mut Rng) -> usize {
    if rng.chance(0.3) { usize::MAX } else { 1 << rng.below(14) }
}

/// None for half of them, else up to a minute: from a fast machine to a person who types.
fn drawn_pause(rng: &mut Rng) -> Duration {
    if rng.chance(0.5) { Duration::ZERO } else { Duration::from_micros(1 << rng.below(26)) }
}
