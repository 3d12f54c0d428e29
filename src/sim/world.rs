//! `World`: the face of a simulated world for those who test a server in it.
//!
//! It holds no rules of its own: what exists is in `state`, and every handle shares it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::behavior::Behavior;
use super::datagrams::SocketState;
use super::faults::{FaultCounts, Faults};
use super::net::SimNet;
use super::peer::{Peer, PeerState};
use super::state::State;
use super::wire::Side;
use crate::instant::Instant;
use crate::net::{Address, ControlEvent, Token};

/// More turns than any server needs to come to rest; one that needs more spins.
const SETTLE_TURNS_MAX: u64 = 1_000_000;
/// Where the addresses of peers begin: 10.0.0.1.
const SOURCE_FIRST: u32 = u32::from_be_bytes([10, 0, 0, 1]);

/// What all handles of one world share. One thread uses them, so the lock is always free.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the world as it was between two calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    /// Everything that exists would tell nobody anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World { .. }")
    }
}

/// How the last poll ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// It brought facts, or returned because the server wanted no sleep, or no more.
    #[default]
    Busy,
    /// It would have slept longer than the clock may go.
    Horizon,
    /// It would have slept for ever.
    Idle,
}

/// What the server did in a world, as the world counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorldCounters {
    /// Calls of `poll`.
    pub polls: u64,
    /// Polls that moved the clock because nothing was ready.
    pub sleeps: u64,
    /// Facts that were true when they were told.
    pub events: u64,
    /// Calls that did something: bytes moved, an end or an error told, a stream accepted or dropped.
    pub progress: u64,
    /// Streams that came out of `accept`.
    pub accepted: u64,
    /// Streams that the server dropped with a reset by intention.
    pub resets: u64,
    /// Bytes that the server read.
    pub bytes_read: u64,
    /// Bytes that the server wrote.
    pub bytes_written: u64,
}

/// What the kernel knows of one stream that the server holds.
#[derive(Clone, Copy, Debug)]
pub struct StreamView {
    /// The name it is registered under.
    pub token: Token,
    /// Whose it is: [`Peer::number`].
    pub peer: usize,
    /// Bytes that the server could read.
    pub unread: usize,
    /// The peer's direction ended, or the connection broke.
    pub is_read_closed: bool,
    /// There is enough room to write.
    pub is_writable: bool,
    /// A fact is still to be told.
    pub is_listed: bool,
    /// A write met too little room: a fact comes as soon as there is more.
    pub awaits_room: bool,
    /// Bytes that the server read and wrote since its last poll.
    pub moved_in_turn: usize,
    /// When the server accepted it, last read something or the end, or last wrote something.
    pub moved_at: Instant,
    /// When the server last wrote something.
    pub wrote_at: Instant,
}

/// What the kernel knows of one listener that the server holds.
#[derive(Clone, Copy, Debug)]
pub struct ListenerView {
    /// The name it is registered under.
    pub token: Token,
    /// How many connections wait in its backlog.
    pub backlog_len: usize,
    /// A fact is still to be told.
    pub is_listed: bool,
}

/// A simulated world: a network, a clock, and peers, all out of one seed.
///
/// It is kind until [`World::with_faults`] says otherwise, and its time stands still until
/// [`World::pass`] lets some go by.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) shared: Shared,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        Self { shared: Shared(Arc::new(Mutex::new(State::new(seed)))) }
    }

    /// The same world with faults.
    pub fn with_faults(self, faults: Faults) -> Self {
        self.state().faults = faults;
        self
    }

    /// The same world, in which a poll that has nothing to tell jumps at once to where it would
    /// have slept to, and in which faults of the clock can strike.
    pub fn with_free_clock(self) -> Self {
        self.state().horizon = None;
        self
    }

    /// The same world, in which a server may hold that many streams at once: one more and accept
    /// fails with `EMFILE`.
    pub fn with_descriptors(self, streams_max: usize) -> Self {
        self.state().descriptors_max = streams_max;
        self
    }

    /// The same world, in which kernels keep that many bytes in each direction of a connection.
    pub fn with_kernel_buffer(self, bytes: usize) -> Self {
        self.state().kernel_buffer = bytes;
        self
    }

    /// The same world, which writes down all that happens in it: see [`World::trace`].
    pub fn with_trace(self) -> Self {
        self.state().trace.write_down();
        self
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// The border over which a server runs in this world.
    pub fn net(&self) -> SimNet {
        SimNet { world: self.shared.clone() }
    }

    /// A new peer that connects to `address` and is attentive: it writes and reads all it can.
    pub fn connect(&self, address: &Address) -> Peer {
        let number = self.state().peers.len() as u32;
        let source = SocketAddr::from((Ipv4Addr::from(SOURCE_FIRST + number), 1024));
        self.connect_as(address, source, Behavior::default())
    }

    /// A new peer that connects from `source` to `address` and has those habits.
    pub fn connect_as(&self, address: &Address, source: SocketAddr, behavior: Behavior) -> Peer {
        let mut state = self.state();
        let number = state.peers.len();
        let mut peer = PeerState::new(address.clone(), source, behavior);
        peer.next_act = state.now;
        state.peers.push(peer);
        Peer { world: self.shared.clone(), number }
    }

    /// Sends a datagram that says it comes from `from`, be that true or not.
    ///
    /// # Panics
    /// When `to` is not the address of a UDP endpoint.
    pub fn send_datagram(&self, from: SocketAddr, to: &Address, datagram: &[u8]) {
        let Address::Udp(to) = to else { panic!("{to} takes no datagrams") };
        let to = to.parse().expect("a bound address is a number");
        self.state().deliver(from, to, datagram.to_vec());
    }

    /// Takes the datagrams that were sent to where no socket of this world is: from, to, what.
    pub fn take_datagrams(&self) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        std::mem::take(&mut self.state().sent_datagrams)
    }

    /// Tells the server something that comes from outside, as a signal does.
    pub fn notify(&self, control_event: ControlEvent) {
        self.state().notices.push_back(control_event);
    }

    /// Takes turns until nothing is left to do at this moment. No time passes.
    ///
    /// # Errors
    /// What `turn` returns.
    ///
    /// # Panics
    /// When the server does not come to rest.
    pub fn settle<R, E>(&self, turn: impl FnMut() -> Result<R, E>) -> Result<(), E> {
        self.pass(Duration::ZERO, turn)
    }

    /// Takes turns until `span` has gone by and nothing is left to do then. Deadlines that pass
    /// and peers that wait have their moments, each in its turn.
    ///
    /// # Errors
    /// What `turn` returns.
    ///
    /// # Panics
    /// When the server does not come to rest.
    pub fn pass<R, E>(&self, span: Duration, mut turn: impl FnMut() -> Result<R, E>) -> Result<(), E> {
        let horizon = self.now() + span;
        self.state().horizon = Some(horizon);
        for _ in 0..SETTLE_TURNS_MAX {
            let polls = self.counters().polls;
            turn()?;
            let mut state = self.state();
            // A server that has ended polls no more.
            if state.counters.polls == polls || state.rest != Progress::Busy {
                state.now = state.now.max(horizon);
                return Ok(());
            }
        }
        panic!("after {SETTLE_TURNS_MAX} turns the server still does not sleep");
    }

    /// Lets peers act though no server polls any more.
    pub fn run_peers(&self) {
        self.state().poll(&mut Vec::new(), None);
    }

    /// From now on nothing goes wrong any more; what is broken stays broken.
    pub fn disable_faults(&self) {
        self.state().disable_faults();
    }

    /// The clock of this world.
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// How the last poll ended.
    pub fn rest(&self) -> Progress {
        self.state().rest
    }

    /// What the server did so far.
    pub fn counters(&self) -> WorldCounters {
        self.state().counters
    }

    /// Which faults struck so far.
    pub fn fault_counts(&self) -> FaultCounts {
        self.state().counts.clone()
    }

    /// All calls and their results so far, as one number: equal seeds give equal numbers.
    pub fn trace_hash(&self) -> u64 {
        self.state().trace.hash()
    }

    /// Puts a line of your own into [`World::trace`].
    pub fn note(&self, line: fmt::Arguments<'_>) {
        self.state().trace.note(line);
    }

    /// All that happened so far, told a line each in words; empty without [`World::with_trace`].
    ///
    /// "We" are the server, or whoever runs over this border; a line with a `!` is a fault that
    /// shows in the next line.
    pub fn trace(&self) -> String {
        self.state().trace.text().to_owned()
    }

    /// Looks at every stream that the server holds and has registered.
    pub fn for_each_stream(&self, mut look: impl FnMut(StreamView)) {
        let state = self.state();
        for wire in &state.wires {
            let Some(token) = wire.registration.token else {
                continue;
            };
            let level = wire.wire.level(Side::Server);
            look(StreamView {
                token,
                peer: wire.peer,
                unread: wire.wire.unread(Side::Server),
                is_read_closed: level.read_closed,
                is_writable: level.writable,
                is_listed: wire.registration.is_listed,
                awaits_room: wire.wire.awaits_room(Side::Server),
                moved_in_turn: if wire.turn == state.counters.polls { wire.moved_in_turn } else { 0 },
                moved_at: wire.moved_at,
                wrote_at: wire.wrote_at,
            });
        }
    }

    /// Looks at every listener that the server holds.
    pub fn for_each_listener(&self, mut look: impl FnMut(ListenerView)) {
        for listener in &self.state().listeners {
            let Some(token) = listener.registration.token else { continue };
            let is_listed = listener.registration.is_listed;
            look(ListenerView { token, backlog_len: listener.backlog.len(), is_listed });
        }
    }

    /// How many datagrams wait in the sockets of the server.
    pub fn datagrams_len(&self) -> usize {
        self.state().sockets.iter().map(SocketState::datagrams_len).sum()
    }

    /// How many connections wait in backlogs.
    pub fn backlog_len(&self) -> usize {
        self.state().listeners.iter().map(|listener| listener.backlog.len()).sum()
    }
}
