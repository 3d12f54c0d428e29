//! `PeerGuard`: the calls between one connection and its service.

use std::ops::ControlFlow;

use crate::codec::{Codec, FrameError};
use crate::connection::{InputRange, Reply, Resources};
use crate::instant::Instant;
use crate::peer_address::PeerAddress;
use crate::service::{Context, Identity, Outbox, PeerInfo, Role, Service};
use crate::slab::Key;

use super::Peer;

/// One peer, borrowed with all that is needed to serve it, for one step.
pub struct PeerGuard<'a, S: Service, L> {
    /// The peer to serve.
    pub peer: &'a mut Peer<S, L>,
    /// What its connection needs for each call.
    pub resources: Resources<'a, S::Codec>,
    pub(super) service_call: ServiceCall<'a, S>,
}

/// The service and its outbox, separate from the peer so that both can be borrowed at once.
pub(super) struct ServiceCall<'a, S: Service> {
    pub(super) key: Key,
    pub(super) now: Instant,
    pub(super) service: &'a mut S,
    pub(super) outbox: &'a mut Outbox<S::Peer, S::Message>,
}

impl<S: Service, L> PeerGuard<'_, S, L> {
    /// Passes input to the connection, and its frames to the service.
    #[inline]
    pub fn handle_input(&mut self, input: &[u8]) -> InputRange {
        let Self { peer: Peer { connection, state, .. }, resources, service_call } = self;
        connection.handle_input(input, resources, |frame, reply| service_call.serve(state, frame, reply))
    }

    /// Whether no work is due until the next message of the peer. A blocking driver then takes the next
    /// step without the rest of a turn.
    pub fn is_between_messages(&self) -> bool {
        self.peer.connection.is_between_messages() && self.service_call.outbox.is_empty()
    }

    /// Moves the time forward. Only a blocking driver needs this, because its streams wait.
    #[inline]
    pub fn pass_time(&mut self, now: Instant) {
        self.resources.now = now;
        self.service_call.now = now;
    }

    /// Passes frames that were held back to the service.
    pub fn handle_held(&mut self) {
        let Self { peer: Peer { connection, state, .. }, resources, service_call } = self;
        connection.handle_held(resources, |frame, reply| service_call.serve(state, frame, reply));
    }

    /// Calls [`Service::on_writable`].
    pub fn handle_writable(&mut self) {
        self.callback(|service, peer, cx| service.on_writable(peer, cx));
    }

    /// Calls [`Service::on_end`].
    pub fn handle_end(&mut self) {
        self.callback(|service, peer, cx| service.on_end(peer, cx));
    }

    /// Whether the outbox is full, so that no callback may be called.
    pub fn is_outbox_full(&self) -> bool {
        self.service_call.outbox.is_full()
    }

    pub(super) fn callback(&mut self, call: impl FnOnce(&mut S, &mut S::Peer, &mut Context<'_, S>)) {
        let Self { peer: Peer { connection, state, .. }, resources, service_call } = self;
        connection.handle_callback(resources, |reply| {
            let (service, mut cx) = service_call.open(reply);
            call(service, state, &mut cx);
        });
    }
}

impl<S: Service, L: Identity> PeerGuard<'_, S, L> {
    /// Calls [`Service::on_open`].
    pub(super) fn handle_open(&mut self, address: PeerAddress, role: Role) {
        let Self { peer: Peer { connection, state, link, .. }, resources, service_call } = self;
        connection.handle_callback(resources, |reply| {
            let (service, mut cx) = service_call.open(reply);
            service.on_open(state, &PeerInfo::new(address, role, link), &mut cx);
        });
    }
}

impl<S: Service> ServiceCall<'_, S> {
    /// Passes one frame to the service. Breaks when its orders must be applied first.
    #[inline]
    fn serve(
        &mut self,
        state: &mut S::Peer,
        frame: &[u8],
        reply: &mut Reply<'_, S::Codec>,
    ) -> Result<ControlFlow<()>, FrameError> {
        let frame = reply.codec().frame(frame)?;
        let (service, mut cx) = self.open(reply);
        service.on_frame(state, frame, &mut cx);
        Ok(if self.outbox.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// The service and the context of one callback.
    #[inline]
    fn open<'c>(&'c mut self, reply: &'c mut Reply<'_, S::Codec>) -> (&'c mut S, Context<'c, S>) {
        (self.service, Context { key: self.key, now: self.now, reply: reply.reborrow(), outbox: self.outbox })
    }
}
