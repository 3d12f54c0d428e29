//! `RequestCounters`: the numbers of a run while it goes on.
//!
//! What counts is what belongs to the measured time: requests that left in it, or were planned for
//! it. What comes before warms up, what comes after is none of it.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::instant::Instant;

use super::latencies::Latencies;
use super::plan::nanos;
use super::record::{ErrorCount, ErrorKind, Interval};
use super::series::Series;

/// Three digits: a step of a thousandth, which is finer than any run repeats.
const DIGITS: u8 = 3;

/// Latencies above this count as this long; an answer is given up long before.
const LATENCY_MAX: Duration = Duration::from_secs(3600);

/// A request under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// When it was to leave; in a closed loop when it left.
    pub(super) planned: Instant,
    /// When it left.
    pub(super) sent_at: Instant,
}

/// A histogram together with what buckets round.
pub(super) struct LatencyRecorder {
    histogram: Histogram<u64>,
    min_ns: u64,
    max_ns: u64,
}

impl LatencyRecorder {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, nanos(LATENCY_MAX), DIGITS).expect("these are bounds");
        Self { histogram, min_ns: u64::MAX, max_ns: 0 }
    }

    #[inline]
    pub(super) fn record(&mut self, latency_ns: u64) {
        self.min_ns = self.min_ns.min(latency_ns);
        self.max_ns = self.max_ns.max(latency_ns);
        self.histogram.saturating_record(latency_ns);
    }

    pub(super) fn latencies(&self) -> Latencies {
        Latencies::of(&self.histogram, self.min_ns, self.max_ns)
    }
}

/// The numbers of a run.
pub(super) struct RequestCounters {
    /// When the measured time began, once it has.
    begin: Instant,
    /// When it was over, or will be.
    end: Instant,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) failed: u64,
    latency: LatencyRecorder,
    /// Only where requests are planned.
    service: Option<LatencyRecorder>,
    pub(super) connect: LatencyRecorder,
    series: Series,
    /// The answers that came in the measured time, whenever they were asked for.
    answered_in_window: u64,
    errors: Vec<ErrorCount>,
    pub(super) last_answer: Instant,
}

impl RequestCounters {
    /// Numbers of nothing; `is_planned` says whether requests have a planned time of their own.
    pub(super) fn new(is_planned: bool) -> Self {
        Self {
            begin: Instant::NEVER,
            end: Instant::NEVER,
            sent: 0,
            answered: 0,
            failed: 0,
            latency: LatencyRecorder::new(),
            service: is_planned.then(LatencyRecorder::new),
            connect: LatencyRecorder::new(),
            series: Series::new(Instant::NEVER, LATENCY_MAX),
            answered_in_window: 0,
            errors: Vec::new(),
            last_answer: Instant::ORIGIN,
        }
    }

    /// The measured time begins at `begin`; what is planned for then or later counts.
    pub(super) fn begin(&mut self, begin: Instant) {
        self.begin = begin;
        self.series = Series::new(begin, LATENCY_MAX);
    }

    /// The measured time is over at `end`; what is planned for then or later does not count.
    pub(super) fn end(&mut self, end: Instant) {
        self.end = end;
    }

    /// The run is over, as planned or not. A measured time without an end had it with its last answer.
    pub(super) fn finish(&mut self, now: Instant, is_done: bool) {
        let behind_last = self.last_answer + Duration::from_nanos(1);
        let last = if is_done && self.end == Instant::NEVER { behind_last } else { now };
        self.end = self.end.min(last).max(self.begin);
    }

    /// Whether a request belongs to the measured time.
    #[inline]
    pub(super) fn is_measured(&self, request: &Request) -> bool {
        self.begin <= request.planned && request.planned < self.end
    }

    /// A request has left.
    #[inline]
    pub(super) fn count_sent(&mut self, request: &Request) {
        self.sent += u64::from(self.is_measured(request));
    }

    /// Its answer is there, whole.
    #[inline]
    pub(super) fn count_answer(&mut self, request: &Request, now: Instant) {
        let latency_ns = nanos(now.since(request.planned));
        if self.is_measured(request) {
            self.answered += 1;
            self.latency.record(latency_ns);
            if let Some(service) = &mut self.service {
                service.record(nanos(now.since(request.sent_at)));
            }
            self.last_answer = now;
        }
        if self.begin <= now && now < self.end {
            self.answered_in_window += 1;
            self.series.record(latency_ns);
        }
    }

    /// No good answer comes any more.
    pub(super) fn count_failed(&mut self, request: &Request) {
        self.failed += u64::from(self.is_measured(request));
    }

    /// Something went wrong; `example` says it in words, of which the first are kept.
    pub(super) fn count_error(&mut self, kind: ErrorKind, example: impl FnOnce() -> String) {
        self.series.count_error();
        match self.errors.iter_mut().find(|error| error.kind == kind) {
            Some(error) => error.count += 1,
            None => self.errors.push(ErrorCount { kind, count: 1, example: example() }),
        }
    }

    /// It is `now`.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        if self.begin <= now {
            self.series.advance(now.min(self.end));
        }
    }

    /// How many things went wrong so far.
    pub(super) fn error_count(&self) -> u64 {
        self.errors.iter().map(|error| error.count).sum()
    }

    /// What went wrong, most frequent first.
    pub(super) fn errors(&self) -> Vec<ErrorCount> {
        let mut errors = self.errors.clone();
        errors.sort_by_key(|error| std::cmp::Reverse(error.count));
        errors
    }

    pub(super) fn latency(&self) -> Latencies {
        self.latency.latencies()
    }

    pub(super) fn service(&self) -> Option<Latencies> {
        self.service.as_ref().map(LatencyRecorder::latencies)
    }

    /// The length of the measured time; none before it has begun.
    pub(super) fn measured(&self) -> Duration {
        if self.begin == Instant::NEVER { Duration::ZERO } else { self.end.since(self.begin) }
    }

    /// Answers a second in the measured time.
    pub(super) fn rate(&self) -> f64 {
        let seconds = self.measured().as_secs_f64();
        if seconds > 0.0 { self.answered_in_window as f64 / seconds } else { 0.0 }
    }

    /// The answers that came in the measured time so far.
    pub(super) fn answered_in_window(&self) -> u64 {
        self.answered_in_window
    }

    pub(super) fn into_intervals(self) -> Vec<Interval> {
        let end = self.end;
        if self.begin == Instant::NEVER { Vec::new() } else { self.series.into_intervals(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u32) -> Instant {
        Instant::ORIGIN + ms * MS
    }

    fn request(planned: u32, sent_at: u32) -> Request {
        Request { planned: at(planned), sent_at: at(sent_at) }
    }

    #[test]
    fn what_was_planned_for_the_measured_time_counts_whenever_it_is_answered() {
        let mut counters = RequestCounters::new(true);
        counters.begin(at(1000));
        counters.end(at(2000));
        for (planned, answered) in [(900, 1100), (1000, 1001), (1999, 2500), (2000, 2100)] {
            counters.count_sent(&request(planned, planned));
            counters.count_answer(&request(planned, planned), at(answered));
        }
        assert_eq!((counters.sent, counters.answered), (2, 2));
        assert_eq!(counters.latency().max_ns, nanos(501 * MS));
        // In that second two answers came, if not to the same questions.
        assert!((counters.rate() - 2.0).abs() < 1e-9, "{}", counters.rate());
        assert_eq!(counters.into_intervals().iter().map(|interval| interval.answered).sum::<u64>(), 2);
    }

    #[test]
    fn latency_counts_from_the_plan_and_service_from_the_departure() {
        let mut counters = RequestCounters::new(true);
        counters.begin(at(0));
        counters.count_answer(&request(0, 900), at(1000));
        assert_eq!(counters.latency().max_ns, nanos(1000 * MS));
        assert_eq!(counters.service().unwrap().max_ns, nanos(100 * MS));
        assert_eq!(RequestCounters::new(false).service(), None);
    }

    #[test]
    fn before_the_measured_time_nothing_counts() {
        let mut counters = RequestCounters::new(false);
        counters.count_sent(&request(1, 1));
        counters.count_answer(&request(1, 1), at(2));
        counters.advance(at(5));
        assert_eq!((counters.sent, counters.answered, counters.measured()), (0, 0, Duration::ZERO));
        assert!(counters.into_intervals().is_empty());
    }

    #[test]
    fn the_first_of_each_kind_of_error_is_kept_in_words() {
        let mut counters = RequestCounters::new(false);
        counters.count_error(ErrorKind::Reset, || "the first".to_owned());
        counters.count_error(ErrorKind::Refused, || "another".to_owned());
        counters.count_error(ErrorKind::Refused, || panic!("only the first is asked"));
        let errors = counters.errors();
        assert_eq!((errors[0].kind, errors[0].count, errors[0].example.as_str()), (ErrorKind::Refused, 2, "another"));
        assert_eq!(errors[1].kind, ErrorKind::Reset);
    }
}
