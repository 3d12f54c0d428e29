//! Changes a record of schema version 1 into one of version 2.
//!
//! Version 1 has other names for some fields, a list of errors, and latencies without percentiles.

use serde_json::{Map, Value};

/// Renames and moves the fields that have another place in version 2. A missing field stays missing.
pub(super) fn upgrade(run: &mut Value) {
    let Some(run) = run.as_object_mut() else { return };
    for (name, new_name) in [("asked", "config"), ("latency", "latency_ns"), ("service", "service_ns")] {
        rename(run, name, new_name);
    }
    if let Some(rate) = run.get_mut("requests").and_then(|requests| requests.as_object_mut()?.remove("rate")) {
        run.insert("rate_per_s".to_owned(), rate);
    }
    if let Some(connections) = run.get_mut("connections").and_then(Value::as_object_mut) {
        rename(connections, "latency", "latency_ns");
    }
    let (mut counts, mut examples) = (Map::new(), Map::new());
    for error in run.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let kind = error["kind"].as_str().unwrap_or_default().replace('-', "_");
        counts.insert(kind.clone(), error["count"].clone());
        examples.insert(kind, error["example"].clone());
    }
    run.insert("errors".to_owned(), counts.into());
    run.insert("error_examples".to_owned(), examples.into());
}

fn rename(fields: &mut Map<String, Value>, name: &str, new_name: &str) {
    if let Some(value) = fields.remove(name) {
        fields.insert(new_name.to_owned(), value);
    }
}
