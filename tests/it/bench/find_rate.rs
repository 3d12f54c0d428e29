//! `bench --find-rate`: the search with real servers. Its decisions have unit tests.

use serde_json::Value;

use super::{bench, data, echo, ends_with};
use crate::support::{ScratchPath, exclusive_machine};

/// Short runs, which show that the search works and not what the server can do.
const SHORT: &str = "-c 4 -d 200ms -w 50ms";

#[test]
fn the_highest_rate_is_an_interval_with_the_runs_that_show_it() {
    let _machine = exclusive_machine();
    let (server, address) = echo("");
    let page = ScratchPath::new("html");
    let ended = bench(&format!("{address} {SHORT} --find-rate max<30s --json --html {}", page.text())).run();
    ends_with(&ended, 0, &[]);
    let found = data(&ended);
    assert_eq!((&found["schema"], &found["condition"]), (&"readyloop.rate-search".into(), &"max<30s".into()));
    let rate = |bound: &str| found[bound]["rate"].as_f64().unwrap_or_else(|| panic!("no {bound} in {found}"));
    assert!(rate("lower") > 0.0 && rate("lower") < rate("upper"), "{found}");
    let trials = found["trials"].as_array().expect("there are trials");
    let planned = |trial: &Value| trial["config"]["rate"].as_f64().expect("it is an open loop");
    for bound in ["lower", "upper"] {
        let count = trials.iter().filter(|trial| planned(trial) == rate(bound)).count();
        assert_eq!(found[bound]["trials"].as_u64(), Some(count as u64), "{bound} of {found}");
    }
    let page = std::fs::read_to_string(page.text()).expect("the page is written");
    assert!(page.contains("The highest rate with max&lt;30s") && page.contains("<svg"), "{page}");
    server.drain();
}

#[test]
fn a_condition_that_no_rate_keeps_is_an_error_after_the_table() {
    let (server, address) = echo("");
    let ended = bench(&format!("{address} -c 2 -d 50ms -w 0s --find-rate p99<1ns")).run();
    ends_with(&ended, 1, &["no rate was found that keeps p99<1ns"]);
    assert!(ended.out.join("\n").contains("p99<1ns did not hold at any rate"), "{:?}", ended.out);
    server.drain();
}

#[test]
fn a_threshold_of_the_found_rate_has_its_own_exit_status() {
    let (server, address) = echo("");
    let ended = bench(&format!("{address} {SHORT} --find-rate max<30s --fail-if rate<9M")).run();
    ends_with(&ended, 3, &["a --fail-if threshold was exceeded: rate<9M"]);
    server.drain();
}

#[test]
fn a_server_that_is_not_there_is_reported_before_any_search() {
    let ended = bench("127.0.0.1:1 -d 50ms --find-rate p99<5ms").run();
    ends_with(&ended, 1, &["cannot connect to tcp://127.0.0.1:1"]);
}

#[test]
fn wrong_conditions_and_flags_are_usage_errors() {
    for flags in [
        "--find-rate p99>5ms",
        "--find-rate rate<1k",
        "--find-rate x",
        "--find-rate p99<5ms -r 5",
        "--find-rate p99<5ms -n 5",
    ] {
        ends_with(&bench(&format!("127.0.0.1:1 {flags}")).run(), 2, &[]);
    }
}
