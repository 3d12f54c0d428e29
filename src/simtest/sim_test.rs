//! `SimTest`: runs seeds, alone or on all cores, and catches their failures.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::builtin::{BuiltIn, Custom};
use super::outcome::{Failure, SimOutcome};
use super::run::Run;
use super::run_state::SimSetup;
use super::subject::TestSubject;
use super::summary::Summary;
use crate::run_log::{RunLog, RunObserver, panic_message};
use crate::trace::TraceLog;

/// A sweep ends after this many failures.
const FAILURES_MAX: usize = 5;

/// A test that draws each run from a seed.
pub struct SimTest<'a> {
    setup: Box<dyn SimSetup + 'a>,
}

impl fmt::Debug for SimTest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimTest").finish_non_exhaustive()
    }
}

/// One run with everything that happened in it.
#[derive(Clone, Debug)]
pub struct Story {
    /// What happened, turn by turn.
    pub log: RunLog,
    /// The result of the run.
    pub outcome: Result<SimOutcome, Failure>,
}

impl<'a> SimTest<'a> {
    /// Tests the server with the services of this crate and with one that misbehaves.
    pub fn built_in() -> Self {
        Self { setup: Box::new(BuiltIn) }
    }

    /// Tests a service of yours.
    pub fn of(subject: &'a impl TestSubject) -> Self {
        Self { setup: Box::new(Custom(subject)) }
    }

    /// Runs one seed.
    ///
    /// # Errors
    /// The invariant that was violated. A violation is a panic, which is caught here after the panic
    /// hook of the process has run.
    pub fn run(&self, seed: u64) -> Result<SimOutcome, Failure> {
        run_caught(&mut Run::draw(seed, self.setup.as_ref(), None), seed)
    }

    /// Runs one seed and returns what happened, even if it fails.
    pub fn story(&self, seed: u64) -> Story {
        let mut run = Run::draw(seed, self.setup.as_ref(), Some(TraceLog::new()));
        let outcome = run_caught(&mut run, seed);
        // A failed run ends within a turn.
        run.observe();
        Story { log: run.observer.map(RunObserver::into_log).unwrap_or_default(), outcome }
    }

    /// Runs seeds on all cores, and calls `on_run` with the number of completed runs after each.
    ///
    /// The sweep ends early after a few failures.
    pub fn sweep(&self, seeds: impl IntoIterator<Item = u64, IntoIter: Send>, on_run: impl Fn(u64) + Sync) -> Summary {
        let began_at = Instant::now();
        let summary = Mutex::new(Summary::default());
        let seeds = Mutex::new(seeds.into_iter());
        let next = || seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            while let Some(seed) = next() {
                let outcome = self.run(seed);
                let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                match outcome {
                    Ok(outcome) => summary.add(&outcome),
                    Err(failure) => summary.failures.push(failure),
                }
                if summary.failures.len() >= FAILURES_MAX {
                    return;
                }
                on_run(summary.runs);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
        });
        let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.took = began_at.elapsed();
        summary
    }
}

fn run_caught(run: &mut Run<'_>, seed: u64) -> Result<SimOutcome, Failure> {
    // Only the story of a failed run is used, and it is complete at any time.
    let outcome = catch_unwind(AssertUnwindSafe(|| run.run()));
    outcome.map_err(|panic| Failure { seed, message: panic_message(panic.as_ref()) })
}
