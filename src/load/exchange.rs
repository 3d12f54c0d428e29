//! `Exchange`: the requests in flight and the expected bytes of one connection of the generator.
//!
//! It sends nothing and counts nothing.

use std::collections::VecDeque;

use crate::instant::Instant;

use super::counters::Request;
use super::pattern::PatternOffset;

/// State of one connection of the generator.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) purpose: Purpose,
    /// Index of the connection in the tables of the workload.
    pub(super) slot: usize,
    /// Number of the connection in the run. Its bytes and its random numbers are derived from it.
    pub(super) serial: u64,
    /// When its connect began.
    pub(super) connect_begun_at: Instant,
    /// Number of its next planned request, in an open loop.
    pub(super) next: u64,
    /// Number of requests that were sent.
    pub(super) sent: u64,
    /// Number of requests in its lifetime.
    pub(super) sent_max: u64,
    /// When its lifetime ends, once it has sent a request.
    pub(super) ends_at: Instant,
    pub(super) write_at: PatternOffset,
    pub(super) read_at: PatternOffset,
    /// Missing bytes of the oldest answer, or the most it may still have.
    pub(super) missing: usize,
    /// Number of bytes of the delimiter at the end of what was received.
    pub(super) matched: u8,
    /// Requests in flight, the oldest first.
    pub(super) in_flight: VecDeque<Request>,
    /// Whether it received an answer.
    pub(super) has_answer: bool,
    /// The generator is done with it; a close is not an error of the server.
    pub(super) is_ended: bool,
}

/// Purpose of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It stays open and idle.
    #[default]
    Idle,
    /// It carries requests.
    Requesting,
}

impl Exchange {
    /// Connection number `serial` of the run, which carries no requests.
    pub(super) fn idle(serial: u64, connect_begun_at: Instant) -> Self {
        let start = PatternOffset::of_connection(serial);
        Self {
            serial,
            connect_begun_at,
            sent_max: u64::MAX,
            ends_at: Instant::NEVER,
            write_at: start,
            read_at: start,
            ..Self::default()
        }
    }

    /// Number of complete answers.
    #[inline]
    pub(super) fn answered(&self) -> u64 {
        self.sent - self.in_flight.len() as u64
    }

    /// Whether it has the answer to its last request.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        self.sent_max <= self.sent && self.in_flight.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_small() {
        assert!(size_of::<Exchange>() <= 112, "{}", size_of::<Exchange>());
    }
}
