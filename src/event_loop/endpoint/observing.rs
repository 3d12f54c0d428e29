//! Copies of the peers for an administrator, with their transitions. Pending peers are among them.

use crate::connection::Deadline;
use crate::event_loop::snapshot::{OpenStage, PeerSnapshot};
use crate::event_loop::transitions::{Condition, PeerChange, Transition};
use crate::host::Peer;
use crate::net::{Layer, Link, Net};
use crate::service::{Role, Service};
use crate::slab::Key;

use super::{Endpoint, EndpointPurpose, LoopState};

impl<S: Service, N: Net, W: Layer<N::Stream>> Endpoint<S, N, W> {
    /// Records what has changed about a peer, if transitions are recorded.
    #[inline]
    pub(super) fn observe(&mut self, key: Key, state: &mut LoopState<N>) {
        if let Some(transitions) = &mut state.transitions
            && self.purpose == EndpointPurpose::Service
            && self.host.may_have_changed(key)
            && let Some(peer) = self.host.peer(key)
        {
            let deadline = peer.deadline(self.host.codec(), self.host.limits());
            let condition = Condition {
                halves: *peer.connection.halves(),
                read_pause: peer.connection.read_pause(),
                deadline: deadline.map(|(_, timeout)| timeout),
            };
            transitions.observe(self.index, key, condition, state.now);
        }
    }

    /// Records one change of a peer.
    pub(super) fn record_change(&self, key: Key, change: PeerChange, state: &mut LoopState<N>) {
        if let Some(transitions) = &mut state.transitions
            && self.purpose == EndpointPurpose::Service
        {
            transitions.add(self.index, key, Transition { at: state.now, change });
        }
    }

    /// The peer is gone.
    pub(super) fn forget(&self, key: Key, state: &mut LoopState<N>) {
        if let Some(transitions) = &mut state.transitions {
            transitions.forget(self.index, key);
        }
    }

    /// A copy of the state of a peer, open or not.
    pub(super) fn copy(&self, key: Key, peer: &Peer<S, Link<W::Stream>>) -> PeerSnapshot {
        let snapshot = PeerSnapshot::of(key, peer, &self.host);
        if !peer.is_pending() {
            return snapshot;
        }
        // The clock of the connection of a pending peer began when it was accepted or begun.
        let role = peer.link.role();
        let (stage, timeout, limit) = match role {
            Role::Accepted => (OpenStage::Handshake, Deadline::Handshake, self.host.limits().handshake_timeout),
            Role::Connected => (OpenStage::Connecting, Deadline::Connect, self.connector.connect_timeout()),
        };
        let deadline = snapshot.last_activity + limit;
        PeerSnapshot { stage, role, deadline, timeout: Some(timeout), ..snapshot }
    }
}
