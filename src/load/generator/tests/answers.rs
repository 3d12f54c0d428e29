//! Requests and answers that are not an echo.

use super::*;
use crate::load::plan::ExpectedAnswer;
use crate::load::record::ErrorKind;

const REQUEST: &[u8] = b"PING\r\n";

fn expecting(answer: ExpectedAnswer) -> Plan {
    Plan { request: Some(REQUEST.into()), answer, connections: 2, pipeline: 3, ..plan() }
}

fn until(delimiter: &[u8]) -> ExpectedAnswer {
    ExpectedAnswer::Until(delimiter.into())
}

/// Answers each request in `held` with `answer`.
fn answer_each(held: &mut Vec<u8>, answer: &[u8]) {
    assert!(held.chunks(REQUEST.len()).all(|request| request == REQUEST), "{:?}", held.escape_ascii().to_string());
    *held = answer.repeat(held.len() / REQUEST.len());
}

/// A run against a server that answers with `alter`, at most `answer_part_max` bytes per millisecond.
fn simulated(answer: ExpectedAnswer, alter: fn(&mut Vec<u8>), answer_part_max: usize) -> Record {
    let simulated = SimulatedRun::healthy(expecting(answer));
    let record = SimulatedRun { alter, answer_part_max, ..simulated }.run(4 * SECOND);
    assert_reconciled(&record);
    record
}

#[test]
fn answers_of_each_kind_may_be_cut_anywhere() {
    let pong: fn(&mut Vec<u8>) = |held| answer_each(held, b"+PONG\r\r\n\r\n");
    for answer in [
        ExpectedAnswer::Bytes((*b"+PONG\r\r\n\r\n").into()),
        ExpectedAnswer::Length(10),
        until(b"\r\n\r\n"),
        until(b"\r\r\n\r\n"),
    ] {
        for answer_part_max in (1..=12).chain([usize::MAX]) {
            let record = simulated(answer.clone(), pong, answer_part_max);
            assert!(record.requests.answered > 150 && record.errors.is_empty(), "{answer}: {:?}", record.errors);
        }
    }
    let record = simulated(ExpectedAnswer::Echo, |held| answer_each(held, REQUEST), 4);
    assert!(record.requests.answered > 1000 && record.errors.is_empty(), "{:?}", record.errors);
}

#[test]
fn a_wrong_answer_is_a_mismatch() {
    let one_too_many: fn(&mut Vec<u8>) = |held| answer_each(held, b"+PONG\r\n+");
    for (answer, alter) in [
        (ExpectedAnswer::Bytes((*b"+PONG\r\n").into()), (|held| answer_each(held, b"+PUNG\r\n")) as fn(&mut Vec<u8>)),
        (ExpectedAnswer::Bytes((*b"+PONG\r\n").into()), one_too_many),
        (ExpectedAnswer::Length(7), one_too_many),
        (ExpectedAnswer::Echo, |held| answer_each(held, b"PING\r\r")),
    ] {
        let record = simulated(answer.clone(), alter, usize::MAX);
        assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::Mismatch, 2), "{answer}");
        assert_eq!(record.ending, RunEnd::Abandoned);
    }
    let plan = Plan { verify: Verify::Length, ..expecting(ExpectedAnswer::Bytes((*b"+PONG\r\n").into())) };
    let alter: fn(&mut Vec<u8>) = |held| answer_each(held, b"+PUNG\r\n");
    let record = SimulatedRun { alter, ..SimulatedRun::healthy(plan) }.run(4 * SECOND);
    assert!(record.errors.is_empty() && record.requests.answered > 1000, "without verification only the length counts");
}

#[test]
fn a_server_that_sends_before_the_request_is_a_mismatch() {
    let mut simulated = SimulatedRun::healthy(Plan { connections: 1, ..expecting(until(b"\n")) });
    simulated.alter = |held| answer_each(held, b"+PONG\r\nhello\n");
    let record = simulated.run(4 * SECOND);
    assert_reconciled(&record);
    let error = &record.errors[0];
    assert_eq!((error.kind, error.count), (ErrorKind::Mismatch, 1));
    assert!(error.example.contains("more bytes than expected"), "{}", error.example);
}

#[test]
fn an_answer_that_never_ends_is_an_error() {
    let record = simulated(until(b"\n"), |held| answer_each(held, b"no end"), usize::MAX);
    assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::TimedOut, 2));
    let endless: fn(&mut Vec<u8>) = |held| {
        if !held.is_empty() {
            *held = vec![b'a'; 17 << 20];
        }
    };
    let record = simulated(until(b"\n"), endless, 1 << 20);
    assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::Mismatch, 2), "{:?}", record.errors);
    assert!(record.errors[0].example.contains("without the expected delimiter"), "{}", record.errors[0].example);
}

#[test]
fn answers_of_their_own_work_at_a_fixed_rate_and_with_new_connections() {
    let own = || expecting(until(b"\r\n"));
    for plan in [
        Plan { pace: Pace::Open(500.0), ..own() },
        Plan { reuse: ConnectionReuse::PerRequest, pipeline: 1, ..own() },
        Plan { reuse: ConnectionReuse::Requests(5), ..own() },
    ] {
        let mut simulated = SimulatedRun::healthy(plan);
        simulated.alter = |held| answer_each(held, b"+PONG\r\n");
        let record = simulated.run(4 * SECOND);
        assert_reconciled(&record);
        assert!(record.requests.answered > 300 && record.errors.is_empty(), "{record:?}");
    }
}
