//! `Ramp`: a number of connections that changes over the measured time.

use std::time::Duration;

use super::schedule::nanos;

/// A number of busy connections that rises or falls linearly, one by one, from the start of the measured time.
///
/// Each number of connections lasts equally long, the first and the last one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// The number at the start of the measured time, and before it.
    pub from: usize,
    /// The number at the end of the ramp, and after it.
    pub to: usize,
    /// Length of the ramp, in which the first and the last number last as long as each other number.
    pub time: Duration,
}

impl Ramp {
    /// Whether connections are opened, and not closed.
    pub(super) const fn is_rising(self) -> bool {
        self.from < self.to
    }

    /// Time from the start of the ramp until the connection of a slot is opened or closed. The slots are numbered over
    /// all threads.
    pub(super) fn offset_of(self, slot: u64) -> Duration {
        let change = slot.abs_diff(if self.is_rising() { self.from as u64 } else { self.from as u64 - 1 });
        let steps = self.from.abs_diff(self.to) as u128 + 1;
        let offset = u128::from(nanos(self.time)) * (u128::from(change) + 1) / steps;
        Duration::from_nanos(u64::try_from(offset).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_number_of_connections_lasts_equally_long() {
        let rising = Ramp { from: 1, to: 4, time: 8 * SECOND };
        assert_eq!([1, 2, 3].map(|slot| rising.offset_of(slot)), [2 * SECOND, 4 * SECOND, 6 * SECOND]);
        let falling = Ramp { from: 4, to: 1, ..rising };
        assert_eq!([3, 2, 1].map(|slot| falling.offset_of(slot)), [2 * SECOND, 4 * SECOND, 6 * SECOND]);
    }

    #[test]
    fn the_longest_ramp_does_not_overflow() {
        let ramp = Ramp { from: 1, to: usize::MAX, time: Duration::MAX };
        assert!(ramp.offset_of(u64::MAX - 1) > Duration::from_secs(1 << 33));
    }
}
