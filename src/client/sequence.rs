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
    tally: SequenceTally,
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
pub struct SequenceTally {
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

impl SequenceTally {
    /// Whether each datagram that was sent is accounted for.
    pub fn reconciles(&self) -> bool {
        self.sent == self.answered + self.late + self.lost + self.awaited && self.reordered <= self.answered
    }
}

impl Sequence {
    /// A sequence of none, whose datagrams are held for lost after `timeout` without a reply.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, sent: VecDeque::new(), first: 0, settled: 0, next: 0, tally: SequenceTally::default() }
    }

    /// The counts so far.
    pub fn tally(&self) -> &SequenceTally {
        &self.tally
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
        self.tally.sent += 1;
        self.tally.awaited += 1;
        self.tally.sent - 1
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
                self.tally.unknown += 1;
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
                self.tally.unknown += 1;
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
                self.tally.awaited -= 1;
                self.tally.answered += 1;
                if number < self.next {
                    self.tally.reordered += 1;
                    Arrival::Overtaken { number, round_trip }
                } else {
                    self.next = number + 1;
                    Arrival::Answer { number, round_trip }
                }
            }
            Fate::Lost => {
                sent.fate = Fate::Late;
                self.tally.lost -= 1;
                self.tally.late += 1;
                Arrival::Late { number, round_trip }
            }
            Fate::Answered | Fate::Late => {
                self.tally.duplicates += 1;
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
        self.tally.awaited -= 1;
        self.tally.lost += 1;
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// So many datagrams, each labelled with ten times its number, one each millisecond.
    fn sent(count: u64) -> Sequence {
        let mut sequence = Sequence::new(TIMEOUT);
        for number in 0..count {
            assert_eq!(sequence.handle_sent(number * 10, at(number)), number);
        }
        sequence
    }

    #[test]
    fn replies_in_their_turn_are_answers_with_their_round_trips() {
        let mut sequence = sent(3);
        for number in 0..3 {
            let answer = Arrival::Answer { number, round_trip: millis(5) };
            assert_eq!(sequence.handle_reply(number * 10, at(number + 5)), answer);
        }
        assert_eq!(*sequence.tally(), SequenceTally { sent: 3, answered: 3, ..SequenceTally::default() });
        assert_eq!(sequence.poll_deadline(), Instant::NEVER);
    }

    #[test]
    fn who_is_overtaken_is_reordered_and_who_overtakes_is_not() {
        let mut sequence = sent(4);
        let is_overtaken = [20, 0, 10, 30].map(|label| {
            let arrival = sequence.handle_reply(label, at(10));
            matches!(arrival, Arrival::Overtaken { .. })
        });
        assert_eq!(is_overtaken, [false, true, true, false]);
        assert_eq!((sequence.tally().answered, sequence.tally().reordered), (4, 2));
    }

    #[test]
    fn a_second_reply_is_a_duplicate_however_late() {
        let mut sequence = sent(2);
        sequence.handle_reply(0, at(1));
        assert_eq!(sequence.handle_reply(0, at(2)), Arrival::Duplicate { number: 0 });
        sequence.handle_reply(10, at(3));
        assert_eq!(sequence.handle_reply(0, at(500)), Arrival::Duplicate { number: 0 });
        assert_eq!((sequence.tally().answered, sequence.tally().duplicates), (2, 2));
    }

    #[test]
    fn each_is_lost_at_its_own_deadline_and_not_before() {
        let mut sequence = sent(3);
        sequence.handle_reply(10, at(3));
        assert_eq!(sequence.poll_deadline(), at(100));
        assert_eq!(sequence.poll_lost(at(99)), None);
        assert_eq!((sequence.poll_lost(at(101)), sequence.poll_lost(at(101))), (Some(0), None));
        assert_eq!(sequence.poll_deadline(), at(102));
        assert_eq!(sequence.poll_lost(at(102)), Some(2));
        assert_eq!(sequence.poll_deadline(), Instant::NEVER);
        assert_eq!((sequence.tally().lost, sequence.tally().answered), (2, 1));
    }

    #[test]
    fn who_comes_after_that_is_late_and_lost_no_more() {
        let mut sequence = sent(1);
        sequence.poll_lost(at(100));
        assert_eq!(sequence.handle_reply(0, at(150)), Arrival::Late { number: 0, round_trip: millis(150) });
        assert_eq!(sequence.handle_reply(0, at(151)), Arrival::Duplicate { number: 0 });
        assert_eq!((sequence.tally().late, sequence.tally().lost, sequence.tally().reordered), (1, 0, 0));
    }

    #[test]
    fn of_several_with_one_label_the_oldest_is_answered_first() {
        let mut sequence = Sequence::new(TIMEOUT);
        for now in 0..3 {
            sequence.handle_sent(7, at(now));
        }
        for number in 0..3 {
            let answer = Arrival::Answer { number, round_trip: millis(9 - number) };
            assert_eq!(sequence.handle_reply(7, at(9)), answer);
        }
        assert!(matches!(sequence.handle_reply(7, at(9)), Arrival::Duplicate { .. }));
    }

    #[test]
    fn what_answers_nothing_is_unknown() {
        let mut sequence = sent(1);
        assert!(sequence.knows(0) && !sequence.knows(5));
        assert_eq!(sequence.handle_reply(5, at(1)), Arrival::Unknown);
        assert_eq!(sequence.handle_unlabelled(at(1)), Arrival::Answer { number: 0, round_trip: millis(1) });
        assert_eq!(sequence.handle_unlabelled(at(1)), Arrival::Unknown);
        assert_eq!(sequence.tally().unknown, 2);
    }

    #[test]
    fn given_up_is_lost_at_once() {
        let mut sequence = sent(5);
        sequence.handle_reply(20, at(5));
        sequence.give_up();
        assert_eq!((sequence.tally().lost, sequence.tally().awaited), (4, 0));
    }

    #[test]
    fn the_oldest_are_forgotten_but_never_one_that_is_awaited() {
        let mut sequence = Sequence::new(TIMEOUT);
        for number in 0..REMEMBERED_MAX as u64 {
            sequence.handle_sent(number, at(0));
        }
        assert!(sequence.is_full());
        sequence.handle_reply(1, at(1));
        assert!(sequence.is_full(), "the first is still awaited");
        sequence.handle_reply(0, at(1));
        for number in 0..2 {
            assert!(!sequence.is_full());
            sequence.handle_sent(REMEMBERED_MAX as u64 + number, at(2));
        }
        assert!(sequence.is_full());
        assert_eq!(sequence.handle_reply(0, at(3)), Arrival::Unknown, "forgotten");
        assert_eq!(sequence.sent.len(), REMEMBERED_MAX);
    }

    proptest! {
        /// Against the plainest of models: a list of what was sent and how often each was answered.
        #[test]
        fn it_tells_the_same_as_a_plain_list(steps in prop::collection::vec((0_u8..4, 0_u64..12, 0_u64..40), 0..200)) {
            let (mut sequence, mut now) = (Sequence::new(TIMEOUT), 0);
            // When it was sent, the replies to it, and whether it was lost first.
            let mut model: Vec<(u64, u32, bool)> = Vec::new();
            for (what, which, pass) in steps {
                match what {
                    0 | 1 => {
                        sequence.handle_sent(model.len() as u64, at(now));
                        model.push((now, 0, false));
                    }
                    2 => {
                        let arrival = sequence.handle_reply(which, at(now));
                        match model.get_mut(which as usize) {
                            None => prop_assert_eq!(arrival, Arrival::Unknown),
                            Some((_, replies, was_lost)) => {
                                *replies += 1;
                                prop_assert_eq!(matches!(arrival, Arrival::Duplicate { .. }), *replies > 1);
                                prop_assert_eq!(matches!(arrival, Arrival::Late { .. }), *replies == 1 && *was_lost);
                            }
                        }
                    }
                    _ => {
                        now += pass;
                        while sequence.poll_lost(at(now)).is_some() {}
                        for (sent, replies, was_lost) in &mut model {
                            *was_lost |= *replies == 0 && *sent + 100 <= now;
                        }
                    }
                }
                let tally = sequence.tally();
                prop_assert!(tally.reconciles());
                let count = |is: fn(&(u64, u32, bool)) -> bool| model.iter().filter(|sent| is(sent)).count() as u64;
                prop_assert_eq!(tally.lost, count(|(_, replies, was_lost)| *replies == 0 && *was_lost));
                prop_assert_eq!(tally.late, count(|(_, replies, was_lost)| *replies > 0 && *was_lost));
                prop_assert_eq!(tally.awaited, count(|(_, replies, was_lost)| *replies == 0 && !*was_lost));
            }
        }
    }
}
