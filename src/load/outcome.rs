//! `RunOutcome`: the results of a run, which become a `Record`.

use super::cost::Cost;
use super::counters::RequestCounters;
use super::plan::Plan;
use super::record::{Connections, Machine, Record, Requests, RunEnd, SCHEMA, VERSION};
use super::schedule::nanos;

/// Results of a run.
pub(super) struct RunOutcome {
    pub(super) plan: Plan,
    pub(super) counters: RequestCounters,
    pub(super) ending: RunEnd,
    /// Number of requests planned for the measured time; 0 in a closed loop.
    pub(super) planned_count: u64,
    pub(super) lost: u64,
    pub(super) connections: Connections,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) cost: Cost,
}

impl RunOutcome {
    /// The run as plain data.
    pub(super) fn into_record(self, name: String, begun_unix_s: u64) -> Record {
        let Self { plan, counters, ending, planned_count, lost, connections, cost, .. } = self;
        // Requests in flight at an early end are neither answered nor failed, so they do not count as sent.
        let is_done = ending == RunEnd::Done;
        let sent = if is_done { counters.sent } else { counters.answered + counters.failed + lost };
        let measured = counters.measured();
        let (server, generator, other_work) = cost.into_figures(measured, counters.answered, connections.open_max);
        Record {
            schema: SCHEMA.to_owned(),
            version: VERSION,
            name,
            begun_unix_s,
            machine: Machine::here(),
            config: plan.config(),
            ending,
            rate_per_s: counters.rate(),
            requests: Requests {
                sent,
                answered: counters.answered,
                failed: sent - counters.answered - lost,
                lost,
                unsent: if is_done { planned_count.saturating_sub(sent) } else { 0 },
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
