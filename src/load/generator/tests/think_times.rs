//! Pauses between an answer and the next request.

use super::*;
use crate::load::plan::Distribution;

fn thinking(think: Distribution) -> Plan {
    Plan { think: Some(think), connections: 20, warm_up: SECOND / 2, ..plan() }
}

#[test]
fn a_think_time_lowers_the_rate_and_not_the_latency() {
    // An answer takes at most one millisecond, so a connection sends about 95 requests per second.
    for think in
        [Distribution::Constant(10 * MS), Distribution::Uniform(5 * MS, 15 * MS), Distribution::Exponential(10 * MS)]
    {
        let record = run_healthy(thinking(think));
        let answered = record.requests.answered;
        assert!((1_700..=2_100).contains(&answered), "{think}: {answered}");
        assert!(Duration::from_nanos(record.latency.max_ns) <= 3 * MS, "{think}: {:?}", record.latency.max_ns);
        assert!(record.errors.is_empty() && record.connections.silent == 0);
    }
}

#[test]
fn the_first_requests_are_spread_over_one_think_time() {
    let plan = Plan { connections: 1_000, warm_up: Duration::ZERO, ..thinking(Distribution::Constant(SECOND)) };
    let mut simulated = SimulatedRun::healthy(plan);
    while simulated.generator.workload().counters.sent < 1_000 {
        assert_eq!(simulated.step(), None, "each connection sends within one think time");
    }
    assert!(simulated.begun_in_turn_max <= 10, "{} requests at once", simulated.begun_in_turn_max);
    assert_reconciled(&simulated.run(4 * SECOND));
}

#[test]
fn a_run_with_think_times_ends_after_its_number_of_requests() {
    let plan = Plan { run_length: RunLength::Requests(100), ..thinking(Distribution::Exponential(20 * MS)) };
    let record = run_healthy(plan);
    assert_eq!((record.requests.answered, record.requests.sent, record.ending), (100, 100, RunEnd::Done));
}

#[test]
fn a_thinking_connection_does_not_time_out() {
    let plan = Plan { timeout: 50 * MS, warm_up: Duration::ZERO, ..thinking(Distribution::Constant(400 * MS)) };
    let record = run_healthy(plan);
    assert!((40..=60).contains(&record.requests.answered) && record.errors.is_empty(), "{record:?}");
}
