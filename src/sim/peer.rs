//! `Peer`: the other end of a simulated connection, and what it does when it is its turn.
//!
//! A peer never calls the server: it acts on its end of the wire while the server polls, or
//! between two of its calls.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;

use libc::EAGAIN;

use super::behavior::{Behavior, Ending};
use super::faults::Fault;
use super::state::State;
use super::trace::TraceEvent;
use super::wire::{Side, Wire};
use super::world::Shared;
use crate::instant::Instant;
use crate::net::Address;

/// The most that a peer reads in one go within an act; it goes on until there is no more.
const PEER_READ_BYTES: usize = 4096;

/// How far a peer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not in a backlog yet.
    Connecting,
    /// It holds the other end of that wire.
    Connected(usize),
    /// Somebody connected to it by that wire, and it has yet to answer.
    Answering(usize),
    /// Somebody connected to it, and it never answers.
    Silent,
    /// Nobody listens there.
    Refused,
}

/// What the world remembers of a peer.
#[derive(Debug)]
pub(super) struct PeerState {
    pub(super) to: Address,
    pub(super) source: SocketAddr,
    pub(super) behavior: Behavior,
    pub(super) stage: Stage,
    /// What it still wants to send.
    pub(super) outbox: VecDeque<u8>,
    pub(super) written: u64,
    /// What it received and nobody took.
    pub(super) inbox: Vec<u8>,
    pub(super) received: u64,
    /// It read the server's end.
    pub(super) has_seen_end: bool,
    /// It met an error.
    pub(super) error: Option<i32>,
    /// A fault of the world took something from it.
    pub(super) is_harmed: bool,
    /// The server closed while it had not read everything.
    pub(super) is_cut_off: bool,
    pub(super) next_act: Instant,
}

impl PeerState {
    pub(super) fn new(to: Address, source: SocketAddr, behavior: Behavior) -> Self {
        Self {
            to,
            source,
            behavior,
            stage: Stage::Connecting,
            outbox: VecDeque::new(),
            written: 0,
            inbox: Vec::new(),
            received: 0,
            has_seen_end: false,
            error: None,
            is_harmed: false,
            is_cut_off: false,
            next_act: Instant::ORIGIN,
        }
    }

    /// How many bytes it may write before its ending comes.
    const fn left_to_write(&self) -> u64 {
        match self.behavior.ending {
            Ending::FollowsServer | Ending::Finishes | Ending::Stays => u64::MAX,
            Ending::FinishesAt(at) | Ending::ResetsAt(at) | Ending::ClosesAt(at) => at.saturating_sub(self.written),
        }
    }

    /// Whether it is time to end its direction, or more than that.
    fn is_ending_due(&self, has_finished: bool) -> bool {
        match self.behavior.ending {
            Ending::FollowsServer => !has_finished && self.has_seen_end && self.outbox.is_empty(),
            Ending::Finishes => !has_finished && self.outbox.is_empty(),
            Ending::Stays => false,
            Ending::FinishesAt(_) => !has_finished && self.left_to_write() == 0,
            Ending::ResetsAt(_) | Ending::ClosesAt(_) => self.left_to_write() == 0,
        }
    }
}

/// What a peer can do next; in the order in which it does them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Connect,
    Write,
    End,
    Read,
    /// Both directions have ended, or the connection is broken: close(2).
    Leave,
}

impl State {
    /// Whether a peer has anything that it can do now.
    pub(super) fn can_act(&self, peer: usize) -> bool {
        [Act::Connect, Act::Write, Act::End, Act::Read, Act::Leave].iter().any(|&act| self.can(peer, act))
    }

    fn can(&self, peer: usize, act: Act) -> bool {
        let peer = &self.peers[peer];
        let wire = match peer.stage {
            Stage::Refused | Stage::Silent => return false,
            Stage::Answering(_) => return act == Act::Connect,
            Stage::Connecting => return act == Act::Connect && self.has_room_for(peer),
            Stage::Connected(wire) => &self.wires[wire].wire,
        };
        if wire.is_closed(Side::Peer) {
            return false;
        }
        let is_open = wire.is_open(Side::Peer);
        let has_finished = wire.has_finished(Side::Peer);
        match act {
            Act::Connect => false,
            Act::Write => {
                let wants = !peer.outbox.is_empty() && peer.left_to_write() > 0;
                is_open && wants && wire.room(Side::Peer) > 0
            }
            Act::End => is_open && peer.is_ending_due(has_finished),
            Act::Read => {
                let has_input = wire.level(Side::Peer).readable;
                peer.behavior.read_len_max > 0 && has_input && !peer.has_seen_end && peer.error.is_none()
            }
            Act::Leave => peer.error.is_some() || !is_open || (peer.has_seen_end && has_finished),
        }
    }

    /// Whether whom this peer connects to would take it, or refuse it, now.
    fn has_room_for(&self, peer: &PeerState) -> bool {
        self.listener_at(&peer.to).is_none_or(|listener| {
            let listener = &self.listeners[listener];
            listener.backlog.len() < listener.backlog_max
        })
    }

    /// The open listener that a connection to that address reaches.
    pub(super) fn listener_at(&self, address: &Address) -> Option<usize> {
        self.listeners.iter().position(|listener| listener.is_open && listener.address == *address)
    }

    /// A peer does once each thing that it can, then pauses.
    pub(super) fn act(&mut self, peer: usize) {
        for act in [Act::Connect, Act::Write, Act::End, Act::Read, Act::Leave] {
            if self.can(peer, act) {
                self.carry_out(peer, act);
            }
        }
        let pause = self.peers[peer].behavior.pause_max;
        if !pause.is_zero() {
            self.peers[peer].next_act = self.now + self.rng.span(pause);
        }
    }

    fn carry_out(&mut self, peer: usize, act: Act) {
        match (act, self.peers[peer].stage) {
            (Act::Connect, Stage::Answering(wire)) => self.peer_answers(peer, wire),
            (Act::Connect, _) => self.peer_connects(peer),
            (Act::Write, Stage::Connected(wire)) => self.peer_writes(peer, wire),
            (Act::End, Stage::Connected(wire)) => self.peer_ends(peer, wire),
            (Act::Read, Stage::Connected(wire)) => self.peer_reads(peer, wire),
            (Act::Leave, Stage::Connected(wire)) => self.peer_closes(peer, wire),
            (
                Act::Write | Act::End | Act::Read | Act::Leave,
                Stage::Connecting | Stage::Answering(_) | Stage::Silent | Stage::Refused,
            ) => {}
        }
    }

    fn peer_connects(&mut self, peer: usize) {
        let Some(listener) = self.listener_at(&self.peers[peer].to) else {
            self.peers[peer].stage = Stage::Refused;
            return self.trace.add(TraceEvent::PeerRefused { peer });
        };
        let wire = self.add_wire(peer, listener);
        self.peers[peer].stage = Stage::Connected(wire);
        self.trace.add(TraceEvent::PeerConnected { peer, wire });
    }

    fn peer_writes(&mut self, peer: usize, wire: usize) {
        let state = &mut self.peers[peer];
        let left = usize::try_from(state.left_to_write()).unwrap_or(usize::MAX);
        let (front, back) = state.outbox.as_slices();
        let len_max = left.min(state.behavior.write_len_max);
        let outcome = self.wires[wire].wire.write(Side::Peer, &[IoSlice::new(front), IoSlice::new(back)], len_max);
        match outcome {
            Ok(len) => {
                state.outbox.drain(..len);
                state.written += len as u64;
                self.trace.add(TraceEvent::PeerWrote { peer, len });
            }
            Err(errno) => self.peer_meets(peer, errno),
        }
        self.list_edge(wire);
    }

    /// It ends its direction, or all, in its own way.
    fn peer_ends(&mut self, peer: usize, wire: usize) {
        match self.peers[peer].behavior.ending {
            Ending::FollowsServer | Ending::Finishes | Ending::Stays | Ending::FinishesAt(_) => {
                self.peer_finishes(peer, wire);
            }
            Ending::ResetsAt(_) => self.peer_resets(peer, wire),
            Ending::ClosesAt(_) => {
                self.counts.count(Fault::PeerCloses);
                self.peer_closes(peer, wire);
            }
        }
    }

    fn peer_finishes(&mut self, peer: usize, wire: usize) {
        let state = &self.peers[peer];
        if !state.outbox.is_empty() {
            self.counts.count(Fault::EarlyFin);
        } else if !state.has_seen_end {
            self.counts.count(Fault::HalfClose);
        }
        // It cannot fail: whoever is here has an open end.
        let _ = self.wires[wire].wire.finish(Side::Peer);
        self.list_edge(wire);
        self.trace.add(TraceEvent::PeerFinished { peer });
    }

    fn peer_resets(&mut self, peer: usize, wire: usize) {
        self.counts.count(Fault::PeerResets);
        let unread = self.wires[wire].wire.unread(Side::Server);
        let overtakes = unread > 0 && self.strikes(Fault::ResetOvertakes);
        let arrived = if overtakes { self.rng.below(unread) } else { unread };
        self.wires[wire].wire.reset(Side::Peer, arrived);
        self.list_edge(wire);
        self.trace.add(TraceEvent::PeerReset { peer });
    }

    fn peer_closes(&mut self, peer: usize, wire: usize) {
        self.wires[wire].wire.close(Side::Peer);
        self.list_edge(wire);
        self.trace.add(TraceEvent::PeerClosed { peer });
    }

    fn peer_reads(&mut self, peer: usize, wire: usize) {
        let mut buf = [0; PEER_READ_BYTES];
        let mut left = self.peers[peer].behavior.read_len_max;
        while left > 0 {
            let wanted = left.min(buf.len());
            match self.wires[wire].wire.read(Side::Peer, &mut buf[..wanted]) {
                Ok(0) => {
                    self.peers[peer].has_seen_end = true;
                    self.trace.add(TraceEvent::PeerSawEnd { peer });
                    break;
                }
                Ok(len) => {
                    left -= len;
                    self.peers[peer].inbox.extend_from_slice(&buf[..len]);
                    self.peers[peer].received += len as u64;
                    self.trace.add(TraceEvent::PeerRead { peer, len });
                }
                Err(EAGAIN) => break,
                Err(errno) => {
                    self.peer_meets(peer, errno);
                    break;
                }
            }
        }
        self.list_edge(wire);
    }

    fn peer_meets(&mut self, peer: usize, errno: i32) {
        self.peers[peer].error = Some(errno);
        self.trace.add(TraceEvent::PeerSawError { peer, errno });
    }
}

/// A handle on a peer: tells it what to do, and tells what became of it.
///
/// What it is told it does while the server polls. To drop the handle changes nothing.
#[derive(Clone)]
pub struct Peer {
    pub(super) world: Shared,
    pub(super) number: usize,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Peer {
    fn with<R>(&self, ask: impl FnOnce(&mut PeerState) -> R) -> R {
        ask(&mut self.world.lock().peers[self.number])
    }

    /// Which peer of its world this is: they are counted from 0 in the order of their `connect`.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// Gives it bytes to send, behind all that it was given before.
    pub fn send(&self, bytes: &[u8]) {
        self.with(|peer| peer.outbox.extend(bytes));
    }

    /// Lets it end its direction as soon as all is sent.
    pub fn finish(&self) {
        self.with(|peer| peer.behavior.ending = Ending::Finishes);
    }

    /// Lets it reset the connection, now.
    pub fn reset(&self) {
        self.with(|peer| peer.behavior.ending = Ending::ResetsAt(0));
    }

    /// Lets it close the connection as close(2) does, now: it neither sends nor reads any more.
    pub fn close(&self) {
        self.with(|peer| peer.behavior.ending = Ending::ClosesAt(0));
    }

    /// Lets it read no more, so that what the server sends stays in the kernel's buffers.
    pub fn stop_reading(&self) {
        self.with(|peer| peer.behavior.read_len_max = 0);
    }

    /// Lets it read all there is, whenever there is something.
    pub fn resume_reading(&self) {
        self.with(|peer| peer.behavior.read_len_max = usize::MAX);
    }

    /// Changes its habits from now on.
    pub fn change_habits(&self, behavior: Behavior) {
        self.with(|peer| peer.behavior = behavior);
    }

    /// Its habits.
    pub fn behavior(&self) -> Behavior {
        self.with(|peer| peer.behavior.clone())
    }

    /// What it received since this was last called.
    pub fn received(&self) -> Vec<u8> {
        self.with(|peer| std::mem::take(&mut peer.inbox))
    }

    /// How many bytes it received in all.
    pub fn received_len(&self) -> u64 {
        self.with(|peer| peer.received)
    }

    /// How many bytes it gave to its kernel in all.
    pub fn sent_len(&self) -> u64 {
        self.with(|peer| peer.written)
    }

    /// Whether nobody listened where it connected to.
    pub fn is_refused(&self) -> bool {
        self.with(|peer| peer.stage == Stage::Refused)
    }

    /// Whether it received everything up to the server's end: a clean end, no error.
    pub fn is_ended(&self) -> bool {
        self.with(|peer| peer.has_seen_end)
    }

    /// Whether it met an error: a reset, most likely.
    pub fn is_broken(&self) -> bool {
        self.with(|peer| peer.error.is_some())
    }

    /// Whether a fault of the world, not the server, took its connection or bytes of it.
    pub fn is_harmed(&self) -> bool {
        self.with(|peer| peer.is_harmed)
    }

    /// Whether the server closed the connection before it had read all that was sent, which
    /// resets it and destroys what this peer had not read yet.
    pub fn is_cut_off(&self) -> bool {
        self.with(|peer| peer.is_cut_off)
    }

    /// Whether it holds a connection that is whole: it has not left, and no reset has come.
    pub fn is_connected(&self) -> bool {
        self.is_so_of_wire(|wire| wire.is_open(Side::Peer))
    }

    /// Whether it has reset or closed the connection itself, or has ended its direction.
    pub fn has_ended(&self) -> bool {
        self.is_so_of_wire(|wire| wire.is_closed(Side::Peer) || wire.has_finished(Side::Peer))
    }

    fn is_so_of_wire(&self, is_so: impl FnOnce(&Wire) -> bool) -> bool {
        let state = self.world.lock();
        match state.peers[self.number].stage {
            Stage::Connected(wire) => is_so(&state.wires[wire].wire),
            Stage::Connecting | Stage::Answering(_) | Stage::Silent | Stage::Refused => false,
        }
    }
}
