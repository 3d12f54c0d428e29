//! `Share`: the connections and the requests of a run that one thread drives.
//!
//! Connections and requests are numbered over the whole run. Each of `threads` shares has every `threads`th
//! number, so the shares take turns in the schedule.

/// The share of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    index: u64,
    threads: u64,
}

impl Share {
    /// The share of a run on one thread.
    pub(super) const WHOLE: Self = Self { index: 0, threads: 1 };

    /// The shares of a run on this many threads.
    pub(super) fn all(threads: usize) -> impl Iterator<Item = Self> {
        let threads = threads as u64;
        (0..threads).map(move |index| Self { index, threads })
    }

    /// How many of the numbers below `count` belong to this share.
    pub(super) fn part(self, count: u64) -> u64 {
        count.saturating_sub(self.index).div_ceil(self.threads)
    }

    /// Converts a number of this share to the number in the whole run.
    #[inline]
    pub(super) fn number_in_run(self, number: u64) -> u64 {
        number.saturating_mul(self.threads).saturating_add(self.index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_belongs_to_one_share(threads in 1_usize..20, count in 0_u64..200) {
            let numbers = |share: Share| (0..share.part(count)).map(move |number| share.number_in_run(number));
            let mut all: Vec<u64> = Share::all(threads).flat_map(numbers).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn the_parts_of_any_count_differ_by_one_at_most(threads in 1_usize..2_000, count in any::<u64>()) {
            let parts: Vec<u64> = Share::all(threads).map(|share| share.part(count)).collect();
            prop_assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(count));
            prop_assert!(parts[0] - parts[threads - 1] <= 1);
        }
    }
}
