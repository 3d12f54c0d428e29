//! The log of a run: what its services saw and did.
//!
//! The services write it, and the invariants read it between two turns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::outcome::Misdeed;
use crate::connection::CloseReason;
use crate::slab::Key;

/// A peer, by the index of its endpoint and its key there.
pub(super) type PeerName = (usize, Key);

/// What all services of a run saw and did.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The open peers, each with its port.
    pub(super) open: BTreeMap<PeerName, u16>,
    /// The number of frames from each open peer.
    pub(super) frames: BTreeMap<PeerName, u64>,
    /// The open peers for which `on_end` was called.
    ended: BTreeSet<PeerName>,
    /// The peers that were closed since the invariants last read the log.
    pub(super) closed: Vec<ClosedPeer>,
    pub(super) opened: u64,
    pub(super) callbacks: u64,
    pub(super) misdeeds: [u64; Misdeed::ALL.len()],
    /// The peers with a panic in a callback. They must be closed.
    pub(super) panicked: Vec<PeerName>,
    /// The last violation of the contract between server and service.
    pub(super) violation: Option<String>,
}

/// A close as the service saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClosedPeer {
    pub(super) name: PeerName,
    pub(super) port: u16,
    pub(super) reason: CloseReason,
    /// `on_end` was called before.
    pub(super) is_end_reported: bool,
}

/// A handle to the log.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedLog(Arc<Mutex<Log>>);

impl SharedLog {
    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a callback for an open peer.
    pub(super) fn count_callback(&self, name: PeerName) {
        let mut log = self.lock();
        log.callbacks += 1;
        if !log.open.contains_key(&name) {
            log.violation = Some(format!("a callback for {name:?}, which is not open"));
        }
    }

    pub(super) fn add_open(&self, name: PeerName, port: u16) {
        let mut log = self.lock();
        log.callbacks += 1;
        log.opened += 1;
        if log.open.insert(name, port).is_some() {
            log.violation = Some(format!("{name:?} was opened twice"));
        }
    }

    pub(super) fn add_frame(&self, name: PeerName) {
        let mut log = self.lock();
        *log.frames.entry(name).or_default() += 1;
        if log.ended.contains(&name) {
            log.violation = Some(format!("a frame from {name:?} after its end"));
        }
    }

    pub(super) fn add_end(&self, name: PeerName) {
        let mut log = self.lock();
        if !log.ended.insert(name) {
            log.violation = Some(format!("{name:?} ended twice"));
        }
    }

    pub(super) fn add_close(&self, name: PeerName, reason: CloseReason) {
        let mut log = self.lock();
        log.frames.remove(&name);
        let is_end_reported = log.ended.remove(&name);
        if let Some(port) = log.open.remove(&name) {
            log.closed.push(ClosedPeer { name, port, reason, is_end_reported });
        }
    }
}
