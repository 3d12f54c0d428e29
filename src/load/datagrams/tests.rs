//! The UDP generator in the simulated world, with lost, repeated, late and wrong datagrams.

use std::time::Duration;

use super::*;
use crate::load::cost::Cost;
use crate::load::plan::Pace;
use crate::load::record::Record;
use crate::sim::{SimNet, World};

const MS: Duration = Duration::from_millis(1);

/// Runs `plan` against a server that sends the datagrams of `answer(number, datagram)`.
fn run(plan: Plan, answer: impl Fn(u64, Vec<u8>) -> Vec<Vec<u8>>) -> Record {
    let world = World::new(1);
    let to = "127.0.0.1:7".parse().unwrap();
    let mut generator = DatagramGenerator::<SimNet>::over(world.net(), to, plan.clone(), Member::alone()).unwrap();
    let mut number = 0;
    for _ in 0..20_000 {
        let mut run_end = None;
        world
            .advance(MS, || {
                run_end = generator.turn()?;
                Ok::<_, io::Error>(())
            })
            .unwrap();
        if run_end.is_some() {
            return generator.into_outcome().into_record(&plan, Cost::new(None).unwrap(), 0);
        }
        for (from, to, datagram) in world.take_datagrams() {
            number += 1;
            for answer in answer(number, datagram) {
                world.send_datagram(to, &Address::Udp(from.to_string()), &answer);
            }
        }
    }
    panic!("the run did not end within 20 seconds");
}

fn plan() -> Plan {
    let address = "udp://127.0.0.1:7".parse().unwrap();
    Plan { connections: 4, timeout: 200 * MS, run_length: RunLength::Requests(1000), ..Plan::new(address) }
}

#[track_caller]
fn assert_reconciled(record: &Record) {
    let requests = &record.requests;
    assert_eq!(requests.sent, requests.answered + requests.failed + requests.lost, "{requests:?}");
    assert_eq!(record.latency.count, requests.answered);
}

#[test]
fn every_datagram_is_answered_and_counted_once() {
    let record = run(plan(), |_, datagram| vec![datagram]);
    assert_reconciled(&record);
    assert_eq!((record.requests.sent, record.requests.answered, record.ending), (1000, 1000, RunEnd::Done));
    assert_eq!((record.requests.sent_bytes, record.requests.received_bytes), (64_000, 64_000));
    let record = run(Plan { pipeline: 5, ..plan() }, |_, datagram| vec![datagram.clone(), datagram]);
    assert_reconciled(&record);
    assert_eq!((record.requests.answered, record.has_failed()), (1000, false), "a repeated answer counts once");
}

#[test]
fn lost_datagrams_are_counted_and_are_no_failure() {
    let record = run(plan(), |number, datagram| if number % 10 == 0 { vec![] } else { vec![datagram] });
    assert_reconciled(&record);
    assert_eq!((record.requests.lost, record.requests.answered), (100, 900));
    assert!(!record.has_failed() && record.errors.is_empty());
    let record = run(Plan { run_length: RunLength::Time(1000 * MS), ..plan() }, |_, _| vec![]);
    assert_reconciled(&record);
    assert_eq!(record.requests.answered, 0);
}

#[test]
fn losses_do_not_change_the_rate() {
    let plan = Plan { pace: Pace::Open(500.0), run_length: RunLength::Time(1000 * MS), pipeline: 100, ..plan() };
    let record = run(plan, |number, datagram| if number % 10 == 0 { vec![] } else { vec![datagram] });
    assert_reconciled(&record);
    assert_eq!((record.requests.sent, record.requests.lost, record.requests.unsent), (500, 50, 0));
}

#[test]
fn a_backlog_of_the_warm_up_does_not_take_the_measured_time() {
    let (warm_up, run_length) = (1000 * MS, RunLength::Time(1000 * MS));
    // At most 4 requests are answered per millisecond, and ten are planned.
    let record = run(Plan { pace: Pace::Open(10_000.0), warm_up, run_length, ..plan() }, |_, datagram| vec![datagram]);
    assert_reconciled(&record);
    assert!(record.requests.answered > 2_000, "{:?}", record.requests);
}

#[test]
fn wrong_bytes_and_wrong_lengths_are_mismatches() {
    let altered = run(plan(), |number, mut datagram| {
        match number {
            7 => datagram[20] ^= 1,
            8 => datagram.truncate(60),
            _ => {}
        }
        vec![datagram]
    });
    assert_reconciled(&altered);
    assert_eq!((altered.errors[0].kind, altered.errors[0].count), (ErrorKind::Mismatch, 2));
    assert_eq!(altered.requests.failed, 2);
}

#[test]
fn datagrams_of_random_lengths_are_verified() {
    let plan = Plan { message_len_min: Some(8), message_len: 108, ..plan() };
    let record = run(plan.clone(), |_, datagram| vec![datagram]);
    assert_reconciled(&record);
    assert_eq!((record.requests.answered, record.has_failed()), (1000, false));
    let mean = record.requests.sent_bytes / 1000;
    assert!((54..=62).contains(&mean), "{mean}");
    let record = run(plan, |number, mut datagram| {
        datagram.truncate(datagram.len() - usize::from(number == 500 && datagram.len() > 8));
        vec![datagram]
    });
    assert_reconciled(&record);
    assert_eq!((record.requests.failed, record.errors[0].kind), (1, ErrorKind::Mismatch));
}
