//! Newcomers: accepted, admitted, and where a layer lies over their streams, through its handshake.
//!
//! A listener is never given up: whatever fails, another try follows.

use std::io;

use log::{debug, warn};

use crate::admission::{AcceptError, Rejection, repeated_suffix};
use crate::codec::Codec;
use crate::connection::CloseReason;
use crate::net::pump::OpenOutcome;
use crate::net::{Layer, Link, Net, PeerAddress, Stream};
use crate::server::handshakes::Handshake;
use crate::service::Service;
use crate::slab::Key;

use super::{Endpoint, LoopState, drain, token};

/// Above this part of the memory for queues, in eighths, nobody new is accepted.
const CROWDED_EIGHTHS: usize = 7;

/// Whether accepting goes on.
pub(super) enum Accepted {
    Next,
    Enough,
}

impl<S: Service, C: Codec, N: Net, W: Layer<N::Stream>> Endpoint<S, C, N, W> {
    #[inline]
    pub(super) fn wants_accept(&self, shared: &LoopState<N>) -> bool {
        let is_crowded = || shared.reserve.lent_bytes() / CROWDED_EIGHTHS >= shared.reserve.lent_bytes_max() / 8;
        self.is_acceptable && self.listener.is_some() && shared.admission.may_accept() && !is_crowded()
    }

    pub(super) fn accept_one(&mut self, shared: &mut LoopState<N>) -> Accepted {
        let Some(listener) = &mut self.listener else { return Accepted::Enough };
        match shared.net.accept(listener) {
            Ok((stream, who)) => self.admit(stream, &who, shared),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_acceptable = false;
                Accepted::Enough
            }
            Err(error) => self.cannot_accept(&error, shared),
        }
    }

    fn admit(&mut self, mut stream: N::Stream, who: &PeerAddress, shared: &mut LoopState<N>) -> Accepted {
        self.accept_retry.succeeded();
        let group = who.group();
        if let Err(refusal) = shared.admission.admit(group) {
            match refusal {
                Rejection::Full => shared.refused_full += 1,
                Rejection::AddressFull => shared.refused_address += 1,
            }
            debug!("refused {who}: {refusal:?}");
            if let Err(error) = stream.reset_on_drop() {
                debug!("{who} was gone before it was refused: {error}");
            }
            return Accepted::Next;
        }
        let (index, net, layer) = (self.index, &mut shared.net, &self.layer);
        let expected = self.host.expect(|key| {
            net.register(&mut stream, token(index, key))?;
            Ok::<_, io::Error>(Link::new(layer.wrap(stream)?, group))
        });
        match expected {
            Ok(key) => {
                debug!("peer {key:?} from {who}");
                if W::HAS_HANDSHAKE {
                    self.begin_handshake(Handshake { key, who: *who, since: shared.now }, shared);
                } else {
                    self.host.handle_arrival(key, S::Peer::default(), who, &mut shared.reserve, shared.now);
                }
                self.host.mark(key);
                Accepted::Next
            }
            Err(error) => {
                shared.admission.release(group);
                self.cannot_accept(&error, shared)
            }
        }
    }

    fn cannot_accept(&mut self, error: &io::Error, shared: &mut LoopState<N>) -> Accepted {
        shared.accept_errors += 1;
        if let Some(held_back) = self.complaint.permit(shared.now) {
            warn!("cannot accept on {}: {error}{}", self.address, repeated_suffix(held_back));
        }
        match AcceptError::of(error) {
            AcceptError::Newcomer => Accepted::Next,
            AcceptError::Ours => {
                self.accept_retry.failed(shared.now, shared.closes);
                Accepted::Enough
            }
        }
    }

    fn begin_handshake(&mut self, handshake: Handshake, shared: &mut LoopState<N>) {
        if let Some(oldest) = self.handshakes.add(handshake) {
            self.give_up(oldest, CloseReason::HandshakesFull, shared);
        }
    }

    /// Goes on with one handshake: whether it is done, so that its peer can be served.
    pub(super) fn handshake(&mut self, key: Key, shared: &mut LoopState<N>) -> bool {
        let Some(link) = self.host.expected(key) else { return true };
        match link.open(&self.layer) {
            OpenOutcome::Open => {}
            OpenOutcome::WouldBlock => return false,
            OpenOutcome::Failed(reason, error) => {
                let handshake = self.give_up(key, reason, shared);
                if let (CloseReason::BadTls, Some(Handshake { who, .. })) = (reason, handshake)
                    && let Some(held_back) = self.failures.permit(shared.now)
                {
                    warn!("no TLS with {who} on {}: {error}{}", self.address, repeated_suffix(held_back));
                }
                return false;
            }
        }
        let Some(Handshake { who, .. }) = self.handshakes.take(key) else { return false };
        self.host.handle_arrival(key, S::Peer::default(), &who, &mut shared.reserve, shared.now);
        if let (None, Some(peer_guard)) = (&self.listener, self.host.peer_guard(key, &mut shared.reserve, shared.now)) {
            drain(&mut peer_guard.peer.link, &mut peer_guard.peer.connection);
        }
        true
    }

    /// Ends a handshake that does not come to its end.
    pub(super) fn give_up(&mut self, key: Key, reason: CloseReason, shared: &mut LoopState<N>) -> Option<Handshake> {
        let handshake = self.handshakes.take(key);
        if let Some(link) = self.host.give_up(key, reason) {
            debug!("peer {key:?} closed in its handshake: {reason}");
            shared.admission.release(link.group());
            shared.closes += 1;
        }
        handshake
    }

    pub(super) fn give_up_all(&mut self, reason: CloseReason, shared: &mut LoopState<N>) {
        while let Some(oldest) = self.handshakes.oldest() {
            self.give_up(oldest.key, reason, shared);
        }
    }
}
