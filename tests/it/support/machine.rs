//! Access to the machine: most tests share it, tests that measure have it exclusively.
//!
//! Each server that a test starts holds a share, so that [`exclusive_machine`] waits for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::print_note;

/// The deadline for access to the machine. All measuring tests together take less.
const ACCESS_TIMEOUT: Duration = Duration::from_secs(3600);

struct Users {
    /// One entry for each share. A thread that holds a share can take another at any time.
    sharing: Vec<ThreadId>,
    exclusive: Option<ThreadId>,
    waiting_for_exclusive: usize,
}

static USERS: Mutex<Users> = Mutex::new(Users { sharing: Vec::new(), exclusive: None, waiting_for_exclusive: 0 });
static CHANGED: Condvar = Condvar::new();

/// Exclusive access to the machine for the test of this thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct ExclusiveMachine(());

/// Shared access to the machine.
#[derive(Debug)]
pub(crate) struct SharedMachine(ThreadId);

impl Users {
    fn may_share(&self, thread: ThreadId) -> bool {
        let is_free = self.exclusive.is_none() && self.waiting_for_exclusive == 0;
        is_free || self.exclusive == Some(thread) || self.sharing.contains(&thread)
    }
}

/// Ignores poisoning: a test that fails while it holds the lock must not fail the others.
fn users() -> MutexGuard<'static, Users> {
    USERS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[track_caller]
fn wait_while(users: MutexGuard<'static, Users>, is_busy: impl Fn(&Users) -> bool) -> MutexGuard<'static, Users> {
    let waited = CHANGED.wait_timeout_while(users, ACCESS_TIMEOUT, |users| is_busy(users));
    let (users, result) = waited.unwrap_or_else(PoisonError::into_inner);
    assert!(!result.timed_out(), "other tests do not end");
    users
}

/// Waits until no other test uses the machine, and keeps other tests waiting.
pub(crate) fn exclusive_machine() -> ExclusiveMachine {
    let mut users = users();
    users.waiting_for_exclusive += 1;
    users = wait_while(users, |users| users.exclusive.is_some() || !users.sharing.is_empty());
    users.waiting_for_exclusive -= 1;
    users.exclusive = Some(thread::current().id());
    ExclusiveMachine(())
}

/// Waits while another test has or wants the machine exclusively.
///
/// Starting a server does this. A test that computes for long without a server does it itself.
pub(crate) fn shared_machine() -> SharedMachine {
    let thread = thread::current().id();
    let mut users = wait_while(users(), |users| !users.may_share(thread));
    users.sharing.push(thread);
    SharedMachine(thread)
}

impl Drop for ExclusiveMachine {
    fn drop(&mut self) {
        users().exclusive = None;
        CHANGED.notify_all();
    }
}

impl Drop for SharedMachine {
    fn drop(&mut self) {
        let mut users = users();
        if let Some(index) = users.sharing.iter().position(|thread| *thread == self.0) {
            users.sharing.swap_remove(index);
        }
        CHANGED.notify_all();
    }
}

/// The 99th percentile of some times, which are sorted for it.
pub(crate) fn p99(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied()
}

/// The 99th percentile of the time that `call` takes, repeated for `span`.
#[track_caller]
pub(crate) fn p99_within(span: Duration, mut call: impl FnMut()) -> Duration {
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < span {
        let started = Instant::now();
        call();
        times.push(started.elapsed());
    }
    p99(&mut times).expect("the span is not zero")
}

/// The result of one timed measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) is_good: bool,
    /// Other programs kept the server from the CPU, so the measurement shows the scheduler.
    pub(crate) is_disturbed: bool,
    /// The measurement is within a loose bound, which holds on a busy machine too.
    pub(crate) is_bounded: bool,
}

/// Repeats a measurement until one is good, at most 4 times.
///
/// If none is good, it passes with a note only if all are disturbed and one is within the loose
/// bound. A fault of the server fails all attempts, with or without other programs.
#[track_caller]
pub(crate) fn repeat_attempts(what: &str, mut measure: impl FnMut() -> Attempt) {
    let mut attempts = Vec::new();
    for _ in 0..4 {
        let attempt = measure();
        if attempt.is_good {
            return;
        }
        attempts.push(attempt);
    }
    let is_excused = attempts.iter().all(|attempt| attempt.is_disturbed);
    assert!(is_excused && attempts.iter().any(|attempt| attempt.is_bounded), "{what}: {attempts:?}");
    print_note(&format!("{what}: checked by the loose bound only, because other programs used the CPUs all the time"));
}
