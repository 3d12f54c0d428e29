//! `Series`: throughput and latency over time, in a bounded number of intervals.
//!
//! When there are too many intervals, each two are merged into one. So their length depends on the
//! length of the run.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::instant::Instant;

use super::record::Interval;
use super::schedule::nanos;

/// Length of the first intervals: short enough to show single pauses of a server.
const SPAN_MIN: Duration = Duration::from_millis(100);

/// Maximum number of intervals: a chart has two or three pixels for each.
const INTERVALS_MAX: usize = 256;

/// Precision of a latency: two decimal digits, enough for a chart and cheap to evaluate.
const DIGITS: u8 = 2;

/// Counters and latencies of one interval.
#[derive(Clone, Debug, Default)]
struct IntervalSamples {
    answered: u64,
    errors: u64,
    max_ns: u64,
    /// Latencies and their counts, in ascending order.
    buckets: Vec<(u64, u64)>,
}

/// Intervals of the measured time so far.
pub(super) struct Series {
    begin: Instant,
    span: Duration,
    closed: Vec<IntervalSamples>,
    current: IntervalSamples,
    latencies: Histogram<u32>,
}

impl Series {
    /// A series from `begin` on; `latency_max` is the maximum latency.
    pub(super) fn new(begin: Instant, latency_max: Duration) -> Self {
        let bound = nanos(latency_max).max(2);
        Self {
            begin,
            span: SPAN_MIN,
            closed: Vec::new(),
            current: IntervalSamples::default(),
            latencies: Histogram::new_with_bounds(1, bound, DIGITS).expect("the bounds are valid"),
        }
    }

    #[inline]
    pub(super) fn record(&mut self, latency_ns: u64) {
        self.current.answered += 1;
        self.current.max_ns = self.current.max_ns.max(latency_ns);
        self.latencies.saturating_record(latency_ns);
    }

    pub(super) fn count_error(&mut self) {
        self.current.errors += 1;
    }

    /// Closes intervals that ended before `now`.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        while self.current_end() <= now {
            self.close_interval();
        }
    }

    fn current_end(&self) -> Instant {
        let intervals = u32::try_from(self.closed.len() + 1).expect("the number of intervals is bounded");
        self.begin + self.span.saturating_mul(intervals)
    }

    fn close_interval(&mut self) {
        let mut interval = std::mem::take(&mut self.current);
        let steps = self.latencies.iter_recorded();
        interval.buckets = steps.map(|step| (step.value_iterated_to(), step.count_since_last_iteration())).collect();
        self.latencies.reset();
        self.closed.push(interval);
        if self.closed.len() == INTERVALS_MAX {
            self.closed = self.closed.chunks(2).map(merged).collect();
            self.span *= 2;
        }
    }

    /// The intervals of a measured time that ends at `end`, without later ones.
    pub(super) fn into_intervals(mut self, end: Instant) -> Vec<Interval> {
        self.close_interval();
        let span_ns = nanos(self.span);
        let whole_ns = nanos(end.since(self.begin));
        let mut intervals: Vec<Interval> =
            self.closed.iter().zip(0..).map(|(samples, index)| samples.interval(index * span_ns, span_ns)).collect();
        intervals.retain(|interval| interval.begin_ns < whole_ns);
        if let Some(last) = intervals.last_mut() {
            last.span_ns = last.span_ns.min(whole_ns - last.begin_ns);
        }
        intervals
    }
}

impl IntervalSamples {
    fn interval(&self, begin_ns: u64, span_ns: u64) -> Interval {
        Interval {
            begin_ns,
            span_ns,
            answered: self.answered,
            errors: self.errors,
            p50_ns: self.percentile_ns(50),
            p90_ns: self.percentile_ns(90),
            p99_ns: self.percentile_ns(99),
            max_ns: self.max_ns,
        }
    }

    fn percentile_ns(&self, percent: u64) -> u64 {
        let rank = (self.answered * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        reached.map_or(0, |(latency, _)| (*latency).min(self.max_ns))
    }
}

fn merged(parts: &[IntervalSamples]) -> IntervalSamples {
    let mut whole = IntervalSamples::default();
    for part in parts {
        whole.answered += part.answered;
        whole.errors += part.errors;
        whole.max_ns = whole.max_ns.max(part.max_ns);
        whole.buckets.extend_from_slice(&part.buckets);
    }
    whole.buckets.sort_unstable_by_key(|(latency, _)| *latency);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn series() -> Series {
        Series::new(Instant::ORIGIN, Duration::from_secs(60))
    }

    #[test]
    fn each_interval_counts_its_own_answers() {
        let mut series = series();
        (1..=100).for_each(|latency| series.record(latency));
        series.advance(Instant::ORIGIN + 250 * MS);
        series.record(7);
        series.count_error();
        let intervals = series.into_intervals(Instant::ORIGIN + 260 * MS);
        let answered: Vec<u64> = intervals.iter().map(|interval| interval.answered).collect();
        assert_eq!(answered, [100, 0, 1]);
        assert_eq!((intervals[0].p50_ns, intervals[0].p99_ns, intervals[0].max_ns), (50, 99, 100));
        assert_eq!((intervals[1].p50_ns, intervals[1].max_ns), (0, 0));
        assert_eq!((intervals[2].errors, intervals[2].begin_ns, intervals[2].span_ns), (1, 200_000_000, 60_000_000));
    }

    #[test]
    fn an_hour_has_a_bounded_number_of_intervals() {
        let mut series = series();
        for second in 0..3600_u32 {
            series.advance(Instant::ORIGIN + 1000 * second * MS);
            series.record(5);
        }
        let intervals = series.into_intervals(Instant::ORIGIN + 3_600_000 * MS);
        assert!((INTERVALS_MAX / 2 - 2..INTERVALS_MAX).contains(&intervals.len()), "{}", intervals.len());
        assert_eq!(intervals.iter().map(|interval| interval.answered).sum::<u64>(), 3600);
        let last = intervals.last().unwrap();
        assert_eq!(last.begin_ns + last.span_ns, 3_600_000_000_000);
        assert!(intervals.windows(2).all(|pair| pair[0].begin_ns + pair[0].span_ns == pair[1].begin_ns));
    }
}
