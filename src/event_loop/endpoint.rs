//! `Endpoint`: one service with its peers, which it accepts, connects to, or both.
//!
//! Endpoints differ in their service and layer, so the event loop keeps them as objects. The loop polls
//! and dispatches events. Each endpoint does the other steps of a turn for its own peers.

mod accepting;
mod connecting;
mod ending;
mod observing;
mod runtime_limits;

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::Receiver;

use log::{error, info};

use crate::admission::{AcceptRetry, EndpointPurpose, LogThrottle, ServerLimits, Totals};
use crate::connection::Limits;
use crate::connector::Connector;
use crate::destination::Destination;
use crate::host::{Host, HostCounters};
use crate::instant::Instant;
use crate::net::pump;
use crate::net::{
    Address, AddressGroup, Budget, ConnectOptions, Layer, Link, MESSAGES_WAITING_MAX, Net, Readiness, Token,
};
use crate::service::{Role, Service};
use crate::slab::Key;

use super::any_endpoint::{AnyEndpoint, EndpointSocket, PeerCall, ServiceEndpoint};
use super::handshakes::Handshakes;
use super::loop_state::LoopState;
use super::peer_log::PeerLog;
use super::shutdown::Stage;
use super::snapshot::{EndpointSnapshot, PeerSnapshot};
use super::token::{index_of, key_of, listener_token, token};

use ending::Ending;

/// Most handshake steps per endpoint and turn, if each takes far longer than serving a message.
const HANDSHAKE_BUDGET: usize = 16;

/// One service with its layer and its peers, and its listener if it has one.
pub(super) struct Endpoint<S: Service, N: Net, W: Layer<N::Stream>> {
    index: u8,
    purpose: EndpointPurpose,
    /// The address that it listens at; `None` if it only connects.
    address: Option<Address>,
    /// `None` if it only connects, and once it is draining.
    listener: Option<N::Listener>,
    /// Whether an accept may succeed.
    is_acceptable: bool,
    accept_retry: AcceptRetry,
    accept_log: LogThrottle,
    panic_log: LogThrottle,
    layer: W,
    /// Handshakes of accepted connections. Those of connected ones belong to the connector.
    handshakes: Handshakes,
    handshake_log: LogThrottle,
    connect_options: ConnectOptions,
    connector: Connector<S::Peer>,
    connect_log: LogThrottle,
    peer_log: PeerLog,
    host: Host<S, Link<W::Stream>>,
    inbox: Receiver<S::Message>,
    /// Messages wait until the service's orders are applied.
    has_messages: bool,
    ending: Ending,
    /// The slot from which on changed limits must still be applied; `None` if they are applied to all peers.
    limits_next_slot: Option<usize>,
}

impl<S: Service, N: Net, W: Layer<N::Stream>> Endpoint<S, N, W> {
    pub(super) fn new(
        index: u8,
        layer: W,
        host: Host<S, Link<W::Stream>>,
        limits: &ServerLimits,
        inbox: Receiver<S::Message>,
        listener: Option<(N::Listener, Address)>,
        connect_options: ConnectOptions,
    ) -> Self {
        let (listener, address) = listener.unzip();
        Self {
            index,
            address,
            listener,
            purpose: EndpointPurpose::Service,
            is_acceptable: false,
            accept_retry: AcceptRetry::new(),
            accept_log: LogThrottle::default(),
            panic_log: LogThrottle::default(),
            layer,
            handshakes: Handshakes::new(limits.handshakes_max),
            handshake_log: LogThrottle::default(),
            connect_options,
            connector: Connector::new(limits.connecting_max, limits.connect_timeout),
            connect_log: LogThrottle::default(),
            peer_log: PeerLog::default(),
            host,
            inbox,
            has_messages: false,
            ending: Ending::default(),
            limits_next_slot: None,
        }
    }

    pub(super) fn with_purpose(self, purpose: EndpointPurpose) -> Self {
        Self { purpose, ..self }
    }

    /// The endpoint in log lines.
    fn name(&self) -> String {
        self.address.as_ref().map_or_else(|| "an outbound endpoint".to_owned(), Address::to_string)
    }

    /// Inserts a pending peer under the layer of this endpoint. `stream` registers its stream.
    fn insert_pending(
        &mut self,
        role: Role,
        group: AddressGroup,
        state: &mut LoopState<N>,
        stream: impl FnOnce(&mut N, Token) -> io::Result<N::Stream>,
    ) -> io::Result<Key> {
        let (index, layer, LoopState { net, now, .. }) = (self.index, &self.layer, state);
        self.host.insert_pending(*now, |key| Ok(Link::new(layer.wrap(stream(net, token(index, key))?, role)?, group)))
    }

    /// Serves each marked peer once within the budget. The others stay marked.
    fn serve(&mut self, state: &mut LoopState<N>) -> Budget {
        let mut handshakes = HANDSHAKE_BUDGET;
        let marked = self.host.begin_round();
        let mut budget = Budget::new(state.turn_bytes, marked, &state.reserve);
        for _ in 0..marked {
            if budget.is_spent(&state.reserve) {
                break;
            }
            let Some(key) = self.host.pop_marked() else { break };
            if let Some(measurements) = &mut state.measurements
                && measurements.is_waiting(token(self.index, key))
            {
                measurements.handle_served(state.net.now());
            }
            if let Some(role) = self.host.pending(key).map(|link| link.role()) {
                if self.host.is_outbox_full() {
                    // No callback is called until the orders are applied.
                    self.host.mark(key);
                    continue;
                }
                if self.layer.has_handshake(role) && self.layer.is_slow_to_open() {
                    if handshakes == 0 {
                        self.host.mark(key);
                        continue;
                    }
                    handshakes -= 1;
                }
                match role {
                    Role::Accepted => self.handshake(key, state),
                    Role::Connected => self.check_connected(key, state),
                }
            }
            self.serve_one(key, &mut budget, state);
        }
        if let Some(measurements) = &mut state.measurements
            && self.host.marked_len() == 0
        {
            measurements.handle_none_waiting(|token| index_of(token) == usize::from(self.index));
        }
        budget
    }

    /// Serves one peer, unless it is still pending.
    fn serve_one(&mut self, key: Key, budget: &mut Budget, state: &mut LoopState<N>) {
        let LoopState { scratch, reserve, now, .. } = state;
        let before = self.peer_log.is_active().then(|| self.host.counters().ledger);
        pump::serve(&mut self.host, key, budget, scratch, reserve, *now);
        if let Some(before) = before {
            self.peer_log.served(key, &before, &self.host.counters().ledger);
        }
        self.observe(key, state);
    }

    /// Expires deadlines and timers. This comes after serving: a peer with unread data is not idle.
    fn expire(&mut self, state: &mut LoopState<N>) {
        self.host.handle_timers(&mut state.reserve, state.now);
        if state.partial_poll.is_some() {
            return;
        }
        self.host.handle_deadlines(&mut state.reserve, state.now);
        self.expire_handshakes(state);
        self.expire_connects(state);
    }
}

impl<S: Service, N: Net, W: Layer<N::Stream>> AnyEndpoint<N> for Endpoint<S, N, W> {
    fn handle_event(&mut self, readiness: &Readiness) {
        if readiness.token == listener_token(self.index) {
            self.is_acceptable = true;
        } else {
            self.host.handle_event(key_of(readiness.token), |link| link.remember(readiness));
        }
    }

    fn deliver_messages(&mut self, state: &mut LoopState<N>) {
        // At most a full inbox: a thread that sends more meanwhile wakes the loop again.
        self.has_messages = true;
        for _ in 0..MESSAGES_WAITING_MAX {
            if self.host.is_outbox_full() {
                return;
            }
            let message = match self.purpose {
                EndpointPurpose::Service => state.net.take_message::<S>(&self.inbox),
                EndpointPurpose::Administration => self.inbox.try_recv().ok(),
            };
            let Some(message) = message else { break };
            self.host.handle_message(message, state.now);
        }
        self.has_messages = false;
    }

    fn turn(&mut self, state: &mut LoopState<N>) {
        if self.has_messages {
            self.deliver_messages(state);
        }
        self.apply_limits(state);
        self.accept(state);
        self.connect(state);
        let mut budget = self.serve(state);
        self.expire(state);
        self.host.apply_orders(&mut state.reserve, state.now, &mut budget.orders, pump::write_queued);
        self.reap(state);
    }

    fn next_work(&self, state: &LoopState<N>) -> Instant {
        let has_work = self.host.marked_len() > 0
            || self.host.wants_connect()
            || self.host.has_orders()
            || self.has_messages
            || self.host.has_closed()
            || self.connector.has_failures()
            || self.wants_stage()
            || self.limits_next_slot.is_some();
        if has_work {
            return Instant::ORIGIN;
        }
        let accept_at = match self.accept_retry.until() {
            _ if !self.wants_accept(state) => Instant::NEVER,
            Some(until) if self.accept_retry.is_paused(state.now, state.closes) => until,
            Some(_) | None => Instant::ORIGIN,
        };
        let handshake_at = self.handshakes.deadline(self.host.limits().handshake_timeout);
        let timers = [self.host.next_deadline(), self.host.next_timer()];
        let deadline = timers.into_iter().flatten().min().unwrap_or(Instant::NEVER);
        accept_at.min(handshake_at).min(self.connector.next_work()).min(deadline)
    }

    fn enter_stage(&mut self, stage: Stage, state: &mut LoopState<N>) {
        self.enter(stage, state);
    }

    fn advance_stage(&mut self, state: &mut LoopState<N>) {
        self.advance(state);
    }

    fn reload(&mut self) -> bool {
        let reloaded = self.layer.reload();
        match &reloaded {
            None => {}
            Some(Ok(())) => info!("reloaded TLS certificate for {}", self.name()),
            Some(Err(error)) => error!("kept the previous TLS certificate for {}: {error}", self.name()),
        }
        matches!(reloaded, Some(Err(_)))
    }

    fn is_empty(&self) -> bool {
        self.host.is_empty() && self.connector.is_empty() && !self.host.wants_connect() && !self.wants_stage()
    }

    fn local_address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    fn socket(&self) -> Option<EndpointSocket<'_, N>> {
        self.listener.as_ref().map(EndpointSocket::Listener)
    }

    fn listener_mut(&mut self) -> Option<&mut N::Listener> {
        self.listener.as_mut()
    }

    fn hand_over(&mut self, state: &mut LoopState<N>) {
        // The successor accepts the connections in the backlog. Here they would be accepted into a drain.
        if let Some(mut listener) = self.listener.take() {
            state.net.hand_over(&mut listener);
        }
    }

    fn add_to(&self, totals: &mut Totals) {
        totals.peers += self.host.counters();
        totals.handshakes += self.handshakes.len() as u64;
        totals.handshakes_by_outcome += &self.handshakes.counters;
        totals.connecting += self.connector.connecting() as u64;
    }

    fn purpose(&self) -> EndpointPurpose {
        self.purpose
    }

    fn peers_from(&self, slot: usize, peers_max: usize, visit: &mut dyn FnMut(PeerSnapshot)) -> Option<usize> {
        self.host.peers_from(slot, peers_max, |key, peer| visit(self.copy(key, peer)))
    }

    fn limits(&self) -> Option<&Limits> {
        Some(self.host.limits())
    }

    fn peer(&self, key: Key) -> Option<PeerSnapshot> {
        self.host.any_peer(key).map(|peer| self.copy(key, peer))
    }

    fn change_peer_limits(&mut self, limits: &Limits) {
        self.change_limits(limits);
    }

    fn change_server_limits(&mut self, limits: &ServerLimits) {
        self.handshakes.change_max(limits.handshakes_max);
        self.connector.change_limits(limits.connecting_max, limits.connect_timeout);
    }

    fn visit_groups(&self, visit: &mut dyn FnMut(AddressGroup)) {
        self.host.links().for_each(|link| visit(link.group()));
    }

    fn snapshot(&self) -> EndpointSnapshot {
        EndpointSnapshot {
            counters: *self.host.counters(),
            limits: self.host.limits().clone(),
            peers: self.host.peers().map(|(key, peer)| PeerSnapshot::of(key, peer, &self.host)).collect(),
            is_acceptable: self.is_acceptable,
            is_listening: self.listener.is_some(),
            marked: self.host.marked_len(),
            has_orders: self.host.has_orders(),
        }
    }
}

impl<S: Service, N: Net, W: Layer<N::Stream>> ServiceEndpoint<S, N> for Endpoint<S, N, W> {
    fn service(&self) -> &S {
        self.host.service()
    }

    fn service_mut(&mut self) -> &mut S {
        self.host.service_mut()
    }

    fn into_service(self: Box<Self>) -> S {
        self.host.into_service()
    }

    fn counters(&self) -> &HostCounters {
        self.host.counters()
    }

    fn call(&mut self, key: Key, call: PeerCall<'_, S>, state: &mut LoopState<N>) -> Option<()> {
        self.host.call(key, &mut state.reserve, state.now, call)
    }

    fn enqueue(&mut self, to: Destination, source: Option<IpAddr>, peer: S::Peer) {
        self.connector.enqueue(to, source, peer, None);
    }

    fn adopt(
        &mut self,
        stream: N::Stream,
        to: Destination,
        peer: S::Peer,
        state: &mut LoopState<N>,
    ) -> io::Result<Key> {
        self.adopt_stream(stream, to, peer, state)
    }

    fn open(&self) -> usize {
        self.host.len() - self.connector.connecting() - self.handshakes.len()
    }

    fn connecting(&self) -> usize {
        self.connector.connecting()
    }
}
