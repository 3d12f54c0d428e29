//! `Latencies`: a latency histogram as plain data, which can be stored, merged and drawn.
//!
//! The generator records into an HdrHistogram and converts it at the end.

use hdrhistogram::{Counter, Histogram};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The percentiles that are written beside the histogram, with their names.
const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999), ("p99_99", 0.9999)];

/// A latency histogram with the buckets of HdrHistogram, without the empty ones.
///
/// Histograms of the same precision can be merged without loss. Latencies are whole nanoseconds.
///
/// As JSON it has the members `min`, `mean`, `p50`, `p75`, `p90`, `p99`, `p99_9`, `p99_99` and `max`, which
/// are `null` without latencies, then `count`, `sum`, `significant_digits` and `buckets`. A bucket is a
/// pair of its highest latency and the number of latencies in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Latencies {
    /// Precision in decimal digits. With 3, latencies in one bucket differ by less than a thousandth.
    pub significant_digits: u8,
    /// Number of latencies.
    pub count: u64,
    /// Exact minimum; 0 without latencies.
    #[serde(rename = "min", alias = "min_ns", deserialize_with = "or_zero")]
    pub min_ns: u64,
    /// Exact maximum; 0 without latencies.
    #[serde(rename = "max", alias = "max_ns", deserialize_with = "or_zero")]
    pub max_ns: u64,
    /// Sum of all latencies, rounded by the buckets.
    #[serde(rename = "sum", alias = "sum_ns")]
    pub sum_ns: u64,
    /// Non-empty buckets in ascending order: the highest latency of the bucket, and the number of
    /// latencies in it.
    pub buckets: Vec<(u64, u64)>,
}

impl Latencies {
    /// Converts a histogram of nanoseconds. `min_ns` and `max_ns` are the exact extremes.
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

    /// Whether there are no latencies.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The latency at this quantile; 0.99 is the 99th percentile. `None` without latencies.
    ///
    /// It is the highest latency of the bucket, and at most the exact maximum.
    pub fn at(&self, quantile: f64) -> Option<u64> {
        // The factor corrects rounding: 0.56 of 175 is 98, but slightly more in floating point.
        let rank = (quantile.clamp(0.0, 1.0) * self.count as f64 * (1.0 - 1e-12)).ceil() as u64;
        let mut seen = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            seen += count;
            seen >= rank.max(1)
        });
        reached.map(|&(highest, _)| highest.min(self.max_ns))
    }

    /// Mean latency; `None` without latencies.
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.count)
    }

    /// Adds all latencies of `other`. The result has the lower precision of both, but keeps all buckets.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        let is_first = self.is_empty();
        self.significant_digits =
            if is_first { other.significant_digits } else { self.significant_digits.min(other.significant_digits) };
        self.min_ns = if is_first { other.min_ns } else { self.min_ns.min(other.min_ns) };
        self.max_ns = self.max_ns.max(other.max_ns);
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.buckets.extend_from_slice(&other.buckets);
        self.buckets.sort_unstable_by_key(|&(highest, _)| highest);
        self.buckets.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                kept.1 = kept.1.saturating_add(later.1);
            }
            is_same
        });
    }

    /// Whether the fields agree with each other. Those of a file may not.
    pub fn is_consistent(&self) -> bool {
        let is_sorted = self.buckets.is_sorted_by(|left, right| left.0 < right.0);
        let total = self.buckets.iter().try_fold(0_u64, |sum, (_, count)| sum.checked_add(*count));
        is_sorted && total == Some(self.count) && self.min_ns <= self.max_ns
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = |nanos: u64| (!self.is_empty()).then_some(nanos);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("min", &known(self.min_ns))?;
        map.serialize_entry("mean", &self.mean_ns())?;
        for (name, quantile) in PERCENTILES {
            map.serialize_entry(name, &self.at(quantile))?;
        }
        map.serialize_entry("max", &known(self.max_ns))?;
        map.serialize_entry("count", &self.count)?;
        map.serialize_entry("sum", &self.sum_ns)?;
        map.serialize_entry("significant_digits", &self.significant_digits)?;
        map.serialize_entry("buckets", &self.buckets)?;
        map.end()
    }
}

fn or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(0))
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
    fn an_empty_histogram_has_no_percentile() {
        let none = latencies(&[]);
        assert!(none.is_empty() && none.is_consistent());
        assert_eq!((none.at(0.5), none.mean_ns(), none.max_ns), (None, None, 0));
    }

    #[test]
    fn percentiles_come_from_the_buckets() {
        let hundred: Vec<u64> = (1..=100).collect();
        let hundred = latencies(&hundred);
        let read = [0.0, 0.01, 0.5, 0.501, 0.99, 0.999, 1.0].map(|quantile| hundred.at(quantile).unwrap());
        assert_eq!(read, [1, 1, 50, 51, 99, 100, 100]);
        assert_eq!(hundred.mean_ns(), Some(50));
    }

    #[test]
    fn no_percentile_exceeds_the_exact_maximum() {
        let one = latencies(&[1_000_003]);
        assert_eq!((one.at(0.5), one.min_ns, one.max_ns), (Some(1_000_003), 1_000_003, 1_000_003));
    }

    #[test]
    fn contradictory_fields_are_detected() {
        let good = latencies(&[1, 2, 3]);
        assert!(good.is_consistent());
        assert!(!Latencies { count: 4, ..good.clone() }.is_consistent());
        assert!(!Latencies { min_ns: 4, ..good.clone() }.is_consistent());
        assert!(!Latencies { buckets: vec![(2, 1), (1, 2)], ..good }.is_consistent());
    }

    proptest! {
        #[test]
        fn a_merge_equals_a_single_histogram(
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
        fn a_percentile_is_exact_within_its_precision(
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
