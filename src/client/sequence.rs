//! [`Sequence`]: which datagrams were answered, late, lost, duplicated or reordered.
//!
//! A pure state machine: sent datagrams, replies and times go in, the kind of each reply comes out.
//! It opens no socket, reads no clock and stores no bytes. A label identifies a datagram, such as the
//! number that it carries or a digest of its contents.

use std::collections::VecDeque;
use std::time::Duration;

use crate::instant::Instant;

/// How many of the last datagrams are remembered.
///
/// At 4,000 datagrams a second they cover one second, which is longer than most paths delay a datagram.
pub const REMEMBERED_MAX: usize = 4096;

/// Tracks datagrams and their replies.
///
/// ```
/// use std::time::Duration;
///
/// use readyloop::client::{Arrival, Sequence};
/// use readyloop::instant::Instant;
///
/// let (mut sequence, now) = (Sequence::new(Duration::from_secs(1)), Instant::ORIGIN);
/// for number in 0..3 {
///     sequence.handle_sent(number, now);
/// }
/// assert!(matches!(sequence.handle_reply(1, now), Arrival::Answer { .. }));
/// assert!(matches!(sequence.handle_reply(0, now), Arrival::Reordered { .. }));
/// assert!(matches!(sequence.handle_reply(1, now), Arrival::Duplicate { .. }));
/// assert_eq!(sequence.poll_lost(now + Duration::from_secs(1)), Some(2));
/// ```
#[derive(Clone, Debug)]
pub struct Sequence {
    timeout: Duration,
    sent: VecDeque<Sent>,
    /// The number of the oldest remembered datagram.
    first: u64,
    /// How many datagrams at the front are not awaited: answered, lost or late.
    settled: usize,
    /// One more than the highest number answered in time.
    next: u64,
    counters: SequenceCounters,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    label: u64,
    at: Instant,
    state: ReplyWait,
}

/// The state of one datagram.
///
/// ```text
///            ┌─ reply ───▶ Answered ── reply ──▶ (a duplicate)
///   Awaited ─┤
///            └─ timeout ─▶ Lost ── reply ──▶ Late ── reply ──▶ (a duplicate)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyWait {
    Awaited,
    Answered,
    Lost,
    Late,
}

/// The kind of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first reply to a datagram, in order and in time.
    Answer {
        /// The number of the datagram, counted from 0.
        number: u64,
        /// The time since the datagram was sent.
        round_trip: Duration,
    },
    /// The first reply to a datagram, in time but after the reply to a later one (RFC 4737, section 3).
    Reordered {
        /// The number of the datagram.
        number: u64,
        /// The time since the datagram was sent.
        round_trip: Duration,
    },
    /// The first reply to a datagram, after its timeout.
    Late {
        /// The number of the datagram.
        number: u64,
        /// The time since the datagram was sent.
        round_trip: Duration,
    },
    /// Another reply to a datagram that has one.
    Duplicate {
        /// The number of the datagram.
        number: u64,
    },
    /// No remembered datagram has this label.
    Unknown,
}

/// Numbers of datagrams and replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceCounters {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams answered in time.
    pub answered: u64,
    /// Datagrams answered after their timeout.
    pub late: u64,
    /// Datagrams without a reply at their timeout or since.
    pub lost: u64,
    /// Datagrams still waiting for a reply.
    pub awaited: u64,
    /// Replies to a datagram that already had one.
    pub duplicates: u64,
    /// Of the datagrams answered in time: those answered after a later one.
    pub reordered: u64,
    /// Replies to no remembered datagram.
    pub unknown: u64,
}

impl SequenceCounters {
    /// Whether every datagram sent is counted exactly once.
    pub fn reconciles(&self) -> bool {
        self.sent == self.answered + self.late + self.lost + self.awaited && self.reordered <= self.answered
    }
}

impl Sequence {
    /// An empty sequence. A datagram counts as lost `timeout` after it was sent.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, sent: VecDeque::new(), first: 0, settled: 0, next: 0, counters: SequenceCounters::default() }
    }

    /// The counters so far.
    pub fn counters(&self) -> &SequenceCounters {
        &self.counters
    }

    /// Whether no datagram may be sent: the memory is full and the oldest datagram is still awaited.
    pub fn is_full(&self) -> bool {
        self.sent.len() >= REMEMBERED_MAX && self.settled == 0
    }

    /// Records a sent datagram and returns its number, counted from 0.
    ///
    /// # Panics
    /// If the sequence [is full](Self::is_full).
    pub fn handle_sent(&mut self, label: u64, now: Instant) -> u64 {
        assert!(!self.is_full(), "the sequence is full");
        if self.sent.len() >= REMEMBERED_MAX {
            self.sent.pop_front();
            self.first += 1;
            self.settled -= 1;
        }
        self.sent.push_back(Sent { label, at: now, state: ReplyWait::Awaited });
        self.counters.sent += 1;
        self.counters.awaited += 1;
        self.counters.sent - 1
    }

    /// Whether a remembered datagram has this label.
    pub fn contains(&self, label: u64) -> bool {
        self.sent.iter().any(|sent| sent.label == label)
    }

    /// Records a reply with a label. If several datagrams have the label, the reply belongs to the
    /// oldest awaited one, else to the oldest lost one. Otherwise it is a duplicate.
    pub fn handle_reply(&mut self, label: u64, now: Instant) -> Arrival {
        let find = |states: &[ReplyWait]| {
            self.sent.iter().position(|sent| sent.label == label && states.contains(&sent.state))
        };
        let index = find(&[ReplyWait::Awaited])
            .or_else(|| find(&[ReplyWait::Lost]))
            .or_else(|| find(&[ReplyWait::Answered, ReplyWait::Late]));
        self.handle_reply_to(index, now)
    }

    /// Records a reply without a label. It belongs to the oldest awaited datagram.
    pub fn handle_unlabeled_reply(&mut self, now: Instant) -> Arrival {
        let index = self.sent.iter().position(|sent| sent.state == ReplyWait::Awaited);
        self.handle_reply_to(index, now)
    }

    fn handle_reply_to(&mut self, index: Option<usize>, now: Instant) -> Arrival {
        let Some(index) = index else {
            self.counters.unknown += 1;
            return Arrival::Unknown;
        };
        let number = self.first + index as u64;
        let sent = &mut self.sent[index];
        let round_trip = now.since(sent.at);
        let arrival = match sent.state {
            ReplyWait::Awaited => {
                sent.state = ReplyWait::Answered;
                self.counters.awaited -= 1;
                self.counters.answered += 1;
                if number < self.next {
                    self.counters.reordered += 1;
                    Arrival::Reordered { number, round_trip }
                } else {
                    self.next = number + 1;
                    Arrival::Answer { number, round_trip }
                }
            }
            ReplyWait::Lost => {
                sent.state = ReplyWait::Late;
                self.counters.lost -= 1;
                self.counters.late += 1;
                Arrival::Late { number, round_trip }
            }
            ReplyWait::Answered | ReplyWait::Late => {
                self.counters.duplicates += 1;
                Arrival::Duplicate { number }
            }
        };
        self.advance();
        arrival
    }

    /// When the next datagram counts as lost.
    pub fn poll_deadline(&self) -> Instant {
        self.sent.get(self.settled).map_or(Instant::NEVER, |sent| sent.at + self.timeout)
    }

    /// Counts the oldest awaited datagram as lost, if its timeout has passed, and returns its number.
    /// Call again until it returns `None`.
    pub fn poll_lost(&mut self, now: Instant) -> Option<u64> {
        if self.poll_deadline() > now { None } else { self.lose_oldest() }
    }

    /// Counts all awaited datagrams as lost.
    pub fn give_up(&mut self) {
        while self.lose_oldest().is_some() {}
    }

    fn lose_oldest(&mut self) -> Option<u64> {
        let sent = self.sent.get_mut(self.settled)?;
        sent.state = ReplyWait::Lost;
        self.counters.awaited -= 1;
        self.counters.lost += 1;
        let number = self.first + self.settled as u64;
        self.advance();
        Some(number)
    }

    fn advance(&mut self) {
        while self.sent.get(self.settled).is_some_and(|sent| sent.state != ReplyWait::Awaited) {
            self.settled += 1;
        }
    }
}

#[cfg(test)]
mod tests;
