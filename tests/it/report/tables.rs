//! The tables of a report: cells, notes, and the identity of servers.

use serde_json::{Value, json};

use super::samples::{comparison, comparison_of, failed, run, trial};
use super::{printed, printed_of, saved};

/// The rows of the first table of a comparison.
#[track_caller]
fn rows_of(comparison: &Value) -> Vec<String> {
    rows_in(&printed_of(comparison, "--md"))
}

fn rows_in(markdown: &str) -> Vec<String> {
    let table = markdown.lines().skip_while(|line| !line.starts_with("| ")).take_while(|line| line.starts_with('|'));
    table.skip(2).map(str::to_owned).collect()
}

/// Checks the row of one trial.
#[track_caller]
fn check(trial: Value, row: &str) {
    assert_eq!(rows_of(&comparison_of([trial])), [row]);
}

fn errors(each: &[(&str, u64)]) -> Value {
    each.iter().map(|(kind, count)| json!({ "kind": kind, "count": count, "example": "" })).collect()
}

/// A trial with connections that were never served and connects that failed.
fn unserved(server: &str, rate: f64, [silent, failed]: [u64; 2], kinds: &[(&str, u64)]) -> Value {
    let mut trial = trial(server, 100, 1, rate);
    let record = &mut trial["outcome"]["measured"];
    (record["connections"]["silent"], record["connections"]["failed"]) = (json!(silent), json!(failed));
    record["errors"] = errors(kinds);
    trial
}

#[test]
fn values_are_computed_from_the_rounds() {
    assert_eq!(rows_of(&comparison())[1], "| 10 | threads | 502 /s | 501 /s .. 502 /s | 0.50× |");
}

#[test]
fn waiting_connections_are_noted_and_are_not_errors() {
    let waiting = |kinds| unserved("pool", 500.0, [36, 0], kinds);
    check(waiting(&[("timed-out", 36)]), "| 100 | pool | 500 /s | waiting: 36 of 100 |");
    let broken = waiting(&[("timed-out", 40), ("reset", 7)]);
    check(broken, "| 100 | pool | 500 /s | waiting: 36 of 100; errors: 7 reset |");
}

#[test]
fn refused_connections_and_failed_connects_are_noted_apart() {
    let full = unserved("threads", 500.0, [30, 20], &[("reset", 25), ("connect-timed-out", 20), ("timed-out", 8)]);
    check(full, "| 100 | threads | 500 /s | waiting: 28 of 100; refused: 22 of 100; errors: 3 reset |");
}

#[test]
fn a_server_that_leaves_connections_waiting_has_no_ratio() {
    let waiting = unserved("pool", 50_000.0, [36, 0], &[("timed-out", 36)]);
    let rows = rows_of(&comparison_of([trial("reactor", 100, 1, 500.0), waiting]));
    assert_eq!(rows[1], "| 100 | pool | 50.0 k/s | not all served | waiting: 36 of 100 |");
}

#[test]
fn a_failed_trial_has_a_row_without_values() {
    let rows = rows_of(&comparison_of([trial("reactor", 100, 1, 500.0), failed("threads", 100, "no luck")]));
    assert_eq!(rows, ["| 100 | reactor | 500 /s |  |", "| 100 | threads | – | failed in 1 of 1 rounds: no luck |"]);
}

#[test]
fn a_machine_with_other_work_is_noted() {
    let mut busy = trial("reactor", 100, 1, 500.0);
    busy["outcome"]["measured"]["other_work"] = json!({ "busy_cores": 0.7, "stolen_cores": null });
    check(busy, "| 100 | reactor \\* | 500 /s | the machine was busy with other work |");
}

#[test]
fn idle_connections_are_shown_apart() {
    let mut idle = trial("reactor", 100, 1, 500.0);
    idle["load"]["idle_connections"] = json!(18_900);
    check(idle, "| 100 + 18,900 idle | reactor | 500 /s |");
}

#[test]
fn a_single_run_is_not_a_comparison() {
    let html = printed_of(&run("tcp://127.0.0.1:7007", 50, 500.0), "--html");
    assert!(html.contains("<h1>tcp://127.0.0.1:7007</h1>") && !html.contains("class=\"conclusion\""));
    let titles = ["Latency by percentile", "Requests per second over time", "Latency over time"];
    let headings: Vec<&str> =
        html.split("class=\"heading\"").skip(1).map(|rest| rest.split(['>', '<']).nth(1).unwrap()).collect();
    assert_eq!(headings, titles.map(|title| format!("{title}, 50 connections")));
}

#[test]
fn another_machine_is_another_server() {
    let here = comparison_of([trial("reactor", 10, 1, 100.0), trial("reactor", 10, 2, 100.0)]);
    let mut there = here.clone();
    there["machine"]["processor"] = json!("another one");
    let markdown = printed(&[&saved(&here.to_string()), &saved(&there.to_string())], "--md");
    let rows = rows_in(&markdown);
    assert!(rows[0].starts_with("| 10 | reactor (1) | ") && rows[1].starts_with("| 10 | reactor (2) | "), "{rows:?}");
    let mut later = here.clone();
    later["begun_unix_s"] = json!(1);
    let markdown = printed(&[&saved(&here.to_string()), &saved(&later.to_string())], "--md");
    assert!(markdown.contains("median of 4 rounds"), "{markdown}");
}

#[test]
fn the_same_name_with_another_command_is_another_server() {
    let one = comparison_of([trial("threads", 10, 1, 100.0)]);
    let mut other = one.clone();
    other["servers"][1]["command"] = json!("./other {port}");
    let markdown = printed(&[&saved(&one.to_string()), &saved(&other.to_string())], "--md");
    let rows = rows_in(&markdown);
    assert!(rows.len() == 2 && rows[0].starts_with("| 10 | threads \\#1 | "), "{rows:?}");
    assert!(markdown.contains("| threads \\#2 | ./other {port} |"), "{markdown}");
}

#[test]
fn a_number_of_system_calls_below_zero_was_not_measured() {
    let mut comparison = comparison();
    comparison["calls"][0]["per_request"] = json!(-1.25);
    let markdown = printed_of(&comparison, "--md");
    assert!(markdown.contains("system calls per request") && !markdown.contains("-1.25"), "{markdown}");
}

#[test]
fn the_chance_of_a_false_difference_follows_from_the_number_of_rounds() {
    for (rounds, chance) in [(2, "1 in 3 pairs"), (3, "1 in 10 pairs"), (5, "1 in 126 pairs")] {
        let trials = (1..=rounds).map(|round| trial("reactor", 10, round, 100.0 + round as f64));
        let markdown = printed_of(&comparison_of(trials), "--md");
        assert!(markdown.contains(chance), "no `{chance}` in {markdown}");
    }
}

#[test]
fn loads_that_differ_in_more_than_connections_have_separate_charts() {
    let mut large = run("reactor", 10, 500.0);
    large["asked"]["message_bytes"] = json!(16_384);
    let markdown = printed_of(&run("reactor", 10, 500.0), "--md");
    assert!(markdown.contains("\n## Memory\n"), "{markdown}");
    let both = format!("{}\n{large}", run("reactor", 10, 500.0));
    let markdown = printed(&[&saved(&both)], "--md");
    for label in ["tcp, 64 B, closed loop", "tcp, 16.4 kB, closed loop"] {
        assert!(markdown.contains(&format!("\n## Memory: {label}\n")), "{markdown}");
    }
}
