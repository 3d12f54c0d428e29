//! A fixed number of threads, and a bounded queue of connections that wait for one.
//!
//! A connection keeps its thread until it closes. With fewer threads than connections the rest wait,
//! however little the others do: first in the queue, accepted and unread, then in the kernel's backlog.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use super::executor::{Executor, Job, WorkerState};
use super::shared::SharedState;

/// A fixed number of threads with a queue.
pub(super) struct Pool {
    queue: Arc<JobQueue>,
    queue_len_max: usize,
}

#[derive(Default)]
struct JobQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    /// Threads without a job.
    idle: usize,
    is_closed: bool,
}

impl Pool {
    /// Starts `workers` threads. At most `queue_len_max` jobs wait while all of them are busy.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn new(shared: &Arc<SharedState>, workers: NonZero<usize>, queue_len_max: usize) -> io::Result<Self> {
        let pool = Self { queue: Arc::default(), queue_len_max };
        // A thread counts as idle before it runs, so that the first jobs are not refused.
        pool.queue.state().idle = workers.get();
        for _ in 0..workers.get() {
            let (worker, queue) = (WorkerState::new(Arc::clone(shared)), Arc::clone(&pool.queue));
            thread::Builder::new().spawn(move || queue.run_jobs(worker))?;
        }
        Ok(pool)
    }
}

impl JobQueue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of one thread, until the queue is closed and empty.
    fn run_jobs(&self, mut worker: WorkerState) {
        while let Some(job) = self.next_job() {
            job(&mut worker);
            self.state().idle += 1;
            worker.shared.wake_accept_loop();
        }
    }

    fn next_job(&self) -> Option<Job> {
        let state = self.changed.wait_while(self.state(), |state| state.jobs.is_empty() && !state.is_closed);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let job = state.jobs.pop_front()?;
        state.idle -= 1;
        Some(job)
    }
}

impl Executor for Pool {
    fn has_capacity(&self) -> bool {
        let state = self.queue.state();
        state.jobs.len() < state.idle + self.queue_len_max
    }

    fn execute(&mut self, job: Job) -> io::Result<()> {
        self.queue.state().jobs.push_back(job);
        self.queue.changed.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.state().is_closed = true;
        self.queue.changed.notify_all();
    }
}
