//! The sentences at the end of a report.

use serde_json::{Value, json};

use super::samples::{comparison, comparison_of, failed, rounds, trial};
use super::{printed, printed_of, saved};

/// The conclusions of one comparison.
#[track_caller]
fn conclusions_of(comparison: &Value) -> Vec<String> {
    after_the_tables(&printed_of(comparison, ""))
}

fn after_the_tables(text: &str) -> Vec<String> {
    let (_, last) = text.rsplit_once("\n\n").expect("the conclusions follow the tables");
    last.lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).skip_while(|line| line.is_empty()).collect()
}

#[track_caller]
fn check(trials: Vec<Value>, expected: [&str; 2]) {
    assert_eq!(conclusions_of(&comparison_of(trials)), expected);
}

#[test]
fn a_difference_that_no_round_contradicts_is_reported_with_its_size() {
    let expected = [
        "With 100 connections, reactor answered between 1.99 and 2.00 times as many requests per second as threads, and no difference \
         in p99 latency could be shown.",
        "Per request, no difference in CPU could be shown between reactor and threads, and per connection, no \
         difference in memory could be shown between reactor and threads.",
    ];
    assert_eq!(conclusions_of(&comparison()), expected);
}

#[test]
fn memory_of_zero_has_no_ratio() {
    let mut comparison = comparison();
    for trial in comparison["trials"].as_array_mut().expect("it has trials") {
        if trial["server"] == "reactor" {
            trial["outcome"]["measured"]["server"]["memory_per_connection_bytes"] = json!(0);
        }
    }
    let words = conclusions_of(&comparison);
    assert_eq!(words[1], "Per request, no difference in CPU could be shown between reactor and threads.");
}

#[test]
fn the_better_server_is_named_first() {
    let words = conclusions_of(&comparison_of(rounds([100.0, 110.0], [300.0, 330.0])));
    assert!(
        words[0].contains("threads answered between 2.73 and 3.30 times as many requests per second as reactor"),
        "{words:?}"
    );
}

#[test]
fn rounds_that_overlap_show_no_difference() {
    // The medians differ much, and one round of each contradicts the difference.
    let words = conclusions_of(&comparison_of(rounds([66_000.0, 24_000.0], [25_000.0, 26_000.0])));
    let shown = "no difference in requests per second could be shown between reactor and threads";
    assert!(words[0].contains(shown) && !words[0].contains("equal"), "{words:?}");
}

#[test]
fn one_round_allows_no_conclusion() {
    let expected = [
        "These figures come from one round, so they do not separate a difference from noise.",
        "No conclusion is drawn. Run it again with --rounds 5.",
    ];
    check(vec![trial("reactor", 10, 1, 900.0), trial("threads", 10, 1, 100.0)], expected);
}

#[test]
fn a_server_that_failed_is_no_slow_server() {
    let trials = [trial("reactor", 100, 1, 100.0), trial("reactor", 100, 2, 110.0), failed("threads", 100, "no luck")];
    let expected = ["With 100 connections, threads could not be measured.", "The cost of a request was not measured."];
    check(trials.into(), expected);
}

#[test]
fn a_larger_load_that_one_server_cannot_serve_is_named_too() {
    let mut trials = rounds([100.0, 110.0], [50.0, 55.0]);
    let lost = failed("threads", 1_000, "no threads left");
    trials.extend([trial("reactor", 1_000, 1, 90.0), trial("reactor", 1_000, 2, 90.0), lost]);
    let words = conclusions_of(&comparison_of(trials));
    assert!(words[0].starts_with("With 100 connections, reactor answered between 1.82 and 2.20 times"), "{words:?}");
    assert!(words[0].ends_with("; with 1,000 connections, threads could not be measured."), "{words:?}");
}

#[test]
fn every_machine_has_its_own_conclusion() {
    let here = comparison_of(rounds([100.0, 110.0], [50.0, 55.0]));
    let mut there = comparison_of(rounds([100.0, 110.0], [300.0, 330.0]));
    there["machine"]["processor"] = json!("another one");
    let words = after_the_tables(&printed(&[&saved(&here.to_string()), &saved(&there.to_string())], ""));
    assert_eq!(words.len(), 4, "{words:?}");
    assert!(words[0].contains("reactor (1) answered between 1.82 and 2.20 times"), "{words:?}");
    assert!(words[2].contains("threads (2) answered between 2.73 and 3.30 times"), "{words:?}");
}

#[test]
fn a_single_server_has_no_conclusion() {
    let single = comparison_of([trial("reactor", 10, 1, 900.0), trial("reactor", 10, 2, 910.0)]);
    let markdown = printed_of(&single, "--md");
    assert!(!markdown.contains("With 10 connections") && !markdown.contains("No conclusion"), "{markdown}");
}
