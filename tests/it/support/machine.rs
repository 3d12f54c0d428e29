//! Who may use the machine: most tests share it, those that measure have it alone.
//!
//! A test that starts a server shares the machine by that; [`exclusive_machine`] waits for the others to end
//! and keeps new ones out.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

#[derive(Default)]
struct Users {
    /// How many shares each thread holds: one that has a share may take another at any time.
    sharing: Option<HashMap<ThreadId, usize>>,
    alone: Option<ThreadId>,
    waiting_to_be_alone: usize,
}

static USERS: Mutex<Users> = Mutex::new(Users { sharing: None, alone: None, waiting_to_be_alone: 0 });
static CHANGED: Condvar = Condvar::new();

/// The machine belongs to this thread's test until this is dropped.
#[derive(Debug)]
pub(crate) struct ExclusiveMachine(());

/// A part of the machine, beside others.
#[derive(Debug)]
pub(crate) struct SharedMachine(ThreadId);

impl Users {
    fn sharing(&mut self) -> &mut HashMap<ThreadId, usize> {
        self.sharing.get_or_insert_default()
    }

    fn may_share(&mut self, who: ThreadId) -> bool {
        let nobody_else = self.alone.is_none() && self.waiting_to_be_alone == 0;
        nobody_else || self.alone == Some(who) || self.sharing().contains_key(&who)
    }
}

/// A test that failed while it held the lock must not fail the others.
fn users() -> MutexGuard<'static, Users> {
    USERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_while(busy: impl Fn(&mut Users) -> bool, users: MutexGuard<'static, Users>) -> MutexGuard<'static, Users> {
    CHANGED.wait_while(users, |users| busy(users)).unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the machine is quiet and keeps it so.
pub(crate) fn exclusive_machine() -> ExclusiveMachine {
    let mut users = users();
    users.waiting_to_be_alone += 1;
    users = wait_while(|users| users.alone.is_some() || !users.sharing().is_empty(), users);
    users.waiting_to_be_alone -= 1;
    users.alone = Some(thread::current().id());
    ExclusiveMachine(())
}

/// Waits until nobody has the machine alone and keeps it so. Starting a server does this; a test
/// that computes for long without one does it itself.
pub(crate) fn shared_machine() -> SharedMachine {
    let who = thread::current().id();
    let mut users = wait_while(|users| !users.may_share(who), users());
    *users.sharing().entry(who).or_default() += 1;
    SharedMachine(who)
}

impl Drop for ExclusiveMachine {
    fn drop(&mut self) {
        users().alone = None;
        CHANGED.notify_all();
    }
}

impl Drop for SharedMachine {
    fn drop(&mut self) {
        let mut users = users();
        let held = users.sharing().get_mut(&self.0).map_or(0, |held| {
            *held -= 1;
            *held
        });
        if held == 0 {
            users.sharing().remove(&self.0);
        }
        drop(users);
        CHANGED.notify_all();
    }
}
