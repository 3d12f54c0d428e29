//! The common ground of one server's threads: its books, how far its end has come, and the bells
//! that tell of it.
//!
//! No thread waits here for another: the books are open for as long as it takes to write a line.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::admission::{Admission, Rejection, ServerLimits, Totals};
use crate::host::HostCounters;
use crate::instant::Instant;
use crate::net::blocking::{Bell, Naps};
use crate::net::{AddressGroup, Clock, Net, Reactor, Wake};

/// How far the end of the server has come; each thread looks once a turn.
///
/// ```text
/// Serving ── drain ──▶ Draining ── half of its time ──▶ Finishing ── all of it ──▶ Stopping
///    └──────────────────────── stop, at any stage ─────────────────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Serving,
    /// What peers had sent is served.
    Draining,
    /// What is queued leaves.
    Finishing,
    /// Everybody is cut off.
    Stopping,
}

/// When the later stages begin.
#[derive(Debug)]
struct Schedule {
    finish_at: Instant,
    stop_at: Instant,
}

/// What was counted, by all threads.
pub(super) struct Books {
    /// Of peers that have gone; those who are still there are counted when they go.
    pub(super) totals: Totals,
    pub(super) admission: Admission,
    /// How many peers have gone.
    pub(super) closes: u64,
}

/// What all threads of a server share.
pub(super) struct Ground {
    pub(super) clock: Clock,
    pub(super) limits: ServerLimits,
    started_at: Instant,
    books: Mutex<Books>,
    /// Unset while nobody has asked for the end.
    schedule: OnceLock<Schedule>,
    is_stopped: AtomicBool,
    drain_bell: Arc<Bell>,
    stop_bell: Arc<Bell>,
    /// Who sleeps in a read; the watch looks after them.
    pub(super) naps: Arc<Naps>,
    watch: Arc<dyn Wake>,
    /// Whether the watch waits for somebody to be done.
    watch_waits: AtomicBool,
    /// How many memory mappings the threads and their queues take.
    mappings: AtomicUsize,
}

impl Ground {
    /// # Errors
    /// No descriptors for the bells, or the signal that ends a nap cannot be caught.
    pub(super) fn new(reactor: &Reactor, limits: ServerLimits) -> io::Result<Self> {
        let clock = reactor.clock();
        Ok(Self {
            clock,
            started_at: clock.now(),
            books: Mutex::new(Books { totals: Totals::default(), admission: Admission::new(&limits), closes: 0 }),
            limits,
            schedule: OnceLock::new(),
            is_stopped: AtomicBool::new(false),
            drain_bell: Arc::new(Bell::new()?),
            stop_bell: Arc::new(Bell::new()?),
            naps: Arc::new(Naps::new(reactor.wake())?),
            watch: reactor.wake(),
            watch_waits: AtomicBool::new(false),
            mappings: AtomicUsize::new(0),
        })
    }

    // ── The books ───────────────────────────────────────────────────────────────────────────────

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a newcomer in.
    pub(super) fn admit(&self, group: AddressGroup) -> Result<(), Rejection> {
        self.books().admission.admit(group)
    }

    /// Counts out a peer that was served, with all that happened to it.
    pub(super) fn part(&self, group: AddressGroup, counters: &HostCounters) {
        let mut books = self.books();
        books.totals.add(counters);
        books.admission.release(group);
        books.closes += 1;
    }

    /// How many peers there are, those that wait for a thread among them.
    pub(super) fn open(&self) -> usize {
        self.books().admission.open()
    }

    /// Everything counted so far.
    pub(super) fn totals(&self) -> Totals {
        let books = self.books();
        let mut totals = books.totals.clone();
        totals.open = books.admission.open() as u64;
        totals.peers.opened += totals.open;
        totals.duration = self.clock.now().since(self.started_at);
        totals
    }

    // ── The end ─────────────────────────────────────────────────────────────────────────────────

    #[inline]
    pub(super) fn stage(&self, now: Instant) -> Stage {
        match self.schedule.get() {
            None => Stage::Serving,
            Some(schedule) if schedule.stop_at <= now || self.is_stopped.load(Ordering::Acquire) => Stage::Stopping,
            Some(schedule) if schedule.finish_at <= now => Stage::Finishing,
            Some(_) => Stage::Draining,
        }
    }

    /// When `stage` ends by itself.
    pub(super) fn stage_end(&self, stage: Stage) -> Instant {
        match (stage, self.schedule.get()) {
            (Stage::Draining, Some(schedule)) => schedule.finish_at,
            (Stage::Finishing, Some(schedule)) => schedule.stop_at,
            (Stage::Serving | Stage::Stopping, _) | (_, None) => Instant::NEVER,
        }
    }

    /// The bell that rings when somebody ends `stage` before its time.
    pub(super) fn bell(&self, stage: Stage) -> &Arc<Bell> {
        match stage {
            Stage::Serving => &self.drain_bell,
            Stage::Draining | Stage::Finishing | Stage::Stopping => &self.stop_bell,
        }
    }

    /// Begins the drain; says whether that was news.
    pub(super) fn drain(&self, now: Instant) -> bool {
        let whole = self.limits.drain_timeout;
        let is_news = self.schedule.set(Schedule { finish_at: now + whole / 2, stop_at: now + whole }).is_ok();
        self.drain_bell.ring();
        self.naps.rouse_all();
        is_news
    }

    /// Cuts everybody off.
    pub(super) fn stop(&self, now: Instant) {
        self.is_stopped.store(true, Ordering::Release);
        self.drain(now);
        self.stop_bell.ring();
    }

    // ── The watch ───────────────────────────────────────────────────────────────────────────────

    /// The watch is about to look who has left room and then to sleep: what changes after this
    /// wakes it.
    pub(super) fn expect_word(&self) {
        self.watch_waits.store(true, Ordering::SeqCst);
    }

    /// A thread has become free: the watch may want to know.
    pub(super) fn send_word(&self) {
        if self.watch_waits.swap(false, Ordering::SeqCst) {
            self.watch.wake();
        }
    }

    // ── Mappings ────────────────────────────────────────────────────────────────────────────────

    pub(super) fn mappings(&self) -> usize {
        self.mappings.load(Ordering::Relaxed)
    }

    /// A thread takes `now` mappings, and took `before` until now.
    pub(super) fn recount_mappings(&self, before: usize, now: usize) {
        if before < now {
            self.mappings.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.mappings.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}
