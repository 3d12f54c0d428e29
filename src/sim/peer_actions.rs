//! The actions of simulated peers: connect, write, end, read and close.
//!
//! Peers never call the server. They act on their end of a wire while the server polls, or between
//! two of its calls.

use std::io::IoSlice;

use libc::EAGAIN;

use super::behavior::PeerEnding;
use super::faults::Fault;
use super::peer_state::{PeerStage, PeerState};
use super::state::{EventSource, WorldState};
use super::wire::Side;
use crate::trace::TraceEvent;

/// The most bytes of one read. A peer repeats it until there is nothing left.
const PEER_READ_BYTES: usize = 4096;

/// What a peer can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerAction {
    Connect,
    Write,
    /// End its direction or the whole connection, as the behavior says.
    End,
    Read,
    /// close(2), after both directions have ended or the connection broke.
    Close,
}

/// All actions, in the order in which a peer does them.
const ACTIONS: [PeerAction; 5] =
    [PeerAction::Connect, PeerAction::Write, PeerAction::End, PeerAction::Read, PeerAction::Close];

impl WorldState {
    /// Whether a peer can do anything now.
    pub(super) fn can_act(&self, peer: usize) -> bool {
        ACTIONS.iter().any(|&action| self.can(peer, action))
    }

    fn can(&self, peer: usize, action: PeerAction) -> bool {
        let peer = &self.peers[peer];
        let wire = match peer.stage {
            PeerStage::Refused | PeerStage::Silent => return false,
            PeerStage::Answering(_) => return action == PeerAction::Connect,
            PeerStage::Connecting => return action == PeerAction::Connect && !self.is_backlog_full(peer),
            PeerStage::Connected(wire) => &self.wires[wire].wire,
        };
        if wire.is_closed(Side::Peer) {
            return false;
        }
        let is_open = wire.is_open(Side::Peer);
        let has_finished = wire.has_finished(Side::Peer);
        match action {
            PeerAction::Connect => false,
            PeerAction::Write => {
                let wants_write = !peer.outbox.is_empty() && peer.left_to_write() > 0;
                is_open && wants_write && wire.free_space(Side::Peer) > 0
            }
            PeerAction::End => is_open && peer.is_ending_due(has_finished),
            PeerAction::Read => {
                let has_input = wire.readiness(Side::Peer).readable;
                peer.behavior.read_len_max > 0 && has_input && !peer.has_seen_end && peer.error.is_none()
            }
            PeerAction::Close => peer.error.is_some() || !is_open || (peer.has_seen_end && has_finished),
        }
    }

    /// Whether the listener that this peer connects to has no space left in its backlog.
    fn is_backlog_full(&self, peer: &PeerState) -> bool {
        self.listener_at(&peer.address).is_some_and(|listener| {
            let listener = &self.listeners[listener];
            listener.backlog.len() >= listener.backlog_max
        })
    }

    /// Performs each action that a peer can do once, then starts its pause.
    pub(super) fn act(&mut self, peer: usize) {
        for action in ACTIONS {
            if self.can(peer, action) {
                self.run_action(peer, action);
            }
        }
        let pause = self.peers[peer].behavior.pause_max;
        if !pause.is_zero() {
            self.peers[peer].next_act = self.now + self.rng.span(pause);
        }
    }

    fn run_action(&mut self, peer: usize, action: PeerAction) {
        match (action, self.peers[peer].stage) {
            (PeerAction::Connect, PeerStage::Answering(wire)) => self.peer_answers(peer, wire),
            (PeerAction::Connect, _) => self.peer_connects(peer),
            (PeerAction::Write, PeerStage::Connected(wire)) => self.peer_writes(peer, wire),
            (PeerAction::End, PeerStage::Connected(wire)) => self.peer_ends(peer, wire),
            (PeerAction::Read, PeerStage::Connected(wire)) => self.peer_reads(peer, wire),
            (PeerAction::Close, PeerStage::Connected(wire)) => self.peer_closes(peer, wire),
            (
                PeerAction::Write | PeerAction::End | PeerAction::Read | PeerAction::Close,
                PeerStage::Connecting | PeerStage::Answering(_) | PeerStage::Silent | PeerStage::Refused,
            ) => {}
        }
    }

    /// Answers a connection of the server.
    fn peer_answers(&mut self, peer: usize, wire: usize) {
        self.peers[peer].stage = PeerStage::Connected(wire);
        self.trace.add(TraceEvent::PeerConnected { peer, wire });
        self.mark_ready(EventSource::Wire(wire));
    }

    fn peer_connects(&mut self, peer: usize) {
        let Some(listener) = self.listener_at(&self.peers[peer].address) else {
            self.peers[peer].stage = PeerStage::Refused;
            return self.trace.add(TraceEvent::PeerRefused { peer });
        };
        let wire = self.new_wire(peer);
        self.listeners[listener].backlog.push_back(wire);
        self.mark_ready(EventSource::Listener(listener));
        self.peers[peer].stage = PeerStage::Connected(wire);
        self.trace.add(TraceEvent::PeerConnected { peer, wire });
    }

    fn peer_writes(&mut self, peer: usize, wire: usize) {
        let state = &mut self.peers[peer];
        let left = usize::try_from(state.left_to_write()).unwrap_or(usize::MAX);
        let (front, back) = state.outbox.as_slices();
        let len_max = left.min(state.behavior.write_len_max);
        let result = self.wires[wire].wire.write(Side::Peer, &[IoSlice::new(front), IoSlice::new(back)], len_max);
        match result {
            Ok(len) => {
                state.outbox.drain(..len);
                state.written += len as u64;
                self.trace.add(TraceEvent::PeerWrote { peer, len });
            }
            Err(errno) => self.peer_fails(peer, errno),
        }
        self.forward_edge(wire);
    }

    fn peer_ends(&mut self, peer: usize, wire: usize) {
        match self.peers[peer].behavior.ending {
            PeerEnding::FollowsServer | PeerEnding::Finishes | PeerEnding::Stays | PeerEnding::FinishesAt(_) => {
                self.peer_finishes(peer, wire);
            }
            PeerEnding::ResetsAt(_) => self.peer_resets(peer, wire),
            PeerEnding::ClosesAt(_) => {
                self.fault_counts.count(Fault::PeerCloses);
                self.peer_closes(peer, wire);
            }
        }
    }

    fn peer_finishes(&mut self, peer: usize, wire: usize) {
        let state = &self.peers[peer];
        if !state.outbox.is_empty() {
            self.fault_counts.count(Fault::EarlyFin);
        } else if !state.has_seen_end {
            self.fault_counts.count(Fault::HalfClose);
        }
        // This cannot fail, because the peer's end is open.
        let _ = self.wires[wire].wire.finish(Side::Peer);
        self.forward_edge(wire);
        self.trace.add(TraceEvent::PeerFinished { peer });
    }

    fn peer_resets(&mut self, peer: usize, wire: usize) {
        self.fault_counts.count(Fault::PeerResets);
        let unread = self.wires[wire].wire.unread(Side::Server);
        let overtakes = unread > 0 && self.inject(Fault::ResetOvertakes);
        let arrived = if overtakes { self.rng.below(unread) } else { unread };
        self.wires[wire].wire.reset(Side::Peer, arrived);
        self.forward_edge(wire);
        self.trace.add(TraceEvent::PeerReset { peer });
    }

    fn peer_closes(&mut self, peer: usize, wire: usize) {
        self.wires[wire].wire.close(Side::Peer);
        self.forward_edge(wire);
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
                    self.peer_fails(peer, errno);
                    break;
                }
            }
        }
        self.forward_edge(wire);
    }

    fn peer_fails(&mut self, peer: usize, errno: i32) {
        self.peers[peer].error = Some(errno);
        self.trace.add(TraceEvent::PeerSawError { peer, errno });
    }
}
