//! Numbers of connections that rise or fall.

use super::*;
use crate::load::plan::{Distribution, Ramp};
use crate::load::record::ErrorKind;

fn ramp(from: usize, to: usize) -> Plan {
    let ramp = Some(Ramp { from, to, time: SECOND });
    Plan { connections: from.max(to), ramp, warm_up: SECOND / 2, ..plan() }
}

fn connections(record: &Record) -> Vec<u64> {
    record.series.iter().map(|interval| interval.connections).collect()
}

#[test]
fn connections_are_opened_over_the_measured_time() {
    let record = run_healthy(ramp(10, 59));
    let connections = connections(&record);
    // 50 numbers of connections last 20 ms each.
    let expected: Vec<u64> = (1..=10).map(|tenth| 9 + 5 * tenth).collect();
    assert!(connections.iter().zip(&expected).all(|(seen, expected)| seen.abs_diff(*expected) <= 1), "{connections:?}");
    assert_eq!((record.connections.opened, record.connections.open_max, record.errors.len()), (59, 59, 0));
    assert!(record.series[9].answered > 4 * record.series[0].answered, "each connection carries requests");
    assert_eq!(record.connections.silent, 0);
}

#[test]
fn connections_are_closed_over_the_measured_time() {
    let record = run_healthy(Plan { pipeline: 4, ..ramp(59, 10) });
    let connections = connections(&record);
    // An interval has the number at its start.
    let expected: Vec<u64> = (0..10).map(|tenth| 60 - 5 * tenth).collect();
    assert!(connections.iter().zip(&expected).all(|(seen, expected)| seen.abs_diff(*expected) <= 1), "{connections:?}");
    assert_eq!((record.connections.opened, record.connections.broken, record.errors.len()), (59, 0, 0));
    assert_eq!(record.requests.failed, 0);
}

#[test]
fn the_last_number_of_connections_stays_after_the_ramp() {
    for (from, to) in [(2, 20), (20, 2), (7, 7)] {
        let record = run_healthy(Plan { run_length: RunLength::Time(2 * SECOND), ..ramp(from, to) });
        let connections = connections(&record);
        assert!(connections[10..].iter().all(|count| *count == to as u64), "{connections:?}");
    }
}

#[test]
fn a_ramp_combines_with_think_times_and_replaced_connections() {
    let think = Some(Distribution::Exponential(5 * MS));
    for reuse in [
        ConnectionReuse::PerRequest,
        ConnectionReuse::Requests(4),
        ConnectionReuse::Time(Distribution::Uniform(10 * MS, 90 * MS)),
    ] {
        for (from, to) in [(2, 6), (6, 2)] {
            for think in [None, think.filter(|_| reuse != ConnectionReuse::PerRequest)] {
                let record = run_healthy(Plan { reuse, think, ..ramp(from, to) });
                let (first, last) = (&record.series[0], &record.series[9]);
                assert!((first.answered < last.answered) == (from < to), "{reuse:?}: {:?}", record.series);
                assert!(record.connections.open_max <= 6 && record.errors.is_empty(), "{reuse:?}: {record:?}");
                assert!(record.connections.opened > 20, "{reuse:?}: {:?}", record.connections);
            }
        }
    }
}

#[test]
fn a_run_ends_if_the_server_dies_during_a_ramp() {
    for reuse in [ConnectionReuse::Persistent, ConnectionReuse::Requests(50)] {
        let ramp = Some(Ramp { from: 5, to: 100, time: 60 * SECOND });
        let plan = Plan { connections: 100, ramp, run_length: RunLength::Time(60 * SECOND), reuse, ..plan() };
        let mut simulated = SimulatedRun::healthy(plan);
        while simulated.generator.workload().opened < 10 {
            assert_eq!(simulated.step(), None);
        }
        simulated.world.refuse_connects_at(&address());
        simulated.peers.iter().for_each(SimPeer::reset);
        let record = simulated.run(5 * SECOND);
        assert_reconciled(&record);
        assert_eq!(record.ending, RunEnd::Abandoned);
        assert!(record.errors.iter().any(|error| error.kind == ErrorKind::Reset), "{:?}", record.errors);
        assert!(record.requests.answered > 100);
    }
}

#[test]
fn a_rising_ramp_goes_on_when_its_first_connection_breaks() {
    let mut simulated = SimulatedRun::healthy(ramp(1, 50));
    while simulated.generator.workload().counters.answered_at == Instant::ORIGIN {
        assert_eq!(simulated.step(), None);
    }
    simulated.peers.iter().for_each(SimPeer::reset);
    let record = simulated.run(5 * SECOND);
    assert_reconciled(&record);
    assert_eq!((record.ending, record.connections.opened, record.connections.broken), (RunEnd::Done, 50, 1));
}

/// The series shows the number of connections at which the server breaks.
#[test]
fn a_ramp_goes_on_when_connects_fail() {
    let mut simulated = SimulatedRun::healthy(ramp(1, 50));
    while simulated.generator.workload().requesting_open < 20 {
        assert_eq!(simulated.step(), None);
    }
    simulated.world.refuse_connects_at(&address());
    let record = simulated.run(5 * SECOND);
    assert_reconciled(&record);
    assert_eq!((record.ending, record.connections.opened, record.connections.failed), (RunEnd::Done, 20, 30));
    assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::Refused, 30));
    let first_error = record.series.iter().find(|interval| interval.errors > 0).unwrap();
    assert!(first_error.connections == 20, "{first_error:?}");
}
