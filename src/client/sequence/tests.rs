//! Single cases, and a comparison with a plain list of datagrams.

use proptest::prelude::*;

use super::*;

const TIMEOUT: Duration = Duration::from_millis(100);

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A sequence of `count` datagrams, one each millisecond, each with ten times its number as its label.
fn sequence_of(count: u64) -> Sequence {
    let mut sequence = Sequence::new(TIMEOUT);
    for number in 0..count {
        assert_eq!(sequence.handle_sent(number * 10, at(number)), number);
    }
    sequence
}

#[test]
fn replies_in_order_are_answers_with_their_round_trips() {
    let mut sequence = sequence_of(3);
    for number in 0..3 {
        let answer = Arrival::Answer { number, round_trip: millis(5) };
        assert_eq!(sequence.handle_reply(number * 10, at(number + 5)), answer);
    }
    assert_eq!(*sequence.counters(), SequenceCounters { sent: 3, answered: 3, ..SequenceCounters::default() });
    assert_eq!(sequence.poll_deadline(), Instant::NEVER);
}

#[test]
fn a_reply_after_a_later_one_is_reordered() {
    let mut sequence = sequence_of(4);
    let is_reordered = [20, 0, 10, 30].map(|label| {
        let arrival = sequence.handle_reply(label, at(10));
        matches!(arrival, Arrival::Reordered { .. })
    });
    assert_eq!(is_reordered, [false, true, true, false]);
    assert_eq!((sequence.counters().answered, sequence.counters().reordered), (4, 2));
}

#[test]
fn a_second_reply_is_a_duplicate_at_any_time() {
    let mut sequence = sequence_of(2);
    sequence.handle_reply(0, at(1));
    assert_eq!(sequence.handle_reply(0, at(2)), Arrival::Duplicate { number: 0 });
    sequence.handle_reply(10, at(3));
    assert_eq!(sequence.handle_reply(0, at(500)), Arrival::Duplicate { number: 0 });
    assert_eq!((sequence.counters().answered, sequence.counters().duplicates), (2, 2));
}

#[test]
fn each_datagram_is_lost_at_its_own_deadline() {
    let mut sequence = sequence_of(3);
    sequence.handle_reply(10, at(3));
    assert_eq!(sequence.poll_deadline(), at(100));
    assert_eq!(sequence.poll_lost(at(99)), None);
    assert_eq!((sequence.poll_lost(at(101)), sequence.poll_lost(at(101))), (Some(0), None));
    assert_eq!(sequence.poll_deadline(), at(102));
    assert_eq!(sequence.poll_lost(at(102)), Some(2));
    assert_eq!(sequence.poll_deadline(), Instant::NEVER);
    assert_eq!((sequence.counters().lost, sequence.counters().answered), (2, 1));
}

#[test]
fn a_reply_after_the_deadline_is_late_and_no_longer_lost() {
    let mut sequence = sequence_of(1);
    sequence.poll_lost(at(100));
    assert_eq!(sequence.handle_reply(0, at(150)), Arrival::Late { number: 0, round_trip: millis(150) });
    assert_eq!(sequence.handle_reply(0, at(151)), Arrival::Duplicate { number: 0 });
    assert_eq!((sequence.counters().late, sequence.counters().lost, sequence.counters().reordered), (1, 0, 0));
}

#[test]
fn of_several_datagrams_with_one_label_the_oldest_is_answered_first() {
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
fn a_reply_to_no_datagram_is_unknown() {
    let mut sequence = sequence_of(1);
    assert!(sequence.contains(0) && !sequence.contains(5));
    assert_eq!(sequence.handle_reply(5, at(1)), Arrival::Unknown);
    assert_eq!(sequence.handle_unlabeled_reply(at(1)), Arrival::Answer { number: 0, round_trip: millis(1) });
    assert_eq!(sequence.handle_unlabeled_reply(at(1)), Arrival::Unknown);
    assert_eq!(sequence.counters().unknown, 2);
}

#[test]
fn giving_up_counts_all_awaited_datagrams_as_lost() {
    let mut sequence = sequence_of(5);
    sequence.handle_reply(20, at(5));
    sequence.give_up();
    assert_eq!((sequence.counters().lost, sequence.counters().awaited), (4, 0));
}

#[test]
fn an_awaited_datagram_is_never_forgotten() {
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
    /// The model is a plain list of datagrams with their replies.
    #[test]
    fn a_sequence_agrees_with_a_plain_list(steps in prop::collection::vec((0_u8..4, 0_u64..12, 0_u64..40), 0..200)) {
        let (mut sequence, mut now) = (Sequence::new(TIMEOUT), 0);
        // For each datagram: the time it was sent, its replies, and whether it was lost before the first.
        let mut model: Vec<(u64, u32, bool)> = Vec::new();
        for (action, label, pass) in steps {
            match action {
                0 | 1 => {
                    sequence.handle_sent(model.len() as u64, at(now));
                    model.push((now, 0, false));
                }
                2 => {
                    let arrival = sequence.handle_reply(label, at(now));
                    match model.get_mut(label as usize) {
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
            let counters = sequence.counters();
            prop_assert!(counters.reconciles());
            let count = |is: fn(&(u64, u32, bool)) -> bool| model.iter().filter(|sent| is(sent)).count() as u64;
            prop_assert_eq!(counters.lost, count(|(_, replies, was_lost)| *replies == 0 && *was_lost));
            prop_assert_eq!(counters.late, count(|(_, replies, was_lost)| *replies > 0 && *was_lost));
            prop_assert_eq!(counters.awaited, count(|(_, replies, was_lost)| *replies == 0 && !*was_lost));
        }
    }
}
