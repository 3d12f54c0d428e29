//! `WorldState`: everything that exists in a simulated world, shared by all handles.
//!
//! The clock and the poll are in `poll`, the actions of peers in `peer_actions`. The calls of the
//! server are in `net`, `connect` and `datagrams`.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::behavior::Behavior;
use super::faults::{Fault, FaultCounts, Faults};
use super::peer_state::PeerState;
use super::rng::Rng;
use super::wire::{Side, Wire};
use crate::instant::Instant;
use crate::net::{Address, ControlEvent, DatagramRoute, Token};
use crate::trace::{Trace, TraceEntry};

/// How many tokens of dropped streams are kept for stale events.
const DROPPED_TOKENS_MAX: usize = 16;
/// The default size of a kernel buffer, for one direction of one end.
const KERNEL_BUFFER_BYTES: usize = 64 * 1024;

/// How the last poll ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorldProgress {
    /// The poll returned events, or returned because its deadline was reached.
    #[default]
    Busy,
    /// The poll would sleep beyond the limit of the clock.
    Horizon,
    /// The poll would sleep forever.
    Idle,
}

/// Counters of what the server did in a world, as the world sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorldCounters {
    /// Calls of `poll`.
    pub polls: u64,
    /// Polls that moved the clock because nothing was ready.
    pub sleeps: u64,
    /// Returned events, without the stale, spurious and duplicate ones.
    pub events: u64,
    /// Calls that had an effect: bytes moved, an end or error returned, a stream accepted or dropped.
    pub progress: u64,
    /// Streams that the server accepted.
    pub accepted: u64,
    /// Streams that the server reset on purpose.
    pub resets: u64,
    /// Bytes that the server read.
    pub bytes_read: u64,
    /// Bytes that the server wrote.
    pub bytes_written: u64,
}

/// Something that epoll can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventSource {
    Listener(usize),
    Wire(usize),
    Socket(usize),
}

/// The epoll registration of an event source.
#[derive(Debug, Default)]
pub(super) struct Registration {
    /// The token, between `register` and the drop.
    pub(super) token: Option<Token>,
    /// The source is on the ready list.
    pub(super) is_ready: bool,
    /// An event with read-closed was returned.
    pub(super) is_end_reported: bool,
}

/// A wire and what the world records about it.
#[derive(Debug)]
pub(super) struct WireState {
    pub(super) wire: Wire,
    /// The peer at the other end.
    pub(super) peer: usize,
    pub(super) registration: Registration,
    /// Bytes that the server read and wrote since the poll `turn`.
    pub(super) bytes_in_turn: usize,
    pub(super) turn: u64,
    /// When the server accepted it, last read bytes or the end, or last wrote bytes.
    pub(super) active_at: Instant,
    /// When the server last wrote bytes.
    pub(super) wrote_at: Instant,
}

/// A listener, open or closed.
#[derive(Debug)]
pub(super) struct ListenerState {
    pub(super) address: Address,
    pub(super) is_open: bool,
    /// Whether its loop has left it to another one.
    pub(super) is_handed_over: bool,
    /// Wires that are not accepted yet.
    pub(super) backlog: VecDeque<usize>,
    pub(super) backlog_max: usize,
    pub(super) registration: Registration,
}

impl ListenerState {
    /// Creates an open listener. Its backlog has space for at least one connection, as in Linux.
    pub(super) fn new(address: Address, backlog_max: usize) -> Self {
        Self {
            address,
            is_open: true,
            is_handed_over: false,
            backlog: VecDeque::new(),
            backlog_max: backlog_max.max(1),
            registration: Registration::default(),
        }
    }
}

/// A UDP socket, open or closed.
#[derive(Debug)]
pub(super) struct SocketState {
    pub(super) address: SocketAddr,
    pub(super) is_open: bool,
    /// Received datagrams, each with its addresses.
    pub(super) inbox: VecDeque<(DatagramRoute, Vec<u8>)>,
    pub(super) registration: Registration,
}

/// What happens to connects to an address.
#[derive(Clone, Debug)]
pub(super) enum ConnectResponse {
    /// A new peer with this behavior answers.
    Peer(Behavior),
    /// The backlog of the Unix listener is full.
    Full,
    /// No answer comes.
    Silence,
}

/// Everything that exists in a world.
#[derive(Debug)]
pub(super) struct WorldState {
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    pub(super) fault_counts: FaultCounts,
    pub(super) trace: Trace,
    pub(super) counters: WorldCounters,
    pub(super) now: Instant,
    /// How far polls may move the clock. `None` is no limit.
    pub(super) horizon: Option<Instant>,
    /// How the last poll ended.
    pub(super) progress: WorldProgress,
    pub(super) wires: Vec<WireState>,
    pub(super) listeners: Vec<ListenerState>,
    pub(super) peers: Vec<PeerState>,
    pub(super) connect_responses: Vec<(Address, ConnectResponse)>,
    pub(super) sockets: Vec<SocketState>,
    /// Datagrams to addresses without a socket in this world: source, destination, bytes.
    pub(super) sent_datagrams: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// epoll's ready list, which holds each source at most once.
    pub(super) ready: VecDeque<EventSource>,
    /// Tokens of dropped streams, the latest last.
    pub(super) dropped_tokens: VecDeque<Token>,
    pub(super) control_events: VecDeque<ControlEvent>,
    pub(super) is_woken: bool,
    pub(super) streams_open: usize,
    pub(super) descriptors_max: usize,
    /// The end of the current accept outage and its errno.
    pub(super) accept_outage: Option<(Instant, i32)>,
    pub(super) kernel_buffer: usize,
}

impl WorldState {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            faults: Faults::none(),
            fault_counts: FaultCounts::default(),
            trace: Trace::default(),
            counters: WorldCounters::default(),
            now: Instant::ORIGIN,
            horizon: Some(Instant::ORIGIN),
            progress: WorldProgress::Busy,
            wires: Vec::new(),
            listeners: Vec::new(),
            peers: Vec::new(),
            connect_responses: Vec::new(),
            sockets: Vec::new(),
            sent_datagrams: Vec::new(),
            ready: VecDeque::new(),
            dropped_tokens: VecDeque::new(),
            control_events: VecDeque::new(),
            is_woken: false,
            streams_open: 0,
            descriptors_max: usize::MAX,
            accept_outage: None,
            kernel_buffer: KERNEL_BUFFER_BYTES,
        }
    }

    /// Decides whether to inject a fault, and counts it.
    ///
    /// Call it only where the fault would have an effect.
    pub(super) fn inject(&mut self, fault: Fault) -> bool {
        let is_injected = self.rng.chance(self.faults.probability(fault));
        if is_injected {
            self.fault_counts.count(fault);
            // The time of each turn shows these two.
            if ![Fault::ClockStands, Fault::ClockCreeps].contains(&fault) {
                self.trace.add_entry(|| TraceEntry::Fault { name: fault.name(), lesson: fault.lesson() });
            }
        }
        is_injected
    }

    /// Creates a connection of this peer, in no backlog.
    pub(super) fn new_wire(&mut self, peer: usize) -> usize {
        let capacity = if self.inject(Fault::SmallBuffer) { 1 << self.rng.below(14) } else { self.kernel_buffer };
        let wire = self.wires.len();
        self.wires.push(WireState {
            wire: Wire::new(capacity),
            peer,
            registration: Registration::default(),
            bytes_in_turn: 0,
            turn: 0,
            active_at: self.now,
            wrote_at: self.now,
        });
        wire
    }

    /// The open listener at this address.
    pub(super) fn listener_at(&self, address: &Address) -> Option<usize> {
        self.listeners.iter().position(|listener| listener.is_open && listener.address == *address)
    }

    /// Puts a registered source on the ready list.
    pub(super) fn mark_ready(&mut self, source: EventSource) {
        let registration = self.registration(source);
        if registration.token.is_some() && !registration.is_ready {
            registration.is_ready = true;
            self.ready.push_back(source);
        }
    }

    /// Puts a wire on the ready list if its server end has an edge.
    pub(super) fn forward_edge(&mut self, wire: usize) {
        if self.wires[wire].wire.take_edge(Side::Server) {
            self.mark_ready(EventSource::Wire(wire));
        }
    }

    pub(super) fn registration(&mut self, source: EventSource) -> &mut Registration {
        match source {
            EventSource::Listener(listener) => &mut self.listeners[listener].registration,
            EventSource::Wire(wire) => &mut self.wires[wire].registration,
            EventSource::Socket(socket) => &mut self.sockets[socket].registration,
        }
    }

    /// Registers a source and reports its current readiness, as `EPOLL_CTL_ADD` does.
    pub(super) fn register(&mut self, source: EventSource, token: Token) {
        self.registration(source).token = Some(token);
        self.mark_ready(source);
    }

    /// Removes a source from epoll. The token of a stream may still appear in stale events.
    pub(super) fn deregister(&mut self, source: EventSource) {
        let registration = self.registration(source);
        registration.is_ready = false;
        let token = registration.token.take();
        self.ready.retain(|listed| *listed != source);
        if let EventSource::Wire(_) = source {
            self.dropped_tokens.extend(token);
        }
        if self.dropped_tokens.len() > DROPPED_TOKENS_MAX {
            self.dropped_tokens.pop_front();
        }
    }

    /// Breaks a connection by a fault.
    pub(super) fn break_connection(&mut self, wire: usize, errno: i32) {
        self.wires[wire].wire.break_with(Side::Server, errno);
        let peer = self.wires[wire].peer;
        self.peers[peer].is_hit_by_fault = true;
        self.forward_edge(wire);
    }

    /// Ends all faults, and restores small kernel buffers to their usual size.
    pub(super) fn disable_faults(&mut self) {
        self.faults = Faults::none();
        self.accept_outage = None;
        for wire in 0..self.wires.len() {
            self.wires[wire].wire.enlarge(self.kernel_buffer);
            self.forward_edge(wire);
        }
    }

    /// Closes a listener and resets the connections in its backlog.
    pub(super) fn close_listener(&mut self, listener: usize) {
        self.deregister(EventSource::Listener(listener));
        let state = &mut self.listeners[listener];
        state.is_open = false;
        for wire in std::mem::take(&mut state.backlog) {
            self.wires[wire].wire.reset(Side::Server, 0);
        }
    }
}

/// The state of a world, shared by its handles. Only one thread uses them, so the lock is always free.
#[derive(Clone)]
pub(super) struct SharedWorld(Arc<Mutex<WorldState>>);

impl SharedWorld {
    pub(super) fn new(state: WorldState) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WorldState> {
        // A panic cannot interrupt a call in a half-done state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedWorld {
    /// The whole state is too long to print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World { .. }")
    }
}
