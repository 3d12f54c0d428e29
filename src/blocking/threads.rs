//! A thread for each peer.
//!
//! The classic design: what a peer needs to be remembered is where its thread stands. A thread
//! costs a stack, a place in the scheduler and four mappings; who comes when there are no more of
//! these is refused, and the server lives on.

use std::sync::Arc;
use std::{fs, io, thread};

use super::crew::{Crew, Job};
use super::driver::Tools;
use super::ground::Ground;

/// Address space for one stack; only the pages that were used are resident.
///
/// Serving an echo takes less than 8 KiB of it, built without optimisation less than 24; the rest
/// is for the service and for what the log and a panic's report need. The default of 2 MiB would
/// ask 20 GiB of address space for 10,000 peers, which some systems do not promise.
const STACK_BYTES: usize = 256 * 1024;

/// Mappings of one thread: its stack, the stack on which it would hear of an overflow of the
/// first, and a guard page for each.
const MAPPINGS_PER_THREAD: usize = 4;

/// The share of all mappings that is left to the rest of the process, as a divisor: the program
/// and its heaps, queues that were mapped since the last count, threads that are just ending.
const REST_SHARE: usize = 16;

/// A thread for each peer.
pub(super) struct Threads {
    ground: Arc<Ground>,
    mappings_max: usize,
}

impl Threads {
    pub(super) fn new(ground: Arc<Ground>) -> Self {
        Self { ground, mappings_max: mappings_max() }
    }

    /// With room for so many threads, as if the system had no more mappings; and for a queue of
    /// each but one.
    #[cfg(test)]
    pub(super) fn for_at_most(threads: usize, ground: Arc<Ground>) -> Self {
        Self { ground, mappings_max: (threads + 1) * MAPPINGS_PER_THREAD - 1 }
    }
}

/// How many mappings threads and queues may take together.
///
/// A thread starts by mapping its second stack, and the standard library ends the process when
/// that fails: it must not be tried where it may.
fn mappings_max() -> usize {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let count_max = text.and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(usize::MAX);
    count_max - count_max / REST_SHARE
}

impl Crew for Threads {
    fn has_room(&self) -> bool {
        true
    }

    fn take(&mut self, job: Job) -> io::Result<()> {
        if self.ground.mappings() + MAPPINGS_PER_THREAD > self.mappings_max {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "too many memory mappings for one more thread"));
        }
        let ground = Arc::clone(&self.ground);
        let serve = move || {
            let mut tools = Tools::new(&ground);
            job(&ground, &mut tools);
            tools.put_away(&ground);
            ground.recount_mappings(MAPPINGS_PER_THREAD, 0);
            ground.send_word();
        };
        self.ground.recount_mappings(0, MAPPINGS_PER_THREAD);
        let spawned = thread::Builder::new().stack_size(STACK_BYTES).spawn(serve);
        if spawned.is_err() {
            self.ground.recount_mappings(MAPPINGS_PER_THREAD, 0);
        }
        spawned.map(drop)
    }
}
