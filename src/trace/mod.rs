//! What happens between an event loop, its network and its services: the events, their hash and their log.
//!
//! A network such as the [simulated one](crate::sim) adds a [`TraceEvent`] for each call with its result. The
//! [`Trace`] hashes them: equal runs give equal hashes. With a [`TraceLog`], they are also kept, together with
//! callbacks and faults, until [`run_log`](crate::run_log) takes them and explains the run.

mod entry;
mod event;
mod hash;
mod lesson;

pub use entry::{KernelBuffers, TraceEntry};
pub use event::{SysResult, TraceEvent};
pub(crate) use hash::mix;
pub use lesson::Lesson;

use std::hash::{Hash as _, Hasher as _};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use hash::StableHasher;

/// A running hash of all events of a network, and on request their log.
#[derive(Debug, Default)]
pub struct Trace {
    hash: StableHasher,
    log: Option<TraceLog>,
}

impl Trace {
    /// Keeps everything from this call on in this log as well. The hash does not change.
    pub fn keep_in(&mut self, log: TraceLog) {
        self.log = Some(log);
    }

    /// Adds an event.
    pub fn add(&mut self, event: TraceEvent) {
        event.hash(&mut self.hash);
        self.add_entry(|| TraceEntry::Event(event));
    }

    /// Adds an entry to the log, if there is one. The hash does not change.
    pub fn add_entry(&self, entry: impl FnOnce() -> TraceEntry) {
        if let Some(log) = &self.log {
            log.add(entry());
        }
    }

    /// The hash of all events so far.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }
}

/// A log of a run, shared by all that add to it: the network, and the services inside
/// [`Observed`](crate::run_log::Observed).
///
/// It grows until [`TraceLog::take`] empties it, so take its entries after each turn.
#[derive(Clone, Debug, Default)]
pub struct TraceLog {
    entries: Arc<Mutex<Vec<TraceEntry>>>,
}

impl TraceLog {
    /// Creates an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    pub fn add(&self, entry: TraceEntry) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Takes all entries since the last call, in order.
    pub fn take(&self) -> Vec<TraceEntry> {
        mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
