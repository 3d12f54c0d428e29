//! Outbound connections that the service has ordered.
//!
//! The connector decides which connection starts and which one times out. The result of each order is
//! reported once. A connection that the service orders while it handles a result starts in the next turn.

use std::io;

use log::warn;

use crate::admission::repeated_suffix;
use crate::connector::PendingConnect;
use crate::net::{AddressGroup, ConnectOptions, Layer, Link, Net};
use crate::service::{ConnectFailure, Role, Service};
use crate::slab::Key;

use super::{Endpoint, LoopState, token};

/// Most connections started per endpoint and turn. They take about as long as one peer may be served.
const CONNECT_BUDGET: usize = 32;

/// Most connections queued per endpoint: enough for one from each connection in a full backlog.
const PENDING_MAX: usize = 1 << 16;

impl<S: Service, N: Net, W: Layer<N::Stream>> Endpoint<S, N, W> {
    /// Queues the connections that the service has ordered, and starts queued ones within the budget.
    pub(super) fn connect(&mut self, state: &mut LoopState<N>) {
        while let Some((to, peer)) = self.host.pop_connect() {
            if W::HAS_HANDSHAKE {
                let error = io::Error::new(io::ErrorKind::Unsupported, "a tls:// endpoint cannot connect");
                self.connector.refuse(to, peer, error);
            } else if self.connector.pending() >= PENDING_MAX {
                self.connector.refuse(to, peer, io::Error::other("too many connections are queued"));
            } else {
                self.connector.enqueue(to, None, peer, Some(state.now));
            }
        }
        for _ in 0..CONNECT_BUDGET {
            let Some(pending) = self.connector.poll_start(state.now) else { break };
            match self.start_connect(&pending, state) {
                Ok(key) => self.connector.handle_started(key, pending, state.now),
                Err(error) => self.connector.handle_start_failed(pending, error, state.now),
            }
        }
        self.report_failures(state);
    }

    fn start_connect(&mut self, pending: &PendingConnect<S::Peer>, state: &mut LoopState<N>) -> io::Result<Key> {
        state.admission.admit(AddressGroup::OURS).map_err(io::Error::other)?;
        let (index, net, layer) = (self.index, &mut state.net, &self.layer);
        let started = self.host.insert_pending(|key| {
            let stream = net.connect(&pending.to, &ConnectOptions::default(), token(index, key))?;
            Ok::<_, io::Error>(Link::new(layer.wrap(stream)?, AddressGroup::OURS))
        });
        if started.is_err() {
            state.admission.release(AddressGroup::OURS);
        }
        started
    }

    /// Checks whether a connection is established, and opens the peer if it is.
    pub(super) fn check_connected(&mut self, key: Key, state: &mut LoopState<N>) {
        let Some(link) = self.host.pending(key) else { return };
        match state.net.is_connected(self.layer.inner(link.stream_mut())) {
            Ok(true) => {
                let Some(connecting) = self.connector.take(key) else { return };
                self.peer_log.opened(key, &connecting.to, state.now);
                let to = (connecting.to.peer_address(), Role::Connected);
                self.host.handle_opened(key, connecting.peer, to, &mut state.reserve, state.now);
                self.drain_if_draining(key, state);
            }
            Ok(false) => {}
            Err(error) => {
                self.connector.handle_failure(key, error);
                self.release(key, state);
                self.report_failures(state);
            }
        }
    }

    pub(super) fn expire_connects(&mut self, state: &mut LoopState<N>) {
        while let Some(key) = self.connector.poll_timed_out(state.now) {
            self.release(key, state);
        }
        self.report_failures(state);
    }

    /// Fails all connections that are queued or in progress, and all that are ordered later.
    pub(super) fn abort_connects(&mut self, state: &mut LoopState<N>) {
        self.connector.close();
        while let Some(key) = self.connector.poll_aborted() {
            self.release(key, state);
        }
        self.report_failures(state);
    }

    fn release(&mut self, key: Key, state: &mut LoopState<N>) {
        if self.host.remove_pending(key).is_some() {
            state.admission.release(AddressGroup::OURS);
            state.closes += 1;
        }
    }

    fn report_failures(&mut self, state: &mut LoopState<N>) {
        while let Some(failure) = self.connector.poll_failure() {
            let ConnectFailure { to, error, .. } = &failure;
            state.connects_failed += 1;
            if let Some(suppressed) = self.connect_log.permit(state.now) {
                warn!("cannot connect to {to} from {}: {error}{}", self.address, repeated_suffix(suppressed));
            }
            self.host.handle_connect_failed(failure, state.now);
        }
    }
}
