//! `RequestCounters`: the counters and histograms of a run.
//!
//! Only requests that were sent in the measured time, or planned for it, count.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::instant::Instant;

use super::latencies::Latencies;
use super::record::{ErrorCount, ErrorKind, Interval};
use super::schedule::nanos;
use super::series::Series;

/// Precision of a latency: three decimal digits, which is finer than the spread between runs.
const DIGITS: u8 = 3;

/// Maximum recorded latency; longer ones count as this long. Timeouts are much shorter.
const LATENCY_MAX: Duration = Duration::from_secs(3600);

/// A request in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// Planned time; in a closed loop the time when it was sent.
    pub(super) planned: Instant,
    /// When it was sent.
    pub(super) sent_at: Instant,
}

/// A histogram with the exact minimum and maximum, which buckets round.
pub(super) struct LatencyRecorder {
    histogram: Histogram<u64>,
    min_ns: u64,
    max_ns: u64,
}

impl LatencyRecorder {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, nanos(LATENCY_MAX), DIGITS).expect("the bounds are valid");
        Self { histogram, min_ns: u64::MAX, max_ns: 0 }
    }

    #[inline]
    pub(super) fn record(&mut self, latency_ns: u64) {
        self.min_ns = self.min_ns.min(latency_ns);
        self.max_ns = self.max_ns.max(latency_ns);
        self.histogram.saturating_record(latency_ns);
    }

    /// Adds the latencies of another thread.
    fn merge(&mut self, other: &Self) {
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.histogram.add(&other.histogram).expect("both histograms have the same bounds");
    }

    pub(super) fn latencies(&self) -> Latencies {
        Latencies::of(&self.histogram, self.min_ns, self.max_ns)
    }
}

/// Counters and histograms of a run.
pub(super) struct RequestCounters {
    /// Start of the measured time; [`Instant::NEVER`] while it is unknown.
    begin: Instant,
    /// End of the measured time; [`Instant::NEVER`] while it is unknown.
    end: Instant,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) failed: u64,
    /// Datagrams without an answer in time.
    pub(super) lost: u64,
    latency: LatencyRecorder,
    /// Latency from the real send time; only in an open loop.
    service: Option<LatencyRecorder>,
    pub(super) connect: LatencyRecorder,
    series: Series,
    /// Answers received in the measured time, whenever their requests were sent.
    answered_in_window: u64,
    errors: Vec<ErrorCount>,
    /// Time of the last answer to a measured request, and to any request.
    last_answer: Instant,
    pub(super) answered_at: Instant,
}

impl RequestCounters {
    /// Counters at zero. `is_planned` is true in an open loop.
    pub(super) fn new(is_planned: bool) -> Self {
        Self {
            begin: Instant::NEVER,
            end: Instant::NEVER,
            sent: 0,
            answered: 0,
            failed: 0,
            lost: 0,
            latency: LatencyRecorder::new(),
            service: is_planned.then(LatencyRecorder::new),
            connect: LatencyRecorder::new(),
            series: Series::new(Instant::NEVER, LATENCY_MAX),
            answered_in_window: 0,
            errors: Vec::new(),
            last_answer: Instant::ORIGIN,
            answered_at: Instant::ORIGIN,
        }
    }

    /// Sets the start of the measured time.
    pub(super) fn begin(&mut self, begin: Instant) {
        self.begin = begin;
        self.series = Series::new(begin, LATENCY_MAX);
    }

    /// Sets the end of the measured time. A request planned for exactly that time is not measured.
    pub(super) fn end(&mut self, end: Instant) {
        self.end = end;
    }

    /// Ends the measured time at `now` at the latest. If a complete run had no planned end, the last answer
    /// is the end. After an early end, requests in flight are neither answered nor failed, so they do not
    /// count as sent.
    pub(super) fn finish(&mut self, now: Instant, is_done: bool) {
        let after_last = self.last_answer + Duration::from_nanos(1);
        let last = if is_done && self.end == Instant::NEVER { after_last } else { now };
        self.end = self.end.min(last).max(self.begin);
        if !is_done {
            self.sent = self.answered + self.failed + self.lost;
        }
    }

    /// Adds the counters of another thread, after the end of both. The later end is that of both.
    pub(super) fn merge(&mut self, mut other: Self) {
        if self.begin == Instant::NEVER {
            std::mem::swap(self, &mut other);
        }
        if other.begin != Instant::NEVER {
            self.end = self.end.max(other.end);
            self.series.advance(self.end);
            other.series.advance(self.end);
            self.series.merge(other.series);
        }
        self.sent += other.sent;
        self.answered += other.answered;
        self.failed += other.failed;
        self.lost += other.lost;
        self.answered_in_window += other.answered_in_window;
        self.latency.merge(&other.latency);
        self.service.iter_mut().zip(&other.service).for_each(|(sum, added)| sum.merge(added));
        for added in other.errors {
            match self.errors.iter_mut().find(|error| error.kind == added.kind) {
                Some(error) => error.count += added.count,
                None => self.errors.push(added),
            }
        }
    }

    /// Whether a request belongs to the measured time.
    #[inline]
    pub(super) fn is_measured(&self, request: &Request) -> bool {
        self.begin <= request.planned && request.planned < self.end
    }

    /// Counts a sent request.
    #[inline]
    pub(super) fn count_sent(&mut self, request: &Request) {
        self.sent += u64::from(self.is_measured(request));
    }

    /// Counts a complete answer.
    #[inline]
    pub(super) fn count_answer(&mut self, request: &Request, now: Instant) {
        let latency_ns = nanos(now.since(request.planned));
        self.answered_at = now;
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

    /// Counts a request without a correct answer.
    pub(super) fn count_failed(&mut self, request: &Request) {
        self.failed += u64::from(self.is_measured(request));
    }

    /// Counts an error. `example` makes its message; only the first of each kind is stored.
    pub(super) fn count_error(&mut self, now: Instant, kind: ErrorKind, example: impl FnOnce() -> String) {
        if self.begin <= now && now < self.end {
            self.series.count_error();
        }
        match self.errors.iter_mut().find(|error| error.kind == kind) {
            Some(error) => error.count += 1,
            None => self.errors.push(ErrorCount { kind, count: 1, example: example() }),
        }
    }

    /// Closes intervals that ended before `now`. `connections` is the number of open ones that carry requests.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant, connections: usize) {
        if self.begin <= now {
            self.series.advance(now.min(self.end));
            self.series.update_connections(connections as u64);
        }
    }

    /// Number of errors so far.
    pub(super) fn error_count(&self) -> u64 {
        self.errors.iter().map(|error| error.count).sum()
    }

    /// Errors by kind, most frequent first.
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

    /// Length of the measured time; zero before it begins.
    pub(super) fn measured(&self) -> Duration {
        if self.begin == Instant::NEVER { Duration::ZERO } else { self.end.since(self.begin) }
    }

    /// Answers per second in the measured time; 0 if all of them belong to the warm-up.
    pub(super) fn rate(&self) -> f64 {
        let seconds = self.measured().as_secs_f64();
        if seconds > 0.0 && self.answered > 0 { self.answered_in_window as f64 / seconds } else { 0.0 }
    }

    /// Answers received in the measured time so far.
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
    fn a_request_of_the_measured_time_counts_whenever_it_is_answered() {
        let mut counters = RequestCounters::new(true);
        counters.begin(at(1000));
        counters.end(at(2000));
        for (planned, answered) in [(900, 1100), (1000, 1001), (1999, 2500), (2000, 2100)] {
            counters.count_sent(&request(planned, planned));
            counters.count_answer(&request(planned, planned), at(answered));
        }
        assert_eq!((counters.sent, counters.answered), (2, 2));
        assert_eq!(counters.latency().max_ns, nanos(501 * MS));
        // Two answers were received in that second, one of them to an earlier request.
        assert!((counters.rate() - 2.0).abs() < 1e-9, "{}", counters.rate());
        assert_eq!(counters.into_intervals().iter().map(|interval| interval.answered).sum::<u64>(), 2);
    }

    #[test]
    fn latency_starts_at_the_planned_time_and_service_time_at_the_send() {
        let mut counters = RequestCounters::new(true);
        counters.begin(at(0));
        counters.count_answer(&request(0, 900), at(1000));
        assert_eq!(counters.latency().max_ns, nanos(1000 * MS));
        assert_eq!(counters.service().unwrap().max_ns, nanos(100 * MS));
        assert_eq!(RequestCounters::new(false).service(), None);
    }

    #[test]
    fn nothing_counts_before_the_measured_time() {
        let mut counters = RequestCounters::new(false);
        counters.count_sent(&request(1, 1));
        counters.count_answer(&request(1, 1), at(2));
        counters.advance(at(5), 1);
        assert_eq!((counters.sent, counters.answered, counters.measured()), (0, 0, Duration::ZERO));
        assert!(counters.into_intervals().is_empty());
    }

    #[test]
    fn merged_counters_are_those_of_one_thread() {
        let new = || {
            let mut counters = RequestCounters::new(true);
            counters.begin(at(1000));
            counters
        };
        let (mut one, mut parts) = (new(), [new(), new(), new()]);
        for number in 0..30_000_u32 {
            let (request, now) = (request(1000 + number - number % 7, 1001 + number), at(1003 + number));
            for (counters, connections) in [(&mut one, 6), (&mut parts[number as usize % 3], 2)] {
                counters.count_sent(&request);
                counters.advance(now, connections);
                counters.count_answer(&request, now);
                if number % 1000 == 0 {
                    counters.count_failed(&request);
                    counters.count_error(at(1000), ErrorKind::Reset, || "a reset".to_owned());
                }
            }
        }
        one.finish(at(31_010), false);
        // The first of these threads did not begin to send.
        let threads = [RequestCounters::new(true)].into_iter().chain(parts);
        let ended = threads.zip([31_000, 31_000, 31_010, 31_005]).map(|(mut counters, end)| {
            counters.finish(at(end), false);
            counters
        });
        let merged = ended.reduce(|mut sum, counters| {
            sum.merge(counters);
            sum
        });
        let merged = merged.unwrap();
        assert_eq!((merged.sent, merged.answered, merged.failed), (one.sent, one.answered, one.failed));
        assert_eq!((merged.measured(), merged.errors()), (one.measured(), one.errors()));
        assert!((merged.rate() - one.rate()).abs() < 1e-9);
        assert_eq!((merged.latency(), merged.service()), (one.latency(), one.service()));
        assert!(merged.into_intervals() == one.into_intervals());
    }

    #[test]
    fn merged_intervals_agree_if_a_thread_waits_long_for_its_last_answer() {
        for wait in [6_000, 60_000] {
            let counters = |answers: u32, waits_until: u32| {
                let mut counters = RequestCounters::new(false);
                counters.begin(at(0));
                for number in 0..answers {
                    counters.advance(at(number * 100), 1);
                    counters.count_sent(&request(number * 100, number * 100));
                    counters.count_answer(&request(number * 100, number * 100), at(number * 100 + 1));
                }
                counters.advance(at(waits_until), 1);
                counters.finish(at(waits_until), true);
                counters
            };
            for (first, second) in
                [(counters(10, wait), counters(20, 2_000)), (counters(20, 2_000), counters(10, wait))]
            {
                let mut merged = first;
                merged.merge(second);
                let intervals = merged.into_intervals();
                let answered = |end_ns| {
                    let until = intervals.iter().take_while(|interval| interval.begin_ns + interval.span_ns <= end_ns);
                    until.map(|interval| interval.answered).sum::<u64>()
                };
                // A multiple of every span.
                assert_eq!((answered(1_200_000_000), answered(u64::MAX)), (22, 30), "{wait}");
            }
        }
    }

    #[test]
    fn an_error_of_the_warm_up_belongs_to_no_interval() {
        let mut counters = RequestCounters::new(false);
        counters.begin(at(1000));
        counters.end(at(1100));
        for ms in [999, 1050, 1100] {
            counters.count_error(at(ms), ErrorKind::Reset, || "a reset".to_owned());
        }
        counters.finish(at(1100), true);
        assert_eq!(counters.error_count(), 3);
        assert_eq!(counters.into_intervals().iter().map(|interval| interval.errors).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn the_message_of_the_first_error_of_each_kind_is_stored() {
        let mut counters = RequestCounters::new(false);
        counters.count_error(at(0), ErrorKind::Reset, || "the first".to_owned());
        counters.count_error(at(0), ErrorKind::Refused, || "another".to_owned());
        counters.count_error(at(0), ErrorKind::Refused, || panic!("only the first message is made"));
        let errors = counters.errors();
        assert_eq!((errors[0].kind, errors[0].count, errors[0].example.as_str()), (ErrorKind::Refused, 2, "another"));
        assert_eq!(errors[1].kind, ErrorKind::Reset);
    }
}
