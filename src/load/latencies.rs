//! `Latencies`: how often each latency was met, as plain data that can be kept, merged and drawn.
//!
//! It records nothing by itself: while a run is on, that is the histogram's part, of which this
//! is the written form.

use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};

/// A latency histogram (HdrHistogram's buckets) without its empty buckets.
///
/// Two of the same precision can be merged without loss. Every latency is a whole number of
/// nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// How many decimal digits of a latency are kept: with 3, all that differ by less than a
    /// thousandth may share a bucket.
    pub significant_digits: u8,
    /// How many latencies there are.
    pub count: u64,
    /// The smallest, as it was measured; 0 when there is none.
    pub min_ns: u64,
    /// The largest, as it was measured; 0 when there is none.
    pub max_ns: u64,
    /// All of them together, as far as the buckets tell.
    pub sum_ns: u64,
    /// The buckets with something in them, in rising order: the highest latency that falls into
    /// it, and how many did.
    pub buckets: Vec<(u64, u64)>,
}

impl Latencies {
    /// What a histogram of nanoseconds holds; `min_ns` and `max_ns` as they were measured.
    pub fn of<C: Counter>(histogram: &Histogram<C>, min_ns: u64, max_ns: u64) -> Self {
        let mut sum_ns = 0_u64;
        let mut buckets = Vec::new();
        for step in histogram.iter_recorded() {
            let count = step.count_since_last_iteration();
            let highest = step.value_iterated_to();
            let middle = histogram.median_equivalent(highest);
            sum_ns = sum_ns.saturating_add(middle.saturating_mul(count));
            buckets.push((highest, count));
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        let is_empty = count == 0;
        Self {
            significant_digits: histogram.sigfig(),
            count,
            min_ns: if is_empty { 0 } else { min_ns },
            max_ns: if is_empty { 0 } else { max_ns },
            sum_ns,
            buckets,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The latency that this part of all did not exceed, 0.99 being the 99th percentile: the
    /// highest of its bucket, but never more than the largest that was measured. `None` when there
    /// is none.
    pub fn at(&self, quantile: f64) -> Option<u64> {
        // 0.56 of 175 is 98, though as floating-point numbers a little more.
        let wanted = (quantile.clamp(0.0, 1.0) * self.count as f64 * (1.0 - 1e-12)).ceil() as u64;
        let mut seen = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted.max(1)
        });
        reached.map(|&(highest, _)| highest.min(self.max_ns))
    }

    /// The mean; `None` when there is none.
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.count)
    }

    /// Takes in all of `other`. Where the precisions differ the result has the lower one, though
    /// not fewer buckets.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        let is_first = self.is_empty();
        self.significant_digits =
            if is_first { other.significant_digits } else { self.significant_digits.min(other.significant_digits) };
        self.min_ns = if is_first { other.min_ns } else { self.min_ns.min(other.min_ns) };
        self.max_ns = self.max_ns.max(other.max_ns);
        self.count += other.count;
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.buckets.extend_from_slice(&other.buckets);
        self.buckets.sort_unstable_by_key(|&(highest, _)| highest);
        self.buckets.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                kept.1 += later.1;
            }
            is_same
        });
    }

    /// Whether the numbers agree with each other, as those of a file may not.
    pub fn is_consistent(&self) -> bool {
        let rises = self.buckets.is_sorted_by(|left, right| left.0 < right.0);
        let total = self.buckets.iter().try_fold(0_u64, |sum, (_, count)| sum.checked_add(*count));
        rises && total == Some(self.count) && self.min_ns <= self.max_ns
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn latencies(values: &[u64]) -> Latencies {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        values.iter().for_each(|value| histogram.record(*value).unwrap());
        let (min, max) = (values.iter().min(), values.iter().max());
        Latencies::of(&histogram, min.copied().unwrap_or(0), max.copied().unwrap_or(0))
    }

    #[test]
    fn of_nothing_there_is_no_percentile() {
        let none = latencies(&[]);
        assert!(none.is_empty() && none.is_consistent());
        assert_eq!((none.at(0.5), none.mean_ns(), none.max_ns), (None, None, 0));
    }

    #[test]
    fn percentiles_are_read_off_the_buckets() {
        let hundred: Vec<u64> = (1..=100).collect();
        let hundred = latencies(&hundred);
        let read = [0.0, 0.01, 0.5, 0.501, 0.99, 0.999, 1.0].map(|quantile| hundred.at(quantile).unwrap());
        assert_eq!(read, [1, 1, 50, 51, 99, 100, 100]);
        assert_eq!(hundred.mean_ns(), Some(50));
    }

    #[test]
    fn no_percentile_exceeds_what_was_measured() {
        let one = latencies(&[1_000_003]);
        assert_eq!((one.at(0.5), one.min_ns, one.max_ns), (Some(1_000_003), 1_000_003, 1_000_003));
    }

    #[test]
    fn numbers_that_disagree_are_seen() {
        let good = latencies(&[1, 2, 3]);
        assert!(good.is_consistent());
        assert!(!Latencies { count: 4, ..good.clone() }.is_consistent());
        assert!(!Latencies { min_ns: 4, ..good.clone() }.is_consistent());
        assert!(!Latencies { buckets: vec![(2, 1), (1, 2)], ..good }.is_consistent());
    }

    proptest! {
        #[test]
        fn what_is_merged_is_as_if_measured_together(
            left in prop::collection::vec(1_u64..10_000_000_000, 0..60),
            right in prop::collection::vec(1_u64..10_000_000_000, 0..60),
        ) {
            let mut merged = latencies(&left);
            merged.merge(&latencies(&right));
            let together = latencies(&[left, right].concat());
            prop_assert!(merged.is_consistent());
            prop_assert_eq!(merged, together);
        }

        #[test]
        fn a_percentile_is_right_to_the_digits_it_has(
            mut values in prop::collection::vec(1_u64..10_000_000_000, 1..200),
            percent in 1_usize..=100,
        ) {
            let read = latencies(&values).at(percent as f64 / 100.0).unwrap();
            values.sort_unstable();
            let exact = values[(values.len() * percent).div_ceil(100) - 1];
            prop_assert!(exact <= read && read - exact <= exact / 1000 + 1, "{read} for {exact}");
        }
    }
}
