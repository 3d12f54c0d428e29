//! A fixed number of threads, and a bounded queue of connections that wait for one.
//!
//! A connection keeps its thread until it closes. With fewer threads than connections the rest wait,
//! however little the others do: first in the queue, accepted and unread, then in the kernel's backlog.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use super::executor::{Executor, Job, WorkerState};
use super::shared::SharedState;

/// A fixed number of threads that take jobs from one queue. They end when the pool is dropped.
pub(super) struct Pool {
    queue: Sender<Job>,
    /// Jobs that run or wait.
    pending: Arc<AtomicUsize>,
    pending_max: usize,
}

impl Pool {
    /// Starts `workers` threads. At most `waiting_max` jobs wait while all of them are busy.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn new(shared: &Arc<SharedState>, workers: NonZero<usize>, waiting_max: usize) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let pending = Arc::new(AtomicUsize::new(0));
        for _ in 0..workers.get() {
            let worker = WorkerState::new(Arc::clone(shared));
            let (jobs, pending) = (Arc::clone(&jobs), Arc::clone(&pending));
            thread::Builder::new().spawn(move || run_jobs(&jobs, &pending, worker))?;
        }
        Ok(Self { queue, pending, pending_max: workers.get().saturating_add(waiting_max) })
    }
}

/// The loop of one thread, until the queue is closed and empty.
fn run_jobs(jobs: &Mutex<Receiver<Job>>, pending: &AtomicUsize, mut worker: WorkerState) {
    loop {
        // The lock is released before the job runs. One idle thread waits for a job, the others for the lock.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job(&mut worker);
        pending.fetch_sub(1, Ordering::Release);
        worker.shared.wake_accept_loop();
    }
}

impl Executor for Pool {
    fn has_capacity(&self) -> bool {
        self.pending.load(Ordering::Acquire) < self.pending_max
    }

    fn execute(&mut self, job: Job) -> io::Result<()> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        self.queue.send(job).map_err(|_| io::Error::other("all threads of the pool have ended"))
    }
}
