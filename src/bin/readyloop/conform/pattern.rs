//! `Pattern`: the bytes that a connection sends, and so the bytes that must come back.
//!
//! A byte depends on the connection and on its position, so a lost, repeated or misdirected byte is found.

use std::sync::LazyLock;

use readyloop::sim::Rng;

/// Length of the repeated part. It is prime, so no lost chunk of a usual length is a whole period.
const PERIOD: usize = 65_521;

/// Distance of the first bytes of two connections. It has no common factor with the period.
const STRIDE: u64 = 9_973;

/// Pseudo-random bytes: one period, and its beginning again, so that every slice is contiguous.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut rng = Rng::new(1);
    let period: Vec<u8> = (0..PERIOD).map(|_| rng.bits().to_le_bytes()[0]).collect();
    [period.as_slice(), &period].concat()
});

/// The bytes of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern {
    serial: u64,
}

impl Pattern {
    /// The pattern of connection number `serial`.
    pub(super) fn new(serial: u64) -> Self {
        Self { serial }
    }

    /// The bytes from `position` on, at most `len` and at most one period.
    pub(super) fn slice(self, position: u64, len: u64) -> &'static [u8] {
        let period = PERIOD as u64;
        let start = (self.serial % period * STRIDE % period + position % period) % period;
        let start = usize::try_from(start).expect("a remainder is below the period");
        let len = usize::try_from(len).map_or(PERIOD, |len| len.min(PERIOD));
        &BYTES[start..start + len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_any_length_are_one_stream() {
        let pattern = Pattern::new(7);
        let whole: Vec<u8> = (0..200_000).map(|position| pattern.slice(position, 1)[0]).collect();
        for (position, len) in [(0, 1), (1, 4_096), (65_520, 65_521), (130_000, 60_000)] {
            let expected = &whole[position..position + len];
            assert_eq!(pattern.slice(position as u64, len as u64), expected);
        }
        assert_eq!(pattern.slice(3, u64::MAX).len(), PERIOD);
        assert_ne!(whole[..64], Pattern::new(8).slice(0, 64)[..]);
    }
}
