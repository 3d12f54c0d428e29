//! `Sequence`: what became of each datagram that was sent: answered, late, lost; twice, out of order.
//!
//! A pure machine: sendings, replies and times go in, judgements come out. It opens no socket,
//! reads no clock, and keeps no bytes: a datagram is known by a label, such as the number that it
//! carries or a digest of what is in it.
//!
//! ```text
//!              reply ──▶ Answered ──reply──▶ (a duplicate)
//!   Awaited ──┤
//!              timeout ─▶ Lost ──reply──▶ Late ──reply──▶ (a duplicate)
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::instant::Instant;

/// How many datagrams are remembered: the last ones, in 128 KiB.
///
/// A second of 4,000 datagrams each, which is longer than a path keeps one of them back.
pub const REMEMBERED_MAX: usize = 4096;

/// What is known of the datagrams that were sent, the oldest of them first.
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
/// assert!(matches!(sequence.handle_reply(0, now), Arrival::Overtaken { .. }));
/// assert!(matches!(sequence.handle_reply(1, now), Arrival::Duplicate { .. }));
/// assert_eq!(sequence.poll_lost(now + Duration::from_secs(1)), Some(2));
/// ```
#[derive(Clone, Debug)]
pub struct Sequence {
    timeout: Duration,
    sent: VecDeque<Sent>,
    /// The number of the first that is remembered.
    first: u64,
    /// How many at the front are known not to be awaited.
    settled: usize,
    /// The number behind the latest that was answered in its turn.
    next: u64,
    counters: SequenceCounters,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    label: u64,
    at: Instant,
    fate: Fate,
}

/// See the picture at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Awaited,
    Answered,
    Lost,
    Late,
}

/// What a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first to this datagram, in its turn and in time.
    Answer {
        /// Which datagram it answers, counted from 0.
        number: u64,
        /// How long after its datagram it came.
        round_trip: Duration,
    },
    /// The same, but one to a later datagram came before (RFC 4737, section 3).
    Overtaken {
        /// Which datagram it answers.
        number: u64,
        /// How long after its datagram it came.
        round_trip: Duration,
    },
    /// The first to a datagram that was held for lost.
    Late {
        /// Which datagram it answers.
        number: u64,
        /// How long after its datagram it came.
        round_trip: Duration,
    },
    /// A further one to a datagram that has its answer.
    Duplicate {
        /// Which datagram it answers.
        number: u64,
    },
    /// No datagram that is remembered has this label.
    Unknown,
}

/// Datagrams by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceCounters {
    /// That were sent.
    pub sent: u64,
    /// That were answered in time.
    pub answered: u64,
    /// That were answered too late.
    pub late: u64,
    /// To which no reply has come, and none is awaited any more.
    pub lost: u64,
    /// To which a reply is awaited.
    pub awaited: u64,
    /// Replies behind the first.
    pub duplicates: u64,
    /// Of those answered in time: how many were overtaken by a later one.
    pub reordered: u64,
    /// Replies to nothing that is remembered.
    pub unknown: u64,
}

impl SequenceCounters {
    /// Whether each datagram that was sent is accounted for.
    pub fn reconciles(&self) -> bool {
        self.sent == self.answered + self.late + self.lost + self.awaited && self.reordered <= self.answered
    }
}

impl Sequence {
    /// A sequence of none, whose datagrams are held for lost after `timeout` without a reply.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, sent: VecDeque::new(), first: 0, settled: 0, next: 0, counters: SequenceCounters::default() }
    }

    /// The counts so far.
    pub fn counters(&self) -> &SequenceCounters {
        &self.counters
    }

    /// Whether another datagram would be one too many: all that are remembered wait behind one
    /// that is still awaited.
    pub fn is_full(&self) -> bool {
        self.sent.len() >= REMEMBERED_MAX && self.settled == 0
    }

    /// A datagram was sent: its number, counted from 0.
    ///
    /// # Panics
    /// When the sequence [is full](Self::is_full).
    pub fn handle_sent(&mut self, label: u64, now: Instant) -> u64 {
        assert!(!self.is_full(), "no more are sent than are remembered");
        if self.sent.len() >= REMEMBERED_MAX {
            self.sent.pop_front();
            self.first += 1;
            self.settled -= 1;
        }
        self.sent.push_back(Sent { label, at: now, fate: Fate::Awaited });
        self.counters.sent += 1;
        self.counters.awaited += 1;
        self.counters.sent - 1
    }

    /// Whether a datagram that is remembered has this label.
    pub fn knows(&self, label: u64) -> bool {
        self.sent.iter().any(|sent| sent.label == label)
    }

    /// A reply with that label came at `now`. Where several datagrams had it, it is to the oldest
    /// that is awaited, or else to the oldest that was lost, or else a duplicate.
    pub fn handle_reply(&mut self, label: u64, now: Instant) -> Arrival {
        let place =
            |fates: &[Fate]| self.sent.iter().position(|sent| sent.label == label && fates.contains(&sent.fate));
        let place =
            place(&[Fate::Awaited]).or_else(|| place(&[Fate::Lost])).or_else(|| place(&[Fate::Answered, Fate::Late]));
        match place {
            Some(place) => self.settle(place, now),
            None => {
                self.counters.unknown += 1;
                Arrival::Unknown
            }
        }
    }

    /// A reply came at `now` that does not say to what: it is taken for one to the oldest datagram
    /// that is awaited.
    pub fn handle_unlabelled(&mut self, now: Instant) -> Arrival {
        match self.sent.iter().position(|sent| sent.fate == Fate::Awaited) {
            Some(place) => self.settle(place, now),
            None => {
                self.counters.unknown += 1;
                Arrival::Unknown
            }
        }
    }

    fn settle(&mut self, place: usize, now: Instant) -> Arrival {
        let number = self.first + place as u64;
        let sent = &mut self.sent[place];
        let round_trip = now.since(sent.at);
        let arrival = match sent.fate {
            Fate::Awaited => {
                sent.fate = Fate::Answered;
                self.counters.awaited -= 1;
                self.counters.answered += 1;
                if number < self.next {
                    self.counters.reordered += 1;
                    Arrival::Overtaken { number, round_trip }
                } else {
                    self.next = number + 1;
                    Arrival::Answer { number, round_trip }
                }
            }
            Fate::Lost => {
                sent.fate = Fate::Late;
                self.counters.lost -= 1;
                self.counters.late += 1;
                Arrival::Late { number, round_trip }
            }
            Fate::Answered | Fate::Late => {
                self.counters.duplicates += 1;
                Arrival::Duplicate { number }
            }
        };
        self.advance();
        arrival
    }

    /// When the next datagram is to be held for lost.
    pub fn poll_deadline(&self) -> Instant {
        self.sent.get(self.settled).map_or(Instant::NEVER, |sent| sent.at + self.timeout)
    }

    /// Holds the oldest for lost if it has waited too long: its number. Ask again after that.
    pub fn poll_lost(&mut self, now: Instant) -> Option<u64> {
        // They were sent one after another: the oldest is due first.
        if self.poll_deadline() > now { None } else { self.lose_oldest() }
    }

    /// Holds for lost whatever is awaited, as when nobody listens there.
    pub fn give_up(&mut self) {
        while self.lose_oldest().is_some() {}
    }

    fn lose_oldest(&mut self) -> Option<u64> {
        let sent = self.sent.get_mut(self.settled)?;
        sent.fate = Fate::Lost;
        self.counters.awaited -= 1;
        self.counters.lost += 1;
        let number = self.first + self.settled as u64;
        self.advance();
        Some(number)
    }

    fn advance(&mut self) {
        while self.sent.get(self.settled).is_some_and(|sent| sent.fate != Fate::Awaited) {
            self.settled += 1;
        }
    }
}

#[cfg(test)]
mod tests;
