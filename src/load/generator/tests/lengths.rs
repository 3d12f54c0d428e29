//! Requests of random lengths.

use super::*;
use crate::load::record::ErrorKind;

fn ranged(min: usize, max: usize) -> Plan {
    Plan { message_len_min: Some(min), message_len: max, connections: 3, ..plan() }
}

#[test]
fn lengths_have_the_mean_of_the_range_with_every_framing() {
    for framing in ["raw", "lines", "length"] {
        let framing = framing.parse().unwrap();
        let plan = Plan { framing, pipeline: 4, run_length: RunLength::Requests(3_000), ..ranged(50, 150) };
        let record = run_healthy(plan);
        assert_eq!((record.requests.answered, record.errors.len()), (3_000, 0), "{framing}: {:?}", record.errors);
        let overhead = match framing.to_string().as_str() {
            "raw" => 0,
            "lines" => 1,
            _ => 4,
        };
        let mean = record.requests.sent_bytes as f64 / 3_000.0 - f64::from(overhead);
        assert!((97.0..103.0).contains(&mean), "{framing}: {mean}");
        assert_eq!(record.requests.received_bytes, record.requests.sent_bytes, "{framing}");
    }
}

#[test]
fn a_repeated_run_has_the_same_lengths() {
    let sent_bytes = || {
        let plan = Plan { run_length: RunLength::Requests(100), connections: 1, ..ranged(1, 10_000) };
        run_healthy(plan).requests.sent_bytes
    };
    assert_eq!(sent_bytes(), sent_bytes());
}

#[test]
fn answers_of_a_range_may_be_cut_anywhere() {
    for answer_part_max in 1..=12 {
        let mut simulated = SimulatedRun::healthy(Plan { pipeline: 3, ..ranged(1, 10) });
        simulated.answer_part_max = answer_part_max;
        let record = simulated.run(4 * SECOND);
        assert_reconciled(&record);
        assert!(record.requests.answered > 300 && record.errors.is_empty(), "{answer_part_max}: {record:?}");
    }
}

#[test]
fn a_wrong_length_is_a_mismatch() {
    let alterations: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.extend_from_within(..bytes.len().min(1)),
        |bytes| drop(bytes.drain(..bytes.len().min(1))),
        |bytes| bytes.truncate(bytes.len().saturating_sub(1)),
    ];
    let kinds = [ErrorKind::Mismatch, ErrorKind::Mismatch, ErrorKind::TimedOut];
    for (alter, kind) in alterations.into_iter().zip(kinds) {
        let mut simulated = SimulatedRun::healthy(ranged(40, 80));
        simulated.alter = alter;
        let record = simulated.run(4 * SECOND);
        assert_reconciled(&record);
        assert_eq!((record.errors[0].kind, record.errors[0].count), (kind, 3), "{:?}", record.errors);
    }
    let mut simulated = SimulatedRun::healthy(Plan { verify: Verify::Length, ..ranged(40, 80) });
    simulated.alter = |bytes| bytes.fill(0);
    assert!(simulated.run(4 * SECOND).errors.is_empty(), "without verification only the lengths count");
}
