//! The metrics of a report: the name and unit of each, and how a record gives its value.

use readyloop::load::Record;
use readyloop::load::record::{Interval, ServerCost};

use crate::quantity::Unit;

/// A measured value of one trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// The heading of its column.
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// The value of a run, if it was measured.
    pub(crate) of: fn(&Record) -> Option<f64>,
}

pub(crate) const RATE: Metric =
    Metric { name: "requests per second", unit: Unit::Rate, of: |record| Some(record.rate_per_s) };

pub(crate) const P50: Metric = Metric { name: "p50", unit: Unit::Time, of: |record| percentile(record, 0.5) };

pub(crate) const P99: Metric = Metric { name: "p99", unit: Unit::Time, of: |record| percentile(record, 0.99) };

pub(crate) const P999: Metric = Metric { name: "p99.9", unit: Unit::Time, of: |record| percentile(record, 0.999) };

pub(crate) const CPU: Metric = Metric {
    name: "CPU per request",
    unit: Unit::Time,
    of: |record| of_server(record, |server| server.cpu_per_request_ns),
};

/// Voluntary and involuntary ones.
pub(crate) const SWITCHES: Metric = Metric {
    name: "context switches per request",
    unit: Unit::Each,
    of: |record| {
        let both = |server: &ServerCost| server.switches_voluntary?.checked_add(server.switches_involuntary?);
        Some(of_server(record, both)? / record.requests.answered as f64)
    },
};

/// System calls are counted in separate runs, so a record has none.
pub(crate) const CALLS: Metric = Metric { name: "system calls per request", unit: Unit::Each, of: |_| None };

pub(crate) const MEMORY: Metric = Metric {
    name: "memory per connection",
    unit: Unit::Bytes,
    of: |record| of_server(record, |server| server.memory_per_connection_bytes),
};

/// Requests that one core answers in a second of CPU time.
pub(crate) const PER_CPU_SECOND: Metric =
    Metric { name: "requests per CPU second", unit: Unit::Count, of: |record| Some(1e9 / (CPU.of)(record)?) };

pub(crate) const PER_GIB: Metric = Metric {
    name: "connections per GiB",
    unit: Unit::Count,
    of: |record| Some(f64::from(1 << 30) / (MEMORY.of)(record)?),
};

pub(crate) const THREADS: Metric =
    Metric { name: "threads", unit: Unit::Count, of: |record| of_server(record, |server| Some(server.threads)) };

fn percentile(record: &Record, quantile: f64) -> Option<f64> {
    record.latency.at(quantile).map(|ns| ns as f64)
}

fn of_server(record: &Record, value: impl Fn(&ServerCost) -> Option<u64>) -> Option<f64> {
    record.server.as_ref().and_then(value).map(|value| value as f64)
}

/// Answers per second in an interval of a run.
pub(super) fn rate_in(piece: &Interval) -> f64 {
    piece.answered as f64 * 1e9 / piece.span_ns as f64
}
