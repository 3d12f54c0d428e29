//! A fixed number of threads, and a bounded queue of peers that wait for one.
//!
//! A peer keeps its thread until it is gone. So with fewer threads than peers the rest waits,
//! however little the others do: first here, accepted and unread, then in the backlog.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use super::crew::{Crew, Job};
use super::driver::Tools;
use super::ground::Ground;

/// A fixed number of threads and those who wait for them.
pub(super) struct Pool {
    waiting: Arc<Waiting>,
    waiting_max: usize,
}

/// Where peers and threads meet.
#[derive(Default)]
struct Waiting {
    room: Mutex<Room>,
    somebody_came: Condvar,
}

#[derive(Default)]
struct Room {
    jobs: VecDeque<Job>,
    /// How many threads wait for a job.
    idle: usize,
    is_closed: bool,
}

impl Pool {
    /// `workers` threads, and `waiting_max` places for who finds them all busy.
    ///
    /// # Errors
    /// A thread cannot be had.
    pub(super) fn new(ground: &Arc<Ground>, workers: NonZero<usize>, waiting_max: usize) -> io::Result<Self> {
        let pool = Self { waiting: Arc::default(), waiting_max };
        for _ in 0..workers.get() {
            let (ground, waiting) = (Arc::clone(ground), Arc::clone(&pool.waiting));
            // All are idle from the first, even before they run.
            pool.waiting.room().idle += 1;
            thread::Builder::new().spawn(move || waiting.work(&ground))?;
        }
        Ok(pool)
    }
}

impl Waiting {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's life: peer after peer, until the room is closed and empty.
    fn work(&self, ground: &Ground) {
        let mut tools = Tools::new(ground);
        while let Some(job) = self.next_job() {
            job(ground, &mut tools);
            self.room().idle += 1;
            ground.send_word();
        }
        tools.put_away(ground);
    }

    fn next_job(&self) -> Option<Job> {
        let room = self.somebody_came.wait_while(self.room(), |room| room.jobs.is_empty() && !room.is_closed);
        let mut room = room.unwrap_or_else(PoisonError::into_inner);
        let job = room.jobs.pop_front();
        room.idle -= 1;
        job
    }
}

impl Crew for Pool {
    fn has_room(&self) -> bool {
        let room = self.waiting.room();
        room.jobs.len() < room.idle + self.waiting_max
    }

    fn take(&mut self, job: Job) -> io::Result<()> {
        self.waiting.room().jobs.push_back(job);
        self.waiting.somebody_came.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.waiting.room().is_closed = true;
        self.waiting.somebody_came.notify_all();
    }
}
