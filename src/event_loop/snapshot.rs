//! `Snapshot`: a copy of the whole state of an event loop, for tests.
//!
//! Tests use it to check that no peer with work is forgotten. Taking one costs time and memory in
//! proportion to the number of peers. An `Inspector` copies single peers instead.

use super::shutdown::Stage;
use crate::connection::{CloseReason, Deadline, Halves, Limits, ReadPause, Role};
use crate::host::{Host, HostCounters, Peer};
use crate::instant::Instant;
use crate::net::{Link, PeerAddress, Stream};
use crate::service::Service;
use crate::slab::Key;

/// The state of an event loop.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The endpoints, in the order in which they were added.
    pub endpoints: Vec<EndpointSnapshot>,
    /// Memory lent to queues, in bytes.
    pub lent_bytes: usize,
    /// Most memory that may be lent, in bytes.
    pub lent_bytes_max: usize,
    /// Most bytes that each endpoint moves in a turn.
    pub turn_bytes: usize,
    /// Peers that are counted as open.
    pub open: usize,
    /// The time of the last turn.
    pub now: Instant,
    /// The time until which the loop would sleep; `None` if it would wait for an event.
    pub sleeps_until: Option<Instant>,
    /// Whether a drain or a stop has begun.
    pub is_draining: bool,
    /// The stage of the shutdown.
    pub stage: Stage,
    /// When the next stage of a shutdown begins; [`Instant::NEVER`] if none is due.
    pub next_stage_at: Instant,
    /// Whether the last turn expired no deadlines, since there may be events that are not yet reported.
    pub deadlines_wait: bool,
}

/// The state of one endpoint.
#[derive(Clone, Debug)]
pub struct EndpointSnapshot {
    /// The counters of the endpoint.
    pub counters: HostCounters,
    /// The limits of its peers.
    pub limits: Limits,
    /// The peers, except pending ones.
    pub peers: Vec<PeerSnapshot>,
    /// Whether an accept may succeed; at a UDP endpoint, whether it has work.
    pub is_acceptable: bool,
    /// Whether it still listens.
    pub is_listening: bool,
    /// The number of marked peers.
    pub marked: usize,
    /// Whether orders of the service wait to be applied.
    pub has_orders: bool,
}

/// How far a peer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenStage {
    /// It was accepted, and the handshake of its layer is in progress.
    Handshake,
    /// Our connection to it is in progress.
    Connecting,
    /// Its handshake has failed, and it is being finished. The service does not know it.
    Refused,
    /// The service was notified of it.
    Open,
}

impl OpenStage {
    /// The stage in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Connecting => "connecting",
            Self::Refused => "refused",
            Self::Open => "open",
        }
    }
}

/// The state of one peer.
#[derive(Clone, Debug)]
pub struct PeerSnapshot {
    /// The key of the peer.
    pub key: Key,
    /// Its address, if the system reports it.
    pub address: Option<PeerAddress>,
    /// The address of the proxy that announced it, if one did.
    pub proxy_address: Option<PeerAddress>,
    /// How far it has come. Only an inquiry sees peers that are not open yet.
    pub stage: OpenStage,
    /// Our side of its connection.
    pub role: Role,
    /// Both halves of its connection.
    pub halves: Halves,
    /// Why it was closed, if it was.
    pub closed: Option<CloseReason>,
    /// Bytes read and not yet served.
    pub input_len: usize,
    /// Bytes queued and not yet written.
    pub output_len: usize,
    /// What holds input back.
    pub read_pause: ReadPause,
    /// Whether reading is paused or frames are held back.
    pub is_paused: bool,
    /// Whether only the service ends the pause.
    pub is_held_by_service: bool,
    /// Whether its connection would accept input.
    pub wants_read: bool,
    /// Whether a read may succeed.
    pub readable: bool,
    /// Whether a write may succeed.
    pub writable: bool,
    /// Whether it is to be served before the next sleep.
    pub is_marked: bool,
    /// When its timer fires.
    pub armed_at: Instant,
    /// When a byte last moved in either direction.
    pub last_activity: Instant,
    /// Its earliest deadline; [`Instant::NEVER`] once it is closed.
    pub deadline: Instant,
    /// The timeout of that deadline.
    pub timeout: Option<Deadline>,
}

impl PeerSnapshot {
    pub(super) fn of<S: Service, T: Stream>(key: Key, peer: &Peer<S, Link<T>>, host: &Host<S, Link<T>>) -> Self {
        let connection = &peer.connection;
        let (readable, writable) = peer.link.readiness();
        let deadline = peer.deadline(host.codec(), host.limits());
        Self {
            key,
            address: peer.link.peer_address(),
            proxy_address: peer.link.proxy_address(),
            stage: if peer.is_refused() { OpenStage::Refused } else { OpenStage::Open },
            role: connection.role(),
            halves: *connection.halves(),
            closed: connection.closed(),
            input_len: connection.input_len(),
            output_len: connection.output_len(),
            read_pause: connection.read_pause(),
            is_paused: connection.is_paused(),
            is_held_by_service: connection.is_held_by_service(),
            wants_read: connection.wants_read(),
            readable,
            writable,
            is_marked: peer.is_marked(),
            armed_at: peer.armed_at(),
            last_activity: connection.last_activity(),
            deadline: deadline.map_or(Instant::NEVER, |(at, _)| at),
            timeout: deadline.map(|(_, timeout)| timeout),
        }
    }
}
