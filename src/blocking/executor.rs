//! `Executor`: the interface to the threads that serve connections.
//!
//! An executor finds a thread for a job. It does not decide whether the connection is admitted.

use std::io;
use std::sync::Arc;

use crate::buffer::Reserve;
use crate::connection::KIB;

use super::shared::SharedState;

/// The service of one connection from its first byte to its last, ready to run on any thread.
pub(super) type Job = Box<dyn FnOnce(&mut WorkerState) + Send>;

/// Threads that serve connections.
pub(super) trait Executor {
    /// Whether one more job would start or be queued. If not, connections wait in the kernel's backlog.
    fn has_capacity(&self) -> bool;

    /// Runs a job on one of the threads. A job without capacity is queued as well.
    ///
    /// # Errors
    /// No thread can be started; the job is dropped.
    fn execute(&mut self, job: Job) -> io::Result<()>;
}

/// The longest single read.
///
/// Each thread has such a buffer, so it is small: one TLS record. A stream gains nothing from longer
/// reads, because each read waits for the next bytes anyway.
const SCRATCH_BYTES: usize = 16 * KIB;

/// Memory that a thread reuses from connection to connection.
pub(super) struct WorkerState {
    pub(super) shared: Arc<SharedState>,
    pub(super) scratch: Box<[u8]>,
    /// Memory for queues, bounded for each thread: a common bound would cost a lock for each read.
    pub(super) reserve: Reserve,
    /// Blocks of `reserve` that are part of the shared count of mappings.
    blocks_counted: usize,
}

impl WorkerState {
    pub(super) fn new(shared: Arc<SharedState>) -> Self {
        let reserve = Reserve::new(shared.limits.queue_total_max);
        Self { shared, scratch: vec![0; SCRATCH_BYTES].into(), reserve, blocks_counted: 0 }
    }

    /// Adds blocks that were mapped or unmapped since the last call to the shared count.
    #[inline]
    pub(super) fn count_blocks(&mut self) {
        let blocks = self.reserve.blocks();
        if blocks != self.blocks_counted {
            self.shared.recount_mappings(self.blocks_counted, blocks);
            self.blocks_counted = blocks;
        }
    }
}

impl Drop for WorkerState {
    fn drop(&mut self) {
        self.shared.recount_mappings(self.blocks_counted, 0);
    }
}
