//! Full-size forms of other tests. They take minutes and need the whole machine.
//!
//! Run them by `cargo test --release --test it full:: -- --ignored --test-threads=1 --nocapture`. The last
//! results are in `tests/RESULTS.md`. `cargo test` runs a short form of each.

use std::time::Duration;

use crate::sim::lists;
use crate::support::tls::VERSIONS;
use crate::support::{MIB, exclusive_machine};
use crate::{admin, close, descriptors, drain, idle, reset, restart, shrink, slow_writer, tls};

#[test]
#[ignore = "full form: 200,000 resets"]
fn resets_beside_a_hundred_pingers() {
    let _machine = exclusive_machine();
    reset::resets_beside_pingers(200_000, 100);
}

#[test]
#[ignore = "full form: 1,000,000 connections"]
fn short_connections_of_every_ending() {
    let _machine = exclusive_machine();
    reset::short_connections_of_every_ending(100_000, 10);
}

#[test]
#[ignore = "full form: 10 seconds at the limit"]
fn the_descriptor_limit() {
    let _machine = exclusive_machine();
    descriptors::meets_the_limit(Duration::from_secs(10));
}

#[test]
#[ignore = "full form: 30 seconds"]
fn nineteen_thousand_idle_peers() {
    idle::idle_peers_cause_no_wake_ups(Duration::from_secs(30));
}

#[test]
#[ignore = "full form: 5,000 slow writers"]
fn new_clients_beside_slow_writers() {
    let _machine = exclusive_machine();
    slow_writer::new_clients_beside_slow_writers(5000);
}

#[test]
#[ignore = "full form: 5 seconds"]
fn a_suspended_server() {
    let _machine = exclusive_machine();
    close::suspended_for(Duration::from_secs(5));
}

#[test]
#[ignore = "full form: 200 drains"]
fn sigterm_at_any_of_many_moments() {
    let _machine = exclusive_machine();
    (3..203).for_each(drain::check_once);
}

#[test]
#[ignore = "full form: 5,000 queues of 1 MiB"]
fn memory_returns_after_a_burst() {
    shrink::burst_and_rest(5000, MIB, Duration::from_millis(50));
}

#[test]
#[ignore = "full form: 10 seconds at the limit for each TLS version"]
fn the_descriptor_limit_over_tls() {
    let _machine = exclusive_machine();
    tls::rows::meets_the_descriptor_limit(Duration::from_secs(10));
}

#[test]
#[ignore = "full form: 20 drains for each TLS version"]
fn sigterm_at_any_of_many_moments_over_tls() {
    let _machine = exclusive_machine();
    for version in VERSIONS {
        (1..21).for_each(|round| tls::endings::ends_all_cleanly(version, 1000, round));
    }
}

#[test]
#[ignore = "full form: 10,000 resets for each TLS version"]
fn resets_over_tls() {
    let _machine = exclusive_machine();
    tls::rows::resets_beside_pingers(10_000);
}

#[test]
#[ignore = "full form: 20,000 connections for each TLS version"]
fn short_connections_over_tls() {
    let _machine = exclusive_machine();
    tls::rows::short_connections_of_every_ending(5000, 4);
}

#[test]
#[ignore = "full form: 19,000 connections, listed 50 times"]
fn lists_in_a_loop() {
    let _machine = exclusive_machine();
    admin::lists_in_a_loop(19_000, 50);
}

#[test]
#[ignore = "full form: 100,000 connections in a simulated network"]
fn a_list_beside_the_turns() {
    let _machine = exclusive_machine();
    let turns = lists::list(100_000);
    assert!(turns.delay() <= Duration::from_millis(2), "{turns:?}");
}

#[test]
#[ignore = "full form: 20 restarts at 10,000 requests a second"]
fn restarts_under_load() {
    let _machine = exclusive_machine();
    restart::restarts_lose_nothing(20, "-c 16 --churn -r 3500");
}
