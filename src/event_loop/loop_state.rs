//! `LoopState`: the network, the time, the memory and the counters that all endpoints of a loop share.

use crate::admission::{Admission, ServerLimits};
use crate::buffer::{Reserve, Scratch};
use crate::connection::READ_LEN_MAX;
use crate::instant::Instant;
use crate::net::{Net, TURN_BYTES};

use super::measurements::Measurements;
use super::transitions::TransitionLog;

/// The state that all endpoints of a loop share.
pub(super) struct LoopState<N: Net> {
    pub(super) net: N,
    pub(super) now: Instant,
    pub(super) scratch: Scratch,
    pub(super) reserve: Reserve,
    /// Most bytes that each endpoint may move in a turn.
    pub(super) turn_bytes: usize,
    /// The number of events reported since the last complete poll; `None` after a complete one. While it
    /// is set, a peer that looks idle may have an event that is not yet reported.
    pub(super) partial_poll: Option<usize>,
    pub(super) admission: Admission,
    /// `None` while nothing is measured.
    pub(super) measurements: Option<Box<Measurements>>,
    /// `None` while no transition is recorded.
    pub(super) transitions: Option<Box<TransitionLog>>,
    pub(super) closes: u64,
    pub(super) refused_full: u64,
    pub(super) refused_address: u64,
    pub(super) accept_errors: u64,
    pub(super) connects_failed: u64,
    /// Whether the last reload of certificates or settings failed.
    pub(super) has_failed_reload: bool,
}

impl<N: Net> LoopState<N> {
    pub(super) fn new(net: N, limits: &ServerLimits) -> Self {
        Self {
            now: net.now(),
            net,
            scratch: Scratch::new(READ_LEN_MAX),
            reserve: Reserve::new(limits.queue_total_max),
            turn_bytes: TURN_BYTES,
            partial_poll: None,
            admission: Admission::new(limits),
            measurements: None,
            transitions: None,
            closes: 0,
            refused_full: 0,
            refused_address: 0,
            accept_errors: 0,
            connects_failed: 0,
            has_failed_reload: false,
        }
    }
}
