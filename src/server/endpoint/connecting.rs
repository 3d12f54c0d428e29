//! Connections that a service ordered: begun here, and taken in as peers once they are through.
//!
//! Which may begin, and which is late, is the [`Connector`]'s to say. Every order has one outcome, told
//! in a turn of its own: what a service orders when it hears of one begins in the next.
//!
//! [`Connector`]: crate::dial::Dial

use std::io;

use log::{debug, warn};

use crate::admission::{Rejection, repeated_suffix};
use crate::codec::Codec;
use crate::connector::{ConnectFailure, PendingConnect};
use crate::net::{AddressGroup, ConnectOptions, Layer, Link, Net};
use crate::service::Service;
use crate::slab::Key;

use super::{Endpoint, LoopState, drain, token};

/// Connections begun per endpoint and turn: 32 of them take about as long as one peer's whole budget.
const CONNECT_BUDGET: usize = 32;

/// How many may wait to begin, per endpoint. As many newcomers as one backlog holds at most can
/// each order one; who orders more than that is told.
const WANTED_MAX: usize = 1 << 16;

impl<S: Service, C: Codec, N: Net, W: Layer<N::Stream>> Endpoint<S, C, N, W> {
    /// Takes the orders to connect, and begins as many as may.
    pub(super) fn begin_ordered(&mut self, shared: &mut LoopState<N>) {
        while let Some((to, ticket)) = self.host.pop_wanted() {
            if W::HAS_HANDSHAKE {
                let error = io::Error::new(io::ErrorKind::Unsupported, "a tls:// endpoint connects to nobody");
                self.connector.refuse(to, ticket, error);
            } else if self.connector.wanted() >= WANTED_MAX {
                self.connector.refuse(to, ticket, io::Error::other("too many connections wait to begin"));
            } else {
                self.connector.enqueue(to, None, ticket, Some(shared.now));
            }
        }
        for _ in 0..CONNECT_BUDGET {
            let Some(wanted) = self.connector.poll_begin(shared.now) else { break };
            match self.begin(&wanted, shared) {
                Ok(key) => self.connector.handle_begun(key, wanted, shared.now),
                Err(error) => self.connector.handle_not_begun(wanted, error, shared.now),
            }
        }
        self.tell_failures(shared);
    }

    fn begin(&mut self, wanted: &PendingConnect<u64>, shared: &mut LoopState<N>) -> io::Result<Key> {
        shared.admission.admit(AddressGroup::OURS).map_err(|refusal| match refusal {
            Rejection::Full | Rejection::AddressFull => io::Error::other("the server is full"),
        })?;
        let (index, net, layer) = (self.index, &mut shared.net, &self.layer);
        let begun = self.host.expect(|key| {
            let stream = net.connect(&wanted.to, &ConnectOptions::default(), token(index, key))?;
            Ok::<_, io::Error>(Link::new(layer.wrap(stream)?, AddressGroup::OURS))
        });
        if begun.is_err() {
            shared.admission.release(AddressGroup::OURS);
        }
        begun
    }

    /// Looks how far one has come: whether it is through, so that its peer can be served.
    pub(super) fn go_on_connecting(&mut self, key: Key, shared: &mut LoopState<N>) -> bool {
        let Some(link) = self.host.expected(key) else { return true };
        match shared.net.is_connected(self.layer.inner(link.stream_mut())) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                self.connector.handle_failure(key, error);
                self.release(key, shared);
                self.tell_failures(shared);
                return false;
            }
        }
        let Some(connecting) = self.connector.take(key) else { return false };
        debug!("peer {key:?} at {}", connecting.to);
        self.host.handle_connected(key, connecting.peer, &mut shared.reserve, shared.now);
        if let (None, Some(peer_guard)) = (&self.listener, self.host.peer_guard(key, &mut shared.reserve, shared.now)) {
            drain(&mut peer_guard.peer.link, &mut peer_guard.peer.connection);
        }
        true
    }

    pub(super) fn give_up_late(&mut self, shared: &mut LoopState<N>) {
        while let Some(key) = self.connector.poll_late(shared.now) {
            self.release(key, shared);
        }
        self.tell_failures(shared);
    }

    /// Nobody is connected to any more.
    pub(super) fn stop_connecting(&mut self, shared: &mut LoopState<N>) {
        self.connector.close();
        while let Some(key) = self.connector.poll_given_up() {
            self.release(key, shared);
        }
        self.tell_failures(shared);
    }

    fn release(&mut self, key: Key, shared: &mut LoopState<N>) {
        if self.host.dismiss(key).is_some() {
            shared.admission.release(AddressGroup::OURS);
            shared.closes += 1;
        }
    }

    fn tell_failures(&mut self, shared: &mut LoopState<N>) {
        while let Some(ConnectFailure { peer: ticket, to, error }) = self.connector.poll_failure() {
            shared.connects_failed += 1;
            if let Some(held_back) = self.unreached.permit(shared.now) {
                warn!("cannot connect to {to} from {}: {error}{}", self.address, repeated_suffix(held_back));
            }
            self.host.handle_connect_failed(ticket, &error, &mut shared.reserve, shared.now);
        }
    }
}
