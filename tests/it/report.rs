//! `readyloop report`: saved runs from files become one report in any form.

mod browser;

use serde_json::{Value, json};

use crate::support::{Ended, ScratchPath, Serve};

/// The output of `bench --json` for a run, as far as a report needs it.
fn run_of(name: &str, connections: u64, rate: f64) -> Value {
    let latency = json!({
        "significant_digits": 3, "count": 100, "min_ns": 50_000, "max_ns": 900_000, "sum_ns": 9_000_000,
        "buckets": [[90_000, 98], [900_000, 2]],
    });
    let piece = |at: u64| {
        json!({
            "begin_ns": at * 500_000_000, "span_ns": 500_000_000, "answered": 50, "errors": 0,
            "p50_ns": 90_000, "p90_ns": 90_000, "p99_ns": 900_000, "max_ns": 900_000,
        })
    };
    json!({
        "schema": "readyloop.run", "version": 1, "name": name, "begun_unix_s": 1_900_000_000,
        "machine": {
            "readyloop": "0.1.0", "kernel": "Linux 6.12.0", "processor": "a fast one", "cores": 2,
            "congestion_control": "cubic",
        },
        "asked": {
            "address": "tcp://127.0.0.1:7007", "transport": "tcp", "framing": "raw", "connections": connections,
            "idle_connections": 0, "message_bytes": 64, "pipeline": 1, "rate": null, "churn": false,
            "connect_rate": null, "sources": [], "duration_ns": 1_000_000_000, "requests": null,
            "warm_up_ns": 0, "timeout_ns": 5_000_000_000_u64, "verified": true,
        },
        "ending": "done",
        "requests": {
            "sent": 100, "answered": 100, "failed": 0, "lost": 0, "unsent": 0, "measured_ns": 1_000_000_000,
            "rate": rate, "sent_bytes": 6_400, "received_bytes": 6_400,
        },
        "connections": {
            "opened": connections, "failed": 0, "broken": 0, "open_max": connections, "opening_ns": 1_000,
            "latency": latency,
        },
        "errors": [], "latency": latency, "service": null, "series": [piece(0), piece(1)],
        "generator": { "cpu_ns": 1, "busy": 0.5, "waited": 0.0, "was_bottleneck": false, "memory_per_connection_bytes": null },
        "server": null,
    })
}

fn saved(text: &str) -> ScratchPath {
    ScratchPath::with_text("json", text)
}

fn report(files: &[&ScratchPath], form: &str) -> Ended {
    let command = Serve::command("report").with(form);
    files.iter().fold(command, |command, file| command.arg(file.text())).run()
}

#[track_caller]
fn printed(files: &[&ScratchPath], form: &str) -> String {
    let ended = report(files, form);
    assert_eq!((ended.code, ended.log_text()), (Some(0), String::new()));
    ended.out.join("\n")
}

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

#[test]
fn runs_of_several_files_become_one_report() {
    let first = saved(&format!("{}\n{}\n", run_of("reactor", 10, 1_000.0), run_of("threads", 10, 500.0)));
    let second = saved(&format!("{}\n{}\n", run_of("reactor", 10, 1_100.0), run_of("threads", 10, 510.0)));
    let table = printed(&[&first, &second], "");
    for part in ["1.05 k/s", "1.00 k/s .. 1.10 k/s", "505 /s", "0.48×", "reactor answered 2.08 times as many"] {
        assert!(table.contains(part), "no `{part}` in:\n{table}");
    }
    let markdown = printed(&[&first, &second], "--md");
    assert!(markdown.contains("| 10 | threads | 505 /s | 500 /s .. 510 /s | 0.48× |"), "{markdown}");
    assert!(printed(&[&first, &second], "--svg").starts_with("<svg "));
    assert!(printed(&[&first, &first], "").contains("No conclusion is drawn"), "the same file is no second round");
}

#[test]
fn a_file_that_is_broken_missing_newer_or_inconsistent_is_refused() {
    let good = run_of("reactor", 10, 1_000.0).to_string();
    let broken = saved(&format!("{good}\n{}", &good[..200]));
    refused(&[&broken], &[broken.text(), "line 2, column 200", "hint: "]);
    let foreign = saved("{\"name\": \"readyloop\"}");
    refused(&[&saved(&good), &foreign], &[foreign.text(), "not a record of a run", "schema"]);
    refused(&[&saved("")], &["holds no run"]);
    let missing = ScratchPath::new("json");
    refused(&[&missing], &[&format!("cannot read {}: no such file", missing.text())]);
    let mut newer = run_of("reactor", 10, 1_000.0);
    newer["version"] = json!(1_000);
    let file = saved(&newer.to_string());
    refused(&[&file], &[file.text(), "line 1: schema version 1000 is too new", "a newer readyloop"]);
    let mut wrong = run_of("reactor", 10, 1_000.0);
    wrong["latency"]["count"] = json!(7);
    refused(&[&saved(&wrong.to_string())], &["latency histograms are inconsistent"]);
}

#[test]
fn a_page_works_in_a_browser() {
    let hostile = "</script><img src=x onerror=\"console.error('run')\">";
    let runs = [("reactor", 10), ("reactor", 100), (hostile, 10), (hostile, 100)];
    let runs: Vec<String> =
        runs.iter().map(|(name, connections)| run_of(name, *connections, 900.0).to_string()).collect();
    let html = printed(&[&saved(&runs.join("\n"))], "--html");
    // Two charts against connections, and for both loads one by percentile and two over time.
    browser::shows(&html, 2 + 2 * 3);
}
