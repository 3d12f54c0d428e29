//! Files that `bench` and `compare` did not write, or that were changed since.

use std::fs;

use serde_json::{Value, json};

use super::samples::{comparison, comparison_of, run, trial};
use super::{printed, report, saved};
use crate::support::ScratchPath;

/// Asserts exit status 2 and one error line with every part.
#[track_caller]
fn refused(files: &[&ScratchPath], parts: &[&str]) {
    let ended = report(files, "");
    let log = ended.log_text();
    assert_eq!((ended.code, ended.out.len()), (Some(2), 0), "{log}");
    for part in parts {
        assert!(log.contains(part), "no `{part}` in: {log}");
    }
}

/// Asserts that every form is printed and holds the same servers as a report of `expected`.
#[track_caller]
fn accepted(text: &str, expected: &[&str]) {
    let file = saved(text);
    for form in ["", "--md", "--html", "--svg"] {
        let printed = printed(&[&file], form);
        assert!(
            expected.iter().all(|part| printed.contains(part)),
            "not all of {expected:?} with `{form}`:\n{printed}"
        );
    }
}

#[test]
fn a_file_that_is_broken_missing_newer_or_inconsistent_is_refused() {
    let good = run("reactor", 10, 1_000.0).to_string();
    let broken = saved(&format!("{good}\n{}", &good[..200]));
    refused(&[&broken], &[broken.text(), "line 2, column 200: the file ends within a run", "hint: "]);
    let foreign = saved("{\"name\": \"readyloop\"}");
    refused(&[&saved(&good), &foreign], &[foreign.text(), "not a record of a run", "schema"]);
    refused(&[&saved("")], &["holds no run"]);
    refused(&[&saved("[]")], &["holds no run"]);
    let missing = ScratchPath::new("json");
    refused(&[&missing], &[&format!("cannot read {}: no such file", missing.text())]);
    let mut newer = run("reactor", 10, 1_000.0);
    newer["version"] = json!(1_000);
    let file = saved(&newer.to_string());
    refused(&[&file], &[file.text(), "line 1: schema version 1000 is too new", "a newer readyloop"]);
    let mut wrong = run("reactor", 10, 1_000.0);
    wrong["latency"]["count"] = json!(7);
    refused(&[&saved(&wrong.to_string())], &["latency histograms are inconsistent"]);
}

#[test]
fn an_error_has_its_position_in_the_file_and_no_words_of_the_parser() {
    let good = run("reactor", 10, 1_000.0);
    let wrong = saved("{\n \"schema\": \"readyloop.comparison\",\n \"begun_unix_s\": -5}");
    refused(&[&wrong], &["line 3, column ", ": a value of a run is missing or of another type"]);
    refused(
        &[&saved(&format!("{good} oops"))],
        &[&format!("line 1, column {}: this is not JSON", good.to_string().len() + 2)],
    );
    refused(&[&saved(&format!("{good}\n{{\"a\":1}}"))], &["line 2: not a record of a run"]);
    refused(&[&saved("\u{1f}PNG")], &["line 1, column 1: this is not JSON"]);
}

#[test]
fn a_file_that_is_no_text_or_has_no_end_is_refused() {
    let file = ScratchPath::new("json");
    fs::write(file.text(), b"\xff\xfe{\0}\0").expect("the file is written");
    refused(&[&file], &["it is not UTF-8 text"]);
    let ended = crate::support::Serve::command("report /dev/zero").run();
    assert_eq!(ended.code, Some(2), "{}", ended.log_text());
    assert!(ended.log_text().contains("cannot read /dev/zero: it is longer than 256 MiB"), "{}", ended.log_text());
}

#[test]
fn byte_order_marks_and_arrays_of_runs_are_understood() {
    let (one, two) = (run("one", 10, 1_000.0), run("two", 10, 500.0));
    accepted(&format!("\u{feff}{one}\r\n\u{feff}{two}"), &["one", "two"]);
    accepted(&json!([one, two]).to_string(), &["one", "two"]);
    accepted(&format!("[{one}]\n{two}"), &["one", "two"]);
    // `jq -s` of a comparison and a run.
    accepted(&format!("{:#}", json!([comparison(), two])), &["reactor", "two"]);
    refused(&[&saved(&format!("[{one} {two}]"))], &["this is not JSON"]);
}

/// A comparison with this value in its first record.
fn with(pointer: &str, value: Value) -> String {
    let mut comparison = comparison();
    let record = &mut comparison["trials"][0]["outcome"]["measured"];
    *record.pointer_mut(pointer).expect("there is such a field") = value;
    comparison.to_string()
}

#[test]
fn numbers_that_no_run_has_are_shown_or_left_out() {
    for rate in [1.7e308, -1.7e308, 5e-324, 0.0] {
        accepted(&with("/requests/rate", json!(rate)), &["reactor"]);
    }
    accepted(&with("/series/0/span_ns", json!(0)), &["reactor"]);
    accepted(&with("/series/0/begin_ns", json!(u64::MAX)), &["reactor"]);
    accepted(&with("/server/cpu_per_request_ns", json!(u64::MAX)), &["reactor"]);
    accepted(&with("/asked/rate", json!(1.7e308)), &["reactor"]);
    for begun in [253_402_300_799_u64, 253_402_300_800, u64::MAX] {
        let mut comparison = comparison();
        comparison["begun_unix_s"] = json!(begun);
        accepted(&comparison.to_string(), &["reactor"]);
    }
}

#[test]
fn names_that_are_long_or_hostile_stay_text() {
    let long = "n".repeat(65_536);
    accepted(&run(&long, 10, 500.0).to_string(), &["nnn", "…"]);
    let name = "</title></style><script>alert(1)</script>\u{fffe}\u{202e}\u{1b}[2J|";
    let mut comparison = comparison_of([trial(name, 10, 1, 500.0), trial("other", 10, 1, 500.0)]);
    (comparison["machine"]["kernel"], comparison["limits"][0][1]) = (json!(name), json!(name));
    comparison["servers"][0] = json!({ "name": name, "command": name });
    let file = saved(&comparison.to_string());
    let [text, markdown, html, svg] = ["", "--md", "--html", "--svg"].map(|form| printed(&[&file], form));
    assert!([&text, &markdown, &html, &svg].iter().all(|form| !form.contains(['\u{fffe}', '\u{202e}', '\u{1b}'])));
    assert_eq!((html.matches("<script").count(), svg.matches("<script").count()), (1, 0));
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("url("));
    assert!(markdown.contains("alert(1)\\</script\\>") && markdown.contains("[2J\\|") || markdown.contains("\\[2J\\|"));
}

#[test]
fn more_servers_than_a_page_can_show_are_refused() {
    let trials = (0..101).map(|server| trial(&format!("server {server}"), 10, 1, 500.0));
    refused(&[&saved(&comparison_of(trials).to_string())], &["101 servers, and a report holds at most 100"]);
}
