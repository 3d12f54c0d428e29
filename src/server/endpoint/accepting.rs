//! Inbound connections: accepted, admitted and, at a TLS endpoint, taken through their handshake.

use std::io;
use std::ops::ControlFlow;

use log::{debug, warn};

use crate::admission::{AcceptError, AdmissionRefusal, repeated_suffix};
use crate::connection::CloseReason;
use crate::net::pump::OpenOutcome;
use crate::net::{Layer, Link, Net, PeerAddress, Stream};
use crate::server::handshakes::Handshake;
use crate::service::{Role, Service};
use crate::slab::Key;

use super::{Endpoint, LoopState, token};

/// Most connections accepted per endpoint and turn. They take about as long as one peer may be served.
const ACCEPT_BUDGET: usize = 256;

/// Most connections accepted when a drain begins: sixteen times the default backlog. The bound keeps
/// clients that connect all the time from delaying the drain.
const BACKLOG_MAX: usize = 1 << 16;

/// No connection is accepted while this part of the memory for queues is lent, in eighths.
const CROWDED_EIGHTHS: usize = 7;

impl<S: Service, N: Net, W: Layer<N::Stream>> Endpoint<S, N, W> {
    pub(super) fn wants_accept(&self, state: &LoopState<N>) -> bool {
        let is_crowded = || state.reserve.lent_bytes() / CROWDED_EIGHTHS >= state.reserve.lent_bytes_max() / 8;
        self.is_acceptable && self.listener.is_some() && state.admission.may_accept() && !is_crowded()
    }

    /// Accepts connections within the budget.
    pub(super) fn accept(&mut self, state: &mut LoopState<N>) {
        if self.accept_retry.is_paused(state.now, state.closes) {
            return;
        }
        for _ in 0..ACCEPT_BUDGET {
            if !self.wants_accept(state) || self.accept_one(state).is_break() {
                break;
            }
        }
    }

    /// Accepts all connections in the backlog, beyond the budget of a turn.
    pub(super) fn accept_backlog(&mut self, state: &mut LoopState<N>) {
        for _ in 0..BACKLOG_MAX {
            if self.accept_one(state).is_break() {
                break;
            }
        }
    }

    /// Accepts one connection. Breaks if there is none, or after an error of the system.
    fn accept_one(&mut self, state: &mut LoopState<N>) -> ControlFlow<()> {
        let Some(listener) = &mut self.listener else { return ControlFlow::Break(()) };
        match state.net.accept(listener) {
            Ok((stream, address)) => self.admit(stream, &address, state),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_acceptable = false;
                ControlFlow::Break(())
            }
            Err(error) => self.handle_accept_error(&error, state),
        }
    }

    fn admit(&mut self, mut stream: N::Stream, address: &PeerAddress, state: &mut LoopState<N>) -> ControlFlow<()> {
        self.accept_retry.succeeded();
        let group = address.group();
        if let Err(refusal) = state.admission.admit(group) {
            match refusal {
                AdmissionRefusal::Full => state.refused_full += 1,
                AdmissionRefusal::AddressFull => state.refused_address += 1,
            }
            debug!("refused {address}: {refusal}");
            if let Err(error) = stream.reset_on_drop() {
                debug!("cannot reset {address}: {error}");
            }
            return ControlFlow::Continue(());
        }
        let (index, net, layer) = (self.index, &mut state.net, &self.layer);
        let inserted = self.host.insert_pending(|key| {
            net.register(&mut stream, token(index, key))?;
            Ok::<_, io::Error>(Link::new(layer.wrap(stream)?, group))
        });
        match inserted {
            Ok(key) => {
                self.peer_log.opened(key, address, state.now);
                if W::HAS_HANDSHAKE {
                    let handshake = Handshake { key, address: *address, since: state.now };
                    if let Some(oldest) = self.handshakes.add(handshake) {
                        self.close_handshake(oldest, CloseReason::HandshakesFull, state);
                    }
                } else {
                    let from = (*address, Role::Accepted);
                    self.host.handle_opened(key, S::Peer::default(), from, &mut state.reserve, state.now);
                }
                self.host.mark(key);
                ControlFlow::Continue(())
            }
            Err(error) => {
                state.admission.release(group);
                self.handle_accept_error(&error, state)
            }
        }
    }

    fn handle_accept_error(&mut self, error: &io::Error, state: &mut LoopState<N>) -> ControlFlow<()> {
        state.accept_errors += 1;
        if let Some(suppressed) = self.accept_log.permit(state.now) {
            warn!("cannot accept on {}: {error}{}", self.address, repeated_suffix(suppressed));
        }
        match AcceptError::of(error) {
            AcceptError::Connection => ControlFlow::Continue(()),
            AcceptError::System => {
                self.accept_retry.failed(state.now, state.closes);
                ControlFlow::Break(())
            }
        }
    }

    /// Continues one handshake, and opens the peer if it is complete.
    pub(super) fn handshake(&mut self, key: Key, state: &mut LoopState<N>) {
        let Some(link) = self.host.pending(key) else { return };
        match link.open(&self.layer) {
            OpenOutcome::Open => {
                let Some(Handshake { address, .. }) = self.handshakes.take(key) else { return };
                let from = (address, Role::Accepted);
                self.host.handle_opened(key, S::Peer::default(), from, &mut state.reserve, state.now);
                self.drain_if_draining(key, state);
            }
            OpenOutcome::WouldBlock => {}
            OpenOutcome::Failed(reason @ CloseReason::BadTls, error) => {
                let handshake = self.handshakes.take(key);
                self.host.refuse_pending(key, reason, &mut state.reserve, state.now);
                if let Some(Handshake { address, .. }) = handshake
                    && let Some(suppressed) = self.handshake_log.permit(state.now)
                {
                    let suffix = repeated_suffix(suppressed);
                    warn!("TLS handshake with {address} on {} failed: {error}{suffix}", self.address);
                }
            }
            OpenOutcome::Failed(reason, _) => self.close_handshake(key, reason, state),
        }
    }

    /// Closes a peer before its handshake is complete.
    fn close_handshake(&mut self, key: Key, reason: CloseReason, state: &mut LoopState<N>) {
        self.handshakes.take(key);
        if let Some(link) = self.host.close_pending(key, reason) {
            self.peer_log.closed(key, reason, state.now);
            state.admission.release(link.group());
            state.closes += 1;
        }
    }

    pub(super) fn close_handshakes(&mut self, reason: CloseReason, state: &mut LoopState<N>) {
        while let Some(oldest) = self.handshakes.oldest() {
            self.close_handshake(oldest.key, reason, state);
        }
    }

    pub(super) fn expire_handshakes(&mut self, state: &mut LoopState<N>) {
        while let Some(oldest) = self.handshakes.oldest()
            && oldest.since + self.host.limits().handshake_timeout <= state.now
        {
            self.close_handshake(oldest.key, CloseReason::HandshakeTimeout, state);
        }
    }
}
