//! Saved runs for the tests of `report`, as JSON.

use serde_json::{Value, json};

/// A comparison of a reactor and threads with 10 and 100 connections in two rounds, in version 1 of the
/// schema. The reactor is twice as fast.
pub(super) fn comparison() -> Value {
    serde_json::from_str(include_str!("comparison.json")).expect("it is JSON")
}

/// The same comparison with other trials.
pub(super) fn comparison_of(trials: impl IntoIterator<Item = Value>) -> Value {
    let mut comparison = comparison();
    comparison["trials"] = trials.into_iter().collect();
    comparison
}

/// A trial of a server that answered at this rate.
pub(super) fn trial(server: &str, connections: u64, round: u64, rate: f64) -> Value {
    let record = run(server, connections, rate);
    let load = json!({ "message_bytes": 64, "connections": connections, "idle_connections": 0 });
    json!({ "server": server, "load": load, "round": round, "outcome": { "measured": record } })
}

/// A trial that failed.
pub(super) fn failed(server: &str, connections: u64, reason: &str) -> Value {
    let mut trial = trial(server, connections, 1, 0.0);
    trial["outcome"] = json!({ "failed": reason });
    trial
}

/// A single run, as `bench --json` writes it.
pub(super) fn run(name: &str, connections: u64, rate: f64) -> Value {
    let mut run = comparison()["trials"][0]["outcome"]["measured"].take();
    run["name"] = json!(name);
    run["asked"]["connections"] = json!(connections);
    run["requests"]["rate"] = json!(rate);
    run
}

/// Two rounds of the reactor and of threads with 100 connections, at these rates.
pub(super) fn rounds(reactor: [f64; 2], threads: [f64; 2]) -> Vec<Value> {
    let each = (0..2).flat_map(|round| {
        [("reactor", reactor), ("threads", threads)]
            .map(|(name, rates)| trial(name, 100, round as u64 + 1, rates[round]))
    });
    each.collect()
}
