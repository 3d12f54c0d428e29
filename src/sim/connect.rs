//! Outbound connections of the server in a simulated world, and the peers that accept them.
//!
//! The other end is a [`SimPeer`] with a behavior, not a second server, which would need its own `Net`.

use std::net::Ipv4Addr;

use libc::{EAGAIN, ECONNREFUSED, EMFILE};

use super::behavior::Behavior;
use super::peer::SimPeer;
use super::peer_state::{PeerStage, PeerState};
use super::state::{ConnectResponse, EventSource, WorldState};
use super::wire::Side;
use super::world::World;
use crate::net::{Address, Destination, Token};
use crate::trace::SysResult;

impl World {
    /// Accepts later connects to `address`, each by a new peer with this behavior.
    ///
    /// A connect takes up to `pause_max`.
    pub fn accept_connects_at(&self, address: &Address, behavior: Behavior) {
        self.store_response(address, ConnectResponse::Peer(behavior));
    }

    /// Leaves later connects to `address` without an answer.
    ///
    /// Connects to an address without a setting are refused.
    pub fn ignore_connects_at(&self, address: &Address) {
        self.store_response(address, ConnectResponse::Silence);
    }

    /// Refuses later connects to `address`, as without a setting.
    pub fn refuse_connects_at(&self, address: &Address) {
        self.state().connect_responses.retain(|(at, _)| at != address);
    }

    /// Makes later connects to the Unix socket `address` fail because its backlog is full.
    pub fn fill_backlog_at(&self, address: &Address) {
        self.store_response(address, ConnectResponse::Full);
    }

    /// The newest peer.
    pub fn last_peer(&self) -> Option<SimPeer> {
        let number = self.state().peers.len().checked_sub(1)?;
        Some(SimPeer { world: self.shared.clone(), number })
    }

    /// All peers so far, in order of their numbers.
    pub fn peers(&self) -> impl Iterator<Item = SimPeer> + use<> {
        let (world, count) = (self.shared.clone(), self.state().peers.len());
        (0..count).map(move |number| SimPeer { world: world.clone(), number })
    }

    fn store_response(&self, address: &Address, response: ConnectResponse) {
        let responses = &mut self.state().connect_responses;
        responses.retain(|(at, _)| at != address);
        responses.push((address.clone(), response));
    }
}

impl WorldState {
    /// connect(2) of a non-blocking stream. Returns the number of its wire.
    pub(super) fn connect(&mut self, to: &Destination, token: Token) -> SysResult {
        self.interleave();
        if self.streams_open >= self.descriptors_max {
            return Err(EMFILE);
        }
        let (address, source) = match to {
            Destination::Tcp(address) => (Address::from(*address), *address),
            Destination::Unix(path) => (Address::Unix(path.clone()), (Ipv4Addr::UNSPECIFIED, 0).into()),
        };
        let mut responses = self.connect_responses.iter();
        let response = responses.find(|(at, _)| *at == address).map(|(_, response)| response.clone());
        if let Some(ConnectResponse::Full) = response {
            return Err(EAGAIN);
        }
        self.streams_open += 1;
        self.counters.progress += 1;
        let wire = self.new_wire(self.peers.len());
        let mut peer = PeerState::new(address, source, Behavior::default());
        peer.stage = match response {
            Some(ConnectResponse::Peer(behavior)) => {
                peer.next_act = self.now + self.rng.span(behavior.pause_max);
                peer.behavior = behavior;
                PeerStage::Answering(wire)
            }
            Some(ConnectResponse::Silence | ConnectResponse::Full) => PeerStage::Silent,
            None => {
                self.wires[wire].wire.break_with(Side::Server, ECONNREFUSED);
                PeerStage::Refused
            }
        };
        self.peers.push(peer);
        self.register(EventSource::Wire(wire), token);
        Ok(wire)
    }

    /// Checks SO_ERROR, then getpeername(2).
    pub(super) fn is_connected(&mut self, wire: usize) -> SysResult<bool> {
        self.interleave();
        self.inject_break(wire);
        match (self.wires[wire].wire.take_error(Side::Server), self.peers[self.wires[wire].peer].stage) {
            (Some(errno), _) => Err(errno),
            (None, PeerStage::Connected(_)) => Ok(true),
            (None, PeerStage::Connecting | PeerStage::Answering(_) | PeerStage::Silent | PeerStage::Refused) => {
                Ok(false)
            }
        }
    }
}
