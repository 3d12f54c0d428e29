//! The promises under fire at their full size: minutes, not seconds, and the machine to themselves.
//!
//! `cargo test --release --test it full:: -- --ignored --test-threads=1 --nocapture`; the last
//! results are in `tests/RESULTS.md`. Each is a form of a test that `cargo test` runs every time.

use std::time::Duration;

use crate::support::tls::VERSIONS;
use crate::support::{MIB, exclusive_machine};
use crate::{close, descriptors, drain, idle, reset, shrink, slow_writer, tls};

#[test]
#[ignore = "a full form: two hundred thousand"]
fn resets_beside_a_hundred_pingers() {
    let _machine = exclusive_machine();
    reset::resets_beside_pingers(200_000, 100);
}

#[test]
#[ignore = "a full form: a million"]
fn short_connections_of_every_ending() {
    let _machine = exclusive_machine();
    reset::short_connections_of_every_ending(100_000, 10);
}

#[test]
#[ignore = "a full form: ten seconds at the limit"]
fn the_descriptor_limit() {
    let _machine = exclusive_machine();
    descriptors::meets_the_limit(Duration::from_secs(10));
}

#[test]
#[ignore = "a full form: thirty seconds"]
fn nineteen_thousand_idle_peers() {
    idle::idle_peers_wake_nobody(Duration::from_secs(30));
}

#[test]
#[ignore = "a full form: five thousand"]
fn drips_beside_newcomers() {
    let _machine = exclusive_machine();
    slow_writer::drips_beside_newcomers(5000);
}

#[test]
#[ignore = "a full form: five seconds"]
fn a_server_that_was_stopped() {
    let _machine = exclusive_machine();
    close::stopped_for(Duration::from_secs(5));
}

#[test]
#[ignore = "a full form: two hundred moments"]
fn sigterm_at_any_of_many_moments() {
    let _machine = exclusive_machine();
    (3..203).for_each(drain::check_once);
}

#[test]
#[ignore = "a full form: five thousand times a MiB"]
fn memory_goes_back_after_a_burst() {
    shrink::burst_and_rest(5000, MIB, Duration::from_millis(20));
}

#[test]
#[ignore = "a full form: ten seconds at the limit for each version"]
fn the_descriptor_limit_over_tls() {
    let _machine = exclusive_machine();
    tls::rows::meets_the_descriptor_limit(Duration::from_secs(10));
}

#[test]
#[ignore = "a full form: twenty moments for each version"]
fn sigterm_at_any_of_many_moments_over_tls() {
    let _machine = exclusive_machine();
    for version in VERSIONS {
        (1..21).for_each(|round| tls::endings::ends_all_cleanly(version, 1000, round));
    }
}

#[test]
#[ignore = "a full form: ten thousand for each version"]
fn resets_over_tls() {
    let _machine = exclusive_machine();
    tls::rows::resets_beside_pingers(10_000);
}

#[test]
#[ignore = "a full form: twenty thousand for each version"]
fn short_connections_over_tls() {
    let _machine = exclusive_machine();
    tls::rows::short_connections_of_every_ending(5000, 4);
}
