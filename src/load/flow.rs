//! `Flow`: one connection of the generator: what is under way over it, and which bytes are due.
//!
//! It sends nothing and counts nothing; it only says where the two streams of bytes stand.

use std::collections::VecDeque;

use crate::instant::Instant;

use super::counters::Request;
use super::pattern::{Pattern, Place};

/// What the generator keeps for one connection.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) role: Role,
    /// Which of the places for connections it has.
    pub(super) seat: usize,
    /// When its connect was begun.
    pub(super) begun_at: Instant,
    /// The next planned request that is its own, where requests are planned.
    pub(super) next: u64,
    pub(super) write_at: Place,
    read_at: Place,
    /// Bytes of the first answer under way that are still to come.
    missing: usize,
    waiting: Waiting,
    /// Whether an answer has come over it.
    pub(super) has_answer: bool,
    /// Its end is ours: nothing that happens now is the server's doing.
    pub(super) is_over: bool,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// To be there.
    #[default]
    Idle,
    /// To carry requests.
    Asks,
}

/// Requests under way, the oldest first. One needs no memory of its own.
#[derive(Debug, Default)]
enum Waiting {
    #[default]
    None,
    One(Request),
    Many(VecDeque<Request>),
}

/// What came back is not what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// More than was asked for.
    TooMuch,
    /// A frame of another length.
    Length(usize),
    /// Other bytes.
    Bytes,
}

impl Flow {
    /// The connection number `serial` of the run.
    pub(super) fn new(role: Role, seat: usize, serial: u64, message_len: usize, begun_at: Instant) -> Self {
        let start = Place::of_connection(serial);
        Self {
            role,
            seat,
            begun_at,
            next: seat as u64,
            write_at: start,
            read_at: start,
            missing: message_len,
            waiting: Waiting::None,
            has_answer: false,
            is_over: false,
        }
    }

    /// A request leaves.
    #[inline]
    pub(super) fn push(&mut self, request: Request) {
        match &mut self.waiting {
            Waiting::None => self.waiting = Waiting::One(request),
            Waiting::One(first) => self.waiting = Waiting::Many(VecDeque::from([*first, request])),
            Waiting::Many(requests) => requests.push_back(request),
        }
    }

    /// The oldest request is over.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Request> {
        match &mut self.waiting {
            Waiting::None => None,
            Waiting::One(request) => {
                let request = *request;
                self.waiting = Waiting::None;
                Some(request)
            }
            Waiting::Many(requests) => requests.pop_front(),
        }
    }

    /// How many requests are under way.
    #[inline]
    pub(super) fn waiting_len(&self) -> usize {
        match &self.waiting {
            Waiting::None => 0,
            Waiting::One(_) => 1,
            Waiting::Many(requests) => requests.len(),
        }
    }

    /// The oldest request under way.
    #[inline]
    pub(super) fn oldest(&self) -> Option<&Request> {
        match &self.waiting {
            Waiting::None => None,
            Waiting::One(request) => Some(request),
            Waiting::Many(requests) => requests.front(),
        }
    }

    /// Looks whether `bytes` are due, if there is a pattern to compare them with.
    #[inline]
    pub(super) fn check(&mut self, bytes: &[u8], pattern: Option<&Pattern>) -> Result<(), Wrong> {
        match pattern {
            Some(pattern) if !pattern.matches(&mut self.read_at, bytes) => Err(Wrong::Bytes),
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
    ) -> Result<(), Wrong> {
        while len > 0 {
            if self.waiting_len() == 0 {
                return Err(Wrong::TooMuch);
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

    fn asked(requests: u64) -> Flow {
        let mut flow = Flow::new(Role::Asks, 0, 3, 10, Instant::ORIGIN);
        (0..requests).for_each(|number| flow.push(request(number)));
        flow
    }

    fn request(number: u64) -> Request {
        Request { planned: Instant::from_nanos(number), departed: Instant::from_nanos(number) }
    }

    #[track_caller]
    fn check(flow: &mut Flow, len: usize, answered: std::ops::Range<u64>) {
        let mut seen = Vec::new();
        assert_eq!(flow.take(len, 10, |request| seen.push(request)), Ok(()));
        assert_eq!(seen, answered.map(request).collect::<Vec<_>>());
    }

    #[test]
    fn answers_come_in_pieces_and_in_bunches() {
        let mut flow = asked(5);
        assert_eq!((flow.waiting_len(), flow.oldest()), (5, Some(&request(0))));
        check(&mut flow, 9, 0..0);
        check(&mut flow, 1, 0..1);
        check(&mut flow, 25, 1..3);
        check(&mut flow, 15, 3..5);
        assert_eq!((flow.waiting_len(), flow.oldest()), (0, None));
    }

    #[test]
    fn more_than_was_asked_for_is_wrong() {
        assert_eq!(asked(0).take(1, 10, |_| {}), Err(Wrong::TooMuch));
        assert_eq!(asked(1).take(11, 10, |_| {}), Err(Wrong::TooMuch));
    }

    #[test]
    fn bytes_are_compared_where_they_are_due() {
        let pattern = Pattern::new(Framing::Raw(Raw));
        let (mut flow, mut place) = (asked(1), Place::of_connection(3));
        let bytes = pattern.pieces(&mut place, 20).collect::<Vec<_>>().concat();
        assert_eq!(flow.check(&bytes[..7], Some(&pattern)), Ok(()));
        assert_eq!(flow.check(&bytes[7..], Some(&pattern)), Ok(()));
        assert_eq!(flow.check(&bytes[..7], Some(&pattern)), Err(Wrong::Bytes));
        assert_eq!(flow.check(&bytes[..7], None), Ok(()));
    }

    #[test]
    fn a_flow_is_small() {
        assert!(size_of::<Flow>() <= 112, "{}", size_of::<Flow>());
    }
}
