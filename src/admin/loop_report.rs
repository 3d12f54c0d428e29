//! The report of a whole loop as JSON: stage, totals, time per phase and histograms.

use serde_json::{Map, Value, json};

use crate::counters::Counters as _;
use crate::event_loop::{Histogram, LoopView, Measurements, TurnPhase};

/// The report. Totals have the names of the metrics, without prefix and suffix.
pub(super) fn render(view: &dyn LoopView) -> String {
    let totals = view.totals();
    let mut numbers = Map::new();
    totals.visit(&mut |metric| {
        let Some((_, label)) = metric.label else {
            numbers.insert(metric.name.to_owned(), metric.value.into());
            return;
        };
        let family = numbers.entry(metric.name).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(family) = family {
            family.insert(label.to_owned(), metric.value.into());
        }
    });
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "stage": view.stage().name(),
        "uptime_s": totals.duration.as_secs_f64(),
        "totals": numbers,
        "measurements": view.measurements().map(measurements),
    });
    format!("{report}\n")
}

fn measurements(measurements: &Measurements) -> Value {
    let phases = TurnPhase::ALL.map(|phase| (phase.name().to_owned(), measurements.phase(phase).as_secs_f64().into()));
    json!({
        "phases_s": Map::from_iter(phases),
        "turns_ns": histogram(&measurements.turns),
        "waits_ns": histogram(&measurements.waits),
        "queue_bytes": histogram(&measurements.queue_bytes),
    })
}

/// Each bucket is an upper bound with the number of values that are not above it.
fn histogram(histogram: &Histogram) -> Value {
    let buckets: Vec<_> = histogram.buckets().collect();
    json!({ "count": histogram.count(), "sum": histogram.sum(), "buckets": buckets })
}
