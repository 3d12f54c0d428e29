//! `RunOutcome`: the results of a run on one thread or on several, which become a `Record`.

use std::io;

use super::cost::{Cost, ThreadCost};
use super::counters::RequestCounters;
use super::plan::Plan;
use super::record::{Connections, Machine, Record, Requests, RunEnd, SCHEMA, VERSION};
use super::schedule::nanos;

/// Results of a run.
pub(super) struct RunOutcome {
    pub(super) counters: RequestCounters,
    pub(super) ending: RunEnd,
    /// Number of requests planned for the measured time; 0 in a closed loop.
    pub(super) planned_count: u64,
    pub(super) connections: Connections,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    /// Why the first TLS connection that broke did so.
    pub(super) tls_error: Option<io::Error>,
    /// Cost of each thread.
    pub(super) costs: Vec<ThreadCost>,
}

impl RunOutcome {
    /// The results of two parts of a run together.
    pub(super) fn plus(mut self, other: Self) -> Self {
        self.counters.merge(other.counters);
        self.ending = together(self.ending, other.ending);
        self.planned_count += other.planned_count;
        let (sum, added) = (&mut self.connections, other.connections);
        sum.opened += added.opened;
        sum.failed += added.failed;
        sum.broken += added.broken;
        sum.silent += added.silent;
        sum.open_max += added.open_max;
        sum.opening_ns = sum.opening_ns.max(added.opening_ns);
        sum.latency.merge(&added.latency);
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.tls_error = self.tls_error.or(other.tls_error);
        self.costs.extend(other.costs);
        self
    }

    /// The run as plain data, without a name.
    pub(super) fn into_record(self, plan: &Plan, cost: Cost, begun_unix_s: u64) -> Record {
        let Self { counters, ending, connections, .. } = self;
        let RequestCounters { sent, answered, lost, .. } = counters;
        let measured = counters.measured();
        let (server, generator, other_work) = cost.into_figures(&self.costs, measured, answered, connections.open_max);
        Record {
            schema: SCHEMA.to_owned(),
            version: VERSION,
            name: String::new(),
            begun_unix_s,
            machine: Machine::here(),
            config: plan.config(),
            ending,
            rate_per_s: counters.rate(),
            requests: Requests {
                sent,
                answered,
                failed: sent - answered - lost,
                lost,
                unsent: if ending == RunEnd::Done { self.planned_count.saturating_sub(sent) } else { 0 },
                measured_ns: nanos(measured),
                sent_bytes: self.sent_bytes,
                received_bytes: self.received_bytes,
            },
            connections,
            errors: counters.errors(),
            latency: counters.latency(),
            service: counters.service(),
            generator,
            server,
            other_work,
            series: counters.into_intervals(),
        }
    }
}

/// How two parts of a run ended together. A run is abandoned if no part has a connection left.
fn together(one: RunEnd, other: RunEnd) -> RunEnd {
    match (one, other) {
        (RunEnd::Interrupted, _) | (_, RunEnd::Interrupted) => RunEnd::Interrupted,
        (RunEnd::Done, _) | (_, RunEnd::Done) => RunEnd::Done,
        (RunEnd::Abandoned, RunEnd::Abandoned) => RunEnd::Abandoned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_abandoned_if_no_thread_has_a_connection_left() {
        use RunEnd::{Abandoned, Done, Interrupted};
        for (one, other, both) in [
            (Done, Done, Done),
            (Done, Abandoned, Done),
            (Abandoned, Abandoned, Abandoned),
            (Interrupted, Done, Interrupted),
            (Abandoned, Interrupted, Interrupted),
        ] {
            assert_eq!((together(one, other), together(other, one)), (both, both));
        }
    }
}
