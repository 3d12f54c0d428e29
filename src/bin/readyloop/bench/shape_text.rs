//! The shape of a workload in the text report.

use readyloop::load::Record;
use readyloop::load::record::{Interval, RunConfig};

use crate::quantity::{Unit, counted, grouped};

/// Maximum number of rows about a ramp.
const ROWS_MAX: usize = 10;

/// The connections that carry requests: `50 connections`, `10 to 1,000 connections over 60 s`.
pub(super) fn connections(config: &RunConfig) -> String {
    match &config.ramp {
        None => counted(config.connections, "connection"),
        Some(ramp) => {
            let seconds = ramp.duration_ns as f64 / 1e9;
            format!("{} to {} connections over {seconds} s", grouped(ramp.from), grouped(ramp.to))
        }
    }
}

/// A request: `64 B`, `64 to 16,384 B`, ``6 B `PING\r\n` ``.
pub(super) fn message(config: &RunConfig) -> String {
    let bytes = format!("{} B", grouped(config.message_bytes));
    match (config.message_bytes_min, &config.request) {
        (Some(min), _) => format!("{} to {bytes}", grouped(min)),
        (None, Some(request)) => format!("{bytes} `{request}`"),
        (None, None) => bytes,
    }
}

/// A table of rate, latency and errors against the number of connections, if it changed.
pub(super) fn ramp_rows(record: &Record) -> Vec<String> {
    if record.config.ramp.is_none() || record.series.is_empty() {
        return Vec::new();
    }
    let cells = |cells: [String; 4]| {
        let [connections, rate, p99, errors] = cells;
        format!("{connections:>12} {rate:>12} {p99:>12} {errors:>10}")
    };
    let mut rows = vec![cells(["connections", "rate", "highest p99", "errors"].map(str::to_owned))];
    for part in record.series.chunks(record.series.len().div_ceil(ROWS_MAX)) {
        let sum = |value: fn(&Interval) -> u64| part.iter().map(value).sum::<u64>();
        let seconds = sum(|interval| interval.span_ns) as f64 / 1e9;
        let p99_ns = part.iter().map(|interval| interval.p99_ns).max().unwrap_or(0);
        rows.push(cells([
            grouped(part.iter().map(|interval| interval.connections).max().unwrap_or(0)),
            Unit::Rate.print(sum(|interval| interval.answered) as f64 / seconds),
            Unit::Time.print(p99_ns as f64),
            grouped(sum(|interval| interval.errors)),
        ]));
    }
    if let Some(interval) = record.series.iter().find(|interval| interval.errors > 0) {
        rows.push(format!("the first error came with {}", counted(interval.connections, "open connection")));
    }
    rows
}
