//! System calls per request, counted with perf(1) or strace(1).
//!
//! Counting slows a server down, so it has runs of its own. The server is traced from its start to its
//! end, in short runs and in a long one. The difference of a long and a short run contains only requests,
//! because the calls for start, connects and end are the same in both. Two short runs show how equal they are.

use std::time::Duration;

use readyloop::load::plan::RunLength;

use super::contender::Contender;
use super::generator::{self, TrialConfig};
use super::request_flags::RequestFlags;
use super::tracer::Tracer;
use super::trial_place::TrialPlace;
use crate::report::comparison::Load;

/// Requests of a short run, unless there are more connections.
const SHORT: u64 = 2_000;
/// Additional requests of the long run, in total and for each connection. The larger number counts.
const MORE: u64 = 10_000;
const MORE_EACH: u64 = 10;

/// The largest difference between two short runs, as a fraction of the calls to count.
const NOISE_MAX: f64 = 0.05;

/// Counts system calls of servers.
pub(super) struct CallCounter<'a> {
    pub(super) tracer: Tracer,
    pub(super) place: TrialPlace<'a>,
    pub(super) requests: RequestFlags,
}

/// Result of one run.
#[derive(Clone, Copy, Debug)]
struct Counted {
    calls: f64,
    answered: u64,
}

impl CallCounter<'_> {
    /// System calls of a server per request; `None` if they cannot be counted, or only with much noise.
    pub(super) fn count(&self, contender: &Contender, load: Load) -> Option<f64> {
        if !self.tracer.supports(load.open()) {
            return None;
        }
        let short = SHORT.max(load.connections);
        let long = short.saturating_add(MORE.max(load.connections.saturating_mul(MORE_EACH)));
        let run = |requests| self.run(contender, load, requests);
        per_request([run(short)?, run(short)?], run(long)?)
    }

    /// A run with this number of requests.
    fn run(&self, contender: &Contender, load: Load, requests: u64) -> Option<Counted> {
        let mut server = contender.start(&self.place, Some(&self.tracer)).ok()?;
        let run_length = RunLength::Requests(requests);
        let has_certificate = contender.has_certificate();
        let config =
            TrialConfig { has_certificate, load, requests: self.requests, run_length, warm_up: Duration::ZERO };
        let record = generator::run(&mut server, &config, &self.place).ok()?;
        server.process.terminate();
        let calls = self.tracer.count_at_the_end(server.process)?;
        Some(Counted { calls, answered: record.requests.answered })
    }
}

/// The calls that only the long run had, for each request that only it had. `None` if the short runs differ
/// so much that this says little.
fn per_request(short: [Counted; 2], long: Counted) -> Option<f64> {
    let more = long.answered.checked_sub(short[0].answered.max(short[1].answered))?;
    let calls = long.calls - f64::midpoint(short[0].calls, short[1].calls);
    let noise = (short[0].calls - short[1].calls).abs();
    (more > 0 && calls > 0.0 && noise <= calls * NOISE_MAX).then(|| calls / more as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(short: [f64; 2], long: f64, expected: Option<f64>) {
        let counted = |calls, answered| Counted { calls, answered };
        assert_eq!(per_request(short.map(|calls| counted(calls, 2_000)), counted(long, 12_000)), expected);
    }

    #[test]
    fn only_the_calls_of_requests_count() {
        check([5_000.0, 5_000.0], 25_000.0, Some(2.0));
        check([5_400.0, 4_600.0], 25_000.0, Some(2.0));
    }

    #[test]
    fn noise_is_not_a_result() {
        check([5_000.0, 9_000.0], 25_000.0, None);
        check([80_000.0, 80_000.0], 79_000.0, None);
        let none = Counted { calls: 1.0, answered: 0 };
        assert_eq!(per_request([none, none], none), None);
    }
}
