//! `Offload`: a bounded pool of threads for work that would hold up the event loop.
//!
//! It runs closures and sends their results to the service as messages. It knows no peer and no
//! frame, and it does not keep results in order: the service defers each reply in its place.

use std::collections::VecDeque;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{fmt, io, thread};

use log::error;
use thiserror::Error;

use crate::net::{MESSAGES_WAITING_MAX, Sender};

/// The work of one call of [`Offload::submit`], with the delivery of its result.
type Job = Box<dyn FnOnce() + Send>;

/// Runs work on threads of its own and sends each result to a service.
///
/// A service makes it from its own [`Sender`]. Each job yields exactly one message, even if it
/// panics, until the service ends.
///
/// Dropping it, usually together with the service, never blocks. Jobs that wait are dropped. A job
/// that runs goes on to its end on a thread that nothing joins, and its result is dropped. During
/// a drain the service still exists: a peer with a deferred reply stays open until the result has
/// come, or until the drain timeout.
///
/// ```no_run
/// use std::num::NonZero;
///
/// use readyloop::offload::{JobPanicked, Offload, OffloadFull};
/// use readyloop::{Key, Sender};
///
/// struct Hashed {
///     peer: Key,
///     hash: Result<u64, JobPanicked>,
/// }
///
/// fn start(sender: Sender<Hashed>) -> std::io::Result<Offload<Hashed>> {
///     // 4 threads, and at most 256 jobs that wait for one of them.
///     Offload::start(NonZero::new(4).unwrap(), 256, sender)
/// }
///
/// fn hash_later(offload: &Offload<Hashed>, peer: Key, password: Vec<u8>) -> Result<(), OffloadFull> {
///     offload.submit(move || slow_hash(&password), move |hash| Hashed { peer, hash })
/// }
/// # fn slow_hash(password: &[u8]) -> u64 { password.len() as u64 }
/// ```
pub struct Offload<M> {
    sender: Sender<M>,
    place: Place,
}

/// Where jobs run.
enum Place {
    Threads(Arc<Queue>),
    Caller,
}

/// As many jobs as are permitted run or wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{jobs_max} jobs run or wait already")]
pub struct OffloadFull {
    /// The limit of jobs that run or wait.
    pub jobs_max: usize,
}

/// The work has panicked, so there is no result. The panic hook has reported the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the job has panicked")]
pub struct JobPanicked;

impl<M: Send + 'static> Offload<M> {
    /// Starts `threads` threads. At most `waiting_max` jobs wait while all of them are busy.
    ///
    /// # Errors
    /// The system refuses a thread. The threads that were started end.
    pub fn start(threads: NonZero<usize>, waiting_max: usize, sender: Sender<M>) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(threads.get().saturating_add(waiting_max)));
        let offload = Self { sender, place: Place::Threads(Arc::clone(&queue)) };
        for _ in 0..threads.get() {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name("offload".to_owned()).spawn(move || queue.run_jobs())?;
        }
        Ok(offload)
    }

    /// Runs each job at once, on the thread that submits it, and starts no thread.
    ///
    /// The result still arrives as a message. It is for tests in a simulated network, where a run must be
    /// repeatable.
    pub const fn inline(sender: Sender<M>) -> Self {
        Self { sender, place: Place::Caller }
    }

    /// Queues `work`. When it is done, `message` makes the message for the service from its result.
    ///
    /// Both run on a thread of the pool. A thread that cannot deliver its message, because too many messages
    /// are waiting for the service, waits until it can.
    ///
    /// # Errors
    /// As many jobs as are permitted run or wait already. `work` is dropped, so the service can reply with
    /// an error at once. [`Self::inline`] returns this when too many messages are waiting for the service.
    pub fn submit<R>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
        message: impl FnOnce(Result<R, JobPanicked>) -> M + Send + 'static,
    ) -> Result<(), OffloadFull> {
        let make_message = || message(catch_unwind(AssertUnwindSafe(work)).map_err(|_| JobPanicked));
        match &self.place {
            Place::Threads(queue) => {
                let sender = self.sender.clone();
                queue.push(Box::new(move || {
                    // An error means that the service has ended.
                    let _ = sender.send_blocking(make_message());
                }))
            }
            Place::Caller => {
                self.sender.send(make_message()).map_err(|_| OffloadFull { jobs_max: MESSAGES_WAITING_MAX })
            }
        }
    }
}

impl<M> Drop for Offload<M> {
    fn drop(&mut self) {
        if let Place::Threads(queue) = &self.place {
            queue.close();
        }
    }
}

impl<M> fmt::Debug for Offload<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offload").finish_non_exhaustive()
    }
}

/// The jobs that wait, shared by all threads of a pool.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    jobs_max: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    running: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    Closed,
}

impl Queue {
    fn new(jobs_max: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), jobs_max }
    }

    /// The state. No code that can panic runs while it is locked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), OffloadFull> {
        let mut state = self.lock();
        if state.waiting.len() + state.running >= self.jobs_max {
            return Err(OffloadFull { jobs_max: self.jobs_max });
        }
        state.waiting.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Ends the threads, each after the job that it runs.
    fn close(&self) {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        // After the lock is released, because dropping a closure runs code of the service.
        drop(waiting);
    }

    /// The loop of one thread, until the queue is closed.
    fn run_jobs(&self) {
        while let Some(job) = self.next_job() {
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                error!("a message was lost: the closure that makes it panicked");
            }
            self.lock().running -= 1;
        }
    }

    /// Waits for the next job, and counts it as running. `None` once the queue is closed.
    fn next_job(&self) -> Option<Job> {
        let is_idle = |state: &mut State| state.waiting.is_empty() && state.phase == Phase::Open;
        let mut state = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let job = state.waiting.pop_front()?;
        state.running += 1;
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Duration;

    use super::*;
    use crate::net::{Handle, Wake};

    type Outcome = Result<u32, JobPanicked>;

    /// The longest wait for another thread.
    const TIMEOUT: Duration = Duration::from_secs(60);

    struct CountedWakes(AtomicUsize);

    impl Wake for CountedWakes {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn channel() -> (Sender<Outcome>, Receiver<Outcome>) {
        Handle::new(Arc::new(CountedWakes(AtomicUsize::new(0)))).channel()
    }

    fn start(threads: usize, waiting_max: usize) -> (Offload<Outcome>, Receiver<Outcome>) {
        let (sender, results) = channel();
        (Offload::start(NonZero::new(threads).unwrap(), waiting_max, sender).unwrap(), results)
    }

    /// Submits a job that ends when the returned sender is used or dropped.
    fn submit_blocked(offload: &Offload<Outcome>, result: u32) -> Result<SyncSender<()>, OffloadFull> {
        let (release, released) = sync_channel::<()>(1);
        offload.submit(
            move || {
                let _ = released.recv();
                result
            },
            |outcome| outcome,
        )?;
        Ok(release)
    }

    #[test]
    fn a_job_beyond_the_limit_is_refused_until_another_one_ends() {
        let (offload, results) = start(1, 1);
        let running = submit_blocked(&offload, 1).unwrap();
        let waiting = submit_blocked(&offload, 2).unwrap();
        assert_eq!(submit_blocked(&offload, 3).err(), Some(OffloadFull { jobs_max: 2 }));
        drop((running, waiting));
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(Ok(1)));
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(Ok(2)));
        // A result may arrive before its thread has counted the job as done.
        let started = std::time::Instant::now();
        while submit_blocked(&offload, 4).is_err() {
            assert!(started.elapsed() < TIMEOUT, "the ended jobs still count");
            thread::yield_now();
        }
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(Ok(4)));
    }

    #[test]
    fn jobs_run_on_all_threads_at_once() {
        let (offload, results) = start(2, 0);
        let first = submit_blocked(&offload, 1).unwrap();
        let second = submit_blocked(&offload, 2).unwrap();
        drop(second);
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(Ok(2)), "while the first one still runs");
        drop(first);
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(Ok(1)));
    }

    #[test]
    fn a_panicking_job_is_reported_and_its_thread_goes_on() {
        let (offload, results) = start(1, 2);
        offload.submit(|| panic!("on purpose"), |outcome| outcome).unwrap();
        offload.submit(|| 5, |_| panic!("on purpose as well")).unwrap();
        offload.submit(|| 6, |outcome| outcome).unwrap();
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(Err(JobPanicked)));
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(Ok(6)), "the message of the second job is lost");
    }

    #[test]
    fn results_beyond_the_capacity_of_the_service_are_not_lost() {
        let jobs = u32::try_from(MESSAGES_WAITING_MAX).unwrap() + 10;
        let (offload, results) = start(2, MESSAGES_WAITING_MAX + 10);
        for job in 0..jobs {
            offload.submit(move || job, |outcome| outcome).unwrap();
        }
        let mut all: Vec<u32> = (0..jobs).map(|_| results.recv_timeout(TIMEOUT).unwrap().unwrap()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..jobs));
    }

    #[test]
    fn dropping_the_pool_drops_waiting_jobs_and_does_not_wait_for_running_ones() {
        let (offload, results) = start(1, 1);
        let (entered, is_running) = sync_channel(1);
        let (release, released) = sync_channel::<()>(1);
        let work = move || {
            entered.send(()).unwrap();
            let _ = released.recv();
            1
        };
        offload.submit(work, |outcome| outcome).unwrap();
        is_running.recv_timeout(TIMEOUT).unwrap();
        let waiting = submit_blocked(&offload, 2).unwrap();
        drop(offload);
        assert!(waiting.send(()).is_err(), "the waiting job is dropped");
        drop(release);
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(Ok(1)));
        assert!(results.recv_timeout(TIMEOUT).is_err(), "the thread ends, and with it the last sender");
    }

    #[test]
    fn a_thread_ends_if_nothing_receives_its_result() {
        let (offload, results) = start(1, 0);
        let job = submit_blocked(&offload, 1).unwrap();
        let Place::Threads(queue) = &offload.place else { panic!("it has threads") };
        let queue = Arc::downgrade(queue);
        drop((results, offload, job));
        let started = std::time::Instant::now();
        while queue.strong_count() > 0 {
            assert!(started.elapsed() < TIMEOUT, "the thread does not end");
            thread::yield_now();
        }
    }

    #[test]
    fn inline_jobs_are_done_when_submit_returns_and_refused_when_the_service_is_behind() {
        let (sender, results) = channel();
        let offload = Offload::inline(sender);
        offload.submit(|| 1, |outcome| outcome).unwrap();
        assert_eq!(results.try_recv(), Ok(Ok(1)));
        for _ in 0..MESSAGES_WAITING_MAX {
            offload.submit(|| 2, |outcome| outcome).unwrap();
        }
        assert_eq!(offload.submit(|| 3, |outcome| outcome), Err(OffloadFull { jobs_max: MESSAGES_WAITING_MAX }));
    }
}
