//! `World`: the interface of a simulated world for tests.
//!
//! It has no rules of its own. The state is in `state`, shared by all handles.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::MutexGuard;
use std::time::Duration;

use super::behavior::Behavior;
use super::faults::{FaultCounts, Faults};
use super::net::SimNet;
use super::peer::SimPeer;
use super::peer_state::PeerState;
use super::state::{SharedWorld, WorldCounters, WorldProgress, WorldState};
use super::wire::Side;
use crate::instant::Instant;
use crate::net::{Address, ControlEvent, Token};
use crate::trace::{KernelBuffers, TraceLog};

/// More turns than any server needs until it sleeps. A server that needs more spins.
const SETTLE_TURNS_MAX: u64 = 1_000_000;
/// The address of the first peer, 10.0.0.1.
const SOURCE_FIRST: u32 = u32::from_be_bytes([10, 0, 0, 1]);

/// The kernel's state of one stream of the server.
#[derive(Clone, Copy, Debug)]
pub struct StreamView {
    /// The token of its registration.
    pub token: Token,
    /// The [`SimPeer::number`] of the peer.
    pub peer: usize,
    /// Bytes that the server can read.
    pub unread: usize,
    /// The peer's direction ended, or the connection broke.
    pub is_read_closed: bool,
    /// There is enough free space to write.
    pub is_writable: bool,
    /// An event is still to be returned.
    pub is_ready: bool,
    /// A write was cut short, so an event comes as soon as there is space.
    pub awaits_space: bool,
    /// Bytes that the server read and wrote since its last poll.
    pub bytes_in_turn: usize,
    /// When the server accepted it, last read bytes or the end, or last wrote bytes.
    pub active_at: Instant,
    /// When the server last wrote bytes.
    pub wrote_at: Instant,
}

/// The kernel's state of one listener of the server.
#[derive(Clone, Copy, Debug)]
pub struct ListenerView {
    /// The token of its registration.
    pub token: Token,
    /// The number of connections in its backlog.
    pub backlog_len: usize,
    /// An event is still to be returned.
    pub is_ready: bool,
}

/// A simulated world: a network, a clock and peers, all derived from one seed.
///
/// It has no faults before [`World::with_faults`], and its clock moves only in [`World::advance`],
/// unless [`World::with_free_clock`] was called.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) shared: SharedWorld,
}

impl World {
    /// Creates an empty world.
    pub fn new(seed: u64) -> Self {
        Self { shared: SharedWorld::new(WorldState::new(seed)) }
    }

    /// Sets the probabilities of faults.
    pub fn with_faults(self, faults: Faults) -> Self {
        self.state().faults = faults;
        self
    }

    /// Lets polls move the clock.
    ///
    /// A poll without events moves it to where the server would have slept to. Faults of the clock
    /// become possible.
    pub fn with_free_clock(self) -> Self {
        self.state().horizon = None;
        self
    }

    /// Limits the streams that the server may hold at once. Beyond it, accept fails with `EMFILE`.
    pub fn with_descriptors(self, streams_max: usize) -> Self {
        self.state().descriptors_max = streams_max;
        self
    }

    /// Sets the size of the kernel buffers, for one direction of each connection.
    pub fn with_kernel_buffer(self, bytes: usize) -> Self {
        self.state().kernel_buffer = bytes;
        self
    }

    /// Adds everything that happens to this log.
    pub fn with_log(self, log: TraceLog) -> Self {
        self.state().trace.keep_in(log);
        self
    }

    pub(super) fn state(&self) -> MutexGuard<'_, WorldState> {
        self.shared.lock()
    }

    /// Returns the `Net` for a server in this world.
    pub fn net(&self) -> SimNet {
        SimNet { world: self.shared.clone() }
    }

    /// Creates a peer that connects to `address`, with the default behavior.
    pub fn connect(&self, address: &Address) -> SimPeer {
        let number = self.state().peers.len() as u32;
        let source = SocketAddr::from((Ipv4Addr::from(SOURCE_FIRST + number), 1024));
        self.connect_as(address, source, Behavior::default())
    }

    /// Creates a peer that connects from `source` to `address`, with this behavior.
    pub fn connect_as(&self, address: &Address, source: SocketAddr, behavior: Behavior) -> SimPeer {
        let mut state = self.state();
        let number = state.peers.len();
        let mut peer = PeerState::new(address.clone(), source, behavior);
        peer.next_act = state.now;
        state.peers.push(peer);
        SimPeer { world: self.shared.clone(), number }
    }

    /// Sends a datagram with the source address `from`, which may be forged.
    ///
    /// # Panics
    /// If `to` is not the address of a UDP endpoint.
    pub fn send_datagram(&self, from: SocketAddr, to: &Address, datagram: &[u8]) {
        let Address::Udp(to) = to else { panic!("{to} is not a UDP address") };
        let to = to.parse().expect("a bound address is numeric");
        self.state().deliver(from, to, datagram.to_vec());
    }

    /// Takes the datagrams to addresses without a socket in this world: source, destination, bytes.
    pub fn take_datagrams(&self) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        std::mem::take(&mut self.state().sent_datagrams)
    }

    /// Sends a control event to the server, as a signal handler does.
    pub fn notify(&self, control_event: ControlEvent) {
        self.state().control_events.push_back(control_event);
    }

    /// Runs turns until the server has nothing to do at this moment. No time passes.
    ///
    /// # Errors
    /// The error that `turn` returns.
    ///
    /// # Panics
    /// If the server never sleeps.
    pub fn settle<R, E>(&self, turn: impl FnMut() -> Result<R, E>) -> Result<(), E> {
        self.advance(Duration::ZERO, turn)
    }

    /// Runs turns until `span` has passed and the server has nothing to do at that moment.
    ///
    /// Deadlines and paused peers come up in between, each at its time.
    ///
    /// # Errors
    /// The error that `turn` returns.
    ///
    /// # Panics
    /// If the server never sleeps.
    pub fn advance<R, E>(&self, span: Duration, mut turn: impl FnMut() -> Result<R, E>) -> Result<(), E> {
        let horizon = self.now() + span;
        self.state().horizon = Some(horizon);
        for _ in 0..SETTLE_TURNS_MAX {
            let polls = self.counters().polls;
            turn()?;
            let mut state = self.state();
            // A server that has ended does not poll.
            if state.counters.polls == polls || state.progress != WorldProgress::Busy {
                state.now = state.now.max(horizon);
                return Ok(());
            }
        }
        panic!("the server does not sleep after {SETTLE_TURNS_MAX} turns");
    }

    /// Lets peers act without a poll of the server.
    pub fn run_peers(&self) {
        self.state().poll(&mut Vec::new(), None);
    }

    /// Ends all faults. Broken connections stay broken.
    pub fn disable_faults(&self) {
        self.state().disable_faults();
    }

    /// The time of this world.
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// How the last poll ended.
    pub fn progress(&self) -> WorldProgress {
        self.state().progress
    }

    /// Counters of what the server did so far.
    pub fn counters(&self) -> WorldCounters {
        self.state().counters
    }

    /// Counts of the faults that were injected so far.
    pub fn fault_counts(&self) -> FaultCounts {
        self.state().fault_counts.clone()
    }

    /// A hash of all calls and results so far. Equal seeds give equal hashes.
    pub fn trace_hash(&self) -> u64 {
        self.state().trace.hash()
    }

    /// The kernel buffers of all streams that the server has not closed, also of those in a backlog.
    pub fn kernel_buffers(&self) -> Vec<KernelBuffers> {
        let state = self.state();
        let open = state.wires.iter().map(|state| &state.wire).enumerate();
        let open = open.filter(|(_, wire)| !wire.is_closed(Side::Server));
        open.map(|(number, wire)| KernelBuffers {
            wire: number,
            unread: wire.unread(Side::Server),
            unread_max: wire.capacity(Side::Peer),
            unsent: wire.unread(Side::Peer),
            unsent_max: wire.capacity(Side::Server),
        })
        .collect()
    }

    /// Calls `view` with each stream that the server has registered.
    pub fn for_each_stream(&self, mut view: impl FnMut(StreamView)) {
        let state = self.state();
        for wire in &state.wires {
            let Some(token) = wire.registration.token else {
                continue;
            };
            let readiness = wire.wire.readiness(Side::Server);
            view(StreamView {
                token,
                peer: wire.peer,
                unread: wire.wire.unread(Side::Server),
                is_read_closed: readiness.read_closed,
                is_writable: readiness.writable,
                is_ready: wire.registration.is_ready,
                awaits_space: wire.wire.awaits_space(Side::Server),
                bytes_in_turn: if wire.turn == state.counters.polls { wire.bytes_in_turn } else { 0 },
                active_at: wire.active_at,
                wrote_at: wire.wrote_at,
            });
        }
    }

    /// Calls `view` with each listener of the server.
    pub fn for_each_listener(&self, mut view: impl FnMut(ListenerView)) {
        for listener in &self.state().listeners {
            let Some(token) = listener.registration.token else { continue };
            let is_ready = listener.registration.is_ready;
            view(ListenerView { token, backlog_len: listener.backlog.len(), is_ready });
        }
    }

    /// The number of datagrams in the server's sockets that are not read yet.
    pub fn datagrams_len(&self) -> usize {
        self.state().sockets.iter().map(|socket| socket.inbox.len()).sum()
    }

    /// The number of connections in all backlogs.
    pub fn backlog_len(&self) -> usize {
        self.state().listeners.iter().map(|listener| listener.backlog.len()).sum()
    }
}
