//! Merges the responses of several processes: their metrics, and their reports of the loop.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Number, Value};

/// Merges pages of metrics. Every sample gets the label `process`, and each family has its head once.
///
/// A page is text for Prometheus (0.0.4) in which every family begins with its `# HELP` line.
pub(super) fn metrics<'a>(pages: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut families: Vec<String> = Vec::new();
    let mut index_of: HashMap<&str, usize> = HashMap::new();
    for (process, page) in pages {
        // The family of the line, and whether this page began it.
        let mut family: Option<(usize, bool)> = None;
        for line in page.lines() {
            if let Some(name) = line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()) {
                let index = families.len();
                family = Some(match index_of.entry(name) {
                    Entry::Vacant(entry) => {
                        families.push(String::new());
                        (*entry.insert(index), true)
                    }
                    Entry::Occupied(entry) => (*entry.get(), false),
                });
            }
            let Some((index, is_new)) = family else { continue };
            if !line.starts_with('#') {
                add_sample(&mut families[index], line, process);
            } else if is_new {
                families[index].extend([line, "\n"]);
            }
        }
    }
    families.concat()
}

/// Adds a sample with the label `process` before its other labels.
fn add_sample(family: &mut String, line: &str, process: &str) {
    let Some(end) = line.find(['{', ' ']) else { return };
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => (",", rest),
        None => ("}", rest),
    };
    family.extend([name, "{process=\"", process, "\"", labels, rest, "\n"]);
}

/// Adds up the reports of the loops of several processes. `None` without a report.
///
/// The sum runs while one of them runs, and it is as old as the oldest one.
pub(super) fn loop_reports(reports: impl IntoIterator<Item = Value>) -> Option<Value> {
    reports.into_iter().reduce(|mut sum, report| {
        let oldest =
            [&sum, &report].map(|each| each["uptime_s"].as_f64().unwrap_or(0.0)).into_iter().fold(0.0, f64::max);
        let is_running = report["stage"] == "running";
        add(&mut sum, report);
        sum["uptime_s"] = oldest.into();
        if is_running {
            sum["stage"] = "running".into();
        }
        sum
    })
}

/// Adds the numbers of `other` to those of `sum`. Text stays. A list has pairs of a bound and a number.
fn add(sum: &mut Value, other: Value) {
    match (sum, other) {
        (Value::Number(sum), Value::Number(other)) => *sum = added(sum, &other),
        (Value::Object(sum), Value::Object(other)) => add_object(sum, other),
        (Value::Array(sum), Value::Array(other)) => {
            for (pair, other) in sum.iter_mut().zip(other) {
                if let (Some(number), Some(other)) = (pair.get_mut(1), other.get(1)) {
                    add(number, other.clone());
                }
            }
        }
        (sum @ Value::Null, other) => *sum = other,
        (_, _) => {}
    }
}

fn add_object(sum: &mut Map<String, Value>, other: Map<String, Value>) {
    for (name, value) in other {
        add(sum.entry(name).or_insert(Value::Null), value);
    }
}

fn added(one: &Number, other: &Number) -> Number {
    match (one.as_u64(), other.as_u64()) {
        (Some(one), Some(other)) => one.saturating_add(other).into(),
        (_, _) => {
            let sum = one.as_f64().unwrap_or(0.0) + other.as_f64().unwrap_or(0.0);
            Number::from_f64(sum).unwrap_or_else(|| one.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_family_has_its_head_once_and_every_sample_its_process() {
        let one = "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n# HELP b B.\n# TYPE b gauge\nb{c=\"d\"} 2\n";
        let two =
            "# HELP b B.\n# TYPE b gauge\nb{c=\"d\"} 3\nb{c=\"e\"} 4\n# HELP f F.\n# TYPE f gauge\nf 5\nnonsense\n";
        let expected = "# HELP a_total A.\n# TYPE a_total counter\na_total{process=\"1\"} 1\n\
            # HELP b B.\n# TYPE b gauge\nb{process=\"1\",c=\"d\"} 2\n\
            b{process=\"2\",c=\"d\"} 3\nb{process=\"2\",c=\"e\"} 4\n\
            # HELP f F.\n# TYPE f gauge\nf{process=\"2\"} 5\n";
        assert_eq!(metrics([("1", one), ("2", two)]), expected);
        assert_eq!(metrics([]), "");
    }

    #[test]
    fn numbers_of_reports_are_added_and_bounds_of_buckets_are_not() {
        let report = |stage: &str, uptime: f64, open: u64, buckets: Value| {
            json!({
                "stage": stage, "uptime_s": uptime, "totals": { "open": open, "closed": { "reset": 1 } },
                "measurements": { "turns_ns": { "count": 2, "buckets": buckets } },
            })
        };
        let one = report("draining", 2.5, 1, json!([[1024, 1], [2048, 2]]));
        let mut two = report("running", 1.0, u64::MAX, json!([[1024, 0], [2048, 2]]));
        two["totals"]["closed"]["finished"] = 7.into();
        let mut sum = report("running", 2.5, u64::MAX, json!([[1024, 1], [2048, 4]]));
        sum["totals"]["closed"] = json!({ "reset": 2, "finished": 7 });
        sum["measurements"]["turns_ns"]["count"] = 4.into();
        assert_eq!(loop_reports([one.clone(), two]), Some(sum));
        assert_eq!(loop_reports([one.clone()]), Some(one));
        assert_eq!(loop_reports([]), None);
    }

    #[test]
    fn a_report_of_another_shape_changes_nothing_else() {
        let one = json!({ "stage": "running", "uptime_s": 1.0, "totals": { "open": 1 } });
        let strange = json!({ "stage": 7, "uptime_s": "x", "totals": [1, 2], "more": null });
        let mut expected = one.clone();
        expected["more"] = Value::Null;
        assert_eq!(loop_reports([one, strange]), Some(expected));
    }
}
