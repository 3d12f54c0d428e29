//! Outbound connections, ordered by the service or by the program.
//!
//! The connector decides which connection starts and which one times out. The result of each is
//! reported once. A connection that the service orders while it handles a result starts in the next turn.

use std::io;

use log::warn;

use crate::admission::repeated_suffix;
use crate::connection::CloseReason;
use crate::connector::{Connecting, PendingConnect};
use crate::destination::Destination;
use crate::event_loop::transitions::PeerChange;
use crate::net::pump::OpenOutcome;
use crate::net::{AddressGroup, Layer, Net, Token};
use crate::service::{Role, Service};
use crate::slab::Key;

use super::{Endpoint, LoopState, Stage};

/// Most connections started per endpoint and turn. They take about as long as one peer may be served.
const CONNECT_BUDGET: usize = 32;

/// Most failures reported per endpoint and turn.
const FAILURE_BUDGET: usize = 1024;

/// Most connections that a service may queue: enough for one from each connection in a full backlog.
const PENDING_MAX: usize = 1 << 16;

impl<S: Service, N: Net, W: Layer<N::Stream>> Endpoint<S, N, W> {
    /// Queues the connections that the service has ordered, and starts queued ones within the budget.
    pub(super) fn connect(&mut self, state: &mut LoopState<N>) {
        while let Some((to, peer)) = self.host.pop_connect() {
            if self.ending.stage == Stage::Stopping {
                // No result is reported, so a service that always tries again cannot keep the loop running.
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
        let mut options = self.connect_options.clone();
        options.source = pending.source;
        self.insert_connected(state, |net, token| net.connect(&pending.to, &options, token))
    }

    /// Admits an outbound connection and inserts it as a pending peer.
    fn insert_connected(
        &mut self,
        state: &mut LoopState<N>,
        stream: impl FnOnce(&mut N, Token) -> io::Result<N::Stream>,
    ) -> io::Result<Key> {
        state.admission.admit(AddressGroup::OURS).map_err(io::Error::other)?;
        let inserted = self.insert_pending(Role::Connected, AddressGroup::OURS, state, stream);
        if inserted.is_err() {
            state.admission.release(AddressGroup::OURS);
        }
        inserted
    }

    /// Takes over a stream that was connected elsewhere. It opens at once, or after the handshake of the layer.
    pub(super) fn adopt_stream(
        &mut self,
        mut stream: N::Stream,
        to: Destination,
        peer: S::Peer,
        state: &mut LoopState<N>,
    ) -> io::Result<Key> {
        let key = self.insert_connected(state, |net, token| {
            net.register(&mut stream, token)?;
            Ok(stream)
        })?;
        self.connector.adopt(key, to, peer, state.now);
        if self.layer.has_handshake(Role::Connected) {
            self.host.mark(key);
        } else {
            self.open_connected(key, state);
        }
        Ok(key)
    }

    /// Checks whether a connection is established, continues its handshake, and opens the peer at the end.
    pub(super) fn check_connected(&mut self, key: Key, state: &mut LoopState<N>) {
        let Some(link) = self.host.pending(key) else { return };
        let is_connected = state.net.is_connected(self.layer.inner(link.stream_mut()));
        let failure = match is_connected {
            Ok(false) => return,
            Ok(true) if !self.layer.has_handshake(Role::Connected) => return self.open_connected(key, state),
            Ok(true) => match link.open(&self.layer) {
                OpenOutcome::WouldBlock => return,
                OpenOutcome::Open => return self.open_connected(key, state),
                OpenOutcome::Failed(reason @ CloseReason::BadTls, error) => {
                    self.connector.handle_failure(key, error);
                    // The alert reaches the peer before the connection ends.
                    self.host.refuse_pending(key, reason, &mut state.reserve, state.now);
                    return self.report_failures(state);
                }
                OpenOutcome::Failed(_, error) => error,
            },
            Err(error) => error,
        };
        self.connector.handle_failure(key, failure);
        self.release(key, state);
        self.report_failures(state);
    }

    fn open_connected(&mut self, key: Key, state: &mut LoopState<N>) {
        let Some(Connecting { to, peer, .. }) = self.connector.take(key) else { return };
        self.peer_log.opened(key, &to, state.now);
        self.record_change(key, PeerChange::Opened, state);
        let address = (to.peer_address(), Role::Connected);
        self.host.handle_opened(key, peer, address, &mut state.reserve, state.now);
        self.apply_stage_to(key, state);
    }

    pub(super) fn expire_connects(&mut self, state: &mut LoopState<N>) {
        while let Some(key) = self.connector.poll_timed_out(state.now) {
            self.release(key, state);
        }
        self.report_failures(state);
    }

    /// Fails the next connection in progress. Returns `false` if there is none.
    pub(super) fn abort_connect(&mut self, state: &mut LoopState<N>) -> bool {
        let aborted = self.connector.poll_aborted();
        aborted.is_some_and(|key| {
            self.release(key, state);
            true
        })
    }

    fn release(&mut self, key: Key, state: &mut LoopState<N>) {
        if self.host.remove_pending(key).is_some() {
            state.admission.release(AddressGroup::OURS);
            state.closes += 1;
        }
    }

    fn report_failures(&mut self, state: &mut LoopState<N>) {
        for _ in 0..FAILURE_BUDGET {
            if self.host.is_outbox_full() {
                break;
            }
            let Some(failure) = self.connector.poll_failure() else { break };
            state.connects_failed += 1;
            // A program that only connects handles its failures itself.
            if let Some(address) = &self.address
                && let Some(suppressed) = self.connect_log.permit(state.now)
            {
                let suffix = repeated_suffix(suppressed);
                warn!("cannot connect to {} from {address}: {}{suffix}", failure.to, failure.error);
            }
            self.host.handle_connect_failed(failure, state.now);
        }
    }
}
