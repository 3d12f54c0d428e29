//! `Measurements`: how an event loop spends its time, in histograms of a fixed size.
//!
//! A turn that is measured reads the clock two or three times more. Nothing is allocated in a turn.

use std::time::Duration;

use crate::instant::Instant;
use crate::net::Token;

/// The number of buckets with an upper bound.
const BUCKETS: usize = 25;

/// Counts values in buckets. The upper bounds are powers of two.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// The exponent of the first upper bound.
    first: u32,
    /// The last bucket has the values above the largest bound.
    counts: [u64; BUCKETS + 1],
    sum: u64,
}

impl Histogram {
    const fn new(first: u32) -> Self {
        Self { first, counts: [0; BUCKETS + 1], sum: 0 }
    }

    fn record(&mut self, value: u64) {
        let exponent = u64::BITS - value.saturating_sub(1).leading_zeros();
        self.counts[exponent.saturating_sub(self.first).min(BUCKETS as u32) as usize] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Each upper bound with the number of values that are not above it.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut total = 0;
        self.counts[..BUCKETS].iter().zip(self.first..).map(move |(count, exponent)| {
            total += count;
            (1 << exponent, total)
        })
    }
}

/// A part of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnPhase {
    /// Sleep until an event, and read the events.
    Sleep,
    /// Deliver messages, carry out control requests and inquiries, if there are any.
    Deliver,
    /// Everything else: record events, accept, connect, serve, expire and reap.
    Serve,
}

impl TurnPhase {
    /// Every phase in declaration order: `ALL[phase as usize] == phase`.
    pub const ALL: [Self; 3] = [Self::Sleep, Self::Deliver, Self::Serve];

    /// The phase in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Deliver => "deliver",
            Self::Serve => "serve",
        }
    }
}

/// Measurements of all turns since [`EventLoop::measure`](super::EventLoop::measure).
#[derive(Clone, Debug)]
pub struct Measurements {
    /// Nanoseconds of each turn, without the poll.
    pub turns: Histogram,
    /// Nanoseconds from the report of an event to the service of its peer, for the last event of a poll.
    ///
    /// The last peer of a poll waits longest. While it waits for another turn, no other one is measured.
    pub waits: Histogram,
    /// Bytes of memory that all queues hold at the end of each turn.
    pub queue_bytes: Histogram,
    phases: [u64; TurnPhase::ALL.len()],
    phase_began_at: Instant,
    /// The token of the event that waits for its service, and the time of the event.
    waiting: Option<(Token, Instant)>,
}

impl Measurements {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            // From 1 µs to 17 s, and from 4 KiB to 64 GiB.
            turns: Histogram::new(10),
            waits: Histogram::new(10),
            queue_bytes: Histogram::new(12),
            phases: [0; TurnPhase::ALL.len()],
            phase_began_at: now,
            waiting: None,
        }
    }

    /// The time that was spent in a phase.
    pub fn phase(&self, phase: TurnPhase) -> Duration {
        Duration::from_nanos(self.phases[phase as usize])
    }

    pub(super) fn end_phase(&mut self, phase: TurnPhase, now: Instant) {
        self.phases[phase as usize] += nanos(self.phase_began_at, now);
        self.phase_began_at = now;
    }

    pub(super) fn end_turn(&mut self, began_at: Instant, now: Instant, queue_bytes: usize) {
        self.end_phase(TurnPhase::Serve, now);
        self.turns.record(nanos(began_at, now));
        self.queue_bytes.record(queue_bytes as u64);
    }

    /// The last event of a poll.
    pub(super) fn handle_last_event(&mut self, token: Token, now: Instant) {
        self.waiting.get_or_insert((token, now));
    }

    pub(super) fn is_waiting(&self, token: Token) -> bool {
        self.waiting.is_some_and(|(waiting, _)| waiting == token)
    }

    pub(super) fn handle_served(&mut self, now: Instant) {
        if let Some((_, since)) = self.waiting.take() {
            self.waits.record(nanos(since, now));
        }
    }

    /// No peer of an endpoint waits: the event was that of a listener, or of a peer that is gone.
    pub(super) fn handle_none_waiting(&mut self, is_of_endpoint: impl FnOnce(Token) -> bool) {
        if self.waiting.is_some_and(|(token, _)| is_of_endpoint(token)) {
            self.waiting = None;
        }
    }
}

fn nanos(from: Instant, to: Instant) -> u64 {
    to.as_nanos().saturating_sub(from.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: u64, first_bound: Option<u64>) {
        let mut histogram = Histogram::new(10);
        histogram.record(value);
        assert_eq!(histogram.buckets().find(|(_, count)| *count == 1).map(|(bound, _)| bound), first_bound);
        assert_eq!((histogram.count(), histogram.sum()), (1, value));
    }

    #[test]
    fn a_value_counts_below_each_bound_that_is_not_below_it() {
        check(0, Some(1024));
        check(1024, Some(1024));
        check(1025, Some(2048));
        check(1 << 34, Some(1 << 34));
        check((1 << 34) + 1, None);
        check(u64::MAX, None);
    }

    #[test]
    fn the_wait_of_a_peer_is_measured_until_it_is_served() {
        let at = Instant::from_nanos;
        let mut measurements = Measurements::new(Instant::ORIGIN);
        measurements.handle_last_event(Token(7), at(100));
        measurements.handle_last_event(Token(8), at(200));
        assert!(measurements.is_waiting(Token(7)) && !measurements.is_waiting(Token(8)));
        measurements.handle_served(at(600));
        assert_eq!((measurements.waits.count(), measurements.waits.sum()), (1, 500));
        measurements.handle_last_event(Token(9), at(700));
        measurements.handle_none_waiting(|token| token == Token(9));
        measurements.handle_served(at(800));
        assert_eq!(measurements.waits.count(), 1);
    }
}
