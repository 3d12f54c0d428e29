//! One thread for each connection.
//!
//! A thread costs a stack, a place in the scheduler and four memory mappings. A connection for which
//! the system has no thread is refused, and the server continues.

use std::sync::Arc;
use std::{fs, io, thread};

use super::executor::{Executor, Job, WorkerState};
use super::shared::SharedState;

/// Address space of one stack; only pages that were used take memory.
///
/// An echo uses a small part of it; the rest is for the service, the log and the report of a panic.
/// With the default of 2 MiB, 10,000 threads would reserve 20 GiB, which some systems refuse.
const STACK_BYTES: usize = 256 * 1024;

/// A thread has a stack and an alternate stack on which an overflow of the first is handled
/// (sigaltstack(2)), each with a guard page.
const MAPPINGS_PER_THREAD: usize = 4;

/// All mappings divided by this are left to the rest of the process: the program, its heaps, queues
/// that were mapped since the last count, and ending threads.
const MAPPINGS_LEFT_DIVISOR: usize = 16;

/// Starts a thread for each connection.
pub(super) struct ThreadPerPeer {
    shared: Arc<SharedState>,
    mappings_max: usize,
}

impl ThreadPerPeer {
    pub(super) fn new(shared: Arc<SharedState>) -> Self {
        Self { shared, mappings_max: mappings_max() }
    }

    /// At most this many threads, as if the system had no more mappings.
    #[cfg(test)]
    pub(super) fn with_threads_max(threads_max: usize, shared: Arc<SharedState>) -> Self {
        // The queues of the threads may have fewer mappings than one more thread would take.
        Self { shared, mappings_max: (threads_max + 1) * MAPPINGS_PER_THREAD - 1 }
    }
}

/// How many mappings threads and queues may take together.
///
/// A thread maps its alternate stack when it starts, and the standard library aborts the process when
/// that fails. So no thread is started when mappings are nearly exhausted.
fn mappings_max() -> usize {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let process_max = text.and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(usize::MAX);
    process_max - process_max / MAPPINGS_LEFT_DIVISOR
}

impl Executor for ThreadPerPeer {
    fn has_capacity(&self) -> bool {
        true
    }

    fn execute(&mut self, job: Job) -> io::Result<()> {
        if self.shared.mappings() + MAPPINGS_PER_THREAD > self.mappings_max {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "too many memory mappings for one more thread"));
        }
        let shared = Arc::clone(&self.shared);
        let serve = move || {
            job(&mut WorkerState::new(Arc::clone(&shared)));
            shared.recount_mappings(MAPPINGS_PER_THREAD, 0);
            shared.wake_accept_loop();
        };
        self.shared.recount_mappings(0, MAPPINGS_PER_THREAD);
        let started = thread::Builder::new().stack_size(STACK_BYTES).spawn(serve);
        if started.is_err() {
            self.shared.recount_mappings(MAPPINGS_PER_THREAD, 0);
        }
        started.map(drop)
    }
}
