//! The trace follows the "Trace Event Format" of Chromium, which Perfetto reads.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::written;

/// The fields that an event of each phase must have, beside `ph`, `name`, `pid` and `tid`.
const FIELDS: [(&str, &[&str]); 8] = [
    ("M", &["args"]),
    ("B", &["ts", "cat"]),
    ("E", &["ts"]),
    ("i", &["ts", "s", "cat"]),
    ("b", &["ts", "id", "cat"]),
    ("n", &["ts", "id", "cat"]),
    ("e", &["ts", "id", "cat"]),
    ("C", &["ts", "args"]),
];

/// Asserts that the events are well formed, in order and balanced.
#[track_caller]
fn check_format(text: &str) {
    let trace: Value = serde_json::from_str(text).expect("it is JSON");
    let events = trace["traceEvents"].as_array().expect("a list of events");
    let (mut slices, mut tracks, mut last) = (Vec::new(), BTreeSet::new(), 0);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        let phase = event["ph"].as_str().expect("a phase");
        let (_, fields) = FIELDS.iter().find(|(known, _)| *known == phase).expect("a known phase");
        let missing: Vec<_> =
            fields.iter().chain(&["name", "pid", "tid"]).filter(|name| event[**name].is_null()).collect();
        assert!(missing.is_empty(), "{event} has no {missing:?}");
        *counts.entry(phase).or_default() += 1;
        if let Some(at) = event["ts"].as_u64() {
            assert!(at >= last, "{event} is earlier than {last}");
            last = at;
        }
        match phase {
            "B" => slices.push(event["name"].clone()),
            "E" => assert_eq!(slices.pop().as_ref(), Some(&event["name"]), "a slice that ends is the inner one"),
            "b" => assert!(tracks.insert(event["id"].to_string()), "{event} begins twice"),
            "n" => assert!(tracks.contains(&event["id"].to_string()), "{event} is outside of its track"),
            "e" => assert!(tracks.remove(&event["id"].to_string()), "{event} ends and did not begin"),
            "C" => assert!(event["args"]["value"].is_u64(), "{event}"),
            _ => {}
        }
    }
    assert_eq!((slices.len(), tracks.len()), (0, 0), "slices and tracks that do not end");
    assert!(["B", "i", "b", "C"].iter().all(|phase| counts.contains_key(phase)), "{counts:?}");
}

#[test]
fn the_trace_of_every_kind_of_run_is_well_formed() {
    for run in ["--story backpressure", "--story deadline", "--seed 8", "--seed 12"] {
        check_format(&written(run, "trace"));
    }
}
