//! Connecting out of a simulated world: who answers where, and how a connection under way gets there.
//!
//! Whoever answers is a [`Peer`] with habits, not a server: to run both ends over one border would
//! take two of it.

use std::net::Ipv4Addr;

use libc::{EAGAIN, ECONNREFUSED, EMFILE};

use super::behavior::Behavior;
use super::outcome::Outcome;
use super::peer::{Peer, PeerState, Stage};
use super::state::{Source, State};
use super::trace::TraceEvent;
use super::wire::Side;
use super::world::World;
use crate::net::{Address, Destination, Token};

/// What becomes of who connects to an address.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// A new peer of these habits takes the connection.
    Peer(Behavior),
    /// A Unix listener with a full backlog.
    Full,
    /// Nothing comes back: a black hole.
    Silence,
}

impl World {
    /// From now on a new peer of these habits takes each connection to `address`; the longest
    /// that it lets wait is its `pause_max`.
    pub fn answer_at(&self, address: &Address, behavior: Behavior) {
        self.know(address, Answer::Peer(behavior));
    }

    /// From now on nothing comes back from `address`. From where nobody answers, and nobody was
    /// told to be silent, a refusal comes back.
    pub fn be_silent_at(&self, address: &Address) {
        self.know(address, Answer::Silence);
    }

    /// From now on the backlog at `address`, a Unix socket, is full.
    pub fn be_full_at(&self, address: &Address) {
        self.know(address, Answer::Full);
    }

    /// The latest peer, if there is any.
    pub fn last_peer(&self) -> Option<Peer> {
        let number = self.state().peers.len().checked_sub(1)?;
        Some(Peer { world: self.shared.clone(), number })
    }

    /// All peers so far, in the order of their numbers.
    pub fn peers(&self) -> impl Iterator<Item = Peer> + use<> {
        let (world, count) = (self.shared.clone(), self.state().peers.len());
        (0..count).map(move |number| Peer { world: world.clone(), number })
    }

    fn know(&self, address: &Address, answer: Answer) {
        let answers = &mut self.state().answers;
        answers.retain(|(at, _)| at != address);
        answers.push((address.clone(), answer));
    }
}

impl State {
    /// connect(2) of a stream that does not block: the new wire, under way.
    pub(super) fn connect(&mut self, to: &Destination, token: Token) -> Outcome {
        self.interleave();
        if self.streams_open >= self.descriptors_max {
            return Err(EMFILE);
        }
        let (address, source) = match to {
            Destination::Tcp(address) => (Address::from(*address), *address),
            Destination::Unix(path) => (Address::Unix(path.clone()), (Ipv4Addr::UNSPECIFIED, 0).into()),
        };
        let answer = self.answers.iter().find(|(at, _)| *at == address).map(|(_, answer)| answer.clone());
        if let Some(Answer::Full) = answer {
            return Err(EAGAIN);
        }
        self.streams_open += 1;
        self.counters.progress += 1;
        let wire = self.new_wire(self.peers.len());
        let mut peer = PeerState::new(address, source, Behavior::default());
        peer.stage = match answer {
            Some(Answer::Peer(behavior)) => {
                peer.next_act = self.now + self.rng.span(behavior.pause_max);
                peer.behavior = behavior;
                Stage::Answering(wire)
            }
            Some(Answer::Silence | Answer::Full) => Stage::Silent,
            None => {
                self.wires[wire].wire.break_with(Side::Server, ECONNREFUSED);
                Stage::Refused
            }
        };
        self.peers.push(peer);
        self.register(Source::Wire(wire), token);
        Ok(wire)
    }

    /// getsockopt(2) for the error, then getpeername(2).
    pub(super) fn is_connected(&mut self, wire: usize) -> Outcome<bool> {
        self.interleave();
        self.break_perhaps(wire);
        match (self.wires[wire].wire.take_error(Side::Server), self.peers[self.wires[wire].peer].stage) {
            (Some(errno), _) => Err(errno),
            (None, Stage::Connected(_)) => Ok(true),
            (None, Stage::Connecting | Stage::Answering(_) | Stage::Silent | Stage::Refused) => Ok(false),
        }
    }

    /// A peer answers who connected to it.
    pub(super) fn peer_answers(&mut self, peer: usize, wire: usize) {
        self.peers[peer].stage = Stage::Connected(wire);
        self.trace.add(TraceEvent::PeerConnected { peer, wire });
        self.list(Source::Wire(wire));
    }

    /// Whether nothing has come back yet for a wire that was connected out of this world, so that
    /// there is nothing to tell of it.
    pub(super) fn is_under_way(&self, wire: usize) -> bool {
        let is_open = self.wires[wire].wire.is_open(Side::Server);
        is_open && matches!(self.peers[self.wires[wire].peer].stage, Stage::Answering(_) | Stage::Silent)
    }
}
