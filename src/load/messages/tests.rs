//! Answers that arrive split, joined or wrong.

use super::*;
use crate::instant::Instant;
use crate::load::exchange::Purpose;
use crate::load::pattern::PatternOffset;
use crate::net::Address;

const SERIAL: u64 = 3;

fn plan() -> Plan {
    Plan { message_len: 10, ..Plan::new("127.0.0.1:7".parse::<Address>().unwrap()) }
}

fn request(number: u64) -> Request {
    Request { planned: Instant::from_nanos(number), sent_at: Instant::from_nanos(number) }
}

/// A connection with this number of requests in flight.
fn exchange(messages: &Messages, requests: u64) -> Exchange {
    let mut exchange = Exchange { purpose: Purpose::Requesting, ..Exchange::idle(SERIAL, Instant::ORIGIN) };
    exchange.missing = messages.answer_len(SERIAL, 0);
    exchange.in_flight.extend((0..requests).map(request));
    exchange.sent = requests;
    exchange
}

/// The bytes of the first answers.
fn echo(len: usize) -> Vec<u8> {
    Pattern::new(plan().framing).chunks(&mut PatternOffset::of_connection(SERIAL), len).collect::<Vec<_>>().concat()
}

#[track_caller]
fn check(messages: &Messages, exchange: &mut Exchange, bytes: &[u8], answered: std::ops::Range<u64>) {
    let mut seen = Vec::new();
    assert_eq!(messages.receive(exchange, bytes, |request| seen.push(request)), Ok(()));
    assert_eq!(seen, answered.map(request).collect::<Vec<_>>());
}

#[test]
fn answers_may_arrive_split_or_joined() {
    let messages = Messages::new(&plan());
    let (mut exchange, echo) = (exchange(&messages, 5), echo(50));
    check(&messages, &mut exchange, &echo[..9], 0..0);
    check(&messages, &mut exchange, &echo[9..10], 0..1);
    check(&messages, &mut exchange, &echo[10..35], 1..3);
    check(&messages, &mut exchange, &echo[35..], 3..5);
    assert_eq!((exchange.in_flight.len(), exchange.answered()), (0, 5));
}

#[test]
fn excess_bytes_are_a_mismatch() {
    let messages = Messages::new(&plan());
    for (requests, len) in [(0, 1), (1, 11)] {
        let received = messages.receive(&mut exchange(&messages, requests), &echo(len), |_| {});
        assert_eq!(received, Err(Mismatch::Excess));
    }
}

#[test]
fn other_bytes_are_a_mismatch_unless_only_lengths_are_checked() {
    let mut wrong = echo(10);
    wrong[9] ^= 1;
    let messages = Messages::new(&plan());
    assert_eq!(messages.receive(&mut exchange(&messages, 1), &wrong, |_| {}), Err(Mismatch::Bytes));
    let messages = Messages::new(&Plan { verify: Verify::Length, ..plan() });
    check(&messages, &mut exchange(&messages, 1), &wrong, 0..1);
}

#[test]
fn the_lengths_of_answers_are_those_of_the_requests() {
    let messages = Messages::new(&Plan { message_len_min: Some(1), message_len: 100, ..plan() });
    let mut exchange = exchange(&messages, 50);
    let lens: Vec<usize> = (0..50).map(|number| messages.answer_len(SERIAL, number)).collect();
    let echo = echo(lens.iter().sum());
    let mut at = 0;
    for (number, len) in (0..).zip(lens) {
        check(&messages, &mut exchange, &echo[at..at + len - 1], 0..0);
        check(&messages, &mut exchange, &echo[at + len - 1..at + len], number..number + 1);
        at += len;
    }
}
