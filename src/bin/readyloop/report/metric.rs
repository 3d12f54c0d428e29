//! What is told of a server: each figure with its name, its unit, and where a record has it.

use readyloop::load::Record;

use super::quantity::Unit;

/// A figure of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Answers a second.
    Rate,
    /// The latency that half of all answers did not exceed.
    P50,
    /// The latency that 99 % did not exceed.
    P99,
    /// The latency that 99.9 % did not exceed.
    P999,
    /// The server's time on a core, for each answer.
    Cpu,
    /// How often a thread of the server gave up a core or lost it, for each answer.
    Switches,
    /// The server's system calls, for each answer.
    Calls,
    /// The server's own memory, for each connection.
    Memory,
    /// The server's threads.
    Threads,
}

impl Metric {
    /// As the head of a column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "requests a second",
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

    /// The figure of a run, where it was measured. System calls are counted in runs of their own.
    pub(crate) fn of(self, record: &Record) -> Option<f64> {
        let quantile = |quantile| record.latency.at(quantile).map(|ns| ns as f64);
        let server = record.server.as_ref();
        match self {
            Self::Rate => Some(record.requests.rate),
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
