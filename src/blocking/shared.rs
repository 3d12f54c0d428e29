//! State that the accept loop shares with the serving threads: limits, counters and the shutdown stage.
//!
//! The lock is held only to update or copy numbers, never while a thread waits for the network.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::admission::{Admission, ServerLimits, Totals};
use crate::event_loop::shutdown::Stage;
use crate::host::HostCounters;
use crate::instant::Instant;
use crate::net::{AddressGroup, Clock, Net, Reactor, Wake};

/// Numbers of all threads. The bytes of an open connection are added when it closes.
pub(super) struct SharedCounters {
    pub(super) totals: Totals,
    pub(super) admission: Admission,
    /// The number of closed connections.
    pub(super) closes: u64,
}

/// State that all threads of one server share.
pub(super) struct SharedState {
    pub(super) clock: Clock,
    pub(super) limits: ServerLimits,
    started_at: Instant,
    counters: Mutex<SharedCounters>,
    /// A [`Stage`]; written by the accept loop only.
    stage: AtomicU8,
    accept_loop: Arc<dyn Wake>,
    /// Memory mappings of all threads and of their queues.
    mappings: AtomicUsize,
}

impl SharedState {
    pub(super) fn new(reactor: &Reactor, limits: ServerLimits) -> Self {
        let clock = reactor.clock();
        let counters = SharedCounters { totals: Totals::default(), admission: Admission::new(&limits), closes: 0 };
        Self {
            clock,
            limits,
            started_at: clock.now(),
            counters: Mutex::new(counters),
            stage: AtomicU8::new(Stage::Running as u8),
            accept_loop: reactor.wake(),
            mappings: AtomicUsize::new(0),
        }
    }

    pub(super) fn counters(&self) -> MutexGuard<'_, SharedCounters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection that has been served and closed.
    pub(super) fn count_closed(&self, group: AddressGroup, connection: &HostCounters) {
        let mut counters = self.counters();
        counters.totals.peers += connection;
        counters.admission.release(group);
        counters.closes += 1;
    }

    /// The number of open connections. A connection that waits for a thread counts as open.
    pub(super) fn open(&self) -> usize {
        self.counters().admission.open()
    }

    pub(super) fn totals(&self) -> Totals {
        let counters = self.counters();
        let mut totals = counters.totals.clone();
        totals.open = counters.admission.open() as u64;
        totals.peers.opened += totals.open;
        totals.duration = self.clock.now().since(self.started_at);
        totals
    }

    #[inline]
    pub(super) fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::Acquire))]
    }

    /// Enters a stage. Serving threads see it when their current read, write or park ends.
    pub(super) fn enter_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Wakes the accept loop, because a thread became free.
    pub(super) fn wake_accept_loop(&self) {
        self.accept_loop.wake();
    }

    pub(super) fn mappings(&self) -> usize {
        self.mappings.load(Ordering::Relaxed)
    }

    /// Replaces the share of one thread in the count of mappings.
    pub(super) fn recount_mappings(&self, before: usize, after: usize) {
        // The difference may be negative: the addition wraps around.
        self.mappings.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}
