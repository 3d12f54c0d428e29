//! A look at everything a server remembers, for tests and the curious: the basis for checking
//! that nobody who has work is forgotten.
//!
//! It costs time and memory in proportion to the peers; a running server has no use for it.

use crate::codec::Codec;
use crate::connection::{CloseReason, Halves, Limits};
use crate::host::{HostCounters, Peer};
use crate::instant::Instant;
use crate::net::Link;
use crate::service::Service;
use crate::slab::Key;

/// Everything a server remembers.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The endpoints, in the order in which they were added.
    pub endpoints: Vec<EndpointSnapshot>,
    /// Memory lent to queues, in bytes.
    pub lent_bytes: usize,
    /// The most that may be lent.
    pub lent_bytes_max: usize,
    /// Peers that are counted as open.
    pub open: usize,
    /// The time of the last turn.
    pub now: Instant,
    /// Until when the server would sleep now; `None`: until a fact comes.
    pub sleeps_until: Option<Instant>,
    /// Whether the last turn looked at no deadline, since there was more to tell than was told.
    pub deadlines_wait: bool,
}

/// Everything one endpoint remembers.
#[derive(Clone, Debug)]
pub struct EndpointSnapshot {
    /// What was counted.
    pub counters: HostCounters,
    /// The limits of its peers.
    pub limits: Limits,
    /// Its peers.
    pub peers: Vec<PeerSnapshot>,
    /// Whether an accept may succeed, as far as it knows; of a UDP endpoint, whether it has work.
    pub is_acceptable: bool,
    /// Whether it still has its listener.
    pub is_listening: bool,
    /// How many peers are marked.
    pub marked: usize,
}

/// Everything remembered about one peer.
#[derive(Clone, Debug)]
pub struct PeerSnapshot {
    /// Its name.
    pub key: Key,
    /// Both halves of its connection.
    pub halves: Halves,
    /// Why it is over, once it is.
    pub closed: Option<CloseReason>,
    /// Bytes read and not served yet.
    pub input_len: usize,
    /// Bytes queued and not written yet.
    pub output_len: usize,
    /// Whether reading is paused, or frames are held back.
    pub is_paused: bool,
    /// Whether a read is welcome.
    pub wants_read: bool,
    /// Whether a read may succeed, as far as is known.
    pub readable: bool,
    /// Whether a write may succeed, as far as is known.
    pub writable: bool,
    /// Whether it is to be served before the next sleep.
    pub is_marked: bool,
    /// When the timers look at it next.
    pub armed_at: Instant,
    /// Its earliest deadline.
    pub deadline: Instant,
}

impl PeerSnapshot {
    pub(super) fn of<S: Service, C: Codec, T>(key: Key, peer: &Peer<S, C, Link<T>>, limits: &Limits) -> Self {
        let connection = &peer.connection;
        let (readable, writable) = peer.link.readiness();
        Self {
            key,
            halves: *connection.halves(),
            closed: connection.closed(),
            input_len: connection.input_len(),
            output_len: connection.output_len(),
            is_paused: connection.is_paused(),
            wants_read: connection.wants_read(),
            readable,
            writable,
            is_marked: peer.is_marked(),
            armed_at: peer.armed_at(),
            deadline: connection.poll_deadline(limits),
        }
    }
}
