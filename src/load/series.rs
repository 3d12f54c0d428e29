//! `Series`: throughput and latency over time, in a bounded number of intervals.
//!
//! When there are too many, each pair is merged into one, so their length depends on that of the run.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::instant::Instant;

use super::latencies::Latencies;
use super::record::Interval;
use super::schedule::nanos;

/// Length of the first intervals: short enough to show single pauses of a server.
const SPAN_MIN: Duration = Duration::from_millis(100);

/// Maximum number of intervals: a chart has two or three pixels for each.
const INTERVALS_MAX: usize = 256;

/// Precision of a latency: two decimal digits, enough for a chart and cheap to evaluate.
const DIGITS: u8 = 2;

/// Results of one closed interval.
#[derive(Clone, Debug, Default)]
struct IntervalSamples {
    errors: u64,
    /// Open connections at its end.
    connections: u64,
    latencies: Latencies,
}

/// Intervals of the measured time so far.
pub(super) struct Series {
    begin: Instant,
    span: Duration,
    closed: Vec<IntervalSamples>,
    /// Values of the current interval.
    errors: u64,
    /// Number of open connections, and the highest one in the interval.
    connections: u64,
    connections_max: u64,
    max_ns: u64,
    histogram: Histogram<u32>,
}

impl Series {
    /// A series from `begin` on; `latency_max` is the maximum latency.
    pub(super) fn new(begin: Instant, latency_max: Duration) -> Self {
        let histogram = Histogram::new_with_bounds(1, nanos(latency_max).max(2), DIGITS).expect("the bounds are valid");
        Self {
            begin,
            span: SPAN_MIN,
            closed: Vec::new(),
            errors: 0,
            connections: 0,
            connections_max: 0,
            max_ns: 0,
            histogram,
        }
    }

    #[inline]
    pub(super) fn record(&mut self, latency_ns: u64) {
        self.max_ns = self.max_ns.max(latency_ns);
        self.histogram.saturating_record(latency_ns);
    }

    pub(super) fn count_error(&mut self) {
        self.errors += 1;
    }

    /// Sets the number of open connections, from now on.
    #[inline]
    pub(super) fn update_connections(&mut self, connections: u64) {
        self.connections = connections;
        self.connections_max = self.connections_max.max(connections);
    }

    /// Closes intervals that ended before `now`.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        while self.current_end() <= now {
            self.close_interval();
        }
    }

    fn current_begin(&self) -> Instant {
        let intervals = u32::try_from(self.closed.len()).expect("the number of intervals is bounded");
        self.begin + self.span.saturating_mul(intervals)
    }

    fn current_end(&self) -> Instant {
        self.current_begin() + self.span
    }

    fn close_interval(&mut self) {
        let latencies = Latencies::of(&self.histogram, 0, self.max_ns);
        self.closed.push(IntervalSamples { errors: self.errors, connections: self.connections_max, latencies });
        (self.errors, self.connections_max, self.max_ns) = (0, self.connections, 0);
        self.histogram.reset();
        if self.closed.len() == INTERVALS_MAX {
            self.closed = self.closed.chunks(2).map(IntervalSamples::merged).collect();
            self.span *= 2;
        }
    }

    /// Adds another series with the same begin.
    pub(super) fn merge(&mut self, mut other: Self) {
        // From here on, both have the same intervals.
        let reached = self.current_begin().max(other.current_begin());
        self.advance(reached);
        other.advance(reached);
        for (sum, added) in self.closed.iter_mut().zip(&other.closed) {
            sum.add(added);
        }
        self.errors += other.errors;
        self.connections += other.connections;
        self.connections_max += other.connections_max;
        self.max_ns = self.max_ns.max(other.max_ns);
        self.histogram.add(&other.histogram).expect("both histograms have the same bounds");
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
    fn merged(parts: &[Self]) -> Self {
        let mut whole = Self::default();
        for part in parts {
            let connections = whole.connections.max(part.connections);
            whole.add(part);
            whole.connections = connections;
        }
        whole
    }

    fn add(&mut self, other: &Self) {
        self.errors += other.errors;
        self.connections += other.connections;
        self.latencies.merge(&other.latencies);
    }

    fn interval(&self, begin_ns: u64, span_ns: u64) -> Interval {
        let [p50_ns, p90_ns, p99_ns] = [0.5, 0.9, 0.99].map(|quantile| self.latencies.at(quantile).unwrap_or(0));
        let Latencies { count: answered, max_ns, .. } = self.latencies;
        Interval {
            begin_ns,
            span_ns,
            answered,
            errors: self.errors,
            connections: self.connections,
            p50_ns,
            p90_ns,
            p99_ns,
            max_ns,
        }
    }
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
        series.update_connections(1);
        series.advance(Instant::ORIGIN + 250 * MS);
        series.update_connections(2);
        series.record(7);
        series.count_error();
        let intervals = series.into_intervals(Instant::ORIGIN + 260 * MS);
        let answered: Vec<u64> = intervals.iter().map(|interval| interval.answered).collect();
        assert_eq!(answered, [100, 0, 1]);
        assert_eq!((intervals[0].p50_ns, intervals[0].p99_ns, intervals[0].max_ns), (50, 99, 100));
        assert_eq!(intervals.iter().map(|interval| interval.connections).collect::<Vec<_>>(), [1, 1, 2]);
        assert_eq!((intervals[1].p50_ns, intervals[1].max_ns), (0, 0));
        assert_eq!((intervals[2].errors, intervals[2].begin_ns, intervals[2].span_ns), (1, 200_000_000, 60_000_000));
    }

    #[test]
    fn an_interval_has_the_highest_number_of_connections() {
        let mut series = series();
        series.update_connections(500);
        series.advance(Instant::ORIGIN + 100 * MS);
        // All of them break.
        series.update_connections(0);
        series.advance(Instant::ORIGIN + 200 * MS);
        let intervals = series.into_intervals(Instant::ORIGIN + 300 * MS);
        assert_eq!(intervals.iter().map(|interval| interval.connections).collect::<Vec<_>>(), [500, 500, 0]);
    }

    #[test]
    fn an_hour_has_a_bounded_number_of_intervals() {
        let mut series = series();
        for second in 0..3600_u32 {
            series.advance(Instant::ORIGIN + 1000 * second * MS);
            series.update_connections(second.into());
            series.record(5);
        }
        let intervals = series.into_intervals(Instant::ORIGIN + 3_600_000 * MS);
        assert!((INTERVALS_MAX / 2 - 2..INTERVALS_MAX).contains(&intervals.len()), "{}", intervals.len());
        assert_eq!(intervals.iter().map(|interval| interval.answered).sum::<u64>(), 3600);
        let last = intervals.last().unwrap();
        assert_eq!(last.begin_ns + last.span_ns, 3_600_000_000_000);
        assert!(intervals.windows(2).all(|pair| pair[0].connections < pair[1].connections));
        assert!(intervals.windows(2).all(|pair| pair[0].begin_ns + pair[0].span_ns == pair[1].begin_ns));
    }
}
