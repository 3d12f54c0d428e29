//! `Exchange`: the requests in flight and the expected bytes of one connection of the generator.
//!
//! It sends nothing and counts nothing.

use std::collections::VecDeque;

use crate::instant::Instant;

use super::counters::Request;
use super::pattern::{Pattern, PatternOffset};

/// State of one connection of the generator.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) purpose: Purpose,
    /// Index of the connection in the tables of the workload.
    pub(super) slot: usize,
    /// When its connect began.
    pub(super) connect_begun_at: Instant,
    /// Number of its next planned request, in an open loop.
    pub(super) next: u64,
    pub(super) write_at: PatternOffset,
    read_at: PatternOffset,
    /// Missing bytes of the oldest answer.
    missing: usize,
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

/// How an answer differs from its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EchoMismatch {
    /// More bytes than were requested.
    Excess,
    /// A frame of this wrong length.
    Length(usize),
    /// Other bytes than were sent.
    Bytes,
}

impl Exchange {
    /// Connection number `serial` of the run.
    pub(super) fn new(
        purpose: Purpose,
        slot: usize,
        serial: u64,
        message_len: usize,
        connect_begun_at: Instant,
    ) -> Self {
        let start = PatternOffset::of_connection(serial);
        Self {
            purpose,
            slot,
            connect_begun_at,
            next: slot as u64,
            write_at: start,
            read_at: start,
            missing: message_len,
            in_flight: VecDeque::new(),
            has_answer: false,
            is_ended: false,
        }
    }

    /// Compares `bytes` with the expected bytes, if there is a pattern.
    #[inline]
    pub(super) fn check(&mut self, bytes: &[u8], pattern: Option<&Pattern>) -> Result<(), EchoMismatch> {
        match pattern {
            Some(pattern) if !pattern.matches(&mut self.read_at, bytes) => Err(EchoMismatch::Bytes),
            Some(_) | None => Ok(()),
        }
    }

    /// Accounts for `len` received bytes, and calls `answered` for each request that they complete.
    #[inline]
    pub(super) fn receive(
        &mut self,
        mut len: usize,
        message_len: usize,
        mut answered: impl FnMut(Request),
    ) -> Result<(), EchoMismatch> {
        while len > 0 {
            if self.in_flight.is_empty() {
                return Err(EchoMismatch::Excess);
            }
            if len < self.missing {
                self.missing -= len;
                return Ok(());
            }
            len -= self.missing;
            self.missing = message_len;
            self.in_flight.pop_front().into_iter().for_each(&mut answered);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Framing, Raw};

    fn exchange_with(requests: u64) -> Exchange {
        let mut exchange = Exchange::new(Purpose::Requesting, 0, 3, 10, Instant::ORIGIN);
        (0..requests).for_each(|number| exchange.in_flight.push_back(request(number)));
        exchange
    }

    fn request(number: u64) -> Request {
        Request { planned: Instant::from_nanos(number), sent_at: Instant::from_nanos(number) }
    }

    #[track_caller]
    fn check(exchange: &mut Exchange, len: usize, answered: std::ops::Range<u64>) {
        let mut seen = Vec::new();
        assert_eq!(exchange.receive(len, 10, |request| seen.push(request)), Ok(()));
        assert_eq!(seen, answered.map(request).collect::<Vec<_>>());
    }

    #[test]
    fn answers_may_arrive_split_or_joined() {
        let mut exchange = exchange_with(5);
        assert_eq!((exchange.in_flight.len(), exchange.in_flight.front()), (5, Some(&request(0))));
        check(&mut exchange, 9, 0..0);
        check(&mut exchange, 1, 0..1);
        check(&mut exchange, 25, 1..3);
        check(&mut exchange, 15, 3..5);
        assert_eq!((exchange.in_flight.len(), exchange.in_flight.front()), (0, None));
    }

    #[test]
    fn excess_bytes_are_a_mismatch() {
        assert_eq!(exchange_with(0).receive(1, 10, |_| {}), Err(EchoMismatch::Excess));
        assert_eq!(exchange_with(1).receive(11, 10, |_| {}), Err(EchoMismatch::Excess));
    }

    #[test]
    fn bytes_are_compared_at_their_offset() {
        let pattern = Pattern::new(Framing::Raw(Raw));
        let (mut exchange, mut offset) = (exchange_with(1), PatternOffset::of_connection(3));
        let bytes = pattern.chunks(&mut offset, 20).collect::<Vec<_>>().concat();
        assert_eq!(exchange.check(&bytes[..7], Some(&pattern)), Ok(()));
        assert_eq!(exchange.check(&bytes[7..], Some(&pattern)), Ok(()));
        assert_eq!(exchange.check(&bytes[..7], Some(&pattern)), Err(EchoMismatch::Bytes));
        assert_eq!(exchange.check(&bytes[..7], None), Ok(()));
    }

    #[test]
    fn an_exchange_is_small() {
        assert!(size_of::<Exchange>() <= 112, "{}", size_of::<Exchange>());
    }
}
