//! Connections that are replaced after a number of requests or after a time.

use super::*;
use crate::load::plan::Distribution;
use crate::load::record::ErrorKind;

const LIFETIME: ConnectionReuse = ConnectionReuse::Time(Distribution::Constant(Duration::from_millis(100)));

fn living(reuse: ConnectionReuse) -> Plan {
    Plan { reuse, connections: 5, ..plan() }
}

#[test]
fn a_connection_is_replaced_after_its_number_of_requests() {
    let plan = Plan { run_length: RunLength::Requests(1_000), pipeline: 3, ..living(ConnectionReuse::Requests(10)) };
    let record = run_healthy(plan);
    assert_eq!((record.requests.sent, record.requests.answered), (1_000, 1_000));
    // The first five connections carry one to ten requests.
    assert!((100..=106).contains(&record.connections.opened), "{:?}", record.connections);
    assert!(record.connections.open_max == 5 && record.errors.is_empty(), "{record:?}");
    assert_eq!(run_healthy(Plan { ..living(ConnectionReuse::Requests(u64::MAX)) }).connections.opened, 5);
}

#[test]
fn a_connection_is_replaced_after_its_time() {
    for pipeline in [1, 4] {
        let record = run_healthy(Plan { pipeline, ..living(LIFETIME) });
        assert!((45..=55).contains(&record.connections.opened), "{:?}", record.connections);
        assert!(record.connections.open_max == 5 && record.errors.is_empty(), "{record:?}");
        // A new connection costs a few of 1,000 milliseconds.
        assert!(record.requests.answered > 4_000 * pipeline as u64, "{:?}", record.requests);
    }
}

#[test]
fn an_error_in_a_long_warm_up_does_not_end_a_healthy_run() {
    let timeout = SECOND / 4;
    let mut simulated = SimulatedRun::healthy(Plan { warm_up: 4 * SECOND, timeout, ..living(LIFETIME) });
    while simulated.generator.workload().opened < 10 {
        assert_eq!(simulated.step(), None);
    }
    simulated.peers[9].reset();
    let record = simulated.run(10 * SECOND);
    assert_eq!((record.ending, record.connections.broken), (RunEnd::Done, 1));
    assert!(record.requests.answered > 4_000, "{:?}", record.requests);
}

#[test]
fn lifetimes_of_the_first_connections_end_at_different_times() {
    let mut simulated = SimulatedRun::healthy(Plan { connections: 100, ..living(LIFETIME) });
    let mut least = usize::MAX;
    while simulated.generator.workload().opened < 300 {
        assert_eq!(simulated.step(), None);
        if simulated.generator.workload().opened >= 100 {
            least = least.min(simulated.generator.workload().open);
        }
    }
    assert!(least >= 90, "{least} of 100 connections were open");
}

#[test]
fn a_lifetime_ends_after_the_last_answer() {
    let mut simulated = SimulatedRun::healthy(Plan { pipeline: 4, ..living(LIFETIME) });
    simulated.stall = 200 * MS..700 * MS;
    let record = simulated.run(3 * SECOND);
    assert_reconciled(&record);
    assert!(record.errors.is_empty() && record.requests.failed == 0, "{record:?}");
    assert!(Duration::from_nanos(record.latency.max_ns) >= 490 * MS, "no request was given up");
}

#[test]
fn a_lifetime_ends_in_a_think_time() {
    let think = Some(Distribution::Constant(80 * MS));
    let record = run_healthy(Plan { think, ..living(LIFETIME) });
    assert!((40..=60).contains(&record.connections.opened), "{:?}", record.connections);
    assert!(record.errors.is_empty() && record.requests.answered >= 50, "{record:?}");
}

#[test]
fn every_planned_request_is_sent_although_connections_are_replaced() {
    for reuse in [LIFETIME, ConnectionReuse::Requests(3)] {
        let plan = Plan { pace: Pace::Open(500.0), warm_up: SECOND, ..living(reuse) };
        let record = run_healthy(plan.clone());
        assert_eq!((record.requests.sent, record.requests.answered, record.requests.unsent), (500, 500, 0));
        assert!(record.connections.opened > 50 && record.errors.is_empty(), "{record:?}");
        let record = run_healthy(Plan { run_length: RunLength::Requests(50), ..plan });
        assert_eq!((record.requests.sent, record.requests.answered, record.requests.unsent), (50, 50, 0));
    }
}

/// Otherwise connections without requests would be replaced all the time.
#[test]
fn a_connection_carries_at_least_one_request() {
    let short = ConnectionReuse::Time(Distribution::Exponential(Duration::from_nanos(1)));
    let record = run_healthy(Plan { pace: Pace::Open(20.0), ..living(short) });
    assert_eq!((record.requests.sent, record.requests.answered), (20, 20));
    assert!(record.connections.opened <= 25, "{:?}", record.connections);
    let record = run_healthy(living(short));
    assert!(record.requests.answered >= record.connections.opened - 5, "{record:?}");
}

#[test]
fn refused_replacements_are_counted_and_repeated() {
    for pace in [Pace::Closed, Pace::Open(500.0)] {
        let mut simulated = SimulatedRun::healthy(Plan { pace, ..living(LIFETIME) });
        for _ in 0..300 {
            assert_eq!(simulated.step(), None);
        }
        simulated.world.refuse_connects_at(&address());
        for _ in 0..200 {
            assert_eq!(simulated.step(), None);
        }
        assert_eq!(simulated.generator.workload().open, 0, "all lifetimes are over");
        let failed = simulated.generator.workload().failed;
        assert!((50..=1_000).contains(&failed), "at most one connect per slot and millisecond: {failed}");
        simulated.world.accept_connects_at(&address(), Behavior::default());
        let record = simulated.run(3 * SECOND);
        assert_reconciled(&record);
        assert_eq!((record.ending, record.errors[0].kind), (RunEnd::Done, ErrorKind::Refused));
        assert_eq!((record.errors[0].count, record.requests.failed), (record.connections.failed, 0));
        assert_eq!(record.requests.unsent, 0);
        assert_eq!(record.series.last().unwrap().connections, 5, "all connections are open again");
    }
}

#[test]
fn a_run_ends_if_no_replacement_connects_any_more() {
    let run_length = RunLength::Time(60 * SECOND);
    let mut simulated = SimulatedRun::healthy(Plan { run_length, ..living(LIFETIME) });
    for _ in 0..300 {
        assert_eq!(simulated.step(), None);
    }
    simulated.world.ignore_connects_at(&address());
    let record = simulated.run(5 * SECOND);
    assert_reconciled(&record);
    assert_eq!((record.ending, record.errors[0].kind), (RunEnd::Abandoned, ErrorKind::ConnectTimedOut));
}

#[test]
fn a_broken_connection_is_replaced() {
    let mut simulated = SimulatedRun::healthy(living(ConnectionReuse::Requests(u64::MAX)));
    for _ in 0..300 {
        assert_eq!(simulated.step(), None);
    }
    simulated.peers.iter().for_each(SimPeer::reset);
    let record = simulated.run(3 * SECOND);
    assert_reconciled(&record);
    assert_eq!((record.ending, record.connections.opened, record.connections.broken), (RunEnd::Done, 10, 5));
    assert_eq!((record.errors[0].kind, record.errors[0].count, record.requests.failed), (ErrorKind::Reset, 5, 5));
}

#[test]
fn replacements_keep_the_connect_rate() {
    let plan = Plan { connect_rate: Some(100.0), run_length: RunLength::Time(2 * SECOND), ..living(LIFETIME) };
    let record = run_healthy(Plan { reuse: ConnectionReuse::Requests(1), ..plan });
    // The first five connections take 50 ms.
    assert!((195..=212).contains(&record.connections.opened), "{:?}", record.connections);
}
