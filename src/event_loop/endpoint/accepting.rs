//! Inbound connections: accepted, admitted and, at a TLS endpoint, taken through their handshake.

use std::fmt::Display;
use std::io;
use std::ops::ControlFlow;

use log::{debug, warn};

use crate::admission::{AcceptError, AdmissionRefusal, EndpointPurpose, repeated_suffix};
use crate::connection::CloseReason;
use crate::event_loop::handshakes::Handshake;
use crate::event_loop::transitions::PeerChange;
use crate::host::Peer;
use crate::instant::Instant;
use crate::net::pump::OpenOutcome;
use crate::net::{AddressGroup, Layer, Link, Net, Origin, PeerAddress, Stream};
use crate::service::{Role, Service};
use crate::slab::Key;

use super::{Endpoint, LoopState};

/// Most connections accepted per endpoint and turn. They take about as long as one peer may be served.
const ACCEPT_BUDGET: usize = 256;

/// Most connections accepted after a shutdown began: sixteen times the default backlog. The bound keeps
/// clients that connect all the time from delaying the shutdown.
pub(super) const BACKLOG_MAX: usize = 1 << 16;

/// No connection is accepted while this part of the memory for queues is lent, in eighths.
const CROWDED_EIGHTHS: usize = 7;

impl<S: Service, N: Net, W: Layer<N::Stream>> Endpoint<S, N, W> {
    pub(super) fn wants_accept(&self, state: &LoopState<N>) -> bool {
        let is_crowded = || state.reserve.lent_bytes() / CROWDED_EIGHTHS >= state.reserve.lent_bytes_max() / 8;
        let may_accept = state.admission.may_accept(self.purpose) && !self.host.is_outbox_full();
        let must_wait = self.purpose == EndpointPurpose::Service && is_crowded();
        self.is_acceptable && self.listener.is_some() && may_accept && !must_wait && self.may_begin_handshake()
    }

    /// Whether one more handshake may begin. If there are too many, it closes the oldest one, unless that one only
    /// waits for its turn of this loop.
    fn may_begin_handshake(&self) -> bool {
        let is_waiting = |key| self.host.any_peer(key).is_some_and(Peer::is_marked);
        !self.handshakes.is_full() || self.handshakes.oldest().is_none_or(|oldest| !is_waiting(oldest.key))
    }

    /// Accepts connections within the budget.
    pub(super) fn accept(&mut self, state: &mut LoopState<N>) {
        if !self.ending.stage.accepts() {
            return self.accept_backlog(state);
        }
        if self.accept_retry.is_paused(state.now, state.closes) {
            return;
        }
        for _ in 0..ACCEPT_BUDGET {
            if !self.wants_accept(state) || self.accept_one(state).is_break() {
                break;
            }
        }
    }

    /// Accepts connections that are in the backlog when a shutdown begins. Closes the listener after the last.
    fn accept_backlog(&mut self, state: &mut LoopState<N>) {
        for _ in 0..ACCEPT_BUDGET {
            if self.host.is_outbox_full() {
                return;
            }
            if self.ending.backlog_left == 0 || self.accept_one(state).is_break() {
                self.listener = None;
                return;
            }
            self.ending.backlog_left -= 1;
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
        let group = match (self.layer.origin(address), self.purpose) {
            (Origin::Peer | Origin::Proxy, EndpointPurpose::Administration) => AddressGroup::ADMINISTRATION,
            (Origin::Peer, EndpointPurpose::Service) => address.group(),
            (Origin::Proxy, EndpointPurpose::Service) => AddressGroup::PROXY,
            (Origin::Untrusted, _) => {
                self.host.count_refused(CloseReason::UntrustedProxy);
                self.warn_of_handshake(format_args!("closed {address}"), &"it is not a trusted proxy", state.now);
                reset(stream, address);
                return ControlFlow::Continue(());
            }
        };
        if let Err(refusal) = state.admission.admit(group) {
            match refusal {
                AdmissionRefusal::Full => state.refused_full += 1,
                AdmissionRefusal::AddressFull => state.refused_address += 1,
            }
            debug!("refused {address}: {refusal}");
            reset(stream, address);
            return ControlFlow::Continue(());
        }
        let inserted = self.insert_pending(Role::Accepted, group, state, |net, token| {
            net.register(&mut stream, token)?;
            Ok(stream)
        });
        match inserted {
            Ok(key) => {
                self.peer_log.opened(key, address, state.now);
                if self.layer.has_handshake(Role::Accepted) {
                    self.record_change(key, PeerChange::Handshake, state);
                    let handshake = Handshake { key, address: *address, since: state.now };
                    if let Some(oldest) = self.handshakes.add(handshake) {
                        let why = "it is the oldest of too many handshakes";
                        self.warn_of_handshake(format_args!("closed {}", oldest.address), &why, state.now);
                        self.close_handshake(oldest.key, CloseReason::HandshakesFull, state);
                    }
                } else {
                    self.open_accepted(key, *address, state);
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

    /// Opens a peer after its handshake. Its address is the original one, if a proxy has announced it.
    fn open_as_original(&mut self, key: Key, address: PeerAddress, state: &mut LoopState<N>) {
        let Some(link) = self.host.pending(key) else { return };
        let original = link.stream_mut().original_address().unwrap_or(address);
        let old = link.group();
        let new = if old == AddressGroup::ADMINISTRATION { old } else { original.group() };
        if let Err(refusal) = state.admission.regroup(old, new) {
            state.refused_address += 1;
            debug!("refused {original}: {refusal}");
            if let Some(link) = self.host.remove_pending(key) {
                self.forget(key, state);
                state.admission.release(old);
                state.closes += 1;
                reset(link.into_stream(), &original);
            }
            return;
        }
        link.regroup(new);
        if original != address {
            self.peer_log.announced(key, &original);
        }
        self.open_accepted(key, original, state);
    }

    fn open_accepted(&mut self, key: Key, address: PeerAddress, state: &mut LoopState<N>) {
        self.record_change(key, PeerChange::Opened, state);
        let from = (address, Role::Accepted);
        self.host.handle_opened(key, S::Peer::default(), from, &mut state.reserve, state.now);
        self.apply_stage_to(key, state);
    }

    fn handle_accept_error(&mut self, error: &io::Error, state: &mut LoopState<N>) -> ControlFlow<()> {
        state.accept_errors += 1;
        if let Some(suppressed) = self.accept_log.permit(state.now) {
            warn!("cannot accept on {}: {error}{}", self.name(), repeated_suffix(suppressed));
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
                let Some(Handshake { address, .. }) = self.handshakes.complete(key) else { return };
                self.open_as_original(key, address, state);
            }
            OpenOutcome::WouldBlock => {}
            OpenOutcome::Failed(reason @ CloseReason::BadTls, error) => {
                let handshake = self.handshakes.fail(key, reason);
                self.host.refuse_pending(key, reason, &mut state.reserve, state.now);
                if let Some(Handshake { address, .. }) = handshake {
                    self.warn_of_handshake(format_args!("TLS handshake with {address} failed"), &error, state.now);
                }
            }
            OpenOutcome::Failed(reason @ CloseReason::BadProxyHeader, error) => {
                let address =
                    self.handshakes.fail(key, reason).map_or(PeerAddress::Unix, |handshake| handshake.address);
                self.warn_of_handshake(format_args!("closed {address}"), &error, state.now);
                if let Some(link) = self.remove_handshake(key, reason, state) {
                    reset(link.into_stream(), &address);
                }
            }
            OpenOutcome::Failed(reason, _) => self.close_handshake(key, reason, state),
        }
    }

    /// Logs a connection that was refused in its handshake.
    fn warn_of_handshake(&mut self, what: impl Display, why: &dyn Display, now: Instant) {
        if let Some(suppressed) = self.handshake_log.permit(now) {
            warn!("{what} on {}: {why}{}", self.name(), repeated_suffix(suppressed));
        }
    }

    /// Closes a peer before its handshake is complete.
    fn close_handshake(&mut self, key: Key, reason: CloseReason, state: &mut LoopState<N>) {
        self.handshakes.fail(key, reason);
        drop(self.remove_handshake(key, reason, state));
    }

    /// Removes and counts a peer in its handshake. The handshake is no longer listed.
    fn remove_handshake(&mut self, key: Key, reason: CloseReason, state: &mut LoopState<N>) -> Option<Link<W::Stream>> {
        let link = self.host.close_pending(key, reason)?;
        self.forget(key, state);
        self.peer_log.closed(key, reason, state.now);
        state.admission.release(link.group());
        state.closes += 1;
        Some(link)
    }

    /// Closes the oldest handshake. Returns `false` if there is none.
    pub(super) fn close_oldest_handshake(&mut self, reason: CloseReason, state: &mut LoopState<N>) -> bool {
        let oldest = self.handshakes.oldest().map(|oldest| oldest.key);
        oldest.is_some_and(|key| {
            self.close_handshake(key, reason, state);
            true
        })
    }

    pub(super) fn expire_handshakes(&mut self, state: &mut LoopState<N>) {
        while let Some(oldest) = self.handshakes.oldest()
            && oldest.since + self.host.limits().handshake_timeout <= state.now
        {
            self.close_handshake(oldest.key, CloseReason::HandshakeTimeout, state);
        }
    }
}

/// Drops a refused stream with a reset, so that the peer does not take it for an empty reply.
fn reset(mut stream: impl Stream, address: &PeerAddress) {
    if let Err(error) = stream.reset_on_drop() {
        debug!("cannot reset {address}: {error}");
    }
}
