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
    /// Time from the first number to the end of the last one.
    pub time: Duration,
}

impl Ramp {
    /// Whether connections are opened, and not closed.
    pub(super) fn is_rising(self) -> bool {
        self.from < self.to
    }

    /// Number of connections that are opened or closed.
    pub(super) fn changes(self) -> usize {
        self.from.abs_diff(self.to)
    }

    /// Time from the start of the ramp to change `number`; the first change is number 0.
    pub(super) fn offset(self, number: usize) -> Duration {
        let steps = self.changes() as u128 + 1;
        let offset = u128::from(nanos(self.time)) * (number as u128 + 1) / steps;
        Duration::from_nanos(u64::try_from(offset).unwrap_or(u64::MAX))
    }

    /// The slot whose connection change `number` opens or closes.
    pub(super) fn slot(self, number: usize) -> usize {
        if self.is_rising() { self.from + number } else { self.from - 1 - number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_number_of_connections_lasts_equally_long() {
        let rising = Ramp { from: 1, to: 4, time: 8 * SECOND };
        assert_eq!([0, 1, 2].map(|number| rising.offset(number)), [2 * SECOND, 4 * SECOND, 6 * SECOND]);
        assert_eq!([0, 1, 2].map(|number| rising.slot(number)), [1, 2, 3]);
        let falling = Ramp { from: 4, to: 1, ..rising };
        assert_eq!([0, 1, 2].map(|number| falling.slot(number)), [3, 2, 1]);
        assert_eq!((falling.changes(), falling.offset(2)), (3, 6 * SECOND));
    }

    #[test]
    fn the_longest_ramp_does_not_overflow() {
        let ramp = Ramp { from: 1, to: usize::MAX, time: Duration::MAX };
        assert!(ramp.offset(ramp.changes() - 1) > Duration::from_secs(1 << 33));
    }
}
