//! The metrics of a report: the name and unit of each, and how a record gives its value.

use readyloop::load::Record;
use readyloop::load::record::Interval;

use super::quantity::Unit;

/// A measured value of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Answers per second.
    Rate,
    /// The median latency.
    P50,
    /// The latency that 99 % of all answers did not exceed.
    P99,
    /// The latency that 99.9 % of all answers did not exceed.
    P999,
    /// The CPU time of the server per answer.
    Cpu,
    /// Context switches of the server per answer, voluntary and involuntary.
    Switches,
    /// System calls of the server per answer.
    Calls,
    /// Memory of the server process per connection.
    Memory,
    /// Threads of the server.
    Threads,
}

impl Metric {
    /// The heading of its column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "requests per second",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Cpu => "CPU per request",
            Self::Switches => "context switches per request",
            Self::Calls => "system calls per request",
            Self::Memory => "memory per connection",
            Self::Threads => "threads",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Rate => Unit::Rate,
            Self::P50 | Self::P99 | Self::P999 | Self::Cpu => Unit::Time,
            Self::Switches | Self::Calls => Unit::Each,
            Self::Memory => Unit::Bytes,
            Self::Threads => Unit::Count,
        }
    }

    /// The value of a run, if it was measured. System calls are counted in separate runs.
    pub(crate) fn of(self, record: &Record) -> Option<f64> {
        let quantile = |quantile| record.latency.at(quantile).map(|ns| ns as f64);
        let server = record.server.as_ref();
        match self {
            Self::Rate => Some(record.rate_per_s),
            Self::P50 => quantile(0.5),
            Self::P99 => quantile(0.99),
            Self::P999 => quantile(0.999),
            Self::Cpu => server?.cpu_per_request_ns.map(|ns| ns as f64),
            Self::Switches => {
                let switches = server?.switches_voluntary?.saturating_add(server?.switches_involuntary?);
                (record.requests.answered > 0).then(|| switches as f64 / record.requests.answered as f64)
            }
            Self::Memory => server?.memory_per_connection_bytes.map(|bytes| bytes as f64),
            Self::Threads => Some(server?.threads as f64),
            Self::Calls => None,
        }
    }
}

/// Answers per second in an interval of a run.
pub(super) fn rate_in(piece: &Interval) -> f64 {
    piece.answered as f64 * 1e9 / piece.span_ns as f64
}
