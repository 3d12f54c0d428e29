//! `Exchange`: one connection of the generator: what is under way over it, and which bytes are due.
//!
//! It sends nothing and counts nothing; it only says where the two streams of bytes stand.

use std::collections::VecDeque;

use crate::instant::Instant;

use super::counters::Request;
use super::pattern::{Pattern, PatternOffset};

/// What the generator keeps for one connection.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) role: Role,
    /// Which of the places for connections it has.
    pub(super) slot: usize,
    /// When its connect was begun.
    pub(super) connect_begun_at: Instant,
    /// The next planned request that is its own, where requests are planned.
    pub(super) next: u64,
    pub(super) write_at: PatternOffset,
    read_at: PatternOffset,
    /// Bytes of the first answer under way that are still to come.
    missing: usize,
    in_flight: InFlight,
    /// Whether an answer has come over it.
    pub(super) has_answer: bool,
    /// Its end is ours: nothing that happens now is the server's doing.
    pub(super) is_ended: bool,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// To be there.
    #[default]
    Idle,
    /// To carry requests.
    Requesting,
}

/// Requests under way, the oldest first. One needs no memory of its own.
#[derive(Debug, Default)]
enum InFlight {
    #[default]
    None,
    One(Request),
    Many(VecDeque<Request>),
}

/// What came back is not what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EchoMismatch {
    /// More than was asked for.
    Excess,
    /// A frame of another length.
    Length(usize),
    /// Other bytes.
    Bytes,
}

impl Exchange {
    /// The connection number `serial` of the run.
    pub(super) fn new(role: Role, slot: usize, serial: u64, message_len: usize, connect_begun_at: Instant) -> Self {
        let start = PatternOffset::of_connection(serial);
        Self {
            role,
            slot,
            connect_begun_at,
            next: slot as u64,
            write_at: start,
            read_at: start,
            missing: message_len,
            in_flight: InFlight::None,
            has_answer: false,
            is_ended: false,
        }
    }

    /// A request leaves.
    #[inline]
    pub(super) fn push(&mut self, request: Request) {
        match &mut self.in_flight {
            InFlight::None => self.in_flight = InFlight::One(request),
            InFlight::One(first) => self.in_flight = InFlight::Many(VecDeque::from([*first, request])),
            InFlight::Many(requests) => requests.push_back(request),
        }
    }

    /// The oldest request is over.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Request> {
        match &mut self.in_flight {
            InFlight::None => None,
            InFlight::One(request) => {
                let request = *request;
                self.in_flight = InFlight::None;
                Some(request)
            }
            InFlight::Many(requests) => requests.pop_front(),
        }
    }

    /// How many requests are under way.
    #[inline]
    pub(super) fn in_flight_len(&self) -> usize {
        match &self.in_flight {
            InFlight::None => 0,
            InFlight::One(_) => 1,
            InFlight::Many(requests) => requests.len(),
        }
    }

    /// The oldest request under way.
    #[inline]
    pub(super) fn oldest(&self) -> Option<&Request> {
        match &self.in_flight {
            InFlight::None => None,
            InFlight::One(request) => Some(request),
            InFlight::Many(requests) => requests.front(),
        }
    }

    /// Looks whether `bytes` are due, if there is a pattern to compare them with.
    #[inline]
    pub(super) fn check(&mut self, bytes: &[u8], pattern: Option<&Pattern>) -> Result<(), EchoMismatch> {
        match pattern {
            Some(pattern) if !pattern.matches(&mut self.read_at, bytes) => Err(EchoMismatch::Bytes),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes in so many bytes of answers; each request that is answered whole by them goes to
    /// `answered`.
    #[inline]
    pub(super) fn take(
        &mut self,
        mut len: usize,
        message_len: usize,
        mut answered: impl FnMut(Request),
    ) -> Result<(), EchoMismatch> {
        while len > 0 {
            if self.in_flight_len() == 0 {
                return Err(EchoMismatch::Excess);
            }
            if len < self.missing {
                self.missing -= len;
                return Ok(());
            }
            len -= self.missing;
            self.missing = message_len;
            self.pop().into_iter().for_each(&mut answered);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Framing, Raw};

    fn asked(requests: u64) -> Exchange {
        let mut exchange = Exchange::new(Role::Requesting, 0, 3, 10, Instant::ORIGIN);
        (0..requests).for_each(|number| exchange.push(request(number)));
        exchange
    }

    fn request(number: u64) -> Request {
        Request { planned: Instant::from_nanos(number), sent_at: Instant::from_nanos(number) }
    }

    #[track_caller]
    fn check(exchange: &mut Exchange, len: usize, answered: std::ops::Range<u64>) {
        let mut seen = Vec::new();
        assert_eq!(exchange.take(len, 10, |request| seen.push(request)), Ok(()));
        assert_eq!(seen, answered.map(request).collect::<Vec<_>>());
    }

    #[test]
    fn answers_come_in_pieces_and_in_bunches() {
        let mut exchange = asked(5);
        assert_eq!((exchange.in_flight_len(), exchange.oldest()), (5, Some(&request(0))));
        check(&mut exchange, 9, 0..0);
        check(&mut exchange, 1, 0..1);
        check(&mut exchange, 25, 1..3);
        check(&mut exchange, 15, 3..5);
        assert_eq!((exchange.in_flight_len(), exchange.oldest()), (0, None));
    }

    #[test]
    fn more_than_was_asked_for_is_wrong() {
        assert_eq!(asked(0).take(1, 10, |_| {}), Err(EchoMismatch::Excess));
        assert_eq!(asked(1).take(11, 10, |_| {}), Err(EchoMismatch::Excess));
    }

    #[test]
    fn bytes_are_compared_where_they_are_due() {
        let pattern = Pattern::new(Framing::Raw(Raw));
        let (mut exchange, mut place) = (asked(1), PatternOffset::of_connection(3));
        let bytes = pattern.chunks(&mut place, 20).collect::<Vec<_>>().concat();
        assert_eq!(exchange.check(&bytes[..7], Some(&pattern)), Ok(()));
        assert_eq!(exchange.check(&bytes[7..], Some(&pattern)), Ok(()));
        assert_eq!(exchange.check(&bytes[..7], Some(&pattern)), Err(EchoMismatch::Bytes));
        assert_eq!(exchange.check(&bytes[..7], None), Ok(()));
    }

    #[test]
    fn a_flow_is_small() {
        assert!(size_of::<Exchange>() <= 112, "{}", size_of::<Exchange>());
    }
}
