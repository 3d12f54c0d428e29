//! The log of a run: what its services saw and did.
//!
//! The services write it, and the invariants read it between two turns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connection::CloseReason;
use crate::slab::Key;

/// Declares the misdeeds of a service, each with its name in reports.
macro_rules! misdeeds {
    ($($misdeed:ident = $name:literal;)*) => {
        /// Something that no service should do.
        #[derive(Clone, Copy, Debug)]
        pub(super) enum Misdeed { $($misdeed,)* }

        impl Misdeed {
            pub(super) const NAMES: [&str; [$($name),*].len()] = [$($name),*];
            pub(super) const ALL: [Self; [$($name),*].len()] = [$(Self::$misdeed),*];
        }
    };
}

misdeeds! {
    FinishesSelf = "service finishes its peer";
    ClosesSelf = "service closes its peer";
    FinishesSibling = "service finishes another peer";
    ClosesSibling = "service closes another peer";
    ClosesAll = "service closes all peers";
    Panics = "service panics";
    DefersReply = "service defers a reply";
    RepliesBadly = "service sends a bad reply";
}

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
    pub(super) ended: BTreeSet<PeerName>,
    /// The peers that were closed since the invariants last read the log.
    pub(super) closed: Vec<ClosedPeer>,
    pub(super) opened: u64,
    pub(super) callbacks: u64,
    pub(super) misdeeds: [u64; Misdeed::NAMES.len()],
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

    /// Counts a callback for an open peer and returns the peer's port.
    pub(super) fn count_callback(&self, name: PeerName) -> Option<u16> {
        let mut log = self.lock();
        log.callbacks += 1;
        let port = log.open.get(&name).copied();
        if port.is_none() {
            log.violation = Some(format!("a callback for {name:?}, which is not open"));
        }
        port
    }
}
