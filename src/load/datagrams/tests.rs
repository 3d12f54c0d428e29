//! The generator over datagrams in the simulated world: what is lost, doubled, late or wrong.

use std::time::Duration;

use super::*;
use crate::sim::{SimNet, World};

const MS: Duration = Duration::from_millis(1);

/// A server that gets the datagrams and what it makes of each: the ones that it sends.
fn run(plan: Plan, answer: impl Fn(u64, Vec<u8>) -> Vec<Vec<u8>>) -> Record {
    let world = World::new(1);
    let (clock, to) = (world.clone(), "127.0.0.1:7".parse().unwrap());
    let cost = Cost::new(None).unwrap();
    let clock: Clock = Box::new(move || clock.now());
    let mut generator = DatagramGenerator::<SimNet>::over(world.net(), clock, to, plan, cost).unwrap();
    let mut number = 0;
    for _ in 0..20_000 {
        let mut ending = None;
        world
            .pass(MS, || {
                ending = generator.turn()?;
                Ok::<_, io::Error>(())
            })
            .unwrap();
        if ending.is_some() {
            return generator.into_record("a run".to_owned(), 0);
        }
        for (from, to, datagram) in world.take_datagrams() {
            number += 1;
            for answer in answer(number, datagram) {
                world.send_datagram(to, &Address::Udp(from.to_string()), &answer);
            }
        }
    }
    panic!("not over in twenty seconds");
}

fn plan() -> Plan {
    let address = "udp://127.0.0.1:7".parse().unwrap();
    Plan { connections: 4, timeout: 200 * MS, run_length: RunLength::Requests(1000), ..Plan::new(address) }
}

#[track_caller]
fn reconciles(record: &Record) {
    let requests = &record.requests;
    assert_eq!(requests.sent, requests.answered + requests.failed + requests.lost, "{requests:?}");
    assert_eq!(record.latency.count, requests.answered);
}

#[test]
fn every_datagram_is_answered_and_counted_once() {
    let record = run(plan(), |_, datagram| vec![datagram]);
    reconciles(&record);
    assert_eq!((record.requests.sent, record.requests.answered, record.ending), (1000, 1000, RunEnd::Done));
    assert_eq!((record.requests.sent_bytes, record.requests.received_bytes), (64_000, 64_000));
    let record = run(Plan { pipeline: 5, ..plan() }, |_, datagram| vec![datagram.clone(), datagram]);
    reconciles(&record);
    assert_eq!((record.requests.answered, record.has_failed()), (1000, false), "what comes twice counts once");
}

#[test]
fn what_is_lost_is_counted_and_no_failure() {
    let record = run(plan(), |number, datagram| if number % 10 == 0 { vec![] } else { vec![datagram] });
    reconciles(&record);
    assert_eq!((record.requests.lost, record.requests.answered), (100, 900));
    assert!(!record.has_failed() && record.errors.is_empty());
    let record = run(Plan { run_length: RunLength::Time(1000 * MS), ..plan() }, |_, _| vec![]);
    reconciles(&record);
    assert_eq!(record.requests.answered, 0);
}

#[test]
fn a_rate_is_kept_through_losses() {
    let plan = Plan { pace: Pace::Open(500.0), run_length: RunLength::Time(1000 * MS), pipeline: 100, ..plan() };
    let record = run(plan, |number, datagram| if number % 10 == 0 { vec![] } else { vec![datagram] });
    reconciles(&record);
    assert_eq!((record.requests.sent, record.requests.lost, record.requests.unsent), (500, 50, 0));
}

#[test]
fn wrong_bytes_and_wrong_lengths_are_mismatches() {
    let meddled = run(plan(), |number, mut datagram| {
        match number {
            7 => datagram[20] ^= 1,
            8 => datagram.truncate(60),
            _ => {}
        }
        vec![datagram]
    });
    reconciles(&meddled);
    assert_eq!((meddled.errors[0].kind, meddled.errors[0].count), (ErrorKind::Mismatch, 2));
    assert_eq!(meddled.requests.failed, 2);
}
