//! `examples/prometheus`: alerts and a dashboard, checked by promtool and against the metrics of a real server.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{ScratchPath, Serve, connect};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/prometheus")
}

fn text_of(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).expect("the file is there")
}

/// Runs promtool in the folder of the examples.
#[track_caller]
fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(folder()).output();
    let output = output.expect("promtool is installed, by the package `prometheus` of Debian");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
}

/// The queries of all panels, without the variables of Grafana.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&text_of("dashboard.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("there are panels");
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("a panel has queries"));
    let plain = |query: &Value| {
        let query = query["expr"].as_str().expect("it is text").replace("$__rate_interval", "5m");
        query.replace("$job", "readyloop").replace("$instance", ".*")
    };
    queries.map(plain).collect()
}

/// The names in a query, as metrics have them.
fn names(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words.filter(|word| word.starts_with("readyloop_") || word.starts_with("process_"))
}

/// The names of all samples of a server of several processes.
fn samples() -> BTreeSet<String> {
    let server = Serve::new().with("--processes 2 --admin 127.0.0.1:0").start();
    let mut stream = connect(server.administration().parse().expect("it is an address"));
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("it is sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it is text");
    let (_, body) = response.split_once("\r\n\r\n").expect("there is a body");
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

#[test]
fn promtool_accepts_the_alerts_and_their_tests_pass() {
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts_test.yml"]);
    promtool(&["check", "config", "prometheus.yml"]);
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_is_one_of_the_server() {
    let (queries, samples) = (queries(), samples());
    assert!(queries.len() > 20 && samples.len() > 40, "{} queries, {} samples", queries.len(), samples.len());
    let alerts = text_of("alerts.yml");
    let expressions: Vec<&str> = alerts.split("expr:").skip(1).filter_map(|rest| rest.split("for:").next()).collect();
    assert!(expressions.len() > 7, "{expressions:?}");
    let mut used = BTreeSet::new();
    for query in queries.iter().map(String::as_str).chain(expressions) {
        for name in names(query) {
            assert!(samples.contains(name), "no metric {name} for {query}");
            used.insert(name);
        }
    }
    assert!(used.len() > 15, "{used:?}");
}

#[test]
fn every_query_of_the_dashboard_is_one_that_prometheus_understands() {
    let rules =
        queries().iter().enumerate().fold("groups:\n- name: panels\n  rules:\n".to_owned(), |text, (index, query)| {
            // A YAML text in single quotes.
            text + &format!("  - record: panel:{index}\n    expr: '{}'\n", query.replace('\'', "''"))
        });
    let scratch = ScratchPath::directory("dashboard");
    let path = format!("{}/panels.yml", scratch.text());
    std::fs::write(&path, rules).expect("the folder is new");
    promtool(&["check", "rules", &path]);
}

#[test]
fn a_name_that_is_not_a_metric_is_found() {
    let found: Vec<&str> = names("rate(readyloop_frames_total{job=\"x\"}[5m]) / process_max_fds").collect();
    assert_eq!(found, ["readyloop_frames_total", "process_max_fds"]);
}
