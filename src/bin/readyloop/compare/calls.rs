//! System calls per request, counted with perf(1) or strace(1).
//!
//! Counting slows a server down, so it has runs of its own. The server is traced from its start to its
//! end, in a short run and in a long one. The difference of both runs contains only the requests,
//! because the calls for start, connects and end are the same in both.

use std::time::Duration;

use readyloop::load::plan::RunLength;

use super::contender::Contender;
use super::generator::{self, TrialConfig};
use super::interrupt::Interrupt;
use super::tracer::Tracer;
use crate::report::comparison::{Cores, Load};

/// Requests of the short run, unless there are more connections.
const SHORT: u64 = 2_000;
/// Additional requests of the long run, unless there are more connections.
const MORE: u64 = 10_000;

/// Timeout for the end of the server and the output of the tracer.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// Counts system calls of servers.
pub(super) struct CallCounter<'a> {
    pub(super) tracer: Tracer,
    pub(super) cores: Option<Cores>,
    pub(super) interrupt: &'a Interrupt,
}

impl CallCounter<'_> {
    /// System calls of a server per request; `None` if they cannot be counted.
    pub(super) fn count(&self, contender: &Contender, load: Load) -> Option<f64> {
        if !self.tracer.supports(load.open()) {
            return None;
        }
        let short = SHORT.max(load.connections);
        let long = short + MORE.max(load.connections);
        let [short, long] = [short, long].map(|requests| self.run(contender, load, requests));
        let ((calls_short, answered_short), (calls_long, answered_long)) = (short?, long?);
        let more = answered_long.checked_sub(answered_short).filter(|more| *more > 0)?;
        Some((calls_long - calls_short) / more as f64)
    }

    /// System calls and answers of a run with this number of requests.
    fn run(&self, contender: &Contender, load: Load, requests: u64) -> Option<(f64, u64)> {
        let mut server =
            contender.start(self.cores.map(|cores| cores.server), Some(&self.tracer), self.interrupt).ok()?;
        let config = TrialConfig { load, run_length: RunLength::Requests(requests), warm_up: Duration::ZERO };
        let record =
            generator::run(&mut server, &config, self.cores.map(|cores| cores.generator), self.interrupt).ok()?;
        server.process.terminate();
        server.process.wait_for_end(END_TIMEOUT)?;
        Some((self.tracer.take_count()?, record.requests.answered))
    }
}
