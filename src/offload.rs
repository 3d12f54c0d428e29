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
/// Each job yields exactly one message, even if it panics, until the service ends.
///
/// Dropping the pool, usually together with the service, never blocks. Jobs that wait are dropped. A
/// job that runs goes on to its end on a thread that nothing joins, and its result is dropped. During
/// a drain the service still exists: a peer with a deferred reply stays open until the result has
/// come, or until the drain timeout.
///
/// ```no_run
/// use std::num::NonZero;
///
/// use readyloop::offload::{JobPanicked, Offload};
/// use readyloop::service::ReplyToken;
/// use readyloop::{Context, Lines, Orders, Sender, Server, ServerLimits, Service};
///
/// struct Hasher {
///     offload: Offload,
///     sender: Sender<Hashed>,
/// }
///
/// struct Hashed(ReplyToken, Result<u64, JobPanicked>);
///
/// impl Service for Hasher {
///     type Codec = Lines;
///     type Peer = ();
///     type Message = Hashed;
///
///     fn on_frame(&mut self, _peer: &mut (), password: &[u8], cx: &mut Context<Self>) {
///         let (token, password) = (cx.defer_reply(), password.to_vec());
///         let work = move || slow_hash(&password);
///         if self.offload.submit(&self.sender, work, move |hash| Hashed(token, hash)).is_err() {
///             let _ = cx.orders().answer(token, &[b"error: busy"]);
///         }
///     }
///
///     fn on_message(&mut self, Hashed(token, hash): Hashed, orders: &mut Orders<Self>) {
///         let reply = hash.map_or("error: no hash".to_owned(), |hash| hash.to_string());
///         let _ = orders.answer(token, &[reply.as_bytes()]);
///     }
/// }
/// # fn slow_hash(password: &[u8]) -> u64 { password.len() as u64 }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let mut server = Server::new(readyloop::Reactor::new()?, ServerLimits::default());
///     // 4 threads, and at most 256 jobs that wait for one of them.
///     let offload = Offload::start(NonZero::new(4).unwrap(), 256)?;
///     server.listen_with("127.0.0.1:7007", Lines::new(), |sender| Hasher { offload, sender })?;
///     println!("{}", server.run()?);
///     Ok(())
/// }
/// ```
pub struct Offload {
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

impl Offload {
    /// Starts `threads` threads. At most `waiting_max` jobs wait while all of them are busy.
    ///
    /// # Errors
    /// The system refuses a thread. The threads that were started end.
    pub fn start(threads: NonZero<usize>, waiting_max: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(threads.get().saturating_add(waiting_max)));
        let offload = Self { place: Place::Threads(Arc::clone(&queue)) };
        for _ in 0..threads.get() {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name("offload".to_owned()).spawn(move || queue.run_jobs())?;
        }
        Ok(offload)
    }

    /// Runs each job at once, on the thread that submits it, and starts no thread.
    ///
    /// The result still arrives as a message. It is for tests in a simulated network,
    /// because a run with threads is not repeatable.
    pub const fn inline() -> Self {
        Self { place: Place::Caller }
    }

    /// Queues `work`. Its result is passed to `message`, which makes the message for the service of `sender`.
    ///
    /// Both run on a thread of the pool. A thread that cannot deliver its message, because too many messages
    /// are waiting for the service, waits until it can.
    ///
    /// # Errors
    /// As many jobs as are permitted run or wait already. `work` is dropped, so the service can reply with
    /// an error at once. [`Self::inline`] returns this when too many messages are waiting for the service.
    pub fn submit<R, M: Send + 'static>(
        &self,
        sender: &Sender<M>,
        work: impl FnOnce() -> R + Send + 'static,
        message: impl FnOnce(Result<R, JobPanicked>) -> M + Send + 'static,
    ) -> Result<(), OffloadFull> {
        let make_message = || message(catch_unwind(AssertUnwindSafe(work)).map_err(|_| JobPanicked));
        match &self.place {
            Place::Threads(queue) => {
                let sender = sender.clone();
                queue.push(Box::new(move || {
                    // An error means that the service has ended.
                    let _ = sender.send_blocking(make_message());
                }))
            }
            Place::Caller => sender.send(make_message()).map_err(|_| OffloadFull { jobs_max: MESSAGES_WAITING_MAX }),
        }
    }
}

impl Drop for Offload {
    fn drop(&mut self) {
        if let Place::Threads(queue) = &self.place {
            queue.close();
        }
    }
}

impl fmt::Debug for Offload {
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
    is_closed: bool,
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
        state.is_closed = true;
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
        let is_idle = |state: &mut State| state.waiting.is_empty() && !state.is_closed;
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

    /// A pool with a channel for its results.
    struct Pool {
        offload: Offload,
        sender: Sender<Outcome>,
        results: Receiver<Outcome>,
    }

    impl Pool {
        fn start(threads: usize, waiting_max: usize) -> Self {
            let (sender, results) = channel();
            Self { offload: Offload::start(NonZero::new(threads).unwrap(), waiting_max).unwrap(), sender, results }
        }

        fn submit(&self, work: impl FnOnce() -> u32 + Send + 'static) -> Result<(), OffloadFull> {
            self.offload.submit(&self.sender, work, |outcome| outcome)
        }

        /// Submits a job that ends when the returned sender is used or dropped.
        fn submit_blocked(&self, result: u32) -> Result<SyncSender<()>, OffloadFull> {
            let (release, released) = sync_channel::<()>(1);
            self.submit(move || {
                let _ = released.recv();
                result
            })?;
            Ok(release)
        }

        #[track_caller]
        fn result(&self) -> Outcome {
            self.results.recv_timeout(TIMEOUT).expect("a result arrives")
        }
    }

    #[test]
    fn a_job_beyond_the_limit_is_refused_until_another_one_ends() {
        let pool = Pool::start(1, 1);
        let running = pool.submit_blocked(1).unwrap();
        let waiting = pool.submit_blocked(2).unwrap();
        assert_eq!(pool.submit_blocked(3).err(), Some(OffloadFull { jobs_max: 2 }));
        drop((running, waiting));
        assert_eq!(pool.result(), Ok(1));
        assert_eq!(pool.result(), Ok(2));
        // A result may arrive before its thread has counted the job as done.
        let started = std::time::Instant::now();
        while pool.submit_blocked(4).is_err() {
            assert!(started.elapsed() < TIMEOUT, "the ended jobs still count");
            thread::yield_now();
        }
        assert_eq!(pool.result(), Ok(4));
    }

    #[test]
    fn jobs_run_on_all_threads_at_once() {
        let pool = Pool::start(2, 0);
        let first = pool.submit_blocked(1).unwrap();
        let second = pool.submit_blocked(2).unwrap();
        drop(second);
        assert_eq!(pool.result(), Ok(2), "while the first one still runs");
        drop(first);
        assert_eq!(pool.result(), Ok(1));
    }

    #[test]
    fn a_panicking_job_is_reported_and_its_thread_goes_on() {
        let pool = Pool::start(1, 2);
        pool.submit(|| panic!("on purpose")).unwrap();
        pool.offload.submit(&pool.sender, || 5, |_| panic!("on purpose as well")).unwrap();
        pool.submit(|| 6).unwrap();
        assert_eq!(pool.result(), Err(JobPanicked));
        assert_eq!(pool.result(), Ok(6), "the message of the second job is lost");
    }

    #[test]
    fn results_beyond_the_capacity_of_the_service_are_not_lost() {
        let jobs = u32::try_from(MESSAGES_WAITING_MAX).unwrap() + 10;
        let pool = Pool::start(2, MESSAGES_WAITING_MAX + 10);
        for job in 0..jobs {
            pool.submit(move || job).unwrap();
        }
        let mut all: Vec<u32> = (0..jobs).map(|_| pool.result().unwrap()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..jobs));
    }

    #[test]
    fn dropping_the_pool_drops_waiting_jobs_and_does_not_wait_for_running_ones() {
        let pool = Pool::start(1, 1);
        let (entered, is_running) = sync_channel(1);
        let (release, released) = sync_channel::<()>(1);
        let work = move || {
            entered.send(()).unwrap();
            let _ = released.recv();
            1
        };
        pool.submit(work).unwrap();
        is_running.recv_timeout(TIMEOUT).unwrap();
        let waiting = pool.submit_blocked(2).unwrap();
        let Pool { offload, sender, results } = pool;
        drop((offload, sender));
        assert!(waiting.send(()).is_err(), "the waiting job is dropped");
        drop(release);
        assert_eq!(results.recv_timeout(TIMEOUT), Ok(Ok(1)));
        assert!(results.recv_timeout(TIMEOUT).is_err(), "the thread ends, and with it the last sender");
    }

    #[test]
    fn a_thread_ends_if_nothing_receives_its_result() {
        let pool = Pool::start(1, 0);
        let job = pool.submit_blocked(1).unwrap();
        let Place::Threads(queue) = &pool.offload.place else { panic!("it has threads") };
        let queue = Arc::downgrade(queue);
        drop((pool, job));
        let started = std::time::Instant::now();
        while queue.strong_count() > 0 {
            assert!(started.elapsed() < TIMEOUT, "the thread does not end");
            thread::yield_now();
        }
    }

    #[test]
    fn inline_jobs_are_done_when_submit_returns_and_refused_when_the_service_is_behind() {
        let (sender, results) = channel();
        let pool = Pool { offload: Offload::inline(), sender, results };
        pool.submit(|| 1).unwrap();
        assert_eq!(pool.results.try_recv(), Ok(Ok(1)));
        for _ in 0..MESSAGES_WAITING_MAX {
            pool.submit(|| 2).unwrap();
        }
        assert_eq!(pool.submit(|| 3), Err(OffloadFull { jobs_max: MESSAGES_WAITING_MAX }));
    }
}
